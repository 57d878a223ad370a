/* A page-aligned buffer whose pages are given back to the kernel when the monitor idles. */
#ifndef CONMON_SCRATCH_H
#define CONMON_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

struct scratch {
        char *map;
        size_t size;
        bool dirty; /* asked for since it was last given back */
};

/* The buffer, mapped when first asked for; NULL when there is no memory. */
char *scratch_get(struct scratch *scratch, size_t size);
void scratch_trim(struct scratch *scratch);
void scratch_free(struct scratch *scratch);

#endif
