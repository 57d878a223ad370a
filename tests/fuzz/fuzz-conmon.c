/* libFuzzer target: a monitor's life as a script. What clients, the container, the writers of the control fifo and of the
 * notify socket can send is sent, in any order and in any pieces, to the parts of podlike-conmon that take it.
 *
 * The first two bytes choose the log and its limits. Each step after them is a byte (the lower half says what, the upper
 * half how often the text is repeated, or which client), a length and a text.
 *
 * In the end the books are kept: the log of the container is what it wrote, or the end of it where the size is limited, and a
 * client that was there all the time has got every byte.
 *
 * fuzz-conmon -max_len=2048 -timeout=20 -close_fd_mask=2 found tests/fuzz/corpus-conmon: the monitor's own messages go to
 * stderr, which is closed so that they do not drown everything.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "attach.h"
#include "ctl.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "message.h"
#include "oom.h"
#include "options.h"
#include "relay.h"
#include "sdnotify.h"
#include "syncpipe.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 4
#define STREAM_MAX (1 << 18) /* bytes that a script may write */
#define BACKUPS 2

struct text {
        char *buf; /* STREAM_MAX */
        size_t len;
};

struct client_end {
        int fd;
        struct text got[2];
};

/* The monitor's parts, and the other ends of everything. */
struct life {
        struct loop loop;
        struct log log;
        struct input input;
        struct attach attach;
        struct relay relay;
        struct sdnotify notify;
        struct options opt;
        struct ctl_lines control, winsz;
        int out[2], stdin_r;
        struct text wrote[2];
        struct client_end clients[CLIENTS];
        size_t sent, received; /* of stdin */
        bool reopened; /* the log was begun anew */
};

static char dir[64], log_path[100], log_spec[128], host_socket[100];
static int host = -1;

static _Noreturn void finding(const char *what)
{
        fprintf(stderr, "finding: %s\n", what);
        abort();
}

static void expect(bool true_, const char *what)
{
        if (!true_)
                finding(what);
}

static void remove_files(void)
{
        static const char *const names[] = {
                "log", "log.1", "log.2", "log.tmp", "log-error", "attach", "notify/notify.sock"};

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                char path[200];

                (void) snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                (void) unlink(path);
        }
}

static void remove_dir(void)
{
        char path[200];

        remove_files();
        (void) unlink(host_socket);
        (void) snprintf(path, sizeof(path), "%s/notify", dir);
        (void) rmdir(path);
        (void) rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        char path[200];

        (void) strcpy(dir, "/dev/shm/podlike-fuzz-XXXXXX");
        expect(mkdtemp(dir) != NULL, "a directory to work in");
        (void) atexit(remove_dir);
        (void) snprintf(path, sizeof(path), "%s/notify", dir);
        (void) snprintf(log_path, sizeof(log_path), "%s/log", dir);
        (void) snprintf(host_socket, sizeof(host_socket), "%s/host", dir);
        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", host_socket);
        host = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        expect(mkdir(path, 0700) == 0 && bind(host, (struct sockaddr *) &addr, sizeof(addr)) == 0,
               "a socket to notify");
        (void) signal(SIGPIPE, SIG_IGN);
        return msg_setup("error", "c", false);
}

static void text_add(struct text *t, const char *buf, size_t len)
{
        if (!t->buf)
                t->buf = malloc(STREAM_MAX);
        expect(t->buf && len <= STREAM_MAX - t->len, "no more output than was written");
        memcpy(t->buf + t->len, buf, len);
        t->len += len;
}

