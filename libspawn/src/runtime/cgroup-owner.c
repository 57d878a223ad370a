/* Whose a cgroup is. */
#include <fcntl.h>
#include <string.h>

#include "cgroup.h"
#include "fail.h"
#include "io.h"
#include "util.h"

static uint32_t outside_id(const struct oci_idmaps *m)
{
        for (size_t i = 0; i < m->n; i++)
                if (m->v[i].inside == 0)
                        return m->v[i].outside;
        return UINT32_MAX;
}

int cgroup_chown(const char *path, const struct config *c, spawn_error *e)
{
        _cleanup_free_ char *files = NULL;
        uint32_t uid = outside_id(&c->uids), gid = outside_id(&c->gids);
        char *name, *save = NULL;

        if (uid == UINT32_MAX && gid == UINT32_MAX)
                return 0;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(e, "cgroup", "open cgroup `%s`", path);
        /* Which files a delegatee may write, cgroup-v2.rst "Delegation": the limits of the cgroup itself are not. */
        if (read_file_at(AT_FDCWD, "/sys/kernel/cgroup/delegate", 65536, &files) < 0)
                return 0;
        /* EPERM: an id that is not ours to give to; the container then cannot manage cgroups, and runs. */
        if (fchown(fd, uid, gid) < 0)
                return errno == EPERM ? 0 : fail_errno(e, "cgroup", "change the owner of cgroup `%s`", path);
        for (name = strtok_r(files, "\n", &save); name != NULL; name = strtok_r(NULL, "\n", &save))
                if (strchr(name, '/') == NULL && fchownat(fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
                    errno != ENOENT && errno != EPERM)
                        return fail_errno(e, "cgroup", "change the owner of `%s/%s`", path, name);
        return 0;
}
