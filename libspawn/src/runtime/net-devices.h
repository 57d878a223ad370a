/* Interfaces of the host that move into the container's network namespace. */
#ifndef PODLIKE_NET_DEVICES_H
#define PODLIKE_NET_DEVICES_H

#include "config.h"

/* Move them to the network namespace of a process. */
int net_devices_move(const struct oci_net_device *v, size_t n, pid_t pid, spawn_error *e);

#endif
