/* Names of a layer to places beneath its root.
 *
 * The kernel resolves every directory with RESOLVE_IN_ROOT: a symbolic link of the layer leads to where it would
 * lead in the container, never outside. The last component is always handled with *at calls on the directory's fd
 * and never followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "layer.h"
#include "util.h"

/* openat2(2): a rename anywhere on the system can make a ".." of a symbolic link fail with EAGAIN. */
#define RESOLVE_TRIES 1000

static int open_in_root(int root_fd, const char *path, int flags)
{
        struct open_how how = {
                .flags = (unsigned) (flags | O_CLOEXEC),
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };

        for (int i = 0; i < RESOLVE_TRIES; i++) {
                int fd = (int) syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

                if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
                        return fd;
        }
        return -1;
}

int layer_clean_path(const char *name, char *ret, spawn_error *reterr)
{
        size_t len = 0;
        unsigned depth = 0;

        ret[0] = '\0';
        for (const char *p = name; *p != '\0';) {
                size_t n = strcspn(p, "/");

                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return spawn_err(reterr, EINVAL, "unpack layer", "entry \"%.200s\" leads out of the layer",
                                         name);
                if (n > NAME_MAX || len + n + 2 > PATH_MAX || depth > LAYER_MAX_DEPTH)
                        return spawn_err(reterr, ENAMETOOLONG, "unpack layer",
                                         "entry \"%.200s...\": the name is too long or too deep", name);
                if (n > 0 && !(n == 1 && p[0] == '.')) {
                        if (len > 0)
                                ret[len++] = '/';
                        memcpy(ret + len, p, n);
                        len += n;
                        ret[len] = '\0';
                        depth++;
                }
                p += n + (p[n] == '/');
        }
        return 0;
}

void layer_tree_forget(struct layer_tree *t)
{
        if (t->dir_valid && t->dir_fd >= 0 && t->dir_fd != t->root_fd)
                (void) close(t->dir_fd);
        t->dir_fd = -1;
        t->dir_valid = false;
        t->owner = LAYER_OWNER_UNKNOWN;
}

static int restore_time(int dir_fd, struct timespec mtime, const char *name, spawn_error *reterr)
{
        const struct timespec times[2] = {mtime, mtime};

        if (utimensat(dir_fd, "", times, AT_EMPTY_PATH) == 0)
                return 0;
        return spawn_err(reterr, errno, "set time of", "%.400s: %s", name, strerror(errno));
}

int layer_tree_leave(struct layer_tree *t, spawn_error *reterr)
{
        /* Of a directory that was there before us, the root, the time is what it becomes. */
        int r = t->dir_valid && (t->unnamed == NULL || t->dir[0] != '\0')
                        ? restore_time(t->dir_fd, t->dir_mtime, t->dir, reterr)
                        : 0;

        layer_tree_forget(t);
        return r;
}

bool layer_is_whiteout(mode_t mode, dev_t rdev)
{
        return S_ISCHR(mode) && rdev == makedev(0, 0);
}

int layer_tree_set_opaque(struct layer_tree *t, int dir_fd, spawn_error *reterr)
{
        if (fsetxattr(dir_fd, t->opaque_xattr, "y", 1, 0) < 0)
                return spawn_err(reterr, errno, "mark directory opaque", "%s: %s", t->opaque_xattr, strerror(errno));
        return 0;
}

