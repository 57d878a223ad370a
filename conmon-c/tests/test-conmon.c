/* Unit tests of the monitor's parts. `test-conmon NAME` runs one of them. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach.h"
#include "check.h"
#include "ctl.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "oom.h"
#include "options.h"
#include "relay.h"
#include "runtime.h"
#include "sdnotify.h"
#include "syncpipe.h"
#include "util.h"

/* --- options --- */

static int parse(struct options *opt, char *why, char **argv)
{
        int argc = 0;

        while (argv[argc])
                argc++;
        return options_parse(opt, argc, argv, why, 200);
}

#define PARSE(opt, why, ...) parse(opt, why, (char *[]){"conmon", __VA_ARGS__, NULL})

static void options_spellings(void)
{
        struct options opt;
        char why[200] = "";

        CHECK_INT(PARSE(&opt, why, "--cid=a", "--cuuid", "b", "-n", "c", "-rd", "-it", "--api-version", "1", "--exit-command-arg", "",
                        "--exit-command-arg", "--rm", "--log-size-max=1048576", "-T", "0x10", "-l", "x", "-ly"), 0);
        CHECK_STR(opt.cid, "a");
        CHECK_STR(opt.cuuid, "b");
        CHECK_STR(opt.name, "c");
        CHECK_STR(opt.runtime, "d");
        CHECK(opt.stdin_open && opt.terminal && opt.api_version);
        CHECK_INT(opt.exit_args.n, 2);
        CHECK_STR(opt.exit_args.v[0], "");
        CHECK_STR(opt.exit_args.v[1], "--rm");
        CHECK(opt.exit_args.v[2] == NULL);
        CHECK_INT(opt.log_size_max, 1048576);
        CHECK_INT(opt.timeout, 16);
        CHECK_INT(opt.log_paths.n, 2);
        CHECK_STR(opt.log_paths.v[1], "y");
        options_done(&opt);
}

static void options_defaults(void)
{
        struct options opt;
        char why[200] = "";

        CHECK_INT(PARSE(&opt, why, "--", "--cid", "x"), 0);
        CHECK(opt.cid == NULL);
        CHECK(!opt.api_version && !opt.exec && !opt.terminal);
        CHECK_INT(opt.log_max_files, 1);
        CHECK_INT(opt.log_size_max, -1);
        CHECK_STR(opt.socket_dir, "/var/run/crio");
        options_done(&opt);
}

static void options_aliases(void)
{
        struct options opt;
        char why[200] = "";

        CHECK_INT(PARSE(&opt, why, "--pidfile", "p", "--restore-arg", "r", "-0", "dir"), 0);
        CHECK_STR(opt.container_pidfile, "p");
        CHECK_STR(opt.runtime_opts.v[0], "r");
        CHECK_STR(opt.persist_dir, "dir");
        options_done(&opt);
}

static void options_errors(void)
{
        static const struct {
                const char *word, *value, *want;
        } cases[] = {
                {"--nope", NULL, "Unknown option --nope"},
                {"--ci", "x", "Unknown option --ci"},
                {"--sync=1", NULL, "Unknown option --sync=1"},
                {"-ix", NULL, "Unknown option -ix"},
                {"--cid", NULL, "Missing argument for --cid"},
                {"-c", NULL, "Missing argument for -c"},
                {"--timeout=", NULL, "Cannot parse integer value \xe2\x80\x9c\xe2\x80\x9d for --timeout"},
                {"--timeout", "1s", "Cannot parse integer value \xe2\x80\x9c" "1s\xe2\x80\x9d for --timeout"},
                {"--timeout", "2147483648", "Integer value \xe2\x80\x9c" "2147483648\xe2\x80\x9d for --timeout out of range"},
                {"--log-size-max", "9223372036854775808",
                 "Integer value \xe2\x80\x9c" "9223372036854775808\xe2\x80\x9d for --log-size-max out of range"},
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct options opt;
                char why[200] = "";

                CHECK(PARSE(&opt, why, (char *)cases[i].word, (char *)cases[i].value) < 0);
                CHECK_STR(why, cases[i].want);
                options_done(&opt);
        }
}

/* --- log specs --- */

static void log_specs(void)
{
        static const struct {
                const char *spec, *driver, *path;
                int kind, result;
        } cases[] = {
                {"/var/log/x", "k8s-file", "/var/log/x", LOG_DRIVER, 0},
                {":x", "k8s-file", "x", LOG_DRIVER, 0},
                {":journald", "k8s-file", "journald", LOG_DRIVER, 0},
                {"k8s-file:/a:b", "k8s-file", "/a:b", LOG_DRIVER, 0},
                {"json-file:/a", "json-file", "/a", LOG_DRIVER, 0},
                {"journald", "journald", "", LOG_DRIVER, 0},
                {"journald:ignored", "journald", "ignored", LOG_DRIVER, 0},
                {"none", NULL, NULL, LOG_NOTHING, 0},
                {"off:", NULL, NULL, LOG_NOTHING, 0},
                {"null:x", NULL, NULL, LOG_NOTHING, 0},
                {"passthrough", NULL, NULL, LOG_PASSTHROUGH, 0},
                {"", NULL, NULL, 0, -EINVAL},
                {":", NULL, NULL, 0, -EINVAL},
                {"k8s-file", NULL, NULL, 0, -EINVAL},
                {"json-file:", NULL, NULL, 0, -EINVAL},
                {"nones:", NULL, NULL, 0, -EINVAL},
                {"/a:b", NULL, NULL, 0, -EINVAL},
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                const struct log_driver *driver;
                enum log_kind kind;
                const char *path;

                CHECK_INT(log_parse_spec(cases[i].spec, &kind, &driver, &path), cases[i].result);
                if (cases[i].result < 0)
                        continue;
                CHECK_INT(kind, cases[i].kind);
                if (!cases[i].driver)
                        continue;
                CHECK_STR(driver->name, cases[i].driver);
                CHECK_STR(path, cases[i].path);
        }
}

