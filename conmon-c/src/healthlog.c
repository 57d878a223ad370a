#include "healthlog.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

/* RFC 3339 with nanoseconds, in the local zone. */
static void write_time(char *buf, size_t size, const struct timespec *t)
{
        char date[32], zone[8];
        struct tm tm;

        (void) localtime_r(&t->tv_sec, &tm);
        (void) strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        (void) strftime(zone, sizeof(zone), "%z", &tm); /* +hhmm */
        (void) snprintf(buf, size, "%s.%09ld%.3s:%.2s", date, t->tv_nsec, zone, zone + 3);
}

/* The length of the UTF-8 sequence that begins at s, 0 when there is none. Source: The Unicode Standard, table 3-7. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
        size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

        if (n == 0 || n > len)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
            (s[0] == 0xf4 && s[1] >= 0x90))
                return 0;
        return n;
}

/* s as the inside of a JSON string; a byte takes six at most. */
static size_t escape(char *out, const unsigned char *s, size_t len)
{
        static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
        char *p = out;

        for (size_t i = 0, n; i < len; i += n) {
                const char *plain = s[i] ? strchr(from, s[i]) : NULL;

                n = utf8_length(s + i, len - i);
                if (plain) {
                        *p++ = '\\';
                        *p++ = to[plain - from];
                } else if (n == 0) {
                        p += sprintf(p, "\xef\xbf\xbd");
                        n = 1;
                } else if (s[i] < 0x20 || s[i] == 0x7f) {
                        p += sprintf(p, "\\u%04x", s[i]);
                } else {
                        memcpy(p, s + i, n);
                        p += n;
                }
        }
        return (size_t) (p - out);
}

char *healthlog_line(const struct health_entry *entry)
{
        char start[48], end[48], *line = malloc(6 * entry->len + 192);
        size_t n;

        if (!line)
                return NULL;
        write_time(start, sizeof(start), &entry->start);
        write_time(end, sizeof(end), &entry->end);
        n = (size_t) sprintf(line, "{\"Start\":\"%s\",\"End\":\"%s\",\"ExitCode\":%d,\"Output\":\"", start, end,
                             entry->code);
        n += escape(line + n, (const unsigned char *) entry->output, entry->output ? entry->len : 0);
        memcpy(line + n, "\"}", 3);
        return line;
}

/* The newest count entries of a document as they stand in it, with the comma after the last; all with count 0. Lines that
 * are not ours do not count: a file that somebody else wrote is begun anew. */
static const char *newest(const char *text, int64_t count, size_t *ret_len)
{
        static const char mark[] = "\n{\"Start\":";
        const char *end = strrchr(text, '\n'), *first = strstr(text, mark), *p;

        *ret_len = 0;
        if (end && end[1] == '\0' && end > text) /* the newline at the very end */
                end = memrchr(text, '\n', (size_t) (end - text));
        if (!first || !end || strncmp(end, "\n]}", 3) != 0)
                return text;
        for (p = end; p > first && count != 1; count -= count > 0) {
                p = memrchr(text, '\n', (size_t) (p - text));
                if (strncmp(p, mark, sizeof(mark) - 1) != 0)
                        return text;
        }
        *ret_len = (size_t) (end - p);
        return p;
}

static int write_document(const char *path, const struct health_summary *summary, const char *kept, size_t kept_len,
                          const char *line)
{
        _cleanup_free_ char *text =
                format("{\"Status\":\"%s\",\"FailingStreak\":%u,\"Log\":[%.*s%s\n%s\n]}\n", summary->status,
                       summary->streak, (int) kept_len, kept, kept_len > 0 ? "," : "", line);

        return text ? write_file_atomic(path, text) : -ENOMEM;
}

/* The whole of a file; NULL when there is none. */
static char *read_all(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        char *text;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > INT32_MAX)
                return NULL;
        text = malloc((size_t) st.st_size + 1);
        n = text ? pread(fd, text, (size_t) st.st_size, 0) : 0;
        if (text)
                text[n > 0 ? n : 0] = '\0';
        return text;
}

int healthlog_add(const char *path, const struct health_entry *entry, const struct health_summary *summary,
                  int64_t count)
{
        _cleanup_free_ char *line = healthlog_line(entry), *old = count == 1 ? NULL : read_all(path);
        const char *kept = "";
        size_t len = 0;

        if (!line)
                return -ENOMEM;
        if (old)
                kept = newest(old, count, &len);
        return write_document(path, summary, kept, len, line);
}

int healthlog_clear(const char *path, const struct health_summary *summary)
{
        return write_document(path, summary, "", 0, "");
}
