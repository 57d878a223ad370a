/* A container's cgroup, from choosing its place to removing it; cgroup v2 by its files, or by systemd.
 * On hosts with v1 or a hybrid tree containers run without a cgroup of their own. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "cgroup.h"
#include "cgroup-systemd.h"
#include "fail.h"
#include "log.h"
#include "util.h"

/* 1, 0, or -errno when the kernel does not tell. */
static int is_v2(void)
{
        struct statfs fs;

        if (statfs(CGROUP_ROOT, &fs) < 0)
                return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
        return fs.f_type == CGROUP2_SUPER_MAGIC;
}

bool cgroup_split_systemd(const char *path, char slice[256], char scope[256])
{
        const char *a = strchr(path, ':'), *b = a != NULL ? strchr(a + 1, ':') : NULL;
        const char *name, *end;
        int prefix, r;

        if (a == NULL || strchr(path, '/') != NULL)
                return false;
        (void) snprintf(slice, 256, "%.*s", (int) (a - path), path);
        name = b != NULL ? b + 1 : a + 1;
        prefix = b != NULL ? (int) (b - a - 1) : 0;
        end = strrchr(name, '.');
        r = snprintf(scope, 256, "%.*s%s%s%s", prefix, a + 1, prefix > 0 ? "-" : "", name,
                     end != NULL && strcmp(end, ".scope") == 0 ? "" : ".scope");
        return name[0] != '\0' && r > 0 && r < 256;
}

int cgroup_slice_path(const char *slice, char *ret, size_t size)
{
        size_t len = strlen(slice), n = 0;
        const char *dash = slice;

        if (len < 7 || strcmp(slice + len - 6, ".slice") != 0 || slice[0] == '-' || slice[len - 7] == '-' ||
            strchr(slice, '/') != NULL || strstr(slice, "--") != NULL)
                return strcmp(slice, "-.slice") == 0 && snprintf(ret, size, "%s", "") == 0 ? 0 : -EINVAL;
        while ((dash = strchr(dash, '-')) != NULL) {
                int r = snprintf(ret + n, size - n, "/%.*s.slice", (int) (dash - slice), slice);

                if (r < 0 || (size_t) r >= size - n)
                        return -EINVAL;
                n += (size_t) r;
                dash++;
        }
        return (size_t) snprintf(ret + n, size - n, "/%s", slice) >= size - n ? -EINVAL : 0;
}

/* systemd's form, although its files are made by us. */
static int systemd_path(const struct runtime *rt, const char *wish, char ret[PATH_MAX], spawn_error *e)
{
        char slice[256], scope[256], path[1024];

        if (!cgroup_split_systemd(wish, slice, scope))
                return fail_text(e, "cgroup", "linux.cgroupsPath: \"%.100s\" has not the form slice:prefix:name", wish);
        if (cgroup_slice_path(slice[0] != '\0' ? slice
                              : rt->rootless   ? "user.slice"
                                               : "system.slice",
                              path, sizeof(path)) < 0)
                return fail_text(e, "cgroup", "linux.cgroupsPath: \"%.100s\" is not the name of a slice", slice);
        return snprintf(ret, PATH_MAX, CGROUP_ROOT "%s/%s", path, scope);
}

static bool has_dots(const char *path)
{
        size_t n = strlen(path);

        return strstr(path, "/../") != NULL || (n >= 3 && strcmp(path + n - 3, "/..") == 0);
}

static bool names_root(const char *path)
{
        const char *below = path + strlen(CGROUP_ROOT);

        return below[strspn(below, "/.")] == '\0';
}

int cgroup_choose_path(const struct runtime *rt, const char *id, const char *wish, char ret[PATH_MAX], spawn_error *e)
{
        int n;

        ret[0] = '\0';
        if (wish != NULL && strchr(wish, ':') != NULL && strchr(wish, '/') == NULL) {
                n = systemd_path(rt, wish, ret, e);
                if (n < 0)
                        return n;
        } else if (wish != NULL && wish[0] != '\0') {
                n = snprintf(ret, PATH_MAX, CGROUP_ROOT "%s%s", wish[0] == '/' ? "" : "/", wish);
        } else {
                n = rt->rootless ? 0 : snprintf(ret, PATH_MAX, CGROUP_ROOT "/%s", id);
        }
        if (n < 0 || n >= PATH_MAX)
                return fail_text(e, "cgroup", "linux.cgroupsPath: too long");
        for (n--; n > 0 && ret[n] == '/'; n--)
                ret[n] = '\0';
        if (has_dots(ret))
                return fail_text(e, "cgroup", "linux.cgroupsPath: \"%.100s\": `..` is not allowed", wish);
        /* What is killed and removed with the container must be its own. */
        if (ret[0] != '\0' && names_root(ret))
                return fail_text(e, "cgroup",
                                 "linux.cgroupsPath: \"%.100s\" is the root of the tree: name a cgroup below it", wish);
        return 0;
}

