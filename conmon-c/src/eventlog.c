#include "eventlog.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "eventfile.h"
#include "message.h"
#include "scratch.h"
#include "util.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define PLAN_MAX (4 << 20)
#define EXTRA 4096 /* what an event adds to the constant parts */

/* What BUNDLE/events says. The texts are in it. */
struct plan {
        struct event_file file;
        const char *head, *tail; /* JSON members before and behind what changes */
        bool journal;
        const char *id, *words; /* for the journal's line for people */
        const char *health; /* none, status, log */
        char *fields; /* "field NAME=VALUE" lines */
};

/* --- text --- */

struct text {
        char *p, *end;
        bool full;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *fmt, ...)
{
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(t->p, (size_t) (t->end - t->p), fmt, ap);
        va_end(ap);
        if (n < 0 || n >= t->end - t->p)
                t->full = true;
        else
                t->p += n;
}

/* A JSON document as a JSON string: it has no control characters. */
static void add_quoted(struct text *t, const char *s)
{
        add(t, "\"");
        for (; *s; s++)
                if (*s != '\n')
                        add(t, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
        add(t, "\"");
}

static void write_zone(char *buf, size_t size, const struct tm *tm, bool colon)
{
        long minutes = labs(tm->tm_gmtoff) / 60;

        (void) snprintf(buf, size, "%c%02ld%s%02ld", tm->tm_gmtoff < 0 ? '-' : '+', minutes / 60, colon ? ":" : "",
                        minutes % 60);
}

void event_time(char *buf, size_t size, const struct timespec *t)
{
        char date[32], zone[24];
        struct tm tm;

        (void) localtime_r(&t->tv_sec, &tm);
        (void) strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        write_zone(zone, sizeof(zone), &tm, true);
        (void) snprintf(buf, size, "%s.%09ld%s", date, t->tv_nsec, tm.tm_gmtoff ? zone : "Z");
}

/* As Go prints a time. */
static void people_time(char *buf, size_t size, const struct timespec *t)
{
        char date[32], zone[24];
        struct tm tm;

        (void) localtime_r(&t->tv_sec, &tm);
        (void) strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        write_zone(zone, sizeof(zone), &tm, false);
        (void) snprintf(buf, size, "%s.%09ld %s %s", date, t->tv_nsec, zone, tm.tm_zone);
}

/* --- to a file --- */

static int to_file(const struct plan *plan, const struct event *e, const struct timespec *now, struct text *t)
{
        const char *begin = t->p;
        char when[EVENT_TIME_MAX];

        event_time(when, sizeof(when), now);
        add(t, "{");
        if (e->has_code)
                add(t, "\"ContainerExitCode\":%d,", e->code);
        add(t, "%s,\"Status\":\"%s\",\"Time\":\"%s\",\"Type\":\"container\",", plan->head, e->status, when);
        if (e->health)
                add(t, "\"health_status\":\"%s\",", e->health);
        if (e->health_log) {
                add(t, "\"health_log\":");
                add_quoted(t, e->health_log);
                add(t, ",");
        }
        if (e->streak > 0)
                add(t, "\"health_failing_streak\":%u,", e->streak);
        add(t, "%s}\n", plan->tail);
        return t->full ? -EMSGSIZE : eventfile_append(&plan->file, begin, (size_t) (t->p - begin));
}

/* --- to the journal; systemd's "Native Journal Protocol" --- */

static int send_entry(const char *text, size_t len)
{
        struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
        /* A journal that hangs must not hang the container. */
        const struct timeval patience = {.tv_sec = 1};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        return sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *) &to, sizeof(to)) < 0 ? -errno : 0;
}

