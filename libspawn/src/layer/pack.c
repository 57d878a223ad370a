/* A directory tree, or the upper directory of an overlay, as the tar of a layer (OCI image spec, layer.md).
 *
 * Equal trees give equal bytes: names are sorted as bytes, a directory comes before what is in it, of several names of
 * one file the first in this order has its content, and nothing of this machine (names of owners, inode numbers, access
 * times) is written down.
 *
 * overlayfs.rst: a whiteout is a character device 0:0, or an empty file with the attribute overlay.whiteout in a directory
 * whose overlay.opaque is "x"; overlay.opaque "y" hides what the layers below have in the directory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "layer.h"
#include "pack.h"
#include "packfile.h"
#include "tarout.h"
#include "util.h"

/* pack_dir() calls itself for each level: what needs a large frame stays out of it. */
#define NOINLINE __attribute__((noinline))

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct names {
        char **name;
        size_t n, max;
};

struct pack {
        struct tarout *tar;
        const struct pack_how *how;
        struct pack_links links;
        struct pack_result result;
        char path[PATH_MAX]; /* of the member at hand, "" for the root */
        size_t len;
        spawn_error *reterr;
};

static int pack_fail(const struct pack *p, int code, const char *stage)
{
        return spawn_err(p->reterr, code, stage, "%.400s: %s", p->path, strerror(code));
}

static void names_free(struct names *names)
{
        for (size_t i = 0; i < names->n; i++)
                free(names->name[i]);
        free(names->name);
}