/* A directory that the layer does not describe. Its time is always the same, so that two unpackings are equal. */
static int make_unnamed(struct layer_tree *t, int at, const char *name, spawn_error *reterr)
{
        const struct timespec times[2] = {{.tv_sec = 0}, {.tv_sec = 0}};

        if (t->budget == 0)
                return spawn_err(reterr, EFBIG, "unpack layer", "it has too many entries and directories");
        t->budget--;
        if (mkdirat(at, name, 0755) < 0)
                return -errno;
        if (t->unnamed != NULL)
                return !t->unnamed->forced ||
                                       fchownat(at, name, t->unnamed->uid, t->unnamed->gid, AT_SYMLINK_NOFOLLOW) == 0
                               ? 0
                               : -errno;
        return utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

/* One missing directory of a path that the layer uses without naming it. A whiteout there becomes an opaque
 * directory, so that what it hid stays hidden; but not for another whiteout, which would add nothing below it. */
static int make_missing(struct layer_tree *t, int at, const char *name, bool for_whiteout, spawn_error *reterr)
{
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r = make_unnamed(t, at, name, reterr);

        if (r == 0 || r == -EFBIG)
                return r;
        errno = -r;
        if (errno != EEXIST || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return spawn_err(reterr, errno, "create directory", "%s: %s", name, strerror(errno));
        if (S_ISLNK(st.st_mode))
                return spawn_err(reterr, ENOENT, "create directory", "%s: it is a symbolic link to nothing", name);
        if (!layer_is_whiteout(st.st_mode, st.st_rdev) || for_whiteout)
                return spawn_err(reterr, ENOTDIR, "create directory", "%s: a file of the layer is in the way", name);
        r = unlinkat(at, name, 0) < 0 ? -errno : make_unnamed(t, at, name, reterr);
        if (r < 0)
                return r == -EFBIG ? r : spawn_err(reterr, -r, "create directory", "%s: %s", name, strerror(-r));
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? spawn_err(reterr, errno, "open directory", "%s: %s", name, strerror(errno))
                      : layer_tree_set_opaque(t, fd, reterr);
}

/* The same; the time of the directory that gets it stays what the layer said. */
static int make_missing_in(struct layer_tree *t, int at, const char *name, bool for_whiteout, spawn_error *reterr)
{
        struct stat st;
        int r;

        if (fstat(at, &st) < 0)
                return spawn_err(reterr, errno, "look at directory of", "%s: %s", name, strerror(errno));
        r = make_missing(t, at, name, for_whiteout, reterr);
        return r < 0 ? r : restore_time(at, st.st_mtim, name, reterr);
}

static int make_parents(struct layer_tree *t, const char *dir, bool for_whiteout, spawn_error *reterr)
{
        char prefix[PATH_MAX];

        for (size_t end = 0; dir[end] != '\0';) {
                _cleanup_close_ int have = -1, at = -1;
                const char *slash;
                int r;

                end += strcspn(dir + end, "/");
                memcpy(prefix, dir, end);
                prefix[end] = '\0';
                if (dir[end] == '/')
                        end++;
                have = open_in_root(t->root_fd, prefix, O_PATH | O_DIRECTORY);
                if (have >= 0)
                        continue;
                slash = strrchr(prefix, '/');
                if (slash == NULL) {
                        r = make_missing_in(t, t->root_fd, prefix, for_whiteout, reterr);
                } else {
                        prefix[slash - prefix] = '\0';
                        at = open_in_root(t->root_fd, prefix, O_PATH | O_DIRECTORY);
                        r = at < 0 ? spawn_err(reterr, errno, "open directory", "%s: %s", prefix, strerror(errno))
                                   : make_missing_in(t, at, slash + 1, for_whiteout, reterr);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Make dir the tree's current directory. What is made in it changes its time: that is put back when it is left, so
 * that nothing has to be remembered until the end, however many directories there are. */
static int enter(struct layer_tree *t, const char *dir, bool for_whiteout, spawn_error *reterr)
{
        struct stat st;
        int fd, r;

        if (t->dir_valid && !t->stale && strcmp(t->dir, dir) == 0)
                return 0;
        r = layer_tree_leave(t, reterr);
        if (r < 0)
                return r;
        if (dir[0] == '\0') {
                fd = t->root_fd;
        } else {
                fd = open_in_root(t->root_fd, dir, O_PATH | O_DIRECTORY);
                if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
                        r = make_parents(t, dir, for_whiteout, reterr);
                        if (r < 0)
                                return r;
                        fd = open_in_root(t->root_fd, dir, O_PATH | O_DIRECTORY);
                }
                if (fd < 0)
                        return spawn_err(reterr, errno, "open directory", "%s: %s", dir, strerror(errno));
        }
        t->dir_fd = fd;
        memcpy(t->dir, dir, strlen(dir) + 1);
        t->dir_valid = true;
        t->stale = false;
        if (fstat(fd, &st) == 0) {
                t->dir_mtime = st.st_mtim;
                return 0;
        }
        r = spawn_err(reterr, errno, "look at directory", "%s: %s", dir, strerror(errno));
        layer_tree_forget(t);
        return r;
}

int layer_tree_parent(struct layer_tree *t, const char *path, bool for_whiteout, const char **ret_base,
                      spawn_error *reterr)
{
        const char *slash = strrchr(path, '/');
        char dir[PATH_MAX];
        size_t len = slash ? (size_t) (slash - path) : 0;
        int r;

        memcpy(dir, path, len);
        dir[len] = '\0';
        r = enter(t, dir, for_whiteout, reterr);
        if (r < 0)
                return r;
        *ret_base = slash ? slash + 1 : path;
        return t->dir_fd;
}

int layer_tree_open_dir(struct layer_tree *t, const char *path)
{
        return open_in_root(t->root_fd, path[0] ? path : "/", O_PATH | O_DIRECTORY);
}

static int remove_at(int at, const char *name, unsigned depth);

static int empty_dir(int fd, unsigned depth)
{
        _cleanup_close_ int own = fd;
        DIR *d = fdopendir(own);
        struct dirent *e;
        int r = 0;

        if (d == NULL)
                return -errno;
        (void) steal_fd(&own);
        while (r == 0 && (e = readdir(d)) != NULL)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = remove_at(dirfd(d), e->d_name, depth + 1);
        (void) closedir(d);
        return r;
}

/* Entries that go through symbolic links can build trees deeper than any one name: hence a limit of its own. */
static int remove_at(int at, const char *name, unsigned depth)
{
        int fd, r;

        if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR)
                return -errno;
        if (unlinkat(at, name, AT_REMOVEDIR) == 0)
                return 0;
        if (errno != ENOTEMPTY && errno != EEXIST)
                return -errno;
        if (depth > LAYER_MAX_DEPTH)
                return -ELOOP;
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = empty_dir(fd, depth);
        if (r < 0)
                return r;
        return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int layer_tree_remove(struct layer_tree *t, int dir_fd, const char *base, bool *ret_whiteout, spawn_error *reterr)
{
        struct stat st;
        int r;

        if (ret_whiteout != NULL)
                *ret_whiteout = false;
        if (fstatat(dir_fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : spawn_err(reterr, errno, "replace", "%s: %s", base, strerror(errno));
        t->stale = true; /* the name of the current directory may have led through what goes now */
        r = remove_at(dir_fd, base, 0);
        if (r < 0)
                return spawn_err(reterr, -r, "replace", "%s: %s", base, strerror(-r));
        if (ret_whiteout != NULL)
                *ret_whiteout = layer_is_whiteout(st.st_mode, st.st_rdev);
        return 0;
}
