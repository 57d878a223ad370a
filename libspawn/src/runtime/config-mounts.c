/* config.json: mounts, and what maps their ids. */
#include <string.h>

#include "config.h"
#include "rootfs.h"
#include "util.h"

/* mount(2) reads one page of options and no more. */
#define DATA_MAX 4095

static int need_path(const struct jv *v, const char *key, const char **ret, spawn_error *e)
{
        struct jv path = jv_key(v, key);
        int r = jv_as_str(&path, ret, e);

        if (r < 0)
                return r;
        return r == 0 || (*ret)[0] == '\0' ? jv_err(&path, e, "missing") : 0;
}

static bool take_u32(const char **p, char end, uint32_t *ret)
{
        uint64_t n = 0;

        if (**p < '0' || **p > '9')
                return false;
        for (; **p >= '0' && **p <= '9'; (*p)++)
                if ((n = n * 10 + (uint64_t) (**p - '0')) >= UINT32_MAX)
                        return false;
        if (end != '\0' && *(*p)++ != end)
                return false;
        *ret = (uint32_t) n;
        return true;
}

/* "@": the second id counts in the container's user namespace; on the host it is as far from the first id's place as
 * the namespace's own range moves that (crun(1), "idmap mount options"). */
static bool relate(const struct oci_idmaps *ns, spawn_idmap *m)
{
        for (size_t i = 0; i < ns->n; i++)
                if (m->inside >= ns->v[i].inside && m->inside - ns->v[i].inside < ns->v[i].count) {
                        m->outside += ns->v[i].outside - ns->v[i].inside;
                        return true;
                }
        return false;
}

/* "0-1-10#10-11-10": first id in the file system, first id on the host, how many. */
static bool parse_ranges(const char *p, size_t len, const struct oci_idmaps *ns, struct arena *a,
                         struct oci_idmaps *ret)
{
        const char *end = p + len;

        ret->v = arena_alloc(a, len / 5 + 1, sizeof(*ret->v));
        while (ret->v != NULL && p < end) {
                spawn_idmap *m = &ret->v[ret->n];
                bool relative = *p == '@';

                p += relative;
                if (!take_u32(&p, '-', &m->inside) || !take_u32(&p, '-', &m->outside) ||
                    !take_u32(&p, '\0', &m->count) || m->count == 0 || p > end)
                        return false;
                if (relative && !relate(ns, m))
                        return false;
                ret->n++;
                if (p < end && (*p++ != '#' || p == end))
                        return false;
        }
        return ret->n > 0 && ret->n <= 340 && idmaps_clash(ret) < 0;
}

/* "uids=RANGES;gids=RANGES" */
static int parse_idmap(const struct jv *option, const char *text, struct config *c, struct oci_mount *m, spawn_error *e)
{
        static const char *const words = "not of the form idmap=uids=ID-ID-COUNT[#...];gids=ID-ID-COUNT[#...]";
        const char *p = text;

        while (*p != '\0') {
                size_t len = strcspn(p, ";");
                bool uids = strncmp(p, "uids=", 5) == 0;
                struct oci_idmaps *ret = uids ? &m->uids : &m->gids;

                if ((!uids && strncmp(p, "gids=", 5) != 0) || ret->n > 0 ||
                    !parse_ranges(p + 5, len - 5, uids ? &c->uids : &c->gids, &c->arena, ret))
                        return jv_err(option, e, "%s", words);
                p += len;
                p += *p == ';';
        }
        return m->uids.n == 0 || m->gids.n == 0 ? jv_err(option, e, "%s", words) : 0;
}

static int parse_mappings(const struct jv *v, const struct jv *options, struct config *c, struct oci_mount *m,
                          spawn_error *e)
{
        int r = config_idmaps(v, "uidMappings", &c->arena, &m->uids, e);

        if (r < 0 || (r = config_idmaps(v, "gidMappings", &c->arena, &m->gids, e)) < 0)
                return r;
        if ((m->uids.n == 0) != (m->gids.n == 0)) {
                struct jv missing = jv_key(v, m->uids.n == 0 ? "uidMappings" : "gidMappings");

                return jv_err(&missing, e, "missing, there is only the other one");
        }
        if (m->options.idmap_text != NULL && m->options.idmap_text[0] != '\0') {
                struct jv option = jv_idx(options, m->options.idmap_index);

                if (m->uids.n > 0)
                        return jv_err(&option, e, "there are uidMappings and gidMappings too");
                return parse_idmap(&option, m->options.idmap_text, c, m, e);
        }
        m->container_ids = m->options.idmap && m->uids.n == 0;
        return 0;
}

static int parse_mount(const struct jv *v, struct config *c, struct oci_mount *m, spawn_error *e)
{
        struct strv options = {0};
        struct jv opts = jv_key(v, "options");
        size_t bad = 0;
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = need_path(v, "destination", &m->destination, e)) < 0)
                return r;
        r = jv_str(v, "type", &m->type, e);
        if (r < 0 || (r = jv_str(v, "source", &m->source, e)) < 0)
                return r;
        r = jv_strv(v, "options", &c->arena, &options, e);
        if (r < 0)
                return r;
        r = mount_options_parse(options.v, options.n, &c->arena, &m->options, &bad);
        if (r < 0) {
                struct jv item = jv_idx(&opts, bad);

                return jv_no_memory(&item, e);
        }
        if (m->options.data != NULL && strlen(m->options.data) > DATA_MAX)
                return jv_err(&opts, e, "longer than %d bytes, which is all that mount(2) reads", DATA_MAX);
        if (m->type != NULL && strcmp(m->type, "bind") == 0 && !m->options.bind)
                m->options.bind = m->options.recursive = true;
        if (m->options.bind && !m->options.remount && (r = need_path(v, "source", &m->source, e)) < 0)
                return r;
        if (!m->options.bind && (m->type == NULL || m->type[0] == '\0')) {
                struct jv t = jv_key(v, "type");

                return jv_err(&t, e, "missing, and the options do not make it a bind mount");
        }
        if (m->options.tmpcopyup &&
            (m->options.bind || (strcmp(m->type, "tmpfs") != 0 && strcmp(m->type, "ramfs") != 0)))
                return jv_err(&opts, e, "tmpcopyup is for a tmpfs or a ramfs");
        if (m->options.tmpcopyup && path_is_root(m->destination))
                return jv_err(&opts, e, "tmpcopyup of the whole root file system is not supported");
        return parse_mappings(v, &opts, c, m, e);
}

int config_mounts(const struct jv *root, struct config *c, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(root, "mounts", &list, &n, e);

        if (r <= 0)
                return r;
        c->mounts = arena_alloc(&c->arena, n + 1, sizeof(*c->mounts));
        if (c->mounts == NULL)
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);

                r = parse_mount(&item, c, &c->mounts[i], e);
                if (r < 0)
                        return r;
        }
        c->n_mounts = n;
        return 0;
}
