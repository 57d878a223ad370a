/* Capabilities by name and number (capabilities(7)). */
#ifndef PODLIKE_CAPS_H
#define PODLIKE_CAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libspawn.h"

/* "CAP_CHOWN", any case, prefix optional. Returns the number or -EINVAL. */
int cap_from_name(const char *name);
/* NULL for numbers without a name. */
const char *cap_name(int cap);

/* Highest capability that this kernel knows. */
int caps_last(void);

/* Drop from the bounding set all that is not in keep. Does nothing for capabilities that the kernel lacks. */
int caps_bound(uint64_t keep, int last, spawn_error *e);
/* Whether this process has any, or could raise any. */
bool caps_any(void);
/* Effective and permitted: everything that the process may have; for work between setresuid(2) and caps_apply(). */
int caps_raise_all(spawn_error *e);
/* The four sets that execve(2) reads. */
int caps_apply(uint64_t effective, uint64_t permitted, uint64_t inheritable, uint64_t ambient, spawn_error *e);

#endif
