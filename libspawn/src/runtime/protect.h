#ifndef PODLIKE_PROTECT_H
#define PODLIKE_PROTECT_H

#include "libspawn.h"

/* Make sure that a container cannot write to this program's file. Returns 0 when that holds; otherwise runs the
 * program again (argv, same environment) where it does, and returns only on failure. */
int protect_self(char **argv, spawn_error *e);

#endif
