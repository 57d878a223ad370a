/* Talking to `criu swrk` over a socket. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "criu-rpc.h"
#include "fail.h"
#include "ns.h"
#include "process.h"
#include "sync.h"
#include "util.h"

/* Wire types (protobuf.dev, "Encoding"). */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put(struct pb *p, const void *data, size_t len)
{
        if (!p->failed && p->room - p->len < len) {
                size_t room = (p->room + len) * 2;
                char *bigger = realloc(p->buf, room);

                if (bigger == NULL) {
                        pb_free(p);
                        p->failed = true;
                } else {
                        p->buf = bigger;
                        p->room = room;
                }
        }
        if (p->failed || len == 0)
                return;
        memcpy(p->buf + p->len, data, len);
        p->len += len;
}

static void put_varint(struct pb *p, uint64_t n)
{
        unsigned char bytes[10];
        size_t len = 0;

        do {
                bytes[len++] = (unsigned char) ((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
                n >>= 7;
        } while (n > 0);
        put(p, bytes, len);
}

static void put_bytes(struct pb *p, unsigned int field, const void *data, size_t len)
{
        put_varint(p, (uint64_t) field << 3 | WIRE_BYTES);
        put_varint(p, len);
        put(p, data, len);
}

void pb_int(struct pb *p, unsigned int field, unsigned int value)
{
        put_varint(p, (uint64_t) field << 3 | WIRE_VARINT);
        put_varint(p, value);
}

void pb_flag(struct pb *p, unsigned int field, bool value)
{
        if (value)
                pb_int(p, field, 1);
}

void pb_string(struct pb *p, unsigned int field, const char *value)
{
        if (value != NULL)
                put_bytes(p, field, value, strlen(value));
}

void pb_message(struct pb *p, unsigned int field, const struct pb *inner)
{
        put_bytes(p, field, inner->buf, inner->len);
        p->failed = p->failed || inner->failed;
}

void pb_free(struct pb *p)
{
        free(p->buf);
        *p = (struct pb){0};
}

struct reader {
        const unsigned char *at, *end;
};

static bool get_varint(struct reader *r, uint64_t *ret)
{
        *ret = 0;
        for (unsigned int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
                unsigned char byte = *r->at++;

                *ret |= (uint64_t) (byte & 0x7f) << shift;
                if (!(byte & 0x80))
                        return true;
        }
        return false;
}

/* The next field: a number, or a piece of the message. Returns its number, 0 at the end, -1 when it is damaged. */
static int next_field(struct reader *r, uint64_t *ret_number, struct reader *ret_piece)
{
        uint64_t key, len;

        *ret_number = 0;
        *ret_piece = (struct reader){0};
        if (r->at == r->end)
                return 0;
        if (!get_varint(r, &key) || key >> 3 == 0 || key >> 3 > INT16_MAX)
                return -1;
        switch (key & 7) {
        case WIRE_VARINT:
                return get_varint(r, ret_number) ? (int) (key >> 3) : -1;
        case WIRE_BYTES:
                if (!get_varint(r, &len))
                        return -1;
                break;
        default:
                len = (key & 7) == WIRE_64 ? 8 : 4;
                if ((key & 7) != WIRE_64 && (key & 7) != WIRE_32)
                        return -1;
        }
        if (len > (uint64_t) (r->end - r->at))
                return -1;
        *ret_piece = (struct reader){.at = r->at, .end = r->at + len};
        r->at += len;
        return (int) (key >> 3);
}

static void copy_text(const struct reader *piece, char *buf, size_t size)
{
        size_t len = (size_t) (piece->end - piece->at);

        if (len > 0 && len < size)
                memcpy(buf, piece->at, len);
        buf[len < size ? len : 0] = '\0';
}

int criu_response_parse(const void *data, size_t len, struct criu_response *ret)
{
        struct reader r = {.at = data, .end = (const unsigned char *) data + len}, piece, text;
        uint64_t n;
        int field, inner;

        *ret = (struct criu_response){0};
        while ((field = next_field(&r, &n, &piece)) > 0) {
                switch (field) {
                case 1:
                        ret->type = (int) n;
                        break;
                case 2:
                        ret->success = n != 0;
                        break;
                case 4: /* restore: 1 is the pid */
                        while ((inner = next_field(&piece, &n, &text)) > 0)
                                if (inner == 1)
                                        ret->pid = (int) n;
                        field = inner;
                        break;
                case 5: /* notify: 1 is the script, 2 the pid */
                        while ((inner = next_field(&piece, &n, &text)) > 0) {
                                if (inner == 1)
                                        copy_text(&text, ret->script, sizeof(ret->script));
                                else if (inner == 2)
                                        ret->pid = (int) n;
                        }
                        field = inner;
                        break;
                case 7:
                        ret->code = (int) n;
                        break;
                case 9:
                        copy_text(&piece, ret->message, sizeof(ret->message));
                        break;
                default:
                        break;
                }
                if (field < 0)
                        break;
        }
        return field < 0 || ret->type == 0 ? -EBADMSG : 0;
}

static _Noreturn void become_criu(const struct criu_start *how, int socket, int sync)
{
        char number[16], swrk[] = "swrk", name[] = "criu";
        char *argv[] = {name, swrk, number, NULL};
        spawn_error e = {0};

        process_reset_signals();
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) snprintf(number, sizeof(number), "%d", socket);
        if (sync_wait_go(sync) < 0)
                _exit(1);
        if ((how->before == NULL || how->before(how->before_arg, socket, &e) == 0) && fcntl(socket, F_SETFD, 0) < 0)
                (void) fail_errno(&e, "criu", "pass the socket to CRIU");
        if (e.code == 0) {
                (void) execv(how->program, argv);
                (void) fail_errno(&e, "criu", "run `%s`", how->program);
        }
        (void) sync_send(sync, SYNC_ERROR, 0, &e);
        _exit(1);
}

/* Let it go on, and wait until it has become CRIU: silence is success, execve(2) closes the other end. */
static int await_criu(const struct criu_session *s, const struct criu_start *how, int sync, spawn_error *e)
{
        struct sync_message m;
        int r = how->place != NULL ? how->place(how->place_arg, s->pid, e) : 0;

        if (r < 0)
                return r;
        r = sync_send(sync, SYNC_GO, 0, NULL);
        if (r == 0)
                r = sync_receive(sync, &m);
        if (r <= 0)
                return r < 0 ? fail_code(e, r, "criu", "start CRIU") : 0;
        *e = m.err;
        return m.err.code > 0 ? -m.err.code : -EIO;
}

int criu_start(struct criu_session *s, const struct criu_start *how, spawn_error *e)
{
        int pair[2], sync[2], r;

        *s = (struct criu_session){.socket = -1, .pid = -1};
        r = sync_pair(pair);
        if (r < 0)
                return fail_code(e, r, "criu", "create a socket for CRIU");
        s->socket = pair[0];
        r = sync_pair(sync);
        if (r < 0) {
                (void) close(pair[1]);
                return fail_code(e, r, "criu", "create a socket for CRIU");
        }
        s->pid = ns_fork(0, how->cgroup_fd, false);
        if (s->pid == 0) {
                (void) close(sync[0]);
                become_criu(how, pair[1], sync[1]);
        }
        (void) close(pair[1]);
        (void) close(sync[1]);
        r = s->pid < 0 ? fail_code(e, s->pid, "criu", "start CRIU") : await_criu(s, how, sync[0], e);
        (void) close(sync[0]);
        return r;
}

static int send_request(const struct criu_session *s, const struct pb *request, spawn_error *e)
{
        ssize_t n;

        if (request->failed)
                return spawn_err(e, ENOMEM, "criu", "out of memory");
        do
                n = send(s->socket, request->buf, request->len, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? fail_errno(e, "criu", "send a request to CRIU") : 0;
}

int criu_send(const struct criu_session *s, enum criu_type type, const struct pb *opts, spawn_error *e)
{
        struct pb request = {0};
        int r;

        pb_int(&request, 1, type);
        pb_message(&request, 2, opts);
        r = send_request(s, &request, e);
        pb_free(&request);
        return r;
}

int criu_answer(const struct criu_session *s, bool success, spawn_error *e)
{
        struct pb request = {0};
        int r;

        pb_int(&request, 1, CRIU_NOTIFY);
        pb_int(&request, 3, success);
        r = send_request(s, &request, e);
        pb_free(&request);
        return r;
}

int criu_receive(const struct criu_session *s, struct criu_response *ret, int *ret_fd, spawn_error *e)
{
        union {
                struct cmsghdr h;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char data[4096];
        struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        const struct cmsghdr *c;
        ssize_t n;

        *ret_fd = -1;
        do
                n = recvmsg(s->socket, &msg, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != ECONNRESET)
                return fail_errno(e, "criu", "read CRIU's response");
        if (n <= 0)
                return spawn_err(e, EIO, "criu", "CRIU ended without a response");
        c = CMSG_FIRSTHDR(&msg);
        if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
        if (criu_response_parse(data, (size_t) n, ret) < 0)
                return spawn_err(e, EBADMSG, "criu", "CRIU's response makes no sense");
        return 0;
}

void criu_stop(struct criu_session *s)
{
        if (s->socket >= 0)
                (void) close(s->socket);
        s->socket = -1;
        /* It ends when the other end of its socket is gone. */
        while (s->pid > 0 && waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        s->pid = -1;
}
