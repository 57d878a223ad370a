/* The systemd manager: org.freedesktop.systemd1(5). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-systemd.h"
#include "fail.h"
#include "systemd-call.h"
#include "util.h"

/* systemd.unit(5), "String Escaping for Inclusion in Unit Names". */
static void escape(const char *text, char *ret, size_t size)
{
        size_t n = 0;

        for (; *text != '\0' && n + 5 < size; text++)
                if (isalnum((unsigned char) *text) || strchr(":_.-\\@", *text) != NULL)
                        ret[n++] = *text;
                else
                        n += (size_t) snprintf(ret + n, size - n, "\\x%02x", (unsigned char) *text);
        ret[n] = '\0';
}

static int choose_names(const struct runtime *rt, const char *id, const struct config *c, struct cgroup *g,
                        spawn_error *e)
{
        struct cgroup_systemd *s = g->systemd;
        const char *sub = config_annotation(c, "run.oci.systemd.subgroup"), *wish = c->cgroups_path;
        char scope[256], path[1024];

        (void) snprintf(s->subgroup, sizeof(s->subgroup), "%s", sub != NULL ? sub : "container");
        if (sub != NULL && (strlen(sub) >= sizeof(s->subgroup) || sub[0] == '/' || sub[0] == '.' ||
                            strstr(sub, "/.") != NULL || strstr(sub, "//") != NULL))
                return fail_text(e, "cgroup",
                                 "annotations.run.oci.systemd.subgroup: \"%.100s\" is not the name of a cgroup", sub);
        if (wish == NULL || wish[0] == '\0') {
                (void) snprintf(path, sizeof(path), "podlike-%.200s.scope", id);
                escape(path, g->scope, sizeof(g->scope));
                return 0;
        }
        if (strchr(wish, ':') == NULL && strchr(wish, '/') == NULL) {
                (void) snprintf(path, sizeof(path), "%.200s%s", wish,
                                strlen(wish) > 6 && strcmp(wish + strlen(wish) - 6, ".scope") == 0 ? "" : ".scope");
                escape(path, g->scope, sizeof(g->scope));
                return 0;
        }
        if (!cgroup_split_systemd(wish, s->slice, scope))
                return fail_text(
                        e, "cgroup",
                        "linux.cgroupsPath: \"%.100s\" has not the form slice:prefix:name that the systemd cgroup"
                        " manager needs",
                        wish);
        if (s->slice[0] == '\0')
                (void) snprintf(s->slice, sizeof(s->slice), "%s", rt->rootless ? "user.slice" : "system.slice");
        if (cgroup_slice_path(s->slice, path, sizeof(path)) < 0)
                return fail_text(e, "cgroup", "linux.cgroupsPath: \"%.100s\" is not the name of a slice", s->slice);
        escape(scope, g->scope, sizeof(g->scope));
        return 0;
}

int cgroup_systemd_prepare(const struct runtime *rt, const char *id, const struct config *c, struct cgroup *g,
                           spawn_error *e)
{
        struct cgroup_systemd *s = calloc(1, sizeof(*s));
        int r;

        if (s == NULL)
                return spawn_err(e, ENOMEM, "systemd", "out of memory");
        g->systemd = s;
        r = choose_names(rt, id, c, g, e);
        if (r == 0)
                r = cgroup_complete_cpu_max(-1, &g->settings, e);
        if (r == 0)
                r = sdbus_load(&s->lib, e);
        if (r == 0)
                r = sdbus_connect(s->lib, rt->rootless, &s->bus, e);
        if (r < 0)
                g->scope[0] = '\0'; /* there is none to be stopped */
        return r;
}

void cgroup_systemd_free(struct cgroup_systemd *s)
{
        if (s == NULL)
                return;
        if (s->bus != NULL)
                (void) s->lib->flush_close_unref(s->bus);
        free(s);
}

void cgroup_systemd_drop(const struct cgroup_systemd *s)
{
        int fd = s->lib->get_fd(s->bus);

        if (fd >= 0)
                (void) close(fd);
}

