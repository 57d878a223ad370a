/* Namespaces: open, join, make, map ids. */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fail.h"
#include "io.h"
#include "ns.h"
#include "util.h"

/* sched.h and linux/sched.h disagree on struct clone_args. */
int setns(int fd, int nstype);
int unshare(int flags);

int ns_open(const struct config *c, struct ns_set *ret, spawn_error *e)
{
        memset(ret, 0, sizeof(*ret));
        for (size_t i = 0; i < c->n_namespaces; i++) {
                const struct oci_namespace *ns = &c->namespaces[i];

                if (ns->path == NULL) {
                        ret->create |= ns->flag;
                        continue;
                }
                _cleanup_close_ int fd = open(ns->path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return fail_errno(e, "namespaces", "open %s namespace `%s`", ns->type, ns->path);
                int type = ioctl(fd, NS_GET_NSTYPE);
                if (type < 0 || type != ns->flag)
                        return fail_text(e, "namespaces", "join %s namespace: `%s` is not a %s namespace", ns->type,
                                         ns->path, ns->type);
                ret->join[ret->n_join].ns = ns;
                ret->join[ret->n_join++].fd = steal_fd(&fd);
        }
        return 0;
}

static bool is_own(int fd, const char *file)
{
        char path[32];
        struct stat a, b;

        (void) snprintf(path, sizeof(path), "/proc/self/ns/%s", file);
        return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int ns_check_sysctls(const struct config *c, const struct ns_set *s, spawn_error *e)
{
        static const struct {
                int flag;
                const char *file;
        } files[] = {{CLONE_NEWNET, "net"}, {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"}, {CLONE_NEWUSER, "user"}};

        for (size_t i = 0; c->sysctl.n > 0 && i < s->n_join; i++)
                for (size_t f = 0; f < ELEMENTSOF(files); f++) {
                        if (files[f].flag != s->join[i].ns->flag || !is_own(s->join[i].fd, files[f].file))
                                continue;
                        for (size_t k = 0; k < c->sysctl.n; k++)
                                if (sysctl_namespace(c->sysctl.v[k].key) == files[f].flag)
                                        return fail_text(e, "sysctl",
                                                         "linux.sysctl.%s: the %s namespace `%s` is the host's",
                                                         c->sysctl.v[k].key, s->join[i].ns->type, s->join[i].ns->path);
                }
        return 0;
}

void ns_close(struct ns_set *s)
{
        for (size_t i = 0; i < s->n_join; i++)
                (void) close(s->join[i].fd);
        s->n_join = 0;
}

int ns_join(const struct ns_set *s, int mask, int *postpone, spawn_error *e)
{
        for (size_t i = 0; i < s->n_join; i++) {
                const struct oci_namespace *ns = s->join[i].ns;

                if (!(ns->flag & mask))
                        continue;
                if (setns(s->join[i].fd, ns->flag) == 0)
                        continue;
                /* user_namespaces(7): joining the user namespace that one is in is EINVAL. */
                if (ns->flag == CLONE_NEWUSER && errno == EINVAL)
                        continue;
                if (errno == EPERM && postpone != NULL) {
                        *postpone |= ns->flag;
                        continue;
                }
                return fail_errno(e, "namespaces", "join %s namespace `%s`", ns->type, ns->path);
        }
        return 0;
}

static bool joins(const struct ns_set *s, int flag)
{
        for (size_t i = 0; i < s->n_join; i++)
                if (s->join[i].ns->flag == flag)
                        return true;
        return false;
}

bool ns_needs_middle(const struct ns_set *s)
{
        return (s->create & (CLONE_NEWUSER | CLONE_NEWTIME)) != 0 || joins(s, CLONE_NEWUSER) ||
               joins(s, CLONE_NEWPID) || joins(s, CLONE_NEWTIME);
}

pid_t ns_fork(int flags, int cgroup_fd, bool sibling)
{
        struct clone_args args = {
                .flags = (uint64_t) (unsigned int) flags,
                .exit_signal = sibling ? 0 : SIGCHLD, /* with CLONE_PARENT it is the caller's own (clone(2)) */
        };
        long r;

        if (sibling)
                args.flags |= CLONE_PARENT;
        if (cgroup_fd >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t) cgroup_fd;
        }
        r = syscall(SYS_clone3, &args, sizeof(args));
        return r < 0 ? -errno : (pid_t) r;
}

static size_t format_map(const struct oci_idmaps *m, char *buf, size_t size)
{
        size_t n = 0;

        for (size_t i = 0; i < m->n && n < size; i++) {
                int r = snprintf(buf + n, size - n, "%u %u %u\n", m->v[i].inside, m->v[i].outside, m->v[i].count);

                n += r < 0 ? 0 : (size_t) r;
        }
        return n < size ? n : size - 1;
}

static int write_map(pid_t pid, const char *file, const struct oci_idmaps *m)
{
        char path[64], text[340 * 34];
        size_t n = format_map(m, text, sizeof(text));

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);
        return n == 0 ? -EINVAL : write_procfs(path, text);
}

/* newuidmap PID inside outside count ...; set-user-ID and restricted to /etc/subuid. */
static int run_newidmap(const char *program, pid_t pid, const struct oci_idmaps *m, spawn_error *e)
{
        char numbers[3 * 340 + 1][12];
        char *argv[3 * 340 + 3], prog[32];
        size_t n = 0;
        pid_t child;
        int status;

        (void) snprintf(prog, sizeof(prog), "%s", program);
        (void) snprintf(numbers[0], sizeof(numbers[0]), "%d", (int) pid);
        argv[n++] = prog;
        argv[n++] = numbers[0];
        for (size_t i = 0; i < m->n; i++) {
                const uint32_t v[3] = {m->v[i].inside, m->v[i].outside, m->v[i].count};

                for (int k = 0; k < 3; k++) {
                        (void) snprintf(numbers[n - 1], sizeof(numbers[0]), "%u", v[k]);
                        argv[n] = numbers[n - 1];
                        n++;
                }
        }
        argv[n] = NULL;
        child = fork();
        if (child < 0)
                return fail_errno(e, "user namespace", "fork for `%s`", program);
        if (child == 0) {
                (void) execvp(program, argv);
                dprintf(2, "run %s: %s\n", program, strerror(errno));
                _exit(127);
        }
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return fail_errno(e, "user namespace", "wait for `%s`", program);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                return spawn_err(e, ENOENT, "user namespace",
                                 "run `%s`: not found; install the package uidmap (or shadow)", program);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return spawn_err(e, EPERM, "user namespace",
                                 "`%s` refused the id mappings: check the ranges in /etc/subuid and /etc/subgid",
                                 program);
        return 0;
}

int ns_map_ids(pid_t pid, const struct config *c, spawn_error *e)
{
        char path[64];
        int r = write_map(pid, "gid_map", &c->gids);

        if (r == -EPERM && c->gids.n == 1 && c->gids.v[0].count == 1) {
                /* One id, our own: allowed to anyone who gives up setgroups(2). */
                (void) snprintf(path, sizeof(path), "/proc/%d/setgroups", (int) pid);
                (void) write_procfs(path, "deny");
                r = write_map(pid, "gid_map", &c->gids);
        }
        if (r == -EPERM)
                r = run_newidmap("newgidmap", pid, &c->gids, e);
        else if (r < 0)
                return fail_code(e, r, "user namespace", "write gid_map");
        if (r < 0)
                return r;
        r = write_map(pid, "uid_map", &c->uids);
        if (r == -EPERM)
                return run_newidmap("newuidmap", pid, &c->uids, e);
        return r < 0 ? fail_code(e, r, "user namespace", "write uid_map") : 0;
}

int ns_userns_fd(const struct oci_idmaps *uids, const struct oci_idmaps *gids, spawn_error *e)
{
        char path[40];
        int fd, r;

        _cleanup_kill_ pid_t pid = ns_fork(CLONE_NEWUSER, -1, false);
        if (pid < 0) {
                r = pid;
                pid = -1;
                return fail_code(e, r, "mounts", "make a user namespace for an id-mapped mount");
        }
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        (void) pause();
        }
        r = write_map(pid, "gid_map", gids);
        if (r == 0)
                r = write_map(pid, "uid_map", uids);
        if (r < 0)
                return fail_code(e, r, "mounts", "write the maps of an id-mapped mount");
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/user", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? fail_errno(e, "mounts", "open `%s`", path) : fd;
}

int ns_time_offsets(const struct config *c, spawn_error *e)
{
        char text[128];
        int r;

        if (!c->boottime.given && !c->monotonic.given)
                return 0;
        (void) snprintf(text, sizeof(text), "boottime %lld %u\nmonotonic %lld %u\n", (long long) c->boottime.secs,
                        c->boottime.nanosecs, (long long) c->monotonic.secs, c->monotonic.nanosecs);
        r = write_procfs("/proc/self/timens_offsets", text);
        return r < 0 ? fail_code(e, r, "namespaces", "write `/proc/self/timens_offsets`") : 0;
}

int ns_loopback_up(spawn_error *e)
{
        struct ifreq ifr = {.ifr_name = "lo"};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
                return fail_errno(e, "network", "read the flags of lo");
        ifr.ifr_flags = (short) (ifr.ifr_flags | IFF_UP | IFF_RUNNING);
        if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
                return fail_errno(e, "network", "set lo up");
        return 0;
}
