/* The writing side of tar: one format for equal trees, so that equal trees have equal bytes.
 *
 * ustar where it can say everything, a pax extended header (POSIX.1-2008, pax) before it where it cannot.
 */
#ifndef PODLIKE_LAYER_TAROUT_H
#define PODLIKE_LAYER_TAROUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "libspawn.h"

struct tarout;

struct tar_member {
        const char *path; /* without a slash at either end */
        const char *link; /* target of a symbolic or hard link, or NULL */
        bool hardlink;
        struct stat st; /* type, mode, owner, device; mtime; size of a regular file */
        const char *extra; /* finished pax records of attributes */
        size_t extra_len;
        const char *sparse_map; /* of a file with holes (GNU sparse 1.0): what its data begins with, padded */
        size_t sparse_len;
        uint64_t sparse_bytes; /* of data that follows the map */
};

/* hash: tar_finish() gives a digest; else it is "". */
int tar_open(int fd, bool hash, struct tarout **ret, spawn_error *reterr);
void tar_close(struct tarout *t);
int tar_header(struct tarout *t, const struct tar_member *m, spawn_error *reterr);
int tar_data(struct tarout *t, const void *data, size_t len, spawn_error *reterr);
/* Fill up to a whole block, after a file's data. */
int tar_pad(struct tarout *t, spawn_error *reterr);
/* The end marker; then the sha256 of everything as 64 hex digits, if it was asked for. */
int tar_finish(struct tarout *t, char ret_hex[65], spawn_error *reterr);

/* A growing text of bytes; buf is NULL or malloc'ed. */
struct bytes {
        char *buf;
        size_t len, max;
};
int bytes_add(struct bytes *b, const void *data, size_t len, spawn_error *reterr);
/* One pax record: "LENGTH KEY=VALUE\n", LENGTH counting itself. */
int pax_record(struct bytes *b, const char *key, const void *value, size_t len, spawn_error *reterr);

#endif
