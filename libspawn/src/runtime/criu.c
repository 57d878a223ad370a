/* Checkpoint and restore: CRIU does it, we say what of the container is the host's. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "container.h"
#include "criu-rpc.h"
#include "criu.h"
#include "fail.h"
#include "io.h"
#include "rootfs.h"
#include "terminal.h"
#include "util.h"

#define DESCRIPTORS "descriptors.json" /* in the image directory, as other runtimes have it */
#define DUMP_LOG "dump.log"
#define RESTORE_LOG "restore.log"

static void cleanup_pbp(struct pb *p)
{
        pb_free(p);
}
#define _cleanup_pb_ __attribute__((cleanup(cleanup_pbp)))
#define _cleanup_criu_ __attribute__((cleanup(criu_stop)))
#define _cleanup_dirs_ __attribute__((cleanup(criu_close_dirs)))

static int need_root(const char *what, spawn_error *e)
{
        if (geteuid() == 0 && !in_user_namespace())
                return 0;
        return spawn_err(e, EPERM, "criu", "%s needs root: CRIU cannot do it for an ordinary user", what);
}

/* The last error in CRIU's log, without its place in the source. */
static void last_error(const struct criu_dirs *d, const char *log, char *ret, size_t size)
{
        _cleanup_free_ char *text = NULL;
        const char *found = NULL;

        ret[0] = '\0';
        if (read_file_at(d->work_fd, log, 64 << 20, &text) < 0)
                return;
        for (const char *p = text; (p = strstr(p, "Error (")) != NULL; p++)
                if (strncmp(p, "Error (criu/cr-dump.c", 21) != 0 && strncmp(p, "Error (criu/cr-restore.c", 24) != 0)
                        found = p;
        if (found != NULL && (found = strstr(found, "): ")) != NULL)
                (void) snprintf(ret, size, "%.*s", (int) strcspn(found + 3, "\n"), found + 3);
}

static int criu_failure(const char *what, const char *id, const struct criu_response *m, const struct criu_dirs *d,
                        const char *log, spawn_error *e)
{
        char cause[256];

        last_error(d, log, cause, sizeof(cause));
        if (cause[0] == '\0')
                (void) snprintf(cause, sizeof(cause), "%s", m->message[0] != '\0' ? m->message : "no reason given");
        return spawn_err(e, m->code > 0 ? m->code : EIO, "criu", "%s container `%s`: CRIU: %s; its log is `%s/%s`",
                         what, id, cause, d->work, log);
}

static void add_dirs(const struct criu_dirs *d, struct pb *opts)
{
        pb_int(opts, 1, (unsigned int) d->image_fd);
        pb_int(opts, 17, (unsigned int) d->work_fd);
}

/* Namespaces that were given by path belong to others: they are named, not dumped. */
static void external_namespaces(const struct config *c, struct pb *opts)
{
        for (size_t i = 0; i < c->n_namespaces; i++) {
                const struct oci_namespace *ns = &c->namespaces[i];
                char text[64];
                struct stat st;

                if (ns->path == NULL || stat(ns->path, &st) < 0)
                        continue;
                if (ns->flag == CLONE_NEWNET)
                        (void) snprintf(text, sizeof(text), "net[%lu]:extRootNetNS", (unsigned long) st.st_ino);
                else if (ns->flag == CLONE_NEWPID)
                        (void) snprintf(text, sizeof(text), "pid[%lu]:extRootPidNS", (unsigned long) st.st_ino);
                else
                        continue;
                pb_string(opts, 37, text);
        }
}

static int dump_options(const struct runtime *rt, const struct state *s, const struct config *c,
                        const struct criu_args *a, struct pb *opts, spawn_error *e)
{
        char path[40];
        int r = criu_common_options(rt, a, c, false, opts, e);

        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/%d/root", (int) s->pid);
        _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return fail_errno(e, "criu", "open the root of container `%s`", s->id);
        pb_int(opts, 2, (unsigned int) s->pid);
        pb_flag(opts, 3, a->leave_running);
        pb_string(opts, 10, DUMP_LOG);
        pb_string(opts, 13, c->root_path);
        pb_string(opts, 14, a->parent_path);
        pb_flag(opts, 15, a->pre_dump || a->parent_path != NULL); /* track_mem */
        pb_string(opts, 44, s->cgroup);
        external_namespaces(c, opts);
        return criu_external_mounts(c, root, opts, e);
}

