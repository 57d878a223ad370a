/* Start the OCI runtime. */
#ifndef CONMON_RUNTIME_H
#define CONMON_RUNTIME_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "options.h"

/* What the runtime, and through it the container, is given. */
struct runtime_setup {
        const struct options *opt;
        const char *console_socket; /* NULL without a terminal */
        int in, out, err; /* its stdio; -1 is /dev/null */
        bool passthrough; /* it keeps ours instead */
        int start_pipe; /* read before it starts; -1: does not wait */
        int oom_score_adj; /* what it was before ours was changed; OOM_SCORE_KEPT: it was not */
        const sigset_t *sigmask; /* to restore */
};

/* The command line, ended by NULL; fresh memory for the array, not for the words. NULL without memory. */
char **runtime_argv(const struct options *opt, const char *console_socket);

/* The same for another verb: its words, ended by NULL, go before the container's id. */
char **runtime_verb_argv(const struct options *opt, const char *const *words);

/* The pid of the runtime, or -errno. */
pid_t runtime_start(const struct runtime_setup *setup);
pid_t runtime_spawn(const struct runtime_setup *setup, char **argv);

#define OOM_SCORE_KEPT INT_MIN

/* Give this process another oom_score_adj; what it was before, or OOM_SCORE_KEPT when that is not allowed. */
int oom_score_adjust(int value);

#endif
