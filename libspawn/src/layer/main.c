/* podlike-layer unpack: read a layer from stdin, write its files beneath a directory, say what it was.
 * podlike-layer pack: write a directory, or the upper directory of an overlay, to stdout as a layer.
 *
 * One line of JSON on stdout: {"diff_id","size","entries","skipped_devices","skipped_xattrs"} and exit 0, or
 * {"error","errno"} and exit 1 (2: wrong usage). What a failed run left in the directory is the caller's to remove.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "layer.h"
#include "pack.h"
#include "util.h"

#define MAX_EXCLUDED 16u /* names of the directory that is packed */

struct options {
        const char *dest; /* of unpack; of pack the source */
        const char *diff_id;
        const char *xattr; /* user, trusted, or NULL: by the user namespace */
        uint64_t max_size, max_entries;
        bool ignore_owners, sync, plain, keep_kinds;
        struct layer_owners owners;
        const char *exclude[MAX_EXCLUDED];
        struct pack_how pack;
};

static int usage(void)
{
        (void) fputs(
                "usage: podlike-layer unpack --dest DIR [--diff-id sha256:HEX] [--max-size BYTES] [--max-entries N]\n"
                "                            [--xattr user|trusted] [--ignore-chown-errors] [--sync]\n"
                "                            [--plain] [--keep-kinds] [OWNERS]\n"
                "       podlike-layer pack --source DIR|FILE [--root-entry] [--no-holes] [--plain] [--skip-unreadable] [--live]\n"
                "                          [--marks] [--prefix NAME] [--exclude NAME]... [OWNERS]    (the verdict goes to stderr)\n"
                "OWNERS: --owner UID:GID, or --map-uids FROM:TO:COUNT,... --map-gids FROM:TO:COUNT,...\n",
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
static void print_json_text(FILE *out, const char *text)
{
        const unsigned char *p = (const unsigned char *) text;

        while (*p != '\0') {
                size_t n = utf8_len(p);

                if (n == 0)
                        (void) fprintf(out, "\\ufffd");
                else if (*p == '"' || *p == '\\')
                        (void) fprintf(out, "\\%c", *p);
                else if (*p < 0x20 || *p == 0x7f)
                        (void) fprintf(out, "\\u%04x", *p);
                else
                        (void) fwrite(p, 1, n, out);
                p += n ? n : 1;
        }
}

static int report_error(FILE *out, const spawn_error *e)
{
        (void) fprintf(out, "{\"error\":\"");
        print_json_text(out, e->stage);
        (void) fprintf(out, " ");
        print_json_text(out, e->text);
        (void) fprintf(out, "\",\"errno\":%d}\n", e->code);
        (void) fflush(out);
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

/* One syncfs(2) costs less than an fsync(2) of each of many small files. */
static int sync_layer(const char *dest, spawn_error *reterr)
{
        _cleanup_close_ int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0 && syncfs(fd) == 0)
                return 0;
        return spawn_err(reterr, errno, "sync", "%s: %s", dest, strerror(errno));
}

static int unpack(const struct options *o, struct layer_result *result, char ret_hex[65], spawn_error *reterr)
{
        _cleanup_close_ int root = open(o->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct layer_stream *stream = NULL;
        bool initial = in_initial_userns();
        bool trusted = o->xattr ? strcmp(o->xattr, "trusted") == 0 : initial;
        const struct layer_how how = {
                .opaque_xattr = trusted ? "trusted.overlay.opaque" : "user.overlay.opaque",
                .max_size = o->max_size,
                .max_entries = o->max_entries,
                .initial_userns = initial,
                .ignore_owners = o->ignore_owners,
                .plain = o->plain,
                .keep_kinds = o->keep_kinds,
                .owners = o->owners,
        };
        int r;

        if (root < 0)
                return spawn_err(reterr, errno, "open directory", "%s: %s", o->dest, strerror(errno));
        r = layer_stream_open(STDIN_FILENO, o->max_size, !o->plain, &stream, reterr);
        if (r < 0)
                return r;
        r = layer_extract(stream, root, &how, result, reterr);
        if (r < 0)
                return r;
        r = layer_stream_finish(stream, ret_hex, reterr);
        if (r < 0)
                return r;
        if (o->diff_id != NULL && strcmp(o->diff_id, ret_hex) != 0)
                return spawn_err(reterr, EBADMSG, "verify layer",
                                 "its content has the digest sha256:%s, expected sha256:%s", ret_hex, o->diff_id);
        return o->sync ? sync_layer(o->dest, reterr) : 0;
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

/* What packing and unpacking say in the same way. */
#define SHARED_OPTIONS                                                                                                 \
        {"map-gids", required_argument, NULL, 'G'}, {"map-uids", required_argument, NULL, 'U'},                        \
                {"owner", required_argument, NULL, 'O'},                                                               \
        {                                                                                                              \
                "plain", no_argument, NULL, 'P'                                                                        \
        }

static bool parse_shared(int c, struct options *o)
{
        switch (c) {
        case 'G':
                return layer_ids_parse(optarg, &o->owners.gids);
        case 'U':
                return layer_ids_parse(optarg, &o->owners.uids);
        case 'O':
                return layer_owners_parse(optarg, &o->owners);
        case 'P':
                o->plain = true;
                return true;
        default:
                return false;
        }
}

static bool parse_unpack(int argc, char **argv, struct options *o)
{
        static const struct option longs[] = {
                {"dest", required_argument, NULL, 'd'},
                {"diff-id", required_argument, NULL, 'i'},
                {"ignore-chown-errors", no_argument, NULL, 'c'},
                {"max-entries", required_argument, NULL, 'n'},
                {"max-size", required_argument, NULL, 'm'},
                {"sync", no_argument, NULL, 's'},
                {"xattr", required_argument, NULL, 'x'},
                {"keep-kinds", no_argument, NULL, 'k'},
                SHARED_OPTIONS,
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
                case 'n':
                        good = parse_size(optarg, &o->max_entries);
                        break;
                case 'c':
                        o->ignore_owners = true;
                        break;
                case 's':
                        o->sync = true;
                        break;
                case 'x':
                        o->xattr = optarg;
                        good = strcmp(optarg, "user") == 0 || strcmp(optarg, "trusted") == 0;
                        break;
                case 'k':
                        o->keep_kinds = true;
                        break;
                default:
                        good = parse_shared(c, o);
                }
        }
        return good && optind == argc && o->dest != NULL;
}

static bool parse_pack(int argc, char **argv, struct options *o)
{
        static const struct option longs[] = {
                {"exclude", required_argument, NULL, 'e'},
                {"live", no_argument, NULL, 'l'},
                {"marks", no_argument, NULL, 'm'},
                {"no-holes", no_argument, NULL, 'h'},
                {"prefix", required_argument, NULL, 'p'},
                {"root-entry", no_argument, NULL, 'r'},
                {"skip-unreadable", no_argument, NULL, 'u'},
                {"source", required_argument, NULL, 's'},
                SHARED_OPTIONS,
                {NULL, 0, NULL, 0},
        };
        bool good = true;
        int c;

        o->pack.holes = true;
        while (good && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
                switch (c) {
                case 'h':
                        o->pack.holes = false;
                        break;
                case 'r':
                        o->pack.root_entry = true;
                        break;
                case 's':
                        o->dest = optarg;
                        break;
                case 'e':
                        good = o->pack.n_exclude < MAX_EXCLUDED;
                        if (good)
                                o->exclude[o->pack.n_exclude++] = optarg;
                        break;
                case 'l':
                        o->pack.live = true;
                        break;
                case 'm':
                        o->pack.marks = true;
                        break;
                case 'p':
                        o->pack.prefix = optarg;
                        good = *optarg != '\0' && strlen(optarg) <= NAME_MAX && strchr(optarg, '/') == NULL;
                        break;
                case 'u':
                        o->pack.skip_unreadable = true;
                        break;
                default:
                        good = parse_shared(c, o);
                }
        }
        o->pack.exclude = o->exclude;
        o->pack.plain = o->plain;
        o->pack.owners = o->owners;
        return good && optind == argc && o->dest != NULL;
}

static int run_unpack(const struct options *o)
{
        struct layer_result result = {0};
        spawn_error error = {0};
        char hex[65];

        (void) umask(0);
        (void) fcntl(STDIN_FILENO, F_SETPIPE_SZ, 1 << 20); /* fewer wake-ups; refused for files, which is fine */
        if (unpack(o, &result, hex, &error) < 0)
                _exit(report_error(stdout, &error)); /* the reading thread may still be at work */
        (void) printf("{\"diff_id\":\"%s%s\",\"size\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"skipped_devices\":%" PRIu64
                      ",\"skipped_owners\":%" PRIu64 ",\"skipped_xattrs\":%" PRIu64 "}\n",
                      hex[0] ? "sha256:" : "", hex, result.size, result.entries, result.skipped_devices,
                      result.skipped_owners, result.skipped_xattrs);
        return fflush(stdout) == 0 ? 0 : 1;
}

/* A directory is open for each level of the tree. */
static void allow_many_files(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int run_pack(const struct options *o)
{
        _cleanup_close_ int root = open(o->dest, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        struct pack_result result = {0};
        spawn_error error = {0};
        char hex[65];
        int r;

        allow_many_files();
        (void) fcntl(STDOUT_FILENO, F_SETPIPE_SZ, 1 << 20);
        r = root < 0 ? spawn_err(&error, errno, "open", "%s: %s", o->dest, strerror(errno))
                     : layer_pack(root, STDOUT_FILENO, &o->pack, &result, hex, &error);
        if (r < 0)
                return report_error(stderr, &error);
        (void) fprintf(stderr,
                       "{\"diff_id\":\"%s%s\",\"size\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"skipped_sockets\":%" PRIu64
                       ",\"skipped_unreadable\":%" PRIu64 "}\n",
                       hex[0] ? "sha256:" : "", hex, result.size, result.entries, result.skipped_sockets,
                       result.skipped_unreadable);
        return 0;
}

int main(int argc, char **argv)
{
        struct options o = {.max_size = LAYER_DEFAULT_MAX_SIZE, .max_entries = LAYER_MAX_ENTRIES};

        if (argc > 1 && strcmp(argv[1], "unpack") == 0 && parse_unpack(argc - 1, argv + 1, &o))
                return run_unpack(&o);
        if (argc > 1 && strcmp(argv[1], "pack") == 0 && parse_pack(argc - 1, argv + 1, &o))
                return run_pack(&o);
        return usage();
}
