/* NOTIFY_SOCKET: readiness of the container's program, told to the service manager (sd_notify(3)). */
#ifndef PODLIKE_NOTIFY_H
#define PODLIKE_NOTIFY_H

#include "config.h"

/* If the caller has a NOTIFY_SOCKET: a directory in the container's state that is bound over the socket's path, and the
 * variable that names a socket in it. state_dir: path of dir_fd. */
int notify_prepare(struct config *c, int dir_fd, const char *state_dir, spawn_error *e);
/* Bind that socket, before the program runs. Returns an fd; -1: there is none to bind. */
int notify_listen(int dir_fd, spawn_error *e);
/* Wait until the program is ready, or gone, and pass "READY=1" on. */
void notify_wait(int fd, int pidfd);

#endif
