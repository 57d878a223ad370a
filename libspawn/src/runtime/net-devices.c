/* Interfaces of the host that move into the container's network namespace: with their permanent global addresses,
 * under the name that they are to have there, and up (config-linux.md, "Network Devices"). rtnetlink(7). */
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fail.h"
#include "net-devices.h"
#include "sync.h"
#include "util.h"

#define ADDRESSES_MAX 64 /* of one interface */

struct request {
        struct nlmsghdr header;
        union {
                struct ifinfomsg link;
                struct ifaddrmsg address;
        };
        char attributes[512];
};

struct address {
        struct ifaddrmsg info;
        size_t len;
        char attributes[256];
};

static void begin(struct request *q, unsigned short type, unsigned short flags, size_t body)
{
        memset(q, 0, sizeof(*q));
        q->header.nlmsg_type = type;
        q->header.nlmsg_flags = NLM_F_REQUEST | flags;
        q->header.nlmsg_len = (uint32_t) NLMSG_LENGTH(body);
}

static int put(struct request *q, unsigned short type, const void *data, size_t len)
{
        struct rtattr *a = (struct rtattr *) (void *) ((char *) q + NLMSG_ALIGN(q->header.nlmsg_len));

        if (NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(len) > sizeof(*q))
                return -EMSGSIZE;
        a->rta_type = type;
        a->rta_len = (unsigned short) RTA_LENGTH(len);
        memcpy(RTA_DATA(a), data, len);
        q->header.nlmsg_len = (uint32_t) (NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(len));
        return 0;
}

/* Send, and hand each answer to each(); ends with the acknowledgement or the end of a dump. */
static int talk(int sock, const struct request *q, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
        _Alignas(struct nlmsghdr) char room[16384];
        int r = 0;

        if (send(sock, q, q->header.nlmsg_len, 0) < 0)
                return -errno;
        for (;;) {
                ssize_t n = recv(sock, room, sizeof(room), 0);
                unsigned int left = (unsigned int) n;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                for (const struct nlmsghdr *h = (const void *) room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
                        if (h->nlmsg_type == NLMSG_ERROR)
                                return r < 0 ? r : ((const struct nlmsgerr *) NLMSG_DATA(h))->error;
                        if (h->nlmsg_type == NLMSG_DONE)
                                return r;
                        if (r == 0 && each != NULL)
                                r = each(h, arg);
                }
        }
}

struct collected {
        int index;
        struct address v[ADDRESSES_MAX];
        size_t n;
};

static int collect_address(const struct nlmsghdr *h, void *arg)
{
        struct collected *c = arg;
        const struct ifaddrmsg *info = NLMSG_DATA(h);
        size_t len = IFA_PAYLOAD(h);

        if (h->nlmsg_type != RTM_NEWADDR || (int) info->ifa_index != c->index || !(info->ifa_flags & IFA_F_PERMANENT) ||
            info->ifa_scope != RT_SCOPE_UNIVERSE)
                return 0;
        if (c->n == ADDRESSES_MAX || len > sizeof(c->v[0].attributes))
                return -E2BIG;
        c->v[c->n].info = *info;
        c->v[c->n].len = len;
        memcpy(c->v[c->n++].attributes, IFA_RTA(info), len);
        return 0;
}

static int new_index(const struct nlmsghdr *h, void *arg)
{
        if (h->nlmsg_type == RTM_NEWLINK)
                *(int *) arg = ((const struct ifinfomsg *) NLMSG_DATA(h))->ifi_index;
        return 0;
}

static int rtnetlink(void)
{
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

        return fd < 0 ? -errno : fd;
}

static int find_index(int sock, const char *name)
{
        struct request q;
        int index = -1, r;

        begin(&q, RTM_GETLINK, NLM_F_ACK, sizeof(q.link));
        (void) put(&q, IFLA_IFNAME, name, strlen(name) + 1);
        r = talk(sock, &q, new_index, &index);
        return r < 0 ? r : index < 0 ? -ENODEV : index;
}

/* Give the interface an index of the namespace's own, so that it is found again whatever name a template got. */
static int move(int sock, int index, int ns_fd, const char *name, int wanted)
{
        struct request q;

        begin(&q, RTM_NEWLINK, NLM_F_ACK, sizeof(q.link));
        q.link.ifi_index = index;
        (void) put(&q, IFLA_NET_NS_FD, &ns_fd, sizeof(ns_fd));
        (void) put(&q, IFLA_IFNAME, name, strlen(name) + 1);
        if (wanted > 0)
                (void) put(&q, IFLA_NEW_IFINDEX, &wanted, sizeof(wanted));
        return talk(sock, &q, NULL, NULL);
}

