/* The attach socket and its clients.
 *
 * Output goes to a client in packets of one stream byte and at most 8192 bytes; what a client sends is the container's
 * stdin. Nothing is queued: the relay's buffer is the queue. While any client has not yet taken all of it, the relay reads
 * no more output (back-pressure, as a pipe has it), so a client that reads slowly loses nothing. A client that has not
 * read anything for `patience` while output waited for it is cut off: its output ends, and the container
 * goes on. The client that belongs to the owner of a foreground run is exempt, because there the container is a command
 * in the user's pipeline ("run ... | less") and has to wait for its reader like any other.
 */
#ifndef CONMON_ATTACH_H
#define CONMON_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "input.h"
#include "log.h"
#include "loop.h"
#include "scratch.h"

#define ATTACH_PACKET 8192
#define ATTACH_PATIENCE_MS 10000

struct client;

struct attach {
        struct loop *loop;
        struct input *input;
        struct source listener;
        struct source timer; /* runs while a client is behind */
        bool timer_runs;
        struct client *clients;
        struct scratch in;

        const char *chunk; /* output that clients are being sent, in the relay's buffer */
        size_t chunk_len;
        char chunk_id;
        unsigned int n_behind;

        pid_t owner; /* process whose clients are never cut off; 0: none */
        int patience; /* ms; 0: no client is ever cut off */

        void (*caught_up)(void *data); /* no client is behind any more */
        void *data;

        char *path; /* of the socket */
        char *symlink; /* to its directory; NULL with --full-attach */
};

void attach_init(struct attach *attach, struct loop *loop, struct input *input);

/* Make the socket; 0, or -errno after a message. */
int attach_listen(struct attach *attach, const struct options *opt);

/* Send output to all clients; true when some are behind: buf must stay as it is until caught_up is called. */
bool attach_send(struct attach *attach, enum stream_id stream, const char *buf, size_t len);

/* Take clients that have connected but were not accepted yet. */
void attach_accept_all(struct attach *attach);

/* Whether there are clients and none of them has input left to send. */
bool attach_input_over(const struct attach *attach);

/* All output has been sent: tell clients so, and take no new ones. */
void attach_finish(struct attach *attach);

void attach_remove_symlink(struct attach *attach);
void attach_done(struct attach *attach);

#endif
