/* The life of a container, seen from the host. */
#ifndef PODLIKE_CONTAINER_H
#define PODLIKE_CONTAINER_H

#include "state.h"

struct config;
struct criu_args;

struct create_options {
        const char *id, *bundle, *pid_file, *console_socket;
        const char *config; /* file instead of config.json, beneath the bundle or absolute; NULL: none */
        int preserve_fds;
        bool no_pivot, no_new_keyring;
        int console_fd; /* connected socket instead of console_socket; -1: none */
        const struct criu_args *restore; /* not a new process but that of a checkpoint; NULL: a new one */
};

/* Returns 0; *ret_pid is the container's first process, which waits to be started. On failure nothing is left. */
int container_create(const struct runtime *rt, const struct create_options *o, pid_t *ret_pid, spawn_error *e);
/* With a NOTIFY_SOCKET it returns when the program says that it is ready. */
int container_start(const struct runtime *rt, const char *id, spawn_error *e);
/* The same for who has to attend to the container from now on: does not wait. */
int container_start_attended(const struct runtime *rt, const char *id, spawn_error *e);
/* all: to every process in it. Not running is an error. */
int container_kill(const struct runtime *rt, const char *id, int signal, bool all, spawn_error *e);
/* Remove a stopped (or created) container; with force also a running one, and a missing one is fine. */
int container_delete(const struct runtime *rt, const char *id, bool force, spawn_error *e);

struct exec_options {
        const char *id, *process_file; /* JSON of a process; NULL: the container's own with what follows */
        const char *cwd, *user, *pid_file, *console_socket;
        const char *cgroup; /* below the container's */
        const char *apparmor, *process_label;
        const char **env, **caps, **gids, **args;
        size_t n_env, n_caps, n_gids, n_args;
        bool tty, detach, no_new_privs, ignore_paused;
        int preserve_fds;
};

/* Returns 0 with *ret_pid a child of ours that has become the program. With a terminal and no console socket
 * *ret_master is its master, else -1. */
int container_exec(const struct runtime *rt, const struct exec_options *o, pid_t *ret_pid, int *ret_master,
                   spawn_error *e);

/* exec-process.c: the process of these options; c->process is filled. c must be zero, and be freed in any case. */
int exec_process(const struct exec_options *o, int dir_fd, struct config *c, spawn_error *e);

/* Mount, or unmount, what a file says (JSON as config.json's mounts) in a running container. What cannot be
 * added whole is not added. */
int container_mounts(const struct runtime *rt, const char *id, const char *file, bool add, spawn_error *e);

/* Write a pid as decimal. */
int write_pid_file(const char *path, pid_t pid, spawn_error *e);

/* LISTEN_FDS of the environment: descriptors of systemd's socket activation, meant for the container. */
int listen_fds(void);

/* lifecycle.c: wait for a child as its shell would: signals are passed on, exit code or 128 + signal is returned. */
/* Keep signals for wait_child() from before the program runs: none may kill us and leave it alone. */
void wait_hold_signals(void);
int wait_child(pid_t pid, int master, spawn_error *e);

#endif