static int append_scope(struct systemd_call *c, const struct cgroup *g, const struct config *config, pid_t pid,
                        spawn_error *e)
{
        static const char *const on[] = {"Delegate", "CPUAccounting", "MemoryAccounting", "IOAccounting",
                                         "TasksAccounting"};
        const struct cgroup_systemd *s = g->systemd;
        int r = c->lib->message_append(c->m, "ss", g->scope, "fail");

        if (r >= 0)
                r = c->lib->message_open_container(c->m, 'a', "(sv)");
        if (r >= 0)
                r = c->lib->message_append(c->m, "(sv)(sv)(sv)(sv)", "Description", "s", "podlike container",
                                           "DefaultDependencies", "b", 0, "CollectMode", "s", "inactive-or-failed",
                                           "PIDs", "au", 1, (uint32_t) pid);
        if (r >= 0 && s->slice[0] != '\0')
                r = c->lib->message_append(c->m, "(sv)", "Slice", "s", s->slice);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(on); i++)
                r = c->lib->message_append(c->m, "(sv)", on[i], "b", 1);
        if (r < 0)
                return fail_code(e, r, "systemd", "prepare the scope `%s`", g->scope);
        if ((r = systemd_append_limits(c->lib, c->m, &g->settings, &s->missing, e)) < 0 ||
            (r = systemd_append_annotations(c->lib, c->m, &config->annotations, e)) < 0)
                return r;
        r = c->lib->message_close_container(c->m);
        if (r >= 0)
                r = c->lib->message_append(c->m, "a(sa(sv))", 0);
        return r < 0 ? fail_code(e, r, "systemd", "prepare the scope `%s`", g->scope) : 0;
}

/* Returns 1 when it is worth another try. */
static int start_once(struct cgroup *g, const struct config *config, pid_t pid, struct systemd_job *job, bool first,
                      spawn_error *e)
{
        struct cgroup_systemd *s = g->systemd;
        _cleanup_call_ struct systemd_call c = {.lib = s->lib};
        int r = systemd_call_new(s->bus, &c, "StartTransientUnit", e);

        if (r < 0 || (r = append_scope(&c, g, config, pid, e)) < 0)
                return r;
        r = s->lib->call(s->bus, c.m, 0, &c.error, &c.reply);
        if (r >= 0)
                return systemd_job_await(s->bus, job, &c, "started", g->scope, e);
        if (systemd_note_missing(&c, &s->missing))
                return 1;
        if (r == -EEXIST && first) {
                systemd_reset_failed(s->lib, s->bus,
                                     g->scope); /* what is left of a container of that name that failed */
                return 1;
        }
        r = systemd_call_failed(&c, r, "start", g->scope, e);
        if (r == -EEXIST)
                g->scope[0] = '\0'; /* somebody else's: not to be stopped */
        return r;
}

int cgroup_systemd_enter(struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e)
{
        struct cgroup_systemd *s = g->systemd;
        struct systemd_job job = {.lib = s->lib};
        const char *slash;
        bool first = true;
        int r = systemd_job_watch(s->bus, &job, e);

        if (r < 0)
                return r;
        do {
                r = start_once(g, c, pid, &job, first, e);
                first = false;
        } while (r > 0);
        if (r < 0)
                return r;
        r = cgroup_of_pid(pid, g->path);
        if (r < 0)
                return fail_code(e, r, "systemd", "find the cgroup of scope `%s`", g->scope);
        slash = strrchr(g->path, '/');
        if (slash == NULL || strcmp(slash + 1, g->scope) != 0) {
                r = spawn_err(e, EIO, "systemd", "systemd has started scope `%s`, but the container is in cgroup `%s`",
                              g->scope, g->path);
                g->path[0] = '\0';
                return r;
        }
        if (s->subgroup[0] == '\0')
                return 0;
        r = cgroup_move_down(g->path, s->subgroup, pid);
        if (r < 0)
                return fail_code(e, r, "systemd", "move the container to cgroup `%s/%s`", g->path, s->subgroup);
        (void) snprintf(g->path + strlen(g->path), sizeof(g->path) - strlen(g->path), "/%s", s->subgroup);
        return 0;
}
