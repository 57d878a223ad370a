/* A further process in a running container. */
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "cgroup-systemd.h"
#include "config.h"
#include "container.h"
#include "fail.h"
#include "init.h"
#include "io.h"
#include "lsm.h"
#include "process.h"
#include "rootfs.h"
#include "terminal.h"
#include "util.h"

int setns(int fd, int nstype);

struct joining {
        const struct runtime *rt;
        const struct exec_options *o;
        struct state state;
        struct config config; /* holds the process; of a file, only that */
        struct oci_process *process;
        struct seccomp_filter filter;
        struct init_host host;
        struct cgroup_systemd *systemd; /* moves the process into the container's cgroup; NULL: it may enter itself */
        int dir_fd, pidfd, cgroup_fd, init_cgroup_fd, cgroup_ns_fd, console_fd, sync[2];
};

/* The same filter as the container's, from the cache; compiled again from the configuration if that has lost it. */
static int get_filter(struct joining *j, spawn_error *e)
{
        _cleanup_close_ int cache = -1;
        struct config c;
        int r;

        if (j->state.seccomp == NULL)
                return 0;
        cache = state_seccomp_cache(j->rt);
        if (seccomp_from_cache(cache, j->state.seccomp, &j->filter) == 0) {
                j->filter.listener = j->state.listener;
                j->filter.metadata = j->state.metadata;
                return 0;
        }
        r = config_read(j->dir_fd, "config.json", "config.json", &c, e);
        if (r == 0 && c.seccomp == NULL)
                r = spawn_err(e, EBADMSG, "state", "the configuration of container `%s` is damaged", j->o->id);
        if (r == 0)
                r = seccomp_prepare(c.seccomp, seccomp_is_strict(&c), cache, &j->filter, e);
        j->filter.listener = j->state.listener;
        j->filter.metadata = j->state.metadata;
        config_free(&c);
        return r;
}

