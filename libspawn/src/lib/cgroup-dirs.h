/* cgroup v2 as directories, by absolute path: 0 or -errno, without words. libspawn.h has the same with words. */
#ifndef PODLIKE_CGROUP_DIRS_H
#define PODLIKE_CGROUP_DIRS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "libspawn.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* cgroup-tree.c: directories */

/* A word of "cpu memory pids\n". */
bool cgroup_has_word(const char *list, const char *word);

/* mkdir -p below CGROUP_ROOT, with controllers handed down on the way. beside: past cgroups with processes too, for
 * those limits that can be had there. */
int cgroup_make_path(const char *path, bool beside, bool *ret_created);
/* "domain invalid" beneath a threaded cgroup: join it as threaded. */
int cgroup_make_threaded(const char *path);
int cgroup_add(const char *path, pid_t pid);
/* Make cgroup top/sub, move pid there, the only process in top, and hand top's controllers down. */
int cgroup_move_down(const char *top, const char *sub, pid_t pid);
/* The cgroup (absolute path below CGROUP_ROOT) that a process is in. Returns 0 or -errno. */
int cgroup_of_pid(pid_t pid, char ret[PATH_MAX]);

/* cgroup-processes.c: what is in them */

/* SIGKILL to all in it and below. */
int cgroup_kill(const char *path);
/* Any signal to all in it and below; returns how many were reached or -errno. */
int cgroup_signal(const char *path, int signal);
/* Remove it with what is below, killing what is left in it. Waits for that, at most some seconds. */
int cgroup_remove(const char *path);
/* Wait until cgroup.events has this line ("frozen 1"). Returns 0 or -errno (-ETIMEDOUT). */
int cgroup_await_event(const char *path, const char *event, int ms);
int cgroup_freeze(const char *path, bool freeze, spawn_error *e);
bool cgroup_is_frozen(const char *path);
/* All pids in it and below: calls each(pid, arg). Returns 0 or -errno. */
int cgroup_each_pid(const char *path, int (*each)(pid_t pid, void *arg), void *arg);

#endif
