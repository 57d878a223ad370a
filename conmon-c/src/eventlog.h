/* Events that happen while no command of the engine runs, written where the engine says: BUNDLE/events.
 *
 * docs/ARCHITECTURE.md, "Events", has that file's lines. Without it nothing is written.
 */
#ifndef CONMON_EVENTLOG_H
#define CONMON_EVENTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "options.h"

struct event {
        const char *status; /* podman's word: died, restart, health_status ... */
        bool has_code;
        int code;
        const char *health; /* with health_status; NULL otherwise */
        unsigned int streak;
        const char *health_log; /* the check as a JSON object */
};

/* Write it; a failure is a warning. */
void eventlog_tell(const struct options *opt, const struct event *event);

#define EVENT_TIME_MAX 64

/* RFC 3339 with nanoseconds. */
void event_time(char *buf, size_t size, const struct timespec *t);

#endif
