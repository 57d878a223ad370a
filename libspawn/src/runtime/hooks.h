/* OCI hooks. */
#ifndef PODLIKE_HOOKS_H
#define PODLIKE_HOOKS_H

#include "config.h"

/* Run the hooks of one kind in order, each with the state as JSON on its stdin. The first that fails ends it
 * (not for poststart and poststop) and gives -errno. cwd: where they run; NULL: here. */
int hooks_run(const struct oci_hooks *h, int kind, const char *state_json, const char *cwd, spawn_error *e);

#endif
