/* Which processes are a container's. */
#ifndef PODLIKE_PROCESSES_H
#define PODLIKE_PROCESSES_H

#include "state.h"

/* Calls each(pid, arg) for every process of the container: those of its cgroup; without one, those of its pid namespace
 * if that is its own, else its first process alone. Returns 0 or -errno. */
int processes_each(const struct state *s, enum status status, int (*each)(pid_t pid, void *arg), void *arg);

#endif
