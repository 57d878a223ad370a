/* A log in a file: bounded in size, rotated or started anew. What an entry looks like is the driver's business. */
#ifndef CONMON_LOGFILE_H
#define CONMON_LOGFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "log-trouble.h"
#include "options.h"

/* Entries are gathered and written together; no entry may be longer. */
#define LOGFILE_BUFFER (128 * 1024)

/* Make an entry of at most LOGFILE_NOTICE bytes out of a sentence of the monitor's own, which has at most a quarter of that.
 * Its length. */
#define LOGFILE_NOTICE 1024
typedef size_t (*notice_maker)(void *driver, char *entry, const char *text);

struct logfile {
        char *path;
        const struct options *opt;
        notice_maker make_notice;
        void *driver; /* for make_notice */
        int fd;
        int64_t size; /* of the file, buffered entries included */
        int64_t total; /* written since the start, for --log-global-size-max */
        char *buf; /* LOGFILE_BUFFER bytes, made for the first entry, dropped when idle */
        size_t len; /* of the entries in buf */
        bool torn; /* half an entry stands at the file's end: a newline has to come first */
        bool refused; /* it may not be rotated: said once */
        bool stuck; /* it has to be rotated, and cannot just now: nothing may be added */
        struct log_trouble trouble;
};

int logfile_open(struct logfile *file, const char *path, const struct options *opt, notice_maker make_notice,
                 void *driver);

/* Room for an entry of at most max bytes; NULL when it must not or cannot be logged. */
char *logfile_reserve(struct logfile *file, size_t max);

/* The entry that logfile_reserve made room for is complete and len bytes long. */
void logfile_commit(struct logfile *file, size_t len);

/* Write what has been committed. What the disk has no room for is dropped and counted; as soon as there is room again an
 * entry tells of it. */
void logfile_flush(struct logfile *file);

/* Start a new file now: rotated or in place of the old one, as the options say. */
void logfile_renew(struct logfile *file);

/* Give back the memory that entries are gathered in. */
void logfile_trim(struct logfile *file);

int logfile_sync(struct logfile *file);
void logfile_close(struct logfile *file);

#endif
