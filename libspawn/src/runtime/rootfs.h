/* Paths beneath the container's root, and making it the root. */
#ifndef PODLIKE_ROOTFS_H
#define PODLIKE_ROOTFS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libspawn.h"

/* openat2(2): symbolic links and ".." cannot leave root. Returns an fd or -errno. */
int root_open(int root_fd, const char *path, int flags);
/* The same, and no component may be a symbolic link (-ELOOP). */
int root_open_nolink(int root_fd, const char *path, int flags);

/* The same, and no other mount may be crossed (-EXDEV): a file of procfs that nothing was mounted over. */
int root_open_same_mount(int root_fd, const char *path, int flags);

/* O_PATH fd of path; what is missing of it is created, the last component as a directory or an empty file.
 * Dangling symbolic links are followed beneath root. Returns an fd or -errno. */
int root_create(int root_fd, const char *path, bool directory);

/* O_PATH fd of the directory that holds path (created where missing); name gets the last component. */
int root_parent(int root_fd, const char *path, char name[NAME_MAX + 1]);

/* "/" however it is written: what is mounted there becomes the root. */
bool path_is_root(const char *path);

/* Detached copy of the mount at path (relative to dirfd), or of what fd is when path is "". */
int tree_clone(int dirfd, const char *path, bool recursive);
/* The same; with link a symbolic link at path is what is copied. */
int tree_clone_link(int dirfd, const char *path, bool recursive, bool link);
/* mount_setattr(2) on a detached or attached mount. Returns 0 or -errno. */
int tree_setattr(int fd, bool recursive, uint64_t set, uint64_t clr, uint64_t propagation);
/* Map the ids of a detached mount as the user namespace does; userns_fd -1: leave them. */
int tree_idmap(int fd, int userns_fd, bool recursive);
/* Put a detached mount over target_fd. Returns 0 or -errno. */
int tree_attach(int tree_fd, int target_fd);

/* Bind the root on itself as a mount of its own and return an O_PATH fd of it.
 * tree_fd: a copy made by who may pass every directory on the way, for when we may not; -1: none. */
int rootfs_open(const char *path, unsigned long propagation, int tree_fd, spawn_error *e);
/* pivot_root(2) into root_fd (or chroot over a moved mount with no_pivot) and forget the old root. */
int rootfs_pivot(int root_fd, bool no_pivot, unsigned long propagation, spawn_error *e);

#endif