/* --- log files --- */

struct fixture {
        struct options opt;
        const struct log_driver *driver;
        void *state;
        char path[200];
};

static void open_log(struct fixture *f, const struct log_driver *driver)
{
        f->driver = driver;
        f->opt.cid = f->opt.cid ? f->opt.cid : "0123456789abcdef";
        (void)snprintf(f->path, sizeof(f->path), "%s/log", test_dir());
        CHECK_INT(driver->open(&f->state, f->path, &f->opt), 0);
}

/* Through a heap block of the exact size, so that the address sanitizer sees every byte too far. */
static void put_bytes(struct fixture *f, enum stream_id stream, const char *text, size_t len)
{
        char *block = malloc(len);

        CHECK(block);
        memcpy(block, text, len);
        f->driver->write(f->state, stream, block, len);
        free(block);
}

static void put(struct fixture *f, enum stream_id stream, const char *text)
{
        put_bytes(f, stream, text, strlen(text));
}

/* The part of line n of the log that starts at byte `from`; "" when there is none. */
static const char *line_of(const char *file, int n, size_t from)
{
        static char line[120000];
        const char *p = test_read(file);

        for (; n > 0 && p; n--) {
                p = strchr(p, '\n');
                p = p ? p + 1 : NULL;
        }
        (void)snprintf(line, sizeof(line), "%.*s", (int)(p ? strcspn(p, "\n") : 0), p ? p : "");
        return strlen(line) >= from ? line + from : "";
}

#define STAMP 36 /* "2024-05-01T10:20:30.123456789+02:00 " */

static void k8s_lines(void)
{
        struct fixture f = {0};

        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "one\n\ntwo");
        put(&f, STREAM_STDERR, " three\n");
        f.driver->flush(f.state);
        f.driver->close(f.state);
        CHECK_STR(line_of("log", 0, STAMP), "stdout F one");
        CHECK_STR(line_of("log", 1, STAMP), "stdout F ");
        CHECK_STR(line_of("log", 2, STAMP), "stdout P two");
        CHECK_STR(line_of("log", 3, STAMP), "stderr F  three");
        CHECK_STR(line_of("log", 4, 0), "");
}

static void k8s_zone(void)
{
        struct fixture f = {0};

        (void)setenv("TZ", "XXX+03:30", 1);
        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "x\n");
        f.driver->close(f.state);
        CHECK(strncmp(line_of("log", 0, 29), "-03:30 stdout", 13) == 0);
}

static void k8s_long_lines(void)
{
        struct fixture f = {0};
        char *text = malloc(3 * LOG_PIECE_MAX + 2);

        CHECK(text);
        memset(text, 'x', 3 * LOG_PIECE_MAX);
        open_log(&f, &log_driver_k8s);
        text[LOG_PIECE_MAX] = '\n'; /* exactly one piece: whole */
        put_bytes(&f, STREAM_STDOUT, text, LOG_PIECE_MAX + 1);
        text[LOG_PIECE_MAX] = 'x';
        text[3 * LOG_PIECE_MAX] = '\n';
        put_bytes(&f, STREAM_STDOUT, text, 3 * LOG_PIECE_MAX + 1);
        f.driver->close(f.state);
        CHECK_INT(strlen(line_of("log", 0, STAMP)), 9 + LOG_PIECE_MAX);
        CHECK(strncmp(line_of("log", 0, STAMP), "stdout F ", 9) == 0);
        CHECK(strncmp(line_of("log", 1, STAMP), "stdout P x", 10) == 0);
        CHECK(strncmp(line_of("log", 2, STAMP), "stdout P x", 10) == 0);
        CHECK(strncmp(line_of("log", 3, STAMP), "stdout F x", 10) == 0);
        CHECK_STR(line_of("log", 4, 0), "");
        free(text);
}

static void log_truncates(void)
{
        struct fixture f = {.opt.log_size_max = 200};
        struct stat st;

        open_log(&f, &log_driver_k8s);
        for (int i = 0; i < 100; i++) {
                char text[20];

                (void)snprintf(text, sizeof(text), "line %d\n", i);
                put(&f, STREAM_STDOUT, text);
                CHECK(stat(f.path, &st) == 0 && st.st_size > 0 && st.st_size <= 200);
        }
        put(&f, STREAM_STDOUT, "a line that is so long that the limit does not have room for it, whatever is done about it: "
                               "a line that is so long that the limit does not have room for it, whatever is done about it\n");
        CHECK(stat(f.path, &st) == 0 && st.st_size > 200);
        put(&f, STREAM_STDOUT, "end\n");
        f.driver->close(f.state);
        CHECK_STR(line_of("log", 0, STAMP), "stdout F end");
}