static int names_add(struct names *names, const char *name)
{
        if (names->n == names->max) {
                size_t max = names->max ? names->max * 2 : 64;
                char **more = reallocarray(names->name, max, sizeof(*more));

                if (more == NULL)
                        return -ENOMEM;
                names->name = more;
                names->max = max;
        }
        names->name[names->n] = strdup(name);
        return names->name[names->n++] ? 0 : -ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int names_read(int dir_fd, struct names *ret)
{
        int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;
        int r = 0;

        if (d == NULL) {
                r = -errno;
                if (fd >= 0)
                        (void) close(fd);
                return r;
        }
        for (errno = 0; r == 0 && (e = readdir(d)) != NULL; errno = 0)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = names_add(ret, e->d_name);
        if (r == 0 && errno != 0)
                r = -errno;
        (void) closedir(d);
        if (r == 0 && ret->n > 1)
                qsort(ret->name, ret->n, sizeof(*ret->name), compare_names);
        return r;
}

static int write_header(struct pack *p, struct tar_member *m)
{
        uint32_t uid, gid;

        if (!layer_owners_map(&p->how->owners, m->st.st_uid, m->st.st_gid, &uid, &gid))
                return spawn_err(p->reterr, ERANGE, "pack layer", "%.400s: its owner %u:%u has no id in the container",
                                 p->path, m->st.st_uid, m->st.st_gid);
        m->st.st_uid = uid;
        m->st.st_gid = gid;
        p->result.entries++;
        return tar_header(p->tar, m, p->reterr);
}

/* An empty file, always the same one: what it hides is all that it says. */
static int write_marker(struct pack *p, const char *path)
{
        struct tar_member m = {.path = path, .st = {.st_mode = S_IFREG}};

        p->result.entries++;
        return tar_header(p->tar, &m, p->reterr);
}

static NOINLINE int write_whiteout(struct pack *p, const char *name)
{
        char path[PATH_MAX + sizeof(WHITEOUT_PREFIX)];

        (void) snprintf(path, sizeof(path), "%.*s%s%s", (int) (p->len - strlen(name)), p->path, WHITEOUT_PREFIX, name);
        return write_marker(p, path);
}

static NOINLINE int write_opaque(struct pack *p)
{
        char path[PATH_MAX + sizeof(WHITEOUT_OPAQUE) + 1];

        (void) snprintf(path, sizeof(path), "%s%s%s", p->path, p->len ? "/" : "", WHITEOUT_OPAQUE);
        return write_marker(p, path);
}

static int pack_dir(struct pack *p, int fd, bool root, unsigned depth);

/* Links, devices, fifos: all in the header. */
static NOINLINE int pack_other(struct pack *p, int at, const char *name, const struct stat *st)
{
        char target[PATH_MAX];
        struct tar_member m = {.path = p->path, .st = *st};
        ssize_t n;

        if (S_ISSOCK(st->st_mode)) {
                p->result.skipped_sockets++;
                return 0;
        }
        if (S_ISLNK(st->st_mode)) {
                n = readlinkat(at, name, target, sizeof(target) - 1);
                if (n < 0 && p->how->live && (errno == ENOENT || errno == EINVAL))
                        return 0;
                if (n < 0)
                        return pack_fail(p, errno, "read symbolic link");
                target[n] = '\0';
                m.link = target;
        }
        return write_header(p, &m);
}

static NOINLINE int pack_regular(struct pack *p, int fd, const struct stat *st)
{
        struct tar_member m = {.path = p->path, .st = *st};
        struct pack_file file = {.fd = fd, .size = (uint64_t) st->st_size, .may_shrink = p->how->live};
        struct bytes extra = {NULL, 0, 0};
        int r = pack_xattrs(fd, p->path, &extra, p->reterr);

        if (r == 0 && p->how->holes)
                r = pack_find_holes(&file, st, p->path, p->reterr);
        if (r == 0) {
                m.extra = extra.buf;
                m.extra_len = extra.len;
                m.sparse_map = file.map.buf;
                m.sparse_len = file.map.len;
                m.sparse_bytes = file.bytes;
                r = write_header(p, &m);
        }
        if (r == 0)
                r = pack_write_file(p->tar, &file, p->path, p->reterr);
        p->result.size += (uint64_t) st->st_size;
        free(extra.buf);
        free(file.map.buf);
        free(file.data);
        return r;
}

/* Files and directories are looked at through a descriptor, so that it is one thing whose parts fit together. */
static int pack_opened(struct pack *p, int at, const char *name, const struct stat *seen, unsigned depth)
{
        _cleanup_close_ int fd = openat(
                at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (S_ISDIR(seen->st_mode) ? O_DIRECTORY : 0));
        struct stat st;

        if (fd < 0 && p->how->skip_unreadable && (errno == EACCES || errno == EPERM)) {
                p->result.skipped_unreadable++;
                return 0;
        }
        if (fd < 0 && p->how->live && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
                return 0;
        if (fd < 0)
                return pack_fail(p, errno, "open");
        if (fstat(fd, &st) < 0)
                return pack_fail(p, errno, "look at");
        if (st.st_ino != seen->st_ino || (st.st_mode & S_IFMT) != (seen->st_mode & S_IFMT))
                return p->how->live ? 0 : pack_fail(p, ESTALE, "read");
        return S_ISDIR(st.st_mode) ? pack_dir(p, fd, false, depth + 1) : pack_regular(p, fd, &st);
}

/* p->path is the member's. xwhiteouts: its directory may hold whiteouts that are empty files. */
static int pack_member(struct pack *p, int at, const char *name, bool xwhiteouts, unsigned depth)
{
        struct tar_member link = {.path = p->path, .hardlink = true};
        struct stat st;
        int r;

        if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return p->how->live && errno == ENOENT ? 0 : pack_fail(p, errno, "look at");
        if (!p->how->plain &&
            (layer_is_whiteout(st.st_mode, st.st_rdev) || (xwhiteouts && pack_is_xwhiteout(at, name, &st))))
                return write_whiteout(p, name);
        if (p->how->marks && strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
                /* The directory's attribute may have said it already. */
                return strcmp(name, WHITEOUT_OPAQUE) == 0 && pack_opaque(at) == 'y' ? 0 : write_marker(p, p->path);
        if (!p->how->plain && strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
                return spawn_err(p->reterr, EINVAL, "pack layer",
                                 "%.400s: names that begin with " WHITEOUT_PREFIX " mean deletions in a layer",
                                 p->path);
        if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
                r = pack_links_find(&p->links, &st, p->path, &link.link);
                if (r < 0)
                        return spawn_err(p->reterr, ENOMEM, "pack layer", "out of memory");
                link.st = st;
                if (link.link != NULL)
                        return write_header(p, &link);
        }
        return S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) ? pack_opened(p, at, name, &st, depth)
                                                          : pack_other(p, at, name, &st);
}

static bool is_excluded(const struct pack *p, const char *name, unsigned depth)
{
        for (size_t i = 0; depth == 0 && i < p->how->n_exclude; i++)
                if (strcmp(p->how->exclude[i], name) == 0)
                        return true;
        return false;
}

static int pack_children(struct pack *p, int fd, const struct names *names, bool xwhiteouts, unsigned depth)
{
        size_t len = p->len;
        int r = 0;

        for (size_t i = 0; r == 0 && i < names->n; i++) {
                size_t n = strlen(names->name[i]);

                if (is_excluded(p, names->name[i], depth))
                        continue;
                if (depth > LAYER_MAX_DEPTH || len + n + 2 + strlen(WHITEOUT_PREFIX) > PATH_MAX)
                        return spawn_err(p->reterr, ENAMETOOLONG, "pack layer", "%.200s...: too deep", p->path);
                (void) snprintf(p->path + len, sizeof(p->path) - len, "%s%s", len ? "/" : "", names->name[i]);
                p->len = len + n + (len > 0);
                r = pack_member(p, fd, names->name[i], xwhiteouts, depth);
                if (r == 0) {
                        p->len = len;
                        p->path[len] = '\0';
                }
        }
        return r;
}

static NOINLINE int pack_dir_header(struct pack *p, int fd)
{
        struct tar_member m = {.path = p->len ? p->path : "."};
        struct bytes extra = {NULL, 0, 0};
        int r = fstat(fd, &m.st) < 0 ? pack_fail(p, errno, "look at") : pack_xattrs(fd, p->path, &extra, p->reterr);

        m.extra = extra.buf;
        m.extra_len = extra.len;
        if (r == 0)
                r = write_header(p, &m);
        free(extra.buf);
        return r;
}

static int pack_dir(struct pack *p, int fd, bool root, unsigned depth)
{
        struct names names = {NULL, 0, 0};
        char opaque = p->how->plain ? '\0' : pack_opaque(fd);
        int r = root && !p->how->root_entry ? 0 : pack_dir_header(p, fd);

        if (r == 0 && opaque == 'y')
                r = write_opaque(p);
        if (r < 0)
                return r;
        r = names_read(fd, &names);
        r = r < 0 ? pack_fail(p, -r, "read directory") : pack_children(p, fd, &names, opaque == 'x', depth);
        names_free(&names);
        return r;
}

/* What was asked for: a directory, or one file under the prefix's name. */
static int pack_source(struct pack *p, int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return pack_fail(p, errno, "look at");
        if (S_ISDIR(st.st_mode))
                return pack_dir(p, fd, true, 0);
        if (!S_ISREG(st.st_mode) || p->len == 0)
                return pack_fail(p, ENOTDIR, "pack");
        return pack_regular(p, fd, &st);
}

int layer_pack(int root_fd, int out_fd, const struct pack_how *how, struct pack_result *ret, char ret_hex[65],
               spawn_error *reterr)
{
        struct pack *p = calloc(1, sizeof(*p));
        int r;

        if (p == NULL)
                return spawn_err(reterr, ENOMEM, "pack layer", "out of memory");
        p->how = how;
        p->reterr = reterr;
        if (how->prefix != NULL && strlen(how->prefix) < NAME_MAX + 1) {
                p->len = strlen(how->prefix);
                memcpy(p->path, how->prefix, p->len + 1);
        }
        r = tar_open(out_fd, !how->plain, &p->tar, reterr);
        if (r == 0)
                r = pack_source(p, root_fd);
        if (r == 0)
                r = tar_finish(p->tar, ret_hex, reterr);
        *ret = p->result;
        tar_close(p->tar);
        pack_links_free(&p->links);
        free(p);
        return r;
}
