/* Creating a container: everything is prepared here, the child executes it, the state is written when it is ready. */
#include <fcntl.h>
#include <linux/sched.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "cgroup.h"
#include "container.h"
#include "criu.h"
#include "fail.h"
#include "hooks.h"
#include "init.h"
#include "io.h"
#include "net-devices.h"
#include "notify.h"
#include "process.h"
#include "rootfs.h"
#include "terminal.h"
#include "util.h"

int unshare(int flags);

/* One creation, with all that must be undone if it fails. */
struct creation {
        const struct runtime *rt;
        const struct create_options *o;
        struct config config;
        struct plan plan;
        struct ns_set ns;
        struct seccomp_filter seccomp;
        struct cgroup cgroup;
        struct state state;
        char bundle[PATH_MAX], created[40], owner[64];
        struct json_object *streams;
        int dir_fd, listen_fd, console_fd, root_tree, devices_fd, sync[2];
        pid_t middle, pid;
};

int write_pid_file(const char *path, pid_t pid, spawn_error *e)
{
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", (int) pid), r;

        if (path == NULL)
                return 0;
        r = replace_file_at(AT_FDCWD, path, text, (size_t) n, 0644);
        return r < 0 ? fail_code(e, r, "pid file", "write pid file `%s`", path) : 0;
}

/* root.path and sources of bind mounts may be relative to the bundle. */
static int make_absolute(struct creation *c, spawn_error *e)
{
        struct config *config = &c->config;

        if (config->root_path[0] != '/')
                config->root_path = arena_printf(&config->arena, "%s/%s", c->bundle, config->root_path);
        for (size_t i = 0; i < config->n_mounts && config->root_path != NULL; i++) {
                struct oci_mount *m = &config->mounts[i];

                if (m->options.bind && m->source[0] != '/')
                        m->source = arena_printf(&config->arena, "%s/%s", c->bundle, m->source);
                if (m->options.bind && m->source == NULL)
                        return spawn_err(e, ENOMEM, "bundle", "out of memory");
        }
        return config->root_path == NULL ? spawn_err(e, ENOMEM, "bundle", "out of memory") : 0;
}