static void log_rotates(void)
{
        struct fixture f = {.opt = {.log_size_max = 160, .log_rotate = true, .log_max_files = 3}};

        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n");
        f.driver->close(f.state);
        CHECK_STR(line_of("log.3", 0, STAMP), "stdout F a");
        CHECK_STR(line_of("log.3", 2, STAMP), "stdout F c");
        CHECK_STR(line_of("log.1", 0, STAMP), "stdout F g");
        CHECK_STR(line_of("log", 1, STAMP), "stdout F k");
        CHECK_STR(test_read("log.4"), "");
}

static void log_is_locked(void)
{
        struct fixture f = {.opt = {.log_size_max = 100, .log_rotate = true, .log_max_files = 1}};
        int fd;

        open_log(&f, &log_driver_k8s);
        fd = open(f.path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
        put(&f, STREAM_STDOUT, "a\nb\nc\n");
        CHECK_STR(test_read("log.1"), "");
        CHECK(strlen(test_read("log")) <= 100);
        close(fd);
        put(&f, STREAM_STDOUT, "d\ne\nf\n");
        CHECK(*test_read("log.1") != '\0');
        f.driver->close(f.state);
}

static void log_allowlist(void)
{
        char *dirs[] = {"/usr", NULL};
        struct fixture f = {.opt = {.log_size_max = 100, .log_rotate = true, .log_max_files = 1,
                                    .log_allowlist_dirs = {dirs, 1}}};

        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "a\nb\nc\n");
        CHECK_STR(test_read("log.1"), "");
        dirs[0] = (char *)test_dir();
        put(&f, STREAM_STDOUT, "d\ne\nf\n");
        CHECK(*test_read("log.1") != '\0');
        f.driver->close(f.state);
}

static void log_reopens(void)
{
        struct fixture f = {0};
        char old[220];

        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "old\n");
        (void)snprintf(old, sizeof(old), "%s.old", f.path);
        CHECK(rename(f.path, old) == 0);
        f.driver->reopen(f.state);
        put(&f, STREAM_STDOUT, "new\n");
        f.driver->trim(f.state);
        put(&f, STREAM_STDOUT, "newer\n");
        f.driver->close(f.state);
        CHECK_STR(line_of("log.old", 0, STAMP), "stdout F old");
        CHECK_STR(line_of("log", 0, STAMP), "stdout F new");
        CHECK_STR(line_of("log", 1, STAMP), "stdout F newer");
}

/* The value of "log" in line n of a json log. */
static const char *json_text(int n)
{
        static char text[120000];
        const char *line = line_of("log", n, 0), *end = strstr(line, "\",\"stream\"");

        CHECK(strncmp(line, "{\"log\":\"", 8) == 0 && end);
        (void)snprintf(text, sizeof(text), "%.*s", (int)(end - line - 8), line + 8);
        return text;
}

static void json_escapes(void)
{
        struct fixture f = {0};

        open_log(&f, &log_driver_json);
        put_bytes(&f, STREAM_STDERR, "a\t\"\\\0\x1b\x7f/\b\f\r\n", 12);
        put(&f, STREAM_STDOUT, "\xc3\xa4 \xff \xe2\x82\xac \xed\xa0\x80 \xf0\x9f\x98\x80\n");
        f.driver->close(f.state);
        CHECK_STR(json_text(0), "a\\t\\\"\\\\\\u0000\\u001b\\u007f/\\b\\f\\r\\n");
        CHECK(strstr(line_of("log", 0, 0), "\"stream\":\"stderr\""));
        CHECK_STR(json_text(1), "\xc3\xa4 \\ufffd \xe2\x82\xac \\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80\\n");
}

static void json_cut_characters(void)
{
        struct fixture f = {0};

        open_log(&f, &log_driver_json);
        put(&f, STREAM_STDOUT, "x\xe2\x82");
        put(&f, STREAM_STDERR, "y\xf0\x9f\x98");
        put(&f, STREAM_STDOUT, "\xac\n");
        put(&f, STREAM_STDERR, "\x80");
        put(&f, STREAM_STDERR, "\xc3");
        f.driver->flush(f.state);
        f.driver->close(f.state);
        CHECK_STR(json_text(0), "x\xe2\x82\xac\\n"); /* an entry a line, as docker has it */
        CHECK_STR(json_text(1), "y\xf0\x9f\x98\x80\\ufffd");
        CHECK_STR(line_of("log", 2, 0), "");
}

#define JSON_PIECE 16384

static void json_long_lines(void)
{
        struct fixture f = {0};
        char *text = malloc(2 * JSON_PIECE + 1);

        CHECK(text);
        memset(text, 'x', 2 * JSON_PIECE);
        memcpy(text + JSON_PIECE - 1, "\xe2\x82\xac", 3); /* across the end of a piece */
        text[2 * JSON_PIECE] = '\n';
        open_log(&f, &log_driver_json);
        put_bytes(&f, STREAM_STDOUT, text, 2 * JSON_PIECE + 1); /* in one go */
        put_bytes(&f, STREAM_STDERR, text, JSON_PIECE - 100);
        put_bytes(&f, STREAM_STDERR, text + JSON_PIECE - 100, 101);
        put_bytes(&f, STREAM_STDERR, text + JSON_PIECE + 1, JSON_PIECE);
        f.driver->close(f.state);
        for (int i = 0; i < 6; i += 3) {
                CHECK_INT(strlen(json_text(i)), JSON_PIECE - 1);
                CHECK_INT(strlen(json_text(i + 1)), JSON_PIECE);
                CHECK(strncmp(json_text(i + 1), "\xe2\x82\xacx", 4) == 0);
                CHECK_STR(json_text(i + 2), "x\\n");
        }
        CHECK_STR(line_of("log", 6, 0), "");
        free(text);
}

