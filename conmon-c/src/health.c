#include "health.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "eventlog.h"
#include "healthlog.h"
#include "message.h"
#include "monitor.h"

#define NS_OF_MS INT64_C(1000000)

/* --- what results mean --- */

const char *health_word(enum health_status status)
{
        return (const char *[]){"starting", "healthy", "unhealthy", "stopped"}[status];
}

static bool in_startup(const struct health_state *s, const struct orders *o)
{
        return o->startup.process && !s->startup_passed;
}

static enum health_action judge_startup(struct health_state *s, const struct check_orders *o, bool success)
{
        if (success) {
                s->status = HEALTH_HEALTHY;
                s->streak = 0;
                s->startup_passed = ++s->startup_successes >= o->successes;
                return ACTION_NONE;
        }
        s->startup_failures++;
        return o->retries > 0 && s->startup_failures >= o->retries ? ACTION_RESTART : ACTION_NONE;
}

enum health_action health_judge(struct health_state *state, const struct orders *orders, bool success, bool starting)
{
        if (in_startup(state, orders))
                return judge_startup(state, &orders->startup, success);
        if (success) {
                state->status = HEALTH_HEALTHY;
                state->streak = 0;
        } else if (!starting) {
                state->streak++;
                if (state->streak >= orders->regular.retries)
                        state->status = HEALTH_UNHEALTHY;
        }
        return state->status == HEALTH_UNHEALTHY ? orders->on_failure : ACTION_NONE;
}

/* --- when they run --- */

static bool in_start_period(const struct health *h)
{
        return now_ns() - h->started < h->orders->start_period * NS_OF_MS;
}

/* ms between checks just now; 0: none run by themselves. */
static int64_t interval(const struct health *h)
{
        const struct orders *o = h->orders;

        if (o->regular.interval == 0)
                return 0;
        if (in_startup(&h->state, o))
                return o->startup.interval;
        if (o->start_interval > 0 && h->state.status == HEALTH_STARTING && in_start_period(h))
                return o->start_interval;
        return o->regular.interval;
}

/* Set the timer to the next point of the grid. A grid that changes begins now. */
static void arm(struct health *h)
{
        int64_t period = interval(h) * NS_OF_MS, now = now_ns();

        if (period <= 0) {
                timer_stop(&h->tick);
                return;
        }
        if (period != h->period) {
                h->origin = h->period ? now : h->origin;
                h->period = period;
        }
        (void) timer_set_at(&h->tick, h->origin + ((now - h->origin) / period + 1) * period);
}

static void begin(struct health *h)
{
        const struct check_orders *o;

        h->is_startup = in_startup(&h->state, h->orders);
        o = h->is_startup ? &h->orders->startup : &h->orders->regular;
        h->check.output_max = (size_t) h->orders->health_log_size;
        check_start(&h->check, o->process, o->timeout);
}

static void tick(void *data)
{
        struct health *h = data;

        if (!h->running)
                return;
        arm(h);
        /* One that takes longer than the interval leaves points of the grid out: there are never two at once. */
        if (!h->check.running && !h->frozen)
                begin(h);
}

/* --- results --- */

static struct health_summary summary(const struct health *h)
{
        return (struct health_summary){health_word(h->state.status), h->state.streak};
}

static void begin_log(const struct health *h)
{
        const struct health_summary s = summary(h);
        int r = h->orders->health_log ? healthlog_clear(h->orders->health_log, &s) : 0;

        if (r < 0)
                msg_warn("Failed to begin the health log %s: %s", h->orders->health_log, strerror(-r));
}

static struct health_entry entry_of(const struct check *c)
{
        static const char too_long[] = "Health check exceeded its timeout\n";
        bool says_why = c->code == CHECK_TIMED_OUT && c->output_len == 0;

        return (struct health_entry){
                .start = c->start,
                .end = c->end,
                /* Podman's codes: a command's own is not told. */
                .code = c->code > 0 ? 1 : c->code,
                .output = says_why ? too_long : c->output,
                .len = says_why ? sizeof(too_long) - 1 : c->output_len,
        };
}

