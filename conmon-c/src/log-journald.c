/* journald: one datagram an entry to the journal's socket. Source: systemd's "Native Journal Protocol". */
#include <ctype.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "log-lines.h"
#include "log-trouble.h"
#include "log.h"
#include "message.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SHORT_ID 12

struct journal_stream {
        struct journal *journal;
        struct held_line held;
        int usual; /* priority of lines that name none */
        int priority; /* of the line whose pieces are being sent */
        bool inside; /* pieces of this line have been sent */
};

struct journal {
        int fd;
        bool mark_partial;
        char *fields; /* what is the same in every entry, ready to send */
        size_t fields_len;
        struct journal_stream streams[2]; /* stdout, stderr */
        struct log_trouble trouble;
};

/* Append NAME=value, or the binary form when the value has a newline. */
static int add_field(struct journal *j, const char *name, size_t name_len, const char *value)
{
        size_t value_len = strlen(value);
        char *p = realloc(j->fields, j->fields_len + name_len + value_len + 10);

        if (!p)
                return -ENOMEM;
        j->fields = p;
        p += j->fields_len;
        memcpy(p, name, name_len);
        p += name_len;
        if (strchr(value, '\n')) {
                *p++ = '\n';
                for (int i = 0; i < 8; i++) /* little endian, whatever the machine */
                        *p++ = (char) ((uint64_t) value_len >> (8 * i));
        } else {
                *p++ = '=';
        }
        memcpy(p, value, value_len);
        p += value_len;
        *p++ = '\n';
        j->fields_len = (size_t) (p - j->fields);
        return 0;
}

static int check_label(const char *label)
{
        const char *eq = strchr(label, '=');

        if (eq == label) {
                msg_error("Container labels must be in format LABEL=VALUE (no LABEL present in '%s')", label);
                return -EINVAL;
        }
        if (!eq || strchr(eq + 1, '=')) {
                msg_error("Container labels must be in format LABEL=VALUE (none or more than one '=' present in '%s')",
                          label);
                return -EINVAL;
        }
        for (const char *p = label; p < eq; p++)
                if (!isupper((unsigned char) *p) && !isdigit((unsigned char) *p) && *p != '_') {
                        msg_error("Container label names must contain only uppercase letters, numbers and underscore "
                                  "(in '%s')",
                                  label);
                        return -EINVAL;
                }
        return 0;
}

static int add_fields(struct journal *j, const struct options *opt)
{
        char short_id[SHORT_ID + 1];
        const char *pairs[][2] = {
                {"CONTAINER_ID_FULL", opt->cid},
                {"CONTAINER_ID", short_id},
                {"CONTAINER_NAME", opt->name},
                {"CONTAINER_TAG", opt->log_tag},
                {"SYSLOG_IDENTIFIER", opt->log_tag ? opt->log_tag
                                      : opt->name  ? opt->name
                                                   : short_id},
        };
        int r = 0;

        (void) snprintf(short_id, sizeof(short_id), "%s", opt->cid);
        for (size_t i = 0; r == 0 && i < ARRAY_LEN(pairs); i++)
                if (pairs[i][1])
                        r = add_field(j, pairs[i][0], strlen(pairs[i][0]), pairs[i][1]);
        for (size_t i = 0; r == 0 && i < opt->log_labels.n; i++) {
                const char *label = opt->log_labels.v[i];

                r = check_label(label);
                if (r == 0)
                        r = add_field(j, label, strcspn(label, "="), strchr(label, '=') + 1);
        }
        return r;
}

static void journal_close(void *state)
{
        struct journal *j = state;

        close_p(&j->fd);
        free(j->fields);
        held_free(&j->streams[0].held);
        held_free(&j->streams[1].held);
        free(j);
}

static int journal_connect(struct journal *j)
{
        /* A journal that hangs must not hang the container: an entry waits this long at most. */
        const struct timeval patience = {.tv_sec = 1};

        j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (j->fd < 0)
                return -errno;
        (void) setsockopt(j->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        return 0;
}

static int journal_open(void **ret_state, const char *path, const struct options *opt)
{
        struct journal *j;
        int r;

        if (strlen(opt->cid) <= SHORT_ID) {
                msg_error("Container ID must be longer than 12 characters");
                return -EINVAL;
        }
        j = calloc(1, sizeof(*j));
        if (!j)
                return -ENOMEM;
        j->fd = -1;
        j->mark_partial = !opt->no_container_partial_message;
        j->streams[0] = (struct journal_stream){.journal = j, .usual = 6};
        j->streams[1] = (struct journal_stream){.journal = j, .usual = 3};
        j->trouble = (struct log_trouble){.opt = opt, .where = "journal"};
        r = add_fields(j, opt);
        if (r == 0)
                r = journal_connect(j);
        if (r < 0)
                journal_close(j);
        else
                *ret_state = j;
        return r;
}

/* The journal's socket is not connected: journald may be restarted while the container runs. */
static bool send_entry(struct journal *j, int priority, const char *text, size_t len, bool partial)
{
        struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
        char head[] = "PRIORITY=6\nMESSAGE=";
        static const char tail[] = "\nCONTAINER_PARTIAL_MESSAGE=true\n";
        struct iovec iov[] = {
                {.iov_base = j->fields, .iov_len = j->fields_len},
                {.iov_base = head, .iov_len = sizeof(head) - 1},
                {.iov_base = (char *) text, .iov_len = len},
                {.iov_base = (char *) tail, .iov_len = partial && j->mark_partial ? sizeof(tail) - 1 : 1},
        };
        struct msghdr msg = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};
        ssize_t n;

        head[9] = (char) ('0' + priority);
        do
                n = sendmsg(j->fd, &msg, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                log_trouble(&j->trouble, errno, 1);
        return n >= 0;
}

/* After a failure: say in the journal what it lacks. */
static void recover(struct journal *j)
{
        char text[256], line[300];
        int64_t lost = j->trouble.lost;
        int n;

        log_trouble_describe(&j->trouble, text, sizeof(text));
        n = snprintf(line, sizeof(line), "podlike-conmon: %s", text);
        if (send_entry(j, 3, line, (size_t) n, false))
                log_trouble_over(&j->trouble);
        else
                j->trouble.lost = lost;
}

static size_t take_piece(void *data, const struct piece *piece)
{
        struct journal_stream *s = data;
        const char *text = piece->text;
        size_t len = piece->len;

        if (!s->inside) {
                s->priority = s->usual;
                if (len >= 3 && text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>') {
                        s->priority = text[1] - '0';
                        text += 3;
                        len -= 3;
                }
        }
        if (s->journal->trouble.error)
                recover(s->journal);
        (void) send_entry(s->journal, s->priority, text, len, !piece->whole);
        s->inside = !piece->whole;
        return piece->len;
}

static void journal_write(void *state, enum stream_id stream, char *buf, size_t len)
{
        struct journal_stream *s = &((struct journal *) state)->streams[stream == STREAM_STDERR];

        held_feed(&s->held, buf, len, LOG_PIECE_MAX, take_piece, s);
}

static void journal_flush(void *state)
{
        struct journal *j = state;

        for (int i = 0; i < 2; i++)
                held_flush(&j->streams[i].held, take_piece, &j->streams[i]);
}

const struct log_driver log_driver_journald = {
        .name = "journald",
        .open = journal_open,
        .write = journal_write,
        .flush = journal_flush,
        .close = journal_close,
};
