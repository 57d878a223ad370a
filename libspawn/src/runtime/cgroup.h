/* cgroup v2. */
#ifndef PODLIKE_CGROUP_H
#define PODLIKE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cgroup-dirs.h"
#include "config.h"
#include "state.h"

/* One write: controller "memory", file "memory.max", value "1048576". Strings live in the settings' arena. */
struct cgroup_setting {
        const char *controller, *file, *value;
        const char *what; /* place in the configuration, for errors */
};

/* A rule of linux.resources.devices. */
struct cgroup_device {
        char type; /* 'a', 'b', 'c' */
        int64_t major, minor; /* -1: any */
        unsigned int access; /* BPF_DEVCG_ACC_* */
        bool allow;
};

/* linux.resources as what is to be done, in this order. */
struct cgroup_settings {
        struct arena arena;
        struct cgroup_setting *v;
        size_t n, room;
        struct cgroup_device *devices;
        size_t n_devices;
        /* memory.checkBeforeUpdate: refuse limits below what is in use; 0: no check. */
        int64_t check_memory, check_total;
};

struct cgroup_systemd;

struct cgroup {
        char path[PATH_MAX]; /* absolute; "": the container stays in its creator's cgroup */
        char scope[256]; /* systemd unit; "": none */
        int fd; /* of the directory, -1: none */
        bool created; /* by us: to be removed when creation fails */
        struct cgroup_settings settings;
        struct cgroup_systemd *systemd; /* connection and names, until the scope runs */
};

/* Make the container's cgroup and set its limits; with systemd prepare to, as a scope is made around a process.
 * *ret is filled and must be given to cgroup_free() in any case.
 * Without a way to make it a rootless container goes on in its creator's cgroup: docs/ARCHITECTURE.md says when. */
int cgroup_make(const struct runtime *rt, const char *id, const struct config *c, struct cgroup *ret, spawn_error *e);
/* The cgroup is made around a process that exists: cgroup_enter() must be called with it before it goes on. */
bool cgroup_wants_process(const struct cgroup *g);
int cgroup_enter(struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e);
/* In that process, once it has been entered: find out where, let go of what is the parent's. */
int cgroup_entered(struct cgroup *g, spawn_error *e);
/* Annotation run.oci.delegate-cgroup: move the process, which has its cgroup namespace, one level down. */
int cgroup_delegate(const struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e);
/* Creation failed: kill what is in it and remove it. */
void cgroup_undo(const struct runtime *rt, struct cgroup *g);
void cgroup_free(struct cgroup *g);

/* Set limits of an existing container. */
int cgroup_update(const struct runtime *rt, const struct state *s, struct json_object *resources, spawn_error *e);
/* Remove all that the container has; its processes have been killed. */
int cgroup_destroy(const struct runtime *rt, const struct state *s, spawn_error *e);

/* Remove the cgroup that a creator which was killed may have left: an empty one in a place that it would choose. */
void cgroup_forget(const struct runtime *rt, const char *id, const struct config *c);

/* Absolute path of a cgroup for linux.cgroupsPath; "" when none was asked for and none is due. */
int cgroup_choose_path(const struct runtime *rt, const char *id, const char *wish, char ret[PATH_MAX], spawn_error *e);
/* "slice:prefix:name", systemd's form of linux.cgroupsPath, as unit names. */
bool cgroup_split_systemd(const char *path, char slice[256], char scope[256]);
/* "a-b.slice" to "/a.slice/a-b.slice" (systemd.slice(5)). Returns 0 or -EINVAL. */
int cgroup_slice_path(const char *slice, char *ret, size_t size);

/* cgroup-owner.c */

/* Give it to the root of the container's user namespace, if that is one of its own. */
int cgroup_chown(const char *path, const struct config *c, spawn_error *e);

/* cgroup-resources.c, cgroup-io.c, cgroup-unified.c, cgroup-devices.c: reading linux.resources */

int cgroup_settings(struct json_object *resources, struct cgroup_settings *ret, spawn_error *e);
void cgroup_settings_free(struct cgroup_settings *s);
/* Nothing is asked for that needs a cgroup. */
bool cgroup_settings_empty(const struct cgroup_settings *s);
int cgroup_settings_add(struct cgroup_settings *s, const struct jv *where, const char *controller, const char *file,
                        spawn_error *e, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int cgroup_io_settings(const struct jv *res, struct cgroup_settings *s, spawn_error *e);
int cgroup_unified_settings(const struct jv *res, struct cgroup_settings *s, spawn_error *e);
int cgroup_device_rules(const struct jv *res, struct cgroup_settings *s, spawn_error *e);

/* cgroup-weights.c */

/* cpu.shares of v1, 2..262144, as cpu.weight, 1..10000. */
unsigned int cgroup_weight_of_shares(uint64_t shares);
/* 10..1000 of blkio (and BFQ) as io.weight, 1..10000. */
unsigned int cgroup_io_weight(unsigned int weight);

/* cgroup-apply.c: setting them */

/* cpu.max where only one of quota and period is asked for: the other stays. fd -1: there is nothing yet. */
int cgroup_complete_cpu_max(int fd, struct cgroup_settings *s, spawn_error *e);
int cgroup_apply(int fd, const char *path, const struct cgroup_settings *s, spawn_error *e);
/* Words for a controller that a cgroup lacks: who could hand it down, and why that was not done. */
int cgroup_explain_missing(const char *path, const struct cgroup_setting *s, spawn_error *e);

/* cgroup-devices.c: the eBPF program */

struct bpf_insn;
/* Returns the number of instructions, malloc'ed in *ret; -ENOMEM. */
int cgroup_device_program(const struct cgroup_device *rules, size_t n, struct bpf_insn **ret);
/* Replaces the program that an earlier call has attached. */
int cgroup_devices_apply(int fd, const char *path, const struct cgroup_settings *s, spawn_error *e);

/* cgroup-stats.c */

/* Statistics in runc's form (`events --stats`), "data" of an event; NULL: out of memory. */
struct json_object *cgroup_stats(const char *path);
/* A number of a flat keyed file ("oom_kill" of memory.events); -1: not there. */
int64_t cgroup_read_key(int fd, const char *file, const char *key);

#endif
