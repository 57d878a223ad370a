/* The container's first process: stages in order, each with what it does, must not do yet, and needs. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "caps.h"
#include "cgroup.h"
#include "fail.h"
#include "hooks.h"
#include "init.h"
#include "io.h"
#include "lsm.h"
#include "process.h"
#include "rootfs.h"
#include "terminal.h"
#include "util.h"

#define SOON_MS 20 /* engines start what they have created within a few milliseconds */

static int ask_parent(struct init *i, enum sync_type what, spawn_error *e)
{
        int r = sync_send(i->sync_fd, what, 0, NULL);

        if (r == 0)
                r = sync_wait_go(i->sync_fd);
        return r < 0 ? fail_code(e, r, "create", "wait for the creator") : 0;
}

/* Does: leave the caller's session, join and make what is left of namespaces.
 * Must not: change mounts. Needs: to be in the container's cgroup, which becomes the root of a new cgroup namespace. */
static int stage_isolate(struct init *i, spawn_error *e)
{
        int r;

        process_reset_signals();
        (void) umask(022);
        if (setsid() < 0)
                return fail_errno(e, "isolate", "setsid");
        /* If the creator dies from here on, the socket tells (sync_wait_go); while mounts are made nobody reads it. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        r = i->move_to_cgroup ? cgroup_add(i->cgroup, 0) : 0;
        if (r < 0)
                return fail_code(e, r, "cgroup", "add the container to cgroup `%s`", i->cgroup);
        r = ns_join(i->ns, i->postponed, NULL, e);
        if (r < 0)
                return r;
        if ((i->ns->create & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
                return fail_errno(e, "isolate", "unshare the cgroup namespace");
        if ((i->ns->create & CLONE_NEWNET) && (r = spawn_netns_loopback_up(e)) < 0)
                return r;
        if (i->config->n_net_devices > 0 && (r = ask_parent(i, SYNC_NETWORK, e)) < 0)
                return r;
        return i->no_new_keyring ? 0 : process_keyring(i->id, e);
}

int init_host_proc(const struct oci_process *p, bool rootless, struct init_host *ret, spawn_error *e)
{
        int r = process_oom_score(p, rootless, e);

        if (r < 0)
                return r;
        ret->last_cap = caps_last();
        ret->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (ret->proc_fd < 0)
                return fail_errno(e, "isolate", "open `/proc`");
        return lsm_prepare(p->apparmor, p->selinux, &ret->label, e);
}

/* Does: what goes through the host's /proc. Must not: leave descriptors of it open to the container (close-on-exec
 * takes care). Needs: the host's mounts. */
static int stage_host_proc(struct init *i, spawn_error *e)
{
        int r = init_host_proc(&i->config->process, i->rootless, &i->host, e);

        i->build.proc_fd = i->host.proc_fd;
        if (r < 0 || (r = hooks_open(&i->config->hooks, e)) < 0 || (r = process_priority(&i->config->process, e)) < 0)
                return r;
        return process_memory_policy(&i->config->memory_policy, e);
}

/* Does: all mounts, devices, sysctls. Must not: change the root. Needs: own mount, network, IPC and UTS namespaces. */
static int stage_rootfs(struct init *i, spawn_error *e)
{
        int r = plan_preopen(i->plan, i->config->mounts, false, e);

        if (r < 0)
                return r;
        i->build.root_fd = rootfs_open(i->config->root_path, i->config->rootfs_propagation, i->root_tree, e);
        if (i->build.root_fd < 0)
                return i->build.root_fd;
        return plan_execute(i->plan, &i->build, e);
}

/* Does: terminal. Must not: use the old stdio after it. Needs: devpts mounted, a session of our own. */
static int stage_terminal(struct init *i, spawn_error *e)
{
        int r;

        if (!i->config->process.terminal) {
                process_own_stdio(&i->config->process);
                /* Whoever waits at the other end is to see that no terminal comes. */
                if (i->console_fd >= 0)
                        (void) close(i->console_fd);
                return 0;
        }
        r = terminal_setup(i->build.root_fd, &i->config->process, i->console_fd, true, e);
        if (r == 0 && i->console_fd >= 0)
                (void) close(i->console_fd);
        return r;
}

/* runtime.md, "State": in the container the pid is the one that is seen there. */
static int run_hooks(struct init *i, int kind, const char *status, spawn_error *e)
{
        _cleanup_free_ char *json = NULL;

        if (i->config->hooks.n[kind] == 0)
                return 0;
        json = state_oci_json(i->state, status, getpid(), false);
        if (json == NULL)
                return spawn_err(e, ENOMEM, "hooks", "out of memory");
        return hooks_run(&i->config->hooks, kind, json, i->log, e);
}

/* Does: createRuntime hooks (in the parent), createContainer hooks (here). Needs: mounts done, root not changed. */
static int stage_hooks(struct init *i, spawn_error *e)
{
        const struct oci_hooks *h = &i->config->hooks;
        int r;

        if ((h->n[HOOK_PRESTART] > 0 || h->n[HOOK_CREATE_RUNTIME] > 0) && (r = ask_parent(i, SYNC_HOOKS, e)) < 0)
                return r;
        return run_hooks(i, HOOK_CREATE_CONTAINER, "creating", e);
}

/* Does: make the container's root the root. Must not: have used paths of the container by name before. */
static int stage_pivot(struct init *i, spawn_error *e)
{
        const struct oci_namespace *ns = config_namespace(i->config, CLONE_NEWNS);

        if (ns != NULL && ns->path != NULL && !i->no_pivot) {
                /* A mount namespace that others use keeps its root: only ours changes. */
                if (fchdir(i->build.root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
                        return fail_errno(e, "rootfs", "chroot");
                return 0;
        }
        return rootfs_pivot(i->build.root_fd, i->no_pivot, i->config->rootfs_propagation, e);
}

/* setrlimit of so few files that starting would fail: left for the last moment. */
static bool is_late_limit(const struct oci_rlimit *l)
{
        return l->resource == RLIMIT_NOFILE && l->limit.rlim_cur < 64;
}

static int apply_limits(const struct oci_process *p, bool late, spawn_error *e)
{
        for (size_t i = 0; i < p->n_rlimits; i++)
                if (is_late_limit(&p->rlimits[i]) == late &&
                    setrlimit((__rlimit_resource_t) p->rlimits[i].resource, &p->rlimits[i].limit) < 0)
                        return fail_errno(e, "limits", "setrlimit `%s`", p->rlimits[i].type);
        return 0;
}

int init_identity(const struct oci_process *p, bool keep_groups, int last_cap, char exe[PATH_MAX], spawn_error *e)
{
        spawn_error first;
        int r, dir;

        /* As root first: the directory may have to be made. But root of a user namespace may be refused where the
         * user is not (NFS, FUSE), so it is tried again. */
        dir = process_cwd(p->cwd, &first);
        if (dir < 0 && first.code != EACCES && first.code != EPERM) {
                *e = first;
                return dir;
        }
        if (p->has_caps && (r = caps_bound(p->caps[CAPS_BOUNDING], last_cap, e)) < 0)
                return r;
        if ((r = apply_limits(p, false, e)) < 0 || (r = process_user(p, keep_groups, e)) < 0)
                return r;
        if (dir < 0 && (r = process_cwd(p->cwd, e)) < 0)
                return r;
        if (p->args.n == 0)
                return 0;
        return process_find_executable(p, exe, e);
}

/* Does: limits, ids, directory, executable. Must not: give up CAP_SYS_ADMIN, which loading a seccomp filter needs.
 * Needs: the container's root. */
static int stage_identity(struct init *i, spawn_error *e)
{
        const char *keep = config_annotation(i->config, "run.oci.keep_original_groups");

        process_reopen_null();
        if (i->config->personality >= 0 && personality((unsigned long) i->config->personality) < 0)
                return fail_errno(e, "limits", "set personality");
        return init_identity(&i->config->process, keep != NULL && strcmp(keep, "1") == 0, i->host.last_cap, i->exe, e);
}

/* Who is not started at once may wait for long: nothing reads its profile again, which is most of the heap, but for the
 * names that a listener is told. */
static void slim_down(struct init *i)
{
        struct pollfd p = {.fd = i->listen_fd, .events = POLLIN};
        struct json_object *section;

        if (i->config->seccomp == NULL || i->seccomp->listener != NULL || poll(&p, 1, SOON_MS) != 0)
                return;
        if (json_object_object_get_ex(i->config->json, "linux", &section))
                json_object_object_del(section, "seccomp");
        i->config->seccomp = NULL;
        (void) malloc_trim(0);
}

/* Does: report, and wait until somebody starts the container. Needs: everything that can fail for reasons in the
 * configuration to be done, so that it fails at create. */
static int stage_wait(struct init *i, spawn_error *e)
{
        int r;

        /* From here the socket tells if the creator dies; its normal end must not kill us. */
        if (prctl(PR_SET_PDEATHSIG, 0) < 0)
                return fail_errno(e, "create", "outlive the creator");
        r = sync_send(i->sync_fd, SYNC_READY, 0, NULL);

        if (r == 0)
                r = sync_wait_go(i->sync_fd);
        if (r < 0)
                _exit(1); /* the creator died: nobody knows of this container */
        (void) close(i->sync_fd);
        i->sync_fd = -1;
        slim_down(i);
        /* Others connect too, to see whether we wait; only SYNC_GO starts. */
        while (i->start_fd < 0) {
                int fd = accept4(i->listen_fd, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
                        _exit(1);
                if (fd >= 0 && sync_wait_go(fd) == 0)
                        i->start_fd = fd;
                else if (fd >= 0)
                        (void) close(fd);
        }
        (void) close(i->listen_fd);
        return 0;
}

/* Our pid as the runtime sees it: /proc/self of the host's procfs. */
static pid_t pid_on_host(int proc_fd)
{
        char text[16] = "";

        return readlinkat(proc_fd, "self", text, sizeof(text) - 1) > 0 ? (pid_t) atoi(text) : getpid();
}

/* config-linux.md, "The Container Process State". Its version counts for itself: agents compare it with 0.2.0. */
static int send_listener(const struct seccomp_filter *f, int listener, const struct state *state, pid_t pid,
                         spawn_error *e)
{
        _cleanup_json_ struct json_object *o = json_object_new_object(), *parsed = NULL;
        struct json_object *fds = json_object_new_array();
        _cleanup_free_ char *inner = state_oci_json(state, state->pid > 0 ? "running" : "creating", pid, false);
        const char *text;
        int r;

        json_object_object_add(o, "ociVersion", json_object_new_string("0.2.0"));
        json_object_array_add(fds, json_object_new_string("seccompFd"));
        json_object_object_add(o, "fds", fds);
        json_object_object_add(o, "pid", json_object_new_int(pid));
        if (f->metadata != NULL)
                json_object_object_add(o, "metadata", json_object_new_string(f->metadata));
        if (inner == NULL || (parsed = json_tokener_parse(inner)) == NULL)
                return spawn_err(e, ENOMEM, "seccomp", "out of memory");
        json_object_object_add(o, "state", json_object_get(parsed));
        text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        r = text == NULL ? -ENOMEM : terminal_send_fd(f->listener_fd, listener, text, strlen(text));
        return r < 0 ? fail_code(e, r, "seccomp", "send the seccomp listener to `%s`", f->listener) : 0;
}

static int load_seccomp(const struct seccomp_filter *f, const struct state *state, const struct init_host *host,
                        spawn_error *e)
{
        pid_t pid = f->listener != NULL ? pid_on_host(host->proc_fd) : 0;
        int listener, r = seccomp_load_filter(f, &listener, e);

        if (r < 0 || listener < 0)
                return r;
        r = send_listener(f, listener, state, pid, e);
        (void) close(listener);
        return r;
}

int init_become(const struct oci_process *p, const struct seccomp_filter *f, const struct init_host *host,
                const char *exe, int preserve_fds, const struct state *state, spawn_error *e)
{
        _cleanup_free_ const char **env = calloc(p->env.n + ENV_EXTRA + 1, sizeof(*env));
        struct process_env room;
        int r;

        if (env == NULL)
                return spawn_err(e, ENOMEM, "exec", "out of memory");
        process_env(p, &room, env);
        (void) umask(p->has_umask ? (mode_t) p->umask : 0022);
        if ((r = lsm_apply(host->proc_fd, &host->label, e)) < 0)
                return r;
        /* CVE-2024-21626: nothing of ours reaches the program, whatever was opened by whom. */
        r = cloexec_from(3 + preserve_fds);
        if (r < 0)
                return fail_code(e, r, "exec", "mark descriptors close-on-exec");
        if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return fail_errno(e, "exec", "set no_new_privs");
        /* Without no_new_privs loading needs CAP_SYS_ADMIN, so it comes before the capabilities go; the filter then
         * sees capset, prctl and execve of ours. With it, execve alone. */
        if (!p->no_new_privileges && (r = load_seccomp(f, state, host, e)) < 0)
                return r;
        if (p->has_caps) {
                r = caps_apply(p->caps[CAPS_EFFECTIVE], p->caps[CAPS_PERMITTED], p->caps[CAPS_INHERITABLE],
                               p->caps[CAPS_AMBIENT], e);
                if (r < 0)
                        return r;
        }
        if ((r = apply_limits(p, true, e)) < 0)
                return r;
        if (p->no_new_privileges && (r = load_seccomp(f, state, host, e)) < 0)
                return r;
        return process_exec(p, exe, env, e);
}

/* Does: startContainer hooks, then become the program. Needs: to have been started. */
static int stage_become(struct init *i, spawn_error *e)
{
        int r = run_hooks(i, HOOK_START_CONTAINER, "created", e);

        if (r < 0)
                return r;
        return init_become(&i->config->process, i->seccomp, &i->host, i->exe, i->preserve_fds, i->state, e);
}

_Noreturn void init_main(struct init *i)
{
        static const struct {
                const char *name;
                int (*run)(struct init *, spawn_error *);
        } stages[] = {
                {"isolate", stage_isolate},   {"host /proc", stage_host_proc}, {"rootfs", stage_rootfs},
                {"terminal", stage_terminal}, {"hooks", stage_hooks},          {"pivot", stage_pivot},
                {"identity", stage_identity}, {"wait for start", stage_wait},  {"become the program", stage_become},
        };
        spawn_error e = {0};

        i->start_fd = -1;
        i->build = (struct builder){
                .config = i->config,
                .log = i->log,
                .root_fd = -1,
                .proc_fd = -1,
                .empty_fd = -1,
                .null_fd = -1,
                .devices_fd = i->devices_fd,
                .user_ns = i->rootless || config_namespace(i->config, CLONE_NEWUSER) != NULL,
                .cgroup = i->cgroup,
        };
        for (size_t k = 0; k < ELEMENTSOF(stages); k++) {
                log_debug(i->log, "stage: %s", stages[k].name);
                if (stages[k].run(i, &e) < 0)
                        break;
        }
        (void) sync_send(i->start_fd >= 0 ? i->start_fd : i->sync_fd, SYNC_ERROR, 0, &e);
        /* 126 and 127 as shells say it, for whoever reaps us. */
        _exit(e.code == ENOENT ? 127 : 126);
}
