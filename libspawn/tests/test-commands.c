/* What the commands are made of: suggestions, the log, CRIU's messages. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "args.h"
#include "criu-rpc.h"
#include "harness.h"
#include "io.h"
#include "log.h"

static const char *nearest(const char *word)
{
        static const char *const words[] = {"create", "delete", "exec", "kill", "list", "start", "state"};
        unsigned int best = UINT_MAX;
        const char *found = "";

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                if (args_nearer(word, words[i], &best))
                        found = words[i];
        return found;
}

TEST(nearest_word)
{
        CHECK_STR(nearest("craete"), "create");
        CHECK_STR(nearest("lsit"), "list");
        CHECK_STR(nearest("sta"), "start");
        CHECK_STR(nearest("stat"), "state");
        CHECK_STR(nearest("kil"), "kill");
        CHECK_STR(nearest("xyz"), "");
        CHECK_STR(nearest(""), "");
        CHECK_STR(nearest("a-word-much-longer-than-any-of-those-that-are-there"), "");
}

static void check_log(const char *to, const char *format, const char *level, const char *words)
{
        struct log l;
        spawn_error e = {0};

        CHECK(log_parse(&l, to, format, level, &e) == -EINVAL);
        CHECK_STR(e.text, words);
}

TEST(log_destinations)
{
        struct log l;
        spawn_error e = {0};

        CHECK(log_parse(&l, NULL, NULL, NULL, &e) == 0);
        CHECK(l.target == LOG_TO_STDERR && l.level == LEVEL_WARNING && !l.json && l.fd == -1);
        CHECK(log_parse(&l, "dir/file", "json", "debug", &e) == 0);
        CHECK(l.target == LOG_TO_FILE && l.level == LEVEL_DEBUG && l.json);
        CHECK_STR(l.name, "dir/file");
        CHECK(log_parse(&l, "file:/a:b", "text", "error", &e) == 0);
        CHECK_STR(l.name, "/a:b");
        CHECK(log_parse(&l, "journald:id", NULL, NULL, &e) == 0 && l.target == LOG_TO_JOURNAL);
        CHECK(log_parse(&l, "syslog:id", NULL, NULL, &e) == 0 && l.target == LOG_TO_SYSLOG);
        check_log("tcp:x", NULL, NULL, "unknown log destination `tcp:x`: [file:]PATH, journald:NAME or syslog:NAME");
        check_log("syslog:", NULL, NULL,
                  "unknown log destination `syslog:`: [file:]PATH, journald:NAME or syslog:NAME");
        check_log(NULL, "xml", NULL, "unknown log format `xml`: text or json");
        check_log(NULL, NULL, "info", "unknown log level `info`: error, warning or debug");
}

TEST(log_lines)
{
        struct log l;
        spawn_error e = {0};
        char path[PATH_MAX], *text = NULL;

        (void) snprintf(path, sizeof(path), "%s/log", scratch_dir());
        CHECK(log_parse(&l, path, "json", "debug", &e) == 0 && log_open(&l, &e) == 0);
        log_debug(&l, "a \"quoted\"\nline %d", 7);
        CHECK(read_file_at(AT_FDCWD, path, 4096, &text) > 0);
        CHECK(strncmp(text, "{\"msg\":\"a \\\"quoted\\\"\\nline 7\",\"level\":\"debug\",\"time\":\"2", 52) == 0);
        CHECK(strlen(text) < 120 && strcmp(text + strlen(text) - 4, "Z\"}\n") == 0);
        free(text);
        (void) close(l.fd);
        l.level = LEVEL_ERROR;
        l.fd = -1;
        log_debug(&l, "%d", *(volatile int *) NULL); /* not evaluated */
        log_debug((struct log *) NULL, "%d", *(volatile int *) NULL);
}

TEST(criu_request)
{
        struct pb inner = {0}, outer = {0};

        pb_int(&inner, 1, 300);
        pb_flag(&inner, 2, false);
        pb_string(&inner, 3, NULL);
        pb_string(&inner, 16, "ab");
        pb_message(&outer, 2, &inner);
        CHECK(outer.len == 2 + inner.len && inner.len == 8 && !outer.failed);
        CHECK(memcmp(outer.buf,
                     "\x12\x08\x08\xac\x02\x82\x01\x02"
                     "ab",
                     10) == 0);
        pb_free(&inner);
        pb_free(&outer);
}

TEST(criu_response)
{
        /* type RESTORE, success, restore { pid 70000 }, an unknown field, cr_errmsg */
        static const char good[] = "\x08\x02\x10\x01\x22\x04\x08\xf0\xa2\x04\xb8\x06\x05\x4a\x03"
                                   "bad";
        static const char notify[] = "\x08\x06\x10\x01\x2a\x0d\x0a\x09setup-abc\x10\x09";
        struct criu_response r;

        CHECK(criu_response_parse(good, sizeof(good) - 1, &r) == 0);
        CHECK(r.type == CRIU_RESTORE && r.success && r.pid == 70000);
        CHECK_STR(r.message, "bad");
        CHECK(criu_response_parse(notify, sizeof(notify) - 1, &r) == 0);
        CHECK(r.type == CRIU_NOTIFY && r.pid == 9);
        CHECK_STR(r.script, "setup-abc");
        CHECK(criu_response_parse("", 0, &r) == -EBADMSG);
        /* Cut anywhere it is either damaged or lacks what was cut off. */
        for (size_t n = 0; n < sizeof(good) - 1; n++)
                if (criu_response_parse(good, n, &r) == 0)
                        CHECK(r.message[0] == '\0');
        /* A length beyond the end, a varint without one, wire type 7. */
        CHECK(criu_response_parse("\x08\x02\x22\x7f\x08", 5, &r) == -EBADMSG);
        CHECK(criu_response_parse("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, &r) == -EBADMSG);
        CHECK(criu_response_parse("\x0f\x02", 2, &r) == -EBADMSG);
}
