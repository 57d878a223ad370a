/* The monitor's own scope. A login session ends with all processes in its cgroup (KillUserProcesses=, logind.conf(5));
 * the container's scope is not in it, and its monitor and network helper must not be either. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup-systemd.h"
#include "log.h"
#include "systemd-call.h"
#include "util.h"

#define MAX_PIDS 8

/* "NAME.scope PID...". Returns how many processes are to be in it, the monitor first; 0 if the words are none of ours. */
static size_t parse(const char *words, char name[256], uint32_t pids[MAX_PIDS])
{
        size_t len = strcspn(words, " "), n = 0;
        char *end;

        if (len <= 6 || len >= 256 || strncmp(words + len - 6, ".scope", 6) != 0)
                return 0;
        (void) snprintf(name, 256, "%.*s", (int) len, words);
        pids[n++] = (uint32_t) getppid();
        for (words += len; *words == ' ' && n < MAX_PIDS; words = end) {
                unsigned long pid = strtoul(words + 1, &end, 10);

                if (end == words + 1 || pid <= 1 || pid > INT32_MAX)
                        return 0;
                pids[n++] = (uint32_t) pid;
        }
        return *words == '\0' ? n : 0;
}

/* A monitor that starts its container again is there already. */
static bool is_in(const char *name)
{
        char path[PATH_MAX];
        const char *slash;

        if (cgroup_of_pid(getppid(), path) < 0 || (slash = strrchr(path, '/')) == NULL)
                return false;
        return strcmp(slash + 1, name) == 0;
}

static int append(struct systemd_call *c, const char *slice, const char *name, const uint32_t *pids, size_t n)
{
        const struct sdbus *lib = c->lib;
        int r = lib->message_append(c->m, "ss", name, "fail");

        if (r >= 0)
                r = lib->message_open_container(c->m, 'a', "(sv)");
        if (r >= 0)
                r = lib->message_append(c->m, "(sv)(sv)(sv)(sv)", "Description", "s", "podlike monitor",
                                        "DefaultDependencies", "b", 0, "CollectMode", "s", "inactive-or-failed",
                                        "Delegate", "b", 1);
        if (r >= 0)
                r = lib->message_append(c->m, "(sv)", "Slice", "s", slice);
        if (r >= 0)
                r = lib->message_open_container(c->m, 'r', "sv");
        if (r >= 0)
                r = lib->message_append(c->m, "s", "PIDs");
        if (r >= 0)
                r = lib->message_open_container(c->m, 'v', "au");
        if (r >= 0)
                r = lib->message_append_array(c->m, 'u', pids, n * sizeof(pids[0]));
        for (int i = 0; r >= 0 && i < 3; i++)
                r = lib->message_close_container(c->m);
        return r < 0 ? r : lib->message_append(c->m, "a(sa(sv))", 0);
}

void cgroup_systemd_keep_monitor(const struct runtime *rt, const struct cgroup_systemd *s, const struct config *config)
{
        const char *words = config_annotation(config, "io.podlike.monitor-scope");
        _cleanup_call_ struct systemd_call c = {.lib = s->lib};
        uint32_t pids[MAX_PIDS];
        char name[256];
        size_t n;
        int r;

        if (words == NULL)
                return;
        n = parse(words, name, pids);
        if (n == 0) {
                log_warning(rt->log, "annotations.io.podlike.monitor-scope: \"%.100s\" is not NAME.scope PID...",
                            words);
                return;
        }
        if (is_in(name))
                return;
        r = systemd_call_new(s->bus, &c, "StartTransientUnit", NULL);
        if (r >= 0)
                r = append(&c, rt->rootless ? "user.slice" : "machine.slice", name, pids, n);
        /* Not the container's slice, which may be that of a pod: its limits are for what runs in it.
         * The container does not wait for it: who logs out within these milliseconds loses the monitor. */
        if (r >= 0)
                r = s->lib->send(s->bus, c.m, NULL);
        if (r < 0)
                log_warning(rt->log,
                            "scope `%s`: %s; the monitor ends with this login session, if that ends its processes",
                            name, strerror(-r));
}
