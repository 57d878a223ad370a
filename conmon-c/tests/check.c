#include "check.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 20

static char dir[64];

static int count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        int n = 0;

        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

static void remove_dir(void)
{
        DIR *d = opendir(dir);
        struct dirent *e;

        while (d && (e = readdir(d))) {
                char path[400];

                (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
                if (e->d_name[0] != '.')
                        (void)unlink(path);
        }
        if (d)
                closedir(d);
        (void)rmdir(dir);
}

const char *test_dir(void)
{
        if (!*dir) {
                (void)snprintf(dir, sizeof(dir), "/tmp/conmon-test-XXXXXX");
                CHECK(mkdtemp(dir));
        }
        return dir;
}

const char *test_read(const char *name)
{
        static char text[1 << 20];
        char path[400];
        size_t n = 0;
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", *name == '/' ? "" : test_dir(), name);
        f = fopen(path, "r");
        if (f) {
                n = fread(text, 1, sizeof(text) - 1, f);
                fclose(f);
        }
        text[n] = '\0';
        return text;
}

static void run_one(const struct test *test)
{
        int before;

        (void)alarm(SECONDS);
        (void)close_range(3, ~0U, 0); /* what the shell left open is not counted */
        before = count_fds();
        test->run();
        CHECK_INT(count_fds(), before);
        if (*dir)
                remove_dir();
        exit(0);
}

int run_tests(const struct test *tests, size_t n, const char *only)
{
        int failed = 0;

        for (size_t i = 0; i < n; i++) {
                int status = 0;
                pid_t pid;

                if (only && strcmp(only, tests[i].name) != 0)
                        continue;
                fflush(NULL);
                pid = fork();
                if (pid == 0)
                        run_one(&tests[i]);
                CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
                printf("%s %s\n", status == 0 ? "ok" : "not ok", tests[i].name);
                failed += status != 0;
        }
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
