/* What the monitor knows of its container, for everybody to read: a text file, replaced at each change.
 *
 * docs/ARCHITECTURE.md, "Tended containers", has its lines.
 */
#ifndef CONMON_STATEFILE_H
#define CONMON_STATEFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum phase { PHASE_CREATING, PHASE_CREATED, PHASE_RUNNING, PHASE_WAITING, PHASE_ENDED };

enum cause {
        CAUSE_NONE, /* it has not ended yet */
        CAUSE_EXIT,
        CAUSE_SIGNAL,
        CAUSE_OOM,
        CAUSE_SECCOMP,
        CAUSE_HEALTH,
        CAUSE_TIMEOUT,
        CAUSE_UNKNOWN, /* it was not our child */
};

struct record {
        enum phase phase;
        pid_t pid;
        unsigned int restarts;
        struct timespec started, finished; /* of the wall clock; {0}: never */
        int exit_code; /* of the last run */
        enum cause cause;
        int signal;
        bool oom_killed;
        const char *oom_limit; /* memory.max, bytes or "max" */
        const char *error; /* why the last restart failed; NULL: it did not */
        const char *health; /* NULL: no check is ordered */
        unsigned int streak;
};

/* The text of a record; fresh memory or NULL. */
char *statefile_text(const struct record *record);

/* Write it to path, which may be NULL. A failure is a warning. */
void statefile_write(const struct record *record, const char *path);

/* Field 22 of /proc/PID/stat: clock ticks since boot when it started; 0 when there is no such process. */
uint64_t process_start_time(pid_t pid);

#endif
