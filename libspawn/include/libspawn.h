/* libspawn: namespaces, mounts and safe paths for a container engine.
 *
 * Read by the C compiler and, with the preprocessor lines taken out, by cffi: declarations only, no macros
 * with values. Every function returns 0 or a value >= 0 on success; on failure -errno, with *reterr filled.
 * The library never logs, never exits, keeps no globals, and creates every fd with O_CLOEXEC.
 */
#ifndef PODLIKE_SPAWN_H
#define PODLIKE_SPAWN_H

#include <sys/types.h>

typedef struct spawn_error {
        int code;        /* errno */
        char stage[48];  /* what was attempted: "mount overlay", "write uid_map" */
        char text[512];  /* on what, and why: complete sentence part for the user */
} spawn_error;

/* session.c: one user + mount namespace per user, held by podlike-session */
int spawn_session_join(int userns_fd, int mntns_fd, spawn_error *reterr);
int spawn_ns_owner(int ns_fd, unsigned int *ret_uid, spawn_error *reterr);

/* overlay.c */
int spawn_overlay_mount(const char *target, const char *const *lower, size_t n_lower, const char *upper,
                        const char *work, const char *options, spawn_error *reterr);
int spawn_bind_mount(const char *source, const char *target, unsigned long flags, spawn_error *reterr);
int spawn_tmpfs_mount(const char *target, const char *options, spawn_error *reterr);
int spawn_umount(const char *target, int detach, spawn_error *reterr);

/* netns.c: a network namespace with loopback up, kept alive by a bind mount on path */
int spawn_netns_pin(const char *path, spawn_error *reterr);
int spawn_netns_unpin(const char *path, spawn_error *reterr);

/* safepath.c: openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS */
int spawn_open_in_root(int root_fd, const char *path, int flags, unsigned int mode, spawn_error *reterr);

int spawn_pidfd_open(int pid, spawn_error *reterr);
int spawn_pidfd_send_signal(int pidfd, int signal, spawn_error *reterr);

#endif
