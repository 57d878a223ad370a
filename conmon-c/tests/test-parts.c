/* Unit tests of the monitor's small parts: control lines, reports, counters, files. `test-parts NAME` runs one of them. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "ctl.h"
#include "oom.h"
#include "options.h"
#include "sdnotify.h"
#include "syncpipe.h"
#include "util.h"

/* --- control lines --- */

static void ctl_messages(void)
{
        static const struct {
                const char *line;
                int kind, height, width;
        } cases[] = {
                {"1 24 80", CTL_RESIZE, 24, 80},
                {"1 0010 0020", CTL_RESIZE, 10, 20},
                {"1 2 2 3", CTL_RESIZE, 2, 2},
                {"  1\t0 1000", CTL_RESIZE, 0, 1000},
                {"2 0 0", CTL_REOPEN, 0, 0},
                {"2 1 1", CTL_REOPEN, 1, 1},
                {"", CTL_INVALID},
                {"foo", CTL_INVALID},
                {"1", CTL_INVALID},
                {"1 2", CTL_INVALID},
                {"999 2 2", CTL_INVALID},
                {"0 2 2", CTL_INVALID},
                {"1 -1 5", CTL_INVALID},
                {"1 5 1001", CTL_INVALID},
                {"1 10.5 20", CTL_INVALID},
                {"1 0x10 0x20", CTL_INVALID},
                {"1 99999999999999999999 1", CTL_INVALID},
                {"1 65536 1", CTL_INVALID},
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
        (void) data;
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

/* --- reports and counters --- */

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
        (void) signal(SIGPIPE, SIG_IGN);
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
        (void) snprintf(text, sizeof(text), "%d", fd);
        (void) setenv("_CHECK_FD", text, 1);
        CHECK_INT(sync_fd_from_env("_CHECK_FD"), fd);
        CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
        CHECK(getenv("_CHECK_FD") == NULL);
        close(fd);
        (void) setenv("_CHECK_FD", text, 1);
        CHECK(sync_fd_from_env("_CHECK_FD") < -1);
        (void) setenv("_CHECK_FD", "x", 1);
        CHECK(sync_fd_from_env("_CHECK_FD") < -1);
        (void) setenv("_CHECK_FD", "-1", 1);
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
        static const char *const good[] = {"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger",
                                           "STATUS=", "STATUS=x",    "ERRNO=2",    "BUSERROR=a", "MONOTONIC_USEC=1"};
        static const char *const bad[] = {"", "READY=0", "READY=12", "MAINPID=1", "FDSTORE=1", "XSTATUS=x", "STATUS"};

        for (size_t i = 0; i < ARRAY_LEN(good); i++)
                CHECK(sdnotify_allowed(good[i], strlen(good[i])));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                CHECK(!sdnotify_allowed(bad[i], strlen(bad[i])));
}

static void files_are_replaced_whole(void)
{
        char path[200];

        (void) snprintf(path, sizeof(path), "%s/exit", test_dir());
        CHECK_INT(write_file_atomic(path, "137"), 0);
        CHECK_INT(write_file_atomic(path, "0"), 0);
        CHECK_STR(test_read("exit"), "0");
        CHECK(write_file_atomic("/not/there/x", "0") < 0);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(ctl_messages), T(ctl_pieces),   T(sync_escapes),
                T(sync_reports), T(sync_env),     T(oom_counters),
                T(oom_paths),    T(notify_lines), T(files_are_replaced_whole),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
