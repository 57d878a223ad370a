/* The runtime has ended: is there a container? */
#include <string.h>

#include "eventlog.h"
#include "message.h"
#include "monitor.h"
#include "syncpipe.h"

/* What the runtime said on stderr: nothing else has read that pipe yet. */
static void read_words(const struct monitor *m, char *buf, size_t size)
{
        ssize_t n = m->relay.err.source.fd < 0 ? 0 : read(m->relay.err.source.fd, buf, size - 1);

        buf[n > 0 ? n : 0] = '\0';
        if (n > 0)
                msg_warn("runtime stderr: %s", buf);
}

/* Report that there is no container; why: for when the runtime itself has said nothing. */
static int fail(struct monitor *m, const char *why)
{
        char words[SYNC_MESSAGE_MAX];

        children_settle(m);
        read_words(m, words, sizeof(words));
        sync_report(&m->sync_pipe, &m->opt, -1, *words ? words : why);
        (void) snprintf(m->said, sizeof(m->said), "%.1000s", *words ? words : why ? why : "");
        return -ECHILD;
}

int created(struct monitor *m)
{
        char why[512];
        int pid;

        console_finish(&m->console);
        /* The status of an exec is the command's own. */
        if (!m->opt.exec && exit_code_of(m->runtime_status) != 0) {
                msg_error("Failed to create container: exit status %d", exit_code_of(m->runtime_status));
                return fail(m, NULL);
        }
        if (m->opt.terminal && m->relay.out.source.fd < 0) {
                msg_error("Runtime did not set up terminal");
                return fail(m, "Runtime did not set up terminal");
        }
        pid = read_pidfile(m->opt.container_pidfile, why, sizeof(why));
        if (pid < 0) {
                msg_error("Failed to read pidfile: %s", why);
                return fail(m, why);
        }
        children_set_container(m, pid);
        children_settle(m);
        /* The old protocol has one line for an exec: its exit code. */
        if (m->opt.api_version || !m->opt.exec)
                sync_report(&m->sync_pipe, &m->opt, pid, NULL);
        /* Nothing is left to be said there; an exec still tells its code. */
        if (!m->opt.exec)
                close_p(&m->sync_pipe);
        oom_watch(&m->oom, pid);
        relay_start(&m->relay);
        if (m->opt.exec)
                eventlog_tell(&m->opt, &(struct event){.status = "exec"});
        return children_set_timeout(m, m->opt.timeout);
}
