/* BUNDLE/control: requests from the engine to a container's monitor, and its answers.
 *
 * SOCK_SEQPACKET; a request is one packet with one word, the answer one packet. docs/ARCHITECTURE.md, "Tended
 * containers", has both.
 */
#ifndef CONMON_CONTROL_H
#define CONMON_CONTROL_H

#include <stdbool.h>

#include "loop.h"

struct monitor;
struct control_client;

enum request { REQUEST_NONE, REQUEST_START, REQUEST_HOLD, REQUEST_CHECK };

struct control {
        struct monitor *m;
        struct source listener;
        struct control_client *clients;
};

void control_init(struct control *control, struct monitor *m);

/* Make the socket; 0, or -errno after a message. */
int control_open(struct control *control);

/* Take all requests that were sent so far: one that was made before a decision is known when it is taken. */
void control_poll(struct control *control);

/* Answer everybody who waits for a request of this kind. later: not before control_settle. */
void control_answer(struct control *control, enum request kind, const char *text, bool later);

/* What was asked for has come about: the container runs, or its end can be seen by everybody. */
void control_settle(struct control *control);

/* The last of it: nobody is answered any more. */
void control_finish(struct control *control);
void control_done(struct control *control);

#endif
