/* The log of health checks: one JSON object a line, {"Start", "End", "ExitCode", "Output"}, the newest last. */
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

/* The line with its newline; fresh memory or NULL. What is not UTF-8 becomes U+FFFD. */
char *healthlog_line(const struct health_entry *entry);

/* Append a line; once there are twice as many as count (0: no limit), the newest count are kept. 0 or -errno. */
int healthlog_add(const char *path, const struct health_entry *entry, int64_t count);

/* Begin anew. */
int healthlog_clear(const char *path);

#endif
