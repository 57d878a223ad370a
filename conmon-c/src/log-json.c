/* json-file: {"log":"text\n","stream":"stdout","time":"2024-05-01T08:20:30.123456789Z"}, docker's format.
 *
 * As docker does, an entry waits for its line to end, and a line longer than PIECE_MAX becomes several, of which only the
 * last one's text ends with a newline. JSON is UTF-8: bytes that are not become U+FFFD; no piece ends within a character.
 * --log-tag and --log-label become the "attrs" of every entry, which `logs --details` shows.
 */
#include <string.h>
#include <time.h>

#include "log-lines.h"
#include "log.h"
#include "logfile.h"
#include "message.h"

struct json_stream {
        struct json_log *log;
        struct held_line held;
        char *frame; /* what stands between text and time */
        size_t frame_len;
};

struct json_log {
        struct logfile file;
        struct json_stream streams[2]; /* stdout, stderr */
        time_t second; /* that stamp belongs to */
        char stamp[20]; /* YYYY-MM-DDTHH:MM:SS */
        char time[48]; /* of the read under way, with all that follows it in an entry */
        size_t time_len;
};

#define PIECE_MAX 16384 /* docker's */
#define FRAME_MAX 16384
#define HEAD "{\"log\":\""
/* A byte becomes at most \u00XX. */
_Static_assert(sizeof(HEAD) + (PIECE_MAX + 1) * 6 + FRAME_MAX + 48 < LOGFILE_BUFFER, "an entry fits in the buffer");

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

static void make_time(struct json_log *log)
{
        struct timespec now;
        struct tm tm;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec != log->second) {
                log->second = now.tv_sec;
                (void) gmtime_r(&now.tv_sec, &tm);
                (void) strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        }
        log->time_len = (size_t) snprintf(log->time, sizeof(log->time), "%s.%09ldZ\"}\n", log->stamp, now.tv_nsec);
}

/* The length of the entry. */
static size_t put_entry(const struct json_stream *s, char *entry, const char *text, size_t len, bool whole)
{
        char *p = entry;

        memcpy(p, HEAD, sizeof(HEAD) - 1);
        p = put_text(p + sizeof(HEAD) - 1, (const unsigned char *) text, len);
        if (whole)
                p = put_byte(p, '\n');
        memcpy(p, s->frame, s->frame_len);
        p += s->frame_len;
        memcpy(p, s->log->time, s->log->time_len);
        return (size_t) (p - entry) + s->log->time_len;
}

static size_t take_piece(void *data, const struct piece *piece)
{
        struct json_stream *s = data;
        size_t len = piece->len, max = sizeof(HEAD) + (len + 1) * 6 + s->frame_len + sizeof(s->log->time);
        char *entry = logfile_reserve(&s->log->file, max);

        if (!piece->whole && !piece->last)
                len -= open_tail(piece->text, len);
        if (entry)
                logfile_commit(&s->log->file, put_entry(s, entry, piece->text, len, piece->whole));
        return len;
}

static size_t json_notice(void *driver, char *entry, const char *text)
{
        struct json_log *log = driver;
        const struct json_stream plain = {.log = log, .frame = "\",\"stream\":\"stderr\",\"time\":\"", .frame_len = 28};
        char line[LOGFILE_NOTICE / 2];
        int n = snprintf(line, sizeof(line), "podlike-conmon: %s", text);

        make_time(log);
        return put_entry(&plain, entry, line, MIN_OF((size_t) n, sizeof(line) - 1), true);
}

static char *put_attribute(char *p, const char *key, size_t key_len, const char *value, bool first)
{
        p = stpcpy(p, first ? "\"" : ",\"");
        p = put_text(p, (const unsigned char *) key, key_len);
        p = stpcpy(p, "\":\"");
        p = put_text(p, (const unsigned char *) value, strlen(value));
        *p++ = '"';
        return p;
}

/* "attrs":{"tag":"...","KEY":"VALUE"}, or nothing; the new end, NULL after a message when it is too much. */
static char *put_attributes(char *p, const struct options *opt)
{
        size_t room = 64 + (opt->log_tag ? 16 + strlen(opt->log_tag) * 6 : 0);
        bool first = true;

        for (size_t i = 0; i < opt->log_labels.n; i++) {
                if (!strchr(opt->log_labels.v[i], '=')) {
                        msg_error(
                                "Container labels must be in format LABEL=VALUE (none or more than one '=' present in '%s')",
                                opt->log_labels.v[i]);
                        return NULL;
                }
                room += 8 + strlen(opt->log_labels.v[i]) * 6;
        }
        if (room > FRAME_MAX) {
                msg_error("The log's tag and labels are too long");
                return NULL;
        }
        if (!opt->log_tag && opt->log_labels.n == 0)
                return p;
        p = stpcpy(p, "\"attrs\":{");
        for (size_t i = 0; i < opt->log_labels.n; i++, first = false) {
                const char *label = opt->log_labels.v[i], *eq = strchr(label, '=');

                p = put_attribute(p, label, (size_t) (eq - label), eq + 1, first);
        }
        if (opt->log_tag)
                p = put_attribute(p, "tag", 3, opt->log_tag, first);
        return stpcpy(p, "},");
}

static int make_frame(struct json_stream *s, const char *stream, const struct options *opt)
{
        _cleanup_free_ char *frame = malloc(FRAME_MAX + 64);
        char *p;

        if (!frame)
                return -ENOMEM;
        p = frame + sprintf(frame, "\",\"stream\":\"%s\",", stream);
        p = put_attributes(p, opt);
        if (!p)
                return -EINVAL;
        p = stpcpy(p, "\"time\":\"");
        s->frame = strdup(frame);
        s->frame_len = (size_t) (p - frame);
        return s->frame ? 0 : -ENOMEM;
}

static void json_close(void *state)
{
        struct json_log *log = state;

        logfile_close(&log->file);
        for (int i = 0; i < 2; i++) {
                held_free(&log->streams[i].held);
                free(log->streams[i].frame);
        }
        free(log);
}

static int json_open(void **ret_state, const char *path, const struct options *opt)
{
        struct json_log *log = calloc(1, sizeof(*log));
        int r;

        if (!log)
                return -ENOMEM;
        log->file.fd = -1;
        log->streams[0].log = log->streams[1].log = log;
        r = make_frame(&log->streams[0], "stdout", opt);
        if (r == 0)
                r = make_frame(&log->streams[1], "stderr", opt);
        if (r == 0)
                r = logfile_open(&log->file, path, opt, json_notice, log);
        if (r < 0)
                json_close(log);
        else
                *ret_state = log;
        return r;
}

static void json_write(void *state, enum stream_id stream, char *buf, size_t len)
{
        struct json_log *log = state;
        struct json_stream *s = &log->streams[stream == STREAM_STDERR];

        make_time(log);
        held_feed(&s->held, buf, len, PIECE_MAX, take_piece, s);
        logfile_flush(&log->file);
}

static void json_flush(void *state)
{
        struct json_log *log = state;

        make_time(log);
        for (int i = 0; i < 2; i++)
                held_flush(&log->streams[i].held, take_piece, &log->streams[i]);
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