static int read_bundle(struct creation *c, spawn_error *e)
{
        const char *file = c->o->config != NULL ? c->o->config : "config.json";
        char name[2 * PATH_MAX];
        int r;
        const char *bundle = c->o->bundle != NULL ? c->o->bundle : ".";

        if (realpath(bundle, c->bundle) == NULL)
                return fail_errno(e, "bundle", "open bundle `%s`", bundle);
        (void) snprintf(name, sizeof(name), "%s%s%s", file[0] == '/' ? "" : c->bundle, file[0] == '/' ? "" : "/", file);
        _cleanup_close_ int fd = open(c->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(e, "bundle", "open bundle `%s`", c->bundle);
        r = config_read(fd, file, name, &c->config, e);
        if (r < 0 || (r = config_own_userns(&c->config, e)) < 0)
                return r;
        return make_absolute(c, e);
}

static int check_config(struct creation *c, spawn_error *e)
{
        const struct oci_process *p = &c->config.process;
        bool console = c->o->console_socket != NULL || c->o->console_fd >= 0;
        struct stat st;

        if (!c->config.has_process || p->args.n == 0)
                return fail_text(e, "read configuration", "process.args: missing or empty: there is nothing to run");
        if (p->terminal && !console)
                return fail_text(e, "terminal",
                                 "process.terminal: set, but there is no --console-socket to send the terminal to");
        if (!p->terminal && c->o->console_socket != NULL)
                return fail_text(e, "terminal", "--console-socket is given but process.terminal is not set");
        if (stat(c->config.root_path, &st) < 0)
                return fail_errno(e, "rootfs", "root.path: `%s`", c->config.root_path);
        if (!S_ISDIR(st.st_mode))
                return fail_code(e, ENOTDIR, "rootfs", "root.path: `%s`", c->config.root_path);
        return 0;
}

/* What the standard streams are: a checkpoint must know which pipes to replace. */
static void describe_streams(struct creation *c)
{
        c->streams = json_object_new_array();
        for (int fd = 0; fd < 3; fd++) {
                char text[PATH_MAX] = "/dev/null";
                ssize_t n = readlink(fd_path(fd).s, text, sizeof(text) - 1);

                if (n > 0)
                        text[n] = '\0';
                json_object_array_add(c->streams, json_object_new_string(text));
        }
        c->state.descriptors = c->streams;
}

static void fill_state(struct creation *c)
{
        struct timespec now;
        struct tm tm;
        size_t n;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        (void) gmtime_r(&now.tv_sec, &tm);
        n = strftime(c->created, sizeof(c->created), "%Y-%m-%dT%H:%M:%S", &tm);
        (void) snprintf(c->created + n, sizeof(c->created) - n, ".%09ldZ", now.tv_nsec);
        (void) snprintf(c->owner, sizeof(c->owner), "%u", (unsigned int) geteuid());
        c->state = (struct state){
                .id = c->o->id,
                .bundle = c->bundle,
                .rootfs = c->config.root_path,
                .created = c->created,
                .owner = c->owner,
                .cgroup = c->cgroup.path[0] != '\0' ? c->cgroup.path : NULL,
                .scope = c->cgroup.scope[0] != '\0' ? c->cgroup.scope : NULL,
                .seccomp = c->seccomp.digest[0] != '\0' ? c->seccomp.digest : NULL,
                .listener = c->seccomp.listener,
                .metadata = c->seccomp.metadata,
                .terminal = c->config.process.terminal,
        };
        for (size_t i = 0; i < c->config.n_namespaces; i++)
                c->state.namespaces |= c->config.namespaces[i].flag;
        for (int kind = 0; kind < HOOK_KINDS; kind++)
                c->state.hooks = c->state.hooks || c->config.hooks.n[kind] > 0;
        (void) json_object_object_get_ex(c->config.json, "annotations", &c->state.annotations);
        describe_streams(c);
}

/* The user namespace that says how the ids of a mount are mapped: the container's where it does not say. */
static int idmap_namespace(const struct creation *c, const struct oci_mount *m, spawn_error *e)
{
        if (m->uids.n > 0)
                return spawn_userns_open(m->uids.v, m->uids.n, m->gids.v, m->gids.n, e);
        for (size_t i = 0; i < c->ns.n_join; i++)
                if (c->ns.join[i].ns->flag == CLONE_NEWUSER)
                        return fcntl(c->ns.join[i].fd, F_DUPFD_CLOEXEC, 3);
        return spawn_userns_open(c->config.uids.v, c->config.uids.n, c->config.gids.v, c->config.gids.n, e);
}

static int prepare_mounts(struct creation *c, spawn_error *e)
{
        for (size_t i = 0; i < c->plan.n; i++) {
                struct op *op = &c->plan.ops[i];
                int r;

                if (op->mount == NULL || (op->mount->uids.n == 0 && !op->mount->container_ids))
                        continue;
                op->idmap_fd = idmap_namespace(c, op->mount, e);
                if (op->idmap_fd < 0)
                        return op->idmap_fd;
                /* Mapping ids takes rights over the file system, which the container has not. */
                if (op->kind == OP_BIND && (r = op_bind_preopen(op, e)) < 0)
                        return fail_wrap(e, r, "mounts[%zu]", (size_t) (op->mount - c->config.mounts));
        }
        if (!(c->ns.create & CLONE_NEWUSER))
                return 0;
        /* Root of a new user namespace may not pass directories whose owner or group has no id in it. */
        c->root_tree = tree_clone(AT_FDCWD, c->config.root_path, true);
        if (c->config.n_devices > 0) {
                c->devices_fd = devices_premake(&c->config, e);
                if (c->devices_fd < -1)
                        return c->devices_fd;
        }
        return plan_preopen(&c->plan, c->config.mounts, true, e);
}

/* Everything that can be prepared, and can fail, before there is a second process. */
static int prepare(struct creation *c, spawn_error *e)
{
        char dir[PATH_MAX];
        int r, cache, copy;

        if (snprintf(dir, sizeof(dir), "%s/%s", c->rt->root, c->o->id) >= (int) sizeof(dir))
                return fail_text(e, "state", "the path of --root is too long");
        r = notify_prepare(&c->config, c->dir_fd, dir, e);
        if (r == 0)
                r = plan_make(&c->config, &c->plan, e);
        if (r < 0 || (r = ns_open(&c->config, &c->ns, e)) < 0 || (r = ns_check_sysctls(&c->config, &c->ns, e)) < 0)
                return r;
        if (c->config.seccomp != NULL) {
                cache = state_seccomp_cache(c->rt);
                r = seccomp_prepare(c->config.seccomp, seccomp_is_strict(&c->config), cache, &c->seccomp, e);
                if (cache >= 0)
                        (void) close(cache);
                if (r < 0 || (r = seccomp_connect(&c->seccomp, e)) < 0)
                        return r;
        }
        r = c->o->restore == NULL ? prepare_mounts(c, e) : 0; /* restored mounts are CRIU's */
        if (r < 0)
                return r;
        if (c->o->console_socket != NULL) {
                c->console_fd = terminal_connect(c->o->console_socket, "console socket", e);
                if (c->console_fd < 0)
                        return c->console_fd;
        }
        /* exec and the hooks after creation read the configuration as it was, whatever happens to the bundle. */
        copy = replace_file_at(c->dir_fd, "config.json", c->config.text, c->config.text_len, 0600);
        if (copy < 0)
                return fail_code(e, copy, "state", "copy the configuration of container `%s`", c->o->id);
        if (c->o->restore == NULL && (c->listen_fd = start_listen(c->dir_fd, e)) < 0)
                return c->listen_fd;
        return cgroup_make(c->rt, c->o->id, &c->config, &c->cgroup, e);
}

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

static int fork_child(struct creation *c, spawn_error *e)
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
        return r < 0 ? fail_code(e, r, "cgroup", "put the container into scope `%s`", c->cgroup.scope) : 0;
}