static void log_check(const struct health *h, const struct check *c)
{
        const struct health_entry entry = entry_of(c);
        const struct health_summary s = summary(h);
        const char *path = h->orders->health_log;
        int r = path ? healthlog_add(path, &entry, &s, h->orders->health_log_count) : 0;

        if (r < 0)
                msg_warn("Failed to write the health log %s: %s", path, strerror(-r));
}

static void tell_event(struct health *h, const struct check *c)
{
        struct health_entry entry = entry_of(c);
        _cleanup_free_ char *line = healthlog_line(&entry);

        eventlog_tell(&h->m->opt, &(struct event){.status = "health_status",
                                                  .health = health_word(h->state.status),
                                                  .streak = h->state.streak,
                                                  .health_log = line});
}

/* Every result and what it came to passes here. */
static void tell(struct health *h, const struct check *c)
{
        const struct orders *o = h->orders;

        tell_event(h, c);
        tend_health_changed(h->m, health_word(h->state.status), h->state.streak);
        if (h->state.status != HEALTH_HEALTHY || h->ready_told)
                return;
        h->ready_told = true;
        if (o->notify_socket && o->notify_mode == NOTIFY_HEALTHY && sdnotify_send(o->notify_socket, "READY=1") < 0)
                msg_warn("Failed to tell %s that the container is healthy", o->notify_socket);
}

static void answer(struct health *h, const struct check *c, bool acted)
{
        const char *word = c->code == 0                        ? "ok healthy"
                           : h->state.status == HEALTH_STOPPED ? "ok stopped"
                           : c->code == CHECK_TIMED_OUT        ? "timeout"
                           : h->is_startup                     ? "ok starting"
                                                               : "ok unhealthy";

        control_answer(&h->m->control, REQUEST_CHECK, word, acted);
}

/* Whether a process is past its last instruction. Then its namespace dies, and a check in it goes before it does. */
static bool is_ending(pid_t pid)
{
        char path[32], target[8];

        (void) snprintf(path, sizeof(path), "/proc/%d/exe", (int) pid);
        return pid <= 0 || (readlink(path, target, sizeof(target)) < 0 && errno == ENOENT);
}

static void check_over(struct check *c)
{
        struct health *h = &c->m->health;
        enum health_action action = ACTION_NONE;

        if (c->code != 0 && (!h->running || is_ending(h->m->container_pid))) {
                h->state.status = HEALTH_STOPPED;
                h->requested = false;
        } else {
                action = health_judge(&h->state, h->orders, c->code == 0, in_start_period(h));
        }
        log_check(h, c);
        tell(h, c);
        answer(h, c, action != ACTION_NONE);
        if (action != ACTION_NONE) {
                health_stop(h);
                tend_act(h->m, action);
        } else if (h->running && h->is_startup && h->state.startup_passed) {
                tick(h); /* the regular checks begin at once */
        } else if (h->running && interval(h) * NS_OF_MS != h->period) {
                arm(h);
        }
        if (h->requested && h->running && !h->check.running) {
                h->requested = false;
                begin(h);
        }
}

/* --- pause --- */

/* The cgroup v2 directory of a process in the unified hierarchy; fresh memory, or NULL when it is also ours. */
static char *own_cgroup_of(pid_t pid)
{
        char theirs[4096], ours[4096], path[32];
        _cleanup_free_ char *a = NULL, *b = NULL;
        struct statfs fs;

        (void) snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) pid);
        if (statfs("/sys/fs/cgroup", &fs) < 0 || (unsigned long) fs.f_type != CGROUP2_SUPER_MAGIC ||
            read_file(path, theirs, sizeof(theirs)) < 0 || read_file("/proc/self/cgroup", ours, sizeof(ours)) < 0)
                return NULL;
        a = oom_cgroup_path(theirs, "");
        b = oom_cgroup_path(ours, "");
        return a && b && strcmp(a, b) != 0 ? format("/sys/fs/cgroup%s", a) : NULL;
}

