/* State of containers.
 *
 * state.json says what cannot be asked of the kernel. Whether the container lives is never read from it: a process
 * counts only with its start time, "created" only while it listens on the start socket, "paused" is asked of the
 * freezer. So no crash, kill or reboot can make it lie.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "cgroup.h"
#include "config.h"
#include "fail.h"
#include "io.h"
#include "state.h"
#include "util.h"

#define STATE_MAX (1024 * 1024)

const char *status_name(enum status s)
{
        static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

        return names[s];
}

static int bad_id(const char *id, size_t n, spawn_error *e)
{
        if (id[n] != '\0' && id[n] > ' ' && id[n] < 127)
                return fail_text(e, "container id", "invalid character `%c` in the container ID `%.64s`", id[n], id);
        return fail_text(e, "container id",
                         "invalid container ID `%.64s`: use letters, digits, _ + - . and at most %d of them", id,
                         ID_MAX);
}

int state_check_id(const char *id, spawn_error *e)
{
        size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.");

        if (id[0] == '\0' || id[0] == '.' || id[n] != '\0' || n > ID_MAX)
                return bad_id(id, n, e);
        return 0;
}

static int open_root(const struct runtime *rt, bool create, spawn_error *e)
{
        int fd = open(rt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT && create) {
                int r = make_dirs(rt->root, 0700);

                if (r < 0)
                        return fail_code(e, r, "state", "create state directory `%s`", rt->root);
                fd = open(rt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        return fd < 0 ? fail_errno(e, "state", "open state directory `%s`", rt->root) : fd;
}

/* The creation was completed, whatever became of the process since: -EEXIST. What cannot be read may have been. */
static int check_unused(int dir_fd, const char *id, spawn_error *e)
{
        struct state s = {0};
        int r = state_read(dir_fd, id, &s, e);

        if (r == 0 && s.pid > 0)
                r = spawn_err(e, EEXIST, "state", "container with id `%s` already exists", id);
        state_free(&s);
        return r == -ENOENT ? 0 : r;
}

/* Held until the state is complete, by the creator and the process that it makes. A directory that nobody holds and
 * that says nothing of a process is what a killed creator has left: it is taken over. */
static int lock_dir(int fd, const char *id, spawn_error *e)
{
        int r;

        do
                r = flock(fd, LOCK_EX | LOCK_NB);
        while (r < 0 && errno == EINTR);
        if (r == 0)
                return 0;
        if (errno != EWOULDBLOCK)
                return fail_errno(e, "state", "lock container `%s`", id);
        return spawn_err(e, EEXIST, "state", "container with id `%s` is being created already", id);
}

int state_create_dir(const struct runtime *rt, const char *id, spawn_error *e)
{
        _cleanup_close_ int root = open_root(rt, true, e);
        int r;

        if (root < 0)
                return root;
        int made = mkdirat(root, id, 0700) < 0 ? -errno : 0;
        if (made < 0 && made != -EEXIST)
                return fail_code(e, made, "state", "create `%s/%s`", rt->root, id);
        _cleanup_close_ int fd = openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? fail_errno(e, "state", "open `%s/%s`", rt->root, id) : 0;
        if (r == 0 && made == -EEXIST)
                r = check_unused(fd, id, e);
        if (r == 0)
                r = lock_dir(fd, id, e);
        /* Again: it may have been completed and its process have died meanwhile. */
        if (r == 0 && made == -EEXIST)
                r = check_unused(fd, id, e);
        if (r < 0 && made == 0)
                (void) unlinkat(root, id, AT_REMOVEDIR);
        return r < 0 ? r : steal_fd(&fd);
}

int state_open_dir(const struct runtime *rt, const char *id, spawn_error *e)
{
        char path[sizeof(rt->root) + ID_MAX + 2];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", rt->root, id);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return spawn_err(e, ENOENT, "state", "container `%s` does not exist", id);
        return fd < 0 ? fail_errno(e, "state", "open `%s`", path) : fd;
}

/* A member of the object, which it takes over; *ok is cleared when there is no memory. */
static void put(struct json_object *o, const char *key, struct json_object *value, bool *ok)
{
        if (*ok && value != NULL && json_object_object_add(o, key, value) == 0)
                return;
        json_object_put(value);
        *ok = false;
}

static void put_string(struct json_object *o, const char *key, const char *value, bool *ok)
{
        if (value != NULL)
                put(o, key, json_object_new_string(value), ok);
}

