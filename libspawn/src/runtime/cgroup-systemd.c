/* The systemd manager: org.freedesktop.systemd1(5). */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cgroup-systemd.h"
#include "fail.h"
#include "util.h"

#define DESTINATION "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

/* How long systemd may take over a job: a loaded machine, not a stuck one. */
#define JOB_USEC UINT64_C(60000000)

struct cgroup_systemd {
        const struct sdbus *lib;
        sd_bus *bus;
        char slice[256], subgroup[256]; /* "": none */
        struct systemd_missing missing;
};

/* A call and what comes back; all of it is freed by call_free(). */
struct call {
        const struct sdbus *lib;
        sd_bus_message *m, *reply;
        sd_bus_error error;
};

static void call_free(struct call *c)
{
        if (c->m != NULL)
                (void) c->lib->message_unref(c->m);
        if (c->reply != NULL)
                (void) c->lib->message_unref(c->reply);
        c->lib->error_free(&c->error);
}
#define _cleanup_call_ __attribute__((cleanup(call_free)))

static int call_new(sd_bus *bus, struct call *c, const char *method, spawn_error *e)
{
        int r = c->lib->message_new_method_call(bus, &c->m, DESTINATION, OBJECT, MANAGER, method);

        return r < 0 ? fail_code(e, r, "systemd", "prepare the call %s", method) : 0;
}

/* "unit `x`: systemd's words". */
static int call_failed(const struct call *c, int r, const char *method, const char *unit, spawn_error *e)
{
        return spawn_err(e, -r, "systemd", "systemd: %s unit `%s`: %s", method, unit,
                         c->error.message != NULL ? c->error.message : strerror(-r));
}

struct job {
        const struct sdbus *lib;
        const char *path;
        bool over;
        char result[32];
};

