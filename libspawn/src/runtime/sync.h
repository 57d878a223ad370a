/* Typed messages between the processes of one set-up, over SOCK_SEQPACKET. */
#ifndef PODLIKE_SYNC_H
#define PODLIKE_SYNC_H

#include "libspawn.h"

enum sync_type {
        SYNC_ERROR = 1, /* child: err says why it ends */
        SYNC_MAP_IDS, /* middle: write the id maps of process `value`; answered by SYNC_GO */
        SYNC_PID, /* middle: the container's process is `value` */
        SYNC_NETWORK, /* child: its network namespace is there, move interfaces into it; answered by SYNC_GO */
        SYNC_HOOKS, /* child: run the createRuntime hooks; answered by SYNC_GO */
        SYNC_READY, /* child: all is set up; answered by SYNC_GO once the state is on disk */
        SYNC_GO,
        SYNC_TYPES,
};

struct sync_message {
        int type, value;
        spawn_error err;
};

/* Both ends are close-on-exec. Returns 0 or -errno. */
int sync_pair(int ret[2]);
int sync_send(int fd, enum sync_type type, int value, const spawn_error *err);
/* 1: a message, 0: the other end is gone, -ECONNRESET: it went without having read what it was sent, -errno. */
int sync_receive(int fd, struct sync_message *ret);
/* Receive, expecting SYNC_GO. Returns 0 or -errno (-EPIPE: the other end is gone). */
int sync_wait_go(int fd);

#endif
