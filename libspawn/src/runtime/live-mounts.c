/* Mounts of a running container: added to it, taken away again.
 *
 * Sources are copied where the host's paths are, then a process joins the container and attaches them: what the
 * container has changed about its own paths can only lead to other places in itself.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "container.h"
#include "fail.h"
#include "init.h"
#include "io.h"
#include "rootfs.h"
#include "util.h"

int setns(int fd, int nstype);
int unshare(int flags);
/* linux/mount.h and sys/mount.h exclude each other in glibc 2.36. */
int umount2(const char *target, int flags);
#define DETACH_NOFOLLOW (2 | 8) /* MNT_DETACH | UMOUNT_NOFOLLOW */

struct live {
        struct state state;
        struct config config; /* mounts and nothing else */
        struct plan plan;
        int pidfd, sync[2];
        bool add;
};

/* The file is the array that config.json has as "mounts". */
static int read_mounts(struct live *l, const char *file, spawn_error *e)
{
        static const char head[] = "{\"mounts\":", tail[] = "}";
        _cleanup_free_ char *text = NULL, *document = NULL;
        struct jv root;
        ssize_t n = read_file_at(AT_FDCWD, file, 16 * 1024 * 1024, &text);
        int len, r;

        if (n < 0)
                return fail_code(e, (int) -n, "mounts", "open `%s`", file);
        len = asprintf(&document, "%s%s%s", head, text, tail);
        if (len < 0) {
                document = NULL;
                return spawn_err(e, ENOMEM, "mounts", "out of memory");
        }
        r = jv_parse(file, document, (size_t) len, &l->config.json, e);
        if (r < 0)
                return r;
        root = jv_root(l->config.json);
        return config_mounts(&root, &l->config, e);
}

static int check_mounts(const struct live *l, spawn_error *e)
{
        struct jv root = jv_root(l->config.json), list = jv_key(&root, "mounts");

        for (size_t i = 0; i < l->config.n_mounts; i++) {
                const struct oci_mount *m = &l->config.mounts[i];
                struct jv v = jv_idx(&list, i);

                if (m->destination[0] != '/' || path_is_root(m->destination))
                        return jv_err(&v, e,
                                      "the destination of a running container's mount is an absolute path, not /");
                if (m->options.bind && m->source != NULL && m->source[0] != '/')
                        return jv_err(&v, e, "the source is not an absolute path");
                if (m->options.remount || m->options.idmap || m->uids.n > 0)
                        return jv_err(&v, e, "a running container's mounts are not remounted nor id-mapped");
        }
        return 0;
}

/* The destination as a mount, not what a link there leads to. */
static int unmount(int root_fd, const char *path)
{
        size_t len = strlen(path), start;
        char parent[PATH_MAX];

        while (len > 1 && path[len - 1] == '/')
                len--;
        for (start = len; start > 0 && path[start - 1] != '/'; start--)
                ;
        if (len >= sizeof(parent))
                return -ENAMETOOLONG;
        memcpy(parent, path, len);
        parent[len] = '\0';
        _cleanup_free_ char *name = strdup(parent + start);
        parent[start] = '\0';
        _cleanup_close_ int fd = root_open(root_fd, parent, O_PATH | O_DIRECTORY);
        if (name == NULL || fd < 0)
                return name == NULL ? -ENOMEM : fd;
        return fchdir(fd) < 0 || umount2(name, DETACH_NOFOLLOW) < 0 ? -errno : 0;
}

static int remove_all(const struct live *l, int root_fd, spawn_error *e)
{
        for (size_t i = l->config.n_mounts; i-- > 0;) {
                const char *path = l->config.mounts[i].destination;
                int r = unmount(root_fd, path);

                if (r == -EINVAL || r == -ENOENT)
                        return spawn_err(e, -r, "mounts", "mounts[%zu]: nothing is mounted on `%s`", i, path);
                if (r < 0)
                        return fail_code(e, r, "mounts", "mounts[%zu]: unmount `%s`", i, path);
        }
        return 0;
}

/* All of them or none. */
static int add_all(const struct live *l, struct builder *b, spawn_error *e)
{
        for (size_t i = 0; i < l->plan.n; i++) {
                const struct plan one = {.ops = l->plan.ops + i, .n = 1};
                int r = plan_execute(&one, b, e);

                if (r == 0)
                        continue;
                while (i-- > 0)
                        if (l->plan.ops[i].kind == OP_BIND || l->plan.ops[i].kind == OP_FILESYSTEM)
                                (void) unmount(b->root_fd, l->plan.ops[i].target);
                return r;
        }
        return 0;
}

