/* Documents and peers that mean harm, or that fuzzing and fault injection have found. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "container.h"
#include "harness.h"
#include "io.h"
#include "seccomp-filter.h"
#include "state.h"
#include "sync.h"
#include "util.h"

#define BIG (1024 * 1024)

static char *text;
static size_t len;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void add(const char *fmt, ...)
{
        va_list ap;

        if (text == NULL)
                CHECK((text = malloc(2 * BIG)) != NULL);
        va_start(ap, fmt);
        len += (size_t) vsnprintf(text + len, 2 * BIG - len, fmt, ap);
        va_end(ap);
        CHECK(len < 2 * BIG);
}

static double now(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
/* The whole document once around a list of a million bytes, in time that is not of the square of it. */
static void check_big(const char *before, const char *item, const char *after)
{
        struct config c;
        spawn_error e = {0};
        double start;

        len = 0;
        add("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},%s", before);
        for (int i = 0; len < BIG; i++) {
                add("%s", i > 0 ? "," : "");
                add(item, i);
        }
        add("%s}", after);
        start = now();
        (void) config_parse(text, len, &c, &e);
        CHECK(now() - start < 2); /* 0.05 without sanitizers */
        config_free(&c);
}
#pragma GCC diagnostic pop

TEST(hostile_big)
{
        static const char end[] = "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"}]}";
        char after[256];

        (void) snprintf(after, sizeof(after), "]},%s", end);
        check_big("\"process\":{\"env\":[", "\"A%d=b\"", after);
        check_big("\"process\":{\"rlimits\":[", "{\"type\":\"RLIMIT_CORE\",\"x\":%d}", after);
        check_big("\"process\":{\"user\":{\"additionalGids\":[", "%d", "]}},\"linux\":{}");
        (void) snprintf(after, sizeof(after), "],%s", end);
        check_big("\"mounts\":[", "{\"destination\":\"/a%d\",\"type\":\"tmpfs\"}", after);
        (void) snprintf(after, sizeof(after), "},%s", end);
        check_big("\"annotations\":{", "\"k%d\":\"v\"", after);
        check_big("\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"maskedPaths\":[", "\"/m%d\"", "]}");
        check_big("\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"}],\"sysctl\":{",
                  "\"net.a%d\":\"1\"", "}}");
        check_big("\"x\":", "[", ""); /* deep */
        free(text);
        text = NULL;
}
TEST(hostile_words_are_printable)
{
        static const char json[] = "{\"ociVersion\":\"1.2.0\\u001b[2J\\nfake: line\\u007f\"}", other[] = "{\"a\\n\":}";
        struct config c;
        spawn_error e = {0};

        CHECK(config_parse(json, sizeof(json) - 1, &c, &e) < 0);
        config_free(&c);
        for (const char *p = e.text; *p != '\0'; p++)
                CHECK((unsigned char) *p >= ' ' && *p != 0x7f);
        CHECK(config_parse(other, sizeof(other) - 1, &c, &e) < 0);
        CHECK(strchr(e.text, '\n') == NULL);
        config_free(&c);
}

static int prepare(int rules, const char *args, spawn_error *e)
{
        struct seccomp_filter f = {.listener_fd = -1};
        struct json_object *profile;
        int r;

        len = 0;
        add("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\"],\"syscalls\":[");
        for (int i = 0; i < rules; i++) {
                add("%s{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[", i > 0 ? "," : "");
                for (int k = 0; k < (int) strlen(args); k++)
                        add("%s{\"index\":%d,\"value\":%d,\"op\":\"SCMP_CMP_%s\"}", k > 0 ? "," : "", k,
                            (i * 7 + k) % 13 + i * 256,
                            args[k] == '=' ? "EQ" : ((const char *[]){"NE", "GT", "LT"})[(i + k) % 3]);
                add("]}");
        }
        add("]}");
        CHECK((profile = json_tokener_parse(text)) != NULL);
        r = seccomp_prepare(profile, false, -1, &f, e);
        json_object_put(profile);
        seccomp_filter_free(&f);
        free(text);
        text = NULL;
        return r;
}

/* libseccomp would work on these twelve rules for minutes. */
TEST(hostile_seccomp_takes_no_time)
{
        spawn_error e = {0};

        CHECK(prepare(12, "xxxxxx", &e) == -E2BIG);
        CHECK_STR(e.text, "linux.seccomp: compiling it takes more than 2 seconds, it has too many conditions");
        CHECK(prepare(2, "xxx", &e) == 0);
}

TEST(hostile_seccomp_is_too_long)
{
        spawn_error e = {0};

        CHECK(prepare(4500, "=", &e) == -E2BIG);
        CHECK(strstr(e.text, "the kernel takes 4096") != NULL ||
              strstr(e.text, "too many conditions") != NULL); /* on a slow machine */
}

/* A peer that went without reading is not one that went. */
TEST(hostile_unread_message)
{
        struct sync_message m;
        int pair[2];

        CHECK(sync_pair(pair) == 0);
        CHECK(sync_send(pair[0], SYNC_GO, 0, NULL) == 0);
        (void) close(pair[1]);
        CHECK(sync_receive(pair[0], &m) == -ECONNRESET);
        (void) close(pair[0]);
        /* Its last words come before that. */
        CHECK(sync_pair(pair) == 0);
        CHECK(sync_send(pair[0], SYNC_GO, 0, NULL) == 0 && sync_send(pair[1], SYNC_PID, 7, NULL) == 0);
        (void) close(pair[1]);
        CHECK(sync_receive(pair[0], &m) == 1 && m.type == SYNC_PID && m.value == 7);
        (void) close(pair[0]);
        CHECK(sync_pair(pair) == 0);
        (void) close(pair[1]);
        CHECK(sync_receive(pair[0], &m) == 0);
        (void) close(pair[0]);
}

/* A damaged state is not taken over by another container of the ID; delete --force removes it. */
TEST(hostile_state_is_damaged)
{
        struct runtime rt = {.rootless = true, .cgroups = CGROUPS_DISABLED};
        spawn_error e = {0};
        char path[4200];
        int fd;

        (void) snprintf(rt.root, sizeof(rt.root), "%s", scratch_dir());
        fd = state_create_dir(&rt, "c", &e);
        CHECK(fd >= 0);
        CHECK(replace_file_at(fd, "state.json", "{\"id\":", 6, 0600) == 0);
        (void) close(fd);
        CHECK(state_create_dir(&rt, "c", &e) < 0);
        CHECK(container_delete(&rt, "c", false, &e) < 0);
        (void) snprintf(path, sizeof(path), "%s/c/state.json", scratch_dir());
        CHECK(access(path, F_OK) == 0);
        CHECK(container_delete(&rt, "c", true, &e) == 0);
        CHECK(access(path, F_OK) < 0);
        fd = state_create_dir(&rt, "c", &e);
        CHECK(fd >= 0);
        (void) close(fd);
}
