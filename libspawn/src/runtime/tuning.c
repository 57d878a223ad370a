/* Scheduler, I/O priority, processors and memory nodes of the calling task. */
#include <linux/ioprio.h>
#include <linux/sched/types.h>
#include <limits.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "fail.h"
#include "process.h"
#include "util.h"

static int set_scheduler(const struct oci_scheduler *s, spawn_error *e)
{
        struct sched_attr attr = {
                .size = sizeof(attr),
                .sched_policy = (uint32_t) s->number,
                .sched_flags = s->flags,
                .sched_nice = s->nice,
                .sched_priority = s->priority,
                .sched_runtime = s->runtime,
                .sched_deadline = s->deadline,
                .sched_period = s->period,
        };

        if (s->policy != NULL && syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
                return fail_errno(e, "limits", "process.scheduler: set scheduler `%s`", s->policy);
        return 0;
}

int process_priority(const struct oci_process *p, spawn_error *e)
{
        if (p->io_class >= 0 && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                                        IOPRIO_PRIO_VALUE((int) p->io_class, (int) p->io_priority)) < 0)
                return fail_errno(e, "limits", "process.ioPriority: set the I/O priority");
        return set_scheduler(&p->scheduler, e);
}

int process_affinity(const struct bit_list *cpus, const char *key, spawn_error *e)
{
        if (cpus->v != NULL && syscall(SYS_sched_setaffinity, 0, cpus->bytes, cpus->v) < 0)
                return fail_errno(e, "limits", "process.execCPUAffinity.%s: run on these processors", key);
        return 0;
}

int process_memory_policy(const struct oci_memory_policy *m, spawn_error *e)
{
        /* The kernel reads one bit less than it is told. */
        unsigned long bits = m->nodes.v != NULL ? m->nodes.bytes * CHAR_BIT : 0;

        if (m->mode != NULL && syscall(SYS_set_mempolicy, m->number, m->nodes.v, bits) < 0)
                return fail_errno(e, "limits", "linux.memoryPolicy: set the policy `%s`", m->mode);
        return 0;
}
