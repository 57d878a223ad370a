/* Mount options as one table. */
#include <string.h>
#include <sys/mount.h>

#include "jv.h"
#include "mount-options.h"
#include "util.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

enum kind {
        FLAG,
        CLEAR,
        PROPAGATION,
        BIND,
        RBIND,
        REMOUNT,
        COPYUP,
        IDMAP,
        RIDMAP,
        COPY_SYMLINK,
        SRC_NOFOLLOW,
        DEST_NOFOLLOW,
        IGNORED
};

/* attr 0: a flag of the file system, which a bind mount does not have. */
static const struct option {
        const char *name;
        enum kind kind;
        unsigned long ms;
        uint64_t attr;
} options[] = {
        {"acl", FLAG, MS_POSIXACL, 0},
        {"async", CLEAR, MS_SYNCHRONOUS, 0},
        {"atime", CLEAR, MS_NOATIME, MOUNT_ATTR_NOATIME},
        {"bind", BIND, 0, 0},
        {"copy-symlink", COPY_SYMLINK, 0, 0},
        {"defaults", IGNORED, 0, 0},
        {"dest-nofollow", DEST_NOFOLLOW, 0, 0},
        {"dev", CLEAR, MS_NODEV, MOUNT_ATTR_NODEV},
        {"diratime", CLEAR, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
        {"dirsync", FLAG, MS_DIRSYNC, 0},
        {"exec", CLEAR, MS_NOEXEC, MOUNT_ATTR_NOEXEC},
        {"idmap", IDMAP, 0, 0},
        {"iversion", FLAG, MS_I_VERSION, 0},
        {"lazytime", FLAG, MS_LAZYTIME, 0},
        {"loud", CLEAR, MS_SILENT, 0},
        {"mand", FLAG, MS_MANDLOCK, 0},
        {"noacl", CLEAR, MS_POSIXACL, 0},
        {"noatime", FLAG, MS_NOATIME, MOUNT_ATTR_NOATIME},
        {"nodev", FLAG, MS_NODEV, MOUNT_ATTR_NODEV},
        {"nodiratime", FLAG, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
        {"noexec", FLAG, MS_NOEXEC, MOUNT_ATTR_NOEXEC},
        {"noiversion", CLEAR, MS_I_VERSION, 0},
        {"nolazytime", CLEAR, MS_LAZYTIME, 0},
        {"nomand", CLEAR, MS_MANDLOCK, 0},
        {"norelatime", CLEAR, MS_RELATIME, MOUNT_ATTR_RELATIME},
        {"nostrictatime", CLEAR, MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
        {"nosuid", FLAG, MS_NOSUID, MOUNT_ATTR_NOSUID},
        {"nosymfollow", FLAG, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
        {"private", PROPAGATION, MS_PRIVATE, 0},
        {"rasync", IGNORED, 0, 0}, /* of a file system, not of a mount: nothing that could be set recursively */
        {"rbind", RBIND, 0, 0},
        {"rdirsync", IGNORED, 0, 0},
        {"relatime", FLAG, MS_RELATIME, MOUNT_ATTR_RELATIME},
        {"remount", REMOUNT, 0, 0},
        {"ridmap", RIDMAP, 0, 0},
        {"rmand", IGNORED, 0, 0},
        {"rnomand", IGNORED, 0, 0},
        {"ro", FLAG, MS_RDONLY, MOUNT_ATTR_RDONLY},
        {"rprivate", PROPAGATION, MS_PRIVATE | MS_REC, 0},
        {"rshared", PROPAGATION, MS_SHARED | MS_REC, 0},
        {"rslave", PROPAGATION, MS_SLAVE | MS_REC, 0},
        {"rsync", IGNORED, 0, 0},
        {"runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC, 0},
        {"rw", CLEAR, MS_RDONLY, MOUNT_ATTR_RDONLY},
        {"shared", PROPAGATION, MS_SHARED, 0},
        {"silent", FLAG, MS_SILENT, 0},
        {"slave", PROPAGATION, MS_SLAVE, 0},
        {"src-nofollow", SRC_NOFOLLOW, 0, 0},
        {"strictatime", FLAG, MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
        {"suid", CLEAR, MS_NOSUID, MOUNT_ATTR_NOSUID},
        {"symfollow", CLEAR, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
        {"sync", FLAG, MS_SYNCHRONOUS, 0},
        {"tmpcopyup", COPYUP, 0, 0},
        {"unbindable", PROPAGATION, MS_UNBINDABLE, 0},
};

const char *mount_option_name(size_t i)
{
        return i < ELEMENTSOF(options) ? options[i].name : NULL;
}

/* MOUNT_ATTR_RELATIME is 0. */
static bool has_attr(const struct option *o)
{
        return o->attr != 0 || o->ms == MS_RELATIME;
}

bool mount_option_recursive(size_t i)
{
        return i < ELEMENTSOF(options) && has_attr(&options[i]);
}

static const struct option *find(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                if (strcmp(options[i].name, name) == 0)
                        return &options[i];
        return NULL;
}

/* Access time is one field of three values, not flags: setting one value clears the field (mount_setattr(2)). */
static void change_attr(uint64_t *set, uint64_t *clr, const struct option *o)
{
        static const uint64_t atime = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_RELATIME;
        bool is_atime = o->attr == MOUNT_ATTR_NOATIME || o->attr == MOUNT_ATTR_STRICTATIME ||
                        (o->attr == MOUNT_ATTR_RELATIME && o->ms == MS_RELATIME);

        if (is_atime) {
                *set &= ~atime;
                *clr |= MOUNT_ATTR__ATIME;
                if (o->kind == FLAG)
                        *set |= o->attr;
        } else if (o->kind == FLAG) {
                *set |= o->attr;
                *clr &= ~o->attr;
        } else {
                *clr |= o->attr;
                *set &= ~o->attr;
        }
}

static void apply(struct mount_options *m, const struct option *o)
{
        switch (o->kind) {
        case FLAG:
                if (o->ms & (MS_NOATIME | MS_RELATIME | MS_STRICTATIME))
                        m->ms_flags &= ~(unsigned long) (MS_NOATIME | MS_RELATIME | MS_STRICTATIME);
                m->ms_flags |= o->ms;
                change_attr(&m->attr_set, &m->attr_clr, o);
                break;
        case CLEAR:
                m->ms_flags &= ~o->ms;
                change_attr(&m->attr_set, &m->attr_clr, o);
                break;
        case PROPAGATION:
                m->propagation = o->ms;
                break;
        case BIND:
        case RBIND:
                m->bind = true;
                /* The flags are added up, as mount(8) does: a "bind" after "rbind" takes nothing away. */
                m->recursive = m->recursive || o->kind == RBIND;
                break;
        case REMOUNT:
                m->remount = true;
                break;
        case COPY_SYMLINK:
                m->copy_symlink = true;
                break;
        case SRC_NOFOLLOW:
                m->src_nofollow = true;
                break;
        case DEST_NOFOLLOW:
                m->dest_nofollow = true;
                break;
        case COPYUP:
                m->tmpcopyup = true;
                break;
        case IDMAP:
        case RIDMAP:
                m->idmap = true;
                m->idmap_recursive = o->kind == RIDMAP;
                break;
        case IGNORED:
                break;
        }
}

int mount_options_parse(const char *const *v, size_t n, struct arena *a, struct mount_options *ret, size_t *ret_bad)
{
        size_t room = 1, len = 0;
        char *data = NULL;

        for (size_t i = 0; i < n; i++)
                room += strlen(v[i]) + 1;
        for (size_t i = 0; i < n; i++) {
                const struct option *o = find(v[i]);

                if (o != NULL) {
                        apply(ret, o);
                        continue;
                }
                /* "rro": the same for the whole tree; every flag that a mount has, has this form. */
                o = v[i][0] == 'r' ? find(v[i] + 1) : NULL;
                if (o != NULL && has_attr(o)) {
                        change_attr(&ret->rec_set, &ret->rec_clr, o);
                        continue;
                }
                if (v[i][0] == '\0')
                        continue;
                if (strncmp(v[i], "idmap=", 6) == 0 || strncmp(v[i], "ridmap=", 7) == 0) {
                        ret->idmap = true;
                        ret->idmap_recursive = v[i][0] == 'r';
                        ret->idmap_text = strchr(v[i], '=') + 1;
                        ret->idmap_index = i;
                        continue;
                }
                if (data == NULL)
                        data = arena_alloc(a, room, 1);
                if (data == NULL) {
                        *ret_bad = i;
                        return -ENOMEM;
                }
                if (len > 0)
                        data[len++] = ',';
                memcpy(data + len, v[i], strlen(v[i]));
                len += strlen(v[i]);
        }
        ret->data = data;
        return 0;
}
