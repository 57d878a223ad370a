/* OCI hooks. */
#ifndef PODLIKE_HOOKS_H
#define PODLIKE_HOOKS_H

#include "config.h"
#include "log.h"

/* Open the files that hooks write to; to be called where the host's paths are in sight. Nothing to do: 0. */
int hooks_open(struct oci_hooks *h, spawn_error *e);
void hooks_close(struct oci_hooks *h);

/* Run the hooks of one kind in order, each with the state as JSON on its stdin. The first that fails ends it and gives
 * -errno; poststop hooks all run, and what fails is told as a warning. */
int hooks_run(const struct oci_hooks *h, int kind, const char *state_json, const struct log *log, spawn_error *e);

#endif
