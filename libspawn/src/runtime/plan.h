/* What is to be done beneath the root file system, as data: made by the parent, executed in order by the child. */
#ifndef PODLIKE_PLAN_H
#define PODLIKE_PLAN_H

#include "config.h"
#include "log.h"

enum op_kind {
        OP_FILESYSTEM, /* mount: a new file system */
        OP_BIND, /* mount: part of what the host has */
        OP_REMOUNT, /* mount: other flags for what is mounted there */
        OP_COPY_LINK, /* mount, text: what the source, a symbolic link, points to */
        OP_DEVICE, /* device */
        OP_SYMLINK, /* text: what it points to */
        OP_MASK, /* hide a file or directory; missing is fine */
        OP_READONLY, /* make a subtree read-only; missing is fine */
        OP_LOCK, /* mount: a read-only tmpfs that had to be filled first */
        OP_WORKDIR, /* the working directory, where it can be made */
        OP_ROOT_READONLY,
        OP_HOSTNAME, /* text */
        OP_DOMAINNAME, /* text */
        OP_SYSCTL, /* target: name with dots or slashes; text: value */
};

struct op {
        enum op_kind kind;
        const char *target; /* path inside the container */
        const struct oci_mount *mount;
        const struct oci_device *device;
        const char *text;
        int tree_fd; /* OP_BIND: source cloned beforehand, -1: not yet */
        int idmap_fd; /* OP_BIND, OP_FILESYSTEM: user namespace of an id-mapped mount, -1: none */
};

struct plan {
        struct op *ops;
        size_t n;
};

/* All operations of a configuration, in the order of the specification. */
int plan_make(struct config *c, struct plan *ret, spawn_error *e);
/* Only its mounts. */
int plan_make_mounts(struct config *c, struct plan *ret, spawn_error *e);
/* One line for people: "mount tmpfs on /dev". */
void plan_describe(const struct op *op, char *buf, size_t size);

/* What the child has in hand while it executes the plan. */
struct builder {
        const struct config *config;
        const struct log *log;
        int root_fd; /* O_PATH, the container's root */
        int proc_fd; /* O_PATH of the host's /proc, for sysctl */
        int empty_fd; /* read-only empty tmpfs, detached; -1 until needed */
        int null_fd; /* detached clone of /dev/null; -1 until needed */
        int *late_fds; /* of mounts that OP_LOCK will lock, by their index; NULL until needed, 0: none */
        int devices_fd; /* devices_premake(), -1: none */
        bool devices_attached;
        bool no_proc; /* /proc is the container's: nothing may be done by path */
        bool user_ns; /* mknod(2) and some mounts are refused */
        const char *cgroup; /* absolute path of the container's cgroup; NULL: none */
};

/* Clone the sources that must be taken before the host's mounts are cut off. With all those of every bind mount, where
 * the caller may. mounts: the first of the configuration's, for errors. */
int plan_preopen(struct plan *p, const struct oci_mount *mounts, bool all, spawn_error *e);
/* A mount was put over the container's root: it is the root from now on. Takes a copy of fd. */
int builder_set_root(struct builder *b, int fd, spawn_error *e);
int plan_execute(const struct plan *p, struct builder *b, spawn_error *e);
/* Whether a mount must stay writable until the others and the devices are in it: a read-only tmpfs on /dev. */
bool plan_locks_late(const struct oci_mount *m);

/* The kinds, one function each. */
int op_filesystem(const struct op *op, struct builder *b, spawn_error *e);
int op_bind(const struct op *op, struct builder *b, spawn_error *e);
int op_remount(const struct op *op, struct builder *b, spawn_error *e);
int op_copy_link(const struct op *op, struct builder *b, spawn_error *e);
int op_bind_preopen(struct op *op, spawn_error *e);
int op_device(const struct op *op, struct builder *b, spawn_error *e);
int op_symlink(const struct op *op, struct builder *b, spawn_error *e);
int op_mask(const struct op *op, struct builder *b, spawn_error *e);
int op_readonly(const struct op *op, struct builder *b, spawn_error *e);
int op_lock(const struct op *op, struct builder *b, spawn_error *e);
int op_workdir(const struct op *op, struct builder *b, spawn_error *e);
int op_root_readonly(const struct op *op, struct builder *b, spawn_error *e);
int op_hostname(const struct op *op, struct builder *b, spawn_error *e);
int op_domainname(const struct op *op, struct builder *b, spawn_error *e);
int op_sysctl(const struct op *op, struct builder *b, spawn_error *e);

/* devices.c */
/* Nodes for a container in a user namespace, where nobody can make them: a detached tmpfs with one file for each of
 * linux.devices, named by its index. -1: the caller cannot either, nothing is lost. Other values below 0: *e. */
int devices_premake(const struct config *c, spawn_error *e);

/* Every container has these. */
extern const struct oci_device default_devices[];
extern const size_t n_default_devices;

#endif
