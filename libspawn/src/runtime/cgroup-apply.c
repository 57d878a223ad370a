/* Settings written to a cgroup's files, and words for those that cannot be had. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* Whether a file of a cgroup ("cgroup.controllers") lists a controller. */
static bool lists(const char *cgroup, const char *file, const char *controller)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX + 32];

        (void) snprintf(path, sizeof(path), "%s/%s", cgroup, file);
        return read_file_at(AT_FDCWD, path, 4096, &text) > 0 && cgroup_has_word(text, controller);
}

/* Why `parent` does not hand the controller down, as the kernel says it when asked again. */
static int explain_parent(const char *parent, const struct cgroup_setting *s, const char *head, spawn_error *e)
{
        char file[PATH_MAX + 32], text[80];
        int r;

        (void) snprintf(file, sizeof(file), "%s/cgroup.subtree_control", parent);
        (void) snprintf(text, sizeof(text), "+%s", s->controller);
        r = write_file_at(AT_FDCWD, file, text);
        if (r == -EACCES || r == -EPERM || r == -EROFS)
                return spawn_err(
                        e, EACCES, "cgroup",
                        "%s: `%s` has it but does not hand it down, and is not yours to change; ask its owner for"
                        " delegation (systemd: Delegate=%s in user@.service, or systemd-run --user --scope -p"
                        " Delegate=yes)",
                        head, parent, s->controller);
        if (r == -EBUSY)
                return spawn_err(
                        e, EBUSY, "cgroup",
                        "%s: `%s` cannot hand it down while it has processes of its own, move them into a cgroup"
                        " below it",
                        head, parent);
        if (r == -EOPNOTSUPP)
                return spawn_err(e, EOPNOTSUPP, "cgroup", "%s: `%s` is a threaded cgroup, which cannot have it", head,
                                 parent);
        return spawn_err(e, r < 0 ? -r : ENOENT, "cgroup", "%s: `%s` does not hand it down: %s", head, parent,
                         r < 0 ? strerror(-r) : "try again");
}

int cgroup_explain_missing(const char *path, const struct cgroup_setting *s, spawn_error *e)
{
        char head[280], above[PATH_MAX];
        size_t root = strlen(CGROUP_ROOT);

        /* The first words are an interface: crun's tests look for them. */
        (void) snprintf(head, sizeof(head), "%s: the requested cgroup controller `%s` is not available in `%.150s`",
                        s->what, s->controller, path + (strncmp(path, CGROUP_ROOT, root) == 0 ? root : 0));
        if (!lists(CGROUP_ROOT, "cgroup.controllers", s->controller))
                return spawn_err(
                        e, ENOENT, "cgroup",
                        "%s: this system has no such controller in its cgroup v2 tree (not in the kernel, or used by"
                        " a v1 tree)",
                        head);
        /* From the root down to the first that does not hand it on. */
        (void) snprintf(above, sizeof(above), "%s", path);
        for (char *p = above + root; p != NULL && *p == '/'; p = strchr(p + 1, '/')) {
                *p = '\0';
                if (!lists(above, "cgroup.subtree_control", s->controller))
                        return explain_parent(above, s, head, e);
                *p = '/';
        }
        return spawn_err(e, ENOENT, "cgroup", "%s", head);
}

/* No BFQ scheduler: the same weight on io.weight's scale. */
static int write_io_weight(int fd, const char *value)
{
        const char *space = strrchr(value, ' ');
        unsigned int weight = cgroup_io_weight((unsigned int) atoi(space != NULL ? space + 1 : value));
        char text[80];

        (void) snprintf(text, sizeof(text), "%.*s %u", space != NULL ? (int) (space - value) : 7,
                        space != NULL ? value : "default", weight);
        return write_file_at(fd, "io.weight", text);
}

static int write_setting(int fd, const struct cgroup_setting *s)
{
        int r = write_file_at(fd, s->file, s->value);

        return r == -ENOENT && strcmp(s->file, "io.bfq.weight") == 0 ? write_io_weight(fd, s->value) : r;
}

