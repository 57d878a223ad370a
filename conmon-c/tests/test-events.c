/* Unit tests of the events log. `test-events NAME` runs one of them. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "eventfile.h"
#include "eventlog.h"
#include "util.h"

struct place {
        const char *dir;
        char log[256], plan[256];
};

static struct place make_place(void)
{
        struct place p = {.dir = test_dir()};

        (void) snprintf(p.log, sizeof(p.log), "%s/events.log", p.dir);
        (void) snprintf(p.plan, sizeof(p.plan), "%s/events", p.dir);
        return p;
}

static void write_plan(const struct place *p, int max_size, const char *more)
{
        _cleanup_free_ char *text =
                format("%sfile %s\nname \"%s\"\nmax-size %d\nhead \"ID\":\"abc\",\"Name\":\"na\\\"me\"\n"
                       "tail \"Attributes\":{\"a\":\"b\"}\n",
                       more, p->log, p->log, max_size);

        CHECK_INT(write_file_atomic(p->plan, text), 0);
}

static void tell(const struct place *p, struct event event)
{
        struct options opt = {.bundle = (char *) p->dir};

        eventlog_tell(&opt, &event);
}

/* The text of the log, with its times taken out. */
static char *log_text(const struct place *p)
{
        static char text[1 << 16];
        char *out = text, *time;

        CHECK(read_file(p->log, text, sizeof(text)) >= 0);
        while ((time = strstr(out, "\"Time\":\"")) != NULL) {
                char *end = strchr(time + 8, '"');

                CHECK(end != NULL && end - time > 30 && time[18] == 'T');
                memmove(time + 8, end, strlen(end) + 1);
                out = time + 8;
        }
        return text;
}

static int count_lines(const char *text)
{
        int n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

/* --- what is written --- */

static void lines(void)
{
        struct place p = make_place();

        tell(&p, (struct event){.status = "died"}); /* no plan, no event */
        CHECK(access(p.log, F_OK) < 0);
        write_plan(&p, 0, "");
        tell(&p, (struct event){.status = "restart"});
        tell(&p, (struct event){.status = "died", .has_code = true, .code = 3});
        CHECK_STR(log_text(&p), "{\"ID\":\"abc\",\"Name\":\"na\\\"me\",\"Status\":\"restart\",\"Time\":\"\",\"Type\":"
                                "\"container\",\"Attributes\":{\"a\":\"b\"}}\n"
                                "{\"ContainerExitCode\":3,\"ID\":\"abc\",\"Name\":\"na\\\"me\",\"Status\":\"died\","
                                "\"Time\":\"\",\"Type\":\"container\",\"Attributes\":{\"a\":\"b\"}}\n");
}

static void health(void)
{
        static const char entry[] = "{\"Output\":\"a \\\"b\\\"\\n\"}\n";
        struct event event = {.status = "health_status", .health = "unhealthy", .streak = 2, .health_log = entry};
        struct place p = make_place();

        write_plan(&p, 0, "health none\n");
        tell(&p, event);
        tell(&p, (struct event){.status = "start"});
        CHECK(strstr(log_text(&p), "health_status") == NULL);
        CHECK_INT(unlink(p.log), 0);
        write_plan(&p, 0, "health status\n");
        tell(&p, event);
        CHECK(strstr(log_text(&p), ",\"health_status\":\"unhealthy\",\"health_failing_streak\":2,\"Attributes\"") !=
              NULL);
        CHECK_INT(unlink(p.log), 0);
        write_plan(&p, 0, "health log\n");
        tell(&p, event);
        CHECK(strstr(log_text(&p), "\"health_log\":\"{\\\"Output\\\":\\\"a \\\\\\\"b\\\\\\\"\\\\n\\\"}\",") != NULL);
}

/* A plan that makes no sense writes nothing, and harms nobody. */
static void bad_plans(void)
{
        static const char *const texts[] = {"",
                                            "\n\n",
                                            "file",
                                            "file /x\n",
                                            "journal yes\nfield A=b",
                                            "file /x\nname x",
                                            "field",
                                            "max-size -1\nfile /tmp/x\nname x\nhead h\ntail t\n"};
        struct place p = make_place();

        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                CHECK_INT(write_file_atomic(p.plan, texts[i]), 0);
                tell(&p, (struct event){.status = "died"});
        }
        CHECK(access(p.log, F_OK) < 0);
}

static void long_labels(void)
{
        struct place p = make_place();
        char *text = malloc(300000);
        struct stat st;
        int n;

        CHECK(text != NULL);
        n = sprintf(text, "file %s\nname \"x\"\nmax-size 0\nhead \"ID\":\"abc\"\ntail \"Attributes\":{\"a\":\"", p.log);
        memset(text + n, 'x', 200000);
        (void) strcpy(text + n + 200000, "\"}\n");
        CHECK_INT(write_file_atomic(p.plan, text), 0);
        free(text);
        tell(&p, (struct event){.status = "died"});
        CHECK_INT(stat(p.log, &st), 0);
        CHECK(st.st_size > 200000);
}

/* --- the file --- */

static void rotation(void)
{
        struct place p = make_place();
        char *text, *end;

        write_plan(&p, 0, "");
        for (int i = 0; i < 100; i++)
                tell(&p, (struct event){.status = "died", .has_code = true, .code = 100 + i});
        write_plan(&p, 4000, "");
        tell(&p, (struct event){.status = "restart"});
        text = log_text(&p);
        CHECK_INT(count_lines(text), 49 + 2 + 1);
        CHECK(strncmp(text, "{\"Name\":\"/", 10) == 0);
        CHECK(strstr(text,
                     "\"log-rotation\",\"Time\":\"\",\"Type\":\"system\",\"Attributes\":{\"io.podman.event.rotate\":"
                     "\"begin\"}}\n{\"ContainerExitCode\":151,") != NULL);
        end = strstr(text, "\"ContainerExitCode\":199,");
        CHECK(end != NULL && strstr(end, "\"io.podman.event.rotate\":\"end\"}}\n{\"ID\"") != NULL);
        CHECK(strstr(end, "\"restart\"") != NULL);
}

static void many_writers(void)
{
        struct place p = make_place();
        const struct event_file file = {.path = p.log, .name = "\"x\"", .max_size = 0};
        int status;

        for (int child = 0; child < 4; child++) {
                if (fork() != 0)
                        continue;
                for (int i = 0; i < 200; i++)
                        if (eventfile_append(&file, "0123456789abcdef\n", 17) < 0)
                                _exit(1);
                _exit(0);
        }
        for (int child = 0; child < 4; child++) {
                CHECK(wait(&status) > 0);
                CHECK_INT(status, 0);
        }
        CHECK_INT(count_lines(log_text(&p)), 800);
}

/* Who rotates and was stopped keeps the others waiting for a second, not for ever. */
static void stopped_rotation(void)
{
        struct place p = make_place();
        const struct event_file file = {.path = p.log, .name = "\"x\"", .max_size = 20};
        uint64_t began;
        int fd;

        CHECK_INT(eventfile_append(&file, "first line\n", 11), 0);
        fd = open(p.log, O_RDONLY | O_CLOEXEC);
        CHECK_INT(flock(fd, LOCK_EX), 0);
        began = now_ms();
        CHECK_INT(eventfile_append(&file, "second line\n", 12), 0);
        CHECK(now_ms() - began >= 900 && now_ms() - began < 5000);
        close(fd);
        CHECK_STR(log_text(&p), "first line\nsecond line\n");
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(lines), T(health), T(bad_plans), T(long_labels), T(rotation), T(many_writers), T(stopped_rotation),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
