/* podlike-layer unpack: read a layer from stdin, write its files beneath a directory, say what it was.
 *
 * One line of JSON on stdout: {"diff_id","size","entries","skipped_devices","skipped_xattrs"} and exit 0, or
 * {"error","errno"} and exit 1 (2: wrong usage). What a failed run left in the directory is the caller's to remove.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "layer.h"
#include "util.h"

struct options {
        const char *dest;
        const char *diff_id;
        const char *xattr; /* user, trusted, or NULL: by the user namespace */
        uint64_t max_size;
};

static int usage(void)
{
        (void) fputs(
                "usage: podlike-layer unpack --dest DIR [--diff-id sha256:HEX] [--max-size BYTES] [--xattr user|trusted]\n",
                stderr);
        return 2;
}

/* Length of the valid UTF-8 sequence at p, 0 if there is none (RFC 3629). */
static size_t utf8_len(const unsigned char *p)
{
        size_t n = p[0] < 0x80                             ? 1
                   : (p[0] & 0xe0) == 0xc0 && p[0] >= 0xc2 ? 2
                   : (p[0] & 0xf0) == 0xe0                 ? 3
                   : (p[0] & 0xf8) == 0xf0 && p[0] <= 0xf4 ? 4
                                                           : 0;

        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return n;
}

/* Names in a layer are bytes; what is no UTF-8 becomes U+FFFD. */
static void print_json_text(const char *text)
{
        const unsigned char *p = (const unsigned char *) text;

        while (*p != '\0') {
                size_t n = utf8_len(p);

                if (n == 0)
                        (void) printf("\\ufffd");
                else if (*p == '"' || *p == '\\')
                        (void) printf("\\%c", *p);
                else if (*p < 0x20 || *p == 0x7f)
                        (void) printf("\\u%04x", *p);
                else
                        (void) fwrite(p, 1, n, stdout);
                p += n ? n : 1;
        }
}

static int report_error(const spawn_error *e)
{
        (void) printf("{\"error\":\"");
        print_json_text(e->stage);
        (void) printf(" ");
        print_json_text(e->text);
        (void) printf("\",\"errno\":%d}\n", e->code);
        (void) fflush(stdout);
        return 1;
}

static bool in_initial_userns(void)
{
        _cleanup_close_ int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
        char buf[128] = "";
        unsigned inside, outside, count;
        ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

        return n > 0 && sscanf(buf, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
               count == UINT32_MAX;
}

static int unpack(const struct options *o, struct layer_result *result, char ret_hex[65], spawn_error *reterr)
{
        _cleanup_close_ int root = open(o->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct layer_stream *stream = NULL;
        bool initial = in_initial_userns();
        bool trusted = o->xattr ? strcmp(o->xattr, "trusted") == 0 : initial;
        int r;

        if (root < 0)
                return spawn_err(reterr, errno, "open directory", "%s: %s", o->dest, strerror(errno));
        r = layer_stream_open(STDIN_FILENO, o->max_size, &stream, reterr);
        if (r < 0)
                return r;
        r = layer_extract(stream, root, initial, trusted ? "trusted.overlay.opaque" : "user.overlay.opaque", result,
                          reterr);
        if (r < 0)
                return r;
        r = layer_stream_finish(stream, ret_hex, reterr);
        if (r < 0)
                return r;
        if (o->diff_id != NULL && strcmp(o->diff_id, ret_hex) != 0)
                return spawn_err(reterr, EBADMSG, "verify layer",
                                 "its content has the digest sha256:%s, expected sha256:%s", ret_hex, o->diff_id);
        return 0;
}

static bool parse_diff_id(const char *arg, const char **ret)
{
        if (strncmp(arg, "sha256:", 7) != 0 || strlen(arg) != 7 + 64 || strspn(arg + 7, "0123456789abcdef") != 64)
                return false;
        *ret = arg + 7;
        return true;
}

static bool parse_size(const char *arg, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(arg, &end, 10);
        return errno == 0 && *arg >= '0' && *arg <= '9' && *end == '\0';
}

static bool parse_options(int argc, char **argv, struct options *o)
{
        static const struct option longs[] = {
                {"dest", required_argument, NULL, 'd'},
                {"diff-id", required_argument, NULL, 'i'},
                {"max-size", required_argument, NULL, 'm'},
                {"xattr", required_argument, NULL, 'x'},
                {NULL, 0, NULL, 0},
        };
        bool good = true;
        int c;

        while (good && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
                switch (c) {
                case 'd':
                        o->dest = optarg;
                        break;
                case 'i':
                        good = parse_diff_id(optarg, &o->diff_id);
                        break;
                case 'm':
                        good = parse_size(optarg, &o->max_size);
                        break;
                case 'x':
                        o->xattr = optarg;
                        good = strcmp(optarg, "user") == 0 || strcmp(optarg, "trusted") == 0;
                        break;
                default:
                        good = false;
                }
        }
        return good && optind == argc && o->dest != NULL;
}

int main(int argc, char **argv)
{
        struct options o = {.max_size = LAYER_DEFAULT_MAX_SIZE};
        struct layer_result result = {0};
        spawn_error error = {0};
        char hex[65];

        if (argc < 2 || strcmp(argv[1], "unpack") != 0 || !parse_options(argc - 1, argv + 1, &o))
                return usage();
        (void) umask(0);
        (void) fcntl(STDIN_FILENO, F_SETPIPE_SZ, 1 << 20); /* fewer wake-ups; refused for files, which is fine */
        if (unpack(&o, &result, hex, &error) < 0)
                _exit(report_error(&error)); /* the reading thread may still be at work */
        (void) printf("{\"diff_id\":\"sha256:%s\",\"size\":%" PRIu64 ",\"entries\":%" PRIu64
                      ",\"skipped_devices\":%" PRIu64 ",\"skipped_xattrs\":%" PRIu64 "}\n",
                      hex, result.size, result.entries, result.skipped_devices, result.skipped_xattrs);
        return fflush(stdout) == 0 ? 0 : 1;
}