static int setting_failed(int fd, const char *path, const struct cgroup_setting *s, int r, spawn_error *e)
{
        _cleanup_free_ char *have = NULL;
        bool enabled = read_file_at(fd, "cgroup.controllers", 4096, &have) > 0 && cgroup_has_word(have, s->controller);

        if (r == -ENOENT && !enabled && strcmp(s->controller, "cgroup") != 0)
                return cgroup_explain_missing(path, s, e);
        if (r == -ENOENT && strcmp(s->file, "io.bfq.weight") == 0)
                return spawn_err(
                        e, ENOENT, "cgroup",
                        "%s: this kernel has neither `io.bfq.weight` nor `io.weight`: no scheduler knows weights",
                        s->what);
        if (r == -ENODEV && strcmp(s->controller, "io") == 0)
                return fail_code(e, r, "cgroup", "%s: no such block device: write `%s` to `%s/%s`", s->what, s->value,
                                 path, s->file);
        return fail_code(e, r, "cgroup", "%s: write `%s` to `%s/%s`", s->what, s->value, path, s->file);
}

/* A limit that is there without being set, or holds by itself. */
static bool may_miss(int fd, const struct cgroup_setting *s)
{
        /* "No limit" needs no controller. */
        if (strncmp(s->value, "max", 3) == 0 && (s->value[3] == '\0' || s->value[3] == ' '))
                return true;
        /* Without swap in the kernel nothing can be swapped. */
        return strcmp(s->file, "memory.swap.max") == 0 && strncmp(s->what, "linux.resources.memory", 22) == 0 &&
               faccessat(fd, "memory.max", F_OK, 0) == 0;
}

static int check_usage(int fd, const struct cgroup_settings *s, spawn_error *e)
{
        _cleanup_free_ char *memory = NULL, *swap = NULL;
        int64_t used, total;

        if (s->check_memory == 0 && s->check_total == 0)
                return 0;
        if (read_file_at(fd, "memory.current", 64, &memory) <= 0)
                return 0; /* no memory controller: the limit itself will say so */
        used = total = strtoll(memory, NULL, 10);
        if (read_file_at(fd, "memory.swap.current", 64, &swap) > 0)
                total += strtoll(swap, NULL, 10);
        if (s->check_memory != 0 && used >= s->check_memory)
                return spawn_err(e, EBUSY, "cgroup",
                                 "linux.resources.memory.limit: %" PRId64 " bytes are in use, and the limit %" PRId64
                                 " is not above that (memory.checkBeforeUpdate)",
                                 used, s->check_memory);
        if (s->check_total != 0 && total >= s->check_total)
                return spawn_err(e, EBUSY, "cgroup",
                                 "linux.resources.memory.swap: %" PRId64 " bytes are in use, and the limit %" PRId64
                                 " is not above that (memory.checkBeforeUpdate)",
                                 total, s->check_total);
        return 0;
}

int cgroup_complete_cpu_max(int fd, struct cgroup_settings *s, spawn_error *e)
{
        for (size_t i = 0; i < s->n; i++) {
                struct cgroup_setting *m = &s->v[i];
                char quota[24] = "max", period[24] = "100000", want_quota[24], want_period[24];
                _cleanup_free_ char *now = NULL;

                if (strcmp(m->file, "cpu.max") != 0 || sscanf(m->value, "%23s %23s", want_quota, want_period) != 2 ||
                    (strcmp(want_quota, "-") != 0 && strcmp(want_period, "-") != 0))
                        continue;
                if (fd >= 0 && read_file_at(fd, "cpu.max", 64, &now) > 0)
                        (void) sscanf(now, "%23s %23s", quota, period);
                m->value = arena_printf(&s->arena, "%s %s", strcmp(want_quota, "-") == 0 ? quota : want_quota,
                                        strcmp(want_period, "-") == 0 ? period : want_period);
                if (m->value == NULL)
                        return spawn_err(e, ENOMEM, "cgroup", "out of memory");
        }
        return 0;
}

int cgroup_apply(int fd, const char *path, const struct cgroup_settings *s, spawn_error *e)
{
        int r = check_usage(fd, s, e);
        bool again = false;

        if (r < 0 || (r = cgroup_devices_apply(fd, path, s, e)) < 0)
                return r;
        for (size_t i = 0; i < s->n; i++) {
                r = write_setting(fd, &s->v[i]);
                if (r == -ENOENT && may_miss(fd, &s->v[i]))
                        continue;
                /* Limits that depend on each other (cpu.max and its burst) may have to go the other way round. */
                if (r == -EINVAL && i + 1 < s->n)
                        again = true;
                else if (r < 0)
                        return setting_failed(fd, path, &s->v[i], r, e);
        }
        for (size_t i = 0; again && i < s->n; i++) {
                r = write_setting(fd, &s->v[i]);
                if (r < 0 && !(r == -ENOENT && may_miss(fd, &s->v[i])))
                        return setting_failed(fd, path, &s->v[i], r, e);
        }
        return 0;
}
