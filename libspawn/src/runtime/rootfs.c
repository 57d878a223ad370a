/* Paths beneath the container's root, and making it the root.
 *
 * The root file system is untrusted: it may hold symbolic links that point anywhere, and processes of other
 * containers may change it while it is set up. So each path is resolved by the kernel beneath an fd of the root
 * (openat2(2), RESOLVE_IN_ROOT), used through the fd that comes back, and never resolved twice.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fail.h"
#include "io.h"
#include "rootfs.h"
#include "util.h"

/* linux/mount.h and sys/mount.h exclude each other in glibc 2.36: mount(2)'s own names. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

#define LINKS_MAX 40 /* as the kernel: path_resolution(7) */

static int open_how(int root_fd, const char *path, int flags, unsigned long long resolve)
{
        struct open_how how = {.flags = (unsigned int) flags | O_CLOEXEC, .resolve = resolve};
        int fd;

        /* EAGAIN: a rename or mount elsewhere raced with ".."; openat2(2) says to try again. */
        for (int tries = 0; tries < 128; tries++) {
                fd = (int) syscall(SYS_openat2, root_fd, path[0] != '\0' ? path : "/", &how, sizeof(how));
                if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
                        break;
        }
        return fd < 0 ? -errno : fd;
}

int root_open(int root_fd, const char *path, int flags)
{
        return open_how(root_fd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int root_open_nolink(int root_fd, const char *path, int flags)
{
        return open_how(root_fd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

int root_open_same_mount(int root_fd, const char *path, int flags)
{
        return open_how(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* A walk: `done` is resolved (no links, no dots), `todo` is still to go. Both begin without a slash. */
struct walk {
        char done[PATH_MAX], todo[PATH_MAX];
        int links;
};

/* Cut the first component off todo. Returns false at the end. */
static bool next_component(struct walk *w, char name[NAME_MAX + 1])
{
        char *p = w->todo;
        size_t len;

        while (*p == '/')
                p++;
        if (*p == '\0')
                return false;
        len = strcspn(p, "/");
        if (len > NAME_MAX)
                len = NAME_MAX; /* open(2) answers ENAMETOOLONG for 255 and more */
        memcpy(name, p, len);
        name[len] = '\0';
        p += len;
        memmove(w->todo, p, strlen(p) + 1);
        return true;
}

static int push_done(struct walk *w, const char *name)
{
        size_t have = strlen(w->done), len = strlen(name);

        if (have + len + 2 > sizeof(w->done))
                return -ENAMETOOLONG;
        if (have > 0)
                w->done[have++] = '/';
        memcpy(w->done + have, name, len + 1);
        return 0;
}

static void pop_done(struct walk *w)
{
        char *slash = strrchr(w->done, '/');

        if (slash != NULL)
                *slash = '\0';
        else
                w->done[0] = '\0';
}

/* The component is a link: put what it says before the rest. */
static int follow(struct walk *w, int link_fd)
{
        char target[PATH_MAX], rest[PATH_MAX];
        ssize_t n = readlinkat(link_fd, "", target, sizeof(target) - 1);
        int len;

        if (n < 0)
                return -errno;
        if (++w->links > LINKS_MAX)
                return -ELOOP;
        target[n] = '\0';
        memcpy(rest, w->todo, sizeof(rest));
        len = snprintf(w->todo, sizeof(w->todo), "%s/%s", target, rest);
        if (len < 0 || (size_t) len >= sizeof(w->todo))
                return -ENAMETOOLONG;
        if (target[0] == '/')
                w->done[0] = '\0';
        return 0;
}

static bool is_last(const struct walk *w)
{
        return w->todo[strspn(w->todo, "/")] == '\0';
}

static int make_component(int root_fd, const struct walk *w, const char *name, bool directory)
{
        _cleanup_close_ int parent = root_open_nolink(root_fd, w->done, O_PATH | O_DIRECTORY);

        if (parent < 0)
                return parent;
        if (directory) {
                if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
                        return -errno;
                return 0;
        }
        int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return errno == EEXIST ? 0 : -errno;
        (void) close(fd);
        return 0;
}

/* Walk path; create what is missing. With stop_at_parent the last component is left alone and put in last. */
static int walk_create(int root_fd, const char *path, bool directory, char *last)
{
        struct walk w = {.links = 0};
        char name[NAME_MAX + 1];
        int r;

        if (strlen(path) >= sizeof(w.todo))
                return -ENAMETOOLONG;
        memcpy(w.todo, path, strlen(path) + 1);
        while (next_component(&w, name)) {
                bool final = is_last(&w);

                if (strcmp(name, ".") == 0)
                        continue;
                if (strcmp(name, "..") == 0) {
                        pop_done(&w);
                        continue;
                }
                if (final && last != NULL) {
                        memcpy(last, name, strlen(name) + 1);
                        break;
                }
                char here[PATH_MAX];
                int len = snprintf(here, sizeof(here), "%s/%s", w.done, name);
                if (len < 0 || (size_t) len >= sizeof(here))
                        return -ENAMETOOLONG;
                _cleanup_close_ int fd = root_open_nolink(root_fd, here, O_PATH | O_NOFOLLOW);
                if (fd == -ENOENT) {
                        r = make_component(root_fd, &w, name, !final || directory);
                        if (r < 0)
                                return r;
                } else if (fd < 0) {
                        return fd;
                } else {
                        struct stat st;

                        if (fstat(fd, &st) < 0)
                                return -errno;
                        if (S_ISLNK(st.st_mode)) {
                                r = follow(&w, fd);
                                if (r < 0)
                                        return r;
                                continue;
                        }
                }
                r = push_done(&w, name);
                if (r < 0)
                        return r;
        }
        return root_open_nolink(root_fd, w.done, last != NULL ? O_PATH | O_DIRECTORY : O_PATH);
}

int root_create(int root_fd, const char *path, bool directory)
{
        int fd = root_open(root_fd, path, O_PATH);

        return fd == -ENOENT ? walk_create(root_fd, path, directory, NULL) : fd;
}

int root_parent(int root_fd, const char *path, char name[NAME_MAX + 1])
{
        name[0] = '\0';
        int fd = walk_create(root_fd, path, true, name);

        if (fd >= 0 && name[0] == '\0') {
                (void) close(fd);
                return -EINVAL;
        }
        return fd;
}

bool path_is_root(const char *path)
{
        while (*path == '/' || (*path == '.' && (path[1] == '/' || path[1] == '\0')))
                path++;
        return *path == '\0';
}

int tree_clone(int dirfd, const char *path, bool recursive)
{
        return tree_clone_link(dirfd, path, recursive, false);
}

int tree_clone_link(int dirfd, const char *path, bool recursive, bool link)
{
        unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U) |
                             (path[0] == '\0' ? AT_EMPTY_PATH : 0U) | (link ? AT_SYMLINK_NOFOLLOW : 0U);
        int fd = (int) syscall(SYS_open_tree, dirfd, path, flags);

        return fd < 0 ? -errno : fd;
}

int tree_setattr(int fd, bool recursive, uint64_t set, uint64_t clr, uint64_t propagation)
{
        struct mount_attr attr = {.attr_set = set, .attr_clr = clr, .propagation = propagation};

        if (set == 0 && clr == 0 && propagation == 0)
                return 0;
        if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0)
                return -errno;
        return 0;
}

int tree_idmap(int fd, int userns_fd, bool recursive)
{
        struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t) userns_fd};

        if (userns_fd < 0)
                return 0;
        if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0)
                return -errno;
        return 0;
}

int tree_attach(int tree_fd, int target_fd)
{
        if (syscall(SYS_move_mount, tree_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
                return -errno;
        return 0;
}

/* Over the root of this mount namespace, where no path leads to it and pivot_root(2) takes it from. */
static int attach_over_root(int tree, unsigned long propagation)
{
        _cleanup_close_ int target = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = target < 0 ? -errno : tree_setattr(tree, true, 0, 0, propagation);

        return r < 0 ? r : tree_attach(tree, target);
}

int rootfs_open(const char *path, unsigned long propagation, int tree_fd, spawn_error *e)
{
        /* With no wish all is private: nothing that the host mounts later shows up. With slave or shared, mounts
         * of the host reach the container; slave here, so that nothing mounted beneath the root travels back.
         * Volumes that are to be shared both ways were cloned before this (mounts_preopen). */
        unsigned long all = propagation & (MS_SLAVE | MS_SHARED) ? MS_SLAVE : MS_PRIVATE;

        if (mount(NULL, "/", NULL, all | MS_REC, NULL) < 0)
                return fail_errno(e, "rootfs", "change the propagation of `/`");
        _cleanup_close_ int tree = tree_clone(AT_FDCWD, path, true);
        if (tree == -EACCES && tree_fd >= 0) {
                int r = attach_over_root(tree_fd, all);

                tree = fcntl(tree_fd, F_DUPFD_CLOEXEC, 3);
                return r < 0 ? fail_code(e, r, "rootfs", "bind root file system `%s`", path) : steal_fd(&tree);
        }
        if (tree < 0)
                return fail_code(e, tree, "rootfs", "open root file system `%s`", path);
        _cleanup_close_ int target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (target < 0)
                return fail_errno(e, "rootfs", "open root file system `%s`", path);
        int r = tree_attach(tree, target);
        if (r < 0)
                return fail_code(e, r, "rootfs", "bind root file system `%s`", path);
        return steal_fd(&tree);
}

static int enter_pivot(int root_fd, spawn_error *e)
{
        _cleanup_close_ int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (old < 0)
                return fail_errno(e, "rootfs", "open `/`");
        /* pivot_root(".", "."): the old root ends up on top of the new one and needs no directory in it
         * (pivot_root(2), NOTES). */
        if (fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
                return fail_errno(e, "rootfs", "pivot_root");
        if (fchdir(old) < 0)
                return fail_errno(e, "rootfs", "enter the old root");
        /* Unmounting must not travel to the host's mounts. */
        if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0)
                return fail_errno(e, "rootfs", "detach the old root from the host");
        if (umount2(".", MNT_DETACH) < 0)
                return fail_errno(e, "rootfs", "unmount the old root");
        return 0;
}

/* For an initramfs, where pivot_root(2) refuses. Less tight: the old root stays mounted below the new one. */
static int enter_move(int root_fd, spawn_error *e)
{
        if (fchdir(root_fd) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0)
                return fail_errno(e, "rootfs", "move the root file system to `/`");
        if (chroot(".") < 0)
                return fail_errno(e, "rootfs", "chroot");
        return 0;
}

int rootfs_pivot(int root_fd, bool no_pivot, unsigned long propagation, spawn_error *e)
{
        int r = no_pivot ? enter_move(root_fd, e) : enter_pivot(root_fd, e);

        if (r < 0)
                return r;
        if (chdir("/") < 0)
                return fail_errno(e, "rootfs", "chdir to `/`");
        if (propagation != 0 && mount(NULL, "/", NULL, propagation, NULL) < 0)
                return fail_errno(e, "rootfs", "change the propagation of the root file system");
        return 0;
}
