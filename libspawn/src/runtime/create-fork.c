/* Creating a container, second part: its process comes into being, in its namespaces and its cgroup. */
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "cgroup-systemd.h"
#include "creation.h"
#include "fail.h"
#include "init.h"
#include "process.h"
#include "sync.h"
#include "util.h"

int unshare(int flags);

static _Noreturn void run_init(struct creation *c, int postponed, bool move)
{
        static struct init init;

        (void) close(c->sync[0]);
        init = (struct init){
                .id = c->o->id,
                .log = c->rt->log,
                .config = &c->config,
                .plan = &c->plan,
                .ns = &c->ns,
                .seccomp = &c->seccomp,
                .state = &c->state,
                .cgroup = c->state.cgroup,
                .sync_fd = c->sync[1],
                .listen_fd = c->listen_fd,
                .console_fd = c->console_fd >= 0 ? c->console_fd : c->o->console_fd,
                .root_tree = c->root_tree,
                .devices_fd = c->devices_fd,
                .preserve_fds = c->o->preserve_fds,
                .postponed = postponed,
                .move_to_cgroup = move,
                .rootless = c->rt->rootless,
                .no_pivot = c->o->no_pivot,
                .no_new_keyring = c->o->no_new_keyring,
        };
        init_main(&init);
}

/* The first process of ours that will be, or will fork, the container's: into the cgroup at birth where the kernel
 * allows, as moving a process afterwards costs milliseconds.
 * FIXME(kernel 5.7): before it, and where a sandbox refuses clone3(2), the child moves itself (*ret_move). */
static pid_t fork_into(struct creation *c, int flags, bool *ret_move, spawn_error *e)
{
        pid_t pid = ns_fork(flags, c->cgroup.fd, false);

        *ret_move = false;
        if (pid == -EOPNOTSUPP && cgroup_make_threaded(c->cgroup.path) == 0)
                pid = ns_fork(flags, c->cgroup.fd, false);
        if (pid < 0 && c->cgroup.fd >= 0) {
                *ret_move = true;
                pid = ns_fork(flags, -1, false);
        }
        return pid < 0 ? fail_code(e, pid, "namespaces", "make the container's namespaces") : pid;
}

/* In the middle process: join and make the namespaces that only children of it will be in. */
static int middle_work(struct creation *c, bool move, spawn_error *e)
{
        static const int before = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWTIME;
        int postponed = 0, r, flags;
        pid_t pid;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (cgroup_wants_process(&c->cgroup)) {
                r = sync_wait_go(c->sync[1]);
                if (r < 0)
                        return fail_code(e, r, "cgroup", "wait for scope `%s`", c->cgroup.scope);
                r = cgroup_entered(&c->cgroup, e);
                if (r < 0)
                        return r;
                c->state.cgroup = c->cgroup.path;
        }
        /* While we still have the ids that may: in the new user namespace the cgroup belongs to somebody else. */
        r = move ? cgroup_add(c->cgroup.path, 0) : 0;
        if (r < 0)
                return fail_code(e, r, "cgroup", "add the container to cgroup `%s`", c->cgroup.path);
        /* While the caller's rights last: a priority that was inherited may be asked for again in any namespace. If it
         * is not to be had, the container says so itself. */
        if (c->config.process.scheduler.deadline == 0) /* with one it could not fork any more */
                (void) process_priority(&c->config.process, NULL);
        /* First with the rights of here, then with those in the user namespace: a path may belong to either. */
        r = ns_join(&c->ns, before, &postponed, e);
        if (r < 0 || (r = ns_join(&c->ns, CLONE_NEWUSER, NULL, e)) < 0)
                return r;
        if (c->ns.create & CLONE_NEWUSER) {
                if (unshare(CLONE_NEWUSER) < 0)
                        return fail_errno(e, "user namespace", "make a user namespace");
                r = sync_send(c->sync[1], SYNC_MAP_IDS, (int) getpid(), NULL);
                if (r == 0)
                        r = sync_wait_go(c->sync[1]);
                if (r < 0)
                        return fail_code(e, r, "user namespace", "wait for the id maps");
        }
        /* As root of the namespace, if it has one: files made from here on belong to it. */
        (void) !setresgid(0, 0, 0);
        (void) !setresuid(0, 0, 0);
        r = ns_join(&c->ns, postponed, NULL, e);
        if (r < 0)
                return r;
        if ((c->ns.create & CLONE_NEWTIME) && unshare(CLONE_NEWTIME) < 0)
                return fail_errno(e, "namespaces", "make a time namespace");
        if ((c->ns.create & CLONE_NEWTIME) && (r = ns_time_offsets(&c->config, e)) < 0)
                return r;
        flags = c->ns.create & ~(CLONE_NEWUSER | CLONE_NEWTIME | CLONE_NEWCGROUP);
        pid = ns_fork(flags, -1, true);
        if (pid == 0)
                run_init(c, CLONE_NEWCGROUP | CLONE_NEWNS, false);
        if (pid < 0)
                return fail_code(e, pid, "namespaces", "make the container's namespaces");
        return sync_send(c->sync[1], SYNC_PID, pid, NULL);
}

int creation_fork(struct creation *c, spawn_error *e)
{
        static const int late = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP;
        spawn_error inner = {0};
        bool move;
        int r;

        if (!ns_needs_middle(&c->ns) && !cgroup_wants_process(&c->cgroup)) {
                c->pid = fork_into(c, c->ns.create & ~CLONE_NEWCGROUP, &move, e);
                if (c->pid == 0)
                        run_init(c, late, move);
                return c->pid < 0 ? c->pid : 0;
        }
        c->middle = fork_into(c, 0, &move, e);
        if (c->middle < 0)
                return c->middle;
        if (c->middle == 0) {
                (void) close(c->sync[0]);
                r = middle_work(c, move, &inner);
                if (r < 0)
                        (void) sync_send(c->sync[1], SYNC_ERROR, 0, &inner);
                _exit(r < 0);
        }
        if (!cgroup_wants_process(&c->cgroup))
                return 0;
        r = cgroup_enter(&c->cgroup, &c->config, c->middle, e);
        if (r < 0)
                return r;
        c->state.cgroup = c->cgroup.path;
        r = sync_send(c->sync[0], SYNC_GO, 0, NULL);
        if (r < 0)
                return fail_code(e, r, "cgroup", "put the container into scope `%s`", c->cgroup.scope);
        cgroup_systemd_keep_monitor(c->rt, c->cgroup.systemd, &c->config);
        return 0;
}
