#include "input.h"

#include "message.h"
#include "util.h"

static void input_ready(struct source *source, uint32_t events)
{
        struct input *input = source->data;

        (void) events; /* EPOLLERR (nobody reads) is found out by the next write */
        loop_del(input->loop, source);
        input->writable(input->data);
}

void input_init(struct input *input, struct loop *loop, int fd, enum input_state state)
{
        input->loop = loop;
        input->source = (struct source){.fd = fd, .handle = input_ready, .data = input};
        input->state = state;
}

void input_set_terminal(struct input *input, int fd)
{
        input->source.fd = fd;
        input->state = INPUT_OPEN;
        input->writable(input->data);
}

size_t input_write(struct input *input, const char *buf, size_t len)
{
        size_t done = 0;

        while (input->state == INPUT_OPEN && done < len) {
                ssize_t n = write(input->source.fd, buf + done, len - done);

                if (n >= 0) {
                        done += (size_t) n;
                } else if (errno == EAGAIN) {
                        (void) loop_add(input->loop, &input->source, EPOLLOUT);
                        return done;
                } else if (errno != EINTR) {
                        /* EPIPE is ordinary: the container does not read its stdin. A terminal says EIO
                         * while nobody has it open, which may change. */
                        if (errno != EPIPE && errno != EIO)
                                msg_warn("Failed to write to container stdin: error %d", errno);
                        if (!input->tty)
                                input_close(input);
                        return len;
                }
        }
        return input->state == INPUT_WAITING ? 0 : len;
}

void input_end(struct input *input)
{
        if (!input->tty && !input->keep_open)
                input_close(input);
}

void input_close(struct input *input)
{
        loop_del(input->loop, &input->source);
        close_p(&input->source.fd);
        input->state = INPUT_NONE;
}

void input_await(struct input *input)
{
        input_close(input);
        input->state = INPUT_WAITING;
}
