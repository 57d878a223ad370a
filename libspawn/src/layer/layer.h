/* podlike-layer: one image layer from a stream to a directory tree. */
#ifndef PODLIKE_LAYER_H
#define PODLIKE_LAYER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "libspawn.h"
#include "owners.h"

/* Limits. Each is far above any layer seen in a public registry and far below what would hurt the host. */
#define LAYER_MAX_ENTRIES                                                                                              \
        4000000u /* with the directories that no entry names; node_modules reach some hundred thousand */
#define LAYER_MAX_DEPTH 1024u /* PATH_MAX allows 2047 one-letter components */
#define LAYER_MAX_XATTR_BYTES (64u << 10) /* XATTR_SIZE_MAX of the kernel */
#define LAYER_DEFAULT_MAX_SIZE (UINT64_C(1) << 40) /* bytes of the tar, and of its files with their holes */
#define LAYER_RATIO_FREE (UINT64_C(4) << 30) /* below this many bytes no ratio is checked */
#define LAYER_MAX_RATIO 1100u /* deflate cannot exceed 1032:1 (zlib's technical notes) */

/* stream.c: stdin, decompressed and hashed by a thread of its own, so that inflate and file creation overlap.
 * The thread is never joined when unpacking failed: the program ends. */
struct layer_stream;
int layer_stream_open(int fd, uint64_t max_size, bool hash, struct layer_stream **ret, spawn_error *reterr);
/* The next piece of the uncompressed stream; valid until the next call. 0 at its end. */
ssize_t layer_stream_next(struct layer_stream *s, const void **ret, spawn_error *reterr);
/* Read what is left, then give the sha256 of everything as 64 hex digits; "" without hash. */
int layer_stream_finish(struct layer_stream *s, char ret_hex[65], spawn_error *reterr);

/* layer-inflate.c: one gzip member, by ISA-L where its library is to be had (three times as fast), else by zlib. */
#define LAYER_INFLATER_BACK 8u /* the most that is given back */
struct layer_inflater;
struct layer_inflation {
        const unsigned char *in; /* in, n_in, out, n_out: advanced by what was used */
        size_t n_in;
        unsigned char *out;
        size_t n_out;
        unsigned char back[LAYER_INFLATER_BACK]; /* input that was read and lies after the member's end, */
        size_t n_back; /* to be put before what is left of in */
        const char *why; /* words for an error */
};
struct layer_inflater *layer_inflater_new(void); /* NULL: out of memory */
void layer_inflater_free(struct layer_inflater *z);
/* The next byte is the first one of a member. */
void layer_inflater_reset(struct layer_inflater *z);
/* 0: go on with more input or more room; 1: the member has ended, its checksum is right; -EBADMSG: corrupt. */
int layer_inflater_run(struct layer_inflater *z, struct layer_inflation *x);

struct layer_result {
        uint64_t entries;
        uint64_t size; /* bytes of regular files */
        uint64_t skipped_devices; /* device nodes that a user namespace may not create */
        uint64_t skipped_owners; /* files that stay the caller's: only with ignore_owners */
        uint64_t skipped_xattrs; /* attributes that the file system or the namespace refuses */
};

/* What the caller of an unpacking chooses. */
struct layer_how {
        const char *opaque_xattr; /* user.overlay.opaque, trusted.overlay.opaque */
        uint64_t max_size, max_entries;
        bool initial_userns; /* devices can be made, and every id exists */
        bool ignore_owners; /* who cannot own a file does not: it stays the caller's, without its set-id bits */
        bool plain; /* an ordinary archive into a directory that is in use: no whiteouts, no times of its own making */
        bool keep_kinds; /* a directory does not take the place of something else, nor the other way round */
        struct layer_owners owners;
};

/* extract.c */
int layer_extract(struct layer_stream *s, int root_fd, const struct layer_how *how, struct layer_result *ret,
                  spawn_error *reterr);

/* Who owns a file that was just made in the current directory. Mostly that is the owner that the layer wants, too, which
 * saves a call a file; but set-group-id directories and mount options can make it somebody else. */
enum layer_owner {
        LAYER_OWNER_UNKNOWN,
        LAYER_OWNER_CALLER,
        LAYER_OWNER_OTHER,
};

/* tree.c: names to directory fds beneath the root, and removal of what a later entry replaces. */
struct layer_tree {
        int root_fd;
        int dir_fd; /* of the directory used last: entries come grouped by directory */
        char dir[4096]; /* its cleaned path, "" for the root */
        struct timespec dir_mtime; /* what its time will be again when it is left */
        enum layer_owner owner; /* of new files in it */
        bool dir_valid, stale;
        const struct layer_owners *unnamed; /* whose directories are that no entry names, and which have today's time;
                                               NULL: the caller's, without a time */
        const char *opaque_xattr;
        uint64_t budget; /* entries and directories that may still come */
};
/* Clean a member name: no leading slash, no "." and empty components. Fails on "..", too long, too deep.
 * ret: at least PATH_MAX bytes; "" names the root. */
int layer_clean_path(const char *name, char *ret, spawn_error *reterr);
/* The directory that holds path, created where missing (0755, root), and the last component. The fd belongs to the tree.
 * -ENOTDIR: a file of this layer stands in the way. */
int layer_tree_parent(struct layer_tree *t, const char *path, bool for_whiteout, const char **ret_base,
                      spawn_error *reterr);
/* Remove what stands at base. *ret_whiteout: it was a whiteout, so lower layers' content of this name stays hidden. */
int layer_tree_remove(struct layer_tree *t, int dir_fd, const char *base, bool *ret_whiteout, spawn_error *reterr);
int layer_tree_set_opaque(struct layer_tree *t, int dir_fd, spawn_error *reterr);
/* An O_PATH fd of the directory at path, "" for the root; -1 with errno. */
int layer_tree_open_dir(struct layer_tree *t, const char *path);
/* Put the current directory's time back; none is current then. */
int layer_tree_leave(struct layer_tree *t, spawn_error *reterr);
/* The same without its time, after an error. */
void layer_tree_forget(struct layer_tree *t);
bool layer_is_whiteout(mode_t mode, dev_t rdev);

#endif
