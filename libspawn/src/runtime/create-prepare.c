/* Creating a container, first part: the bundle is read and checked, all that can fail early is made ready. */
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "creation.h"
#include "fail.h"
#include "io.h"
#include "notify.h"
#include "rootfs.h"
#include "terminal.h"
#include "util.h"

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

static bool enters_userns(const struct creation *c)
{
        if (c->ns.create & CLONE_NEWUSER)
                return true;
        for (size_t i = 0; i < c->ns.n_join; i++)
                if (c->ns.join[i].ns->flag == CLONE_NEWUSER)
                        return true;
        return false;
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
        if (!enters_userns(c))
                return 0;
        /* Root of another user namespace may not pass directories whose owner or group has no id in it. */
        c->root_tree = tree_clone(AT_FDCWD, c->config.root_path, true);
        if (c->config.n_devices > 0) {
                c->devices_fd = devices_premake(&c->config, e);
                if (c->devices_fd < -1)
                        return c->devices_fd;
        }
        return plan_preopen(&c->plan, c->config.mounts, true, e);
}

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

int creation_prepare(struct creation *c, spawn_error *e)
{
        int r = read_bundle(c, e);

        if (r < 0 || (r = check_config(c, e)) < 0 || (r = prepare(c, e)) < 0)
                return r;
        fill_state(c);
        return 0;
}
