/* Unit tests of log files: lines of a k8s-file, rotation, a full disk. `test-log NAME` runs one of them. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logfixture.h"
#include "util.h"

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

        (void) setenv("TZ", "XXX+03:30", 1);
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

                (void) snprintf(text, sizeof(text), "line %d\n", i);
                put(&f, STREAM_STDOUT, text);
                CHECK(stat(f.path, &st) == 0 && st.st_size > 0 && st.st_size <= 200);
        }
        put(&f, STREAM_STDOUT,
            "a line that is so long that the limit does not have room for it, whatever is done about it: "
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
        struct fixture f = {
                .opt = {.log_size_max = 100, .log_rotate = true, .log_max_files = 1, .log_allowlist_dirs = {dirs, 1}}};

        open_log(&f, &log_driver_k8s);
        put(&f, STREAM_STDOUT, "a\nb\nc\n");
        CHECK_STR(test_read("log.1"), "");
        dirs[0] = (char *) test_dir();
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
        (void) snprintf(old, sizeof(old), "%s.old", f.path);
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
        CHECK(strstr(test_read("/run/persist/log-error"),
                     "/log: output is not being logged: No space left on device\n"));
        CHECK_INT(ftruncate(fd, 0), 0);
        close(fd);
        put(&f, STREAM_STDOUT, "there is room\n");
        f.driver->close(f.state);
        text = test_read("log");
        for (p = text; *p; p = strchr(p, '\n') + 1)
                CHECK(*p == start && strchr(p, '\n'));
        p = strstr(text, notice);
        CHECK(p && strstr(p, "there is room"));
        CHECK(strstr(test_read("/run/persist/log-error"),
                     " lines of output could not be logged: No space left on device\n"));
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
        (void) snprintf(first, sizeof(first), "%s.1", f.path);
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

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(k8s_lines),
                T(k8s_zone),
                T(k8s_long_lines),
                T(log_truncates),
                T(log_rotates),
                T(log_is_locked),
                T(log_allowlist),
                T(log_reopens),
                T(log_full_disk),
                T(log_rotation_is_resumed),
                T(log_mends_what_is_torn),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
