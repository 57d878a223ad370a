/* The container's output: read, logged, sent to the clients. */
#ifndef CONMON_RELAY_H
#define CONMON_RELAY_H

#include <stdbool.h>

#include "attach.h"
#include "log.h"
#include "loop.h"
#include "scratch.h"

/* What one read takes: all that a pipe holds. */
#define RELAY_CHUNK 65536

struct stream {
        struct source source;
        struct relay *relay;
        enum stream_id id;
        bool tty;
        bool hung_up; /* a terminal that nobody has open: watched by edges, so as not to spin */
        size_t left; /* while draining: bytes still to be read at most */
};

/* Output that was read and logged after the container's end while the buffer was still in use. */
struct leftover {
        struct leftover *next;
        enum stream_id id;
        size_t len;
        char buf[];
};

struct relay {
        struct loop *loop;
        struct log *log;
        struct attach *attach;
        struct stream out, err;
        struct scratch buf;
        bool started;
        bool paused; /* a client is behind: the buffer is in use */
        bool draining; /* the container has ended: take what is there, then stop */
        bool drained; /* ... and all of it has been sent */
        struct leftover *leftovers;
};

void relay_init(struct relay *relay, struct loop *loop, struct log *log, struct attach *attach);

/* fd: non-blocking, owned from here on. */
void relay_set(struct relay *relay, enum stream_id id, int fd, bool tty);

/* The runtime is starting: what it says on stderr is left in the pipe, for an error message. But a pipe that is half full
 * (a talkative hook, a command in a hurry) is read at once, or its writer would wait for us and we for the runtime. */
void relay_prepare(struct relay *relay);

/* Begin to read: the runtime is done, what comes now is the container's. */
void relay_start(struct relay *relay);

/* The container has ended: read and log what is left, at once. relay->drained is set as soon as all clients have it. */
void relay_drain(struct relay *relay);

/* All was sent, and the container will be made anew: close the old streams and be as new, with the same clients. */
void relay_reset(struct relay *relay);

/* No output for a while: give memory back. */
void relay_trim(struct relay *relay);

void relay_done(struct relay *relay);

#endif
