/* Calls of systemd's manager object, and its jobs: org.freedesktop.systemd1(5). */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fail.h"
#include "systemd-call.h"
#include "util.h"

#define DESTINATION "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

/* How long systemd may take over a job: a loaded machine, not a stuck one. */
#define JOB_USEC UINT64_C(60000000)

void systemd_call_free(struct systemd_call *c)
{
        if (c->m != NULL)
                (void) c->lib->message_unref(c->m);
        if (c->reply != NULL)
                (void) c->lib->message_unref(c->reply);
        c->lib->error_free(&c->error);
}

int systemd_call_new(sd_bus *bus, struct systemd_call *c, const char *method, spawn_error *e)
{
        int r = c->lib->message_new_method_call(bus, &c->m, DESTINATION, OBJECT, MANAGER, method);

        return r < 0 ? fail_code(e, r, "systemd", "prepare the call %s", method) : 0;
}

int systemd_call_failed(const struct systemd_call *c, int r, const char *method, const char *unit, spawn_error *e)
{
        return spawn_err(e, -r, "systemd", "systemd: %s unit `%s`: %s", method, unit,
                         c->error.message != NULL ? c->error.message : strerror(-r));
}

static int job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        const char *path = "", *unit = "", *result = "";
        struct systemd_job *j = userdata;
        uint32_t id;

        if (j->lib->message_read(m, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        if (j->path != NULL && strcmp(path, j->path) == 0) {
                j->over = true;
                (void) snprintf(j->result, sizeof(j->result), "%s", result);
        }
        return 0;
}

int systemd_job_watch(sd_bus *bus, struct systemd_job *j, spawn_error *e)
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

int systemd_job_await(sd_bus *bus, struct systemd_job *j, const struct systemd_call *c, const char *what,
                      const char *unit, spawn_error *e)
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

void systemd_reset_failed(const struct sdbus *lib, sd_bus *bus, const char *unit)
{
        _cleanup_call_ struct systemd_call c = {.lib = lib};

        if (systemd_call_new(bus, &c, "ResetFailedUnit", NULL) == 0 && lib->message_append(c.m, "s", unit) >= 0)
                (void) lib->call(bus, c.m, 0, &c.error, &c.reply);
}

bool systemd_note_missing(const struct systemd_call *c, struct systemd_missing *missing)
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
