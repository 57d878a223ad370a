/* A log in a file: bounded in size, rotated or started anew. What an entry looks like is the driver's business. */
#ifndef CONMON_LOGFILE_H
#define CONMON_LOGFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "options.h"

/* Entries are gathered and written together; no entry may be longer. */
#define LOGFILE_BUFFER 65536

struct logfile {
        char *path;
        const struct options *opt;
        int fd;
        int64_t size; /* of the file, buffered entries included */
        int64_t total; /* written since the start, for --log-global-size-max */
        char *buf; /* LOGFILE_BUFFER bytes, made for the first entry, dropped when idle */
        size_t len; /* of the entries in buf */
        bool failing; /* the last write failed: said once */
};

int logfile_open(struct logfile *file, const char *path, const struct options *opt);

/* Room for an entry of at most max bytes; NULL when it must not or cannot be logged. */
char *logfile_reserve(struct logfile *file, size_t max);

/* The entry that logfile_reserve made room for is complete and len bytes long. */
void logfile_commit(struct logfile *file, size_t len);

/* Write what has been committed. */
void logfile_flush(struct logfile *file);

/* Start a new file now: rotated or in place of the old one, as the options say. */
void logfile_renew(struct logfile *file);

/* Give back the memory that entries are gathered in. */
void logfile_trim(struct logfile *file);

int logfile_sync(struct logfile *file);
void logfile_close(struct logfile *file);

#endif