/* Does: the mounts. Needs: to be born in the container's pid namespace, for a new procfs. */
static int work_inside(struct live *l, spawn_error *e)
{
        struct builder b = {
                .config = &l->config,
                .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
                .proc_fd = -1,
                .empty_fd = -1,
                .null_fd = -1,
                .devices_fd = -1,
                .user_ns = (l->state.namespaces & CLONE_NEWUSER) != 0,
                .no_proc = true,
        };

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (b.root_fd < 0)
                return fail_errno(e, "mounts", "open `/` of container `%s`", l->state.id);
        return l->add ? add_all(l, &b, e) : remove_all(l, b.root_fd, e);
}

static bool all_opened(const struct plan *p)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->ops[i].kind == OP_BIND && p->ops[i].tree_fd < 0)
                        return false;
        return true;
}

/* Into the user namespace first: with the rights that it gives an ordinary user can copy what it sees of the host. */
static int enter(struct live *l, spawn_error *e)
{
        int flags = l->state.namespaces, r;

        /* Before any of our memory can be seen from inside: ptrace(2), "Ptrace access mode checking". */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return fail_errno(e, "mounts", "protect this process");
        if ((flags & CLONE_NEWUSER) && setns(l->pidfd, CLONE_NEWUSER) < 0 && errno != EINVAL)
                return fail_errno(e, "mounts", "join the user namespace of container `%s`", l->state.id);
        if (!all_opened(&l->plan)) {
                r = unshare(CLONE_NEWNS) < 0 ? fail_errno(e, "mounts", "make a mount namespace")
                                             : plan_preopen(&l->plan, l->config.mounts, true, e);
                if (r < 0)
                        return r;
        }
        flags &= ~CLONE_NEWUSER;
        if (setns(l->pidfd, flags) < 0)
                return fail_errno(e, "mounts", "join the namespaces of container `%s`", l->state.id);
        if (l->state.namespaces & CLONE_NEWUSER) {
                (void) !setresgid(0, 0, 0);
                (void) !setresuid(0, 0, 0);
        }
        return 0;
}

static _Noreturn void child_main(struct live *l)
{
        spawn_error e = {0};
        int r, status;

        (void) close(l->sync[0]);
        (void) umask(022);
        r = enter(l, &e);
        pid_t pid = r < 0 ? r : ns_fork(0, -1, false);
        if (r == 0 && pid < 0)
                (void) fail_code(&e, pid, "mounts", "make a process in container `%s`", l->state.id);
        if (pid == 0 && (r = work_inside(l, &e)) == 0)
                _exit(0);
        if (pid > 0) {
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
        }
        (void) sync_send(l->sync[1], SYNC_ERROR, 0, &e);
        _exit(1);
}

static int run_child(struct live *l, spawn_error *e)
{
        struct sync_message m;
        int status = 0, r = sync_pair(l->sync);

        if (r < 0)
                return fail_code(e, r, "mounts", "create a socket");
        _cleanup_close_ int ours = l->sync[0];
        pid_t pid = ns_fork(0, -1, false);
        if (pid == 0)
                child_main(l);
        (void) close(l->sync[1]);
        if (pid < 0)
                return fail_code(e, pid, "mounts", "fork");
        r = sync_receive(ours, &m);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (r > 0) {
                *e = m.err;
                return m.err.code > 0 ? -m.err.code : -EIO;
        }
        return status == 0 ? 0 : spawn_err(e, EIO, "mounts", "the process in container `%s` died", l->state.id);
}

static int change(struct live *l, const struct runtime *rt, const char *id, const char *file, spawn_error *e)
{
        int r;

        _cleanup_close_ int dir = state_load(rt, id, &l->state, e);
        if (dir < 0)
                return dir;
        _cleanup_close_ int pidfd = state_pidfd(&l->state);
        if (pidfd < 0)
                return spawn_err(e, ESRCH, "mounts", "the container `%s` is not running", id);
        if (!(l->state.namespaces & CLONE_NEWNS))
                return fail_text(e, "mounts", "container `%s` has no mount namespace of its own", id);
        l->pidfd = pidfd;
        if ((r = read_mounts(l, file, e)) < 0 || (r = check_mounts(l, e)) < 0)
                return r;
        if (l->add && ((r = plan_make_mounts(&l->config, &l->plan, e)) < 0 ||
                       (r = plan_preopen(&l->plan, l->config.mounts, true, e)) < 0))
                return r;
        return run_child(l, e);
}

int container_mounts(const struct runtime *rt, const char *id, const char *file, bool add, spawn_error *e)
{
        struct live l = {.pidfd = -1, .sync = {-1, -1}, .add = add};
        int r = change(&l, rt, id, file, e);

        state_free(&l.state);
        config_free(&l.config);
        return r;
}
