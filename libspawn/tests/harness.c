/* Runner of the C tests: TAP on stdout. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "io.h"

extern const struct test __start_podlike_tests[], __stop_podlike_tests[];

#define SKIPPED 77
#define LEAKED 78
#define TEST_SECONDS 100 /* enough for a machine that does much else */

static char scratch[PATH_MAX];

_Noreturn void skip(const char *why)
{
        fprintf(stderr, "skipped: %s\n", why);
        _exit(SKIPPED);
}

const char *scratch_dir(void)
{
        if (scratch[0] == '\0') {
                const char *tmp = getenv("TMPDIR");

                (void) snprintf(scratch, sizeof(scratch), "%s/podlike-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
                CHECK(mkdtemp(scratch) != NULL);
        }
        return scratch;
}

static int count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        while (dir != NULL && readdir(dir) != NULL)
                n++;
        if (dir != NULL)
                (void) closedir(dir);
        return n;
}

static int run_here(const struct test *t)
{
        int before = count_fds(), after;

        (void) alarm(TEST_SECONDS);
        t->run();
        if (scratch[0] != '\0')
                (void) remove_tree_at(AT_FDCWD, scratch);
        after = count_fds();
        if (after != before) {
                fprintf(stderr, "%s: %d open descriptors before, %d after\n", t->name, before, after);
                return LEAKED;
        }
        return 0;
}

static int run_forked(const struct test *t, int number)
{
        const char *must = getenv("PODLIKE_MUST_WORK");
        int status;
        pid_t pid = fork();

        if (pid == 0)
                exit(run_here(t)); /* not _exit: the leak sanitizer looks at exit */
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return 1;
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED && (must == NULL || strcmp(must, "1") != 0)) {
                printf("ok %d %s # SKIP\n", number, t->name);
                return 0;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
                printf("ok %d %s\n", number, t->name);
                return 0;
        }
        printf("not ok %d %s (%s %d)\n", number, t->name, WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return 1;
}

int main(int argc, char **argv)
{
        int number = 0, failed = 0, found = 0;

        (void) setvbuf(stdout, NULL, _IONBF, 0);
        if (argc < 2)
                printf("1..%d\n", (int) (__stop_podlike_tests - __start_podlike_tests));
        for (const struct test *t = __start_podlike_tests; t < __stop_podlike_tests; t++) {
                if (argc < 2)
                        failed += run_forked(t, ++number);
                else if (strcmp(argv[1], t->name) == 0)
                        failed += run_here(t), found++;
        }
        if (argc >= 2 && found == 0)
                fprintf(stderr, "no test `%s`\n", argv[1]);
        return failed > 0 || (argc >= 2 && found == 0);
}
