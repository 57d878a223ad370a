/* libspawn: namespaces, mounts, cgroups and safe paths for a container engine.
 *
 * Read by the C compiler and, with the preprocessor lines taken out, by cffi: declarations only, no macros
 * with values. Every function returns 0 or a value >= 0 on success; on failure -errno, with *reterr filled
 * (reterr may be NULL). The library never logs, never exits, keeps no globals, and creates every fd with O_CLOEXEC.
 */
#ifndef PODLIKE_LIBSPAWN_H
#define PODLIKE_LIBSPAWN_H

#include <sys/types.h>

typedef struct spawn_error {
        int code; /* errno */
        char stage[48]; /* what was attempted: "mount overlay", "write uid_map" */
        char text[512]; /* on what, and why: complete sentence part for the user */
} spawn_error;

/* idmap.c: one line of /proc/PID/uid_map (user_namespaces(7)) */
typedef struct spawn_idmap {
        unsigned int inside, outside, count;
} spawn_idmap;

/* Give ids to the user namespace that process pid has just made. Written directly where the kernel allows it, else by
 * the set-uid programs newuidmap and newgidmap (a path, or a name found in PATH; NULL: not to be used). */
int spawn_idmap_write(int pid, const spawn_idmap *uids, size_t n_uids, const spawn_idmap *gids, size_t n_gids,
                      const char *newuidmap, const char *newgidmap, spawn_error *reterr);
/* A user namespace with these ids that no process is in, for id-mapped mounts. Returns its fd. */
int spawn_userns_open(const spawn_idmap *uids, size_t n_uids, const spawn_idmap *gids, size_t n_gids,
                      spawn_error *reterr);
/* *ret_uid: the effective uid, in the caller's user namespace, of the process that made the user namespace. */
int spawn_ns_owner(int ns_fd, unsigned int *ret_uid, spawn_error *reterr);

/* session.c: one user + mount namespace per user, held by a process that does nothing else.
 * create makes them (with id 0 mapped) and forks the holder, hold forks one that keeps the caller's own. The holder is
 * a child of the caller, keeps no descriptor of it, and ends on SIGTERM. */
int spawn_session_create(const spawn_idmap *uids, size_t n_uids, const spawn_idmap *gids, size_t n_gids,
                         const char *newuidmap, const char *newgidmap, int *ret_pid, spawn_error *reterr);
int spawn_session_hold(int *ret_pid, spawn_error *reterr);
/* Enter both. The caller must have one thread (setns(2): CLONE_NEWUSER); its working directory becomes "/". */
int spawn_session_join(int userns_fd, int mntns_fd, spawn_error *reterr);

/* overlay.c. lower: topmost layer first, as overlayfs counts; upper NULL: read-only; options: "userxattr,volatile". */
int spawn_overlay_mount(const char *target, const char *const *lower, size_t n_lower, const char *upper,
                        const char *work, const char *options, spawn_error *reterr);
/* The same, mounted nowhere: returns the fd of its root directory, and goes when the last fd into it is closed. -ENOSYS,
 * -EINVAL: not on this kernel. */
int spawn_overlay_open(const char *const *lower, size_t n_lower, const char *upper, const char *work,
                       const char *options, spawn_error *reterr);
int spawn_bind_mount(const char *source, const char *target, unsigned long flags, spawn_error *reterr);
int spawn_tmpfs_mount(const char *target, const char *options, spawn_error *reterr);
/* Returns 0 also when nothing is mounted there. detach: lazily, so that a user of the mount cannot hold it. */
int spawn_umount(const char *target, int detach, spawn_error *reterr);

/* netns.c. pin: a new network namespace with loopback up, kept alive by a bind mount on path, which must not exist. */
int spawn_netns_pin(const char *path, spawn_error *reterr);
/* Undo it; succeeds when it is gone already. */
int spawn_netns_unpin(const char *path, spawn_error *reterr);
/* The calling thread goes into the namespace. */
int spawn_netns_enter(int netns_fd, spawn_error *reterr);
/* Interface lo of the calling thread's namespace. */
int spawn_netns_loopback_up(spawn_error *reterr);
/* Move an interface of the calling thread's namespace to another one. name NULL: it keeps its own. When name is taken
 * there the interface has moved all the same, with its own name (-EEXIST). */
int spawn_netns_move_link(const char *link, int netns_fd, const char *name, spawn_error *reterr);

/* safepath.c: openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS */
int spawn_open_in_root(int root_fd, const char *path, int flags, unsigned int mode, spawn_error *reterr);

/* cgroup.c: cgroup v2. path: absolute, below /sys/fs/cgroup.
 * create: with the directories above it, controllers handed down on the way as far as they go; 1: made, 0: it was
 * there. */
int spawn_cgroup_create(const char *path, spawn_error *reterr);
int spawn_cgroup_add(const char *path, int pid, spawn_error *reterr);
/* The cgroup that a process is in: *ret gets its path, size bytes with the zero at its end. */
int spawn_cgroup_of(int pid, char *ret, size_t size, spawn_error *reterr);
/* One of its files, in one write: "memory.max", "1048576". */
int spawn_cgroup_write(const char *path, const char *file, const char *value, spawn_error *reterr);
/* Freeze or thaw all that is in it and below, and wait until that is done. */
int spawn_cgroup_freeze(const char *path, int freeze, spawn_error *reterr);
/* SIGKILL to all that is in it and below. */
int spawn_cgroup_kill(const char *path, spawn_error *reterr);
/* Remove it with what is below, killing what is left in it; waits some seconds for that. It may be gone already. */
int spawn_cgroup_remove(const char *path, spawn_error *reterr);

/* pidfd.c */
int spawn_pidfd_open(int pid, spawn_error *reterr);
int spawn_pidfd_send_signal(int pidfd, int signal, spawn_error *reterr);
/* Wait until the process has ended: 1, or 0 when timeout_ms have passed first (-1: for ever). Any process, not only
 * children. */
int spawn_pidfd_wait(int pidfd, int timeout_ms, spawn_error *reterr);
/* Reap a child that has ended: its exit code, or 128 + the signal that killed it. */
int spawn_pidfd_reap(int pidfd, spawn_error *reterr);

#endif
