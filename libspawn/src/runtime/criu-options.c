/* CRIU: options that a dump and a restore share. Numbers are fields of message criu_opts in CRIU's rpc.proto. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "criu-rpc.h"
#include "criu.h"
#include "fail.h"
#include "io.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

#define CONFIG_OF_RUNTIMES "/etc/criu/runc.conf"

int criu_find(const struct runtime *rt, char ret[PATH_MAX], spawn_error *e)
{
        const char *path = getenv("PATH"), *name = rt->criu != NULL ? rt->criu : "criu";
        const char *dir = path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
        char full[PATH_MAX];

        if (strchr(name, '/') != NULL)
                dir = ":"; /* the name says where */
        for (; *dir != '\0'; dir += *dir == ':') {
                size_t len = strcspn(dir, ":");
                int n = snprintf(full, sizeof(full), "%.*s%s%s", (int) len, dir, len > 0 ? "/" : "", name);

                if (n < (int) sizeof(full) && access(full, X_OK) == 0) {
                        memcpy(ret, full, (size_t) n + 1);
                        return 0;
                }
                dir += len;
        }
        if (strchr(name, '/') != NULL)
                return fail_errno(e, "criu", "run `%s`", name);
        return spawn_err(e, ENOENT, "criu", "the program `%s` is not installed: install the package criu", name);
}

static int choose(const char *option, const char *value, const char *const *names, size_t n, spawn_error *e)
{
        for (size_t i = 0; i < n; i++)
                if (names[i] != NULL && strcmp(names[i], value) == 0)
                        return (int) i;
        return fail_text(e, "usage", "option --%s does not know `%s`", option, value);
}

/* Besides version 2 there are hierarchies of version 1, which are none of our containers'. CRIU would copy what it finds
 * there, the cgroups of all others, into a new one of the container's name. */
static bool has_v1(void)
{
        _cleanup_free_ char *text = NULL;

        for (const char *p = read_file_at(AT_FDCWD, "/proc/self/cgroup", 65536, &text) > 0 ? text : NULL; p != NULL;
             p = strchr(p, '\n') != NULL ? strchr(p, '\n') + 1 : NULL)
                if (*p != '\0' && strncmp(p, "0::", 3) != 0)
                        return true;
        return false;
}

const char *criu_cgroups_mode(const struct criu_args *a)
{
        return a->cgroups_mode != NULL ? a->cgroups_mode : has_v1() ? "ignore" : "soft";
}

static int add_modes(const struct criu_args *a, bool ignore_cgroups, struct pb *opts, spawn_error *e)
{
        /* enum criu_cg_mode, enum criu_network_lock_method */
        static const char *const modes[] = {"ignore", "none", "props", "soft", "full", "strict"};
        static const char *const locks[] = {NULL, "iptables", "nftables", "skip"};
        int r = choose("manage-cgroups-mode", ignore_cgroups ? "ignore" : criu_cgroups_mode(a), modes,
                       ELEMENTSOF(modes), e);

        if (r < 0)
                return r;
        pb_flag(opts, 24, true); /* manage_cgroups */
        pb_int(opts, 34, (unsigned int) r);
        for (size_t i = 0; i < a->n_empty_ns; i++)
                if (strcmp(a->empty_ns[i], "network") != 0)
                        return fail_text(e, "usage", "option --empty-ns knows `network`, not `%s`", a->empty_ns[i]);
        if (a->n_empty_ns > 0)
                pb_int(opts, 38, CLONE_NEWNET);
        if (a->network_lock == NULL)
                return 0;
        r = choose("network-lock", a->network_lock, locks, ELEMENTSOF(locks), e);
        if (r >= 0)
                pb_int(opts, 64, (unsigned int) r);
        return r < 0 ? r : 0;
}

int criu_common_options(const struct runtime *rt, const struct criu_args *a, const struct config *c,
                        bool ignore_cgroups, struct pb *opts, spawn_error *e)
{
        const char *file = config_annotation(c, "org.criu.config");

        if (file == NULL && access(CONFIG_OF_RUNTIMES, F_OK) == 0)
                file = CONFIG_OF_RUNTIMES;
        pb_string(opts, 51, file);
        pb_flag(opts, 4, a->ext_unix_sk);
        pb_flag(opts, 5, a->tcp_established);
        pb_flag(opts, 6, true); /* evasive_devices: a device node may have another path than when it was opened */
        pb_flag(opts, 7, a->shell_job);
        pb_flag(opts, 8, a->file_locks);
        pb_int(opts, 9, rt->log != NULL && rt->log->level >= LEVEL_DEBUG ? 4 : 3);
        pb_flag(opts, 16, a->auto_dedup);
        pb_flag(opts, 18, a->link_remap);
        pb_flag(opts, 46, a->tcp_skip_in_flight);
        pb_flag(opts, 50, true); /* orphan_pts_master: the terminal's other end is not in the container */
        pb_flag(opts, 52, a->tcp_close);
        pb_string(opts, 53, a->lsm_profile);
        pb_string(opts, 63, a->lsm_mount_context);
        return add_modes(a, ignore_cgroups, opts, e);
}

