/* Members of a layer's tar to files.
 *
 * libarchive runs in the C locale on purpose: in a UTF-8 locale it normalizes names of pax headers (NFD becomes NFC)
 * and so would change files; in the C locale it warns and hands out the bytes as they are.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "layer.h"
#include "util.h"

#define WHITEOUT_PREFIX ".wh." /* OCI image spec, layer.md, "Whiteouts" */
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META ".wh..wh." /* aufs' own files in very old layers: not content */

struct dir_time {
        char *path;
        struct timespec mtime;
};

struct extract {
        struct layer_stream *stream;
        struct layer_tree tree;
        bool initial_userns;
        struct archive *archive;
        spawn_error stream_error; /* filled by the read callback */
        int stream_code;
        struct dir_time *dirs; /* set at the end: creating files in a directory changes its time */
        size_t n_dirs, max_dirs;
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

static int fail(struct extract *x, int code, const char *stage, const struct member *m)
{
        return spawn_err(x->reterr, code, stage, "%.400s: %s", m->name, strerror(code));
}

static la_ssize_t on_read(struct archive *a, void *data, const void **ret)
{
        struct extract *x = data;
        ssize_t n = layer_stream_next(x->stream, ret, &x->stream_error);

        if (n < 0) {
                x->stream_code = (int) n;
                archive_set_error(a, (int) -n, "layer stream");
                return -1;
        }
        return n;
}

static int archive_fail(struct extract *x, const char *name)
{
        const char *why = archive_error_string(x->archive);

        if (x->stream_code < 0) {
                *x->reterr = x->stream_error;
                return x->stream_code;
        }
        if (name != NULL)
                return spawn_err(x->reterr, EBADMSG, "read layer", "%.300s: %s", name, why ? why : "corrupt tar");
        return spawn_err(x->reterr, EBADMSG, "read layer", "%s", why ? why : "corrupt tar");
}

static int set_owner(struct extract *x, const struct member *m, int fd)
{
        la_int64_t uid = archive_entry_uid(m->entry), gid = archive_entry_gid(m->entry);

        if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
                return spawn_err(x->reterr, EINVAL, "set owner", "%.300s: %lld:%lld is no user and group id", m->name,
                                 (long long) uid, (long long) gid);
        if (fd >= 0 ? fchown(fd, (uid_t) uid, (gid_t) gid) == 0
                    : fchownat(m->at, m->base, (uid_t) uid, (gid_t) gid, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        if (errno == EINVAL) /* chown(2): the id has no mapping in this user namespace */
                return spawn_err(x->reterr, ERANGE, "set owner",
                                 "%.300s: it belongs to %lld:%lld, which the subordinate ids of this user do not reach",
                                 m->name, (long long) uid, (long long) gid);
        return fail(x, errno, "set owner of", m);
}

/* overlay's own attributes would change what the layers above and below mean; SELinux labels are the host's to give. */
static bool xattr_is_refused(const char *name)
{
        return strncmp(name, "user.overlay.", 13) == 0 || strncmp(name, "trusted.overlay.", 16) == 0 ||
               strcmp(name, "security.selinux") == 0;
}

static int set_xattrs(struct extract *x, const struct member *m, int fd)
{
        const char *name;
        const void *value;
        size_t size;

        (void) archive_entry_xattr_reset(m->entry);
        while (archive_entry_xattr_next(m->entry, &name, &value, &size) == ARCHIVE_OK) {
                char path[64 + NAME_MAX];
                int r;

                if (name == NULL || xattr_is_refused(name))
                        continue;
                if (size > LAYER_MAX_XATTR_BYTES)
                        return fail(x, E2BIG, "set attribute of", m);
                if (fd >= 0) {
                        r = fsetxattr(fd, name, value, size, 0);
                } else {
                        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", m->at, m->base);
                        r = lsetxattr(path, name, value, size, 0);
                }
                if (r == 0)
                        continue;
                if (errno != ENOTSUP && (x->initial_userns || errno != EPERM))
                        return fail(x, errno, "set attribute of", m);
                x->result.skipped_xattrs++;
        }
        return 0;
}

/* Owner before mode (chown clears set-id bits) and before attributes (chown drops capabilities). */
static int set_metadata(struct extract *x, const struct member *m, int fd)
{
        const struct timespec times[2] = {m->mtime, m->mtime};
        int r = set_owner(x, m, fd);

        if (r < 0)
                return r;
        if (fd >= 0 ? fchmod(fd, m->mode) < 0
                    : archive_entry_filetype(m->entry) != AE_IFLNK && fchmodat(m->at, m->base, m->mode, 0) < 0)
                return fail(x, errno, "set mode of", m);
        r = set_xattrs(x, m, fd);
        if (r < 0)
                return r;
        if (fd >= 0 ? futimens(fd, times) < 0 : utimensat(m->at, m->base, times, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(x, errno, "set time of", m);
        return 0;
}

/* Make room for a member that is not a directory. */
static int replace(struct extract *x, const struct member *m)
{
        return layer_tree_remove(&x->tree, m->at, m->base, NULL, x->reterr);
}

static int write_block(int fd, const char *p, size_t n, off_t offset)
{
        while (n > 0) {
                ssize_t w = pwrite(fd, p, n, offset);

                if (w < 0 && errno == EINTR)
                        continue;
                if (w < 0)
                        return -errno;
                p += w;
                n -= (size_t) w;
                offset += w;
        }
        return 0;
}

static int write_data(struct extract *x, const struct member *m, int fd)
{
        la_int64_t size = archive_entry_size(m->entry), end = 0, offset;
        const void *block;
        size_t n;
        int r;

        for (;;) {
                r = archive_read_data_block(x->archive, &block, &n, &offset);
                if (r == ARCHIVE_EOF)
                        break;
                if (r < ARCHIVE_WARN)
                        return archive_fail(x, m->name);
                r = write_block(fd, block, n, offset);
                if (r < 0)
                        return fail(x, -r, "write", m);
                end = offset + (la_int64_t) n;
        }
        if (end < size && ftruncate(fd, size) < 0) /* a hole at the end of a sparse file */
                return fail(x, errno, "write", m);
        x->result.size += (uint64_t) size;
        return 0;
}

static int extract_file(struct extract *x, const struct member *m)
{
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        _cleanup_close_ int fd = openat(m->at, m->base, flags, 0600);
        int r;

        if (fd < 0 && errno == EEXIST) {
                r = replace(x, m);
                if (r < 0)
                        return r;
                fd = openat(m->at, m->base, flags, 0600);
        }
        if (fd < 0)
                return fail(x, errno, "create", m);
        r = write_data(x, m, fd);
        return r < 0 ? r : set_metadata(x, m, fd);
}

static int remember_dir(struct extract *x, const char *path, struct timespec mtime)
{
        if (x->n_dirs == x->max_dirs) {
                size_t max = x->max_dirs ? x->max_dirs * 2 : 1024;
                struct dir_time *dirs = reallocarray(x->dirs, max, sizeof(*dirs));

                if (dirs == NULL)
                        return spawn_err(x->reterr, ENOMEM, "unpack layer", "out of memory");
                x->dirs = dirs;
                x->max_dirs = max;
        }
        x->dirs[x->n_dirs] = (struct dir_time){.path = strdup(path), .mtime = mtime};
        if (x->dirs[x->n_dirs].path == NULL)
                return spawn_err(x->reterr, ENOMEM, "unpack layer", "out of memory");
        x->n_dirs++;
        return 0;
}

static int finish_dir(struct extract *x, const struct member *m, const char *path, int fd)
{
        int r = set_metadata(x, m, fd);

        return r < 0 ? r : remember_dir(x, path, m->mtime);
}

/* A directory joins one that is there already; anything else at its name goes. */
static int extract_dir(struct extract *x, const struct member *m, const char *path)
{
        _cleanup_close_ int fd = -1;
        bool whiteout = false;
        struct stat st;
        int r;

        if (mkdirat(m->at, m->base, 0700) < 0) {
                if (errno != EEXIST || fstatat(m->at, m->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return fail(x, errno, "create directory", m);
                if (!S_ISDIR(st.st_mode)) {
                        r = layer_tree_remove(&x->tree, m->at, m->base, &whiteout, x->reterr);
                        if (r < 0)
                                return r;
                        if (mkdirat(m->at, m->base, 0700) < 0)
                                return fail(x, errno, "create directory", m);
                }
        }
        fd = openat(m->at, m->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return fail(x, errno, "open directory", m);
        if (whiteout) {
                r = layer_tree_set_opaque(&x->tree, fd, x->reterr);
                if (r < 0)
                        return r;
        }
        return finish_dir(x, m, path, fd);
}

static int extract_root(struct extract *x, const struct member *m)
{
        _cleanup_close_ int fd = -1;

        if (archive_entry_filetype(m->entry) != AE_IFDIR)
                return spawn_err(x->reterr, EINVAL, "unpack layer", "entry \"%.300s\" would replace the root directory",
                                 m->name);
        fd = openat(x->tree.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? fail(x, errno, "open directory", m) : finish_dir(x, m, "", fd);
}

static int extract_symlink(struct extract *x, const struct member *m)
{
        const char *target = archive_entry_symlink(m->entry);
        int r = replace(x, m);

        if (r < 0)
                return r;
        if (target == NULL || symlinkat(target, m->at, m->base) < 0)
                return fail(x, target ? errno : EINVAL, "create symbolic link", m);
        return set_metadata(x, m, -1);
}

/* The other name's directory needs an fd of its own: the tree's belongs to m. */
static int extract_hardlink(struct extract *x, const struct member *m, const char *path, const char *target)
{
        char old[PATH_MAX];
        const char *slash;
        _cleanup_close_ int dir = -1;
        int r = layer_clean_path(target, old, x->reterr);

        if (r < 0)
                return spawn_err(x->reterr, EINVAL, "create hard link",
                                 "%.200s: its target \"%.200s\" leads out of the layer", m->name, target);
        if (strcmp(old, path) == 0)
                return 0;
        slash = strrchr(old, '/');
        if (slash != NULL)
                old[slash - old] = '\0';
        dir = layer_tree_open_dir(&x->tree, slash ? old : "");
        if (dir >= 0) {
                r = replace(x, m);
                if (r < 0)
                        return r;
                if (linkat(dir, slash ? slash + 1 : old, m->at, m->base, 0) == 0)
                        return 0;
        }
        return spawn_err(x->reterr, errno, "create hard link", "%.200s to \"%.200s\": %s", m->name, target,
                         strerror(errno));
}

/* A user namespace may make fifos and whiteouts, but no other device (mknod(2)): counted and left out. */
static int extract_node(struct extract *x, const struct member *m)
{
        mode_t type = archive_entry_filetype(m->entry);
        dev_t dev = makedev((unsigned) archive_entry_rdevmajor(m->entry), (unsigned) archive_entry_rdevminor(m->entry));
        int r;

        if (type != AE_IFIFO && (!x->initial_userns || layer_is_whiteout(type, dev))) {
                x->result.skipped_devices++;
                return 0;
        }
        r = replace(x, m);
        if (r < 0)
                return r;
        if (mknodat(m->at, m->base, type | 0600, type == AE_IFIFO ? 0 : dev) < 0)
                return fail(x, errno, "create device", m);
        return set_metadata(x, m, -1);
}

/* Hide base of the layers below. What this very layer holds there stays: a whiteout concerns lower layers only
 * (layer.md), so a directory of ours becomes opaque, and a file of ours hides the lower one by itself. */
static int extract_whiteout(struct extract *x, const struct member *m, const char *base)
{
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
                return spawn_err(x->reterr, EINVAL, "unpack layer", "entry \"%.300s\" is a whiteout of nothing",
                                 m->name);
        if (mknodat(m->at, base, S_IFCHR, makedev(0, 0)) == 0)
                return 0;
        if (errno != EEXIST || fstatat(m->at, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(x, errno, "create whiteout", m);
        if (!S_ISDIR(st.st_mode))
                return 0;
        fd = openat(m->at, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? fail(x, errno, "open directory", m) : layer_tree_set_opaque(&x->tree, fd, x->reterr);
}

static int extract_opaque(struct extract *x, const struct member *m)
{
        _cleanup_close_ int fd = openat(m->at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? fail(x, errno, "open directory", m) : layer_tree_set_opaque(&x->tree, fd, x->reterr);
}

static int extract_typed(struct extract *x, const struct member *m, const char *path)
{
        const char *link = archive_entry_hardlink(m->entry);

        if (link != NULL)
                return extract_hardlink(x, m, path, link);
        switch (archive_entry_filetype(m->entry)) {
        case AE_IFREG:
                return extract_file(x, m);
        case AE_IFDIR:
                return extract_dir(x, m, path);
        case AE_IFLNK:
                return extract_symlink(x, m);
        case AE_IFCHR:
        case AE_IFBLK:
        case AE_IFIFO:
                return extract_node(x, m);
        default:
                return spawn_err(x->reterr, EINVAL, "unpack layer", "entry \"%.300s\" has a type that no file has",
                                 m->name);
        }
}

static bool below_whiteout_meta(const char *path)
{
        return strncmp(path, WHITEOUT_META, strlen(WHITEOUT_META)) == 0 && strcmp(path, WHITEOUT_OPAQUE) != 0;
}

static int extract_entry(struct extract *x, struct archive_entry *entry)
{
        const char *name = archive_entry_pathname(entry);
        struct member m = {
                .entry = entry,
                .name = name,
                .mode = archive_entry_perm(entry),
                .mtime = {.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)},
        };
        char path[PATH_MAX];
        bool whiteout;
        int r;

        if (name == NULL)
                return spawn_err(x->reterr, EBADMSG, "read layer", "entry %llu has no name",
                                 (unsigned long long) x->result.entries);
        r = layer_clean_path(name, path, x->reterr);
        if (r < 0)
                return r;
        if (path[0] == '\0')
                return extract_root(x, &m);
        if (below_whiteout_meta(path))
                return 0;
        m.base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        whiteout = strncmp(m.base, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0;
        m.at = layer_tree_parent(&x->tree, path, whiteout, &m.base, x->reterr);
        if (m.at < 0)
                /* `rm -r a` is sometimes written as .wh.a and a/.wh.b: the second adds nothing. */
                return whiteout && m.at == -ENOTDIR ? 0 : m.at;
        if (whiteout && strcmp(m.base, WHITEOUT_OPAQUE) == 0)
                return extract_opaque(x, &m);
        return whiteout ? extract_whiteout(x, &m, m.base + strlen(WHITEOUT_PREFIX)) : extract_typed(x, &m, path);
}

/* A directory may have been replaced since by something else: then there is nothing to set. */
static int set_dir_times(struct extract *x)
{
        for (size_t i = 0; i < x->n_dirs; i++) {
                const struct timespec times[2] = {x->dirs[i].mtime, x->dirs[i].mtime};
                _cleanup_close_ int fd = layer_tree_open_dir(&x->tree, x->dirs[i].path);

                if (fd >= 0 && utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
                        return spawn_err(x->reterr, errno, "set time of", "%.400s: %s", x->dirs[i].path,
                                         strerror(errno));
        }
        return 0;
}

static int extract_all(struct extract *x)
{
        struct archive_entry *entry;
        int r;

        for (;;) {
                r = archive_read_next_header(x->archive, &entry);
                if (r == ARCHIVE_EOF)
                        return set_dir_times(x);
                if (r < ARCHIVE_WARN)
                        return archive_fail(x, NULL);
                if (++x->result.entries > LAYER_MAX_ENTRIES)
                        return spawn_err(x->reterr, EFBIG, "unpack layer", "it has more than %u entries",
                                         LAYER_MAX_ENTRIES);
                r = extract_entry(x, entry);
                if (r < 0)
                        return r;
        }
}

int layer_extract(struct layer_stream *s, int root_fd, bool initial_userns, const char *opaque_xattr,
                  struct layer_result *ret, spawn_error *reterr)
{
        struct extract x = {
                .stream = s,
                .tree = {.root_fd = root_fd, .dir_fd = -1, .opaque_xattr = opaque_xattr},
                .initial_userns = initial_userns,
                .archive = archive_read_new(),
                .reterr = reterr,
        };
        int r;

        if (x.archive == NULL)
                return spawn_err(reterr, ENOMEM, "unpack layer", "out of memory");
        /* A layer without any file is an empty stream or just zeros. */
        if (archive_read_support_format_tar(x.archive) != ARCHIVE_OK ||
            archive_read_support_format_empty(x.archive) != ARCHIVE_OK ||
            archive_read_open(x.archive, &x, NULL, on_read, NULL) != ARCHIVE_OK)
                r = archive_fail(&x, NULL);
        else
                r = extract_all(&x);
        (void) archive_read_free(x.archive);
        layer_tree_forget(&x.tree);
        for (size_t i = 0; i < x.n_dirs; i++)
                free(x.dirs[i].path);
        free(x.dirs);
        *ret = x.result;
        return r;
}
