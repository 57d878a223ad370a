/* config.json: the "linux" object. */
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>

#include "config.h"
#include "idmap.h"
#include "util.h"

static const struct {
        const char *type;
        int flag;
} namespace_types[] = {
        {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},      {"ipc", CLONE_NEWIPC},
        {"uts", CLONE_NEWUTS}, {"user", CLONE_NEWUSER},   {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

int namespace_flag(const char *type)
{
        for (size_t i = 0; i < ELEMENTSOF(namespace_types); i++)
                if (strcmp(namespace_types[i].type, type) == 0)
                        return namespace_types[i].flag;
        return 0;
}

static int parse_namespaces(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(lin, "namespaces", &list, &n, e);

        if (r <= 0)
                return r;
        c->namespaces = arena_alloc(&c->arena, n + 1, sizeof(*c->namespaces));
        if (c->namespaces == NULL)
                return jv_err(&list, e, "out of memory");
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i), type = jv_key(&item, "type"), path = jv_key(&item, "path");
                struct oci_namespace *ns = &c->namespaces[i];

                if ((r = jv_need_obj(&item, e)) < 0 || (r = jv_as_str(&type, &ns->type, e)) < 0)
                        return r;
                if (r == 0)
                        return jv_err(&type, e, "missing");
                ns->flag = namespace_flag(ns->type);
                if (ns->flag == 0)
                        return jv_err(&type, e, "unknown namespace \"%s\"", ns->type);
                if (config_namespace(c, ns->flag) != NULL)
                        return jv_err(&type, e, "\"%s\" is given twice", ns->type);
                if ((r = jv_as_str(&path, &ns->path, e)) < 0)
                        return r;
                if (ns->path != NULL && ns->path[0] == '\0')
                        ns->path = NULL;
                if (ns->path != NULL && ns->path[0] != '/')
                        return jv_err(&path, e, "\"%s\" is not an absolute path", ns->path);
                c->n_namespaces++;
        }
        return 0;
}

int config_idmaps(const struct jv *up, const char *key, struct arena *a, struct oci_idmaps *ret, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(up, key, &list, &n, e);

        if (r <= 0)
                return r;
        if (n > IDMAP_MAX)
                return jv_err(&list, e, "%zu mappings, the kernel takes %d", n, IDMAP_MAX);
        ret->v = arena_alloc(a, n + 1, sizeof(*ret->v));
        if (ret->v == NULL)
                return jv_err(&list, e, "out of memory");
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i), size = jv_key(&item, "size");
                spawn_idmap *m = &ret->v[i];

                if ((r = jv_need_obj(&item, e)) < 0 || (r = jv_u32(&item, "containerID", &m->inside, e)) < 0)
                        return r;
                if ((r = jv_u32(&item, "hostID", &m->outside, e)) < 0 || (r = jv_u32(&item, "size", &m->count, e)) < 0)
                        return r;
                if (m->count == 0)
                        return jv_err(&size, e, "missing or 0");
        }
        ret->n = n;
        return 1;
}

static int parse_device(const struct jv *v, struct oci_device *d, spawn_error *e)
{
        struct jv path = jv_key(v, "path"), type = jv_key(v, "type");
        const char *t = "";
        int64_t mode = 0666;
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = jv_as_str(&path, &d->path, e)) < 0)
                return r;
        if (r == 0 || d->path[0] != '/')
                return jv_err(&path, e, r == 0 ? "missing" : "not an absolute path");
        if ((r = jv_as_str(&type, &t, e)) < 0)
                return r;
        if (strcmp(t, "c") == 0 || strcmp(t, "u") == 0)
                d->type = S_IFCHR;
        else if (strcmp(t, "b") == 0)
                d->type = S_IFBLK;
        else if (strcmp(t, "p") == 0)
                d->type = S_IFIFO;
        else
                return jv_err(&type, e, "must be one of c, u, b, p");
        if ((r = jv_int(v, "major", -1, 4095, &d->major, e)) < 0 ||
            (r = jv_int(v, "minor", -1, 1048575, &d->minor, e)) < 0)
                return r;
        if ((r = jv_int(v, "fileMode", 0, 07777 | S_IFMT, &mode, e)) < 0)
                return r;
        d->mode = (mode_t) mode & 07777;
        if ((r = jv_u32(v, "uid", &d->uid, e)) < 0 || (r = jv_u32(v, "gid", &d->gid, e)) < 0)
                return r;
        return 0;
}

static int parse_devices(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(lin, "devices", &list, &n, e);

        if (r <= 0)
                return r;
        c->devices = arena_alloc(&c->arena, n + 1, sizeof(*c->devices));
        if (c->devices == NULL)
                return jv_err(&list, e, "out of memory");
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);

                r = parse_device(&item, &c->devices[i], e);
                if (r < 0)
                        return r;
        }
        c->n_devices = n;
        return 0;
}

static int parse_propagation(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv v = jv_key(lin, "rootfsPropagation");
        struct mount_options o = {0};
        const char *s = "";
        size_t bad;
        int r = jv_as_str(&v, &s, e);

        if (r <= 0 || s[0] == '\0')
                return r;
        if (mount_options_parse(&s, 1, &c->arena, &o, &bad) < 0 || o.propagation == 0)
                return jv_err(&v, e, "unknown propagation \"%s\"", s);
        c->rootfs_propagation = o.propagation | MS_REC;
        return 0;
}

