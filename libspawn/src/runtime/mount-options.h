/* Mount options of config.json and of mount(8). */
#ifndef PODLIKE_MOUNT_OPTIONS_H
#define PODLIKE_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct mount_options {
        bool bind, recursive; /* bind, rbind */
        bool remount; /* change what is mounted there */
        bool tmpcopyup; /* tmpfs: start with what the image has there */
        bool copy_symlink; /* a source that is a symbolic link is copied as one */
        bool src_nofollow, dest_nofollow; /* a symbolic link is the thing itself */
        bool idmap, idmap_recursive;
        const char *idmap_text; /* what comes after "idmap=" in option idmap_index */
        size_t idmap_index;
        unsigned long ms_flags; /* MS_*: for a new file system */
        uint64_t attr_set, attr_clr; /* MOUNT_ATTR_*: for a bind mount; only what the options named */
        uint64_t rec_set, rec_clr; /* the same for it and everything below (rro ...) */
        unsigned long propagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC for the r forms */
        const char *data; /* what only the file system understands, comma separated; NULL: nothing */
};

/* Returns 0, or -ENOMEM with *ret_bad the index of the option that did not fit. Later options win. */
int mount_options_parse(const char *const *v, size_t n, struct arena *a, struct mount_options *ret, size_t *ret_bad);

/* Name of the i-th option that is understood here, NULL after the last (podlike-spawn features). */
const char *mount_option_name(size_t i);
/* The i-th option also has a form for whole trees, with "r" before it: "rro". */
bool mount_option_recursive(size_t i);

#endif