/* Beside our own cgroup, where an ordinary user may be able to: in a subtree that was delegated. */
static bool sibling_path(const char *id, char ret[PATH_MAX])
{
        char own[PATH_MAX], *slash;

        if (cgroup_of_pid(getpid(), own) < 0)
                return false;
        slash = strrchr(own, '/');
        if (slash == NULL || slash <= own + strlen(CGROUP_ROOT))
                return false; /* the root is not for ordinary users, and root has asked for it already */
        *slash = '\0';
        return faccessat(AT_FDCWD, own, W_OK, AT_EACCESS) == 0 && snprintf(ret, PATH_MAX, "%s/%s", own, id) < PATH_MAX;
}

/* Limits of controllers that work in threaded cgroups. */
static bool wants_threaded(const struct cgroup_settings *s)
{
        for (size_t i = 0; i < s->n; i++)
                if (strncmp(s->v[i].value, "max", 3) != 0 &&
                    (strncmp(s->v[i].controller, "cpu", 3) == 0 || strcmp(s->v[i].controller, "pids") == 0))
                        return true;
        return false;
}

static int make_dir(struct cgroup *g, spawn_error *e)
{
        int r = cgroup_make_path(g->path, wants_threaded(&g->settings), &g->created);

        if (r < 0)
                return fail_code(e, r, "cgroup", "create cgroup `%s`", g->path);
        g->fd = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return g->fd < 0 ? fail_errno(e, "cgroup", "open cgroup `%s`", g->path) : 0;
}

/* A rootless container without delegation: it goes on in our cgroup. */
static int go_without(const struct runtime *rt, struct cgroup *g, const char *why)
{
        if (g->created)
                (void) unlinkat(AT_FDCWD, g->path, AT_REMOVEDIR);
        g->created = false;
        g->path[0] = '\0';
        if (!cgroup_settings_empty(&g->settings))
                log_warning(rt->log, "no cgroup of its own, so no limits, %s and %zu more are not set: %s",
                            g->settings.v[0].what, g->settings.n - 1, why);
        return 0;
}

static int make_by_files(const struct runtime *rt, const char *id, const struct config *c, struct cgroup *g,
                         spawn_error *e)
{
        bool asked = c->cgroups_path != NULL && c->cgroups_path[0] != '\0';
        spawn_error why = {0};
        int r = cgroup_choose_path(rt, id, c->cgroups_path, g->path, e);

        if (r < 0)
                return r;
        r = g->path[0] != '\0' ? make_dir(g, &why) : -EACCES;
        if (r < 0 && g->created)
                (void) unlinkat(AT_FDCWD, g->path, AT_REMOVEDIR);
        if (r < 0 && !asked && sibling_path(id, g->path))
                r = make_dir(g, &why);
        if (r < 0 && rt->rootless && (!asked || cgroup_settings_empty(&g->settings)))
                return go_without(rt, g,
                                  why.text[0] != '\0' ? why.text : "no part of the cgroup tree is delegated to you");
        if (r < 0) {
                *e = why;
                return asked && g->settings.n > 0 ? fail_wrap(e, r, "%s needs linux.cgroupsPath", g->settings.v[0].what)
                                                  : r;
        }
        if ((r = cgroup_chown(g->path, c, e)) < 0 || (r = cgroup_complete_cpu_max(g->fd, &g->settings, e)) < 0)
                return r;
        return cgroup_apply(g->fd, g->path, &g->settings, e);
}

int cgroup_make(const struct runtime *rt, const char *id, const struct config *c, struct cgroup *ret, spawn_error *e)
{
        int r;

        memset(ret, 0, sizeof(*ret));
        ret->fd = -1;
        r = cgroup_settings(c->resources, &ret->settings, e);
        if (r < 0)
                return r;
        if (rt->rootless)
                ret->settings.n_devices = 0; /* bpf(2) is root's; which nodes there are decides, as with crun */
        if (rt->cgroups == CGROUPS_DISABLED)
                return cgroup_settings_empty(&ret->settings) ? 0 : go_without(rt, ret, "--cgroup-manager is disabled");
        r = is_v2();
        if (r < 0)
                return fail_code(e, r, "cgroup", "look at `%s`", CGROUP_ROOT);
        if (r == 0) {
                if (!cgroup_settings_empty(&ret->settings))
                        log_warning(rt->log,
                                    "%s: no limits are set, as `%s` is not a cgroup v2 tree (boot with"
                                    " systemd.unified_cgroup_hierarchy=1)",
                                    ret->settings.v[0].what, CGROUP_ROOT);
                return 0;
        }
        if (rt->cgroups == CGROUPS_SYSTEMD)
                return cgroup_systemd_prepare(rt, id, c, ret, e);
        r = make_by_files(rt, id, c, ret, e);
        if (r < 0 && ret->created) {
                (void) cgroup_remove(ret->path);
                ret->created = false;
        }
        return r;
}

