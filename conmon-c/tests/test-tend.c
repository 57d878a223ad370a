/* Unit tests of what a monitor does with orders. `test-tend NAME` runs one of them. */
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "health.h"
#include "healthlog.h"
#include "monitor.h"
#include "orders.h"
#include "restart.h"
#include "statefile.h"
#include "timer.h"
#include "util.h"

static struct orders orders_of(const char *text)
{
        struct orders o;
        char why[200];

        CHECK_INT(orders_parse(&o, text, why, sizeof(why)), 0);
        return o;
}

/* --- orders --- */

static void orders_words(void)
{
        struct orders o = orders_of("restart on-failure:3\nback-off 10 500 2000\nstop-signal 2\nstop-timeout -1\n"
                                    "health /a b/health.json\nhealth-interval 1500\nhealth-on-failure stop\n"
                                    "startup /s\nstartup-success 2\nnotify-socket @x\nnotify-mode healthy\n");

        CHECK(o.given && o.policy == RESTART_ON_FAILURE && o.on_failure == ACTION_STOP &&
              o.notify_mode == NOTIFY_HEALTHY);
        CHECK_INT(o.policy_retries, 3);
        CHECK_INT(o.first_wait, 10);
        CHECK_INT(o.longest_wait, 500);
        CHECK_INT(o.reset_after, 2000);
        CHECK_INT(o.stop_timeout, -1);
        CHECK_STR(o.regular.process, "/a b/health.json");
        CHECK_INT(o.regular.interval, 1500);
        CHECK_INT(o.startup.successes, 2);
        CHECK_STR(o.notify_socket, "@x");
        orders_done(&o);
        CHECK(!o.given);
        o = orders_of("");
        CHECK(o.given && o.policy == RESTART_NO);
        CHECK_INT(o.first_wait, 100);
        CHECK_INT(o.longest_wait, 60000);
        CHECK_INT(o.stop_signal, SIGTERM);
        orders_done(&o);
}

static void orders_errors(void)
{
        static const char *const bad[] = {
                "restart sometimes",  "restart always:3",  "restart on-failure:", "restart on-failure:x",
                "health-interval 1s", "health-interval",   "back-off 1 2",        "back-off 0 1 1",
                "back-off 5 1 1",     "health-on-failure", "notify-mode all",     "colour blue"};

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct orders o;
                char why[200] = "";

                CHECK(orders_parse(&o, bad[i], why, sizeof(why)) < 0);
                CHECK(*why);
                orders_done(&o);
        }
}

/* --- restarts --- */

static void restart_policies(void)
{
        struct orders no = orders_of(""), some = orders_of("restart on-failure:2\n"),
                      always = orders_of("restart unless-stopped\n");

        CHECK(!restart_wanted(&no, 1, 0));
        CHECK(restart_wanted(&some, 1, 0) && restart_wanted(&some, EXIT_UNKNOWN, 1));
        CHECK(!restart_wanted(&some, 1, 2) && !restart_wanted(&some, 0, 0));
        CHECK(restart_wanted(&always, 0, 1000));
}

static void restart_back_off(void)
{
        struct orders o = orders_of("");
        int64_t wait = 0, sum = 0;

        for (int i = 0; i < 10; i++) {
                wait = restart_wait(&o, wait, 5);
                CHECK_INT(wait, 100 << i > 60000 ? 60000 : 100 << i);
                sum += wait;
        }
        CHECK_INT(restart_wait(&o, wait, 9999), 60000);
        CHECK_INT(restart_wait(&o, wait, 10000), 100);
        CHECK(sum > 60000);
}

/* --- the state file --- */

