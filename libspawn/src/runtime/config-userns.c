/* The user namespace that nobody asked for: an ordinary user can only have the other namespaces inside of one. And the
 * id maps of a user namespace for which none are given. */
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* subuid(5): NAME:FIRST:COUNT, where the name may be a number. The first range of the user counts. */
static bool find_range(const char *file, uid_t uid, spawn_idmap *ret)
{
        const struct passwd *pw = getpwuid(uid);
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL, number[16];

        (void) snprintf(number, sizeof(number), "%u", (unsigned int) uid);
        if (read_file_at(AT_FDCWD, file, 4 * 1024 * 1024, &text) < 0)
                return false;
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
                size_t len = strcspn(line, ":");
                unsigned int first, count;
                bool ours = (pw != NULL && strlen(pw->pw_name) == len && strncmp(pw->pw_name, line, len) == 0) ||
                            (strlen(number) == len && strncmp(number, line, len) == 0);

                if (!ours || sscanf(line + len, ":%u:%u", &first, &count) != 2 || count == 0)
                        continue;
                *ret = (spawn_idmap){.outside = first, .count = count};
                return true;
        }
        return false;
}

/* Root writes maps itself. */
static bool can_map(const char *program)
{
        const char *dir = getenv("PATH");

        if (geteuid() == 0)
                return true;
        while (dir != NULL && *dir != '\0') {
                const char *end = strchrnul(dir, ':');
                char path[PATH_MAX];

                (void) snprintf(path, sizeof(path), "%.*s/%s", (int) (end - dir), dir, program);
                if (access(path, X_OK) == 0)
                        return true;
                dir = *end == ':' ? end + 1 : end;
        }
        return false;
}

/* The caller becomes the process's own user, so that its files are the process's; subordinate ids fill the rest from
 * 0 on. Without those there is one id. */
static int default_maps(struct arena *a, uint32_t inside, uint32_t own, const spawn_idmap *range,
                        struct oci_idmaps *ret, spawn_error *e)
{
        uint32_t below = range->count < inside ? range->count : inside, n = 0;

        ret->v = arena_alloc(a, 3, sizeof(*ret->v));
        if (ret->v == NULL)
                return spawn_err(e, ENOMEM, "user namespace", "out of memory");
        if (below > 0)
                ret->v[n++] = (spawn_idmap){.inside = 0, .outside = range->outside, .count = below};
        ret->v[n++] = (spawn_idmap){.inside = inside, .outside = own, .count = 1};
        if (range->count > below)
                ret->v[n++] = (spawn_idmap){
                        .inside = inside + 1, .outside = range->outside + below, .count = range->count - below};
        ret->n = n;
        return 0;
}

int config_own_userns(struct config *c, spawn_error *e)
{
        const struct oci_namespace *user = config_namespace(c, CLONE_NEWUSER);
        spawn_idmap uids = {0}, gids = {0};
        int r = 0;

        if (user == NULL && geteuid() == 0)
                return 0;
        if (user == NULL) {
                struct oci_namespace *v = arena_alloc(&c->arena, c->n_namespaces + 1, sizeof(*v));

                if (v == NULL)
                        return spawn_err(e, ENOMEM, "user namespace", "out of memory");
                memcpy(v, c->namespaces, c->n_namespaces * sizeof(*v));
                v[c->n_namespaces++] = (struct oci_namespace){.flag = CLONE_NEWUSER, .type = "user"};
                c->namespaces = v;
        } else if (user->path != NULL) {
                return 0;
        }
        if (c->uids.n == 0) {
                if (can_map("newuidmap"))
                        (void) find_range("/etc/subuid", geteuid(), &uids);
                r = default_maps(&c->arena, c->process.uid, geteuid(), &uids, &c->uids, e);
        }
        if (r == 0 && c->gids.n == 0) {
                if (can_map("newgidmap"))
                        (void) find_range("/etc/subgid", geteuid(), &gids);
                r = default_maps(&c->arena, c->process.gid, getegid(), &gids, &c->gids, e);
        }
        return r;
}
