/* Creating a container: its process is served until it is ready, then the state is written. */
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "creation.h"
#include "criu.h"
#include "fail.h"
#include "hooks.h"
#include "io.h"
#include "net-devices.h"
#include "sync.h"
#include "util.h"

int write_pid_file(const char *path, pid_t pid, spawn_error *e)
{
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", (int) pid), r;

        if (path == NULL)
                return 0;
        r = replace_file_at(AT_FDCWD, path, text, (size_t) n, 0644);
        return r < 0 ? fail_code(e, r, "pid file", "write pid file `%s`", path) : 0;
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
        int r = creation_prepare(c, e);

        if (r < 0)
                return r;
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
        r = creation_fork(c, e);
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
