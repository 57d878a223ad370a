/* Unit tests of the checks of health: what runs them, and what is below it. `test-checks NAME` runs one of them. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "monitor.h"
#include "tree.h"
#include "util.h"

/* --- the tree of a check --- */

static void tree_takes_all(void)
{
        struct tree tree = {0};
        int pipe_fds[2];
        char byte;
        pid_t pid;

        CHECK_INT(pipe(pipe_fds), 0);
        CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        pid = fork();
        if (pid == 0) {
                setsid();
                if (fork() == 0 && fork() == 0) { /* one in a session of its own, one that ignores SIGTERM */
                        setsid();
                        (void) !write(pipe_fds[1], "a", 1);
                        pause();
                }
                signal(SIGTERM, SIG_IGN);
                (void) !write(pipe_fds[1], "a", 1);
                for (;;)
                        pause();
        }
        close(pipe_fds[1]);
        for (int i = 0; i < 3; i++)
                CHECK_INT(read(pipe_fds[0], &byte, 1), 1);
        tree_look(&tree, pid);
        CHECK_INT(tree.n, 3);
        tree_look(&tree, pid);
        CHECK_INT(tree.n, 3);
        CHECK_INT(tree_signal(&tree, SIGTERM), 3);
        CHECK(tree_signal(&tree, SIGKILL) >= 2);
        CHECK_INT(read(pipe_fds[0], &byte, 1), 0); /* nobody is left */
        close(pipe_fds[0]);
        while (wait(NULL) > 0)
                ;
        CHECK_INT(tree_signal(&tree, 0), 0);
        tree_done(&tree);
}

/* --- checks, with a runtime that is a script --- */

struct bed {
        struct monitor m;
        struct checkrun_result {
                int runs, code;
                char output[200];
        } result;
};

static struct bed bed;

static void note(struct check *c)
{
        bed.result.runs++;
        bed.result.code = c->code;
        (void) snprintf(bed.result.output, sizeof(bed.result.output), "%s", c->output ? c->output : "");
}

/* exec --process FILE --pid-file P --detach CID: run FILE as a script in the background and write its pid. The script
 * begins when this shell is gone, which might otherwise reap it. */
static const char runtime[] =
        "#!/bin/sh\n"
        "[ -s \"$3\" ] || { echo no such check; exit 3; }\n"
        "R=$$ setsid sh -c 'while kill -0 $R 2>/dev/null; do sleep 0.01; done; . \"$0\"' \"$3\" & echo $! > \"$5\"\n";

/* More than a busy machine takes for a check that ends by itself. */
#define PATIENCE_MS 60000
/* What it takes there to begin; a second after it the check is killed. */
#define BEGUN_MS 2000

static void bed_up(const char *script, int64_t timeout)
{
        struct monitor *m = &bed.m;
        char *path = format("%s/runtime", test_dir()), *check = format("%s/script", test_dir());

        CHECK_INT(write_file_atomic(path, runtime), 0);
        CHECK_INT(chmod(path, 0700), 0);
        CHECK_INT(write_file_atomic(check, script), 0);
        CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        m->opt.runtime = path;
        m->opt.cid = "id";
        m->opt.bundle = (char *) test_dir();
        m->oom_score_adj = INT32_MIN;
        m->signals.fd = m->container.fd = -1;
        m->container_pid = 1;
        CHECK_INT(loop_init(&m->loop), 0);
        CHECK_INT(children_watch(m), 0);
        check_init(&m->health.check, m, note);
        check_start(&m->health.check, check, timeout);
        free(check);
}

static void bed_run(void)
{
        while (!bed.result.runs)
                CHECK(loop_step(&bed.m.loop, 5000) > 0);
}

static void bed_down(void)
{
        check_done(&bed.m.health.check);
        close_p(&bed.m.signals.fd);
        loop_done(&bed.m.loop);
        free(bed.m.opt.runtime);
        while (wait(NULL) > 0)
                ;
}

static void check_succeeds(void)
{
        bed_up("echo out; echo err >&2\n", PATIENCE_MS);
        bed_run();
        CHECK_INT(bed.result.code, 0);
        CHECK_STR(bed.result.output, "out\nerr\n");
        CHECK_INT(bed.m.expecting, 0);
        CHECK(!bed.m.children);
        bed_down();
}

static void check_fails(void)
{
        bed_up("exit 42\n", PATIENCE_MS);
        bed_run();
        CHECK_INT(bed.result.code, 42);
        bed_down();
}

static void check_cannot_run(void)
{
        bed_up("", PATIENCE_MS);
        bed_run();
        CHECK_INT(bed.result.code, 3);
        CHECK_STR(bed.result.output, "no such check\n");
        CHECK_INT(bed.m.expecting, 0);
        bed_down();
}

static void check_times_out(void)
{
        uint64_t began = now_ms();

        bed_up("trap 'echo asked' TERM; sleep 500 & echo begun; while :; do wait; done\n", BEGUN_MS);
        bed_run();
        CHECK_INT(bed.result.code, CHECK_TIMED_OUT);
        CHECK_STR(bed.result.output, "begun\nasked\n");
        CHECK(now_ms() - began >= BEGUN_MS + 1000 && now_ms() - began < PATIENCE_MS);
        bed_down(); /* waits for all children: sleep is gone too */
        CHECK(now_ms() - began < PATIENCE_MS);
}

static void check_is_cut(void)
{
        bed_up("exec sleep 500\n", PATIENCE_MS);
        while (bed.m.health.check.process.pid == 0)
                CHECK(loop_step(&bed.m.loop, 5000) > 0);
        CHECK_INT(kill(bed.m.health.check.process.pid, SIGKILL), 0);
        check_cut(&bed.m.health.check);
        CHECK_INT(bed.result.runs, 1);
        CHECK(bed.result.code != 0 && !bed.m.health.check.running && !bed.m.children);
        bed_down();
}

static void check_output_is_limited(void)
{
        bed_up("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; sleep 0.05\n", PATIENCE_MS);
        bed.m.health.check.output_max = 15;
        bed_run();
        CHECK_INT(bed.result.code, 0);
        CHECK_STR(bed.result.output, "0123456789\n0123");
        bed_down();
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(tree_takes_all), T(check_succeeds),          T(check_fails), T(check_cannot_run), T(check_times_out),
                T(check_is_cut),   T(check_output_is_limited),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
