/* cgroup v2. */
#ifndef PODLIKE_CGROUP_H
#define PODLIKE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "state.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

struct cgroup {
        char path[PATH_MAX]; /* absolute; "": the container stays in its creator's cgroup */
        char scope[256]; /* systemd unit; "": none */
        int fd; /* of the directory, -1: none */
        bool created; /* by us: to be removed when creation fails */
};

/* Make the container's cgroup and set its limits.
 * cgroups_path: linux.cgroupsPath or NULL. resources: linux.resources or NULL.
 * Without a way to make it a rootless container goes on in its creator's cgroup, unless limits were asked for. */
int cgroup_make(const struct runtime *rt, const char *id, const char *cgroups_path, struct json_object *resources,
                struct cgroup *ret, spawn_error *e);
/* Set limits of an existing one. */
int cgroup_update(const char *path, struct json_object *resources, spawn_error *e);
int cgroup_add(const char *path, pid_t pid);
/* The cgroup (absolute path below CGROUP_ROOT) that a process is in. Returns 0 or -errno. */
int cgroup_of_pid(pid_t pid, char ret[PATH_MAX]);
/* SIGKILL to all in it and below. */
int cgroup_kill(const char *path);
/* Any signal to all in it and below; returns how many were reached or -errno. */
int cgroup_signal(const char *path, int signal);
/* Remove it with what is below; waits a moment for killed processes to leave. */
int cgroup_remove(const char *path);
int cgroup_freeze(const char *path, bool freeze, spawn_error *e);
bool cgroup_is_frozen(const char *path);
/* All pids in it and below: calls each(pid, arg). Returns 0 or -errno. */
int cgroup_each_pid(const char *path, int (*each)(pid_t pid, void *arg), void *arg);

/* cgroup-resources.c */

/* One write: controller "memory", file "memory.max", value "1048576". */
struct cgroup_setting {
        char controller[24], file[64], value[160];
        char what[64]; /* place in the configuration, for errors */
};
#define CGROUP_SETTINGS_MAX 256
struct cgroup_settings {
        struct cgroup_setting *v; /* malloc'ed */
        size_t n;
};
/* linux.resources as writes. */
int cgroup_settings(struct json_object *resources, struct cgroup_settings *ret, spawn_error *e);
int cgroup_apply(int fd, const char *path, const struct cgroup_settings *s, spawn_error *e);

#endif
