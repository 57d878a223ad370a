/* Talking to `criu swrk`: requests and responses of its rpc.proto (CRIU 3.15 and newer), in protocol buffers' wire
 * format, which is small enough to be written here. */
#ifndef PODLIKE_CRIU_RPC_H
#define PODLIKE_CRIU_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "libspawn.h"

/* A message that grows. After running out of memory it stays empty and `failed` is set. */
struct pb {
        char *buf;
        size_t len, room;
        bool failed;
};

void pb_int(struct pb *p, unsigned int field, unsigned int value);
/* Nothing is written for false, which is every flag's default. */
void pb_flag(struct pb *p, unsigned int field, bool value);
/* NULL: nothing is written. */
void pb_string(struct pb *p, unsigned int field, const char *value);
void pb_message(struct pb *p, unsigned int field, const struct pb *inner);
void pb_free(struct pb *p);

/* enum criu_req_type */
enum criu_type { CRIU_DUMP = 1, CRIU_RESTORE = 2, CRIU_NOTIFY = 6, CRIU_SINGLE_PRE_DUMP = 13 };

struct criu_response {
        int type;
        bool success;
        int pid; /* restore: of the container's first process; notify: of whom it is about */
        int code; /* cr_errno */
        char message[256]; /* cr_errmsg */
        char script[64]; /* notify: what has happened */
};

/* Fields that a response has are set, all else is 0. Returns 0, or -EBADMSG for what is not a response. */
int criu_response_parse(const void *data, size_t len, struct criu_response *ret);

struct criu_session {
        int socket;
        pid_t pid;
};

struct criu_start {
        const char *program;
        int cgroup_fd; /* where it is born; -1: where we are */
        /* NULL, or called for the new process in ours, before anything else: to put it somewhere. */
        int (*place)(void *arg, pid_t pid, spawn_error *e);
        void *place_arg;
        /* NULL, or called in the new process before it becomes CRIU; socket: to us, should there be something to send. */
        int (*before)(void *arg, int socket, spawn_error *e);
        void *before_arg;
};

/* Ended by criu_stop() in any case. */
int criu_start(struct criu_session *s, const struct criu_start *how, spawn_error *e);
int criu_send(const struct criu_session *s, enum criu_type type, const struct pb *opts, spawn_error *e);
/* *ret_fd: descriptor that came along, -1: none. */
int criu_receive(const struct criu_session *s, struct criu_response *ret, int *ret_fd, spawn_error *e);
/* Answer a notification. */
int criu_answer(const struct criu_session *s, bool success, spawn_error *e);
void criu_stop(struct criu_session *s);

#endif