static void state_lines(void)
{
        struct record r = {.phase = PHASE_WAITING,
                           .restarts = 2,
                           .started = {.tv_sec = 1700000000, .tv_nsec = 5},
                           .exit_code = 137,
                           .cause = CAUSE_OOM,
                           .oom_killed = true,
                           .oom_limit = "67108864",
                           .error = "two\nlines",
                           .health = "unhealthy",
                           .streak = 3};
        char *text = statefile_text(&r);

        CHECK_STR(
                text,
                "phase waiting\npid 0 0\nrestarts 2\nstarted 1700000000.000000005\nfinished 0.000000000\nexit 137\noom 1\n"
                "end oom 67108864\nerror two lines\nhealth unhealthy 3\n");
        free(text);
        r = (struct record){.phase = PHASE_RUNNING, .pid = getpid()};
        text = statefile_text(&r);
        CHECK(strstr(text, "\nexit 0\noom 0\n") && !strstr(text, "end ") && !strstr(text, "health"));
        CHECK(!strstr(text, " 0\nrestarts"));
        free(text);
        CHECK(process_start_time(getpid()) > 0);
        CHECK_INT(process_start_time(0), 0);
}

/* --- what checks mean --- */

static void judge_regular(void)
{
        struct orders o = orders_of("health x\nhealth-retries 2\nhealth-on-failure kill\n");
        struct health_state s = {0};

        CHECK(s.status == HEALTH_STARTING);
        CHECK(health_judge(&s, &o, false, true) == ACTION_NONE && s.status == HEALTH_STARTING && s.streak == 0);
        CHECK(health_judge(&s, &o, false, false) == ACTION_NONE && s.status == HEALTH_STARTING && s.streak == 1);
        CHECK(health_judge(&s, &o, true, false) == ACTION_NONE && s.status == HEALTH_HEALTHY && s.streak == 0);
        CHECK(health_judge(&s, &o, false, false) == ACTION_NONE && s.status == HEALTH_HEALTHY);
        CHECK(health_judge(&s, &o, false, false) == ACTION_KILL && s.status == HEALTH_UNHEALTHY && s.streak == 2);
        CHECK(health_judge(&s, &o, false, false) == ACTION_KILL && s.streak == 3);
        CHECK(health_judge(&s, &o, true, false) == ACTION_NONE && s.status == HEALTH_HEALTHY && s.streak == 0);
        orders_done(&o);
}

static void judge_startup(void)
{
        struct orders o = orders_of("health x\nhealth-retries 1\nstartup y\nstartup-success 2\nstartup-retries 3\n");
        struct health_state s = {0};

        CHECK(health_judge(&s, &o, false, false) == ACTION_NONE && s.status == HEALTH_STARTING && s.streak == 0);
        CHECK(health_judge(&s, &o, true, false) == ACTION_NONE && s.status == HEALTH_HEALTHY && !s.startup_passed);
        CHECK(health_judge(&s, &o, false, false) == ACTION_NONE);
        CHECK(health_judge(&s, &o, false, false) == ACTION_RESTART);
        CHECK(health_judge(&s, &o, true, false) == ACTION_NONE && s.startup_passed);
        CHECK(health_judge(&s, &o, false, false) == ACTION_NONE && s.status == HEALTH_UNHEALTHY);
        orders_done(&o);
        o = orders_of("health x\nstartup y\n"); /* one success is enough, failures never restart it */
        s = (struct health_state){0};
        for (int i = 0; i < 100; i++)
                CHECK(health_judge(&s, &o, false, false) == ACTION_NONE);
        CHECK(health_judge(&s, &o, true, false) == ACTION_NONE && s.startup_passed);
        orders_done(&o);
}

/* --- the log --- */

