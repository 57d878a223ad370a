/* Namespaces: open, join, make, map ids. */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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
                        return fail_errno(e, "namespaces", "linux.namespaces[%zu].path: open %s namespace `%s`", i,
                                          ns->type, ns->path);
                int type = ioctl(fd, NS_GET_NSTYPE);
                if (type < 0 || type != ns->flag)
                        return fail_text(e, "namespaces", "linux.namespaces[%zu].path: `%s` is not a %s namespace", i,
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
