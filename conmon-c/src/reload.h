/* New orders for a monitor that is at work, also for one that had none. */
#ifndef CONMON_RELOAD_H
#define CONMON_RELOAD_H

#include <stddef.h>

struct monitor;

/* Read the orders again: those of --orders, else BUNDLE/orders. A file that is refused changes nothing; 0, or -errno with
 * a sentence in reterr. */
int reload(struct monitor *m, char *reterr, size_t size);

#endif