static void json_attributes(void)
{
        char *labels[] = {"b.c=1 \"2\"", "a=", NULL}, *bad[] = {"a", NULL};
        struct fixture f = {.opt = {.log_tag = "t", .log_labels = {labels, 2}}};

        open_log(&f, &log_driver_json);
        put(&f, STREAM_STDOUT, "x\n");
        f.driver->close(f.state);
        CHECK(strstr(line_of("log", 0, 0),
                     "\",\"stream\":\"stdout\",\"attrs\":{\"b.c\":\"1 \\\"2\\\"\",\"a\":\"\",\"tag\":\"t\"},\"time\":\"2"));
        f.opt.log_labels = (struct strlist){bad, 1};
        CHECK_INT(log_driver_json.open(&f.state, f.path, &f.opt), -EINVAL);
}

static void json_worst_case(void)
{
        struct fixture f = {0};
        char *text = calloc(1, 4 * JSON_PIECE);

        CHECK(text);
        open_log(&f, &log_driver_json);
        put_bytes(&f, STREAM_STDOUT, text, 4 * JSON_PIECE); /* each NUL becomes six bytes */
        f.driver->close(f.state);
        for (int i = 0; i < 4; i++)
                CHECK_INT(strlen(json_text(i)), 6 * JSON_PIECE);
        free(text);
}

/* --- journald --- */

static int journal_label(const char *label)
{
        char *labels[] = {(char *)label, NULL};
        struct options opt = {.cid = "0123456789abcdef", .log_labels = {labels, 1}};
        void *state;
        int r = log_driver_journald.open(&state, "", &opt);

        if (r == 0)
                log_driver_journald.close(state);
        return r;
}

static void journal_labels(void)
{
        CHECK_INT(journal_label("A_1=x"), 0);
        CHECK_INT(journal_label("A=two\nlines"), 0);
        CHECK_INT(journal_label("A="), 0);
        CHECK_INT(journal_label("=x"), -EINVAL);
        CHECK_INT(journal_label("A"), -EINVAL);
        CHECK_INT(journal_label("A=b=c"), -EINVAL);
        CHECK_INT(journal_label("a=b"), -EINVAL);
}

static void __attribute__((format(printf, 2, 3))) put_file(const char *path, const char *fmt, ...)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        va_list ap;

        va_start(ap, fmt);
        if (fd >= 0) {
                (void)vdprintf(fd, fmt, ap);
                close(fd);
        }
        va_end(ap);
}

/* A name space in which we may put a socket at the journal's path; false where that is not allowed. */
static bool private_run(void)
{
        uid_t uid = getuid();
        gid_t gid = getgid();

        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return false;
        put_file("/proc/self/setgroups", "deny");
        put_file("/proc/self/uid_map", "0 %u 1", uid);
        put_file("/proc/self/gid_map", "0 %u 1", gid);
        return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("run", "/run", "tmpfs", 0, NULL) == 0 &&
               mkdir("/run/systemd", 0700) == 0 && mkdir("/run/systemd/journal", 0700) == 0;
}

/* Whether an entry has this field, "NAME=value\n". */
static bool has(const char *entry, size_t len, const char *field)
{
        return memmem(entry, len, field, strlen(field)) != NULL;
}

static void journal_entries(void)
{
        static const struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
        char *labels[] = {"A=x\ny", NULL};
        static char big[3 * LOG_PIECE_MAX], entry[65536];
        struct fixture f = {.opt = {.name = "nm", .log_tag = "tag", .log_labels = {labels, 1}}};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ssize_t n;

        if (!private_run() || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
                printf("# skipped: no user namespaces here\n");
                close(fd);
                return;
        }
        open_log(&f, &log_driver_journald);
        put(&f, STREAM_STDOUT, "whole\n<4>pri");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(n > 0 && entry[n - 1] == '\n');
        CHECK(has(entry, (size_t)n, "\nMESSAGE=whole\n"));
        CHECK(has(entry, (size_t)n, "\nPRIORITY=6\n"));
        CHECK(has(entry, (size_t)n, "CONTAINER_ID_FULL=0123456789abcdef\nCONTAINER_ID=0123456789ab\n"));
        CHECK(has(entry, (size_t)n, "\nCONTAINER_NAME=nm\nCONTAINER_TAG=tag\nSYSLOG_IDENTIFIER=tag\n"));
        CHECK(memmem(entry, (size_t)n, "\nA\n\3\0\0\0\0\0\0\0x\ny\n", 15));
        CHECK(!has(entry, (size_t)n, "CONTAINER_PARTIAL_MESSAGE"));
        CHECK_INT(recv(fd, entry, sizeof(entry), 0), -1); /* the rest of its line is waited for */
        put(&f, STREAM_STDERR, "other\n");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t)n, "\nPRIORITY=3\nMESSAGE=other\n"));
        put(&f, STREAM_STDOUT, "ority\n");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t)n, "\nPRIORITY=4\nMESSAGE=priority\n"));

        memset(big, 'x', sizeof(big));
        put_bytes(&f, STREAM_STDOUT, big, LOG_PIECE_MAX + 10);
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(n > LOG_PIECE_MAX && has(entry, (size_t)n, "\nCONTAINER_PARTIAL_MESSAGE=true\n"));
        put(&f, STREAM_STDOUT, "<1>no\n");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t)n, "\nPRIORITY=6\nMESSAGE=xxxxxxxxxx<1>no\n"));
        CHECK(!has(entry, (size_t)n, "CONTAINER_PARTIAL_MESSAGE"));
        put(&f, STREAM_STDERR, "unfinished");
        f.driver->flush(f.state);
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t)n, "\nMESSAGE=unfinished\nCONTAINER_PARTIAL_MESSAGE=true\n"));
        f.driver->close(f.state);
        close(fd);
}

