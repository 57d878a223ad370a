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

#include "extract.h"
#include "util.h"

#define WHITEOUT_PREFIX ".wh." /* OCI image spec, layer.md, "Whiteouts" */
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META ".wh..wh." /* aufs' own files in very old layers: not content */

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

/* In podman's words, which scripts look for. */
static int other_kind(struct extract *x, const struct member *m, const char *attempt)
{
        int n = (int) strlen(m->name);

        while (n > 0 && m->name[n - 1] == '/')
                n--;
        return spawn_err(x->reterr, EEXIST, "error creating", "\"/%.*s\": %s: file exists", n < 400 ? n : 400, m->name,
                         attempt);
}

/* Make room for a member that is not a directory. */
static int replace(struct extract *x, const struct member *m)
{
        struct stat st;

        if (x->how->keep_kinds && fstatat(m->at, m->base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
                return other_kind(x, m, "open");
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

        if (size < 0 || (uint64_t) size > x->how->max_size - x->result.size)
                return spawn_err(x->reterr, EFBIG, "unpack layer", "%.300s: its files have more than %llu bytes",
                                 m->name, (unsigned long long) x->how->max_size);
        for (;;) {
                r = archive_read_data_block(x->archive, &block, &n, &offset);
                if (r == ARCHIVE_EOF)
                        break;
                if (r < ARCHIVE_WARN)
                        return archive_fail(x, m->name);
                if (offset < 0 || offset > size || n > (uint64_t) (size - offset))
                        return spawn_err(x->reterr, EBADMSG, "read layer", "%.300s: it has data beyond its end",
                                         m->name);
                r = write_block(fd, block, n, offset);
                if (r < 0)
                        return layer_fail(x, -r, "write", m);
                end = offset + (la_int64_t) n;
        }
        if (end < size && ftruncate(fd, size) < 0) /* a hole at the end of a sparse file */
                return layer_fail(x, errno, "write", m);
        x->result.size += (uint64_t) size;
        return 0;
}

static int create_file(const struct member *m)
{
        /* The write goes on whatever the mode is: it counts for the next who opens (open(2)). */
        return openat(m->at, m->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, m->mode & 0777);
}

static int extract_file(struct extract *x, const struct member *m)
{
        _cleanup_close_ int fd = create_file(m);
        int r;

        if (fd < 0 && errno == EEXIST) {
                r = replace(x, m);
                if (r < 0)
                        return r;
                fd = create_file(m);
        }
        if (fd < 0)
                return layer_fail(x, errno, "create", m);
        r = write_data(x, m, fd);
        return r < 0 ? r : layer_set_file_metadata(x, m, fd);
}

/* A directory joins one that is there already; anything else at its name goes. */
static int extract_dir(struct extract *x, const struct member *m)
{
        _cleanup_close_ int fd = -1;
        bool whiteout = false;
        struct stat st;
        int r;

        if (mkdirat(m->at, m->base, 0700) < 0) {
                if (errno != EEXIST || fstatat(m->at, m->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return layer_fail(x, errno, "create directory", m);
                if (!S_ISDIR(st.st_mode)) {
                        if (x->how->keep_kinds)
                                return other_kind(x, m, "mkdir");
                        r = layer_tree_remove(&x->tree, m->at, m->base, &whiteout, x->reterr);
                        if (r < 0)
                                return r;
                        if (mkdirat(m->at, m->base, 0700) < 0)
                                return layer_fail(x, errno, "create directory", m);
                }
        }
        fd = openat(m->at, m->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return layer_fail(x, errno, "open directory", m);
        if (whiteout) {
                r = layer_tree_set_opaque(&x->tree, fd, x->reterr);
                if (r < 0)
                        return r;
        }
        return layer_set_metadata(x, m, fd);
}

static int extract_root(struct extract *x, const struct member *m)
{
        _cleanup_close_ int fd = -1;
        int r = layer_tree_leave(&x->tree, x->reterr);

        if (r < 0)
                return r;
        if (archive_entry_filetype(m->entry) != AE_IFDIR)
                return spawn_err(x->reterr, EINVAL, "unpack layer", "entry \"%.300s\" would replace the root directory",
                                 m->name);
        fd = openat(x->tree.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? layer_fail(x, errno, "open directory", m) : layer_set_metadata(x, m, fd);
}

static int extract_symlink(struct extract *x, const struct member *m)
{
        const char *target = archive_entry_symlink(m->entry);
        int r = replace(x, m);

        if (r < 0)
                return r;
        if (target == NULL || symlinkat(target, m->at, m->base) < 0)
                return layer_fail(x, target ? errno : EINVAL, "create symbolic link", m);
        return layer_set_metadata(x, m, -1);
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

        if (type != AE_IFIFO && (!x->how->initial_userns || layer_is_whiteout(type, dev))) {
                x->result.skipped_devices++;
                return 0;
        }
        r = replace(x, m);
        if (r < 0)
                return r;
        if (mknodat(m->at, m->base, type | 0600, type == AE_IFIFO ? 0 : dev) < 0)
                return layer_fail(x, errno, "create device", m);
        return layer_set_metadata(x, m, -1);
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
                return layer_fail(x, errno, "create whiteout", m);
        if (!S_ISDIR(st.st_mode))
                return 0;
        fd = openat(m->at, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? layer_fail(x, errno, "open directory", m) : layer_tree_set_opaque(&x->tree, fd, x->reterr);
}

static int extract_opaque(struct extract *x, const struct member *m)
{
        _cleanup_close_ int fd = openat(m->at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? layer_fail(x, errno, "open directory", m) : layer_tree_set_opaque(&x->tree, fd, x->reterr);
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
                return extract_dir(x, m);
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

/* 34 000 years either way: more than any file system keeps, and nothing to calculate with can overflow. */
#define TIME_LIMIT ((time_t) 1 << 40)

/* Before 1970 the fraction of a pax time counts backwards; libarchive (3.7) hands it out as if it counted forwards. */
static struct timespec member_time(struct archive_entry *entry)
{
        struct timespec t = {.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)};

        if (t.tv_sec < -TIME_LIMIT || t.tv_sec > TIME_LIMIT)
                return (struct timespec){.tv_sec = t.tv_sec < 0 ? -TIME_LIMIT : TIME_LIMIT};
        if (t.tv_sec < 0 && t.tv_nsec > 0) {
                t.tv_sec--;
                t.tv_nsec = 1000000000L - t.tv_nsec;
        }
        return t;
}

static int extract_entry(struct extract *x, struct archive_entry *entry)
{
        const char *name = archive_entry_pathname(entry);
        struct member m = {
                .entry = entry,
                .name = name,
                .mode = archive_entry_perm(entry),
                .mtime = member_time(entry),
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
        if (!x->how->plain && below_whiteout_meta(path))
                return 0;
        m.base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        whiteout = !x->how->plain && strncmp(m.base, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0;
        m.at = layer_tree_parent(&x->tree, path, whiteout, &m.base, x->reterr);
        if (m.at < 0)
                /* `rm -r a` is sometimes written as .wh.a and a/.wh.b: the second adds nothing. */
                return whiteout && m.at == -ENOTDIR ? 0 : m.at;
        if (whiteout && strcmp(m.base, WHITEOUT_OPAQUE) == 0)
                return extract_opaque(x, &m);
        return whiteout ? extract_whiteout(x, &m, m.base + strlen(WHITEOUT_PREFIX)) : extract_typed(x, &m, path);
}

static int extract_all(struct extract *x)
{
        struct archive_entry *entry;
        int r;

        for (;;) {
                r = archive_read_next_header(x->archive, &entry);
                if (r == ARCHIVE_EOF)
                        return layer_tree_leave(&x->tree, x->reterr);
                if (r < ARCHIVE_WARN)
                        return archive_fail(x, NULL);
                x->result.entries++;
                if (x->tree.budget == 0)
                        return spawn_err(x->reterr, EFBIG, "unpack layer", "it has more than %llu entries",
                                         (unsigned long long) x->how->max_entries);
                x->tree.budget--;
                r = extract_entry(x, entry);
                if (r < 0)
                        return r;
        }
}

/* A default ACL that the store's directory was given would be inherited by every file of every layer (acl(5)). */
static void drop_default_acl(int root_fd)
{
        _cleanup_close_ int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0)
                (void) fremovexattr(fd, "system.posix_acl_default");
}

int layer_extract(struct layer_stream *s, int root_fd, const struct layer_how *how, struct layer_result *ret,
                  spawn_error *reterr)
{
        struct extract x = {
                .stream = s,
                .tree = {.root_fd = root_fd,
                         .dir_fd = -1,
                         .opaque_xattr = how->opaque_xattr,
                         .budget = how->max_entries,
                         .unnamed = how->plain ? &how->owners : NULL},
                .how = how,
                .uid = geteuid(),
                .gid = getegid(),
                .archive = archive_read_new(),
                .reterr = reterr,
        };
        int r;

        if (x.archive == NULL)
                return spawn_err(reterr, ENOMEM, "unpack layer", "out of memory");
        drop_default_acl(root_fd);
        /* A layer without any file is an empty stream or just zeros. */
        if (archive_read_support_format_tar(x.archive) != ARCHIVE_OK ||
            archive_read_support_format_empty(x.archive) != ARCHIVE_OK ||
            archive_read_open(x.archive, &x, NULL, on_read, NULL) != ARCHIVE_OK)
                r = archive_fail(&x, NULL);
        else
                r = extract_all(&x);
        (void) archive_read_free(x.archive);
        layer_tree_forget(&x.tree);
        *ret = x.result;
        return r;
}
