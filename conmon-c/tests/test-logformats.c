/* Unit tests of logs as JSON and in the journal. `test-logformats NAME` runs one of them. */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "logfixture.h"
#include "util.h"

/* The value of "log" in line n of a json log. */
static const char *json_text(int n)
{
        static char text[120000];
        const char *line = line_of("log", n, 0), *end = strstr(line, "\",\"stream\"");

        CHECK(strncmp(line, "{\"log\":\"", 8) == 0 && end);
        (void) snprintf(text, sizeof(text), "%.*s", (int) (end - line - 8), line + 8);
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
        CHECK(strstr(
                line_of("log", 0, 0),
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
        char *labels[] = {(char *) label, NULL};
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

        if (!private_run() || bind(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0) {
                printf("# skipped: no user namespaces here\n");
                close(fd);
                return;
        }
        open_log(&f, &log_driver_journald);
        put(&f, STREAM_STDOUT, "whole\n<4>pri");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(n > 0 && entry[n - 1] == '\n');
        CHECK(has(entry, (size_t) n, "\nMESSAGE=whole\n"));
        CHECK(has(entry, (size_t) n, "\nPRIORITY=6\n"));
        CHECK(has(entry, (size_t) n, "CONTAINER_ID_FULL=0123456789abcdef\nCONTAINER_ID=0123456789ab\n"));
        CHECK(has(entry, (size_t) n, "\nCONTAINER_NAME=nm\nCONTAINER_TAG=tag\nSYSLOG_IDENTIFIER=tag\n"));
        CHECK(memmem(entry, (size_t) n, "\nA\n\3\0\0\0\0\0\0\0x\ny\n", 15));
        CHECK(!has(entry, (size_t) n, "CONTAINER_PARTIAL_MESSAGE"));
        CHECK_INT(recv(fd, entry, sizeof(entry), 0), -1); /* the rest of its line is waited for */
        put(&f, STREAM_STDERR, "other\n");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t) n, "\nPRIORITY=3\nMESSAGE=other\n"));
        put(&f, STREAM_STDOUT, "ority\n");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t) n, "\nPRIORITY=4\nMESSAGE=priority\n"));

        memset(big, 'x', sizeof(big));
        put_bytes(&f, STREAM_STDOUT, big, LOG_PIECE_MAX + 10);
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(n > LOG_PIECE_MAX && has(entry, (size_t) n, "\nCONTAINER_PARTIAL_MESSAGE=true\n"));
        put(&f, STREAM_STDOUT, "<1>no\n");
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t) n, "\nPRIORITY=6\nMESSAGE=xxxxxxxxxx<1>no\n"));
        CHECK(!has(entry, (size_t) n, "CONTAINER_PARTIAL_MESSAGE"));
        put(&f, STREAM_STDERR, "unfinished");
        f.driver->flush(f.state);
        n = recv(fd, entry, sizeof(entry), 0);
        CHECK(has(entry, (size_t) n, "\nMESSAGE=unfinished\nCONTAINER_PARTIAL_MESSAGE=true\n"));
        f.driver->close(f.state);
        close(fd);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(json_escapes),    T(json_cut_characters), T(json_worst_case), T(json_long_lines),
                T(json_attributes), T(journal_labels),      T(journal_entries),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
