/* What is known of a container: ROOT/ID/state.json, and what the kernel says. */
#ifndef PODLIKE_STATE_H
#define PODLIKE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "jv.h"
#include "log.h"

#define ID_MAX 255

enum cgroup_manager { CGROUPS_FILES, CGROUPS_SYSTEMD, CGROUPS_DISABLED };

/* The runtime's own settings: options before the command. */
struct runtime {
        char root[4000]; /* directory of all states */
        enum cgroup_manager cgroups;
        bool rootless;
        const struct log *log;
        const char *criu; /* program to run for checkpoint and restore; NULL: found in PATH */
};

struct state {
        struct json_object *json; /* owner of the strings; NULL while the container is being created */
        const char *id, *bundle, *rootfs, *created, *cgroup, *scope, *owner, *seccomp, *listener, *metadata;
        pid_t pid;
        uint64_t start_time; /* field 22 of /proc/PID/stat */
        int namespaces; /* CLONE_NEW* that the container does not share with its creator */
        bool hooks, terminal;
        struct json_object *annotations, *descriptors; /* descriptors: what 0, 1 and 2 were at creation */
};

enum status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };
const char *status_name(enum status s);

/* [A-Za-z0-9_+.-]+, not starting with a dot, at most ID_MAX. */
int state_check_id(const char *id, spawn_error *e);

/* Make ROOT/ID, or take over what a creator that died has left. Returns an fd that is flock'ed while creating. */
int state_create_dir(const struct runtime *rt, const char *id, spawn_error *e);
/* Open ROOT/ID. -ENOENT in words when there is no such container. */
int state_open_dir(const struct runtime *rt, const char *id, spawn_error *e);
int state_write(int dir_fd, const struct state *s, spawn_error *e);
int state_read(int dir_fd, const char *id, struct state *ret, spawn_error *e);
/* Both in one. Returns the directory's fd. */
int state_load(const struct runtime *rt, const char *id, struct state *ret, spawn_error *e);
void state_free(struct state *s);
/* Every name in the state directory, which need not exist. Stops when each() fails. */
int state_each(const struct runtime *rt, int (*each)(const char *id, void *arg), void *arg, spawn_error *e);
int state_remove(const struct runtime *rt, const char *id, spawn_error *e);

/* From the kernel: the process with its start time, the start socket, the freezer. */
enum status state_status(int dir_fd, const struct state *s);
/* The process is still the one that was started; where the kernel does not tell, it may be. */
bool state_alive(const struct state *s);
/* pidfd of the container's init; -ESRCH when it is gone. */
int state_pidfd(const struct state *s);
/* OCI state as JSON text; malloc'ed. */
char *state_oci_json(const struct state *s, const char *status, pid_t pid, bool pretty);

/* ROOT/.cache/seccomp, made when missing; -1 when it cannot be used. */
int state_seccomp_cache(const struct runtime *rt);

/* The socket that the created container waits on (DIR/start). */
int start_listen(int dir_fd, spawn_error *e);
/* Connected socket, or -ECONNREFUSED/-ENOENT when nobody waits. */
int start_connect(int dir_fd);

#endif
