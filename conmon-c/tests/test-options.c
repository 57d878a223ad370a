/* Unit tests of command lines: the monitor's, and the runtime's that it makes of it. `test-options NAME` runs one of them. */
#include "check.h"
#include "log.h"
#include "options.h"
#include "runtime.h"
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

        CHECK_INT(PARSE(&opt, why, "--cid=a", "--cuuid", "b", "-n", "c", "-rd", "-it", "--api-version", "1",
                        "--exit-command-arg", "", "--exit-command-arg", "--rm", "--log-size-max=1048576", "-T", "0x10",
                        "-l", "x", "-ly"),
                  0);
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
                {"--timeout", "1s",
                 "Cannot parse integer value \xe2\x80\x9c"
                 "1s\xe2\x80\x9d for --timeout"},
                {"--timeout", "2147483648",
                 "Integer value \xe2\x80\x9c"
                 "2147483648\xe2\x80\x9d for --timeout out of range"},
                {"--log-size-max", "9223372036854775808",
                 "Integer value \xe2\x80\x9c"
                 "9223372036854775808\xe2\x80\x9d for --log-size-max out of range"},
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct options opt;
                char why[200] = "";

                CHECK(PARSE(&opt, why, (char *) cases[i].word, (char *) cases[i].value) < 0);
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

/* --- the runtime's command line --- */

static void runtime_words(void)
{
        struct options opt;
        char why[200] = "";
        char **argv;

        CHECK_INT(PARSE(&opt, why, "-c", "ID", "-r", "R", "-b", "B", "-p", "P", "-s", "--no-pivot", "--runtime-arg",
                        "A", "--runtime-opt", "O", "-t"),
                  0);
        argv = runtime_argv(&opt, "SOCKET");
        static const char *const want[] = {
                "R", "--systemd-cgroup", "A", "create",           "--bundle", "B",  "--pid-file",
                "P", "--no-pivot",       "O", "--console-socket", "SOCKET",   "ID",
        };
        for (size_t i = 0; i < ARRAY_LEN(want); i++)
                CHECK_STR(argv[i], want[i]);
        CHECK(argv[ARRAY_LEN(want)] == NULL);
        free(argv);
        options_done(&opt);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(options_spellings), T(options_defaults), T(options_aliases),
                T(options_errors),    T(log_specs),        T(runtime_words),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