static int to_journal(const struct plan *plan, const struct event *e, const struct timespec *now, struct text *t)
{
        const char *begin = t->p;
        char when[EVENT_TIME_MAX], people[EVENT_TIME_MAX];
        bool ours = strcmp(e->status, "oom") == 0; /* podman's reader complains of what podman has not */

        event_time(when, sizeof(when), now);
        people_time(people, sizeof(people), now);
        add(t, "MESSAGE=%s container %s %s (%s", people, e->status, plan->id, plan->words);
        if (e->health)
                add(t, ", health_status=%s, health_failing_streak=%u, health_log=%s", e->health, e->streak,
                    e->health_log ? e->health_log : "");
        add(t, ")\nPRIORITY=%c\nSYSLOG_IDENTIFIER=%s\nPODMAN_EVENT=%s\nPODMAN_TIME=%s\n", e->health ? '5' : '6',
            ours ? "podlike" : "podman", e->status, when);
        if (e->has_code)
                add(t, "PODMAN_EXIT_CODE=%d\n", e->code);
        if (e->health)
                add(t, "PODMAN_HEALTH_STATUS=%s\nPODMAN_HEALTH_FAILING_STREAK=%u\n", e->health, e->streak);
        if (e->health_log)
                add(t, "PODMAN_HEALTH_LOG=%s\n", e->health_log);
        for (char *line = plan->fields, *next; line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (strncmp(line, "field ", 6) == 0)
                        add(t, "%s\n", line + 6);
        }
        return t->full ? -EMSGSIZE : send_entry(begin, (size_t) (t->p - begin));
}

/* --- the plan --- */

/* One line is "KEY VALUE"; the fields, which have a key each of the same name, are the last. */
static void read_plan(struct plan *plan, char *text)
{
        const struct {
                const char *key;
                const char **value;
        } rows[] = {{"file", &plan->file.path}, {"name", &plan->file.name}, {"head", &plan->head},
                    {"tail", &plan->tail},      {"id", &plan->id},          {"words", &plan->words},
                    {"health", &plan->health}};

        for (char *line = text, *next; line && *line; line = next) {
                char *value;

                if (strncmp(line, "field ", 6) == 0) {
                        plan->fields = line;
                        return;
                }
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                value = strchr(line, ' ');
                if (!value)
                        continue;
                *value++ = '\0';
                if (strcmp(line, "max-size") == 0)
                        plan->file.max_size = strtoll(value, NULL, 10);
                else if (strcmp(line, "journal") == 0)
                        plan->journal = true;
                for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                        if (strcmp(rows[i].key, line) == 0)
                                *rows[i].value = value;
        }
}

static bool is_complete(const struct plan *plan)
{
        if (plan->journal)
                return plan->id && plan->words;
        return plan->file.path && plan->file.name && plan->head && plan->tail && plan->file.max_size >= 0;
}

/* Fill the buffer with the plan's text; the length, 0 when there is none, or -errno. */
static ssize_t load(const char *path, struct scratch *scratch, size_t extra)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        struct stat st;
        char *map;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        if (st.st_size > PLAN_MAX)
                return -EFBIG;
        map = scratch_get(scratch, 2 * (size_t) st.st_size + extra);
        n = map ? pread(fd, map, (size_t) st.st_size, 0) : -1;
        if (n < 0)
                return map ? -errno : -ENOMEM;
        map[n] = '\0';
        return n;
}

void eventlog_tell(const struct options *opt, const struct event *event)
{
        _cleanup_free_ char *path = opt->bundle ? format("%s/events", opt->bundle) : NULL;
        size_t log = event->health_log ? 3 * strlen(event->health_log) : 0;
        struct scratch scratch = {0};
        struct event e = *event;
        struct plan plan = {0};
        struct timespec now;
        ssize_t n = path ? load(path, &scratch, EXTRA + log) : 0;
        int r = n < 0 ? (int) n : 0;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        if (n > 0) {
                struct text t = {.p = scratch.map + n + 1, .end = scratch.map + scratch.size};

                read_plan(&plan, scratch.map);
                if (!plan.health || strcmp(plan.health, "log") != 0)
                        e.health_log = NULL;
                if (!is_complete(&plan))
                        r = -EBADMSG;
                else if (!e.health || !plan.health || strcmp(plan.health, "none") != 0)
                        r = plan.journal ? to_journal(&plan, &e, &now, &t) : to_file(&plan, &e, &now, &t);
        }
        scratch_free(&scratch);
        if (r < 0)
                msg_warn("Failed to write the event %s: %s", event->status, strerror(-r));
}
