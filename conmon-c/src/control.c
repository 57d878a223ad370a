#include "control.h"

#include <string.h>
#include <sys/socket.h>

#include "attach-socket.h"
#include "message.h"
#include "monitor.h"
#include "reload.h"

#define REQUEST_MAX 64

struct control_client {
        struct source source;
        struct control *control;
        struct control_client *next;
        enum request waits; /* for this */
        char *answer; /* to be sent by control_settle */
};

static void client_free(struct control_client *c)
{
        struct control_client **p = &c->control->clients;

        while (*p != c)
                p = &(*p)->next;
        *p = c->next;
        loop_del(&c->control->m->loop, &c->source);
        close_p(&c->source.fd);
        free(c->answer);
        free(c);
}

static void say(struct control_client *c, const char *text)
{
        c->waits = REQUEST_NONE;
        (void) send(c->source.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void request_start(struct control_client *c)
{
        struct monitor *m = c->control->m;

        if (m->start_wanted || m->record.phase != PHASE_CREATED) {
                say(c, "error it was started before");
                return;
        }
        m->start_wanted = true;
        c->waits = REQUEST_START;
}

static void request_hold(struct control_client *c)
{
        struct monitor *m = c->control->m;

        m->held = true;
        /* Made, but not started yet: if it ever is, that is its last run. So is that of one without orders. */
        if (!m->ended && (!m->orders.given || m->record.phase == PHASE_RUNNING ||
                          (m->record.phase == PHASE_CREATED && !m->was_started)))
                say(c, "ok");
        else
                c->waits = REQUEST_HOLD;
}

static void request_check(struct control_client *c)
{
        struct monitor *m = c->control->m;

        if (!m->orders.regular.process) {
                say(c, "error it has no health check");
        } else if (!m->health.running || m->health.frozen) {
                say(c, "error it is not running");
        } else {
                c->waits = REQUEST_CHECK;
                health_request(&m->health);
        }
}

static void request_reload(struct control_client *c)
{
        char why[512], text[600];

        if (reload(c->control->m, why, sizeof(why)) == 0) {
                say(c, "ok");
                return;
        }
        (void) snprintf(text, sizeof(text), "error %s", why);
        say(c, text);
}

static void take(struct control_client *c, const char *word)
{
        static const struct {
                const char *word;
                void (*take)(struct control_client *client);
        } requests[] = {
                {"start", request_start}, {"hold", request_hold}, {"check", request_check}, {"reload", request_reload}};

        for (size_t i = 0; i < ARRAY_LEN(requests); i++)
                if (strcmp(requests[i].word, word) == 0) {
                        requests[i].take(c);
                        return;
                }
        say(c, "error unknown request");
}

/* Read all that the client has sent; it is freed once it has gone and nothing is owed to it. */
static void client_read(struct control_client *c)
{
        for (;;) {
                char word[REQUEST_MAX];
                ssize_t n = recv(c->source.fd, word, sizeof(word) - 1, MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        client_free(c);
                        return;
                }
                word[n] = '\0';
                word[strcspn(word, "\n")] = '\0';
                take(c, word);
        }
}

static void client_event(struct source *source, uint32_t events)
{
        (void) events;
        client_read(source->data);
}

static int client_new(struct control *control, int fd)
{
        struct control_client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->control = control;
        c->source = (struct source){.fd = fd, .handle = client_event, .data = c};
        r = loop_add(&control->m->loop, &c->source, EPOLLIN);
        if (r < 0) {
                free(c);
                return r;
        }
        c->next = control->clients;
        control->clients = c;
        return 0;
}

static void accept_all(struct control *control)
{
        while (control->listener.fd >= 0) {
                _cleanup_close_ int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
                        continue;
                if (fd < 0)
                        return;
                if (client_new(control, fd) == 0)
                        (void) steal_fd(&fd);
        }
}

static void listener_event(struct source *source, uint32_t events)
{
        (void) events;
        accept_all(source->data);
}

void control_init(struct control *control, struct monitor *m)
{
        *control = (struct control){.m = m, .listener.fd = -1};
}

int control_open(struct control *control)
{
        struct monitor *m = control->m;
        int fd = bind_in_dir(m->opt.bundle, "control", SOCK_SEQPACKET, 0700), r = fd < 0 ? fd : 0;

        control->listener = (struct source){.fd = fd, .early = true, .handle = listener_event, .data = control};
        if (r == 0 && listen(fd, 64) < 0)
                r = -errno;
        if (r == 0)
                r = loop_add(&m->loop, &control->listener, EPOLLIN);
        if (r < 0)
                msg_error("Failed to make %s/control: %s", m->opt.bundle, strerror(-r));
        return r;
}

void control_poll(struct control *control)
{
        accept_all(control);
        for (struct control_client *c = control->clients, *next; c; c = next) {
                next = c->next;
                client_read(c);
        }
}

void control_answer(struct control *control, enum request kind, const char *text, bool later)
{
        for (struct control_client *c = control->clients; c; c = c->next) {
                if (c->waits != kind)
                        continue;
                if (later && !c->answer)
                        c->answer = strdup(text);
                if (later && c->answer)
                        c->waits = REQUEST_NONE;
                else
                        say(c, text);
        }
}

void control_settle(struct control *control)
{
        for (struct control_client *c = control->clients; c; c = c->next) {
                if (c->answer)
                        say(c, c->answer);
                free(c->answer);
                c->answer = NULL;
        }
        control_answer(control, REQUEST_HOLD, "ok", false);
}

void control_finish(struct control *control)
{
        control_poll(control);
        control_settle(control);
        control_done(control);
}

void control_done(struct control *control)
{
        while (control->clients)
                client_free(control->clients);
        loop_del(&control->m->loop, &control->listener);
        close_p(&control->listener.fd);
}
