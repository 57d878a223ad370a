/* A user namespace that the configuration does not describe: for an ordinary user, who can make no container without
 * one, and for a new one without mappings. The caller is its root; the ids that /etc/subuid and /etc/subgid lend to the
 * caller follow from 1 on. */
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "io.h"
#include "ns.h"
#include "util.h"

#define RANGES_MAX 16 /* lines of one user; more than one is rare */

/* "NAME:FIRST:COUNT" or "UID:FIRST:COUNT" (subuid(5)); lines of others and damaged ones are skipped. */
static void add_ranges(const char *file, const char *name, uid_t uid, struct oci_idmaps *m)
{
        _cleanup_free_ char *text = NULL;
        char *save = NULL, number[16];
        uint32_t inside = 1;

        if (read_file_at(AT_FDCWD, file, 1024 * 1024, &text) < 0)
                return;
        (void) snprintf(number, sizeof(number), "%u", (unsigned int) uid);
        for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
                size_t len = strcspn(line, ":");
                unsigned int first, count;

                if (m->n > RANGES_MAX || line[len] != ':' || sscanf(line + len, ":%u:%u", &first, &count) != 2 ||
                    count == 0)
                        continue;
                line[len] = '\0';
                if (strcmp(line, number) != 0 && (name == NULL || strcmp(line, name) != 0))
                        continue;
                m->v[m->n++] = (struct oci_idmap){.inside = inside, .outside = first, .count = count};
                inside += count;
        }
}

static int fill(struct config *c, struct oci_idmaps *m, const char *file, uint32_t own, const char *name)
{
        if (m->n > 0)
                return 0;
        m->v = arena_alloc(&c->arena, RANGES_MAX + 2, sizeof(*m->v));
        if (m->v == NULL)
                return -ENOMEM;
        m->v[m->n++] = (struct oci_idmap){.inside = 0, .outside = own, .count = 1};
        add_ranges(file, name, geteuid(), m);
        return 0;
}

int ns_default_user(struct config *c, spawn_error *e)
{
        const struct oci_namespace *user = config_namespace(c, CLONE_NEWUSER);
        const struct passwd *pw;
        const char *name;

        if ((user != NULL && (user->path != NULL || c->uids.n > 0)) || (user == NULL && geteuid() == 0))
                return 0;
        if (user == NULL) {
                struct oci_namespace *more = arena_alloc(&c->arena, c->n_namespaces + 2, sizeof(*more));

                if (more == NULL)
                        return spawn_err(e, ENOMEM, "user namespace", "out of memory");
                memcpy(more, c->namespaces, c->n_namespaces * sizeof(*more));
                more[c->n_namespaces++] = (struct oci_namespace){.flag = CLONE_NEWUSER, .type = "user"};
                c->namespaces = more;
        }
        pw = getpwuid(geteuid());
        name = pw != NULL ? pw->pw_name : NULL;
        if (fill(c, &c->uids, "/etc/subuid", geteuid(), name) < 0 ||
            fill(c, &c->gids, "/etc/subgid", getegid(), name) < 0)
                return spawn_err(e, ENOMEM, "user namespace", "out of memory");
        return 0;
}
