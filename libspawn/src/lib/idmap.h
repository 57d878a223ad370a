/* Ids of user namespaces. */
#ifndef PODLIKE_IDMAP_H
#define PODLIKE_IDMAP_H

/* user_namespaces(7): lines of a map, since Linux 4.15. */
#define IDMAP_MAX 340

#endif