static int parse_time_offset(const struct jv *offsets, const char *clock, struct oci_time_offset *ret, spawn_error *e)
{
        struct jv v;
        int r = jv_obj(offsets, clock, &v, e);

        if (r <= 0)
                return r;
        ret->given = true;
        if ((r = jv_int(&v, "secs", INT64_MIN, INT64_MAX, &ret->secs, e)) < 0)
                return r;
        return jv_u32(&v, "nanosecs", &ret->nanosecs, e);
}

static int parse_personality(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv v, domain;
        const char *s = "LINUX";
        int r = jv_obj(lin, "personality", &v, e);

        if (r <= 0)
                return r;
        domain = jv_key(&v, "domain");
        if ((r = jv_as_str(&domain, &s, e)) < 0)
                return r;
        if (strcmp(s, "LINUX") == 0)
                c->personality = PER_LINUX;
        else if (strcmp(s, "LINUX32") == 0)
                c->personality = PER_LINUX32;
        else
                return jv_err(&domain, e, "unknown domain \"%s\"", s);
        return 0;
}

/* Where a feature is asked for that this runtime does not have, saying so beats a container without it. */
static int refuse_unsupported(const struct jv *lin, spawn_error *e)
{
        struct jv rdt = jv_key(lin, "intelRdt"), mem = jv_key(lin, "memoryPolicy"), net = jv_key(lin, "netDevices");

        if (rdt.obj != NULL)
                return jv_err(&rdt, e, "not supported");
        if (mem.obj != NULL)
                return jv_err(&mem, e, "not supported");
        if (net.obj != NULL && json_object_is_type(net.obj, json_type_object) && json_object_object_length(net.obj) > 0)
                return jv_err(&net, e, "not supported");
        return 0;
}

/* Sysctls that belong to a namespace (sysctl in the kernel's documentation, namespaces(7)); all others are the
 * host's and not a container's to change. */
static const struct {
        const char *prefix;
        int flag;
} sysctl_namespaces[] = {
        {"net.", CLONE_NEWNET},       {"fs.mqueue.", CLONE_NEWIPC},      {"kernel.msg", CLONE_NEWIPC},
        {"kernel.sem", CLONE_NEWIPC}, {"kernel.shm", CLONE_NEWIPC},      {"kernel.domainname", CLONE_NEWUTS},
        {"user.", CLONE_NEWUSER},     {"kernel.hostname", CLONE_NEWUTS},
};

static int check_sysctl(const struct jv *v, const struct config *c, const char *name, spawn_error *e)
{
        for (size_t i = 0; i < ELEMENTSOF(sysctl_namespaces); i++) {
                const char *p = sysctl_namespaces[i].prefix;
                size_t k = 0;

                /* Both spellings: net.ipv4.x and net/ipv4/x. */
                while (p[k] != '\0' && (p[k] == name[k] || (p[k] == '.' && name[k] == '/')))
                        k++;
                if (p[k] != '\0')
                        continue;
                if (config_namespace(c, sysctl_namespaces[i].flag) != NULL)
                        return 0;
                return jv_err(v, e, "needs a namespace of its own in linux.namespaces, it would change the host's");
        }
        return jv_err(v, e, "is not of any namespace, it would change the host's");
}

static int check_sysctls(const struct jv *lin, const struct config *c, spawn_error *e)
{
        struct jv sysctl = jv_key(lin, "sysctl");

        for (size_t i = 0; i < c->sysctl.n; i++) {
                struct jv v = jv_key(&sysctl, c->sysctl.v[i].key);
                int r = check_sysctl(&v, c, c->sysctl.v[i].key, e);

                if (r < 0)
                        return r;
        }
        return 0;
}

int config_linux(const struct jv *root, struct config *c, spawn_error *e)
{
        struct jv lin, v, offsets;
        int r = jv_obj(root, "linux", &lin, e);

        if (r <= 0)
                return r;
        if ((r = refuse_unsupported(&lin, e)) < 0 || (r = parse_namespaces(&lin, c, e)) < 0)
                return r;
        if ((r = config_idmaps(&lin, "uidMappings", &c->arena, &c->uids, e)) < 0 ||
            (r = config_idmaps(&lin, "gidMappings", &c->arena, &c->gids, e)) < 0)
                return r;
        if ((r = parse_devices(&lin, c, e)) < 0 || (r = jv_str(&lin, "cgroupsPath", &c->cgroups_path, e)) < 0)
                return r;
        if ((r = jv_str(&lin, "mountLabel", &c->mount_label, e)) < 0 || (r = jv_obj(&lin, "resources", &v, e)) < 0)
                return r;
        c->resources = v.obj;
        if ((r = jv_obj(&lin, "seccomp", &v, e)) < 0)
                return r;
        c->seccomp = v.obj;
        if ((r = parse_propagation(&lin, c, e)) < 0 || (r = parse_personality(&lin, c, e)) < 0)
                return r;
        if ((r = jv_strv(&lin, "maskedPaths", &c->arena, &c->masked_paths, e)) < 0 ||
            (r = jv_strv(&lin, "readonlyPaths", &c->arena, &c->readonly_paths, e)) < 0)
                return r;
        if ((r = config_kvs(&lin, "sysctl", &c->arena, &c->sysctl, e)) < 0 || (r = check_sysctls(&lin, c, e)) < 0)
                return r;
        if ((r = jv_obj(&lin, "timeOffsets", &offsets, e)) <= 0)
                return r;
        r = parse_time_offset(&offsets, "boottime", &c->boottime, e);
        return r < 0 ? r : parse_time_offset(&offsets, "monotonic", &c->monotonic, e);
}
