/* The log: lines on stderr, in a file, to the journal or to syslog. */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "fail.h"
#include "io.h"
#include "jv.h"
#include "log.h"
#include "util.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SYSLOG_SOCKET "/dev/log"

static const char *const level_names[] = {"error", "warning", "debug"};

int log_parse(struct log *l, const char *to, const char *format, const char *level, spawn_error *e)
{
        static const char *const prefixes[] = {
                [LOG_TO_FILE] = "file:", [LOG_TO_JOURNAL] = "journald:", [LOG_TO_SYSLOG] = "syslog:"};
        const char *colon = to != NULL ? strchr(to, ':') : NULL;

        *l = (struct log){.level = LEVEL_WARNING, .fd = -1, .name = to};
        if (to != NULL && colon == NULL)
                l->target = LOG_TO_FILE;
        for (size_t i = LOG_TO_FILE; colon != NULL && i < ELEMENTSOF(prefixes); i++) {
                size_t len = strlen(prefixes[i]);

                if (strncmp(to, prefixes[i], len) == 0) {
                        l->target = (enum log_target) i;
                        l->name = to + len;
                }
        }
        if (to != NULL && (l->target == LOG_TO_STDERR || l->name[0] == '\0'))
                return fail_text(e, "usage", "unknown log destination `%s`: [file:]PATH, journald:NAME or syslog:NAME",
                                 to);
        if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
                return fail_text(e, "usage", "unknown log format `%s`: text or json", format);
        l->json = format != NULL && strcmp(format, "json") == 0;
        l->file_level = l->json ? LEVEL_ERROR : l->level;
        if (level == NULL)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(level_names); i++) {
                if (strcmp(level, level_names[i]) == 0) {
                        l->level = l->file_level = (enum log_level) i;
                        return 0;
                }
        }
        return fail_text(e, "usage", "unknown log level `%s`: error, warning or debug", level);
}

static int connect_log(const char *path, spawn_error *e)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0)
                return fail_errno(e, "log", "connect to the log `%s`", path);
        return steal_fd(&fd);
}

int log_open(struct log *l, spawn_error *e)
{
        if (l->fd >= 0)
                return 0;
        switch (l->target) {
        case LOG_TO_FILE:
                l->fd = open(l->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
                return l->fd < 0 ? fail_errno(e, "log", "open log file `%s`", l->name) : 0;
        case LOG_TO_JOURNAL:
                l->fd = connect_log(JOURNAL_SOCKET, e);
                break;
        case LOG_TO_SYSLOG:
                l->fd = connect_log(SYSLOG_SOCKET, e);
                break;
        case LOG_TO_STDERR:
                /* A copy: the container's process gets a terminal or the caller's stderr as its own. */
                l->fd = l->level >= LEVEL_DEBUG ? fcntl(2, F_DUPFD_CLOEXEC, 3) : -1;
                return 0;
        }
        return l->fd < 0 ? l->fd : 0;
}

/* {"msg": ..., "level": ..., "time": ...}, the form that podman, containerd and our monitor read. */
static int format_json(char *buf, size_t size, enum log_level level, const char *stamp, const char *text)
{
        _cleanup_json_ struct json_object *msg = json_object_new_string(text);

        return snprintf(buf, size, "{\"msg\":%s,\"level\":\"%s\",\"time\":\"%s\"}\n",
                        json_object_to_json_string_ext(msg, JSON_C_TO_STRING_NOSLASHESCAPE), level_names[level], stamp);
}

static void write_lines(const struct log *l, int fd, bool stamped, enum log_level level, const char *text)
{
        char stamp[40], line[4096];
        struct timespec now;
        struct tm tm;
        size_t len;
        int n;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        (void) gmtime_r(&now.tv_sec, &tm);
        len = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        (void) snprintf(stamp + len, sizeof(stamp) - len, ".%09ldZ", now.tv_nsec);
        if (l != NULL && l->json && (stamped || l->target == LOG_TO_STDERR))
                n = format_json(line, sizeof(line), level, stamp, text);
        else
                n = snprintf(line, sizeof(line), "%s%s%s%s%s\n", stamped ? stamp : "", stamped ? ": " : "",
                             level == LEVEL_ERROR ? "" : level_names[level], level == LEVEL_ERROR ? "" : ": ", text);
        if (n > 0)
                (void) write_all(fd, line, (size_t) n < sizeof(line) ? (size_t) n : sizeof(line) - 1);
}

/* syslog(3) has LOG_ERR 3, LOG_WARNING 4, LOG_DEBUG 7; facility "user" is 1. */
static int priority(enum log_level level)
{
        return level == LEVEL_ERROR ? 3 : level == LEVEL_WARNING ? 4 : 7;
}

/* systemd's "Native Journal Protocol"; a value that may hold newlines is given with its length. */
static void write_journal(const struct log *l, enum log_level level, const char *text)
{
        uint64_t len = strlen(text);
        char head[512], size[8];
        struct iovec v[4] = {{.iov_base = head},
                             {.iov_base = size, .iov_len = sizeof(size)},
                             {.iov_base = (void *) (uintptr_t) text, .iov_len = len},
                             {.iov_base = "\n", .iov_len = 1}};

        for (int i = 0; i < 8; i++)
                size[i] = (char) (len >> (8 * i));
        v[0].iov_len =
                (size_t) snprintf(head, sizeof(head), "SYSLOG_IDENTIFIER=%.200s\nPRIORITY=%d\nID=%.200s\nMESSAGE\n",
                                  l->name, priority(level), l->name);
        (void) !writev(l->fd, v, 4);
}

/* RFC 3164, as syslog(3) of the C library writes it. */
static void write_syslog(const struct log *l, enum log_level level, const char *text)
{
        char line[2048], stamp[40];
        time_t now = time(NULL);
        struct tm tm;

        (void) localtime_r(&now, &tm);
        (void) strftime(stamp, sizeof(stamp), "%h %e %T", &tm);
        int n = snprintf(line, sizeof(line), "<%d>%s %.200s[%d]: %s", (1 << 3) | priority(level), stamp, l->name,
                         (int) getpid(), text);
        (void) send(l->fd, line, (size_t) n < sizeof(line) ? (size_t) n : sizeof(line) - 1, MSG_NOSIGNAL);
}

void log_write(const struct log *l, enum log_level level, const char *fmt, ...)
{
        char text[1024];
        va_list ap;

        if (l != NULL && level > l->level)
                return;
        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (level <= LEVEL_WARNING)
                write_lines(l, 2, false, level, text);
        if (l == NULL || l->fd < 0)
                return;
        switch (l->target) {
        case LOG_TO_FILE:
                if (level <= l->file_level)
                        write_lines(l, l->fd, true, level, text);
                break;
        case LOG_TO_JOURNAL:
                write_journal(l, level, text);
                break;
        case LOG_TO_SYSLOG:
                write_syslog(l, level, text);
                break;
        case LOG_TO_STDERR:
                if (level > LEVEL_WARNING)
                        write_lines(l, l->fd, false, level, text);
                break;
        }
}
