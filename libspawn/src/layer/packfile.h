/* What pack.c needs to know of one file: its attributes, its holes, its other names. */
#ifndef PODLIKE_LAYER_PACKFILE_H
#define PODLIKE_LAYER_PACKFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "tarout.h"

/* Files with several names that were seen: a hash table by device and inode. */
struct pack_link;
struct pack_links {
        struct pack_link *table;
        size_t n, max;
};
/* *ret: the path under which this file was seen first; NULL: now. -ENOMEM. */
int pack_links_find(struct pack_links *links, const struct stat *st, const char *path, const char **ret);
void pack_links_free(struct pack_links *links);

struct pack_extent {
        uint64_t offset, len;
};
struct pack_file {
        int fd;
        uint64_t size;
        struct pack_extent *data; /* malloc'ed; NULL: all of it is data */
        size_t n;
        uint64_t bytes; /* in the extents */
        bool may_shrink; /* what is missing at its end is zeros */
        struct bytes map; /* GNU sparse 1.0; empty: no holes worth the trouble */
};
int pack_find_holes(struct pack_file *file, const struct stat *st, const char *path, spawn_error *reterr);
/* -ESTALE: it shrank meanwhile. */
int pack_write_file(struct tarout *tar, const struct pack_file *file, const char *path, spawn_error *reterr);

/* Pax records of the attributes that belong into a layer, sorted. */
int pack_xattrs(int fd, const char *path, struct bytes *ret, spawn_error *reterr);
/* First character of the directory's overlay.opaque, 0 without it. */
char pack_opaque(int fd);
bool pack_is_xwhiteout(int at, const char *name, const struct stat *st);

#endif