static void make_pipe(int *ret_read, int *ret_write)
{
        int fds[2];

        expect(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
        *ret_read = fds[0];
        *ret_write = fds[1];
}

static void begin(struct life *l, uint8_t how, uint8_t limit)
{
        static char *paths[2] = {log_spec, NULL};
        int fd;

        *l = (struct life){.opt = {.cid = "c", .cuuid = "c", .bundle = dir, .persist_dir = dir, .full_attach = true}};
        (void) snprintf(log_spec, sizeof(log_spec), "%s:%s", how & 1 ? "json-file" : "k8s-file", log_path);
        l->opt.log_paths = (struct strlist){paths, 1};
        l->opt.log_size_max = how & 2 ? 100 + limit * 300 : -1;
        l->opt.log_rotate = how & 4;
        l->opt.log_max_files = BACKUPS;
        l->opt.sdnotify_socket = host_socket;
        expect(loop_init(&l->loop) == 0 && log_open(&l->log, &l->opt) == 0, "loop and log");
        make_pipe(&l->stdin_r, &fd);
        input_init(&l->input, &l->loop, fd, INPUT_OPEN);
        l->input.keep_open = how & 8;
        attach_init(&l->attach, &l->loop, &l->input);
        l->attach.patience = 0;
        relay_init(&l->relay, &l->loop, &l->log, &l->attach);
        expect(attach_listen(&l->attach, &l->opt) == 0, "an attach socket");
        sdnotify_init(&l->notify, &l->loop);
        for (int i = 0; i < 2; i++) {
                make_pipe(&fd, &l->out[i]);
                relay_set(&l->relay, i ? STREAM_STDERR : STREAM_STDOUT, fd, false);
        }
        relay_start(&l->relay);
        for (int i = 0; i < CLIENTS; i++)
                l->clients[i].fd = -1;
}

static void turn(struct life *l)
{
        for (int i = 0; i < 100 && loop_step(&l->loop, 0) > 0; i++)
                ;
}

static void client_connect(struct life *l, struct client_end *c)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};

        if (c->fd >= 0)
                return;
        c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/attach", dir);
        if (connect(c->fd, (struct sockaddr *) &addr, sizeof(addr)) < 0)
                close_p(&c->fd);
        turn(l);
}

/* Take what has come for a client; false when there is no more just now. */
static bool client_read(struct client_end *c)
{
        char packet[ATTACH_PACKET + 100];
        ssize_t n = c->fd < 0 ? -1 : recv(c->fd, packet, sizeof(packet), 0);

        if (n <= 0)
                return false;
        expect(n > 1 && n <= ATTACH_PACKET + 1, "a packet has 1 to 8192 bytes of output");
        expect(packet[0] == STREAM_STDOUT || packet[0] == STREAM_STDERR, "a packet says its stream");
        text_add(&c->got[packet[0] == STREAM_STDERR], packet + 1, (size_t) n - 1);
        return true;
}

static void stdin_read(struct life *l)
{
        char buf[4096];
        ssize_t n;

        while ((n = read(l->stdin_r, buf, sizeof(buf))) > 0)
                l->received += (size_t) n;
        expect(l->received <= l->sent, "the container reads no more than clients sent");
}

static void write_output(struct life *l, int which, const char *text, size_t len, unsigned int times)
{
        for (unsigned int i = 0; i < times && len > 0 && l->wrote[which].len + len <= STREAM_MAX; i++) {
                ssize_t n = write(l->out[which], text, len);

                if (n <= 0)
                        return;
                text_add(&l->wrote[which], text, (size_t) n);
        }
}

static void control_line(void *data, const char *line)
{
        struct ctl_message m = ctl_parse(line);
        struct life *l = data;

        expect(m.kind == CTL_INVALID || (m.height >= 0 && m.height <= 1000 && m.width >= 0 && m.width <= 1000),
               "a size");
        if (m.kind == CTL_REOPEN) {
                log_reopen(&l->log);
                l->reopened = true;
        }
}

static void winsz_line(void *data, const char *line)
{
        (void) data;
        (void) ctl_parse_size(line);
}

static void notify(struct life *l, const char *text, size_t len)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        char passed[10000];
        ssize_t n;

        if (l->notify.source.fd < 0)
                expect(sdnotify_open(&l->notify, &l->opt) == 0, "a notify socket");
        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify/notify.sock", dir);
        (void) sendto(fd, text, len, 0, (struct sockaddr *) &addr, sizeof(addr));
        close(fd);
        turn(l);
        n = recv(host, passed, sizeof(passed), 0);
        for (ssize_t i = 0; i < n;) {
                const char *end = memchr(passed + i, '\n', (size_t) (n - i));

                expect(end && sdnotify_allowed(passed + i, (size_t) (end - passed - i)),
                       "only what is allowed is passed on");
                i = end + 1 - passed;
        }
}

/* Whether s may stand between quotes in JSON. */
static bool is_json_text(const char *s, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if ((unsigned char) s[i] < 0x20 || s[i] == '"')
                        return false;
                if (s[i] == '\\' && (++i == len || !strchr("\"\\/bfnrtu", s[i])))
                        return false;
        }
        return true;
}

