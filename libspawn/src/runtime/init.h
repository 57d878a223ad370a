/* The container's first process, from fork(2) to execve(2). */
#ifndef PODLIKE_INIT_H
#define PODLIKE_INIT_H

#include "lsm.h"
#include "ns.h"
#include "plan.h"
#include "seccomp-filter.h"
#include "state.h"
#include "sync.h"

/* What a process brings from the host, for the stages after the root has changed. */
struct init_host {
        int proc_fd;
        int last_cap;
        struct lsm_label label;
};

struct init {
        const char *id;
        const struct log *log;
        struct config *config;
        struct plan *plan;
        struct ns_set *ns;
        struct seccomp_filter *seccomp;
        const struct state *state; /* for hooks and the seccomp listener; without a pid */
        const char *cgroup;
        int sync_fd; /* to the parent */
        int listen_fd; /* start socket */
        int console_fd; /* connected console socket, -1: none */
        int root_tree; /* copy of the root file system's mounts that the caller has made, -1: none */
        int devices_fd; /* devices_premake(), -1: none */
        int preserve_fds;
        int postponed; /* namespaces that the middle process could not join */
        bool rootless, no_pivot, no_new_keyring;
        bool move_to_cgroup; /* the fork could not put us there */

        /* filled on the way */
        struct builder build;
        struct init_host host;
        int start_fd;
        char exe[PATH_MAX];
};

/* Does not return. Failures go to sync_fd until the container is ready, then to whoever starts it. */
_Noreturn void init_main(struct init *i);

/* The three stages that exec shares. */

/* Does: what needs the host's /proc and /sys. */
int init_host_proc(const struct oci_process *p, bool rootless, struct init_host *ret, spawn_error *e);
/* Limits and ids: everything after which the process is the container's user, still with all capabilities. */
int init_identity(const struct oci_process *p, bool keep_groups, int last_cap, char exe[PATH_MAX], spawn_error *e);
/* Label, capabilities, seccomp, and the program. Returns only on failure. */
int init_become(const struct oci_process *p, const struct seccomp_filter *f, const struct init_host *host,
                const char *exe, int preserve_fds, const struct state *state, spawn_error *e);

#endif