static void log_lines(void)
{
        static const char output[] = "a\"\\\n\t\x01\xc3\xa9\xff\xf0\x9f\x98\x80\xed\xa0\x80";
        struct health_entry e = {.end.tv_nsec = 120000000, .code = -1, .output = output, .len = sizeof(output) - 1};
        char *line;

        CHECK_INT(setenv("TZ", "XYZ-5:30", 1), 0);
        tzset();
        line = healthlog_line(&e);
        CHECK_STR(line,
                  "{\"Start\":\"1970-01-01T05:30:00.000000000+05:30\",\"End\":\"1970-01-01T05:30:00.120000000+05:30\","
                  "\"ExitCode\":-1,\"Output\":\"a\\\"\\\\\\n\\t\\u0001\xc3\xa9\xef\xbf\xbd\xf0\x9f\x98\x80"
                  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
        free(line);
        e.output = NULL;
        line = healthlog_line(&e);
        CHECK(strstr(line, "\"Output\":\"\"}"));
        free(line);
}

/* How many entries the document has; each has its number as output. */
static int log_entries(int first)
{
        char text[16], head[] = "{\"Status\":\"unhealthy\",\"FailingStreak\":7,\"Log\":[\n{\"Start\":";
        const char *doc = test_read("log");
        int n = 0;

        CHECK(strncmp(doc, head, sizeof(head) - 1) == 0);
        for (;; n++, doc += strlen(text)) {
                (void) snprintf(text, sizeof(text), "\"<%d>\"}", first + n);
                doc = strstr(doc, text);
                if (!doc)
                        return n;
                CHECK(doc[strlen(text)] == ',' || strcmp(doc + strlen(text), "\n]}\n") == 0);
        }
}

static void log_add(const char *path, int number, int64_t count)
{
        static const struct health_summary summary = {"unhealthy", 7};
        char text[16];
        struct health_entry e = {.output = text, .len = (size_t) snprintf(text, sizeof(text), "<%d>", number)};

        CHECK_INT(healthlog_add(path, &e, &summary, count), 0);
}

static void log_keeps_the_newest(void)
{
        static const struct health_summary starting = {"starting", 0};
        static const char *const foreign[] = {"",
                                              "\n",
                                              "{\"Log\":null}",
                                              "x\n{\"Start\":\n",
                                              "\n\n]}\n",
                                              "{\n{\"Start\":1}\nodd\n]}\n",
                                              "\n{\"Start\":"};
        char *path = format("%s/log", test_dir());

        for (int i = 0; i < 20; i++) {
                int kept = i < 5 ? i + 1 : 5;

                log_add(path, i, 5);
                CHECK_INT(log_entries(i + 1 - kept), kept);
                CHECK_INT(log_entries(i - kept), 0);
        }
        for (int i = 20; i < 50; i++)
                log_add(path, i, 0);
        CHECK_INT(log_entries(15), 35);
        log_add(path, 50, 3);
        CHECK_INT(log_entries(48), 3);
        CHECK_INT(log_entries(47), 0);
        log_add(path, 51, 1);
        CHECK_INT(log_entries(51), 1);
        CHECK_INT(healthlog_clear(path, &starting), 0);
        CHECK_STR(test_read("log"), "{\"Status\":\"starting\",\"FailingStreak\":0,\"Log\":[\n\n]}\n");
        log_add(path, 7, 5);
        CHECK_INT(log_entries(7), 1);
        for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
                CHECK_INT(write_file_atomic(path, foreign[i]), 0);
                log_add(path, 8, 5);
                CHECK_INT(log_entries(8), 1);
        }
        free(path);
}

/* --- timers --- */

static void count_up(void *data)
{
        ++*(int *) data;
}

static void timers(void)
{
        struct loop loop;
        struct timer t;
        int fired = 0;

        CHECK_INT(loop_init(&loop), 0);
        timer_init(&t, &loop, count_up, &fired);
        CHECK_INT(timer_left(&t), -1);
        CHECK_INT(timer_set(&t, 50), 0);
        CHECK(timer_left(&t) >= 30 && timer_left(&t) <= 50);
        timer_stop(&t);
        CHECK_INT(timer_left(&t), -1);
        CHECK_INT(loop_step(&loop, 80), 0);
        CHECK_INT(timer_set_at(&t, now_ns() - 1), 0);
        CHECK_INT(loop_step(&loop, 1000), 1);
        CHECK_INT(fired, 1);
        CHECK_INT(loop_step(&loop, 10), 0);
        timer_done(&t);
        loop_done(&loop);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                T(orders_words),
                T(orders_errors),
                T(restart_policies),
                T(restart_back_off),
                T(state_lines),
                T(judge_regular),
                T(judge_startup),
                T(log_lines),
                T(log_keeps_the_newest),
                T(timers),
        };

        return run_tests(tests, ARRAY_LEN(tests), argc > 1 ? argv[1] : NULL);
}
