/* Owner, mode, attributes and time of what a layer brings. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "extract.h"
#include "util.h"

#define DEFAULT_ACL "system.posix_acl_default"
#define SET_ID_BITS (S_ISUID | S_ISGID)

int layer_fail(struct extract *x, int code, const char *stage, const struct member *m)
{
        return spawn_err(x->reterr, code, stage, "%.400s: %s", m->name, strerror(code));
}

/* 1: it is not the wanted owner's, and the caller of the program can live with that. */
static int refused_owner(struct extract *x, const struct member *m, int code)
{
        if (code != EINVAL && code != EPERM)
                return layer_fail(x, code, "set owner of", m);
        if (x->how->ignore_owners) {
                x->result.skipped_owners++;
                return 1;
        }
        if (code == EPERM)
                return layer_fail(x, code, "set owner of", m);
        /* chown(2): EINVAL is an id that has no mapping in this user namespace. */
        return spawn_err(x->reterr, ERANGE, "set owner",
                         "%.300s: it belongs to %lld:%lld, which the subordinate ids of this user do not reach",
                         m->name, (long long) archive_entry_uid(m->entry), (long long) archive_entry_gid(m->entry));
}

static int set_owner(struct extract *x, const struct member *m, int fd)
{
        la_int64_t wanted_uid = archive_entry_uid(m->entry), wanted_gid = archive_entry_gid(m->entry);
        uint32_t uid, gid;

        if (wanted_uid < 0 || wanted_gid < 0 || wanted_uid >= UINT32_MAX || wanted_gid >= UINT32_MAX)
                return spawn_err(x->reterr, EINVAL, "set owner", "%.300s: %lld:%lld is no user and group id", m->name,
                                 (long long) wanted_uid, (long long) wanted_gid);
        if (!layer_owners_map(&x->how->owners, (uint32_t) wanted_uid, (uint32_t) wanted_gid, &uid, &gid))
                return refused_owner(x, m, EINVAL);
        if (x->tree.owner == LAYER_OWNER_CALLER && uid == x->uid && gid == x->gid)
                return 0;
        if (fd >= 0 ? fchown(fd, (uid_t) uid, (gid_t) gid) == 0
                    : fchownat(m->at, m->base, (uid_t) uid, (gid_t) gid, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        return refused_owner(x, m, errno);
}

/* overlay's own attributes would change what the layers above and below mean; SELinux labels are the host's to give. */
static bool xattr_is_refused(const char *name)
{
        return strncmp(name, "user.overlay.", 13) == 0 || strncmp(name, "trusted.overlay.", 16) == 0 ||
               strcmp(name, "security.selinux") == 0;
}

static int set_xattr(struct extract *x, const struct member *m, int fd, const char *name, const void *value,
                     size_t size)
{
        char path[64 + NAME_MAX];
        int r;

        if (size > LAYER_MAX_XATTR_BYTES)
                return layer_fail(x, E2BIG, "set attribute of", m);
        if (fd >= 0) {
                r = fsetxattr(fd, name, value, size, 0);
        } else {
                (void) snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", m->at, m->base);
                r = lsetxattr(path, name, value, size, 0);
        }
        if (r == 0) {
                x->default_acls |= strcmp(name, DEFAULT_ACL) == 0;
                return 0;
        }
        if (errno != ENOTSUP && (x->how->initial_userns || errno != EPERM))
                return layer_fail(x, errno, "set attribute of", m);
        x->result.skipped_xattrs++;
        return 0;
}

static int set_xattrs(struct extract *x, const struct member *m, int fd)
{
        const char *name;
        const void *value;
        size_t size;

        if (archive_entry_xattr_reset(m->entry) == 0)
                return 0;
        while (archive_entry_xattr_next(m->entry, &name, &value, &size) == ARCHIVE_OK) {
                int r = name == NULL || xattr_is_refused(name) ? 0 : set_xattr(x, m, fd, name, value, size);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_time(struct extract *x, const struct member *m, int fd)
{
        const struct timespec times[2] = {m->mtime, m->mtime};

        if (fd >= 0 ? futimens(fd, times) < 0 : utimensat(m->at, m->base, times, AT_SYMLINK_NOFOLLOW) < 0)
                return layer_fail(x, errno, "set time of", m);
        return 0;
}

/* Owner before mode (chown clears set-id bits) and before attributes (chown drops capabilities). */
int layer_set_metadata(struct extract *x, const struct member *m, int fd)
{
        int r = set_owner(x, m, fd);
        /* A program that would have run as somebody else must not run as root of the container instead. */
        mode_t mode = r > 0 ? m->mode & ~(mode_t) SET_ID_BITS : m->mode;

        if (r < 0)
                return r;
        if (fd >= 0 ? fchmod(fd, mode) < 0
                    : archive_entry_filetype(m->entry) != AE_IFLNK && fchmodat(m->at, m->base, mode, 0) < 0)
                return layer_fail(x, errno, "set mode of", m);
        r = set_xattrs(x, m, fd);
        return r < 0 ? r : set_time(x, m, fd);
}

/* Whose the first new file of a directory is tells whose the others will be. */
static int learn_owner(struct extract *x, const struct member *m, int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return layer_fail(x, errno, "look at", m);
        x->tree.owner = st.st_uid == x->uid && st.st_gid == x->gid && (st.st_mode & 0777) == (m->mode & 0777)
                                ? LAYER_OWNER_CALLER
                                : LAYER_OWNER_OTHER;
        return 0;
}

int layer_set_file_metadata(struct extract *x, const struct member *m, int fd)
{
        int r = 0;

        if (x->tree.owner == LAYER_OWNER_UNKNOWN)
                r = learn_owner(x, m, fd);
        if (r < 0)
                return r;
        if (x->tree.owner == LAYER_OWNER_OTHER || (m->mode & 07000) || x->default_acls)
                return layer_set_metadata(x, m, fd);
        r = set_owner(x, m, fd);
        if (r >= 0)
                r = set_xattrs(x, m, fd);
        return r < 0 ? r : set_time(x, m, fd);
}
