/* One turn of the loop, and what is given back while there is nothing to do. */
#include "memory.h"
#include "monitor.h"

#define IDLE_AFTER_MS 1000

/* Handle what comes; when nothing has for a while, give back the memory that it took. */
int monitor_step(struct monitor *m)
{
        bool dirty = m->relay.buf.dirty || m->attach.in.dirty;
        int n = loop_step(&m->loop, dirty ? IDLE_AFTER_MS : -1);

        if (n == 0 && dirty) {
                relay_trim(&m->relay);
                scratch_trim(&m->attach.in);
                memory_trim_heap();
                memory_forget_program();
        }
        return n;
}
