/* Where the container's output is kept. A driver per kind of log; several logs may be open at once. */
#ifndef CONMON_LOG_H
#define CONMON_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

/* The bytes that mark a stream on the attach socket as well. */
enum stream_id { STREAM_STDOUT = 2, STREAM_STDERR = 3 };

/* A piece of one line in a log is never longer: readers and the journal rely on bounded entries. */
#define LOG_PIECE_MAX 8192

struct log_driver {
        const char *name;
        int (*open)(void **ret_state, const char *path, const struct options *opt); /* says itself what is wrong */
        void (*write)(void *state, enum stream_id stream, char *buf, size_t len);
        void (*flush)(void *state); /* no more output will come */
        void (*reopen)(void *state); /* NULL: nothing to reopen */
        void (*trim)(void *state); /* no output for a while: give memory back; NULL: nothing to give */
        int (*sync)(void *state); /* NULL: nothing to sync */
        void (*close)(void *state);
};

extern const struct log_driver log_driver_k8s;
extern const struct log_driver log_driver_json;
extern const struct log_driver log_driver_journald;

struct log_sink {
        const struct log_driver *driver;
        void *state;
        struct log_sink *next;
};

struct log {
        struct log_sink *sinks;
        bool passthrough; /* the container has the monitor's own stdio: nothing is relayed */
};

/* Open every --log-path; 0, or -errno after a message. */
int log_open(struct log *log, const struct options *opt);
void log_write(struct log *log, enum stream_id stream, char *buf, size_t len);
void log_flush(struct log *log);
void log_reopen(struct log *log);
void log_trim(struct log *log);
void log_sync(struct log *log);
void log_close(struct log *log);

/* Split one --log-path into driver and path (either may be empty); the sentence that refuses it, or NULL.
 * ret_driver: NULL for the drivers that keep nothing. */
enum log_kind { LOG_NOTHING, LOG_PASSTHROUGH, LOG_DRIVER };
int log_parse_spec(const char *spec, enum log_kind *ret_kind, const struct log_driver **ret_driver,
                   const char **ret_path);

#endif