/* --external mnt[KEY]:VALUE. At a dump the key is the mount point and the value the name it gets; at a restore the key is that
 * name and the value the source. The name is the destination. */
static int add_mount(struct pb *opts, const char *key, const char *value, spawn_error *e)
{
        char text[2 * PATH_MAX + 8];

        if (snprintf(text, sizeof(text), "mnt[%s]:%s", key, value) >= (int) sizeof(text))
                return spawn_err(e, ENAMETOOLONG, "criu", "mount `%s`: the path is too long", key);
        pb_string(opts, 37, text);
        return 0;
}

/* The mount point of a destination, which may lead over symbolic links of the image. */
static void resolve(const struct config *c, const char *destination, char *ret, size_t size)
{
        _cleanup_close_ int root = open(c->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char top[PATH_MAX], full[PATH_MAX];
        ssize_t n, len;

        (void) snprintf(ret, size, "%s", destination);
        if (root < 0)
                return;
        _cleanup_close_ int fd = root_open(root, destination, O_PATH);
        n = readlink(fd_path(root).s, top, sizeof(top) - 1);
        len = fd < 0 ? -1 : readlink(fd_path(fd).s, full, sizeof(full) - 1);
        if (n > 0 && len > n && strncmp(top, full, (size_t) n) == 0 && full[n] == '/')
                (void) snprintf(ret, size, "%.*s", (int) (len - n), full + n);
}

static bool is_device(int root_fd, const char *path)
{
        struct stat st;
        _cleanup_close_ int fd = root_open(root_fd, path, O_PATH);

        return fd >= 0 && fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));
}

int criu_external_mounts(const struct config *c, int root_fd, struct pb *opts, spawn_error *e)
{
        int r = 0;

        for (size_t i = 0; i < c->n_mounts && r == 0; i++) {
                const struct oci_mount *m = &c->mounts[i];
                char point[PATH_MAX];

                if (!m->options.bind)
                        continue;
                resolve(c, m->destination, point, sizeof(point));
                r = add_mount(opts, point, root_fd < 0 ? m->source : point, e);
        }
        /* A masked file is covered by /dev/null, a masked directory by a tmpfs, which CRIU can make again. */
        for (size_t i = 0; i < c->masked_paths.n && r == 0; i++)
                if (root_fd < 0 || is_device(root_fd, c->masked_paths.v[i]))
                        r = add_mount(opts, c->masked_paths.v[i], root_fd < 0 ? "/dev/null" : c->masked_paths.v[i], e);
        /* Where mknod(2) is refused, devices are mounted too. */
        for (size_t i = 0; i < n_default_devices && r == 0; i++)
                r = add_mount(opts, default_devices[i].path, default_devices[i].path, e);
        for (size_t i = 0; i < c->n_devices && r == 0; i++)
                r = add_mount(opts, c->devices[i].path, c->devices[i].path, e);
        return r;
}

int criu_open_dirs(const struct criu_args *a, bool create, struct criu_dirs *ret, spawn_error *e)
{
        ret->image_fd = ret->work_fd = -1;
        ret->image = a->image_path != NULL ? a->image_path : "checkpoint";
        ret->work = a->work_path != NULL ? a->work_path : ret->image;
        if (create && mkdir(ret->image, 0700) < 0 && errno != EEXIST)
                return fail_errno(e, "criu", "create the directory `%s` for the images", ret->image);
        ret->image_fd = open(ret->image, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (ret->image_fd < 0)
                return fail_errno(e, "criu", "open the directory `%s` of the images", ret->image);
        if (a->work_path != NULL && mkdir(a->work_path, 0700) < 0 && errno != EEXIST)
                return fail_errno(e, "criu", "create the work directory `%s`", ret->work);
        ret->work_fd = open(ret->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return ret->work_fd < 0 ? fail_errno(e, "criu", "open the work directory `%s`", ret->work) : 0;
}

void criu_close_dirs(struct criu_dirs *d)
{
        if (d->image_fd >= 0)
                (void) close(d->image_fd);
        if (d->work_fd >= 0)
                (void) close(d->work_fd);
        d->image_fd = d->work_fd = -1;
}