static bool same_namespace(pid_t pid, const char *name)
{
        char path[48], own[32];
        struct stat a, b;

        (void) snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int) pid, name);
        (void) snprintf(own, sizeof(own), "/proc/self/ns/%s", name);
        return stat(path, &a) == 0 && stat(own, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* --cgroup: one below the container's, which must be there already. */
static int open_sub_cgroup(struct joining *j, spawn_error *e)
{
        if (j->state.cgroup == NULL)
                return fail_text(e, "cgroup", "--cgroup `%s`: container `%s` has no cgroup of its own", j->o->cgroup,
                                 j->o->id);
        /* They could not lead out, but `foo/..` is not what somebody means who gives a place to be put in. */
        for (const char *c = j->o->cgroup; *c != '\0'; c += strcspn(c, "/"), c += strspn(c, "/"))
                if (strcspn(c, "/") == 2 && strncmp(c, "..", 2) == 0)
                        return fail_text(e, "cgroup", "--cgroup `%s`: `..` components are not allowed", j->o->cgroup);
        _cleanup_close_ int top = open(j->state.cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (top < 0)
                return fail_errno(e, "cgroup", "open cgroup `%s`", j->state.cgroup);
        j->cgroup_fd = root_open(top, j->o->cgroup, O_RDONLY | O_DIRECTORY);
        return j->cgroup_fd < 0 ? fail_code(e, j->cgroup_fd, "cgroup", "open cgroup `%s` below that of container `%s`",
                                            j->o->cgroup, j->o->id)
                                : 0;
}

static int open_cgroups(struct joining *j, spawn_error *e)
{
        char path[PATH_MAX];
        int r = j->o->cgroup != NULL ? open_sub_cgroup(j, e) : 0;

        if (r < 0)
                return r;
        if (j->state.cgroup != NULL && j->o->cgroup == NULL)
                j->cgroup_fd = open(j->state.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        /* Outside of it there would be no limits, and kill --all would miss the process. */
        if (j->state.cgroup != NULL && j->cgroup_fd < 0)
                return fail_errno(e, "join", "open cgroup `%s`", j->state.cgroup);
        /* systemd in a container moves itself into a cgroup below, and then nothing may be in the one above. */
        if (j->cgroup_fd >= 0 && j->o->cgroup == NULL && cgroup_of_pid(j->state.pid, path) == 0 &&
            strcmp(path, j->state.cgroup) != 0)
                j->init_cgroup_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (j->state.namespaces & CLONE_NEWCGROUP) {
                (void) snprintf(path, sizeof(path), "/proc/%d/ns/cgroup", (int) j->state.pid);
                j->cgroup_ns_fd = open(path, O_RDONLY | O_CLOEXEC);
                if (j->cgroup_ns_fd < 0)
                        return fail_errno(e, "join", "open the cgroup namespace of container `%s`", j->state.id);
        }
        return cgroup_systemd_join_prepare(j->rt, &j->state, j->o->cgroup, &j->systemd, e);
}

/* Everything that needs paths of the host. */
static int prepare(struct joining *j, spawn_error *e)
{
        int r;

        j->dir_fd = state_load(j->rt, j->o->id, &j->state, e);
        if (j->dir_fd < 0)
                return j->dir_fd;
        enum status status = state_status(j->dir_fd, &j->state);
        if (status == STATUS_PAUSED && !j->o->ignore_paused)
                return spawn_err(e, EBUSY, "join", "the container `%s` is paused", j->o->id);
        if (status != STATUS_RUNNING && status != STATUS_PAUSED)
                return spawn_err(e, ESRCH, "join", "the container `%s` is not running", j->o->id);
        j->process = &j->config.process;
        j->pidfd = state_pidfd(&j->state);
        if (j->pidfd < 0)
                return spawn_err(e, ESRCH, "join", "the container `%s` is not running", j->o->id);
        if ((r = exec_process(j->o, j->dir_fd, &j->config, e)) < 0 || (r = get_filter(j, e)) < 0 ||
            (r = seccomp_connect(&j->filter, e)) < 0 || (r = open_cgroups(j, e)) < 0)
                return r;
        if (j->process->terminal && j->o->console_socket != NULL) {
                j->console_fd = terminal_connect(j->o->console_socket, "console socket", e);
                if (j->console_fd < 0)
                        return j->console_fd;
        } else if (j->process->terminal && j->o->detach) {
                return fail_text(e, "terminal", "a terminal and --detach need --console-socket");
        }
        return 0;
}

/* All namespaces of the container but the cgroup's: the kernel checks moving into a cgroup in the view of the mover,
 * so that one is joined by the child, which is in the cgroup from birth. */
static int join_namespaces(struct joining *j, spawn_error *e)
{
        int flags = j->state.namespaces & ~CLONE_NEWCGROUP;
        char words[96];

        if ((flags & CLONE_NEWUSER) && same_namespace(j->state.pid, "user"))
                flags &= ~CLONE_NEWUSER;
        /* Before any of our memory can be seen from inside: ptrace(2), "Ptrace access mode checking". */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return fail_errno(e, "join", "protect this process");
        log_debug(j->rt->log, "exec: joining the namespaces %s of process %d",
                  namespace_words(j->state.namespaces, words, sizeof(words)), (int) j->state.pid);
        if (flags != 0 && setns(j->pidfd, flags) < 0)
                return errno == ESRCH ? spawn_err(e, ESRCH, "join", "the container `%s` is not running", j->o->id)
                                      : fail_errno(e, "join", "join the namespaces of container `%s`", j->o->id);
        return 0;
}

static int child_terminal(struct joining *j, int console_fd, spawn_error *e)
{
        int r;

        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return fail_errno(e, "join", "open `/`");
        r = terminal_setup(root, j->process, console_fd, false, e);
        (void) close(console_fd);
        return r;
}

static int child_work(struct joining *j, spawn_error *e)
{
        static char exe[PATH_MAX];
        int r = j->systemd != NULL ? sync_wait_go(j->sync[1]) : 0;

        if (r < 0)
                return fail_code(e, r, "cgroup", "wait to be moved to the cgroup of container `%s`", j->o->id);

        process_reset_signals();
        (void) umask(022);
        if (setsid() < 0)
                return fail_errno(e, "join", "setsid");
        if (j->cgroup_ns_fd >= 0 && setns(j->cgroup_ns_fd, CLONE_NEWCGROUP) < 0)
                return fail_errno(e, "join", "join the cgroup namespace");
        if (j->state.namespaces & CLONE_NEWUSER) {
                (void) !setresgid(0, 0, 0);
                (void) !setresuid(0, 0, 0);
        }
        r = process_keyring(j->o->id, e);
        if (r < 0)
                return r;
        if (j->process->terminal)
                r = child_terminal(j, j->console_fd, e);
        else
                r = (process_own_stdio(j->process), 0);
        if (r < 0 || (r = process_priority(j->process, e)) < 0 ||
            (r = process_affinity(&j->process->cpus_final, "final", e)) < 0)
                return r;
        r = init_identity(j->process, false, j->host.last_cap, exe, e);
        if (r < 0)
                return r;
        return init_become(j->process, &j->filter, &j->host, exe, j->o->preserve_fds, &j->state, e);
}

static _Noreturn void child_main(struct joining *j)
{
        spawn_error e = {0};

        (void) close(j->sync[0]);
        (void) child_work(j, &e);
        (void) sync_send(j->sync[1], SYNC_ERROR, 0, &e);
        _exit(e.code == ENOENT ? 127 : 126);
}

/* An ordinary user whose login session is root's may not move processes into a cgroup of the user's manager, and systemd
 * does it only for units that are delegated. Without exec a container in another unit could not be looked into. */
static void say_outside(const struct joining *j)
{
        log_warning(
                j->rt->log,
                "exec: this login may not move processes to cgroup `%s`: the process is not under the container's limits "
                "(called through `systemd-run --user --scope` it is)",
                j->state.cgroup);
}

static pid_t fork_into(struct joining *j, spawn_error *e)
{
        pid_t pid = ns_fork(0, j->systemd != NULL ? -1 : j->cgroup_fd, false);

        if (pid < 0 && j->init_cgroup_fd >= 0)
                pid = ns_fork(0, j->init_cgroup_fd, false);
        if (pid < 0 && j->o->cgroup != NULL)
                return fail_code(e, pid, "join", "make a process in cgroup `%s` of container `%s`", j->o->cgroup,
                                 j->o->id);
        if (pid == -EACCES && j->rt->rootless && j->state.cgroup != NULL) {
                pid = ns_fork(0, -1, false);
                if (pid > 0)
                        say_outside(j);
        }
        return pid < 0 ? fail_code(e, pid, "join", "make a process in container `%s`", j->o->id) : pid;
}

/* Have systemd move the process, which waits for it. */
static int moved_by_systemd(struct joining *j, pid_t pid, spawn_error *e)
{
        int r = cgroup_systemd_join(j->systemd, pid, e);

        if (r < 0 && j->state.scope == NULL && j->o->cgroup == NULL) {
                say_outside(j);
                r = 0;
        }
        if (r == 0)
                (void) sync_send(j->sync[0], SYNC_GO, 0, NULL); /* a failure shows in what it answers */
        return r;
}

/* Silence is success: execve(2) closes the other end. */
static int await_exec(struct joining *j, pid_t *pid, spawn_error *e)
{
        struct sync_message m;
        int r = sync_receive(j->sync[0], &m);

        if (r == 0)
                return 0;
        cleanup_killp(pid);
        *pid = -1;
        if (r < 0)
                return fail_code(e, r, "join", "read from the new process");
        *e = m.err;
        return m.err.code > 0 ? -m.err.code : -EIO;
}

static int exec_steps(struct joining *j, pid_t *ret_pid, int *ret_master, spawn_error *e)
{
        int relay[2] = {-1, -1}, r = prepare(j, e);
        char pid_path[PATH_MAX] = "";
        _cleanup_close_ int pid_dir = -1;

        if (r < 0 || (r = init_host_proc(j->process, true, &j->host, e)) < 0)
                return r;
        if (j->o->pid_file != NULL) {
                /* The path is one of the host: its directory is opened before the mount namespace changes. */
                const char *slash = strrchr(j->o->pid_file, '/');

                (void) snprintf(pid_path, sizeof(pid_path), "%.*s",
                                slash == NULL             ? 1
                                : slash == j->o->pid_file ? 1
                                                          : (int) (slash - j->o->pid_file),
                                slash == NULL ? "." : j->o->pid_file);
                pid_dir = open(pid_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (pid_dir < 0)
                        return fail_errno(e, "pid file", "write pid file `%s`", j->o->pid_file);
        }
        if (j->process->terminal && j->console_fd < 0) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, relay) < 0)
                        return fail_errno(e, "terminal", "create a socket");
                j->console_fd = relay[1];
        }
        r = sync_pair(j->sync);
        if (r < 0)
                return fail_code(e, r, "join", "create a socket");
        r = process_affinity(&j->process->cpus_initial, "initial", e);
        if (r == 0)
                r = join_namespaces(j, e);
        pid_t pid = r < 0 ? r : fork_into(j, e);
        if (pid == 0)
                child_main(j);
        (void) close(j->sync[1]);
        j->sync[1] = -1;
        r = pid < 0 ? pid : 0;
        if (r == 0 && j->systemd != NULL)
                r = moved_by_systemd(j, pid, e);
        if (r == 0)
                r = await_exec(j, &pid, e);
        if (r == 0)
                log_debug(j->rt->log, "exec: `%s` runs as process %d", j->process->args.v[0], (int) pid);
        if (r == 0 && relay[0] >= 0) {
                *ret_master = terminal_receive_fd(relay[0]);
                r = *ret_master < 0 ? fail_code(e, *ret_master, "terminal", "receive the terminal") : 0;
        }
        if (r == 0 && pid_dir >= 0) {
                char text[16];
                const char *slash = strrchr(j->o->pid_file, '/');
                int n = snprintf(text, sizeof(text), "%d", (int) pid);

                r = replace_file_at(pid_dir, slash == NULL ? j->o->pid_file : slash + 1, text, (size_t) n, 0644);
                if (r < 0)
                        (void) fail_code(e, r, "pid file", "write pid file `%s`", j->o->pid_file);
        }
        if (relay[0] >= 0)
                (void) close(relay[0]);
        if (r == 0)
                *ret_pid = pid;
        else if (pid > 0)
                cleanup_killp(&pid);
        return r;
}

static void close_if_open(int fd)
{
        if (fd >= 0)
                (void) close(fd);
}

int container_exec(const struct runtime *rt, const struct exec_options *o, pid_t *ret_pid, int *ret_master,
                   spawn_error *e)
{
        struct joining j = {.rt = rt,
                            .o = o,
                            .dir_fd = -1,
                            .pidfd = -1,
                            .cgroup_fd = -1,
                            .init_cgroup_fd = -1,
                            .cgroup_ns_fd = -1,
                            .console_fd = -1,
                            .host = {.proc_fd = -1},
                            .sync = {-1, -1}};
        int r;

        *ret_master = -1;
        r = exec_steps(&j, ret_pid, ret_master, e);
        close_if_open(j.sync[0]);
        cgroup_systemd_free(j.systemd);
        close_if_open(j.console_fd);
        close_if_open(j.cgroup_ns_fd);
        close_if_open(j.cgroup_fd);
        close_if_open(j.init_cgroup_fd);
        close_if_open(j.pidfd);
        close_if_open(j.host.proc_fd);
        close_if_open(j.dir_fd);
        seccomp_filter_free(&j.filter);
        state_free(&j.state);
        config_free(&j.config);
        return r;
}
