/* config.json: what the specification ties together. A setting without the namespace it needs is a mistake. */
#include <linux/sched.h>
#include <string.h>

#include "config.h"
#include "util.h"

/* Sysctls that belong to a namespace (sysctl in the kernel's documentation, namespaces(7)); all others are the
 * host's and not a container's to change. kernel.hostname is missing: hostname is there for it. */
static const struct {
        const char *prefix;
        int flag;
} sysctl_namespaces[] = {
        {"net.", CLONE_NEWNET},       {"fs.mqueue.", CLONE_NEWIPC}, {"kernel.msg", CLONE_NEWIPC},
        {"kernel.sem", CLONE_NEWIPC}, {"kernel.shm", CLONE_NEWIPC}, {"kernel.domainname", CLONE_NEWUTS},
        {"user.", CLONE_NEWUSER},
};

int sysctl_namespace(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(sysctl_namespaces); i++) {
                const char *p = sysctl_namespaces[i].prefix;
                size_t k = 0;

                /* Both spellings: net.ipv4.x and net/ipv4/x. */
                while (p[k] != '\0' && (p[k] == name[k] || (p[k] == '.' && name[k] == '/')))
                        k++;
                if (p[k] == '\0')
                        return sysctl_namespaces[i].flag;
        }
        return 0;
}

/* A path of procfs in either spelling; "net/../kernel/core_pattern" begins well and ends at the host's. */
static bool is_path(const char *name)
{
        for (const char *p = name;; p++) {
                size_t len = strcspn(p, "/");

                if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && strncmp(p, "..", 2) == 0))
                        return false;
                p += len;
                if (*p == '\0')
                        break;
        }
        return strstr(name, "..") == NULL && name[0] != '.' && name[strlen(name) - 1] != '.';
}

static int check_sysctl(const struct jv *v, const struct config *c, const struct kv *s, spawn_error *e)
{
        int flag = sysctl_namespace(s->key);

        if (!is_path(s->key) || strlen(s->key) > 200)
                return jv_err(v, e, "not the name of a sysctl");
        if (flag == 0)
                return jv_err(v, e, "is not of any namespace, it would change the host's");
        if (config_namespace(c, flag) == NULL)
                return jv_err(v, e, "needs a namespace of its own in linux.namespaces, it would change the host's");
        if (flag == CLONE_NEWUTS && c->domainname != NULL && strcmp(c->domainname, s->value) != 0)
                return jv_err(v, e, "contradicts domainname, which is \"%s\"", c->domainname);
        return 0;
}

static int need_namespace(const struct jv *v, const struct config *c, int flag, const char *type, spawn_error *e)
{
        if (config_namespace(c, flag) != NULL)
                return 0;
        return jv_err(v, e, "needs a \"%s\" namespace in linux.namespaces", type);
}

/* utsname(7): __NEW_UTS_LEN. */
static int check_name(const struct jv *root, const struct config *c, const char *key, const char *name, spawn_error *e)
{
        struct jv v = jv_key(root, key);

        if (name == NULL)
                return 0;
        if (strlen(name) > 64)
                return jv_err(&v, e, "longer than 64 bytes");
        return need_namespace(&v, c, CLONE_NEWUTS, "uts", e);
}

static int check_user_namespace(const struct jv *lin, const struct config *c, spawn_error *e)
{
        const struct oci_namespace *user = config_namespace(c, CLONE_NEWUSER);
        const char *key = c->uids.n > 0 ? "uidMappings" : "gidMappings";
        struct jv v = jv_key(lin, key);

        if (c->uids.n == 0 && c->gids.n == 0)
                return 0;
        if (user == NULL)
                return need_namespace(&v, c, CLONE_NEWUSER, "user", e);
        /* With a path they are made already: engines give some all the same, as runc wants them. */
        if (user->path == NULL && (c->uids.n == 0 || c->gids.n == 0)) {
                v = jv_key(lin, c->uids.n == 0 ? "uidMappings" : "gidMappings");
                return jv_err(&v, e, "missing for a new user namespace");
        }
        return 0;
}

static int check_mounts(const struct jv *root, const struct config *c, spawn_error *e)
{
        struct jv list = jv_key(root, "mounts");

        for (size_t i = 0; i < c->n_mounts; i++) {
                struct jv v = jv_idx(&list, i), options = jv_key(&v, "options");

                if (c->mounts[i].container_ids && config_namespace(c, CLONE_NEWUSER) == NULL)
                        return jv_err(
                                &options, e,
                                "an id-mapped mount needs uidMappings and gidMappings, or a \"user\" namespace in "
                                "linux.namespaces");
        }
        return 0;
}

/* It becomes the name of a mount option. */
static int check_context_type(const struct jv *root, const struct config *c, spawn_error *e)
{
        static const char *const names[] = {"context", "fscontext", "defcontext", "rootcontext"};
        const char *kind = config_annotation(c, "run.oci.mount_context_type");
        struct jv notes = jv_key(root, "annotations"), v = jv_key(&notes, "run.oci.mount_context_type");

        for (size_t i = 0; kind != NULL && i < ELEMENTSOF(names); i++)
                if (strcmp(kind, names[i]) == 0)
                        return 0;
        return kind == NULL ? 0 : jv_err(&v, e, "must be one of context, fscontext, defcontext, rootcontext");
}

static int check_paths(const struct jv *lin, const char *key, const struct strv *paths, spawn_error *e)
{
        struct jv list = jv_key(lin, key);

        for (size_t i = 0; i < paths->n; i++) {
                struct jv v = jv_idx(&list, i);

                if (paths->v[i][0] != '/')
                        return jv_err(&v, e, "\"%s\" is not an absolute path", paths->v[i]);
        }
        return 0;
}

int config_check(const struct jv *root, const struct config *c, spawn_error *e)
{
        struct jv lin = jv_key(root, "linux"), v = jv_key(&lin, "namespaces"), sysctl = jv_key(&lin, "sysctl");
        int r;

        if (config_namespace(c, CLONE_NEWNS) == NULL)
                return jv_err(&v, e, "a \"mount\" namespace is missing: a root file system needs one");
        if ((r = check_name(root, c, "hostname", c->hostname, e)) < 0 ||
            (r = check_name(root, c, "domainname", c->domainname, e)) < 0)
                return r;
        if ((r = check_user_namespace(&lin, c, e)) < 0 || (r = check_mounts(root, c, e)) < 0 ||
            (r = check_context_type(root, c, e)) < 0)
                return r;
        v = jv_key(&lin, "timeOffsets");
        if ((c->boottime.given || c->monotonic.given) && (r = need_namespace(&v, c, CLONE_NEWTIME, "time", e)) < 0)
                return r;
        v = jv_key(&lin, "netDevices");
        if (c->n_net_devices > 0 && (r = need_namespace(&v, c, CLONE_NEWNET, "network", e)) < 0)
                return r;
        if ((r = check_paths(&lin, "maskedPaths", &c->masked_paths, e)) < 0 ||
            (r = check_paths(&lin, "readonlyPaths", &c->readonly_paths, e)) < 0)
                return r;
        for (size_t i = 0; i < c->sysctl.n; i++) {
                struct jv at = jv_key(&sysctl, c->sysctl.v[i].key);

                r = check_sysctl(&at, c, &c->sysctl.v[i], e);
                if (r < 0)
                        return r;
        }
        return 0;
}
