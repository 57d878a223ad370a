#include "call.h"

#include <fcntl.h>
#include <string.h>

#include "message.h"
#include "monitor.h"
#include "runtime.h"

struct call {
        struct child child;
        struct source err;
        char *said;
        size_t size, len;
        bool done;
        int status;
};

static void read_err(struct call *c)
{
        char buf[1024];
        ssize_t n;

        while ((n = read(c->err.fd, buf, sizeof(buf))) > 0) {
                size_t take = MIN_OF((size_t) n, c->size - 1 - c->len);

                memcpy(c->said + c->len, buf, take);
                c->len += take;
        }
        c->said[c->len] = '\0';
}

static void err_event(struct source *source, uint32_t events)
{
        struct monitor *m;
        struct call *c = source->data;

        read_err(c);
        m = c->child.data;
        if (events & EPOLLHUP)
                loop_del(&m->loop, source);
}

static void call_ended(struct child *child, int status)
{
        struct call *c = (struct call *) child;

        c->status = status;
        c->done = true;
}

static int call_spawn(struct monitor *m, struct call *c, const char *const *words)
{
        _cleanup_free_ char **argv = runtime_verb_argv(&m->opt, words);
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), theirs = -1;
        struct runtime_setup setup = {
                .opt = &m->opt, .in = null, .out = null, .start_pipe = -1, .oom_score_adj = m->oom_score_adj};
        int fds[2], r;

        if (null < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        c->err = (struct source){.fd = fds[0], .handle = err_event, .data = c};
        setup.err = theirs = fds[1];
        setup.sigmask = &m->sigmask;
        r = set_nonblock(fds[0], true);
        if (r == 0)
                r = loop_add(&m->loop, &c->err, EPOLLIN);
        if (r < 0)
                return r;
        c->child.pid = runtime_spawn(&setup, argv);
        if (c->child.pid < 0)
                return c->child.pid;
        children_add(m, &c->child);
        return 0;
}

int call_runtime(struct monitor *m, const char *const *words, char *said, size_t size)
{
        struct call c = {.child = {.ended = call_ended, .data = m}, .err.fd = -1, .said = said, .size = size};
        int r = call_spawn(m, &c, words);

        said[0] = '\0';
        while (r == 0 && !c.done)
                r = MIN_OF(monitor_step(m), 0);
        if (c.err.fd >= 0)
                read_err(&c);
        loop_del(&m->loop, &c.err);
        close_p(&c.err.fd);
        children_forget(m, &c.child);
        while (c.len > 0 && said[c.len - 1] == '\n')
                said[--c.len] = '\0';
        return r < 0 ? r : exit_code_of(c.status);
}
