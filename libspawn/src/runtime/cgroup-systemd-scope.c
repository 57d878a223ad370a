/* The scope of a container that runs: new limits, further processes, its end. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-systemd.h"
#include "fail.h"
#include "systemd-call.h"
#include "util.h"

static int update_once(const struct sdbus *lib, sd_bus *bus, const char *scope, const struct cgroup_settings *s,
                       struct systemd_missing *missing, spawn_error *e)
{
        _cleanup_call_ struct systemd_call c = {.lib = lib};
        int r = systemd_call_new(bus, &c, "SetUnitProperties", e);

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
        return systemd_note_missing(&c, missing) ? 1 : systemd_call_failed(&c, r, "set the limits of", scope, e);
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
        _cleanup_call_ struct systemd_call c = {.lib = lib};
        struct systemd_job job = {.lib = lib};
        int r = systemd_job_watch(bus, &job, e);

        if (r < 0 || (r = systemd_call_new(bus, &c, "StopUnit", e)) < 0)
                return r;
        r = lib->message_append(c.m, "ss", scope, "replace");
        if (r < 0)
                return fail_code(e, r, "systemd", "prepare to stop scope `%s`", scope);
        r = lib->call(bus, c.m, 0, &c.error, &c.reply);
        if (r < 0)
                return c.error.name != NULL && strcmp(c.error.name, "org.freedesktop.systemd1.NoSuchUnit") == 0
                               ? 0
                               : systemd_call_failed(&c, r, "stop", scope, e);
        return systemd_job_await(bus, &job, &c, "stopped", scope, e);
}

int cgroup_systemd_stop(const struct runtime *rt, const char *scope, spawn_error *e)
{
        const struct sdbus *lib;
        sd_bus *bus = NULL;
        int r = sdbus_load(&lib, e);

        if (r < 0 || (r = sdbus_connect(lib, rt->rootless, &bus, e)) < 0)
                return r;
        r = stop(lib, bus, scope, e);
        systemd_reset_failed(lib, bus, scope);
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

static bool ends_in(const char *s, size_t len, const char *suffix)
{
        size_t n = strlen(suffix);

        return len > n && strncmp(s + len - n, suffix, n) == 0;
}

/* The unit that a container's cgroup lies in: its scope; or, of a cgroup made with files, the service or scope of the
 * user's manager around it. Returns the path behind the unit, NULL if there is none. */
static const char *unit_around(const struct state *state, const char *path, char *ret, size_t size)
{
        const char *p;

        if (state->scope != NULL) {
                (void) snprintf(ret, size, "%s", state->scope);
                p = strstr(path, state->scope);
                return p != NULL ? p + strlen(state->scope) : "";
        }
        p = strstr(path, "/user@");
        if (p == NULL)
                return NULL;
        for (p += strcspn(p + 1, "/") + 1; *p == '/'; p += strcspn(p + 1, "/") + 1) {
                size_t n = strcspn(p + 1, "/");

                if ((ends_in(p + 1, n, ".service") || ends_in(p + 1, n, ".scope")) && n < size) {
                        (void) snprintf(ret, size, "%.*s", (int) n, p + 1);
                        return p + 1 + n;
                }
        }
        return NULL;
}

int cgroup_systemd_join_prepare(const struct runtime *rt, const struct state *state, const char *sub,
                                struct cgroup_systemd **ret, spawn_error *e)
{
        struct cgroup_systemd *s;
        const char *below;
        char init[PATH_MAX], unit[NAME_MAX + 1];
        int r;

        if (state->cgroup == NULL || may_move_to(state->cgroup))
                return 0;
        below = unit_around(state, state->cgroup, unit, sizeof(unit));
        if (below == NULL)
                return 0; /* whoever tries meets the kernel's answer */
        s = calloc(1, sizeof(*s));
        if (s == NULL)
                return spawn_err(e, ENOMEM, "systemd", "out of memory");
        *ret = s;
        memcpy(s->unit, unit, sizeof(unit));
        r = snprintf(s->subgroup, sizeof(s->subgroup), "%s%s%s", below, sub != NULL ? "/" : "", sub != NULL ? sub : "");
        if (r < 0 || (size_t) r >= sizeof(s->subgroup))
                return fail_code(e, ENAMETOOLONG, "systemd", "enter unit `%s`", unit);
        /* Where the container's first process has moved to: into a cgroup above it none may go any more. */
        if (sub == NULL && cgroup_of_pid(state->pid, init) == 0 && strcmp(init, state->cgroup) != 0 &&
            (below = unit_around(state, init, unit, sizeof(unit))) != NULL)
                (void) snprintf(s->inner, sizeof(s->inner), "%.*s", (int) sizeof(s->inner) - 1, below);
        r = sdbus_load(&s->lib, e);
        if (r == 0)
                r = sdbus_connect(s->lib, rt->rootless, &s->bus, e);
        if (r < 0 && state->scope == NULL) { /* without it the caller has a way of its own */
                cgroup_systemd_free(s);
                *ret = NULL;
                return 0;
        }
        return r;
}

static int attach(const struct cgroup_systemd *s, const char *unit, const char *sub, pid_t pid, spawn_error *e)
{
        _cleanup_call_ struct systemd_call c = {.lib = s->lib};
        int r = systemd_call_new(s->bus, &c, "AttachProcessesToUnit", e);

        if (r < 0)
                return r;
        r = s->lib->message_append(c.m, "ssau", unit, sub, 1, (uint32_t) pid);
        if (r < 0)
                return fail_code(e, r, "systemd", "prepare to enter unit `%s`", unit);
        r = s->lib->call(s->bus, c.m, 0, &c.error, &c.reply);
        return r < 0 ? systemd_call_failed(&c, r, "add a process to", unit, e) : 0;
}

int cgroup_systemd_join(struct cgroup_systemd *s, pid_t pid, spawn_error *e)
{
        int r = attach(s, s->unit, s->subgroup, pid, e);

        return r < 0 && s->inner[0] != '\0' ? attach(s, s->unit, s->inner, pid, e) : r;
}
