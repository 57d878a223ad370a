#include "tend.h"

#include <signal.h>
#include <string.h>

#include "call.h"
#include "eventlog.h"
#include "message.h"
#include "monitor.h"
#include "restart.h"
#include "syncpipe.h"

#define SAID_MAX 1024

static void save(struct monitor *m)
{
        statefile_write(&m->record, m->opt.state_file);
}

static void tell(const struct monitor *m, const char *status)
{
        eventlog_tell(&m->opt, &(struct event){.status = status});
}

int tend_read_orders(struct monitor *m)
{
        char why[512];
        int r = m->opt.orders ? orders_read(&m->orders, m->opt.orders, why, sizeof(why)) : 0;

        if (r < 0)
                msg_error("Failed to read the orders: %s", why);
        return r;
}

/* --- running --- */

static void now_running(struct monitor *m)
{
        (void) clock_gettime(CLOCK_REALTIME, &m->record.started);
        m->run_began = now_ms();
        m->record.phase = PHASE_RUNNING;
        m->record.cause = CAUSE_NONE;
        m->record.error = NULL;
        m->recorded = false;
        tell(m, "start");
        save(m);
        health_start(&m->health);
}

/* MAINPID is the monitor: it is what stays. */
static void tell_manager(const struct monitor *m)
{
        const struct orders *o = &m->orders;
        _cleanup_free_ char *text =
                format("MAINPID=%d%s", (int) getpid(), o->notify_mode == NOTIFY_CONMON ? "\nREADY=1" : "");

        if (o->notify_socket && (!text || sdnotify_send(o->notify_socket, text) < 0))
                msg_warn("Failed to notify %s", o->notify_socket);
}

/* Start the program of the container that was made. false: it does not run; the words are m->said. */
static bool start_program(struct monitor *m)
{
        static const char *const words[] = {"start", NULL};
        int r = call_runtime(m, words, m->said, sizeof(m->said));

        if (r == 0)
                return true;
        if (!m->said[0])
                (void) snprintf(m->said, sizeof(m->said), "the runtime's start ended with %d", r);
        return false;
}

void tend_first_start(struct monitor *m)
{
        m->record.phase = PHASE_CREATED;
        m->record.pid = m->container_pid;
        save(m);
        control_settle(&m->control);
        while (!m->ended && !m->start_wanted && monitor_step(m) >= 0)
                ;
        if (!m->start_wanted)
                return;
        if (!start_program(m)) {
                _cleanup_free_ char *text = format("error %s", m->said);

                control_answer(&m->control, REQUEST_START, text ? text : "error", false);
                return;
        }
        m->was_started = true;
        now_running(m);
        tell_manager(m);
        control_answer(&m->control, REQUEST_START, "ok", false);
        control_settle(&m->control);
}

void tend_health_changed(struct monitor *m, const char *status, unsigned int streak)
{
        if (m->record.health == status && m->record.streak == streak)
                return;
        m->record.health = status;
        m->record.streak = streak;
        save(m);
}

/* --- ending --- */

void tend_insist(void *data)
{
        struct monitor *m = data;

        if (m->container_pid > 0)
                (void) kill(m->container_pid, SIGKILL);
}

void tend_act(struct monitor *m, enum health_action action)
{
        bool kill_now = action == ACTION_KILL || m->orders.stop_timeout == 0;

        if (action == ACTION_NONE || m->ended || m->container_pid <= 0)
                return;
        msg_info("The health check failed, action %d", (int) action);
        m->failed_health = true;
        if (action == ACTION_RESTART)
                m->again = true;
        else
                m->held = true; /* as for podman: what an action ends stays down */
        (void) kill(m->container_pid, kill_now ? SIGKILL : (int) m->orders.stop_signal);
        if (!kill_now && m->orders.stop_timeout > 0)
                (void) timer_set(&m->insist, m->orders.stop_timeout * 1000);
}

static enum cause find_cause(const struct monitor *m)
{
        if (m->timed_out)
                return CAUSE_TIMEOUT;
        if (m->failed_health)
                return CAUSE_HEALTH;
        /* With an init inside, the signal that ended the program is its exit code. */
        if (m->oom.reported && (m->exit_signal == SIGKILL || m->exit_code == 128 + SIGKILL))
                return CAUSE_OOM;
        if (m->exit_signal == SIGSYS)
                return CAUSE_SECCOMP;
        if (m->exit_signal > 0)
                return CAUSE_SIGNAL;
        return m->exit_code == EXIT_UNKNOWN ? CAUSE_UNKNOWN : CAUSE_EXIT;
}

