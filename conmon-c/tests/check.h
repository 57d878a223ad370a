/* A test per process, as many open fds after as before, an alarm. */
#ifndef CONMON_CHECK_H
#define CONMON_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
        const char *name;
        void (*run)(void);
};

/* A row of a table of tests. */
/* clang-format off */
#define T(f) {#f, f}
/* clang-format on */

int run_tests(const struct test *tests, size_t n, const char *only);

/* An empty directory of this test; removed with what is in it. */
const char *test_dir(void);

/* The content of DIR/name, or of an absolute name (borrowed until the next call), "" when there is no such file. */
const char *test_read(const char *name);

#define CHECK(condition)                                                                     \
        do {                                                                                 \
                if (!(condition)) {                                                          \
                        fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
                        exit(1);                                                             \
                }                                                                            \
        } while (0)

#define CHECK_STR(have, want)                                                                             \
        do {                                                                                              \
                const char *have_ = (have), *want_ = (want);                                              \
                if (!have_ || strcmp(have_, want_) != 0) {                                                \
                        fprintf(stderr, "%s:%d: have \"%s\", want \"%s\"\n", __FILE__, __LINE__, have_, want_); \
                        exit(1);                                                                          \
                }                                                                                         \
        } while (0)

#define CHECK_INT(have, want)                                                                             \
        do {                                                                                              \
                long long have_ = (have), want_ = (want);                                                 \
                if (have_ != want_) {                                                                     \
                        fprintf(stderr, "%s:%d: have %lld, want %lld\n", __FILE__, __LINE__, have_, want_); \
                        exit(1);                                                                          \
                }                                                                                         \
        } while (0)

#endif
