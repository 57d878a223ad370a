/* Restart policies: whether a container that has ended is wanted again, and after how long. */
#ifndef CONMON_RESTART_H
#define CONMON_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "orders.h"

/* code: as the container ended; restarts: how many there were. */
bool restart_wanted(const struct orders *orders, int code, unsigned int restarts);

/* ms to wait now. wait: the last one, 0 before the first; ran: ms that the last run took. */
int64_t restart_wait(const struct orders *orders, int64_t wait, int64_t ran);

#endif
