/* What a process is before it becomes the container's: limits, ids, working directory, executable. */
#ifndef PODLIKE_PROCESS_H
#define PODLIKE_PROCESS_H

#include <limits.h>

#include "config.h"

/* Needs the host's /proc. rootless: lowering the score may be refused, that is fine. */
int process_oom_score(const struct oci_process *p, bool rootless, spawn_error *e);
/* Scheduler and I/O priority. A task under SCHED_DEADLINE cannot fork. */
int process_priority(const struct oci_process *p, spawn_error *e);
/* key: "initial" or "final", for errors. */
int process_affinity(const struct bit_list *cpus, const char *key, spawn_error *e);
int process_memory_policy(const struct oci_memory_policy *m, spawn_error *e);
/* A session keyring of its own, so that the container cannot read the caller's. */
int process_keyring(const char *id, spawn_error *e);
/* Supplementary groups, gid, uid; capabilities are kept. keep_groups: the caller's groups stay. */
int process_user(const struct oci_process *p, bool keep_groups, spawn_error *e);
/* chdir, creating what is missing; refuses a directory outside the root. */
int process_cwd(const char *cwd, spawn_error *e);
/* Find args[0] in PATH of env. */
int process_find_executable(const struct oci_process *p, char ret[PATH_MAX], spawn_error *e);
/* What may be added to the environment: HOME, LISTEN_FDS, LISTEN_PID. */
#define ENV_EXTRA 3
struct process_env {
        char home[PATH_MAX], fds[32], pid[32];
};
/* The environment with HOME (from the container's /etc/passwd) and, if we were given sockets by systemd, with what
 * sd_listen_fds(3) looks for, where they are not set. ret_env has room for p->env, ENV_EXTRA and a zero. */
void process_env(const struct oci_process *p, struct process_env *room, const char **ret_env);
/* execve(2); returns only on failure, in crun's words. */
int process_exec(const struct oci_process *p, const char *path, const char *const *env, spawn_error *e);
/* Handlers and ignored signals to default, nothing blocked. */
void process_reset_signals(void);
/* Pipes belong to the user of the process, so that /dev/stdout can be opened again. */
void process_own_stdio(const struct oci_process *p);
/* Standard streams that are the host's /dev/null become the container's, where it has one: nothing of the host's stays
 * open, and a checkpoint finds the file. */
void process_reopen_null(void);

#endif
