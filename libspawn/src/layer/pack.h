/* podlike-layer pack: a directory tree as a layer. */
#ifndef PODLIKE_LAYER_PACK_H
#define PODLIKE_LAYER_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "libspawn.h"
#include "owners.h"

struct pack_how {
        bool root_entry; /* begin with an entry for the directory itself */
        bool plain; /* an ordinary tree: nothing in it is a whiteout */
        bool marks; /* files .wh.NAME are whiteouts already, as fuse-overlayfs makes them */
        bool skip_unreadable; /* what may not be opened is left out */
        bool live; /* it changes meanwhile: what is gone by its turn is left out, what has become shorter is filled up */
        const char *prefix; /* all names begin with it; the directory's, or the file's, own name */
        const char *const *exclude; /* names in the directory itself that are left out, */
        size_t n_exclude;
        struct layer_owners owners;
        bool holes; /* keep them as holes (GNU sparse); else they are written as zeros */
};

struct pack_result {
        uint64_t entries;
        uint64_t size; /* bytes of regular files */
        uint64_t skipped_sockets; /* tar has no word for them, and a socket without its process is nothing */
        uint64_t skipped_unreadable;
};

/* Write the tree at root_fd, or the one regular file that it is, to out_fd as an uncompressed tar. ret_hex: its sha256. */
int layer_pack(int root_fd, int out_fd, const struct pack_how *how, struct pack_result *ret, char ret_hex[65],
               spawn_error *reterr);

#endif
