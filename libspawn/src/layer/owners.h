/* Whose files are, in the words of another user namespace than the one we are in, or by decree. */
#ifndef PODLIKE_LAYER_OWNERS_H
#define PODLIKE_LAYER_OWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYER_MAX_ID_RANGES 340u /* what the kernel takes for one user namespace (user_namespaces(7)) */

struct layer_id_range {
        uint32_t from, to, count;
};
struct layer_ids {
        struct layer_id_range range[LAYER_MAX_ID_RANGES];
        size_t n; /* 0: every id is itself */
};
struct layer_owners {
        struct layer_ids uids, gids;
        bool forced; /* everything belongs to uid and gid */
        uint32_t uid, gid;
};

/* "FROM:TO:COUNT,..." */
bool layer_ids_parse(const char *arg, struct layer_ids *ret);
/* "UID:GID" */
bool layer_owners_parse(const char *arg, struct layer_owners *ret);
/* false: one of the two ids has no counterpart. */
bool layer_owners_map(const struct layer_owners *o, uint32_t uid, uint32_t gid, uint32_t *ret_uid, uint32_t *ret_gid);

#endif
