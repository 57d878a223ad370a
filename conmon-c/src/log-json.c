/* json-file: {"log":"text\n","stream":"stdout","time":"2024-05-01T08:20:30.123456789Z"}, docker's format.
 * JSON is UTF-8: bytes that are not become U+FFFD, and a character that a read cut in two is put together again.
 */
#include <string.h>
#include <time.h>

#include "log.h"
#include "logfile.h"

struct json_log {
        struct logfile file;
        char held[2][4]; /* stdout, stderr: start of a character whose rest has not been read yet */
        size_t n_held[2];
};

/* A byte becomes at most \u00XX; the rest of an entry fits in this. */
#define FRAME_MAX 128
#define PIECE_MAX LOG_PIECE_MAX
_Static_assert(PIECE_MAX * 6 + FRAME_MAX < LOGFILE_BUFFER, "an entry fits in the buffer");

static int json_open(void **ret_state, const char *path, const struct options *opt)
{
        struct json_log *log = calloc(1, sizeof(*log));
        int r;

        if (!log)
                return -ENOMEM;
        r = logfile_open(&log->file, path, opt);
        if (r < 0)
                free(log);
        else
                *ret_state = log;
        return r;
}

/* Length of the character at s, 0 if it is not UTF-8, -1 if it may become UTF-8 with more bytes. Source: RFC 3629. */
static int character(const unsigned char *s, size_t len)
{
        int n = 0;

        if (s[0] < 0x80)
                n = 1;
        else if (s[0] >= 0xc2 && s[0] < 0xe0)
                n = 2;
        else if ((s[0] & 0xf0) == 0xe0)
                n = 3;
        else if (s[0] >= 0xf0 && s[0] < 0xf5)
                n = 4;
        for (int i = 1; i < n; i++) {
                unsigned char low = 0x80, high = 0xbf;

                if ((size_t) i >= len)
                        return -1;
                if (i == 1 && (s[0] == 0xe0 || s[0] == 0xf0))
                        low = s[0] == 0xe0 ? 0xa0 : 0x90;
                if (i == 1 && (s[0] == 0xed || s[0] == 0xf4))
                        high = s[0] == 0xed ? 0x9f : 0x8f;
                if (s[i] < low || s[i] > high)
                        return 0;
        }
        return n;
}

static char *put_byte(char *p, unsigned char c)
{
        static const char hex[] = "0123456789abcdef", letters[] = "btn\0fr";

        if (c == '"' || c == '\\') {
                *p++ = '\\';
                *p++ = (char) c;
        } else if (c >= '\b' && c <= '\r' && letters[c - '\b']) {
                *p++ = '\\';
                *p++ = letters[c - '\b'];
        } else if (c < 0x20 || c == 0x7f) {
                memcpy(p, "\\u00", 4);
                p[4] = hex[c >> 4];
                p[5] = hex[c & 15];
                p += 6;
        } else {
                *p++ = (char) c;
        }
        return p;
}

/* Encode s; bytes that are not UTF-8, a cut-off character included, become U+FFFD. The end of what was written. */
static char *put_text(char *p, const unsigned char *s, size_t len)
{
        while (len > 0) {
                int n = character(s, len);

                if (n <= 0) {
                        memcpy(p, "\\ufffd", 6);
                        p += 6;
                        n = 1;
                } else if (n == 1) {
                        p = put_byte(p, *s);
                } else {
                        memcpy(p, s, (size_t) n);
                        p += n;
                }
                s += n;
                len -= (size_t) n;
        }
        return p;
}

/* How many bytes at the end of s are the start of a character that goes on. */
static size_t open_tail(const char *s, size_t len)
{
        for (size_t n = 1; n <= MIN_OF(len, 3u); n++) {
                const unsigned char *start = (const unsigned char *) s + len - n;

                if (*start >= 0xc0)
                        return character(start, n) < 0 ? n : 0;
                if (*start < 0x80)
                        return 0;
        }
        return 0;
}

static size_t make_frame(enum stream_id stream, char frame[static FRAME_MAX])
{
        struct timespec now;
        struct tm tm;
        char stamp[20];

        (void) clock_gettime(CLOCK_REALTIME, &now);
        (void) gmtime_r(&now.tv_sec, &tm);
        (void) strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        return (size_t) snprintf(frame, FRAME_MAX, "\",\"stream\":\"%s\",\"time\":\"%s.%09ldZ\"}\n",
                                 stream == STREAM_STDOUT ? "stdout" : "stderr", stamp, now.tv_nsec);
}

static void write_entry(struct json_log *log, const char *text, size_t n, const char *frame, size_t frame_len)
{
        char *entry = logfile_reserve(&log->file, n * 6 + FRAME_MAX), *p = entry;

        if (!entry)
                return;
        memcpy(p, "{\"log\":\"", 8);
        p = put_text(p + 8, (const unsigned char *) text, n);
        memcpy(p, frame, frame_len);
        logfile_commit(&log->file, (size_t) (p - entry) + frame_len);
}

static void json_write(void *state, enum stream_id stream, char *buf, size_t len)
{
        struct json_log *log = state;
        int which = stream == STREAM_STDERR;
        char frame[FRAME_MAX];
        size_t frame_len = make_frame(stream, frame), tail;

        buf -= log->n_held[which];
        len += log->n_held[which];
        memcpy(buf, log->held[which], log->n_held[which]);
        tail = open_tail(buf, len);
        memcpy(log->held[which], buf + len - tail, tail);
        log->n_held[which] = tail;
        len -= tail;

        while (len > 0) {
                size_t window = MIN_OF(len, PIECE_MAX);
                const char *newline = memchr(buf, '\n', window);
                size_t n = newline ? (size_t) (newline - buf) + 1 : window;

                if (!newline && n < len && n > 4)
                        n -= open_tail(buf, n);
                write_entry(log, buf, n, frame, frame_len);
                buf += n;
                len -= n;
        }
        logfile_flush(&log->file);
}

static void json_flush(void *state)
{
        struct json_log *log = state;

        for (int i = 0; i < 2; i++) {
                char frame[FRAME_MAX];
                size_t frame_len = make_frame(i ? STREAM_STDERR : STREAM_STDOUT, frame);

                if (log->n_held[i] > 0)
                        write_entry(log, log->held[i], log->n_held[i], frame, frame_len);
                log->n_held[i] = 0;
        }
        logfile_flush(&log->file);
}

static void json_reopen(void *state)
{
        logfile_renew(&((struct json_log *) state)->file);
}

static void json_trim(void *state)
{
        logfile_trim(&((struct json_log *) state)->file);
}

static int json_sync(void *state)
{
        return logfile_sync(&((struct json_log *) state)->file);
}

static void json_close(void *state)
{
        logfile_close(&((struct json_log *) state)->file);
        free(state);
}

const struct log_driver log_driver_json = {
        .name = "json-file",
        .open = json_open,
        .write = json_write,
        .flush = json_flush,
        .reopen = json_reopen,
        .trim = json_trim,
        .sync = json_sync,
        .close = json_close,
};
