/* Whole files, atomic replacement, file descriptors. */
#ifndef PODLIKE_IO_H
#define PODLIKE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Read a whole file into a malloc'ed, zero-terminated buffer. Returns its length or -errno (-EFBIG above max). */
ssize_t read_file_at(int dirfd, const char *path, size_t max, char **ret);
ssize_t read_fd(int fd, size_t max, char **ret);

/* Write all bytes. Returns 0 or -errno. */
int write_all(int fd, const void *data, size_t len);

/* Write a string to an existing file (cgroup, procfs) in one write(2). Returns 0 or -errno. */
int write_file_at(int dirfd, const char *path, const char *text);

/* The same to a file that must be of procfs, whatever may have been mounted on the way to it (-EXDEV). */
int write_procfs(const char *path, const char *text);

/* Create or replace dirfd/name by rename(2). Returns 0 or -errno. */
int replace_file_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode);

/* mkdir -p; an existing directory is fine. Returns 0 or -errno. */
int make_dirs(const char *path, mode_t mode);

/* Remove a directory and everything in it; not followed: symbolic links. Returns 0 or -errno. */
int remove_tree_at(int dirfd, const char *name);

/* Mark every descriptor >= first close-on-exec. Returns 0 or -errno. */
int cloexec_from(int first);

/* "/proc/self/fd/N", for system calls that have no *at form. */
struct fd_path {
        char s[32];
};
struct fd_path fd_path(int fd);

/* Start time (field 22) and state letter of a process from PROC/stat. Returns 0 or -errno. */
int process_stat(pid_t pid, unsigned long long *ret_start, char *ret_state);

/* The process sees ids of a user namespace that is not the initial one. */
bool in_user_namespace(void);

#endif
