/* One short call of the OCI runtime (start, delete) while the loop goes on. */
#ifndef CONMON_CALL_H
#define CONMON_CALL_H

#include <stddef.h>

struct monitor;

/* Run `RUNTIME words... CID` to its end; words ends with NULL. Turns the loop meanwhile, so it must not be called
 * from a handler. The exit code, or -errno; what it wrote to stderr, as far as it fits, goes to said. */
int call_runtime(struct monitor *m, const char *const *words, char *said, size_t size);

#endif
