/* A test runs in a process of its own with an alarm, and must end with as many open descriptors as it began with.
 *
 *   TEST(name) { CHECK(1 + 1 == 2); }
 *
 * `test-runtime NAME` runs one without forking, for a debugger.
 */
#ifndef PODLIKE_TESTS_HARNESS_H
#define PODLIKE_TESTS_HARNESS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
        const char *name;
        void (*run)(void);
} __attribute__((aligned(16)));

#define TEST(n)                                                                                                        \
        static void test_##n(void);                                                                                    \
        static const struct test test_entry_##n __attribute__((used, section("podlike_tests"))) = {#n, test_##n};      \
        static void test_##n(void)

#define CHECK(cond)                                                                                                    \
        do {                                                                                                           \
                if (!(cond)) {                                                                                         \
                        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                             \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

#define CHECK_STR(a, b)                                                                                                \
        do {                                                                                                           \
                const char *a_ = (a), *b_ = (b);                                                                       \
                if (a_ == NULL || strcmp(a_, b_) != 0) {                                                               \
                        fprintf(stderr, "%s:%d: \"%s\" is not \"%s\"\n", __FILE__, __LINE__, a_ ? a_ : "(null)", b_);  \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

/* The test cannot run here; with PODLIKE_MUST_WORK=1 that is a failure. Does not return. */
_Noreturn void skip(const char *why);

/* A new empty directory, removed after the test; path in static memory. */
const char *scratch_dir(void);

#endif
