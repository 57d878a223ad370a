/* config.json of the OCI runtime specification 1.2, as structures.
 *
 * Strings point into the JSON document, arrays into the arena: all die together in config_free().
 */
#ifndef PODLIKE_CONFIG_H
#define PODLIKE_CONFIG_H

#include <sys/resource.h>
#include <sys/types.h>

#include "jv.h"
#include "mount-options.h"

#define OCI_VERSION "1.2.0"

struct kv {
        const char *key, *value;
};

struct kvs {
        struct kv *v;
        size_t n;
};

struct oci_namespace {
        int flag; /* CLONE_NEW* */
        const char *type, *path; /* path NULL: a new one */
};

struct oci_idmaps {
        spawn_idmap *v;
        size_t n;
};

struct oci_mount {
        const char *destination, *type, *source;
        struct mount_options options;
        struct oci_idmaps uids, gids; /* of an id-mapped mount */
        bool container_ids; /* id-mapped as the container's user namespace is */
};

struct oci_device {
        const char *path;
        mode_t type, mode;
        int64_t major, minor;
        uint32_t uid, gid;
        bool from_host; /* default device: bind the host's when mknod is refused */
};

struct oci_net_device {
        const char *name, *inside; /* on the host; in the container */
};

struct oci_rlimit {
        int resource;
        const char *type;
        struct rlimit limit;
};

enum { CAPS_BOUNDING, CAPS_EFFECTIVE, CAPS_INHERITABLE, CAPS_PERMITTED, CAPS_AMBIENT, CAPS_SETS };

struct oci_scheduler {
        const char *policy; /* NULL: not given */
        int number; /* SCHED_* */
        int32_t nice;
        uint32_t priority;
        uint64_t flags, runtime, deadline, period;
};

/* A list of processors or memory nodes: "0-3,7". */
struct bit_list {
        unsigned long *v; /* NULL: not given */
        size_t bytes;
};

struct oci_memory_policy {
        const char *mode; /* NULL: not given */
        int number; /* MPOL_* with MPOL_F_* */
        struct bit_list nodes;
};

struct oci_process {
        bool terminal, no_new_privileges, has_caps, has_oom_score, has_umask;
        uint32_t console_height, console_width;
        uint32_t uid, gid, umask;
        gid_t *groups;
        size_t n_groups;
        struct strv env, args;
        const char *cwd, *apparmor, *selinux;
        uint64_t caps[CAPS_SETS];
        struct oci_rlimit *rlimits;
        size_t n_rlimits;
        int64_t oom_score;
        int64_t io_class, io_priority; /* class -1: not given */
        struct oci_scheduler scheduler;
        struct bit_list cpus_initial, cpus_final; /* execCPUAffinity */
};

struct oci_hook {
        const char *path;
        struct strv args, env;
        int64_t timeout; /* seconds; 0: none */
};

enum {
        HOOK_PRESTART,
        HOOK_CREATE_RUNTIME,
        HOOK_CREATE_CONTAINER,
        HOOK_START_CONTAINER,
        HOOK_POSTSTART,
        HOOK_POSTSTOP,
        HOOK_KINDS
};
extern const char *const hook_names[HOOK_KINDS];

struct oci_hooks {
        struct oci_hook *v[HOOK_KINDS];
        size_t n[HOOK_KINDS];
        const char *out, *err; /* files for what they write: annotations run.oci.hooks.stdout and .stderr */
        int out_fd, err_fd; /* the same opened, hooks_open(); 0: not */
};

struct oci_time_offset {
        int64_t secs;
        uint32_t nanosecs;
        bool given;
};

struct config {
        struct json_object *json;
        struct arena arena;
        char *text; /* the document as it was read */
        size_t text_len;

        const char *oci_version, *hostname, *domainname;
        const char *root_path;
        bool root_readonly;
        bool has_process;
        struct oci_process process;
        struct oci_mount *mounts;
        size_t n_mounts;
        struct oci_hooks hooks;
        struct kvs annotations;

        struct oci_namespace *namespaces;
        size_t n_namespaces;
        struct oci_idmaps uids, gids;
        struct oci_device *devices;
        size_t n_devices;
        struct oci_net_device *net_devices;
        size_t n_net_devices;
        struct oci_memory_policy memory_policy;
        const char *cgroups_path, *mount_label;
        struct json_object *resources, *seccomp; /* read by cgroup-resources.c and seccomp-compile.c */
        unsigned long rootfs_propagation; /* MS_SHARED ... | MS_REC; 0: not given */
        struct strv masked_paths, readonly_paths;
        struct kvs sysctl;
        struct oci_time_offset boottime, monotonic;
        int64_t personality; /* -1: not given */
};

/* Read a config.json; name is what errors call it. *c is filled and must be freed with config_free() in any case. */
int config_read(int dir_fd, const char *path, const char *name, struct config *c, spawn_error *e);
/* The same from text that has been read (tests). */
int config_parse(const char *text, size_t len, struct config *c, spawn_error *e);
void config_free(struct config *c);

/* config-process.c */
int config_process(const struct jv *p, struct arena *a, struct oci_process *ret, spawn_error *e);
/* config-mounts.c */
int config_mounts(const struct jv *root, struct config *c, spawn_error *e);
/* config-tuning.c: how the kernel schedules and places a process */
int config_scheduler(const struct jv *process, struct oci_scheduler *ret, spawn_error *e);
int config_io_priority(const struct jv *process, struct oci_process *ret, spawn_error *e);
int config_affinity(const struct jv *process, struct arena *a, struct oci_process *ret, spawn_error *e);
/* Names of the i-th mode and flag of a memory policy, NULL after the last (podlike-spawn features). */
const char *memory_mode_name(size_t i);
const char *memory_flag_name(size_t i);
int config_memory_policy(const struct jv *lin, struct arena *a, struct oci_memory_policy *ret, spawn_error *e);
/* config-devices.c */
int config_devices(const struct jv *lin, struct config *c, spawn_error *e);
int config_net_devices(const struct jv *lin, struct config *c, spawn_error *e);
/* config-check.c: what the specification ties together */
int config_check(const struct jv *root, const struct config *c, spawn_error *e);
/* The namespace that a sysctl belongs to, 0: none, it is the host's. */
int sysctl_namespace(const char *name);
/* config-linux.c */
int config_linux(const struct jv *root, struct config *c, spawn_error *e);
int config_hooks(const struct jv *root, struct arena *a, struct oci_hooks *ret, spawn_error *e);
int config_idmaps(const struct jv *up, const char *key, struct arena *a, struct oci_idmaps *ret, spawn_error *e);
/* Two ranges must not have an id in common, on either side. Returns the index of the one that does, or -1. */
ssize_t idmaps_clash(const struct oci_idmaps *m);
/* Objects whose values are all strings. */
int config_kvs(const struct jv *up, const char *key, struct arena *a, struct kvs *ret, spawn_error *e);

/* config-userns.c: add a user namespace where the caller needs one, and id maps where they are missing. */
int config_own_userns(struct config *c, spawn_error *e);

const struct oci_namespace *config_namespace(const struct config *c, int flag);
const char *config_annotation(const struct config *c, const char *key);
/* CLONE_NEW* of an OCI namespace type, 0 when unknown. */
int namespace_flag(const char *type);
/* Name of the i-th type, NULL after the last; the flags of a set of them as words, for the log. */
const char *namespace_name(size_t i);
const char *namespace_words(int flags, char *buf, size_t size);
/* The i-th annotation that changes what is done here, NULL after the last (podlike-spawn features). */
const char *config_known_annotation(size_t i);

#endif
