/* events: statistics and out-of-memory events as lines of JSON, as runc prints them. */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <time.h>

#include "cgroup.h"
#include "cmd.h"
#include "fail.h"
#include "util.h"

static int print_event(const char *type, const char *id, struct json_object *data, spawn_error *e)
{
        _cleanup_json_ struct json_object *o = json_object_new_object();

        json_object_object_add(o, "type", json_object_new_string(type));
        json_object_object_add(o, "id", json_object_new_string(id));
        if (data != NULL)
                json_object_object_add(o, "data", data);
        (void) puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        return fflush(stdout) == 0 ? 0 : fail_errno(e, "events", "write to stdout");
}

/* A duration as Go has it ("5s", "1m30s", "500ms"), in milliseconds; a bare number is seconds. */
static int parse_interval(const char *text, int *ret, spawn_error *e)
{
        static const struct {
                const char *unit;
                double ms;
        } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
        const char *p = text;
        double sum = 0;

        while (isdigit((unsigned char) *p) || *p == '.') {
                char *end;
                double n = strtod(p, &end);
                size_t len = strspn(end, "msh"), k = 0;

                while (k < ELEMENTSOF(units) && (strlen(units[k].unit) != len || strncmp(units[k].unit, end, len) != 0))
                        k++;
                if (k == ELEMENTSOF(units) && (len > 0 || p != text))
                        break;
                sum += n * (k == ELEMENTSOF(units) ? 1000 : units[k].ms);
                p = end + len;
        }
        if (*p != '\0' || p == text || sum < 1 || sum > 86400000.0)
                return fail_text(e, "usage", "option --interval needs a duration such as 5s, not `%s`", text);
        *ret = (int) sum;
        return 0;
}

struct watch {
        const char *id, *path;
        int cgroup_fd, inotify_fd, pid_fd, timer_ms;
        int64_t oom_kills;
};

static int report_oom(struct watch *w, spawn_error *e)
{
        int64_t now = cgroup_read_key(w->cgroup_fd, "memory.events", "oom_kill");
        int r = 0;

        for (; r == 0 && w->oom_kills >= 0 && w->oom_kills < now; w->oom_kills++)
                r = print_event("oom", w->id, NULL, e);
        w->oom_kills = now;
        return r;
}

static int64_t now_ms(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until the container ends. */
static int follow(struct watch *w, spawn_error *e)
{
        int64_t next = now_ms() + w->timer_ms;

        for (;;) {
                struct pollfd p[2] = {{.fd = w->pid_fd, .events = POLLIN}, {.fd = w->inotify_fd, .events = POLLIN}};
                char events[4096];
                int64_t left = next - now_ms();
                int r;

                if (poll(p, 2, left < 0 ? 0 : (int) left) < 0 && errno != EINTR)
                        return fail_errno(e, "events", "poll");
                if (p[1].revents != 0)
                        (void) !read(w->inotify_fd, events, sizeof(events));
                /* Before the end is looked at: its last event may be why it has ended. */
                r = report_oom(w, e);
                if (r < 0 || p[0].revents != 0)
                        return r;
                if (now_ms() < next)
                        continue;
                next += w->timer_ms;
                r = print_event("stats", w->id, cgroup_stats(w->path), e);
                if (r < 0)
                        return r;
        }
}

static int watch(const struct state *s, int interval, spawn_error *e)
{
        char file[PATH_MAX + 16];
        struct watch w = {.id = s->id, .path = s->cgroup, .timer_ms = interval};

        _cleanup_close_ int pidfd = state_pidfd(s);
        _cleanup_close_ int fd = open(s->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (pidfd < 0 || fd < 0)
                return spawn_err(e, ESRCH, "events", "the container `%s` is not running", s->id);
        _cleanup_close_ int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (notify < 0)
                return fail_errno(e, "events", "inotify");
        /* Without the memory controller there is no such file and no such event. */
        (void) snprintf(file, sizeof(file), "%s/memory.events", s->cgroup);
        if (inotify_add_watch(notify, file, IN_MODIFY) < 0 && errno != ENOENT)
                return fail_errno(e, "events", "watch `%s`", file);
        w.pid_fd = pidfd;
        w.cgroup_fd = fd;
        w.inotify_fd = notify;
        /* What was before is told too: whoever asks may have come too late. */
        w.oom_kills = cgroup_read_key(fd, "memory.events", "oom_kill") > 0
                              ? 0
                              : cgroup_read_key(fd, "memory.events", "oom_kill");
        return follow(&w, e);
}

CMD(cmd_events)
{
        const char *every = "5s";
        bool once = false;
        const struct option_def table[] = {
                {"stats", 0, OPT_FLAG, &once, "print the statistics once"},
                {"interval", 0, OPT_STRING, &every, "time between statistics (5s)"},
                {NULL},
        };
        struct state s = {0};
        int n, ms = 0, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if ((r = parse_interval(every, &ms, e)) < 0)
                return r;
        _cleanup_close_ int dir = state_load(rt, argv[1], &s, e);
        if (dir < 0)
                r = dir;
        else if (state_status(dir, &s) == STATUS_STOPPED)
                r = spawn_err(e, ESRCH, "events", "the container `%s` is not running", argv[1]);
        else if (s.cgroup == NULL)
                r = fail_text(e, "events", "container `%s` has no cgroup of its own, so there are no statistics",
                              argv[1]);
        else
                r = once ? print_event("stats", s.id, cgroup_stats(s.cgroup), e) : watch(&s, ms, e);
        state_free(&s);
        return r;
}
