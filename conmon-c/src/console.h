/* The console socket: the runtime connects to it and sends the master side of the container's terminal.
 * Source: runc's docs/terminals.md. */
#ifndef CONMON_CONSOLE_H
#define CONMON_CONSOLE_H

#include "loop.h"

struct console {
        struct loop *loop;
        struct source listener, connection;
        char *path;
        void (*received)(void *data, int tty); /* gets the fd to own */
        void *data;
};

void console_init(struct console *console, struct loop *loop, void (*received)(void *data, int tty), void *data);

/* Make the socket, in $TMPDIR; 0, or -errno after a message. */
int console_listen(struct console *console);

/* The runtime has ended: take what it may have left on the way. */
void console_finish(struct console *console);

void console_done(struct console *console);

#endif