static int add_address(int sock, int index, const struct address *a)
{
        struct request q;
        int len = (int) a->len, r = 0;

        begin(&q, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sizeof(q.address));
        q.address = a->info;
        q.address.ifa_index = (unsigned int) index;
        for (const struct rtattr *t = (const void *) a->attributes; r == 0 && RTA_OK(t, len); t = RTA_NEXT(t, len))
                if (t->rta_type != IFA_CACHEINFO)
                        r = put(&q, t->rta_type, RTA_DATA(t), RTA_PAYLOAD(t));
        return r < 0 ? r : talk(sock, &q, NULL, NULL);
}

static int set_up(int sock, int index)
{
        struct request q;

        begin(&q, RTM_NEWLINK, NLM_F_ACK, sizeof(q.link));
        q.link.ifi_index = index;
        q.link.ifi_flags = q.link.ifi_change = IFF_UP;
        return talk(sock, &q, NULL, NULL);
}

/* A template ("eth%d") becomes a name when the interface arrives: there it is found by an index that we chose. */
static int move_and_find(int here, int there, int ns_fd, int index, const char *name)
{
        int r = -EBUSY, wanted = index;

        if (strchr(name, '%') == NULL) {
                r = move(here, index, ns_fd, name, 0);
                return r < 0 ? r : find_index(there, name);
        }
        for (int i = 0; i < 16 && r == -EBUSY; i++, wanted += 1000)
                r = move(here, index, ns_fd, name, wanted);
        return r < 0 ? r : wanted - 1000;
}

static int move_one(int here, int there, int ns_fd, const struct oci_net_device *d, spawn_error *e)
{
        struct collected addresses = {.n = 0};
        struct request q;
        int index = find_index(here, d->name), r;

        if (index < 0)
                return fail_code(e, index, "network", "linux.netDevices.%s: find the interface", d->name);
        addresses.index = index;
        begin(&q, RTM_GETADDR, NLM_F_DUMP, sizeof(q.address));
        r = talk(here, &q, collect_address, &addresses);
        if (r < 0)
                return fail_code(e, r, "network", "linux.netDevices.%s: read its addresses", d->name);
        index = move_and_find(here, there, ns_fd, index, d->inside);
        if (index < 0)
                return fail_code(e, index, "network", "linux.netDevices.%s: move the interface as `%s`", d->name,
                                 d->inside);
        for (size_t i = 0; i < addresses.n; i++)
                if ((r = add_address(there, index, &addresses.v[i])) < 0)
                        return fail_code(e, r, "network", "linux.netDevices.%s: give it its addresses", d->name);
        r = set_up(there, index);
        return r < 0 ? fail_code(e, r, "network", "linux.netDevices.%s: set it up", d->name) : 0;
}

/* In a process of its own: whoever enters a network namespace cannot always come back (an ordinary user does not own
 * the host's), and hooks of the host are to run in ours. */
static _Noreturn void mover(const struct oci_net_device *v, size_t n, int ns, int here, int sync_fd)
{
        spawn_error e = {0};
        int r = 0, there;

        if (setns(ns, CLONE_NEWNET) < 0)
                r = fail_errno(&e, "network", "linux.netDevices: enter the container's network namespace");
        there = r < 0 ? -1 : rtnetlink();
        if (r == 0 && there < 0)
                r = fail_code(&e, there, "network", "open rtnetlink");
        for (size_t i = 0; r == 0 && i < n; i++)
                r = move_one(here, there, ns, &v[i], &e);
        (void) sync_send(sync_fd, r < 0 ? SYNC_ERROR : SYNC_READY, 0, &e);
        _exit(r < 0);
}

int net_devices_move(const struct oci_net_device *v, size_t n, pid_t pid, spawn_error *e)
{
        struct sync_message m;
        char path[40];
        int pair[2], r;

        (void) snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) pid);
        _cleanup_close_ int ns = open(path, O_RDONLY | O_CLOEXEC);
        if (ns < 0)
                return fail_errno(e, "network", "open `%s`", path);
        _cleanup_close_ int here = rtnetlink();
        if (here < 0 || (r = sync_pair(pair)) < 0)
                return fail_code(e, here < 0 ? here : r, "network", "open a socket");
        _cleanup_close_ int mine = pair[0], its = pair[1];
        _cleanup_kill_ pid_t child = fork();
        if (child < 0)
                return fail_errno(e, "network", "fork");
        if (child == 0)
                mover(v, n, ns, here, its);
        (void) close(steal_fd(&its));
        r = sync_receive(mine, &m);
        if (r > 0 && m.type == SYNC_READY)
                return 0;
        if (r <= 0)
                return spawn_err(e, EIO, "network", "linux.netDevices: the process that moves them died");
        *e = m.err;
        return m.err.code > 0 ? -m.err.code : -EIO;
}
