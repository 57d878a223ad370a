#include "restart.h"

bool restart_wanted(const struct orders *orders, int code, unsigned int restarts)
{
        switch (orders->policy) {
        case RESTART_NO:
                return false;
        case RESTART_ON_FAILURE:
                return code != 0 && (orders->policy_retries == 0 || restarts < orders->policy_retries);
        case RESTART_ALWAYS:
        case RESTART_UNLESS_STOPPED:
                return true;
        }
        return false;
}

int64_t restart_wait(const struct orders *orders, int64_t wait, int64_t ran)
{
        if (wait <= 0 || ran >= orders->reset_after)
                return orders->first_wait;
        return MIN_OF(2 * wait, orders->longest_wait);
}
