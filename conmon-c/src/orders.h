/* What the engine wants done beyond conmon's job: a text file of "KEY VALUE" lines, named by --orders.
 *
 * docs/ARCHITECTURE.md, "Tended containers", has the list of keys.
 */
#ifndef CONMON_ORDERS_H
#define CONMON_ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };
enum health_action { ACTION_NONE, ACTION_KILL, ACTION_RESTART, ACTION_STOP };
enum notify_mode { NOTIFY_CONTAINER, NOTIFY_CONMON, NOTIFY_HEALTHY };

/* One kind of check. Times in ms; process: the file for the runtime's exec --process, NULL when there is no such check. */
struct check_orders {
        char *process;
        int64_t interval; /* 0: only on request */
        int64_t timeout; /* 0: none */
        int64_t retries, successes;
};

struct orders {
        bool given;

        enum restart_policy policy;
        int64_t policy_retries; /* of on-failure; 0: no limit */
        int64_t first_wait, longest_wait, reset_after; /* back-off, ms */

        int64_t stop_signal, stop_timeout; /* the latter in s; negative: never kill */

        struct check_orders regular, startup;
        int64_t start_period, start_interval;
        enum health_action on_failure;
        char *health_log;
        int64_t health_log_count, health_log_size; /* 0: no limit */

        char *notify_socket;
        enum notify_mode notify_mode;
};

/* Fill orders from a text; 0, or -EINVAL with a sentence in reterr. */
int orders_parse(struct orders *orders, const char *text, char *reterr, size_t size);

/* The same from a file. */
int orders_read(struct orders *orders, const char *path, char *reterr, size_t size);
void orders_done(struct orders *orders);

#endif
