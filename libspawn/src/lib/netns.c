/* Network namespaces that live as long as a bind mount. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "util.h"

struct pin {
        const char *path;
        spawn_error *reterr;
        int result;
};

static int loopback_up(spawn_error *reterr)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

        if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
                return spawn_err(reterr, errno, "bring up loopback", "%s", strerror(errno));
        return 0;
}

/* Duplicate address detection would hold an IPv6 address back for a second on a link with one neighbour. The file
 * shows the namespace of the thread that opens it; a kernel without IPv6 has none. */
static void skip_address_detection(void)
{
        _cleanup_close_ int fd = open("/proc/sys/net/ipv6/conf/default/accept_dad", O_WRONLY | O_CLOEXEC);

        if (fd >= 0)
                (void) !write(fd, "0", 1);
}

static void *pin_thread(void *arg)
{
        struct pin *pin = arg;

        if (unshare(CLONE_NEWNET) < 0) {
                pin->result = spawn_err(pin->reterr, errno, "create network namespace", "%s", strerror(errno));
                return NULL;
        }
        skip_address_detection();
        pin->result = loopback_up(pin->reterr);
        if (pin->result == 0 && mount("/proc/thread-self/ns/net", pin->path, NULL, MS_BIND, NULL) < 0)
                pin->result =
                        spawn_err(pin->reterr, errno, "pin network namespace", "%s: %s", pin->path, strerror(errno));
        return NULL;
}

/* A thread, because a process cannot come back to a network namespace that its user namespace does not own,
 * and because a thread costs 50 us where a fork of the interpreter costs 1 ms. */
int spawn_netns_pin(const char *path, spawn_error *reterr)
{
        struct pin pin = {.path = path, .reterr = reterr};
        pthread_t thread;
        int r;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0)
                return spawn_err(reterr, errno, "pin network namespace", "create %s: %s", path, strerror(errno));
        r = pthread_create(&thread, NULL, pin_thread, &pin);
        if (r != 0)
                pin.result = spawn_err(reterr, r, "create network namespace", "thread: %s", strerror(r));
        else
                (void) pthread_join(thread, NULL);
        if (pin.result < 0)
                (void) unlink(path);
        return pin.result;
}

int spawn_netns_unpin(const char *path, spawn_error *reterr)
{
        int r = spawn_umount(path, 1, reterr);

        if (r < 0)
                return r;
        if (unlink(path) < 0 && errno != ENOENT)
                return spawn_err(reterr, errno, "unpin network namespace", "remove %s: %s", path, strerror(errno));
        return 0;
}
