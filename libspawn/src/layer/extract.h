/* What the parts of unpacking share: extract.c makes files, metadata.c gives them owner, mode, attributes and time. */
#ifndef PODLIKE_LAYER_EXTRACT_H
#define PODLIKE_LAYER_EXTRACT_H

#include "layer.h"

struct archive;
struct archive_entry;

struct extract {
        struct layer_stream *stream;
        struct layer_tree tree;
        const struct layer_how *how;
        uid_t uid; /* of what we make */
        gid_t gid;
        bool default_acls; /* the layer brings some: modes are no longer what they were created with */
        struct archive *archive;
        spawn_error stream_error; /* filled by the read callback */
        int stream_code;
        struct layer_result result;
        spawn_error *reterr;
};

/* One member being written. */
struct member {
        struct archive_entry *entry;
        const char *name; /* as in the tar, for messages */
        int at; /* directory, owned by the tree */
        const char *base;
        mode_t mode;
        struct timespec mtime;
};

/* `return layer_fail(x, errno, "create", m);` */
int layer_fail(struct extract *x, int code, const char *stage, const struct member *m);
/* Of any kind of file. fd: -1 for what cannot be opened. */
int layer_set_metadata(struct extract *x, const struct member *m, int fd);
/* Of a regular file that was made with the right permissions just now: only what has to be done. */
int layer_set_file_metadata(struct extract *x, const struct member *m, int fd);

#endif
