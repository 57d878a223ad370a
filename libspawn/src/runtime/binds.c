/* Operations that bind what the host has.
 *
 * Binds use the mount API by file descriptors (open_tree, mount_setattr, move_mount; Linux 5.12): flags are added
 * to a copy before anyone can see it, and flags that a user namespace has locked are never touched by accident.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "fail.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

/* Clearing a flag that the user namespace has locked is refused, and so is any change of how access times are kept
 * (mount_namespaces(7)). What protects must be had; the rest stays as the host has it. */
static int set_flags(int tree, bool recursive, uint64_t set, uint64_t clr)
{
        static const uint64_t atime = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
        int r = tree_setattr(tree, recursive, set, clr, 0);

        return r == -EPERM ? tree_setattr(tree, recursive, set & ~atime, 0, 0) : r;
}

static int attach_with_options(int tree, int target, const struct mount_options *o)
{
        int r = set_flags(tree, false, o->attr_set, o->attr_clr);

        if (r == 0)
                r = set_flags(tree, true, o->rec_set, o->rec_clr);
        if (r == 0 && o->propagation != 0)
                r = tree_setattr(tree, o->recursive && (o->propagation & MS_REC), 0, 0,
                                 o->propagation & ~(unsigned long) MS_REC);
        return r < 0 ? r : tree_attach(tree, target);
}

static int clone_source(const struct op *op, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        bool link = m->options.src_nofollow;
        int tree = tree_clone_link(AT_FDCWD, m->source, m->options.recursive, link);

        /* mount_namespaces(7): in a user namespace what is mounted below a directory must not be uncovered, so
         * only the whole tree can be had. */
        if (tree == -EINVAL && !m->options.recursive)
                tree = tree_clone_link(AT_FDCWD, m->source, true, link);
        if (tree == -ENOSYS)
                return spawn_err(e, ENOSYS, "mounts", "bind `%s`: this kernel is too old, Linux 5.12 is needed",
                                 m->source);
        return tree < 0 ? fail_code(e, tree, "mounts", "mount `%s` to `%s`", m->source, m->destination) : tree;
}

int op_bind_preopen(struct op *op, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        _cleanup_close_ int tree = clone_source(op, e);
        int r;

        if (tree < 0)
                return tree;
        r = tree_idmap(tree, op->idmap_fd, m->options.idmap_recursive);
        if (r == -EINVAL)
                return spawn_err(e, EINVAL, "mounts",
                                 "map the ids of `%s` for `%s`: its file system has no id-mapped mounts on this kernel",
                                 m->source, m->destination);
        if (r < 0)
                return fail_code(e, r, "mounts", "map the ids of `%s` for `%s`", m->source, m->destination);
        op->tree_fd = steal_fd(&tree);
        return 0;
}

/* The last component itself, whatever it is; made when missing. */
static int open_nofollow(int root_fd, const char *path, bool directory)
{
        char name[NAME_MAX + 1];
        struct statfs fs;
        struct stat st;

        _cleanup_close_ int parent = root_parent(root_fd, path, name);
        if (parent < 0)
                return parent;
        _cleanup_close_ int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                if (directory)
                        (void) mkdirat(parent, name, 0755);
                else
                        cleanup_closep(&(int){
                                openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644)});
                fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
                return -errno;
        /* The links of procfs are what programs trust to find themselves. */
        if (S_ISLNK(st.st_mode) && fs.f_type == PROC_SUPER_MAGIC)
                return -EPERM;
        return steal_fd(&fd);
}

int op_bind(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        struct stat st;
        int r;

        _cleanup_close_ int tree = op->tree_fd >= 0 ? fcntl(op->tree_fd, F_DUPFD_CLOEXEC, 3) : clone_source(op, e);
        if (tree < 0)
                return tree;
        if (fstat(tree, &st) < 0)
                return fail_errno(e, "mounts", "stat `%s`", m->source);
        _cleanup_close_ int target = m->options.dest_nofollow
                                             ? open_nofollow(b->root_fd, op->target, S_ISDIR(st.st_mode))
                                             : root_create(b->root_fd, op->target, S_ISDIR(st.st_mode));
        if (target < 0)
                return fail_code(e, target, "mounts", "create mount target `%s`", op->target);
        r = attach_with_options(tree, target, &m->options);
        if (r < 0)
                return fail_code(e, r, "mounts", "mount `%s` to `%s`", m->source, op->target);
        return path_is_root(op->target) ? builder_set_root(b, tree, e) : 0;
}

/* copy-symlink: the link itself instead of a mount. */
int op_copy_link(const struct op *op, struct builder *b, spawn_error *e)
{
        char name[NAME_MAX + 1], there[PATH_MAX];
        ssize_t n;

        _cleanup_close_ int parent = root_parent(b->root_fd, op->target, name);
        if (parent < 0)
                return fail_code(e, parent, "mounts", "create link `%s`", op->target);
        if (symlinkat(op->text, parent, name) == 0)
                return 0;
        if (errno != EEXIST)
                return fail_errno(e, "mounts", "create link `%s`", op->target);
        n = readlinkat(parent, name, there, sizeof(there));
        if (n < 0 || (size_t) n != strlen(op->text) || memcmp(there, op->text, (size_t) n) != 0)
                return spawn_err(e, EEXIST, "mounts", "create link `%s`: something else is there already", op->target);
        return 0;
}
