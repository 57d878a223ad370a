/* What podlike-spawn tells of its work: --log, --log-format, --log-level. */
#ifndef PODLIKE_LOG_H
#define PODLIKE_LOG_H

#include <stdbool.h>

#include "libspawn.h"

enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_DEBUG };
enum log_target { LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_JOURNAL, LOG_TO_SYSLOG };

struct log {
        enum log_level level;
        enum log_level file_level; /* of LOG_TO_FILE */
        enum log_target target;
        bool json;
        const char *name; /* path, or what the journal and syslog call us */
        int fd; /* -1: not open */
};

/* to: "[file:]PATH", "journald:NAME", "syslog:NAME"; NULL: stderr. format: text or json. level: error, warning, debug.
 * NULL: the first of them, warning; but a JSON file then gets errors only: podman and conmon read it as one object. */
int log_parse(struct log *l, const char *to, const char *format, const char *level, spawn_error *e);
/* Open the target: from then on the log can be written to from any root and mount namespace. */
int log_open(struct log *l, spawn_error *e);
/* Warnings and errors go to stderr too. Failure to write is not told: there is nobody left to tell. l may be NULL. */
void log_write(const struct log *l, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The arguments are not evaluated when nobody wants to know. */
#define log_debug(l, ...)                                                                                              \
        do {                                                                                                           \
                if ((l) != NULL && (l)->level >= LEVEL_DEBUG)                                                          \
                        log_write((l), LEVEL_DEBUG, __VA_ARGS__);                                                      \
        } while (0)
#define log_warning(l, ...) log_write((l), LEVEL_WARNING, __VA_ARGS__)

#endif