/* Let the child go on. If it is gone its last words are still to be read, and say more than EPIPE. */
static int answer(struct creation *c, spawn_error *e)
{
        int r = sync_send(c->sync[0], SYNC_GO, 0, NULL);

        return r < 0 && r != -EPIPE ? fail_code(e, r, "create", "answer the container's process") : 0;
}

/* The middle process sends its child's pid after the fork, the child may be faster. */
static int await_pid(struct creation *c, spawn_error *e)
{
        struct sync_message m;
        int r = c->pid > 0 ? 1 : sync_receive(c->sync[0], &m);

        if (c->pid <= 0 && r > 0 && m.type == SYNC_PID)
                c->pid = m.value;
        return c->pid > 0 ? 0 : spawn_err(e, EIO, "create", "the container's process has no pid");
}

static int run_host_hooks(struct creation *c, spawn_error *e)
{
        _cleanup_free_ char *json = state_oci_json(&c->state, "creating", c->pid, false);
        int r = json == NULL ? spawn_err(e, ENOMEM, "hooks", "out of memory") : hooks_open(&c->config.hooks, e);

        if (r == 0)
                r = hooks_run(&c->config.hooks, HOOK_PRESTART, json, c->rt->log, e);
        if (r == 0)
                r = hooks_run(&c->config.hooks, HOOK_CREATE_RUNTIME, json, c->rt->log, e);
        hooks_close(&c->config.hooks);
        return r;
}

/* What the child asks for, until it is ready. */
static int serve_child(struct creation *c, spawn_error *e)
{
        struct sync_message m;

        for (;;) {
                int r = sync_receive(c->sync[0], &m);

                if (r < 0 && r != -ECONNRESET)
                        return fail_code(e, r, "create", "read from the container's process");
                if (r <= 0)
                        return spawn_err(e, EIO, "create", "the container's process died while it was being set up");
                switch (m.type) {
                case SYNC_ERROR:
                        *e = m.err;
                        return m.err.code > 0 ? -m.err.code : -EIO;
                case SYNC_PID:
                        c->pid = m.value;
                        break;
                case SYNC_MAP_IDS:
                        r = spawn_idmap_write(c->middle, c->config.uids.v, c->config.uids.n, c->config.gids.v,
                                              c->config.gids.n, "newuidmap", "newgidmap", e);
                        if (r < 0 || (r = answer(c, e)) < 0)
                                return r;
                        break;
                case SYNC_NETWORK:
                case SYNC_HOOKS:
                        r = await_pid(c, e);
                        if (r == 0 && m.type == SYNC_HOOKS)
                                r = run_host_hooks(c, e);
                        else if (r == 0)
                                r = net_devices_move(c->config.net_devices, c->config.n_net_devices, c->pid, e);
                        if (r < 0 || (r = answer(c, e)) < 0)
                                return r;
                        break;
                case SYNC_READY:
                        return await_pid(c, e);
                default:
                        return spawn_err(e, EBADMSG, "create", "the container's process sent nonsense");
                }
        }
}

static int hooks_at_restore(void *arg, pid_t pid, spawn_error *e)
{
        struct creation *c = arg;

        c->pid = pid;
        return run_host_hooks(c, e);
}

static int place_criu(void *arg, pid_t pid, spawn_error *e)
{
        struct creation *c = arg;
        int r = cgroup_enter(&c->cgroup, &c->config, pid, e);

        c->state.cgroup = r < 0 ? NULL : c->cgroup.path;
        return r;
}

static int restore_child(struct creation *c, spawn_error *e)
{
        const struct criu_restore r = {
                .rt = c->rt,
                .args = c->o->restore,
                .id = c->o->id,
                .config = &c->config,
                .dir_fd = c->dir_fd,
                .cgroup = c->state.cgroup,
                .cgroup_fd = c->cgroup.fd,
                .place = cgroup_wants_process(&c->cgroup) ? place_criu : NULL,
                .console_fd = c->console_fd >= 0 ? c->console_fd : c->o->console_fd,
                .on_namespaces = hooks_at_restore,
                .arg = c,
        };

        struct stat own, other;
        char path[40];
        int k = criu_restore(&r, &c->pid, e);

        /* CRIU adds a time namespace, so that clocks go on where they were. */
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/time", (int) c->pid);
        if (k == 0 && stat(path, &other) == 0 && stat("/proc/self/ns/time", &own) == 0 && own.st_ino != other.st_ino)
                c->state.namespaces |= CLONE_NEWTIME;
        return k;
}

