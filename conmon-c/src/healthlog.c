#include "healthlog.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
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
        n = (size_t) sprintf(line, "{\"Start\": \"%s\", \"End\": \"%s\", \"ExitCode\": %d, \"Output\": \"", start, end,
                             entry->code);
        n += escape(line + n, (const unsigned char *) entry->output, entry->output ? entry->len : 0);
        memcpy(line + n, "\"}\n", 4);
        return line;
}

/* Where the newest count lines of a text begin, if it has twice as many; else its beginning. */
static const char *newest(const char *text, size_t len, int64_t count)
{
        const char *cut = text;
        int64_t n = 0;

        for (const char *p = text + len; p > text; p--) {
                if (p[-1] != '\n')
                        continue;
                if (n++ == count)
                        cut = p;
        }
        return n >= 2 * count ? cut : text;
}

static int compact(const char *path, int fd, int64_t count)
{
        _cleanup_free_ char *kept = NULL;
        const char *text, *cut;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size == 0)
                return 0;
        text = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (text == MAP_FAILED)
                return -errno;
        cut = newest(text, (size_t) st.st_size, count);
        if (cut != text)
                kept = strndup(cut, (size_t) (text + st.st_size - cut));
        (void) munmap((void *) text, (size_t) st.st_size);
        return kept ? write_file_atomic(path, kept) : 0;
}

int healthlog_add(const char *path, const struct health_entry *entry, int64_t count)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        _cleanup_free_ char *line = fd < 0 ? NULL : healthlog_line(entry);
        int r;

        if (!line)
                return fd < 0 ? -errno : -ENOMEM;
        r = write_all(fd, line, strlen(line));
        return r == 0 && count > 0 ? compact(path, fd, count) : r;
}

int healthlog_clear(const char *path)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd < 0 ? -errno : 0;
}