void tend_over(struct monitor *m)
{
        if (m->recorded)
                return;
        m->recorded = true;
        timer_stop(&m->insist);
        health_stop(&m->health);
        oom_check(&m->oom);
        (void) clock_gettime(CLOCK_REALTIME, &m->record.finished);
        m->record.exit_code = m->exit_code;
        m->record.signal = m->exit_signal;
        m->record.cause = find_cause(m);
        m->record.oom_killed = m->oom.reported;
        (void) snprintf(m->oom_limit, sizeof(m->oom_limit), "%s", m->oom.limit);
        m->record.oom_limit = m->oom_limit;
        m->record.pid = 0;
        if (m->orders.given && m->was_started)
                eventlog_tell(&m->opt, &(struct event){.status = "died", .has_code = true, .code = m->exit_code});
}

void tend_told(struct monitor *m)
{
        m->record.phase = PHASE_ENDED;
        save(m);
}

/* The time limit has come: nothing is asked any more. */
static void end_by_timeout(struct monitor *m)
{
        (void) kill(m->container_pid, SIGKILL);
        while (!m->ended && monitor_step(m) >= 0)
                ;
        m->exit_code = EXIT_UNKNOWN; /* conmon's code for it */
}

/* --- again --- */

static bool allowed(const struct monitor *m)
{
        return !m->held && m->was_started && (m->again || restart_wanted(&m->orders, m->exit_code, m->record.restarts));
}

static bool wanted(struct monitor *m)
{
        control_poll(&m->control);
        return allowed(m);
}

static void wait_over(void *data)
{
        *(bool *) data = true;
}

/* ran: ms of the run before. false: somebody wants no restart, or other orders have come. */
static bool wait_to_restart(struct monitor *m, int64_t ran)
{
        struct timer timer;
        bool over = false;
        int r;

        m->wait = restart_wait(&m->orders, m->wait, ran);
        timer_init(&timer, &m->loop, wait_over, &over);
        r = timer_set(&timer, m->wait);
        /* A client that is behind gets the old run's output before the new one's. */
        while (r >= 0 && allowed(m) && !(over && m->relay.drained))
                r = monitor_step(m);
        timer_done(&timer);
        return r >= 0 && wanted(m);
}

/* Make stdio and container anew, with the same bundle, clients and logs. */
static int create_again(struct monitor *m)
{
        int r = 0;

        m->ended = m->timed_out = m->runtime_done = false;
        relay_reset(&m->relay);
        oom_reset(&m->oom);
        ctl_lose_terminal(&m->ctl);
        console_done(&m->console);
        if (m->opt.terminal)
                r = startup_console(m);
        if (r == 0)
                r = startup_runtime(m);
        while (r >= 0 && !m->runtime_done)
                r = monitor_step(m);
        if (r >= 0)
                r = created(m);
        if (r >= 0 && attach_input_over(&m->attach))
                input_end(&m->input);
        else if (r >= 0 && m->input.state == INPUT_OPEN)
                m->input.writable(m->input.data);
        return r;
}

static bool bring_up(struct monitor *m)
{
        m->record.phase = PHASE_CREATING;
        m->record.pid = 0;
        m->record.restarts++;
        m->failed_health = m->again = false;
        save(m);
        tell(m, "restart");
        m->said[0] = '\0';
        if (create_again(m) < 0) {
                if (!m->said[0])
                        (void) snprintf(m->said, sizeof(m->said), "the container could not be made again");
                return false;
        }
        m->record.phase = PHASE_CREATED;
        m->record.pid = m->container_pid;
        save(m);
        tell(m, "init");
        control_poll(&m->control);
        if (m->held || m->ended || !start_program(m))
                return false;
        now_running(m);
        control_settle(&m->control);
        return true;
}

static void delete_container(struct monitor *m)
{
        static const char *const words[] = {"delete", "--force", NULL};
        char said[SAID_MAX];
        int code = m->exit_code;

        m->container_pid = 0; /* of one that was made but not started, which goes with this */
        if (call_runtime(m, words, said, sizeof(said)) != 0)
                msg_warn("Failed to delete the container before its restart: %s", said);
        m->exit_code = code;
}

/* What the old container has written goes where it belongs; what clients write waits for the new one. */
static void stop_streams(struct monitor *m)
{
        relay_drain(&m->relay);
        log_flush(&m->log);
        if (m->opt.terminal || m->opt.stdin_open)
                input_await(&m->input);
}

bool tend_again(struct monitor *m)
{
        int64_t ran = (int64_t) (now_ms() - m->run_began);
        int code;

        if (m->timed_out && !m->ended && m->container_pid > 0)
                end_by_timeout(m);
        tend_over(m);
        if (!wanted(m))
                return false;
        children_stop_timeout(m);
        stop_streams(m);
        code = m->exit_code;
        while (wanted(m)) {
                bool again = m->again;

                m->record.phase = PHASE_WAITING;
                save(m);
                control_settle(&m->control);
                delete_container(m);
                if (!wait_to_restart(m, ran))
                        return false;
                if (bring_up(m))
                        return true;
                /* What could not be made or started again is tried again, with the code of the last real run. */
                stop_streams(m);
                m->exit_code = code;
                m->record.error = m->said;
                m->record.pid = 0;
                m->again = again;
                ran = 0;
        }
        return false;
}
