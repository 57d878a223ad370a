/* From config.json to operations, and through them. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "fail.h"
#include "plan.h"
#include "util.h"

static const struct {
        const char *verb, *place; /* in the configuration, for errors of what is neither a mount nor a device */
        int (*run)(const struct op *op, struct builder *b, spawn_error *e);
} kinds[] = {
        [OP_FILESYSTEM] = {"mount", NULL, op_filesystem},
        [OP_BIND] = {"bind", NULL, op_bind},
        [OP_REMOUNT] = {"remount", NULL, op_remount},
        [OP_COPY_LINK] = {"copy link", NULL, op_copy_link},
        [OP_DEVICE] = {"create device", NULL, op_device},
        [OP_SYMLINK] = {"link", NULL, op_symlink},
        [OP_MASK] = {"mask", "linux.maskedPaths", op_mask},
        [OP_READONLY] = {"make read-only", "linux.readonlyPaths", op_readonly},
        [OP_LOCK] = {"lock", NULL, op_lock},
        [OP_WORKDIR] = {"create directory", NULL, op_workdir},
        [OP_ROOT_READONLY] = {"make the root read-only", "root.readonly", op_root_readonly},
        [OP_HOSTNAME] = {"set hostname", "hostname", op_hostname},
        [OP_DOMAINNAME] = {"set domainname", "domainname", op_domainname},
        [OP_SYSCTL] = {"set sysctl", NULL, op_sysctl},
};

