/* journald: one datagram an entry to the journal's socket. Source: systemd's "Native Journal Protocol". */
#include <ctype.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "log.h"
#include "message.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SHORT_ID 12

struct partial {
        char *buf; /* LOG_PIECE_MAX bytes while a line waits for its end */
        size_t len;
        int priority;
        bool inside; /* pieces of this line have been sent */
};

struct journal {
        int fd;
        bool failing;
        bool mark_partial;
        char *fields; /* what is the same in every entry, ready to send */
        size_t fields_len;
        struct partial partial[2]; /* stdout, stderr */
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
        free(j->partial[0].buf);
        free(j->partial[1].buf);
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
static void send_entry(struct journal *j, int priority, const char *text, size_t len, bool partial)
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
        if (n < 0 && !j->failing)
                msg_warn("Failed to send output to the journal: %s", strerror(errno));
        j->failing = n < 0;
}

/* Send what has been gathered of a line; whole: its newline has come. */
static void send_line(struct journal *j, struct partial *p, const char *text, size_t len, int def, bool whole)
{
        if (!p->inside) {
                p->priority = def;
                if (len >= 3 && text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>') {
                        p->priority = text[1] - '0';
                        text += 3;
                        len -= 3;
                }
        }
        send_entry(j, p->priority, text, len, !whole);
        p->inside = !whole;
        p->len = 0;
        if (whole) {
                free(p->buf);
                p->buf = NULL;
        }
}

/* Keep the start of a line; false when there is no memory for it, and it has to be sent as it is. */
static bool keep(struct partial *p, const char *text, size_t len)
{
        if (!p->buf)
                p->buf = malloc(LOG_PIECE_MAX);
        if (!p->buf)
                return false;
        memcpy(p->buf + p->len, text, len);
        p->len += len;
        return true;
}

static void journal_write(void *state, enum stream_id stream, char *buf, size_t len)
{
        struct journal *j = state;
        struct partial *p = &j->partial[stream == STREAM_STDERR];
        int def = stream == STREAM_STDERR ? 3 : 6;

        while (len > 0) {
                size_t room = LOG_PIECE_MAX - p->len, window = MIN_OF(len, room + 1);
                const char *newline = memchr(buf, '\n', window);
                size_t n = newline ? (size_t) (newline - buf) : MIN_OF(window, room);
                bool done = newline || n == room;

                if (!done && keep(p, buf, n))
                        return;
                if (p->len > 0 && keep(p, buf, n))
                        send_line(j, p, p->buf, p->len, def, newline != NULL);
                else
                        send_line(j, p, buf, n, def, newline != NULL);
                n += newline != NULL;
                buf += n;
                len -= n;
        }
}

static void journal_flush(void *state)
{
        struct journal *j = state;

        for (int i = 0; i < 2; i++)
                if (j->partial[i].len > 0)
                        send_line(j, &j->partial[i], j->partial[i].buf, j->partial[i].len, i ? 3 : 6, false);
}

const struct log_driver log_driver_journald = {
        .name = "journald",
        .open = journal_open,
        .write = journal_write,
        .flush = journal_flush,
        .close = journal_close,
};