static int dump(const struct runtime *rt, int dir, const struct state *s, const struct criu_args *a,
                const char *program, spawn_error *e)
{
        _cleanup_pb_ struct pb opts = {0};
        _cleanup_criu_ struct criu_session criu = {.socket = -1, .pid = -1};
        _cleanup_dirs_ struct criu_dirs dirs = {.image_fd = -1, .work_fd = -1};
        struct criu_response answer;
        struct config c;
        int fd = -1, r;

        r = config_read(dir, "config.json", "config.json", &c, e);
        /* The copy says it as the bundle does: relative to it. */
        if (r == 0)
                c.root_path = s->rootfs;
        if (r == 0)
                r = criu_open_dirs(a, true, &dirs, e);
        if (r == 0) {
                add_dirs(&dirs, &opts);
                r = dump_options(rt, s, &c, a, &opts, e);
        }
        config_free(&c);
        if (r == 0 && !a->pre_dump && s->descriptors != NULL) {
                const char *text = json_object_to_json_string_ext(s->descriptors, JSON_C_TO_STRING_NOSLASHESCAPE);

                r = replace_file_at(dirs.image_fd, DESCRIPTORS, text, strlen(text), 0600);
                if (r < 0)
                        (void) fail_code(e, r, "criu", "write `%s/" DESCRIPTORS "`", dirs.image);
        }
        if (r < 0 || (r = criu_start(&criu, &(struct criu_start){.program = program, .cgroup_fd = -1}, e)) < 0 ||
            (r = criu_send(&criu, a->pre_dump ? CRIU_SINGLE_PRE_DUMP : CRIU_DUMP, &opts, e)) < 0 ||
            (r = criu_receive(&criu, &answer, &fd, e)) < 0)
                return r;
        if (fd >= 0)
                (void) close(fd);
        return answer.success ? 0 : criu_failure("checkpoint", s->id, &answer, &dirs, DUMP_LOG, e);
}

int container_checkpoint(const struct runtime *rt, const char *id, const struct criu_args *a, spawn_error *e)
{
        char program[PATH_MAX];
        enum status status;
        struct state s;
        int r;

        _cleanup_close_ int dir = state_load(rt, id, &s, e);
        if (dir < 0) {
                state_free(&s);
                return dir;
        }
        status = state_status(dir, &s);
        if (status != STATUS_RUNNING && status != STATUS_PAUSED)
                r = spawn_err(e, EINVAL, "criu", "cannot checkpoint container `%s`: it is %s, not running", id,
                              status_name(status));
        else if ((r = need_root("checkpoint", e)) == 0 && (r = criu_find(rt, program, e)) == 0)
                r = dump(rt, dir, &s, a, program, e);
        state_free(&s);
        if (r == 0 && !a->leave_running && !a->pre_dump)
                r = container_delete(rt, id, true, e);
        return r;
}

/* Mount points for what CRIU mounts: the root may be a new one. Those on a tmpfs CRIU has in its images. */
static int make_mount_points(const struct config *c, int root_fd, spawn_error *e)
{
        for (size_t i = 0; i < c->n_mounts; i++) {
                const struct oci_mount *m = &c->mounts[i];
                bool covered = false;
                struct stat st;

                for (size_t k = 0; k < i && !covered; k++) {
                        size_t len = strlen(c->mounts[k].destination);

                        covered = strncmp(m->destination, c->mounts[k].destination, len) == 0 &&
                                  m->destination[len] == '/';
                }
                if (covered)
                        continue;
                _cleanup_close_ int fd = root_create(
                        root_fd, m->destination, !m->options.bind || stat(m->source, &st) < 0 || S_ISDIR(st.st_mode));
                if (fd < 0)
                        return fail_code(e, fd, "criu", "create the mount point `%s`", m->destination);
        }
        return 0;
}

struct root_path {
        char s[PATH_MAX];
};

static struct root_path restore_root(const struct criu_restore *r)
{
        struct root_path p;

        (void) snprintf(p.s, sizeof(p.s), "%s/%s/root", r->rt->root, r->id);
        return p;
}

/* A scope of systemd's is only there once a process is in it. */
static bool ignores_cgroups(const struct criu_restore *r)
{
        return r->place != NULL || strcmp(criu_cgroups_mode(r->args), "ignore") == 0;
}