static void freezer_event(struct source *source, uint32_t events)
{
        struct health *h = source->data;
        char text[256];
        ssize_t n = pread(source->fd, text, sizeof(text) - 1, 0);
        bool was = h->frozen;

        (void) events;
        if (n <= 0) {
                loop_del(&h->m->loop, source); /* the cgroup is gone */
                return;
        }
        text[n] = '\0';
        h->frozen = strstr(text, "frozen 1");
        check_freeze(&h->check, h->frozen);
        if (was && !h->frozen && h->running && h->period > 0) {
                /* As podman does: the first check comes with the end of the pause. */
                h->origin = now_ns();
                tick(h);
        }
}

static void watch_freezer(struct health *h)
{
        _cleanup_free_ char *dir = own_cgroup_of(h->m->container_pid), *path = NULL;
        int fd;

        h->frozen = false;
        path = dir ? format("%s/cgroup.events", dir) : NULL;
        fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
                return;
        h->freezer = (struct source){.fd = fd, .handle = freezer_event, .data = h};
        (void) loop_add(&h->m->loop, &h->freezer, EPOLLPRI);
        freezer_event(&h->freezer, 0);
}

/* --- life --- */

void health_init(struct health *health, struct monitor *m)
{
        *health = (struct health){.m = m, .orders = &m->orders, .freezer.fd = -1};
        check_init(&health->check, m, check_over);
        timer_init(&health->tick, &m->loop, tick, health);
}

/* started: ns, when the container's program did. late: it runs for some time already. */
static void start_checks(struct health *health, int64_t started, bool late)
{
        /* As for podman: a startup check that comes late is for the next run. */
        health->state = (struct health_state){.startup_passed = late};
        health->requested = false;
        health->running = true;
        health->started = started;
        health->origin = now_ns();
        health->period = 0;
        begin_log(health);
        watch_freezer(health);
        tend_health_changed(health->m, health_word(HEALTH_STARTING), 0);
        if (interval(health) > 0)
                tick(health);
}

void health_start(struct health *health)
{
        if (health->orders->regular.process)
                start_checks(health, now_ns(), false);
}

static bool same_text(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_check(const struct check_orders *a, const struct check_orders *b)
{
        return a->interval == b->interval && a->timeout == b->timeout && a->retries == b->retries &&
               a->successes == b->successes;
}

/* Checks were ordered before, and still are. */
static void change_checks(struct health *h, const struct orders *before)
{
        const struct orders *now = h->orders;

        if (!before->startup.process)
                h->state.startup_passed = true;
        if (!same_check(&before->startup, &now->startup))
                h->state.startup_successes = h->state.startup_failures = 0;
        if (!same_text(before->health_log, now->health_log))
                begin_log(h);
        if (interval(h) * NS_OF_MS != h->period) {
                h->origin = now_ns();
                h->period = 0;
                arm(h);
        }
}

void health_reordered(struct health *health, const struct orders *before)
{
        const struct orders *now = health->orders;

        if (!now->regular.process) {
                health_stop(health);
                tend_health_changed(health->m, NULL, 0);
                return;
        }
        if (health->m->record.phase != PHASE_RUNNING || health->m->ended)
                return; /* the next run begins with them */
        if (before->regular.process)
                change_checks(health, before);
        else
                start_checks(health, (int64_t) health->m->run_began * NS_OF_MS, true);
}

void health_stop(struct health *health)
{
        if (!health->running)
                return;
        health->running = false;
        health->requested = false;
        timer_stop(&health->tick);
        loop_del(&health->m->loop, &health->freezer);
        close_p(&health->freezer.fd);
        check_cut(&health->check);
}

void health_request(struct health *health)
{
        if (health->check.running)
                health->requested = true;
        else
                begin(health);
}

void health_done(struct health *health)
{
        timer_done(&health->tick);
        loop_del(&health->m->loop, &health->freezer);
        close_p(&health->freezer.fd);
        check_done(&health->check);
}