int state_write(int dir_fd, const struct state *s, spawn_error *e)
{
        _cleanup_json_ struct json_object *o = json_object_new_object();
        bool ok = o != NULL;
        const char *text;
        size_t len;
        int r;

        put_string(o, "ociVersion", OCI_VERSION, &ok);
        put_string(o, "id", s->id, &ok);
        put(o, "pid", json_object_new_int(s->pid), &ok);
        put(o, "startTime", json_object_new_uint64(s->start_time), &ok);
        put_string(o, "bundle", s->bundle, &ok);
        put_string(o, "rootfs", s->rootfs, &ok);
        put_string(o, "created", s->created, &ok);
        put_string(o, "owner", s->owner, &ok);
        put_string(o, "cgroup", s->cgroup, &ok);
        put_string(o, "scope", s->scope, &ok);
        put(o, "namespaces", json_object_new_int(s->namespaces), &ok);
        put(o, "hooks", json_object_new_boolean(s->hooks), &ok);
        put(o, "terminal", json_object_new_boolean(s->terminal), &ok);
        put_string(o, "seccomp", s->seccomp, &ok);
        put_string(o, "seccompListener", s->listener, &ok);
        put_string(o, "seccompMetadata", s->metadata, &ok);
        if (s->annotations != NULL)
                put(o, "annotations", json_object_get(s->annotations), &ok);
        if (s->descriptors != NULL)
                put(o, "descriptors", json_object_get(s->descriptors), &ok);
        text = !ok ? NULL : json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
        r = text == NULL ? -ENOMEM : replace_file_at(dir_fd, "state.json", text, len, 0600);
        return r < 0 ? fail_code(e, r, "state", "write state of container `%s`", s->id) : 0;
}

int state_read(int dir_fd, const char *id, struct state *ret, spawn_error *e)
{
        int64_t pid = 0, namespaces = 0;
        struct jv v, notes, streams;
        size_t n_streams;
        int r;

        memset(ret, 0, sizeof(*ret));
        r = jv_parse_file(dir_fd, "state.json", "state.json", &ret->json, NULL, NULL, e);
        if (r == -ENOENT)
                return spawn_err(e, ENOENT, "state", "container `%s` was never completely created, delete it", id);
        if (r < 0)
                return fail_wrap(e, r, "read the state of container `%s`", id);
        v = jv_root(ret->json);
        if ((r = jv_str(&v, "id", &ret->id, e)) < 0 || (r = jv_int(&v, "pid", 0, INT32_MAX, &pid, e)) < 0 ||
            (r = jv_u64(&v, "startTime", &ret->start_time, e)) < 0 || (r = jv_str(&v, "bundle", &ret->bundle, e)) < 0 ||
            (r = jv_str(&v, "rootfs", &ret->rootfs, e)) < 0 || (r = jv_str(&v, "created", &ret->created, e)) < 0 ||
            (r = jv_str(&v, "owner", &ret->owner, e)) < 0 || (r = jv_str(&v, "cgroup", &ret->cgroup, e)) < 0 ||
            (r = jv_str(&v, "scope", &ret->scope, e)) < 0 || (r = jv_str(&v, "seccomp", &ret->seccomp, e)) < 0 ||
            (r = jv_str(&v, "seccompListener", &ret->listener, e)) < 0 ||
            (r = jv_str(&v, "seccompMetadata", &ret->metadata, e)) < 0 ||
            (r = jv_int(&v, "namespaces", INT32_MIN, INT32_MAX, &namespaces, e)) < 0 ||
            (r = jv_bool(&v, "hooks", &ret->hooks, e)) < 0 || (r = jv_bool(&v, "terminal", &ret->terminal, e)) < 0 ||
            (r = jv_obj(&v, "annotations", &notes, e)) < 0 ||
            (r = jv_array(&v, "descriptors", &streams, &n_streams, e)) < 0)
                return fail_wrap(e, r, "read the state of container `%s`", id);
        if (ret->id == NULL || strcmp(ret->id, id) != 0 || ret->bundle == NULL)
                return spawn_err(e, EBADMSG, "state", "the state of container `%s` is damaged", id);
        ret->pid = (pid_t) pid;
        ret->namespaces = (int) namespaces;
        ret->annotations = notes.obj;
        ret->descriptors = streams.obj;
        return 0;
}

int state_load(const struct runtime *rt, const char *id, struct state *ret, spawn_error *e)
{
        int r = state_check_id(id, e);

        memset(ret, 0, sizeof(*ret));
        if (r < 0)
                return r;
        _cleanup_close_ int fd = state_open_dir(rt, id, e);
        if (fd < 0)
                return fd;
        r = state_read(fd, id, ret, e);
        /* Its creator has not come far: the descriptor is ours alone, so is the lock. */
        if (r == -ENOENT && flock(fd, LOCK_SH | LOCK_NB) < 0)
                return spawn_err(e, EBUSY, "state", "container `%s` is being created", id);
        return r < 0 ? r : steal_fd(&fd);
}

int state_each(const struct runtime *rt, int (*each)(const char *id, void *arg), void *arg, spawn_error *e)
{
        const struct dirent *de;
        DIR *dir = opendir(rt->root);
        int r = 0;

        if (dir == NULL)
                return errno == ENOENT ? 0 : fail_errno(e, "state", "open state directory `%s`", rt->root);
        while (r >= 0 && (de = readdir(dir)) != NULL)
                if (de->d_name[0] != '.')
                        r = each(de->d_name, arg);
        (void) closedir(dir);
        return r;
}

