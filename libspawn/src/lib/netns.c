/* Network namespaces: pinned by a bind mount, entered, their links. */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "fail.h"
#include "util.h"

struct pin {
        const char *path;
        spawn_error *reterr;
        int result;
};

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
        pin->result = spawn_netns_loopback_up(pin->reterr);
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

int spawn_netns_enter(int netns_fd, spawn_error *reterr)
{
        return setns(netns_fd, CLONE_NEWNET) < 0 ? fail_errno(reterr, "enter network namespace", "setns") : 0;
}

int spawn_netns_loopback_up(spawn_error *reterr)
{
        struct ifreq ifr = {.ifr_name = "lo"};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
                return fail_errno(reterr, "bring up loopback", "read the flags of lo");
        ifr.ifr_flags = (short) (ifr.ifr_flags | IFF_UP | IFF_RUNNING);
        if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
                return fail_errno(reterr, "bring up loopback", "set lo up");
        return 0;
}

/* RTM_SETLINK with IFLA_NET_NS_FD (rtnetlink(7)): the whole message, and the answer. */
struct link_message {
        struct nlmsghdr header;
        struct ifinfomsg link;
        char attributes[64];
};

static void add_attribute(struct link_message *m, unsigned short type, const void *data, size_t len)
{
        char *at = (char *) m + NLMSG_ALIGN(m->header.nlmsg_len);
        const struct rtattr attribute = {.rta_type = type, .rta_len = (unsigned short) RTA_LENGTH(len)};

        memcpy(at, &attribute, sizeof(attribute));
        memcpy(at + RTA_LENGTH(0), data, len);
        m->header.nlmsg_len = NLMSG_ALIGN(m->header.nlmsg_len) + (unsigned int) RTA_ALIGN(RTA_LENGTH(len));
}

static int netlink_ask(struct link_message *m)
{
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        struct {
                struct nlmsghdr header;
                struct nlmsgerr error;
                char rest[512];
        } answer;
        ssize_t n;

        if (fd < 0 || send(fd, m, m->header.nlmsg_len, 0) < 0)
                return -errno;
        do
                n = recv(fd, &answer, sizeof(answer), 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if ((size_t) n < sizeof(answer.header) + sizeof(answer.error) || answer.header.nlmsg_type != NLMSG_ERROR)
                return -EPROTO;
        return answer.error.error;
}

int spawn_netns_move_link(const char *link, int netns_fd, const char *name, spawn_error *reterr)
{
        unsigned int index = if_nametoindex(link);
        struct link_message m = {
                .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                           .nlmsg_type = RTM_SETLINK,
                           .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
                .link = {.ifi_family = AF_UNSPEC, .ifi_index = (int) index},
        };
        int r;

        if (index == 0)
                return fail_errno(reterr, "move network interface", "find `%s`", link);
        if (name != NULL && (name[0] == '\0' || strlen(name) >= IFNAMSIZ))
                return spawn_err(reterr, EINVAL, "move network interface", "the name `%s` must have 1 to %d bytes",
                                 name, IFNAMSIZ - 1);
        add_attribute(&m, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
        if (name != NULL)
                add_attribute(&m, IFLA_IFNAME, name, strlen(name) + 1);
        r = netlink_ask(&m);
        return r < 0 ? fail_code(reterr, r, "move network interface", "`%s`", link) : 0;
}
