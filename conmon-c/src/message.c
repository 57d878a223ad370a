#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "util.h"

/* The only globals of the monitor: where its words go is a property of the process. */
static enum msg_level max_level = MSG_WARN;
static bool to_syslog;
static char short_cid[21];

int msg_setup(const char *level, const char *cid, bool use_syslog)
{
        static const struct {
                const char *word;
                enum msg_level level;
        } levels[] = {
                {"error", MSG_ERROR},  {"fatal", MSG_ERROR}, {"panic", MSG_ERROR}, {"warn", MSG_WARN},
                {"warning", MSG_WARN}, {"info", MSG_INFO},   {"debug", MSG_DEBUG}, {"trace", MSG_TRACE},
        };

        (void) snprintf(short_cid, sizeof(short_cid), "%s", cid ? cid : "");
        to_syslog = use_syslog;
        if (use_syslog)
                openlog("conmon", LOG_PID, LOG_DAEMON);
        if (!level)
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(levels); i++)
                if (strcasecmp(level, levels[i].word) == 0) {
                        max_level = levels[i].level;
                        return 0;
                }
        return -EINVAL;
}

bool msg_wanted(enum msg_level level)
{
        return level <= max_level;
}

void msg_write(enum msg_level level, const char *fmt, ...)
{
        static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};
        char text[1024], line[1056];
        va_list ap;
        int n;

        if (level > max_level)
                return;
        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);

        /* One write(2) a message: several monitors may share a stderr. */
        n = snprintf(line, sizeof(line), "[conmon:%c]: %s\n", "ewidd"[level], text);
        (void) write_all(STDERR_FILENO, line, (size_t) n);
        if (to_syslog)
                syslog(priority[level], "conmon %s <%s>: %s", short_cid,
                       (const char *[]){"error", "nwarn", "ninfo", "ndebug", "ntrace"}[level], text);
}
