/* Unit tests of relay and clients, without a container. `test-relay NAME` runs one of them. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach.h"
#include "check.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "options.h"
#include "relay.h"
#include "util.h"

struct rig {
        struct loop loop;
        struct log log;
        struct input input;
        struct attach attach;
        struct relay relay;
        struct options opt;
        int out, stdin_r; /* the container's ends */
};

static void rig_up(struct rig *r, int patience)
{
        char *path = malloc(200), *log = malloc(200);
        int fds[2];

        *r = (struct rig){0};
        CHECK(path && log);
        (void) snprintf(path, 200, "%s", test_dir());
        (void) snprintf(log, 200, "k8s-file:%s/log", path);
        r->opt.bundle = path;
        r->opt.full_attach = true;
        r->opt.cid = "id";
        r->opt.log_paths.v = calloc(2, sizeof(char *));
        r->opt.log_paths.v[0] = log;
        r->opt.log_paths.n = 1;
        CHECK_INT(loop_init(&r->loop), 0);
        CHECK_INT(log_open(&r->log, &r->opt), 0);
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        set_nonblock(fds[1], true);
        input_init(&r->input, &r->loop, fds[1], INPUT_OPEN);
        r->stdin_r = fds[0];
        attach_init(&r->attach, &r->loop, &r->input);
        r->attach.patience = patience;
        relay_init(&r->relay, &r->loop, &r->log, &r->attach);
        CHECK_INT(attach_listen(&r->attach, &r->opt), 0);
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        set_nonblock(fds[0], true);
        set_nonblock(fds[1], true);
        relay_set(&r->relay, STREAM_STDOUT, fds[0], false);
        r->out = fds[1];
        relay_start(&r->relay);
        (void) signal(SIGPIPE, SIG_IGN);
}

static void rig_down(struct rig *r)
{
        attach_finish(&r->attach);
        relay_done(&r->relay);
        input_close(&r->input);
        attach_done(&r->attach);
        log_close(&r->log);
        loop_done(&r->loop);
        close_p(&r->out);
        close_p(&r->stdin_r);
        free(r->opt.log_paths.v[0]);
        free(r->opt.log_paths.v);
        free(r->opt.bundle);
}

static int rig_client(struct rig *r)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s/attach", r->opt.bundle);
        CHECK(connect(fd, (struct sockaddr *) &addr, sizeof(addr)) == 0);
        return fd;
}

static void turn(struct rig *r)
{
        while (loop_step(&r->loop, 20) > 0)
                ;
}

static ssize_t take(int fd, size_t *sum)
{
        static char packet[65536];
        ssize_t n = recv(fd, packet, sizeof(packet), 0);

        CHECK(n <= ATTACH_PACKET + 1);
        if (n > 0) {
                CHECK_INT(packet[0], STREAM_STDOUT);
                *sum += (size_t) n - 1;
        }
        return n;
}

static size_t fill(int fd, size_t max)
{
        static char zeros[65536];
        size_t sum = 0;

        while (sum < max) {
                ssize_t n = write(fd, zeros, MIN_OF(sizeof(zeros), max - sum));

                if (n <= 0)
                        break;
                sum += (size_t) n;
        }
        return sum;
}

static void relay_holds_back(void)
{
        struct rig r;
        size_t sent = 0, got = 0;
        int fd;

        rig_up(&r, 0);
        fd = rig_client(&r);
        for (int i = 0; i < 40; i++) {
                sent += fill(r.out, 65536);
                turn(&r);
        }
        CHECK(r.relay.paused);
        CHECK(sent < 1000000); /* what the socket, the buffer and the pipe hold */
        for (int i = 0; i < 100; i++) {
                while (take(fd, &got) > 0)
                        ;
                turn(&r);
        }
        CHECK_INT(got, sent);
        CHECK(!r.relay.paused);
        close(fd);
        rig_down(&r);
}