/* --- a full disk --- */

/* Fill the disk with one driver, make room, and see what the log says; every line must be one. */
static void fill_disk(const struct log_driver *driver, char start, const char *notice)
{
        struct fixture f = {.opt = {.persist_dir = "/run/persist"}};
        static char line[1000];
        const char *text, *p;
        int fd;

        CHECK_INT(mount("disk", test_dir(), "tmpfs", 0, "size=64k"), 0);
        open_log(&f, driver);
        fd = open(strcat(strcpy(line, f.path), ".ballast"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK_INT(ftruncate(fd, 0), 0);
        CHECK_INT(write(fd, line, sizeof(line)), sizeof(line));
        memset(line, 'x', sizeof(line) - 1);
        line[sizeof(line) - 1] = '\n';
        for (int i = 0; i < 100; i++)
                put_bytes(&f, STREAM_STDOUT, line, sizeof(line));
        text = test_read("log");
        CHECK(strlen(text) > 40000 && text[strlen(text) - 1] == '\n');
        CHECK(strstr(test_read("/run/persist/log-error"), "/log: output is not being logged: No space left on device\n"));
        CHECK_INT(ftruncate(fd, 0), 0);
        close(fd);
        put(&f, STREAM_STDOUT, "there is room\n");
        f.driver->close(f.state);
        text = test_read("log");
        for (p = text; *p; p = strchr(p, '\n') + 1)
                CHECK(*p == start && strchr(p, '\n'));
        p = strstr(text, notice);
        CHECK(p && strstr(p, "there is room"));
        CHECK(strstr(test_read("/run/persist/log-error"), " lines of output could not be logged: No space left on device\n"));
        CHECK_INT(umount(test_dir()), 0);
}

static void log_full_disk(void)
{
        if (!private_run() || mkdir("/run/persist", 0700) < 0) {
                printf("# skipped: no user namespaces here\n");
                return;
        }
        fill_disk(&log_driver_k8s, '2', "stderr F podlike-conmon: ");
        fill_disk(&log_driver_json, '{', "{\"log\":\"podlike-conmon: ");
}

/* A monitor that was killed may have left half an entry. */
static void log_mends_what_is_torn(void)
{
        struct fixture f = {0};
        FILE *old;

        (void) snprintf(f.path, sizeof(f.path), "%s/log", test_dir());
        old = fopen(f.path, "we");
        CHECK(old && fputs("2024-05-01T10:20:30.123456789+02:00 stdout F ha", old) >= 0 && fclose(old) == 0);
        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "new\n");
        put(&f, STREAM_STDOUT, "newer\n");
        f.driver->close(f.state);
        CHECK_STR(line_of("log", 0, STAMP), "stdout F ha");
        CHECK_STR(line_of("log", 1, STAMP), "stdout F new");
        CHECK_STR(line_of("log", 2, STAMP), "stdout F newer");
}

/* A rotation that failed half-way must not push out the oldest file each time it is tried again. */
static void log_rotation_is_resumed(void)
{
        struct fixture f = {.opt = {.log_rotate = true, .log_max_files = 3, .log_size_max = 60}};
        char first[220];

        open_log(&f, &log_driver_k8s);
        put_bytes(&f, STREAM_STDOUT, "one\ntwo\nthree\n", 14);
        CHECK_STR(line_of("log.2", 0, STAMP), "stdout F one");
        (void)snprintf(first, sizeof(first), "%s.1", f.path);
        CHECK_INT(unlink(first), 0);
        put(&f, STREAM_STDOUT, "four\n");
        CHECK_STR(line_of("log.2", 0, STAMP), "stdout F one");
        CHECK_STR(line_of("log.1", 0, STAMP), "stdout F three");
        /* Killed after link(2) and before rename(2). */
        CHECK_INT(unlink(first), 0);
        CHECK_INT(link(f.path, first), 0);
        put(&f, STREAM_STDOUT, "five\n");
        CHECK_STR(line_of("log.2", 0, STAMP), "stdout F one");
        CHECK_STR(line_of("log.1", 0, STAMP), "stdout F four");
        CHECK_STR(line_of("log", 0, STAMP), "stdout F five");
        f.driver->close(f.state);
}

/* --- control lines --- */

static void ctl_messages(void)
{
        static const struct {
                const char *line;
                int kind, height, width;
        } cases[] = {
                {"1 24 80", CTL_RESIZE, 24, 80}, {"1 0010 0020", CTL_RESIZE, 10, 20}, {"1 2 2 3", CTL_RESIZE, 2, 2},
                {"  1\t0 1000", CTL_RESIZE, 0, 1000}, {"2 0 0", CTL_REOPEN, 0, 0}, {"2 1 1", CTL_REOPEN, 1, 1},
                {"", CTL_INVALID}, {"foo", CTL_INVALID}, {"1", CTL_INVALID}, {"1 2", CTL_INVALID}, {"999 2 2", CTL_INVALID},
                {"0 2 2", CTL_INVALID}, {"1 -1 5", CTL_INVALID}, {"1 5 1001", CTL_INVALID}, {"1 10.5 20", CTL_INVALID},
                {"1 0x10 0x20", CTL_INVALID}, {"1 99999999999999999999 1", CTL_INVALID}, {"1 65536 1", CTL_INVALID},
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct ctl_message m = ctl_parse(cases[i].line);

                CHECK_INT(m.kind, cases[i].kind);
                CHECK_INT(m.height, cases[i].height);
                CHECK_INT(m.width, cases[i].width);
        }
        CHECK_INT(ctl_parse_size("7 8").width, 8);
        CHECK_INT(ctl_parse_size("7").kind, CTL_INVALID);
}

static char seen[4096];

static void see(void *data, const char *line)
{
        (void)data;
        CHECK(strlen(seen) + strlen(line) + 2 < sizeof(seen));
        strcat(strcat(seen, line), "|");
}

static void ctl_pieces(void)
{
        struct ctl_lines lines = {0};
        char big[1000];

        memset(big, '#', sizeof(big));
        ctl_feed(&lines, "1 2", 3, see, NULL);
        ctl_feed(&lines, "4 80\n1 5 6\n2 ", 13, see, NULL);
        ctl_feed(&lines, "0 0\n", 4, see, NULL);
        ctl_feed(&lines, big, sizeof(big), see, NULL);
        ctl_feed(&lines, "\nok\n", 4, see, NULL);
        ctl_feed(&lines, big, CTL_LINE_MAX - 1, see, NULL);
        ctl_feed(&lines, "\n", 1, see, NULL);
        CHECK(strncmp(seen, "1 24 80|1 5 6|2 0 0|ok|###", 26) == 0);
        CHECK_INT(strlen(seen), 23 + CTL_LINE_MAX);
}

/* --- the rest of the parsers --- */

static void sync_escapes(void)
{
        char *s = sync_escape("a\\\"/\n\r\t\b\f\x01\x7f\xc3\xa4");

        CHECK_STR(s, "a\\\\\\\"\\/\\n\\r\\t\\b\\f\\u0001\\u007f\xc3\xa4");
        free(s);
}

static void sync_reports(void)
{
        struct options opt = {.api_version = true};
        char buf[200] = "";
        int fds[2];

        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
        (void)signal(SIGPIPE, SIG_IGN);
        sync_report(&fds[0], &opt, -1, "no \"such\" file");
        CHECK_INT(read(fds[1], buf, sizeof(buf)), 44);
        CHECK(strncmp(buf, "{\"data\": -1, \"message\": \"no \\\"such\\\" file\"}\n", 44) == 0);
        sync_report(&fds[0], &opt, 7, "");
        CHECK_INT(read(fds[1], buf, sizeof(buf)), 12);
        opt = (struct options){.exec = true};
        sync_report(&fds[0], &opt, 7, NULL);
        CHECK_INT(read(fds[1], buf, sizeof(buf)), 17);
        close(fds[1]);
        sync_report(&fds[0], &opt, 7, NULL);
        CHECK_INT(fds[0], -1);
        sync_report(&fds[0], &opt, 7, NULL);
}

static void sync_env(void)
{
        int fd = open("/dev/null", O_RDONLY);
        char text[16];

        CHECK_INT(sync_fd_from_env("_CHECK_FD"), -1);
        (void)snprintf(text, sizeof(text), "%d", fd);
        (void)setenv("_CHECK_FD", text, 1);
        CHECK_INT(sync_fd_from_env("_CHECK_FD"), fd);
        CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
        CHECK(getenv("_CHECK_FD") == NULL);
        close(fd);
        (void)setenv("_CHECK_FD", text, 1);
        CHECK(sync_fd_from_env("_CHECK_FD") < -1);
        (void)setenv("_CHECK_FD", "x", 1);
        CHECK(sync_fd_from_env("_CHECK_FD") < -1);
        (void)setenv("_CHECK_FD", "-1", 1);
        CHECK(sync_fd_from_env("_CHECK_FD") < -1);
}

static void oom_counters(void)
{
        struct oom_counts c = oom_parse_events("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n");

        CHECK_INT(c.oom, 3);
        CHECK_INT(c.oom_kill, 4);
        c = oom_parse_events("oom_kill_disable 0\nunder_oom 1\noom_kill 2\n");
        CHECK_INT(c.oom, 1);
        CHECK_INT(c.oom_kill, 2);
        c = oom_parse_events("oom invalid\n");
        CHECK_INT(c.oom + c.oom_kill, 0);
        CHECK_INT(oom_parse_events("").oom, 0);
}

static void oom_paths(void)
{
        const char *text = "9:name=systemd:/\n4:cpu,memory:/a:b/c\n0::/user.slice/x\n";
        char *p;

        p = oom_cgroup_path(text, "");
        CHECK_STR(p, "/user.slice/x");
        free(p);
        p = oom_cgroup_path(text, "memory");
        CHECK_STR(p, "/a:b/c");
        free(p);
        CHECK(oom_cgroup_path(text, "mem") == NULL);
        CHECK(oom_cgroup_path("", "") == NULL);
        CHECK(oom_cgroup_path("garbage", "") == NULL);
}

static void notify_lines(void)
{
        static const char *const good[] = {"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger", "STATUS=",
                                           "STATUS=x", "ERRNO=2", "BUSERROR=a", "MONOTONIC_USEC=1"};
        static const char *const bad[] = {"", "READY=0", "READY=12", "MAINPID=1", "FDSTORE=1", "XSTATUS=x", "STATUS"};

        for (size_t i = 0; i < ARRAY_LEN(good); i++)
                CHECK(sdnotify_allowed(good[i], strlen(good[i])));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CHECK(!sdnotify_allowed(bad[i], strlen(bad[i])));
}

static void runtime_words(void)
{
        struct options opt;
        char why[200] = "";
        char **argv;

        CHECK_INT(PARSE(&opt, why, "-c", "ID", "-r", "R", "-b", "B", "-p", "P", "-s", "--no-pivot", "--runtime-arg", "A", "--runtime-opt",
                        "O", "-t"), 0);
        argv = runtime_argv(&opt, "SOCKET");
        static const char *const want[] = {"R", "--systemd-cgroup", "A", "create", "--bundle", "B", "--pid-file", "P", "--no-pivot",
                                           "O", "--console-socket", "SOCKET", "ID"};
        for (size_t i = 0; i < ARRAY_LEN(want); i++)
                CHECK_STR(argv[i], want[i]);
        CHECK(argv[ARRAY_LEN(want)] == NULL);
        free(argv);
        options_done(&opt);
}

static void files_are_replaced_whole(void)
{
        char path[200];

        (void)snprintf(path, sizeof(path), "%s/exit", test_dir());
        CHECK_INT(write_file_atomic(path, "137"), 0);
        CHECK_INT(write_file_atomic(path, "0"), 0);
        CHECK_STR(test_read("exit"), "0");
        CHECK(write_file_atomic("/not/there/x", "0") < 0);
}

/* --- relay and clients, without a container --- */

struct rig {
        struct loop loop;
        struct log log;
        struct input input;
        struct attach attach;
        struct relay relay;
        struct options opt;
        int out, stdin_r; /* the container's ends */
};

static void rig_up(struct rig *r, int patience)
{
        char *path = malloc(200), *log = malloc(200);
        int fds[2];

        *r = (struct rig){0};
        CHECK(path && log);
        (void)snprintf(path, 200, "%s", test_dir());
        (void)snprintf(log, 200, "k8s-file:%s/log", path);
        r->opt.bundle = path;
        r->opt.full_attach = true;
        r->opt.cid = "id";
        r->opt.log_paths.v = calloc(2, sizeof(char *));
        r->opt.log_paths.v[0] = log;
        r->opt.log_paths.n = 1;
        CHECK_INT(loop_init(&r->loop), 0);
        CHECK_INT(log_open(&r->log, &r->opt), 0);
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        set_nonblock(fds[1], true);
        input_init(&r->input, &r->loop, fds[1], INPUT_OPEN);
        r->stdin_r = fds[0];
        attach_init(&r->attach, &r->loop, &r->input);
        r->attach.patience = patience;
        relay_init(&r->relay, &r->loop, &r->log, &r->attach);
        CHECK_INT(attach_listen(&r->attach, &r->opt), 0);
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        set_nonblock(fds[0], true);
        set_nonblock(fds[1], true);
        relay_set(&r->relay, STREAM_STDOUT, fds[0], false);
        r->out = fds[1];
        relay_start(&r->relay);
        (void)signal(SIGPIPE, SIG_IGN);
}

static void rig_down(struct rig *r)
{
        attach_finish(&r->attach);
        relay_done(&r->relay);
        input_close(&r->input);
        attach_done(&r->attach);
        log_close(&r->log);
        loop_done(&r->loop);
        close_p(&r->out);
        close_p(&r->stdin_r);
        free(r->opt.log_paths.v[0]);
        free(r->opt.log_paths.v);
        free(r->opt.bundle);
}

static int rig_client(struct rig *r)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s/attach", r->opt.bundle);
        CHECK(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
        return fd;
}

static void turn(struct rig *r)
{
        while (loop_step(&r->loop, 20) > 0)
                ;
}

static ssize_t take(int fd, size_t *sum)
{
        static char packet[65536];
        ssize_t n = recv(fd, packet, sizeof(packet), 0);

        CHECK(n <= ATTACH_PACKET + 1);
        if (n > 0) {
                CHECK_INT(packet[0], STREAM_STDOUT);
                *sum += (size_t)n - 1;
        }
        return n;
}

static size_t fill(int fd, size_t max)
{
        static char zeros[65536];
        size_t sum = 0;

        while (sum < max) {
                ssize_t n = write(fd, zeros, MIN_OF(sizeof(zeros), max - sum));

                if (n <= 0)
                        break;
                sum += (size_t)n;
        }
        return sum;
}

static void relay_holds_back(void)
{
        struct rig r;
        size_t sent = 0, got = 0;
        int fd;

        rig_up(&r, 0);
        fd = rig_client(&r);
        for (int i = 0; i < 40; i++) {
                sent += fill(r.out, 65536);
                turn(&r);
        }
        CHECK(r.relay.paused);
        CHECK(sent < 1000000); /* what the socket, the buffer and the pipe hold */
        for (int i = 0; i < 100; i++) {
                while (take(fd, &got) > 0)
                        ;
                turn(&r);
        }
        CHECK_INT(got, sent);
        CHECK(!r.relay.paused);
        close(fd);
        rig_down(&r);
}

static void relay_cuts_off(void)
{
        struct rig r;
        size_t good = 0, stuck = 0, sent = 0;
        int a, b;

        rig_up(&r, 100);
        a = rig_client(&r);
        b = rig_client(&r);
        while (sent < 3000000) {
                sent += fill(r.out, 65536);
                (void)loop_step(&r.loop, 10);
                while (take(a, &good) > 0)
                        ;
        }
        turn(&r);
        while (take(a, &good) > 0)
                ;
        CHECK_INT(good, sent);
        while (take(b, &stuck) > 0)
                ;
        CHECK(stuck > 0 && stuck < sent);
        CHECK_INT(take(b, &stuck), 0); /* an end of file, no more to come */
        close(a);
        close(b);
        rig_down(&r);
}

static void relay_drains_without_waiting(void)
{
        struct rig r;
        size_t sent = 0, got = 0;
        int fd;

        rig_up(&r, 0);
        fd = rig_client(&r);
        for (int i = 0; i < 40; i++) {
                sent += fill(r.out, 65536);
                turn(&r);
        }
        relay_drain(&r.relay);
        CHECK(!r.relay.drained);
        CHECK_INT(fill(r.out, 65536), 65536); /* the pipe is empty: all of it has been read and logged */
        for (int i = 0; i < 100 && !r.relay.drained; i++) {
                while (take(fd, &got) > 0)
                        ;
                turn(&r);
        }
        while (take(fd, &got) > 0)
                ;
        CHECK(r.relay.drained);
        CHECK_INT(got, sent);
        close(fd);
        rig_down(&r);
}

static void relay_leaves_leftovers(void)
{
        struct rig r;
        int fd;

        rig_up(&r, 0);
        fd = rig_client(&r);
        for (int i = 0; i < 40; i++) {
                fill(r.out, 65536);
                turn(&r);
        }
        relay_drain(&r.relay);
        close(fd);
        turn(&r);
        CHECK(r.relay.drained);
        rig_down(&r);
}

static void input_waits(void)
{
        struct rig r;
        char buf[65536];
        size_t sent = 0, got = 0;
        ssize_t n;
        int fd;

        rig_up(&r, 0);
        set_nonblock(r.stdin_r, true);
        fd = rig_client(&r);
        turn(&r);
        memset(buf, 'x', sizeof(buf));
        for (int i = 0; i < 30; i++) {
                n = send(fd, buf, 20000, 0);
                sent += n > 0 ? (size_t)n : 0;
                turn(&r);
        }
        CHECK(sent > 65536);
        close(fd); /* it is gone, what it sent is not */
        for (int i = 0; i < 100; i++) {
                while ((n = read(r.stdin_r, buf, sizeof(buf))) > 0)
                        got += (size_t)n;
                turn(&r);
        }
        CHECK_INT(got, sent);
        CHECK_INT(read(r.stdin_r, buf, 1), 0); /* and its end was passed on */
        CHECK(r.attach.clients == NULL);
        rig_down(&r);
}

static void input_of_several(void)
{
        struct rig r;
        char buf[100];
        int a, b;

        rig_up(&r, 0);
        r.input.keep_open = true;
        set_nonblock(r.stdin_r, true);
        a = rig_client(&r);
        b = rig_client(&r);
        CHECK_INT(send(a, "one", 3, 0), 3);
        turn(&r);
        CHECK_INT(send(b, "two", 3, 0), 3);
        close(a);
        turn(&r);
        CHECK_INT(read(r.stdin_r, buf, sizeof(buf)), 6);
        CHECK_INT(read(r.stdin_r, buf, 1), -1);
        close(b);
        turn(&r);
        CHECK(r.attach.clients == NULL);
        CHECK_INT(read(r.stdin_r, buf, 1), -1);
        rig_down(&r);
}

#define T(f) {#f, f}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(options_spellings), T(options_defaults), T(options_aliases), T(options_errors), T(log_specs), T(k8s_lines),
                T(k8s_zone), T(k8s_long_lines), T(log_truncates), T(log_rotates), T(log_is_locked), T(log_allowlist),
                T(log_reopens), T(json_escapes), T(json_cut_characters), T(json_worst_case), T(json_long_lines), T(json_attributes), T(log_full_disk), T(log_rotation_is_resumed), T(log_mends_what_is_torn), T(journal_labels), T(journal_entries), T(ctl_messages),
                T(ctl_pieces), T(sync_escapes), T(sync_reports), T(sync_env), T(oom_counters), T(oom_paths), T(notify_lines),
                T(runtime_words), T(files_are_replaced_whole), T(relay_holds_back), T(relay_cuts_off),
                T(relay_drains_without_waiting), T(relay_leaves_leftovers), T(input_waits), T(input_of_several),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
