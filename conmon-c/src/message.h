/* Messages of the monitor itself: "[conmon:e]: text" on stderr, and to syslog when asked for. */
#ifndef CONMON_MESSAGE_H
#define CONMON_MESSAGE_H

#include <stdbool.h>

enum msg_level { MSG_ERROR, MSG_WARN, MSG_INFO, MSG_DEBUG, MSG_TRACE };

/* level: a word of --log-level, NULL for the default. cid: container id for syslog's lines. 0 or -EINVAL. */
int msg_setup(const char *level, const char *cid, bool use_syslog);

/* Whether a message of this level goes anywhere; for callers whose text is costly to make. */
bool msg_wanted(enum msg_level level);

void msg_write(enum msg_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define msg_error(...) msg_write(MSG_ERROR, __VA_ARGS__)
#define msg_warn(...) msg_write(MSG_WARN, __VA_ARGS__)
#define msg_info(...) msg_write(MSG_INFO, __VA_ARGS__)
#define msg_debug(...) msg_write(MSG_DEBUG, __VA_ARGS__)

#endif
