/* A log driver under test, and what it has written. */
#ifndef CONMON_LOGFIXTURE_H
#define CONMON_LOGFIXTURE_H

#include "check.h"
#include "log.h"
#include "options.h"

#define STAMP 36 /* "2024-05-01T10:20:30.123456789+02:00 " */

struct fixture {
        struct options opt;
        const struct log_driver *driver;
        void *state;
        char path[200];
};

/* Open `log` in the directory of the test. */
void open_log(struct fixture *f, const struct log_driver *driver);

/* Through a heap block of the exact size, so that the address sanitizer sees every byte too far. */
void put_bytes(struct fixture *f, enum stream_id stream, const char *text, size_t len);

void put(struct fixture *f, enum stream_id stream, const char *text);

/* The part of line n of a file in that directory that starts at byte `from`; "" when there is none (borrowed until the
 * next call). */
const char *line_of(const char *file, int n, size_t from);

/* A name space in which we may put a socket at the journal's path; false where that is not allowed. */
bool private_run(void);

#endif
