/* config.json: the "linux" object. */
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>

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

const char *namespace_name(size_t i)
{
        return i < ELEMENTSOF(namespace_types) ? namespace_types[i].type : NULL;
}

const char *namespace_words(int flags, char *buf, size_t size)
{
        size_t n = 0;

        (void) snprintf(buf, size, "none");
        for (size_t i = 0; i < ELEMENTSOF(namespace_types) && n < size; i++)
                if (flags & namespace_types[i].flag)
                        n += (size_t) snprintf(buf + n, size - n, "%s%s", n > 0 ? ", " : "", namespace_types[i].type);
        return buf;
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
                return jv_no_memory(&list, e);
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

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
        return a < (uint64_t) b + b_count && b < (uint64_t) a + a_count;
}

ssize_t idmaps_clash(const struct oci_idmaps *m)
{
        for (size_t i = 1; i < m->n; i++)
                for (size_t k = 0; k < i; k++)
                        if (overlap(m->v[i].inside, m->v[i].count, m->v[k].inside, m->v[k].count) ||
                            overlap(m->v[i].outside, m->v[i].count, m->v[k].outside, m->v[k].count))
                                return (ssize_t) i;
        return -1;
}

static int need_u32(const struct jv *up, const char *key, uint32_t *ret, spawn_error *e)
{
        struct jv v = jv_key(up, key);
        int r = jv_u32(up, key, ret, e);

        return r == 0 ? jv_err(&v, e, "missing") : r;
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
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i), size = jv_key(&item, "size");
                spawn_idmap *m = &ret->v[i];

                if ((r = jv_need_obj(&item, e)) < 0 || (r = need_u32(&item, "containerID", &m->inside, e)) < 0 ||
                    (r = need_u32(&item, "hostID", &m->outside, e)) < 0 ||
                    (r = need_u32(&item, "size", &m->count, e)) < 0)
                        return r;
                if (m->count == 0)
                        return jv_err(&size, e, "must not be 0");
                if ((uint64_t) m->inside + m->count > UINT32_MAX || (uint64_t) m->outside + m->count > UINT32_MAX)
                        return jv_err(&size, e, "the range ends above the last id, 4294967294");
        }
        ret->n = n;
        ssize_t clash = idmaps_clash(ret);
        if (clash >= 0) {
                struct jv item = jv_idx(&list, (size_t) clash);

                return jv_err(&item, e, "overlaps with an earlier range");
        }
        return 1;
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
        /* Of the root's own mount: the others have propagations of their own. */
        c->rootfs_propagation = o.propagation & ~(unsigned long) MS_REC;
        return 0;
}

static int parse_time_offsets(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv offsets;
        int r = jv_obj(lin, "timeOffsets", &offsets, e);

        if (r <= 0)
                return r;
        json_object_object_foreach(offsets.obj, clock, value)
        {
                struct jv v = {.up = &offsets, .key = clock, .obj = value}, nanosecs = jv_key(&v, "nanosecs");
                struct oci_time_offset *ret = strcmp(clock, "boottime") == 0    ? &c->boottime
                                              : strcmp(clock, "monotonic") == 0 ? &c->monotonic
                                                                                : NULL;

                if (ret == NULL)
                        return jv_err(&v, e, "unknown clock");
                if (value == NULL)
                        continue;
                ret->given = true;
                /* The kernel's limit: KTIME_SEC_MAX / 2. */
                if ((r = jv_need_obj(&v, e)) < 0 ||
                    (r = jv_int(&v, "secs", -4611686018, 4611686018, &ret->secs, e)) < 0)
                        return r;
                if ((r = jv_u32(&v, "nanosecs", &ret->nanosecs, e)) < 0)
                        return r;
                if (ret->nanosecs > 999999999)
                        return jv_err(&nanosecs, e, "a second or more");
        }
        return 0;
}

static int parse_personality(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv v, domain, flags;
        const char *s = "";
        size_t n_flags;
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
                return jv_err(&domain, e, domain.obj == NULL ? "missing" : "unknown domain \"%s\"", s);
        if ((r = jv_array(&v, "flags", &flags, &n_flags, e)) < 0)
                return r;
        if (n_flags > 0)
                return jv_err(&flags, e, "the specification has no flags yet");
        return 0;
}

int config_linux(const struct jv *root, struct config *c, spawn_error *e)
{
        struct jv lin, v;
        int r = jv_obj(root, "linux", &lin, e);

        if (r <= 0)
                return r;
        if ((r = parse_namespaces(&lin, c, e)) < 0)
                return r;
        /* Saying so beats a container without it. */
        v = jv_key(&lin, "intelRdt");
        if (v.obj != NULL)
                return jv_err(&v, e, "not supported");
        if ((r = config_idmaps(&lin, "uidMappings", &c->arena, &c->uids, e)) < 0 ||
            (r = config_idmaps(&lin, "gidMappings", &c->arena, &c->gids, e)) < 0)
                return r;
        if ((r = config_devices(&lin, c, e)) < 0 || (r = config_net_devices(&lin, c, e)) < 0 ||
            (r = config_memory_policy(&lin, &c->arena, &c->memory_policy, e)) < 0)
                return r;
        if ((r = jv_str(&lin, "cgroupsPath", &c->cgroups_path, e)) < 0)
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
        if ((r = config_kvs(&lin, "sysctl", &c->arena, &c->sysctl, e)) < 0)
                return r;
        return parse_time_offsets(&lin, c, e);
}
