/* Words for errors of the runtime: crun's shape, "what `object`: strerror". */
#ifndef PODLIKE_FAIL_H
#define PODLIKE_FAIL_H

#include "libspawn.h"

/* "WORDS: strerror(code)"; returns -code. */
int fail_code(spawn_error *e, int code, const char *stage, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same with errno. */
#define fail_errno(e, stage, ...) fail_code((e), errno, (stage), __VA_ARGS__)

/* The words say all; returns -EINVAL. */
#define fail_text(e, stage, ...) spawn_err((e), EINVAL, (stage), __VA_ARGS__)

/* Put words before the text that is there: "WORDS: text". Returns ret. */
int fail_wrap(spawn_error *e, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