/* In the process that becomes CRIU, and that with its mount namespace goes away: CRIU wants the root to be a mount of
 * its own, and nobody else is to see it. */
static int before_restore(void *arg, int socket, spawn_error *e)
{
        const struct criu_restore *r = arg;
        struct root_path root_path = restore_root(r);
        _cleanup_dirs_ struct criu_dirs dirs = {.image_fd = -1, .work_fd = -1};
        const struct oci_namespace *cgroup = config_namespace(r->config, CLONE_NEWCGROUP);
        int k;

        if (ignores_cgroups(r) && cgroup != NULL && cgroup->path == NULL && unshare(CLONE_NEWCGROUP) < 0)
                return fail_errno(e, "criu", "make the cgroup namespace");
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return fail_errno(e, "criu", "make a mount namespace for CRIU");
        /* By its path: descriptors from before are of the other namespace's mounts. */
        if (mount(r->config->root_path, root_path.s, NULL, MS_BIND | MS_REC, NULL) < 0)
                return fail_errno(e, "criu", "mount the root file system for CRIU");
        _cleanup_close_ int root = open(root_path.s, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return fail_errno(e, "criu", "open the root file system");
        k = make_mount_points(r->config, root, e);
        if (k < 0 || (k = criu_open_dirs(r->args, false, &dirs, e)) < 0)
                return k;
        k = terminal_send_fd(socket, dirs.image_fd, "image", 5);
        if (k == 0)
                k = terminal_send_fd(socket, dirs.work_fd, "work", 4);
        return k < 0 ? fail_code(e, k, "criu", "pass on the directory of the images") : 0;
}

/* CRIU mounts in the directories that it is given: they must be of its mount namespace, so it is there that they were
 * opened. */
static int receive_dirs(const struct criu_session *criu, const struct criu_args *a, struct criu_dirs *ret,
                        spawn_error *e)
{
        ret->image = a->image_path != NULL ? a->image_path : "checkpoint";
        ret->work = a->work_path != NULL ? a->work_path : ret->image;
        ret->image_fd = terminal_receive_fd(criu->socket);
        if (ret->image_fd >= 0)
                ret->work_fd = terminal_receive_fd(criu->socket);
        return ret->image_fd < 0 || ret->work_fd < 0 ? spawn_err(e, EIO, "criu", "CRIU did not start") : 0;
}

/* Pipes that were the container's standard streams are replaced by ours. */
static void inherit_streams(const struct criu_dirs *d, struct pb *opts)
{
        _cleanup_json_ struct json_object *list = NULL;
        _cleanup_free_ char *text = NULL;

        if (read_file_at(d->image_fd, DESCRIPTORS, 65536, &text) >= 0)
                list = json_tokener_parse(text);
        for (size_t i = 0; json_object_is_type(list, json_type_array) && i < 3 && i < json_object_array_length(list);
             i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(list, i));
                _cleanup_pb_ struct pb pair = {0};

                if (name == NULL || strncmp(name, "pipe:", 5) != 0)
                        continue;
                pb_string(&pair, 1, name);
                pb_int(&pair, 2, (unsigned int) i);
                pb_message(opts, 27, &pair);
        }
}

/* Namespaces by path: the network and pid namespace as descriptors that CRIU inherits, others are joined. The descriptors
 * stay open, and are not close-on-exec, in a process that ends soon. */
static int restore_namespaces(const struct config *c, struct pb *opts, spawn_error *e)
{
        for (size_t i = 0; i < c->n_namespaces; i++) {
                const struct oci_namespace *ns = &c->namespaces[i];
                _cleanup_pb_ struct pb pair = {0};

                if (ns->path == NULL)
                        continue;
                if (ns->flag == CLONE_NEWNET || ns->flag == CLONE_NEWPID) {
                        int fd = open(ns->path, O_RDONLY); /* not close-on-exec: CRIU gets it under this number */

                        if (fd < 0)
                                return fail_errno(e, "namespaces", "open %s namespace `%s`", ns->type, ns->path);
                        pb_string(&pair, 1, ns->flag == CLONE_NEWNET ? "extRootNetNS" : "extRootPidNS");
                        pb_int(&pair, 2, (unsigned int) fd);
                        pb_message(opts, 27, &pair);
                } else if (ns->flag == CLONE_NEWIPC || ns->flag == CLONE_NEWUTS || ns->flag == CLONE_NEWTIME) {
                        pb_string(&pair, 1, ns->type);
                        pb_string(&pair, 2, ns->path);
                        pb_message(opts, 39, &pair);
                }
        }
        return 0;
}

