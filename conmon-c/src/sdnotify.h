/* Pass readiness that the container tells on to the service manager: only what it may say about itself. */
#ifndef CONMON_SDNOTIFY_H
#define CONMON_SDNOTIFY_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"
#include "options.h"

struct sdnotify {
        struct loop *loop;
        struct source source;
        int out;
};

void sdnotify_init(struct sdnotify *notify, struct loop *loop);

/* Listen at BUNDLE/notify/notify.sock for the socket in opt->sdnotify_socket; 0, or -errno after a message. */
int sdnotify_open(struct sdnotify *notify, const struct options *opt);
/* Send one message to the socket at path ("@..." is abstract); 0 or -errno. */
int sdnotify_send(const char *path, const char *text);
void sdnotify_done(struct sdnotify *notify);

/* Whether a line (without its newline) may be passed on. Source: sd_notify(3). */
bool sdnotify_allowed(const char *line, size_t len);

#endif