static int job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        const char *path = "", *unit = "", *result = "";
        struct job *j = userdata;
        uint32_t id;

        if (j->lib->message_read(m, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        if (j->path != NULL && strcmp(path, j->path) == 0) {
                j->over = true;
                (void) snprintf(j->result, sizeof(j->result), "%s", result);
        }
        return 0;
}

static int job_watch(sd_bus *bus, struct job *j, spawn_error *e)
{
        int r = j->lib->match_signal(bus, NULL, DESTINATION, OBJECT, MANAGER, "JobRemoved", job_removed, j);

        return r < 0 ? fail_code(e, r, "systemd", "watch systemd's jobs") : 0;
}

static uint64_t now_usec(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* The reply of a method that starts a job is its path; wait until the job has ended. */
static int job_await(sd_bus *bus, struct job *j, const struct call *c, const char *what, const char *unit,
                     spawn_error *e)
{
        const uint64_t end = now_usec() + JOB_USEC;
        int r = j->lib->message_read(c->reply, "o", &j->path);

        while (r >= 0 && !j->over) {
                uint64_t now = now_usec();

                r = j->lib->process(bus, NULL);
                if (r != 0)
                        continue;
                if (now >= end)
                        return spawn_err(e, ETIMEDOUT, "systemd", "systemd has not %s unit `%s` within %u s", what,
                                         unit, (unsigned int) (JOB_USEC / 1000000));
                r = j->lib->wait(bus, end - now);
        }
        if (r < 0)
                return fail_code(e, r, "systemd", "wait until systemd has %s unit `%s`", what, unit);
        if (strcmp(j->result, "done") != 0)
                return spawn_err(e, EIO, "systemd", "systemd has not %s unit `%s`: the job ended with `%s`", what, unit,
                                 j->result);
        return 0;
}

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

static void reset_failed(const struct sdbus *lib, sd_bus *bus, const char *unit)
{
        _cleanup_call_ struct call c = {.lib = lib};

        if (call_new(bus, &c, "ResetFailedUnit", NULL) == 0 && lib->message_append(c.m, "s", unit) >= 0)
                (void) lib->call(bus, c.m, 0, &c.error, &c.reply);
}

/* Whether the words are about a property that this systemd does not know and that can be left out. */
static bool note_missing(const struct call *c, struct systemd_missing *missing)
{
        static const char before[] = "Cannot set property ";
        const char *name = c->error.message;

        if (name == NULL || strncmp(name, before, sizeof(before) - 1) != 0 || missing->n >= ELEMENTSOF(missing->name))
                return false;
        name += sizeof(before) - 1;
        name = systemd_limit_property(name, strcspn(name, ", "));
        for (size_t i = 0; name != NULL && i < missing->n; i++)
                if (missing->name[i] == name)
                        return false;
        if (name != NULL)
                missing->name[missing->n++] = name;
        return name != NULL;
}

static int append_scope(struct call *c, const struct cgroup *g, const struct config *config, pid_t pid, spawn_error *e)
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
static int start_once(struct cgroup *g, const struct config *config, pid_t pid, struct job *job, bool first,
                      spawn_error *e)
{
        struct cgroup_systemd *s = g->systemd;
        _cleanup_call_ struct call c = {.lib = s->lib};
        int r = call_new(s->bus, &c, "StartTransientUnit", e);

        if (r < 0 || (r = append_scope(&c, g, config, pid, e)) < 0)
                return r;
        r = s->lib->call(s->bus, c.m, 0, &c.error, &c.reply);
        if (r >= 0)
                return job_await(s->bus, job, &c, "started", g->scope, e);
        if (note_missing(&c, &s->missing))
                return 1;
        if (r == -EEXIST && first) {
                reset_failed(s->lib, s->bus, g->scope); /* what is left of a container of that name that failed */
                return 1;
        }
        r = call_failed(&c, r, "start", g->scope, e);
        if (r == -EEXIST)
                g->scope[0] = '\0'; /* somebody else's: not to be stopped */
        return r;
}

int cgroup_systemd_enter(struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e)
{
        struct cgroup_systemd *s = g->systemd;
        struct job job = {.lib = s->lib};
        const char *slash;
        bool first = true;
        int r = job_watch(s->bus, &job, e);

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

static int update_once(const struct sdbus *lib, sd_bus *bus, const char *scope, const struct cgroup_settings *s,
                       struct systemd_missing *missing, spawn_error *e)
{
        _cleanup_call_ struct call c = {.lib = lib};
        int r = call_new(bus, &c, "SetUnitProperties", e);

        if (r < 0)
                return r;
        r = lib->message_append(c.m, "sb", scope, 1); /* until the unit ends, not on disk */
        if (r >= 0)
                r = lib->message_open_container(c.m, 'a', "(sv)");
        if (r < 0)
                return fail_code(e, r, "systemd", "prepare the limits of scope `%s`", scope);
        if ((r = systemd_append_limits(lib, c.m, s, missing, e)) < 0)
                return r;
        if ((r = lib->message_close_container(c.m)) < 0)
                return fail_code(e, r, "systemd", "prepare the limits of scope `%s`", scope);
        r = lib->call(bus, c.m, 0, &c.error, &c.reply);
        if (r >= 0)
                return 0;
        return note_missing(&c, missing) ? 1 : call_failed(&c, r, "set the limits of", scope, e);
}

int cgroup_systemd_update(const struct runtime *rt, const char *scope, struct cgroup_settings *s, spawn_error *e)
{
        struct systemd_missing missing = {0};
        const struct sdbus *lib;
        sd_bus *bus = NULL;
        int r = sdbus_load(&lib, e);

        if (r < 0 || (r = sdbus_connect(lib, rt->rootless, &bus, e)) < 0)
                return r;
        do
                r = update_once(lib, bus, scope, s, &missing, e);
        while (r > 0);
        (void) lib->flush_close_unref(bus);
        return r;
}

static int stop(const struct sdbus *lib, sd_bus *bus, const char *scope, spawn_error *e)
{
        _cleanup_call_ struct call c = {.lib = lib};
        struct job job = {.lib = lib};
        int r = job_watch(bus, &job, e);

        if (r < 0 || (r = call_new(bus, &c, "StopUnit", e)) < 0)
                return r;
        r = lib->message_append(c.m, "ss", scope, "replace");
        if (r < 0)
                return fail_code(e, r, "systemd", "prepare to stop scope `%s`", scope);
        r = lib->call(bus, c.m, 0, &c.error, &c.reply);
        if (r < 0)
                return c.error.name != NULL && strcmp(c.error.name, DESTINATION ".NoSuchUnit") == 0
                               ? 0
                               : call_failed(&c, r, "stop", scope, e);
        return job_await(bus, &job, &c, "stopped", scope, e);
}

int cgroup_systemd_stop(const struct runtime *rt, const char *scope, spawn_error *e)
{
        const struct sdbus *lib;
        sd_bus *bus = NULL;
        int r = sdbus_load(&lib, e);

        if (r < 0 || (r = sdbus_connect(lib, rt->rootless, &bus, e)) < 0)
                return r;
        r = stop(lib, bus, scope, e);
        reset_failed(lib, bus, scope);
        (void) lib->flush_close_unref(bus);
        return r;
}

/* Moving a process needs the right to write to cgroup.procs of what its old and its new cgroup have in common. */
static bool may_move_to(const char *path)
{
        char own[PATH_MAX], file[PATH_MAX + 16];
        size_t n = 0, slash = 0;

        if (cgroup_of_pid(getpid(), own) < 0)
                return true;
        while (own[n] != '\0' && own[n] == path[n])
                if (own[n++] == '/')
                        slash = n - 1;
        if ((own[n] == '\0' || own[n] == '/') && (path[n] == '\0' || path[n] == '/'))
                slash = n;
        (void) snprintf(file, sizeof(file), "%.*s/cgroup.procs", (int) slash, own);
        return faccessat(AT_FDCWD, file, W_OK, AT_EACCESS) == 0;
}

int cgroup_systemd_join_prepare(const struct runtime *rt, const struct state *state, struct cgroup_systemd **ret,
                                spawn_error *e)
{
        struct cgroup_systemd *s;
        int r;

        if (state->scope == NULL || state->cgroup == NULL || may_move_to(state->cgroup))
                return 0;
        s = calloc(1, sizeof(*s));
        if (s == NULL)
                return spawn_err(e, ENOMEM, "systemd", "out of memory");
        *ret = s;
        r = sdbus_load(&s->lib, e);
        return r < 0 ? r : sdbus_connect(s->lib, rt->rootless, &s->bus, e);
}

int cgroup_systemd_join(struct cgroup_systemd *s, const struct state *state, pid_t pid, spawn_error *e)
{
        _cleanup_call_ struct call c = {.lib = s->lib};
        const char *scope = strstr(state->cgroup, state->scope);
        int r = call_new(s->bus, &c, "AttachProcessesToUnit", e);

        if (r < 0)
                return r;
        r = s->lib->message_append(c.m, "ssau", state->scope, scope != NULL ? scope + strlen(state->scope) : "", 1,
                                   (uint32_t) pid);
        if (r < 0)
                return fail_code(e, r, "systemd", "prepare to enter scope `%s`", state->scope);
        r = s->lib->call(s->bus, c.m, 0, &c.error, &c.reply);
        return r < 0 ? call_failed(&c, r, "add a process to", state->scope, e) : 0;
}