static int restore_options(const struct criu_restore *r, const struct criu_dirs *d, struct pb *opts, spawn_error *e)
{
        _cleanup_pb_ struct pb cgroup = {0};
        int k = criu_common_options(r->rt, r->args, r->config, ignores_cgroups(r), opts, e);

        if (k < 0)
                return k;
        pb_string(opts, 10, RESTORE_LOG);
        pb_flag(opts, 12, true); /* notify_scripts */
        pb_string(opts, 13, restore_root(r).s);
        pb_flag(opts, 26, true); /* rst_sibling: the container's process becomes our child */
        if (r->cgroup != NULL && !ignores_cgroups(r)) {
                pb_string(&cgroup, 2, r->cgroup + strlen(CGROUP_ROOT));
                pb_message(opts, 25, &cgroup);
        }
        add_dirs(d, opts);
        inherit_streams(d, opts);
        return criu_external_mounts(r->config, -1, opts, e);
}

/* Notifications, until CRIU says how it went. */
static int serve(const struct criu_restore *r, const struct criu_session *criu, struct criu_response *answer,
                 spawn_error *e)
{
        for (;;) {
                int fd, k = criu_receive(criu, answer, &fd, e);

                if (k < 0)
                        return k;
                if (answer->type != CRIU_NOTIFY) {
                        if (fd >= 0)
                                (void) close(fd);
                        return 0;
                }
                log_debug(r->rt->log, "criu: %s, process %d", answer->script, answer->pid);
                if (strcmp(answer->script, "setup-namespaces") == 0)
                        k = r->on_namespaces(r->arg, (pid_t) answer->pid, e);
                else if (strcmp(answer->script, "orphan-pts-master") == 0 && fd >= 0 && r->console_fd >= 0 &&
                         (k = terminal_send_fd(r->console_fd, fd, "/dev/ptmx", 9)) < 0)
                        (void) fail_code(e, k, "terminal", "send the terminal over the console socket");
                if (fd >= 0)
                        (void) close(fd);
                if (k < 0) {
                        (void) criu_answer(criu, false, NULL);
                        return k;
                }
                k = criu_answer(criu, true, e);
                if (k < 0)
                        return k;
        }
}

int criu_restore(const struct criu_restore *r, pid_t *ret_pid, spawn_error *e)
{
        bool ignore = ignores_cgroups(r);
        _cleanup_pb_ struct pb opts = {0};
        _cleanup_criu_ struct criu_session criu = {.socket = -1, .pid = -1};
        _cleanup_dirs_ struct criu_dirs dirs = {.image_fd = -1, .work_fd = -1};
        struct criu_response answer;
        char program[PATH_MAX];
        int k;

        if ((k = need_root("restore", e)) < 0 || (k = criu_find(r->rt, program, e)) < 0)
                return k;
        if (mkdirat(r->dir_fd, "root", 0700) < 0 && errno != EEXIST)
                return fail_errno(e, "criu", "make a directory for the root file system");
        /* Namespaces' descriptors are inherited: they are opened before CRIU starts. */
        if ((k = restore_namespaces(r->config, &opts, e)) < 0)
                return k;
        /* Told to leave cgroups alone, CRIU makes the processes where it is itself. */
        const struct criu_start how = {
                .program = program,
                .cgroup_fd = ignore ? r->cgroup_fd : -1,
                .place = r->place,
                .place_arg = r->arg,
                .before = before_restore,
                .before_arg = (void *) (uintptr_t) r,
        };
        if ((k = criu_start(&criu, &how, e)) < 0 || (k = receive_dirs(&criu, r->args, &dirs, e)) < 0 ||
            (k = restore_options(r, &dirs, &opts, e)) < 0 || (k = criu_send(&criu, CRIU_RESTORE, &opts, e)) < 0 ||
            (k = serve(r, &criu, &answer, e)) < 0)
                return k;
        if (!answer.success || answer.pid <= 0)
                return criu_failure("restore", r->id, &answer, &dirs, RESTORE_LOG, e);
        *ret_pid = answer.pid;
        return 0;
}
