/* Creating a container: the parts of container.c that prepare it and fork it. */
#ifndef PODLIKE_CREATION_H
#define PODLIKE_CREATION_H

#include "cgroup.h"
#include "container.h"
#include "ns.h"
#include "plan.h"
#include "seccomp-filter.h"

/* One creation, with all that must be undone if it fails. */
struct creation {
        const struct runtime *rt;
        const struct create_options *o;
        struct config config;
        struct plan plan;
        struct ns_set ns;
        struct seccomp_filter seccomp;
        struct cgroup cgroup;
        struct state state;
        char bundle[PATH_MAX], created[40], owner[64];
        struct json_object *streams;
        int dir_fd, listen_fd, console_fd, root_tree, devices_fd, sync[2];
        pid_t middle, pid;
};

/* create-prepare.c: everything that can be prepared, and can fail, before there is a second process. */
int creation_prepare(struct creation *c, spawn_error *e);
/* create-fork.c: the container's process, and the one in between where its namespaces need that. c->pid or c->middle
 * is set; what the child asks for comes over c->sync[0]. */
int creation_fork(struct creation *c, spawn_error *e);

#endif
