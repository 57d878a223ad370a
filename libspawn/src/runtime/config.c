/* config.json: the document, its top level, and hooks. */
#include <fcntl.h>
#include <string.h>

#include "config.h"
#include "util.h"

const char *const hook_names[HOOK_KINDS] = {
        [HOOK_PRESTART] = "prestart",
        [HOOK_CREATE_RUNTIME] = "createRuntime",
        [HOOK_CREATE_CONTAINER] = "createContainer",
        [HOOK_START_CONTAINER] = "startContainer",
        [HOOK_POSTSTART] = "poststart",
        [HOOK_POSTSTOP] = "poststop",
};

int config_kvs(const struct jv *up, const char *key, struct arena *a, struct kvs *ret, spawn_error *e)
{
        struct jv obj;
        int r = jv_obj(up, key, &obj, e);

        if (r <= 0)
                return r;
        ret->v = arena_alloc(a, (size_t) json_object_object_length(obj.obj) + 1, sizeof(*ret->v));
        if (ret->v == NULL)
                return jv_no_memory(&obj, e);
        json_object_object_foreach(obj.obj, k, val)
        {
                struct jv v = {.up = &obj, .key = k, .obj = val};
                const char *s = "";

                if (k[0] == '\0')
                        return jv_err(&obj, e, "a key is empty");
                r = jv_as_str(&v, &s, e);
                if (r < 0)
                        return r;
                ret->v[ret->n++] = (struct kv){.key = k, .value = s};
        }
        return 1;
}

/* ociVersion: 1.x in any minor version: newer ones only add fields. Older ones are 0.x drafts and 1.0-rc. */
static int check_version(const struct jv *root, struct config *c, spawn_error *e)
{
        struct jv v = jv_key(root, "ociVersion");
        int r = jv_as_str(&v, &c->oci_version, e);

        if (r < 0)
                return r;
        if (r == 0)
                return jv_err(&v, e, "missing");
        if (strncmp(c->oci_version, "1.", 2) != 0)
                return jv_err(&v, e, "version \"%s\" is not supported, 1.x is", c->oci_version);
        return 0;
}

static int parse_root(const struct jv *root, struct config *c, spawn_error *e)
{
        struct jv v;
        int r = jv_obj(root, "root", &v, e);

        if (r < 0)
                return r;
        if (r == 0)
                return jv_err(&v, e, "missing");
        r = jv_str(&v, "path", &c->root_path, e);
        if (r < 0)
                return r;
        if (r == 0 || c->root_path[0] == '\0') {
                struct jv p = jv_key(&v, "path");

                return jv_err(&p, e, "missing");
        }
        return jv_bool(&v, "readonly", &c->root_readonly, e);
}

static int parse_hook(const struct jv *v, struct arena *a, struct oci_hook *h, spawn_error *e)
{
        struct jv path = jv_key(v, "path");
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = jv_as_str(&path, &h->path, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&path, e, "missing");
        if (h->path[0] != '/')
                return jv_err(&path, e, "\"%s\" is not an absolute path", h->path);
        if ((r = jv_strv(v, "args", a, &h->args, e)) < 0 || (r = jv_strv(v, "env", a, &h->env, e)) < 0)
                return r;
        return jv_int(v, "timeout", 1, INT32_MAX, &h->timeout, e);
}

int config_hooks(const struct jv *root, struct arena *a, struct oci_hooks *ret, spawn_error *e)
{
        struct jv hooks, list;
        int r = jv_obj(root, "hooks", &hooks, e);

        if (r <= 0)
                return r;
        for (int kind = 0; kind < HOOK_KINDS; kind++) {
                size_t n;

                r = jv_array(&hooks, hook_names[kind], &list, &n, e);
                if (r < 0)
                        return r;
                ret->v[kind] = arena_alloc(a, n + 1, sizeof(*ret->v[kind]));
                if (ret->v[kind] == NULL)
                        return jv_no_memory(&list, e);
                for (size_t i = 0; i < n; i++) {
                        struct jv item = jv_idx(&list, i);

                        r = parse_hook(&item, a, &ret->v[kind][i], e);
                        if (r < 0)
                                return r;
                }
                ret->n[kind] = n;
        }
        return 0;
}

static int parse_all(struct config *c, spawn_error *e)
{
        struct jv root = jv_root(c->json), process;
        int r = check_version(&root, c, e);

        if (r < 0 || (r = parse_root(&root, c, e)) < 0)
                return r;
        r = jv_obj(&root, "process", &process, e);
        if (r > 0) {
                c->has_process = true;
                r = config_process(&process, &c->arena, &c->process, e);
        }
        if (r < 0 || (r = jv_str(&root, "hostname", &c->hostname, e)) < 0)
                return r;
        if ((r = jv_str(&root, "domainname", &c->domainname, e)) < 0)
                return r;
        /* Mounts after linux, which has the user namespace that their ids may be relative to. */
        if ((r = config_linux(&root, c, e)) < 0 || (r = config_mounts(&root, c, e)) < 0)
                return r;
        if ((r = config_hooks(&root, &c->arena, &c->hooks, e)) < 0 ||
            (r = config_kvs(&root, "annotations", &c->arena, &c->annotations, e)) < 0)
                return r;
        c->hooks.out = config_annotation(c, "run.oci.hooks.stdout");
        c->hooks.err = config_annotation(c, "run.oci.hooks.stderr");
        return config_check(&root, c, e);
}

int config_parse(const char *text, size_t len, struct config *c, spawn_error *e)
{
        int r;

        memset(c, 0, sizeof(*c));
        c->personality = -1;
        r = jv_parse("config.json", text, len, &c->json, e);
        return r < 0 ? r : parse_all(c, e);
}

int config_read(int dir_fd, const char *path, const char *name, struct config *c, spawn_error *e)
{
        int r;

        memset(c, 0, sizeof(*c));
        c->personality = -1;
        r = jv_parse_file(dir_fd, path, name, &c->json, &c->text, &c->text_len, e);
        return r < 0 ? r : parse_all(c, e);
}

void config_free(struct config *c)
{
        arena_free(&c->arena);
        if (c->json != NULL)
                json_object_put(c->json);
        free(c->text);
        memset(c, 0, sizeof(*c));
}

const struct oci_namespace *config_namespace(const struct config *c, int flag)
{
        for (size_t i = 0; i < c->n_namespaces; i++)
                if (c->namespaces[i].flag == flag)
                        return &c->namespaces[i];
        return NULL;
}

const char *config_annotation(const struct config *c, const char *key)
{
        for (size_t i = 0; i < c->annotations.n; i++)
                if (strcmp(c->annotations.v[i].key, key) == 0)
                        return c->annotations.v[i].value;
        return NULL;
}

const char *config_known_annotation(size_t i)
{
        /* With a dot at the end it stands for all that begin so. */
        static const char *const names[] = {"run.oci.", "io.podlike.monitor-scope", "org.criu.config"};

        return i < ELEMENTSOF(names) ? names[i] : NULL;
}
