/* Pseudo-terminals. */
#ifndef PODLIKE_TERMINAL_H
#define PODLIKE_TERMINAL_H

#include "config.h"

/* Connect to a socket that is to get a descriptor; what: its name in errors ("console socket"). */
int terminal_connect(const char *path, const char *what, spawn_error *e);
/* Make a pair in the container's devpts, send the master over console_fd, make the slave this session's terminal and
 * stdio. With console: also bind it on /dev/console. Needs: a process that leads its session. */
int terminal_setup(int root_fd, const struct oci_process *p, int console_fd, bool console, spawn_error *e);
/* One fd over a socket, with some bytes. Returns 0 or -errno. */
int terminal_send_fd(int socket_fd, int fd, const char *text, size_t len);
/* Returns the fd or -errno. */
int terminal_receive_fd(int socket_fd);

/* terminal-relay.c: between our own stdio and the master, until the process of pidfd has ended and its output is
 * through. Signals of signal_fd go to the process, SIGWINCH to the terminal. Returns 0 or -errno. */
int terminal_relay(int master, int pidfd, int signal_fd, spawn_error *e);

#endif
