/* Checkpoint and restore, done by CRIU. */
#ifndef PODLIKE_CRIU_H
#define PODLIKE_CRIU_H

#include <limits.h>

#include "config.h"
#include "state.h"

struct criu_args {
        const char *image_path; /* NULL: "checkpoint" here */
        const char *work_path; /* for CRIU's logs; NULL: image_path */
        const char *parent_path; /* of an earlier --pre-dump, relative to image_path */
        const char *cgroups_mode, *network_lock; /* NULL: criu_cgroups_mode(), CRIU's choice */
        const char *lsm_profile, *lsm_mount_context;
        const char **empty_ns; /* namespaces to leave empty: "network" */
        size_t n_empty_ns;
        bool leave_running, pre_dump, auto_dedup;
        bool tcp_established, tcp_skip_in_flight, tcp_close, ext_unix_sk, shell_job, file_locks, link_remap;
};

/* Where the program is: --criu, else in PATH. Returns 0; -ENOENT in words that say what to install. */
int criu_find(const struct runtime *rt, char ret[PATH_MAX], spawn_error *e);

/* Save the container to disk; unless it is to go on, it is stopped and removed. */
int container_checkpoint(const struct runtime *rt, const char *id, const struct criu_args *a, spawn_error *e);

/* What container_create() has ready for a process that is not new but restored. */
struct criu_restore {
        const struct runtime *rt;
        const struct criu_args *args;
        const char *id;
        const struct config *config;
        int dir_fd; /* of the state: a directory for the root file system is made there */
        const char *cgroup; /* absolute path, NULL: none */
        int cgroup_fd;
        /* NULL, or puts CRIU into the container's cgroup, which is made around it; the rest follows from there. */
        int (*place)(void *arg, pid_t pid, spawn_error *e);
        int console_fd; /* gets the terminal's master; -1: nobody wants it */
        /* The namespaces are there, of the process pid: time for the hooks of the host. */
        int (*on_namespaces)(void *arg, pid_t pid, spawn_error *e);
        void *arg;
};
/* Returns 0; *ret_pid is a child of ours and runs already. */
int criu_restore(const struct criu_restore *r, pid_t *ret_pid, spawn_error *e);

/* criu-options.c */

struct pb;
/* What a dump and a restore have in common. ignore_cgroups: whatever the mode is. */
int criu_common_options(const struct runtime *rt, const struct criu_args *a, const struct config *c,
                        bool ignore_cgroups, struct pb *opts, spawn_error *e);
/* --manage-cgroups-mode, or what is right here. With "ignore" processes are restored where CRIU runs: in the container's
 * cgroup, as the root of a cgroup namespace if the container has one. */
const char *criu_cgroups_mode(const struct criu_args *a);
/* Mounts that come from the host. root_fd: the container's root, to see what is there; -1 at a restore, when all that
 * can be are named with their sources. */
int criu_external_mounts(const struct config *c, int root_fd, struct pb *opts, spawn_error *e);
/* The directories of the images and of the log, as descriptors of ours: CRIU opens them through /proc/PID/fd. */
struct criu_dirs {
        const char *image, *work; /* for messages */
        int image_fd, work_fd;
};
/* create: make that of the images where it is missing. */
int criu_open_dirs(const struct criu_args *a, bool create, struct criu_dirs *ret, spawn_error *e);
void criu_close_dirs(struct criu_dirs *d);

#endif