void state_free(struct state *s)
{
        if (s->json != NULL)
                json_object_put(s->json);
        s->json = NULL;
}

int state_remove(const struct runtime *rt, const char *id, spawn_error *e)
{
        _cleanup_close_ int root = open_root(rt, false, e);
        int r = root < 0 ? root : remove_tree_at(root, id);

        return r < 0 && root >= 0 ? fail_code(e, r, "state", "remove `%s/%s`", rt->root, id) : r;
}

/* 1, 0, or -errno when the kernel does not tell. */
static int check_alive(const struct state *s)
{
        unsigned long long start = 0;
        char letter = 'X';
        int r = s->pid > 0 ? process_stat(s->pid, &start, &letter) : -ESRCH;

        if (r == -ENOENT || r == -ESRCH)
                return 0;
        return r < 0 ? r : start == s->start_time && letter != 'Z' && letter != 'X';
}

bool state_alive(const struct state *s)
{
        return check_alive(s) != 0;
}

int state_pidfd(const struct state *s)
{
        _cleanup_close_ int fd = s->pid > 0 ? (int) syscall(SYS_pidfd_open, s->pid, 0) : -1;
        int r;

        if (s->pid <= 0)
                return -ESRCH;
        /* FIXME(kernel 6.13): before it EINVAL, not ESRCH, if the number lives on as that of a session. */
        if (fd < 0)
                return errno == EINVAL ? -ESRCH : -errno;
        /* Checked after opening: if the pid was reused, it was before. */
        r = check_alive(s);
        return r > 0 ? steal_fd(&fd) : r == 0 ? -ESRCH : r;
}

enum status state_status(int dir_fd, const struct state *s)
{
        _cleanup_close_ int fd = -1;

        if (s->pid == 0) {
                /* Nobody holds the lock: the creator has died. */
                if (flock(dir_fd, LOCK_SH | LOCK_NB) == 0) {
                        (void) flock(dir_fd, LOCK_UN);
                        return STATUS_STOPPED;
                }
                return STATUS_CREATING;
        }
        if (!state_alive(s))
                return STATUS_STOPPED;
        fd = start_connect(dir_fd);
        if (fd >= 0)
                return STATUS_CREATED;
        return s->cgroup != NULL && cgroup_is_frozen(s->cgroup) ? STATUS_PAUSED : STATUS_RUNNING;
}

char *state_oci_json(const struct state *s, const char *status, pid_t pid, bool pretty)
{
        _cleanup_json_ struct json_object *o = json_object_new_object();
        bool ok = o != NULL;
        const char *text;

        put_string(o, "ociVersion", OCI_VERSION, &ok);
        put_string(o, "id", s->id, &ok);
        put(o, "pid", json_object_new_int(pid), &ok);
        put_string(o, "status", status, &ok);
        put_string(o, "bundle", s->bundle, &ok);
        put_string(o, "rootfs", s->rootfs, &ok);
        put_string(o, "created", s->created, &ok);
        put_string(o, "owner", s->owner, &ok);
        if (s->scope != NULL)
                put_string(o, "systemd-scope", s->scope, &ok);
        if (s->annotations != NULL)
                put(o, "annotations", json_object_get(s->annotations), &ok);
        text = !ok ? NULL
                   : json_object_to_json_string_ext(
                             o, (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN) |
                                        JSON_C_TO_STRING_NOSLASHESCAPE);
        return text == NULL ? NULL : strdup(text);
}

int state_seccomp_cache(const struct runtime *rt)
{
        char path[sizeof(rt->root) + 32];
        struct stat st;

        (void) snprintf(path, sizeof(path), "%s/.cache/seccomp", rt->root);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && make_dirs(path, 0700) == 0)
                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        /* A filter is taken from here unseen: nobody else may be able to put one there. */
        if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 0022) != 0)
                return -1;
        return steal_fd(&fd);
}

static void start_address(int dir_fd, struct sockaddr_un *ret)
{
        memset(ret, 0, sizeof(*ret));
        ret->sun_family = AF_UNIX;
        (void) snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/start", fd_path(dir_fd).s);
}

int start_listen(int dir_fd, spawn_error *e)
{
        struct sockaddr_un addr;
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        start_address(dir_fd, &addr);
        (void) unlinkat(dir_fd, "start", 0);
        if (fd < 0 || bind(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0 || listen(fd, 8) < 0)
                return fail_errno(e, "state", "create the start socket");
        return steal_fd(&fd);
}

int start_connect(int dir_fd)
{
        struct sockaddr_un addr;
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        start_address(dir_fd, &addr);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0)
                return -errno;
        return steal_fd(&fd);
}
