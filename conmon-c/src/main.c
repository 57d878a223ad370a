/* podlike-conmon: stays with one container (or one command in it) for as long as it runs.
 *
 * It starts the OCI runtime, is the container's parent, keeps its output, serves clients that attach, and tells how it
 * ended. Its command line and its pipes are conmon's, so that each can take the other's place.
 */
#include "memory.h"
#include "message.h"
#include "monitor.h"

/* What the version of the protocol is told by; callers refuse a monitor that is too old. */
#define PROTOCOL_VERSION "2.2.1"

static void monitor_init(struct monitor *m)
{
        m->start_pipe = m->sync_pipe = m->attach_pipe = m->owner_pipe = -1;
        m->loop.fd = m->signals.fd = m->timeout.fd = m->container.fd = -1;
        m->exit_code = EXIT_UNKNOWN;
        input_init(&m->input, &m->loop, -1, INPUT_NONE);
        attach_init(&m->attach, &m->loop, &m->input);
        relay_init(&m->relay, &m->loop, &m->log, &m->attach);
        ctl_init(&m->ctl, &m->loop, &m->log);
        console_init(&m->console, &m->loop, NULL, NULL);
        oom_init(&m->oom, &m->loop, &m->opt);
        sdnotify_init(&m->notify, &m->loop);
        control_init(&m->control, m);
        health_init(&m->health, m);
        timer_init(&m->insist, &m->loop, tend_insist, m);
}

static void monitor_done(struct monitor *m)
{
        relay_done(&m->relay);
        input_close(&m->input);
        attach_done(&m->attach);
        ctl_done(&m->ctl);
        console_done(&m->console);
        oom_done(&m->oom);
        sdnotify_done(&m->notify);
        health_done(&m->health);
        control_done(&m->control);
        timer_done(&m->insist);
        orders_done(&m->orders);
        log_close(&m->log);
        close_p(&m->signals.fd);
        close_p(&m->timeout.fd);
        close_p(&m->container.fd);
        close_p(&m->start_pipe);
        close_p(&m->sync_pipe);
        close_p(&m->attach_pipe);
        close_p(&m->owner_pipe);
        loop_done(&m->loop);
        free(m->inherited);
        options_done(&m->opt);
}

static int run(struct monitor *m)
{
        int r = startup_sockets(m);

        if (r == 0)
                r = startup_runtime(m);
        while (r >= 0 && !m->runtime_done)
                r = monitor_step(m);
        if (r >= 0)
                r = created(m);
        if (r < 0)
                return finish_failed(m);
        memory_forget_program();
        if (m->orders.given)
                tend_first_start(m);
        else
                m->run_began = now_ms();
        do {
                while (!m->ended && !m->timed_out && monitor_step(m) >= 0)
                        ;
        } while (m->orders.given && tend_again(m));
        return finish(m);
}

static int start(struct monitor *m)
{
        int r = tend_read_orders(m);

        if (r == 0)
                r = log_open(&m->log, &m->opt);
        if (r == 0)
                r = startup_environment(m);
        if (r == 0)
                r = startup_wait(m);
        if (r == 0)
                r = startup_detach(m);
        if (r != 0)
                return r > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        return run(m);
}

int main(int argc, char **argv)
{
        struct monitor m = {0};
        char why[256];
        int status;

        monitor_init(&m);
        if (options_parse(&m.opt, argc, argv, why, sizeof(why)) < 0) {
                fprintf(stderr, "conmon: option parsing failed: %s\n", why);
                status = EXIT_FAILURE;
        } else if (m.opt.help) {
                options_print_help();
                status = EXIT_SUCCESS;
        } else if (m.opt.version) {
                printf("conmon version " PROTOCOL_VERSION "\ncommit: podlike-conmon " PODLIKE_VERSION "\n");
                status = EXIT_SUCCESS;
        } else {
                status = options_check(&m.opt) < 0 ? EXIT_FAILURE : start(&m);
        }
        monitor_done(&m);
        return status & 0xff;
}
