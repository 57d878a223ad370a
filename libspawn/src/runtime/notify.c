/* NOTIFY_SOCKET. The container gets a socket of ours, not the service manager's: all that passes is that it is ready,
 * and who says so to the manager is the process that the manager knows. As crun does, the socket lies in a directory
 * that stands in the container where the manager's socket stands on the host: $NOTIFY_SOCKET/notify. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fail.h"
#include "io.h"
#include "notify.h"
#include "util.h"

/* A path; sockets in the abstract namespace ("@...") belong to the network namespace and are not proxied. */
static const char *manager_socket(void)
{
        const char *path = getenv("NOTIFY_SOCKET");

        return path != NULL && path[0] == '/' && strlen(path) < PATH_MAX / 2 ? path : NULL;
}

static int set_variable(struct config *c, const char *entry)
{
        struct strv *env = &c->process.env;
        size_t len = strcspn(entry, "=") + 1, k = 0;
        const char **v = arena_alloc(&c->arena, env->n + 2, sizeof(*v));

        if (v == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < env->n; i++)
                if (strncmp(env->v[i], entry, len) != 0)
                        v[k++] = env->v[i];
        v[k++] = entry;
        *env = (struct strv){.v = v, .n = k};
        return 0;
}

static int add_mount(struct config *c, const char *source, const char *destination)
{
        struct oci_mount *v = arena_alloc(&c->arena, c->n_mounts + 1, sizeof(*v));

        if (v == NULL)
                return -ENOMEM;
        if (c->n_mounts > 0)
                memcpy(v, c->mounts, c->n_mounts * sizeof(*v));
        v[c->n_mounts++] = (struct oci_mount){
                .destination = destination, .type = "bind", .source = source, .options = {.bind = true}};
        c->mounts = v;
        return 0;
}

int notify_prepare(struct config *c, int dir_fd, const char *state_dir, spawn_error *e)
{
        const char *path = manager_socket();
        char *source, *variable;
        uint32_t uid = c->uids.n > 0 ? c->uids.v[0].outside : geteuid(),
                 gid = c->gids.n > 0 ? c->gids.v[0].outside : getegid();

        if (path == NULL)
                return 0;
        if (mkdirat(dir_fd, "notify", 0755) < 0 && errno != EEXIST)
                return fail_errno(e, "notify", "create the directory of the notify socket");
        /* An ordinary user cannot give it away, and need not: the socket is everybody's. */
        (void) !fchownat(dir_fd, "notify", uid, gid, AT_SYMLINK_NOFOLLOW);
        source = arena_printf(&c->arena, "%s/notify", state_dir);
        variable = arena_printf(&c->arena, "NOTIFY_SOCKET=%s/notify", path);
        path = arena_printf(&c->arena, "%s", path);
        if (source == NULL || variable == NULL || path == NULL || set_variable(c, variable) < 0 ||
            add_mount(c, source, path) < 0)
                return spawn_err(e, ENOMEM, "notify", "out of memory");
        return 0;
}

int notify_listen(int dir_fd, spawn_error *e)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};

        if (manager_socket() == NULL || faccessat(dir_fd, "notify", F_OK, 0) < 0)
                return -1;
        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify/notify", fd_path(dir_fd).s);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        (void) unlinkat(dir_fd, "notify/notify", 0);
        if (fd < 0 || bind(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0 ||
            fchmodat(dir_fd, "notify/notify", 0777, 0) < 0)
                return fail_errno(e, "notify", "create the notify socket");
        return steal_fd(&fd);
}

static void tell_manager(void)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        const char *path = manager_socket();
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (path == NULL || fd < 0 || strlen(path) >= sizeof(addr.sun_path))
                return;
        memcpy(addr.sun_path, path, strlen(path));
        /* Nobody may be listening: then nobody waits. */
        (void) !sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (const struct sockaddr *) &addr, sizeof(addr));
}

/* Assignments, one a line. */
static bool says_ready(const char *text)
{
        for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, "READY=1", 7) == 0 && (line[7] == '\n' || line[7] == '\0'))
                        return true;
        }
        return false;
}

void notify_wait(int fd, int pidfd)
{
        char text[4096];

        for (;;) {
                struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
                ssize_t n;

                if (poll(p, 2, -1) < 0 && errno != EINTR)
                        return;
                if (p[0].revents & POLLIN) {
                        n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
                        text[n > 0 ? n : 0] = '\0';
                        if (!says_ready(text))
                                continue;
                        tell_manager();
                        return;
                }
                if (p[1].revents != 0)
                        return;
        }
}