/* What is read from files, command lines and the runtime's stderr. */
static void read_words(const char *text, size_t len)
{
        char *copy = strndup(text, len), *escaped, *path, *argv[4] = {"conmon", copy}, why[200];
        const struct log_driver *driver;
        struct options opt;
        enum log_kind kind;
        int argc = 2;

        expect(copy != NULL, "memory");
        escaped = sync_escape(copy);
        expect(escaped && is_json_text(escaped, strlen(escaped)), "a message is JSON");
        free(escaped);
        (void) oom_parse_events(copy);
        path = oom_cgroup_path(copy, len % 2 ? "" : "memory");
        free(path);
        (void) log_parse_spec(copy, &kind, &driver, (const char **) &path);
        argv[argc++] = "1";
        if (options_parse(&opt, argc, argv, why, sizeof(why)) < 0)
                expect(strlen(why) > 0, "a refusal has words");
        options_done(&opt);
        free(copy);
}

static void step(struct life *l, uint8_t op, const char *text, size_t len)
{
        struct client_end *c = &l->clients[(op >> 4) % CLIENTS];
        unsigned int times = 1u << (op >> 4);
        ssize_t n;

        switch (op & 15) {
        case 0:
                client_connect(l, c);
                break;
        case 1:
                n = c->fd < 0 ? 0 : send(c->fd, text, len, MSG_NOSIGNAL);
                l->sent += n > 0 ? (size_t) n : 0;
                break;
        case 2:
                close_p(&c->fd);
                break;
        case 3:
                (void) shutdown(c->fd, SHUT_WR);
                break;
        case 4:
                for (size_t i = 0; i <= len && client_read(c); i++)
                        ;
                break;
        case 5:
        case 6:
                write_output(l, (op & 15) == 6, text, len, times);
                break;
        case 7:
                stdin_read(l);
                break;
        case 8:
                close_p(&l->stdin_r);
                l->stdin_r = -1;
                break;
        case 9:
                ctl_feed(&l->control, text, len, control_line, l);
                break;
        case 10:
                ctl_feed(&l->winsz, text, len, winsz_line, NULL);
                break;
        case 11:
                notify(l, text, len);
                break;
        case 12:
                read_words(text, len);
                break;
        case 13:
                relay_trim(&l->relay);
                break;
        default:
                break;
        }
        turn(l);
}

/* Take the text out of a k8s log's line. */
static void take_k8s(struct text got[2], const char *line, size_t len)
{
        bool err;

        expect(len >= 45 && line[10] == 'T' && line[19] == '.' && line[35] == ' ', "a line begins with its time");
        err = memcmp(line + 36, "stderr ", 7) == 0;
        expect(err || memcmp(line + 36, "stdout ", 7) == 0, "a line has a stream");
        expect((line[43] == 'F' || line[43] == 'P') && line[44] == ' ', "a line has a tag");
        text_add(&got[err], line + 45, len - 45);
        if (line[43] == 'F')
                text_add(&got[err], "\n", 1);
}

static char unescape(const char **p)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *known = strchr(from, **p);
        unsigned int c;
        char hex[5] = {0};

        if (known && **p) {
                (*p)++;
                return to[known - from];
        }
        memcpy(hex, *p + 1, 4);
        c = (unsigned int) strtoul(hex, NULL, 16);
        expect(**p == 'u' && strlen(hex) == 4, "an escape");
        *p += 5;
        return (char) (c == 0xfffd ? '?' : c);
}

static void take_json(struct text got[2], const char *line, size_t len)
{
        static const char head[] = "{\"log\":\"", tail[] = "\",\"stream\":\"std";
        const char *p = line + sizeof(head) - 1, *end = p;
        bool err;

        expect(len > 60 && memcmp(line, head, sizeof(head) - 1) == 0 && line[len - 1] == '}', "an entry is an object");
        while (end < line + len && *end != '"')
                end += *end == '\\' ? 2 : 1;
        expect(end + sizeof(tail) < line + len && memcmp(end, tail, sizeof(tail) - 1) == 0, "an entry has a stream");
        expect(is_json_text(p, (size_t) (end - p)), "an entry's text is JSON");
        err = memcmp(end + sizeof(tail) - 1, "err", 3) == 0;
        while (p < end) {
                char c = *p++;

                if (c == '\\')
                        c = unescape(&p);
                text_add(&got[err], &c, 1);
        }
}

