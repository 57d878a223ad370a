#include "scratch.h"

#include <sys/mman.h>

char *scratch_get(struct scratch *scratch, size_t size)
{
        void *p;

        scratch->dirty = true;
        if (scratch->map)
                return scratch->map;
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return NULL;
        scratch->map = p;
        scratch->size = size;
        return scratch->map;
}

void scratch_trim(struct scratch *scratch)
{
        if (scratch->map)
                (void) madvise(scratch->map, scratch->size, MADV_DONTNEED);
        scratch->dirty = false;
}

void scratch_free(struct scratch *scratch)
{
        if (scratch->map)
                (void) munmap(scratch->map, scratch->size);
        scratch->map = NULL;
}
