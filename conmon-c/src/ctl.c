#include "ctl.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "message.h"
#include "util.h"

#define SIZE_MAX_SANE 1000

/* n decimal numbers with blanks between; what follows the last number is not looked at, as it never was. */
static bool parse_numbers(const char *line, long *ret, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                char *end = NULL;

                errno = 0;
                ret[i] = strtol(line, &end, 10);
                if (end == line || errno == ERANGE)
                        return false;
                if (i + 1 < n && !isspace((unsigned char) *end))
                        return false;
                line = end;
        }
        return true;
}

static bool is_size(long height, long width)
{
        if (height >= 0 && width >= 0 && height <= SIZE_MAX_SANE && width <= SIZE_MAX_SANE)
                return true;
        msg_warn("Invalid window size: %ldx%ld (must be between 0 and %d)", height, width, SIZE_MAX_SANE);
        return false;
}

struct ctl_message ctl_parse(const char *line)
{
        struct ctl_message m = {.kind = CTL_INVALID};
        long n[3];

        if (!parse_numbers(line, n, 3)) {
                msg_warn("Invalid control message format");
                return m;
        }
        if (n[0] != CTL_RESIZE && n[0] != CTL_REOPEN) {
                msg_warn("Invalid control message type: %ld", n[0]);
                return m;
        }
        if (!is_size(n[1], n[2]))
                return m;
        return (struct ctl_message){.kind = (enum ctl_kind) n[0], .height = (int) n[1], .width = (int) n[2]};
}

struct ctl_message ctl_parse_size(const char *line)
{
        struct ctl_message m = {.kind = CTL_INVALID};
        long n[2];

        if (!parse_numbers(line, n, 2)) {
                msg_warn("Failed to parse window size");
                return m;
        }
        if (!is_size(n[0], n[1]))
                return m;
        return (struct ctl_message){.kind = CTL_RESIZE, .height = (int) n[0], .width = (int) n[1]};
}

void ctl_feed(struct ctl_lines *lines, const char *buf, size_t len, void (*line)(void *data, const char *line),
              void *data)
{
        for (size_t i = 0; i < len; i++) {
                if (buf[i] == '\n') {
                        lines->buf[lines->len] = '\0';
                        if (!lines->skip)
                                line(data, lines->buf);
                        lines->len = 0;
                        lines->skip = false;
                } else if (lines->len < sizeof(lines->buf) - 1) {
                        lines->buf[lines->len++] = buf[i];
                } else if (!lines->skip) {
                        msg_warn("Control message too long, ignored");
                        lines->skip = true;
                }
        }
}

static void resize(struct ctl *ctl, struct ctl_message m)
{
        struct winsize ws = {.ws_row = (unsigned short) m.height, .ws_col = (unsigned short) m.width};

        ctl->pending = ctl->tty < 0;
        ctl->size = m;
        if (ctl->tty >= 0 && ioctl(ctl->tty, TIOCSWINSZ, &ws) < 0)
                msg_warn("Failed to set the terminal's size: %s", strerror(errno));
}

static void control_line(void *data, const char *line)
{
        struct ctl *ctl = data;
        struct ctl_message m = ctl_parse(line);

        if (m.kind == CTL_RESIZE)
                resize(ctl, m);
        else if (m.kind == CTL_REOPEN)
                log_reopen(ctl->log);
}

static void winsz_line(void *data, const char *line)
{
        struct ctl_message m = ctl_parse_size(line);

        if (m.kind == CTL_RESIZE)
                resize(data, m);
}

static void control_event(struct source *source, uint32_t events)
{
        struct ctl *ctl = source->data;
        bool control = source == &ctl->control;
        char buf[512];
        ssize_t n = read(source->fd, buf, sizeof(buf));

        (void) events;
        if (n > 0)
                ctl_feed(control ? &ctl->control_lines : &ctl->winsz_lines, buf, (size_t) n,
                         control ? control_line : winsz_line, ctl);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
                loop_del(ctl->loop, source);
}

static int open_fifo(const char *bundle, const char *name, int *ret_writer)
{
        _cleanup_free_ char *path = format("%s/%s", bundle, name);
        _cleanup_close_ int fd = -1;

        if (!path)
                return -ENOMEM;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        if (mkfifo(path, 0660) < 0)
                return -errno;
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_writer = open(path, O_WRONLY | O_CLOEXEC);
        return *ret_writer < 0 ? -errno : steal_fd(&fd);
}

static int open_one(struct ctl *ctl, const char *bundle, const char *name, struct source *source, int *writer)
{
        int fd = open_fifo(bundle, name, writer);

        if (fd < 0) {
                msg_error("Failed to make fifo %s/%s: %s", bundle, name, strerror(-fd));
                return fd;
        }
        *source = (struct source){.fd = fd, .handle = control_event, .data = ctl};
        return loop_add(ctl->loop, source, EPOLLIN);
}

void ctl_init(struct ctl *ctl, struct loop *loop, struct log *log)
{
        *ctl = (struct ctl){.loop = loop, .log = log, .tty = -1, .control_writer = -1, .winsz_writer = -1};
        ctl->control.fd = ctl->winsz.fd = -1;
}

int ctl_open(struct ctl *ctl, const char *bundle)
{
        int r = open_one(ctl, bundle, "ctl", &ctl->control, &ctl->control_writer);

        return r < 0 ? r : open_one(ctl, bundle, "winsz", &ctl->winsz, &ctl->winsz_writer);
}

void ctl_set_terminal(struct ctl *ctl, int tty)
{
        ctl->tty = tty;
        if (ctl->pending)
                resize(ctl, ctl->size);
}

void ctl_lose_terminal(struct ctl *ctl)
{
        ctl->tty = -1;
        ctl->pending = ctl->size.kind == CTL_RESIZE;
}

void ctl_done(struct ctl *ctl)
{
        loop_del(ctl->loop, &ctl->control);
        loop_del(ctl->loop, &ctl->winsz);
        close_p(&ctl->control.fd);
        close_p(&ctl->winsz.fd);
        close_p(&ctl->control_writer);
        close_p(&ctl->winsz_writer);
}
