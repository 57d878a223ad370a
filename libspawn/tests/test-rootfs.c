/* Paths beneath a hostile root; mounts in a user namespace of our own. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "copyup.h"
#include "harness.h"
#include "io.h"
#include "ns.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

int unshare(int flags);

static char root_path[PATH_MAX], outside[PATH_MAX];

/* ROOT with links that point out of it, and a directory beside it that must stay empty. */
static int make_root(void)
{
        int fd;

        (void) snprintf(root_path, sizeof(root_path), "%s/root", scratch_dir());
        (void) snprintf(outside, sizeof(outside), "%s/outside", scratch_dir());
        CHECK(mkdir(root_path, 0755) == 0 && mkdir(outside, 0755) == 0);
        fd = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK(symlinkat(outside, fd, "abs") == 0);
        CHECK(symlinkat("../outside", fd, "rel") == 0);
        CHECK(symlinkat("/run/new/file", fd, "dangling") == 0);
        CHECK(symlinkat("loop2", fd, "loop1") == 0 && symlinkat("loop1", fd, "loop2") == 0);
        return fd;
}

static bool exists(int root, const char *path)
{
        struct stat st;

        return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

TEST(create_beneath)
{
        int root = make_root(), fd;

        fd = root_create(root, "/a/b/c", true);
        CHECK(fd >= 0 && exists(root, "a/b/c"));
        (void) close(fd);
        fd = root_create(root, "a/b/../../d/./file", false);
        CHECK(fd >= 0 && exists(root, "d/file"));
        (void) close(fd);
        /* An existing file is taken as it is. */
        fd = root_create(root, "/d/file", false);
        CHECK(fd >= 0);
        (void) close(fd);
        CHECK(root_create(root, "/d/file/below", true) == -ENOTDIR);
        CHECK(root_create(root, "/loop1/x", true) == -ELOOP);
        (void) close(root);
}

TEST(create_does_not_escape)
{
        int root = make_root(), fd;
        char want[2 * PATH_MAX];

        /* An absolute link is absolute in the container: the path is made there. */
        fd = root_create(root, "/abs/x", true);
        CHECK(fd >= 0);
        (void) close(fd);
        (void) snprintf(want, sizeof(want), "%s/x", outside + 1);
        CHECK(exists(root, want));
        fd = root_create(root, "/rel/y", false);
        CHECK(fd >= 0 && exists(root, "outside/y"));
        (void) close(fd);
        fd = root_create(root, "../../../outside/z", true);
        CHECK(fd >= 0 && exists(root, "outside/z"));
        (void) close(fd);
        /* resolv.conf of many images: a link to a file that is not there. */
        fd = root_create(root, "/dangling", false);
        CHECK(fd >= 0 && exists(root, "run/new/file"));
        (void) close(fd);
        CHECK(rmdir(outside) == 0);
        (void) close(root);
}

TEST(parent_of_path)
{
        char name[NAME_MAX + 1];
        int root = make_root(), fd = root_parent(root, "/dev/x/null", name);

        CHECK(fd >= 0 && exists(root, "dev/x") && !exists(root, "dev/x/null"));
        CHECK_STR(name, "null");
        (void) close(fd);
        CHECK(root_parent(root, "/", name) == -EINVAL);
        CHECK(root_open_nolink(root, "abs", O_PATH) == -ELOOP);
        CHECK(root_open(root, "/etc/passwd", O_RDONLY) == -ENOENT);
        (void) close(root);
}

TEST(copy_up)
{
        char path[2 * PATH_MAX], *text = NULL;
        int root = make_root(), src, dst;
        struct stat st;

        src = root_create(root, "/src/sub", true);
        CHECK(src >= 0);
        CHECK(replace_file_at(src, "f", "data", 4, 0640) == 0 && symlinkat("f", src, "l") == 0 &&
              mkfifoat(src, "p", 0600) == 0);
        (void) close(src);
        src = root_open(root, "/src", O_PATH);
        dst = root_create(root, "/dst", true);
        CHECK(copy_up(src, dst) == 0);
        (void) snprintf(path, sizeof(path), "%s/dst/sub/f", root_path);
        CHECK(read_file_at(AT_FDCWD, path, 100, &text) == 4);
        free(text);
        CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
        (void) snprintf(path, sizeof(path), "%s/dst/sub/l", root_path);
        CHECK(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
        CHECK(copy_up(src, dst) == -EEXIST);
        (void) close(src);
        (void) close(dst);
        (void) close(root);
}

/* Become root of a new user and mount namespace. */
static void enter_namespaces(void)
{
        char map[64];
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                skip("user namespaces are not allowed here");
        CHECK(write_file_at(AT_FDCWD, "/proc/self/setgroups", "deny") == 0);
        (void) snprintf(map, sizeof(map), "0 %u 1", (unsigned int) uid);
        CHECK(write_file_at(AT_FDCWD, "/proc/self/uid_map", map) == 0);
        (void) snprintf(map, sizeof(map), "0 %u 1", (unsigned int) gid);
        CHECK(write_file_at(AT_FDCWD, "/proc/self/gid_map", map) == 0);
        CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

static struct builder builder(const struct config *c, int root)
{
        return (struct builder){
                .config = c, .root_fd = root, .proc_fd = -1, .empty_fd = -1, .null_fd = -1, .user_ns = true};
}

static void done(struct builder *b)
{
        if (b->empty_fd >= 0)
                (void) close(b->empty_fd);
        if (b->null_fd >= 0)
                (void) close(b->null_fd);
        (void) close(b->root_fd);
}

TEST(mask_and_readonly)
{
        struct config c = {0};
        spawn_error e = {0};
        char path[2 * PATH_MAX];
        struct stat st;
        int root;

        enter_namespaces();
        root = make_root();
        (void) close(root_create(root, "/secret/dir/file", false));
        (void) close(root_create(root, "/secret2", true));
        (void) close(root_create(root, "/ro/sub", true));
        struct builder b = builder(&c, root);
        const struct op ops[] = {{.kind = OP_MASK, .target = "/secret/dir"},
                                 {.kind = OP_MASK, .target = "/secret2"},
                                 {.kind = OP_MASK, .target = "/not/there"},
                                 {.kind = OP_READONLY, .target = "/ro"},
                                 {.kind = OP_READONLY, .target = "/nor/there"}};
        const struct plan p = {(struct op *) (uintptr_t) ops, ELEMENTSOF(ops)};
        CHECK(plan_execute(&p, &b, &e) == 0);
        (void) snprintf(path, sizeof(path), "%s/secret/dir/file", root_path);
        CHECK(stat(path, &st) < 0 && errno == ENOENT);
        (void) snprintf(path, sizeof(path), "%s/secret/dir/new", root_path);
        CHECK(mkdir(path, 0700) < 0 && errno == EROFS);
        (void) snprintf(path, sizeof(path), "%s/secret2/new", root_path);
        CHECK(mkdir(path, 0700) < 0 && errno == EROFS);
        (void) snprintf(path, sizeof(path), "%s/ro/sub/new", root_path);
        CHECK(mkdir(path, 0700) < 0 && errno == EROFS);
        done(&b);
}

TEST(proc_target_must_not_be_a_link)
{
        struct config c = {0};
        spawn_error e = {0};
        int root;

        enter_namespaces();
        root = make_root();
        struct builder b = builder(&c, root);
        const struct oci_mount m = {.destination = "/abs", .type = "proc", .source = "proc"};
        const struct op op = {.kind = OP_FILESYSTEM, .target = "/abs", .mount = &m};
        CHECK(op_filesystem(&op, &b, &e) == -ELOOP);
        CHECK_STR(e.text, "mount `proc` to `/abs`: the target must not be a symbolic link");
        done(&b);
}

TEST(bind_with_flags)
{
        struct config c = {0};
        spawn_error e = {0};
        struct statvfs fs;
        char path[2 * PATH_MAX];
        int root;

        enter_namespaces();
        root = make_root();
        struct builder b = builder(&c, root);
        const struct oci_mount m = {
                .destination = "/x/y",
                .type = "bind",
                .source = outside,
                .options = {.bind = true, .recursive = true, .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC}};
        const struct op op = {.kind = OP_BIND, .target = "/x/y", .mount = &m, .tree_fd = -1, .idmap_fd = -1};
        CHECK(op_bind(&op, &b, &e) == 0);
        (void) snprintf(path, sizeof(path), "%s/x/y", root_path);
        CHECK(statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY) && (fs.f_flag & ST_NOEXEC));
        CHECK(statvfs(outside, &fs) == 0 && !(fs.f_flag & ST_RDONLY));
        const struct oci_mount gone = {
                .destination = "/z", .type = "bind", .source = "/no/such/source", .options = {.bind = true}};
        const struct op bad = {.kind = OP_BIND, .target = "/z", .mount = &gone, .tree_fd = -1, .idmap_fd = -1};
        CHECK(op_bind(&bad, &b, &e) == -ENOENT);
        CHECK_STR(e.text, "mount `/no/such/source` to `/z`: No such file or directory");
        CHECK(!exists(root, "z"));
        done(&b);
}