static const struct {
        const char *target, *text;
} default_links[] = {
        {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
        {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"},      {"/dev/ptmx", "pts/ptmx"},
};

void plan_describe(const struct op *op, char *buf, size_t size)
{
        if (op->mount != NULL)
                (void) snprintf(buf, size, "%s %s on %s", kinds[op->kind].verb,
                                op->kind == OP_BIND ? op->mount->source : op->mount->type, op->target);
        else
                (void) snprintf(buf, size, "%s %s%s%s", kinds[op->kind].verb, op->target != NULL ? op->target : "",
                                op->text != NULL ? " = " : "", op->text != NULL ? op->text : "");
}

static void add(struct plan *p, struct op op)
{
        op.tree_fd = op.idmap_fd = -1;
        p->ops[p->n++] = op;
}

static bool has_device(const struct config *c, const char *path)
{
        for (size_t i = 0; i < c->n_devices; i++)
                if (strcmp(c->devices[i].path, path) == 0)
                        return true;
        for (size_t i = 0; i < c->n_mounts; i++)
                if (strcmp(c->mounts[i].destination, path) == 0)
                        return true;
        return false;
}

/* The host's /dev is complete, and nothing of ours belongs there. */
static bool binds_dev(const struct config *c)
{
        for (size_t i = 0; i < c->n_mounts; i++)
                if (c->mounts[i].options.bind && strcmp(c->mounts[i].destination, "/dev") == 0)
                        return true;
        return false;
}

bool plan_locks_late(const struct oci_mount *m)
{
        return !m->options.bind && !m->options.remount && !m->options.tmpcopyup && strcmp(m->type, "tmpfs") == 0 &&
               (m->options.ms_flags & MS_RDONLY);
}

static void add_devices(struct plan *p, const struct config *c)
{
        for (size_t i = 0; i < n_default_devices; i++)
                if (!has_device(c, default_devices[i].path))
                        add(p, (struct op){.kind = OP_DEVICE,
                                           .target = default_devices[i].path,
                                           .device = &default_devices[i]});
        for (size_t i = 0; i < c->n_devices; i++)
                add(p, (struct op){.kind = OP_DEVICE, .target = c->devices[i].path, .device = &c->devices[i]});
        for (size_t i = 0; i < ELEMENTSOF(default_links); i++)
                if (!has_device(c, default_links[i].target))
                        add(p, (struct op){.kind = OP_SYMLINK,
                                           .target = default_links[i].target,
                                           .text = default_links[i].text});
}

static int add_mount(struct config *c, struct plan *p, const struct oci_mount *m, spawn_error *e)
{
        struct op op = {
                .kind = m->options.remount ? OP_REMOUNT
                        : m->options.bind  ? OP_BIND
                                           : OP_FILESYSTEM,
                .target = m->destination,
                .mount = m,
        };
        char link[PATH_MAX];
        ssize_t n = op.kind == OP_BIND && m->options.copy_symlink ? readlink(m->source, link, sizeof(link)) : -1;

        if (n > 0 && (size_t) n < sizeof(link)) {
                op.kind = OP_COPY_LINK;
                op.text = arena_printf(&c->arena, "%.*s", (int) n, link);
                if (op.text == NULL)
                        return spawn_err(e, ENOMEM, "plan", "out of memory");
        }
        add(p, op);
        return 0;
}

static int add_mounts(struct config *c, struct plan *p, spawn_error *e)
{
        for (size_t i = 0; i < c->n_mounts; i++) {
                int r = add_mount(c, p, &c->mounts[i], e);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void add_locks(struct config *c, struct plan *p)
{
        for (size_t i = 0; i < c->n_mounts; i++)
                if (plan_locks_late(&c->mounts[i]))
                        add(p,
                            (struct op){.kind = OP_LOCK, .target = c->mounts[i].destination, .mount = &c->mounts[i]});
}

int plan_make_mounts(struct config *c, struct plan *ret, spawn_error *e)
{
        int r;

        ret->ops = arena_alloc(&c->arena, 2 * c->n_mounts + 1, sizeof(*ret->ops));
        r = ret->ops == NULL ? spawn_err(e, ENOMEM, "plan", "out of memory") : add_mounts(c, ret, e);
        if (r == 0)
                add_locks(c, ret);
        return r;
}

int plan_make(struct config *c, struct plan *ret, spawn_error *e)
{
        int r;

        size_t room = 2 * c->n_mounts + c->n_devices + n_default_devices + ELEMENTSOF(default_links) +
                      c->masked_paths.n + c->readonly_paths.n + c->sysctl.n + 4;

        ret->ops = arena_alloc(&c->arena, room, sizeof(*ret->ops));
        if (ret->ops == NULL)
                return spawn_err(e, ENOMEM, "plan", "out of memory");
        /* Sysctls first: they go through the host's /proc, and show this task's new namespaces there. */
        for (size_t i = 0; i < c->sysctl.n; i++)
                add(ret, (struct op){.kind = OP_SYSCTL, .target = c->sysctl.v[i].key, .text = c->sysctl.v[i].value});
        if (c->hostname != NULL)
                add(ret, (struct op){.kind = OP_HOSTNAME, .text = c->hostname});
        if (c->domainname != NULL)
                add(ret, (struct op){.kind = OP_DOMAINNAME, .text = c->domainname});
        r = add_mounts(c, ret, e);
        if (r < 0)
                return r;
        if (!binds_dev(c))
                add_devices(ret, c);
        add_locks(c, ret);
        for (size_t i = 0; i < c->readonly_paths.n; i++)
                add(ret, (struct op){.kind = OP_READONLY, .target = c->readonly_paths.v[i]});
        for (size_t i = 0; i < c->masked_paths.n; i++)
                add(ret, (struct op){.kind = OP_MASK, .target = c->masked_paths.v[i]});
        if (c->has_process)
                add(ret, (struct op){.kind = OP_WORKDIR, .target = c->process.cwd});
        if (c->root_readonly)
                add(ret, (struct op){.kind = OP_ROOT_READONLY});
        return 0;
}

/* Does: clone sources whose mounts are to stay in touch with the host's; with all, those of every bind mount.
 * Must not: change a mount. Needs: with all, the rights of the caller; else the container's mount namespace, before
 * rootfs_open() cuts propagation. */
int plan_preopen(struct plan *p, const struct oci_mount *mounts, bool all, spawn_error *e)
{
        for (size_t i = 0; i < p->n; i++) {
                struct op *op = &p->ops[i];

                if (op->kind == OP_BIND && op->tree_fd < 0 &&
                    (all || op->mount->options.propagation & (MS_SHARED | MS_SLAVE))) {
                        int r = op_bind_preopen(op, e);

                        if (r == -EPERM && all && op->idmap_fd < 0)
                                continue; /* an ordinary user: root of the new namespace may */
                        if (r < 0)
                                return fail_wrap(e, r, "mounts[%zu]", (size_t) (op->mount - mounts));
                }
        }
        return 0;
}

int builder_set_root(struct builder *b, int fd, spawn_error *e)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0)
                return fail_errno(e, "mounts", "keep the new root");
        (void) close(b->root_fd);
        b->root_fd = copy;
        return 0;
}

/* The place in the configuration before the words. */
static int blame(const struct op *op, const struct config *c, int r, spawn_error *e)
{
        if (op->mount != NULL)
                return fail_wrap(e, r, "mounts[%zu]", (size_t) (op->mount - c->mounts));
        if (op->device != NULL && !op->device->from_host)
                return fail_wrap(e, r, "linux.devices[%zu]", (size_t) (op->device - c->devices));
        return kinds[op->kind].place != NULL ? fail_wrap(e, r, "%s", kinds[op->kind].place) : r;
}

/* Does: everything beneath the root. Must not: need the container's ids or drop privileges.
 * Needs: all namespaces, the host's root still being the root. */
int plan_execute(const struct plan *p, struct builder *b, spawn_error *e)
{
        for (size_t i = 0; i < p->n; i++) {
                if (b->log != NULL && b->log->level >= LEVEL_DEBUG) {
                        char words[512];

                        plan_describe(&p->ops[i], words, sizeof(words));
                        log_debug(b->log, "rootfs: %s", words);
                }
                int r = kinds[p->ops[i].kind].run(&p->ops[i], b, e);

                if (r < 0)
                        return blame(&p->ops[i], b->config, r, e);
        }
        return 0;
}