/* Ready: make it known, then let the child wait for start. */
static int publish(struct creation *c, spawn_error *e)
{
        unsigned long long start = 0;
        int r;

        if (c->middle > 0) {
                while (waitpid(c->middle, NULL, 0) < 0 && errno == EINTR)
                        ;
                c->middle = -1;
        }
        r = process_stat(c->pid, &start, NULL);
        if (r < 0)
                return fail_code(e, r, "create", "read the start time of the container's process");
        c->state.pid = c->pid;
        c->state.start_time = start;
        log_debug(c->rt->log, "container `%s` is created, its process is %d", c->o->id, (int) c->pid);
        r = cgroup_delegate(&c->cgroup, &c->config, c->pid, e);
        if (r < 0)
                return r;
        r = write_pid_file(c->o->pid_file, c->pid, e);
        if (r == 0)
                r = state_write(c->dir_fd, &c->state, e);
        if (r == 0 && c->o->restore == NULL && (r = sync_send(c->sync[0], SYNC_GO, 0, NULL)) < 0)
                (void) fail_code(e, r, "create", "the container's process died");
        return r;
}

static void tell_plan(const struct creation *c)
{
        char words[96], joined[96];
        int join = 0;

        for (size_t i = 0; i < c->ns.n_join; i++)
                join |= c->ns.join[i].ns->flag;
        log_debug(c->rt->log, "namespaces: new %s; joined %s", namespace_words(c->ns.create, words, sizeof(words)),
                  namespace_words(join, joined, sizeof(joined)));
        log_debug(c->rt->log, "cgroup: %s", c->cgroup.path[0] != '\0' ? c->cgroup.path : "the caller's");
        log_debug(c->rt->log, "seccomp: %s", c->seccomp.digest[0] != '\0' ? c->seccomp.digest : "no filter");
}

static int create_steps(struct creation *c, spawn_error *e)
{
        int r = read_bundle(c, e);

        if (r < 0 || (r = check_config(c, e)) < 0 || (r = prepare(c, e)) < 0)
                return r;
        fill_state(c);
        tell_plan(c);
        /* Without a pid: if we are killed from here on, delete finds the cgroup. */
        r = state_write(c->dir_fd, &c->state, e);
        if (r < 0)
                return r;
        if (c->o->restore != NULL) {
                r = restore_child(c, e);
                return r < 0 ? r : publish(c, e);
        }
        r = sync_pair(c->sync);
        if (r < 0)
                return fail_code(e, r, "create", "prepare to fork");
        r = fork_child(c, e);
        (void) close(c->sync[1]);
        c->sync[1] = -1;
        if (r == 0)
                r = serve_child(c, e);
        return r < 0 ? r : publish(c, e);
}

static void kill_and_reap(pid_t *pid)
{
        cleanup_killp(pid);
        *pid = -1;
}

static void close_if_open(int fd)
{
        if (fd >= 0)
                (void) close(fd);
}

int container_create(const struct runtime *rt, const struct create_options *o, pid_t *ret_pid, spawn_error *e)
{
        struct creation c = {.rt = rt,
                             .o = o,
                             .dir_fd = -1,
                             .listen_fd = -1,
                             .console_fd = -1,
                             .root_tree = -1,
                             .devices_fd = -1,
                             .sync = {-1, -1},
                             .middle = -1,
                             .pid = -1};
        int r = state_check_id(o->id, e);

        c.cgroup.fd = -1;
        if (r < 0)
                return r;
        c.dir_fd = state_create_dir(rt, o->id, e);
        if (c.dir_fd < 0)
                return c.dir_fd;
        r = create_steps(&c, e);
        if (r < 0) {
                kill_and_reap(&c.middle);
                kill_and_reap(&c.pid);
                cgroup_undo(rt, &c.cgroup);
                if (o->pid_file != NULL && c.state.pid > 0)
                        (void) unlink(o->pid_file);
                (void) state_remove(rt, o->id, NULL);
        } else {
                *ret_pid = c.pid;
        }
        close_if_open(c.sync[0]);
        close_if_open(c.listen_fd);
        close_if_open(c.console_fd);
        close_if_open(c.root_tree);
        close_if_open(c.devices_fd);
        cgroup_free(&c.cgroup);
        close_if_open(c.dir_fd);
        ns_close(&c.ns);
        seccomp_filter_free(&c.seccomp);
        if (c.streams != NULL)
                json_object_put(c.streams);
        config_free(&c.config);
        return r;
}
