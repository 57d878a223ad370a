/* podlike-layer pack: a directory tree as a layer. */
#ifndef PODLIKE_LAYER_PACK_H
#define PODLIKE_LAYER_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "libspawn.h"

struct pack_how {
        bool root_entry; /* begin with an entry for the directory itself */
        bool holes; /* keep them as holes (GNU sparse); else they are written as zeros */
};

struct pack_result {
        uint64_t entries;
        uint64_t size; /* bytes of regular files */
        uint64_t skipped_sockets; /* tar has no word for them, and a socket without its process is nothing */
};

/* Write the tree at root_fd to out_fd as an uncompressed tar. ret_hex: its sha256. */
int layer_pack(int root_fd, int out_fd, const struct pack_how *how, struct pack_result *ret, char ret_hex[65],
               spawn_error *reterr);

#endif