bool cgroup_wants_process(const struct cgroup *g)
{
        return g->systemd != NULL;
}

int cgroup_enter(struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e)
{
        int r = cgroup_systemd_enter(g, c, pid, e);

        if (r < 0)
                return r;
        g->fd = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (g->fd < 0)
                return fail_errno(e, "cgroup", "open cgroup `%s`", g->path);
        if ((r = cgroup_chown(g->path, c, e)) < 0)
                return r;
        return cgroup_apply(g->fd, g->path, &g->settings, e);
}

int cgroup_entered(struct cgroup *g, spawn_error *e)
{
        int r = cgroup_of_pid(getpid(), g->path);

        cgroup_systemd_drop(g->systemd);
        return r < 0 ? fail_code(e, r, "cgroup", "find the cgroup of scope `%s`", g->scope) : 0;
}

int cgroup_delegate(const struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e)
{
        const char *sub = config_annotation(c, "run.oci.delegate-cgroup");
        char path[PATH_MAX];
        int r;

        if (sub == NULL || sub[0] == '\0' || g->path[0] == '\0')
                return 0;
        if (snprintf(path, sizeof(path), "%s/%s", g->path, sub) >= (int) sizeof(path) || has_dots(path))
                return fail_text(e, "cgroup", "annotations.run.oci.delegate-cgroup: \"%.100s\": `..` is not allowed",
                                 sub);
        r = cgroup_move_down(g->path, sub, pid);
        return r < 0 ? fail_code(e, r, "cgroup", "move the container to cgroup `%s`", path) : cgroup_chown(path, c, e);
}

void cgroup_forget(const struct runtime *rt, const char *id, const struct config *c)
{
        bool asked = c->cgroups_path != NULL && c->cgroups_path[0] != '\0';
        char path[PATH_MAX] = "";

        if (cgroup_choose_path(rt, id, c->cgroups_path, path, NULL) == 0 && path[0] != '\0')
                (void) unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
        if (!asked && sibling_path(id, path))
                (void) unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

void cgroup_undo(const struct runtime *rt, struct cgroup *g)
{
        if (g->path[0] != '\0' && (g->created || g->scope[0] != '\0')) {
                (void) cgroup_kill(g->path);
                (void) cgroup_remove(g->path);
        }
        if (g->scope[0] != '\0')
                (void) cgroup_systemd_stop(rt, g->scope, NULL);
}

void cgroup_free(struct cgroup *g)
{
        if (g->fd >= 0)
                (void) close(g->fd);
        g->fd = -1;
        cgroup_systemd_free(g->systemd);
        g->systemd = NULL;
        cgroup_settings_free(&g->settings);
}

static int update(const struct runtime *rt, const struct state *s, struct cgroup_settings *set, spawn_error *e)
{
        int r;

        _cleanup_close_ int fd = open(s->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(e, "cgroup", "open cgroup `%s`", s->cgroup);
        r = cgroup_complete_cpu_max(fd, set, e);
        if (r == 0 && s->scope != NULL)
                r = cgroup_systemd_update(rt, s->scope, set, e);
        return r < 0 ? r : cgroup_apply(fd, s->cgroup, set, e);
}

int cgroup_update(const struct runtime *rt, const struct state *s, struct json_object *resources, spawn_error *e)
{
        struct cgroup_settings set;
        int r = cgroup_settings(resources, &set, e);

        if (rt->rootless)
                set.n_devices = 0;
        if (r == 0)
                r = update(rt, s, &set, e);
        cgroup_settings_free(&set);
        return r;
}

int cgroup_destroy(const struct runtime *rt, const struct state *s, spawn_error *e)
{
        int r = s->cgroup != NULL ? cgroup_remove(s->cgroup) : 0;
        spawn_error ignored = {0};

        if (r < 0)
                return fail_code(e, r, "delete", "remove cgroup `%s`", s->cgroup);
        /* Without its processes the scope goes by itself: a bus that is gone is no reason to keep the container. */
        if (s->scope != NULL)
                (void) cgroup_systemd_stop(rt, s->scope, &ignored);
        return 0;
}