static void relay_cuts_off(void)
{
        struct rig r;
        size_t good = 0, stuck = 0, sent = 0;
        int a, b;

        rig_up(&r, 100);
        a = rig_client(&r);
        b = rig_client(&r);
        while (sent < 3000000) {
                sent += fill(r.out, 65536);
                (void) loop_step(&r.loop, 10);
                while (take(a, &good) > 0)
                        ;
        }
        turn(&r);
        while (take(a, &good) > 0)
                ;
        CHECK_INT(good, sent);
        while (take(b, &stuck) > 0)
                ;
        CHECK(stuck > 0 && stuck < sent);
        CHECK_INT(take(b, &stuck), 0); /* an end of file, no more to come */
        close(a);
        close(b);
        rig_down(&r);
}

static void relay_drains_without_waiting(void)
{
        struct rig r;
        size_t sent = 0, got = 0;
        int fd;

        rig_up(&r, 0);
        fd = rig_client(&r);
        for (int i = 0; i < 40; i++) {
                sent += fill(r.out, 65536);
                turn(&r);
        }
        relay_drain(&r.relay);
        CHECK(!r.relay.drained);
        CHECK_INT(fill(r.out, 65536), 65536); /* the pipe is empty: all of it has been read and logged */
        for (int i = 0; i < 100 && !r.relay.drained; i++) {
                while (take(fd, &got) > 0)
                        ;
                turn(&r);
        }
        while (take(fd, &got) > 0)
                ;
        CHECK(r.relay.drained);
        CHECK_INT(got, sent);
        close(fd);
        rig_down(&r);
}

static void relay_leaves_leftovers(void)
{
        struct rig r;
        int fd;

        rig_up(&r, 0);
        fd = rig_client(&r);
        for (int i = 0; i < 40; i++) {
                fill(r.out, 65536);
                turn(&r);
        }
        relay_drain(&r.relay);
        close(fd);
        turn(&r);
        CHECK(r.relay.drained);
        rig_down(&r);
}

static void input_waits(void)
{
        struct rig r;
        char buf[65536];
        size_t sent = 0, got = 0;
        ssize_t n;
        int fd;

        rig_up(&r, 0);
        set_nonblock(r.stdin_r, true);
        fd = rig_client(&r);
        turn(&r);
        memset(buf, 'x', sizeof(buf));
        for (int i = 0; i < 30; i++) {
                n = send(fd, buf, 20000, 0);
                sent += n > 0 ? (size_t) n : 0;
                turn(&r);
        }
        CHECK(sent > 65536);
        close(fd); /* it is gone, what it sent is not */
        for (int i = 0; i < 100; i++) {
                while ((n = read(r.stdin_r, buf, sizeof(buf))) > 0)
                        got += (size_t) n;
                turn(&r);
        }
        CHECK_INT(got, sent);
        CHECK_INT(read(r.stdin_r, buf, 1), 0); /* and its end was passed on */
        CHECK(r.attach.clients == NULL);
        rig_down(&r);
}

static void input_of_several(void)
{
        struct rig r;
        char buf[100];
        int a, b;

        rig_up(&r, 0);
        r.input.keep_open = true;
        set_nonblock(r.stdin_r, true);
        a = rig_client(&r);
        b = rig_client(&r);
        CHECK_INT(send(a, "one", 3, 0), 3);
        turn(&r);
        CHECK_INT(send(b, "two", 3, 0), 3);
        close(a);
        turn(&r);
        CHECK_INT(read(r.stdin_r, buf, sizeof(buf)), 6);
        CHECK_INT(read(r.stdin_r, buf, 1), -1);
        close(b);
        turn(&r);
        CHECK(r.attach.clients == NULL);
        CHECK_INT(read(r.stdin_r, buf, 1), -1);
        rig_down(&r);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(relay_holds_back),       T(relay_cuts_off), T(relay_drains_without_waiting),
                T(relay_leaves_leftovers), T(input_waits),    T(input_of_several),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
