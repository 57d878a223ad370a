/* exec: what the further process is. */
#include <fcntl.h>
#include <string.h>

#include "caps.h"
#include "config.h"
#include "container.h"
#include "fail.h"
#include "lsm.h"
#include "util.h"

static int parse_number(const char *text, char end, uint32_t *ret, const char **ret_rest)
{
        char *stop;
        unsigned long n;

        if (text[0] < '0' || text[0] > '9')
                return -EINVAL;
        n = strtoul(text, &stop, 10);
        if (n >= UINT32_MAX || (*stop != '\0' && *stop != end))
                return -EINVAL;
        *ret = (uint32_t) n;
        *ret_rest = *stop != '\0' ? stop + 1 : NULL;
        return 0;
}

static int set_user(struct oci_process *p, const char *user, spawn_error *e)
{
        const char *rest = NULL;

        if (user == NULL)
                return 0;
        p->gid = 0;
        p->n_groups = 0;
        if (parse_number(user, ':', &p->uid, &rest) < 0 ||
            (rest != NULL && parse_number(rest, '\0', &p->gid, &rest) < 0))
                return fail_text(e, "join", "invalid user `%s`: give numbers, UID[:GID]", user);
        return 0;
}

/* --additional-gids 10,20 */
static int set_groups(const struct exec_options *o, struct config *c, spawn_error *e)
{
        struct oci_process *p = &c->process;
        const char *rest;
        gid_t *groups;

        if (o->n_gids == 0)
                return 0;
        groups = arena_alloc(&c->arena, p->n_groups + o->n_gids, sizeof(*groups));
        if (groups == NULL)
                return spawn_err(e, ENOMEM, "join", "out of memory");
        if (p->n_groups > 0)
                memcpy(groups, p->groups, p->n_groups * sizeof(*groups));
        p->groups = groups;
        for (size_t i = 0; i < o->n_gids; i++)
                if (parse_number(o->gids[i], '\0', &groups[p->n_groups++], &rest) < 0)
                        return fail_text(e, "join", "invalid group `%s`: give a number", o->gids[i]);
        return 0;
}

/* The environment with what the command line adds; same names are replaced. */
static int set_env(const struct exec_options *o, struct config *c, spawn_error *e)
{
        struct oci_process *p = &c->process;
        const char **env = arena_alloc(&c->arena, p->env.n + o->n_env + 1, sizeof(*env));

        if (env == NULL)
                return spawn_err(e, ENOMEM, "join", "out of memory");
        if (p->env.n > 0)
                memcpy(env, p->env.v, p->env.n * sizeof(*env));
        for (size_t i = 0; i < o->n_env; i++) {
                const char *add = o->env[i];
                size_t len = strcspn(add, "="), k;

                if (add[len] != '=' || len == 0)
                        return fail_text(e, "join", "invalid environment `%s`: give NAME=VALUE", add);
                for (k = 0; k < p->env.n; k++)
                        if (strncmp(env[k], add, len + 1) == 0)
                                break;
                env[k] = add;
                if (k == p->env.n)
                        p->env.n++;
        }
        p->env.v = env;
        return 0;
}

static int set_options(const struct exec_options *o, struct config *c, spawn_error *e)
{
        struct oci_process *p = &c->process;
        int r;

        if (o->process_file == NULL) {
                /* As crun has it: these are the container's first process's alone. */
                p->terminal = o->tty;
                p->no_new_privileges = false;
        }
        if (o->n_args > 0)
                p->args = (struct strv){.v = o->args, .n = o->n_args};
        if (o->tty)
                p->terminal = true;
        if (o->process_label != NULL)
                p->selinux = o->process_label;
        if (o->apparmor != NULL)
                p->apparmor = o->apparmor;
        if (o->cwd != NULL)
                p->cwd = o->cwd;
        if (o->no_new_privs)
                p->no_new_privileges = true;
        for (size_t i = 0; i < o->n_caps; i++) {
                int cap = cap_from_name(o->caps[i]);

                if (cap < 0)
                        return fail_text(e, "join", "unknown capability `%s`", o->caps[i]);
                /* Not inheritable nor ambient: it is for this process, not for what it runs. */
                p->caps[CAPS_BOUNDING] |= UINT64_C(1) << cap;
                p->caps[CAPS_EFFECTIVE] |= UINT64_C(1) << cap;
                p->caps[CAPS_PERMITTED] |= UINT64_C(1) << cap;
                p->has_caps = true;
        }
        r = set_user(p, o->user, e);
        if (r < 0 || (r = set_groups(o, c, e)) < 0)
                return r;
        return set_env(o, c, e);
}

static bool has_key(const struct config *c, const char *key)
{
        return json_object_object_get_ex(c->json, key, NULL);
}

/* What the file does not say of the rights of the process is as in the container, never more. The container's
 * configuration is only read if that is so. */
static int complete(struct config *c, int dir_fd, spawn_error *e)
{
        struct oci_process *p = &c->process;
        bool label = p->selinux == NULL && lsm_selinux_enabled();
        bool profile = p->apparmor == NULL && lsm_apparmor_enabled();
        struct config own;
        int r;

        if (has_key(c, "user") && has_key(c, "capabilities") && !label && !profile)
                return 0;
        r = config_read(dir_fd, "config.json", "config.json", &own, e);
        if (r == 0) {
                if (!has_key(c, "capabilities")) {
                        memcpy(p->caps, own.process.caps, sizeof(p->caps));
                        p->has_caps = own.process.has_caps;
                }
                if (!has_key(c, "user")) {
                        p->uid = own.process.uid;
                        p->gid = own.process.gid;
                        p->umask = own.process.umask;
                        p->has_umask = own.process.has_umask;
                        p->groups = arena_alloc(&c->arena, own.process.n_groups + 1, sizeof(*p->groups));
                        if (p->groups == NULL)
                                r = spawn_err(e, ENOMEM, "join", "out of memory");
                        else if (own.process.n_groups > 0)
                                memcpy(p->groups, own.process.groups, own.process.n_groups * sizeof(*p->groups));
                        p->n_groups = r == 0 ? own.process.n_groups : 0;
                }
                if (r == 0 && label && own.process.selinux != NULL &&
                    (p->selinux = arena_printf(&c->arena, "%s", own.process.selinux)) == NULL)
                        r = spawn_err(e, ENOMEM, "join", "out of memory");
                if (r == 0 && profile && own.process.apparmor != NULL &&
                    (p->apparmor = arena_printf(&c->arena, "%s", own.process.apparmor)) == NULL)
                        r = spawn_err(e, ENOMEM, "join", "out of memory");
        }
        config_free(&own);
        return r;
}

int exec_process(const struct exec_options *o, int dir_fd, struct config *c, spawn_error *e)
{
        struct jv root;
        int r;

        if (o->process_file == NULL) {
                r = config_read(dir_fd, "config.json", "config.json", c, e);
        } else {
                c->personality = -1;
                r = jv_parse_file(AT_FDCWD, o->process_file, o->process_file, &c->json, NULL, NULL, e);
                root = jv_root(c->json);
                if (r == 0)
                        r = config_process(&root, &c->arena, &c->process, e);
                if (r == 0)
                        r = complete(c, dir_fd, e);
        }
        if (r < 0 || (r = set_options(o, c, e)) < 0)
                return r;
        if (c->process.args.n == 0)
                return fail_text(e, "join", "there is nothing to run: give a command");
        return 0;
}
