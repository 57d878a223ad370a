#include "syncpipe.h"

#include <fcntl.h>
#include <string.h>

#include "message.h"

int sync_fd_from_env(const char *name)
{
        const char *value = getenv(name);
        char *end = NULL;
        long fd;

        if (!value)
                return -1;
        errno = 0;
        fd = strtol(value, &end, 10);
        if (errno != 0 || *value == '\0' || *end != '\0' || fd < 0 || fd > INT32_MAX) {
                msg_error("unable to parse %s", name);
                return -EINVAL;
        }
        if (fcntl((int) fd, F_SETFD, FD_CLOEXEC) < 0) {
                msg_error("unable to make %s CLOEXEC: %s", name, strerror(errno));
                return -EBADF;
        }
        /* Neither the runtime nor the exit command may take the number for one of theirs. */
        (void) unsetenv(name);
        return (int) fd;
}

char *sync_escape(const char *s)
{
        static const char hex[] = "0123456789abcdef";
        char *out = malloc(6 * strlen(s) + 1), *p = out;

        if (!out)
                return NULL;
        for (; *s; s++) {
                static const char from[] = "\\\"/\n\r\t\b\f", to[] = "\\\"/nrtbf";
                const char *plain = strchr(from, *s);
                unsigned char c = (unsigned char) *s;

                if (plain) {
                        *p++ = '\\';
                        *p++ = to[plain - from];
                } else if (c < 0x20 || c == 0x7f) {
                        memcpy(p, "\\u00", 4);
                        p[4] = hex[c >> 4];
                        p[5] = hex[c & 15];
                        p += 6;
                } else {
                        *p++ = *s;
                }
        }
        *p = '\0';
        return out;
}

void sync_report(int *fd, const struct options *opt, int value, const char *message)
{
        const char *key = opt->api_version ? "data" : opt->exec ? "exit_code" : "pid";
        _cleanup_free_ char *escaped = message && *message ? sync_escape(message) : NULL;
        _cleanup_free_ char *json = NULL;
        int r;

        if (*fd < 0)
                return;
        json = escaped ? format("{\"%s\": %d, \"message\": \"%s\"}\n", key, value, escaped)
                       : format("{\"%s\": %d}\n", key, value);
        r = json ? write_all(*fd, json, strlen(json)) : -ENOMEM;
        if (r == 0)
                return;
        if (r != -EPIPE)
                msg_warn("Unable to report to the caller: %s", strerror(-r));
        close_p(fd);
}
