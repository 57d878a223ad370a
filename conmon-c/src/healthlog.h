/* The log of health checks, as podman writes it: {"Status", "FailingStreak", "Log": [{"Start", "End", "ExitCode", "Output"}]},
 * the newest last. Ours has one entry a line. Readers find the old document or the new one, whole. */
#ifndef CONMON_HEALTHLOG_H
#define CONMON_HEALTHLOG_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct health_entry {
        struct timespec start, end;
        int code;
        const char *output; /* any bytes; NULL is empty */
        size_t len;
};

/* What all checks so far came to. */
struct health_summary {
        const char *status;
        unsigned int streak;
};

/* One entry; fresh memory or NULL. What is not UTF-8 becomes U+FFFD. */
char *healthlog_line(const struct health_entry *entry);

/* Add an entry; the newest count (0: all) are kept. 0 or -errno. */
int healthlog_add(const char *path, const struct health_entry *entry, const struct health_summary *summary,
                  int64_t count);

/* Begin anew. */
int healthlog_clear(const char *path, const struct health_summary *summary);

#endif
