#include "checkrun.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "message.h"
#include "monitor.h"
#include "runtime.h"

/* How long a check that took too long has between SIGTERM and SIGKILL. */
#define GRACE_MS 1000

#define READ_SIZE 4096

static char *pidfile_of(const struct check *c)
{
        return format("%s/check.pid", c->m->opt.bundle);
}

static void keep(struct check *c, const char *buf, size_t len)
{
        size_t take = c->output_max ? MIN_OF(len, c->output_max - c->output_len) : len;
        char *p = take ? realloc(c->output, c->output_len + take + 1) : NULL;

        if (!p)
                return;
        memcpy(p + c->output_len, buf, take);
        c->output = p;
        c->output_len += take;
        p[c->output_len] = '\0';
}

/* Read what is there; what is beyond the limit is read too, so that its writer does not block. */
static void read_out(struct check *c)
{
        char buf[READ_SIZE];
        ssize_t n;

        while (c->out.fd >= 0 && (n = read(c->out.fd, buf, sizeof(buf))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return;
                keep(c, buf, (size_t) n);
        }
        loop_del(&c->m->loop, &c->out);
}

static void out_event(struct source *source, uint32_t events)
{
        (void) events;
        read_out(source->data);
}

static void settle(struct check *c)
{
        if (c->expecting)
                children_settle(c->m);
        c->expecting = false;
}

static void complete(struct check *c, int code)
{
        if (!c->running)
                return;
        read_out(c);
        settle(c);
        children_forget(c->m, &c->runtime);
        children_forget(c->m, &c->process);
        loop_del(&c->m->loop, &c->out);
        close_p(&c->out.fd);
        timer_stop(&c->limit);
        if (c->timed_out) {
                (void) tree_signal(&c->tree, SIGKILL); /* what its first process has left behind */
                tree_done(&c->tree);
        }
        (void) clock_gettime(CLOCK_REALTIME, &c->end);
        c->code = c->timed_out ? CHECK_TIMED_OUT : code;
        c->running = false;
        c->done(c);
}

static void process_ended(struct child *child, int status)
{
        struct check *c = child->data;

        if (c->timed_out)
                tree_look(&c->tree, c->session);
        complete(c, exit_code_of(status));
}

/* The runtime has started the process, or has said why not. */
static void runtime_ended(struct child *child, int status)
{
        static const char lost[] = "the runtime gave the check another parent: how it ended is unknown\n";
        struct check *c = child->data;
        _cleanup_free_ char *path = pidfile_of(c);
        char why[256];
        int pid = status == 0 && path ? read_pidfile(path, why, sizeof(why)) : -1;

        if (pid <= 0) {
                complete(c, status == 0 ? 1 : exit_code_of(status));
                return;
        }
        c->process.pid = c->session = pid;
        children_add(c->m, &c->process);
        settle(c);
        if (c->process.pid > 0 && !children_is_own(c->process.pid)) {
                keep(c, lost, strlen(lost));
                complete(c, EXIT_FAILURE);
        }
}

static void limit_fired(void *data)
{
        struct check *c = data;
        bool first = !c->timed_out;

        c->timed_out = true;
        if (c->process.pid > 0)
                tree_look(&c->tree, c->process.pid);
        else
                (void) kill(c->runtime.pid, SIGKILL);
        if (first) {
                (void) tree_signal(&c->tree, SIGTERM);
                (void) timer_set(&c->limit, GRACE_MS);
        } else {
                (void) tree_signal(&c->tree, SIGKILL);
        }
}

void check_init(struct check *check, struct monitor *m, void (*done)(struct check *check))
{
        *check = (struct check){.m = m, .done = done, .left = -1, .out.fd = -1};
        check->runtime = (struct child){.ended = runtime_ended, .data = check};
        check->process = (struct child){.ended = process_ended, .data = check};
        timer_init(&check->limit, &m->loop, limit_fired, check);
}

static int spawn(struct check *c, const char *process)
{
        struct monitor *m = c->m;
        _cleanup_free_ char *pidfile = pidfile_of(c);
        const char *words[] = {"exec", "--process", process, "--pid-file", pidfile, "--detach", NULL};
        _cleanup_free_ char **argv = pidfile ? runtime_verb_argv(&m->opt, words) : NULL;
        _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC), theirs = -1;
        struct runtime_setup setup = {.opt = &m->opt, .start_pipe = -1, .oom_score_adj = m->oom_score_adj};
        int fds[2], r;

        if (!argv || null < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return argv ? -errno : -ENOMEM;
        c->out = (struct source){.fd = fds[0], .handle = out_event, .data = c};
        theirs = fds[1];
        setup.in = null;
        setup.out = setup.err = theirs;
        setup.sigmask = &m->sigmask;
        r = set_nonblock(fds[0], true);
        if (r == 0)
                r = loop_add(&m->loop, &c->out, EPOLLIN);
        if (r < 0)
                return r;
        (void) unlink(pidfile);
        children_expect(m);
        c->expecting = true;
        c->runtime.pid = runtime_spawn(&setup, argv);
        if (c->runtime.pid < 0)
                return c->runtime.pid;
        children_add(m, &c->runtime);
        return 0;
}

void check_start(struct check *check, const char *process, int64_t timeout)
{
        int r;

        check->running = true;
        check->timed_out = false;
        check->left = -1;
        free(check->output);
        check->output = NULL;
        check->output_len = 0;
        (void) clock_gettime(CLOCK_REALTIME, &check->start);
        r = spawn(check, process);
        if (r < 0) {
                const char *why = strerror(-r);

                keep(check, why, strlen(why));
                complete(check, 125);
                return;
        }
        if (timeout > 0)
                (void) timer_set(&check->limit, timeout);
}

void check_freeze(struct check *check, bool frozen)
{
        if (!check->running)
                return;
        if (frozen && check->left < 0) {
                check->left = timer_left(&check->limit);
                timer_stop(&check->limit);
        } else if (!frozen && check->left >= 0) {
                (void) timer_set(&check->limit, check->left);
                check->left = -1;
        }
}

void check_cut(struct check *check)
{
        if (check->running && check->runtime.pid > 0)
                (void) kill(check->runtime.pid, SIGKILL);
        complete(check, EXIT_UNKNOWN);
}

void check_done(struct check *check)
{
        timer_done(&check->limit);
        loop_del(&check->m->loop, &check->out);
        close_p(&check->out.fd);
        tree_done(&check->tree);
        free(check->output);
        check->output = NULL;
}