static void read_log(struct life *l, struct text got[2])
{
        static char buf[64 * STREAM_MAX];
        bool json = log_spec[0] == 'j';

        for (int i = BACKUPS; i >= 0; i--) {
                char path[120];
                size_t n = 0;
                FILE *f;

                (void) snprintf(path, sizeof(path), i ? "%s.%d" : "%s", log_path, i);
                f = fopen(path, "re");
                if (f) {
                        n = fread(buf, 1, sizeof(buf), f);
                        fclose(f);
                }
                /* One entry alone may be larger than the limit. */
                expect(l->opt.log_size_max < 0 || (int64_t) n <= l->opt.log_size_max ||
                               memchr(buf, '\n', n) == buf + n - 1,
                       "the size is limited");
                for (char *p = buf, *end; p < buf + n; p = end + 1) {
                        end = memchr(p, '\n', (size_t) (buf + n - p));
                        expect(end != NULL, "every entry is whole");
                        (json ? take_json : take_k8s)(got, p, (size_t) (end - p));
                }
        }
}

static bool is_ascii(const struct text *t)
{
        for (size_t i = 0; i < t->len; i++)
                if (t->buf[i] & 0x80)
                        return false;
        return true;
}

static void check_log(struct life *l)
{
        struct text got[2] = {0};
        bool json = log_spec[0] == 'j';

        read_log(l, got);
        for (int i = 0; i < 2; i++) {
                const struct text *all = &l->wrote[i];

                if (!json || is_ascii(all)) {
                        expect(got[i].len <= all->len, "the log has no more than was written");
                        expect(got[i].len == 0 || memcmp(got[i].buf, all->buf + all->len - got[i].len, got[i].len) == 0,
                               "the log is the end of what was written");
                        expect(l->opt.log_size_max > 0 || l->reopened || got[i].len == all->len, "nothing is missing");
                }
                free(got[i].buf);
        }
}

/* The container has ended: all that it wrote goes to the clients that are there. */
static void end(struct life *l)
{
        relay_drain(&l->relay);
        log_flush(&l->log);
        for (int i = 0; i < 10000 && !l->relay.drained; i++) {
                for (int c = 0; c < CLIENTS; c++)
                        while (client_read(&l->clients[c]))
                                ;
                turn(l);
        }
        expect(l->relay.drained, "clients that read get to the end");
        attach_finish(&l->attach);
        for (int c = 0; c < CLIENTS; c++)
                while (client_read(&l->clients[c]))
                        ;
        check_log(l);
}

static void clean_up(struct life *l)
{
        relay_done(&l->relay);
        input_close(&l->input);
        attach_done(&l->attach);
        sdnotify_done(&l->notify);
        log_close(&l->log);
        loop_done(&l->loop);
        close_p(&l->out[0]);
        close_p(&l->out[1]);
        close_p(&l->stdin_r);
        for (int c = 0; c < CLIENTS; c++) {
                close_p(&l->clients[c].fd);
                free(l->clients[c].got[0].buf);
                free(l->clients[c].got[1].buf);
        }
        free(l->wrote[0].buf);
        free(l->wrote[1].buf);
        remove_files();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct life l;
        bool watched;

        if (size < 2)
                return -1;
        begin(&l, data[0], data[1]);
        watched = data[0] & 16;
        if (watched) /* one that is there from the start, and that no step touches */
                client_connect(&l, &l.clients[CLIENTS - 1]);
        for (size_t i = 2; i + 1 < size;) {
                size_t len = MIN_OF((size_t) data[i + 1], size - i - 2);
                uint8_t op = data[i];

                if (watched && (op >> 4) % CLIENTS == CLIENTS - 1 && (op & 15) <= 3)
                        op &= 15;
                step(&l, op, (const char *) data + i + 2, len);
                i += 2 + len;
        }
        end(&l);
        for (int i = 0; watched && i < 2; i++)
                expect(l.clients[CLIENTS - 1].got[i].len == l.wrote[i].len &&
                               (l.wrote[i].len == 0 ||
                                memcmp(l.clients[CLIENTS - 1].got[i].buf, l.wrote[i].buf, l.wrote[i].len) == 0),
                       "a client gets every byte");
        clean_up(&l);
        return 0;
}
