#include "memory.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* First byte of the image; ld(1) defines it. */
extern const char __executable_start[];

void memory_forget_program(void)
{
        const ElfW(Phdr) *segments = (const ElfW(Phdr) *) getauxval(AT_PHDR);
        unsigned long n = segments ? getauxval(AT_PHNUM) : 0;
        uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE), bias = 0;
        bool first = true;

        for (unsigned long i = 0; i < n; i++) {
                uintptr_t start, end;

                if (segments[i].p_type != PT_LOAD)
                        continue;
                if (first)
                        bias = (uintptr_t) __executable_start - segments[i].p_vaddr;
                first = false;
                /* What may be written to has to stay: it would read as it is in the file again. */
                if (segments[i].p_flags & PF_W)
                        continue;
                start = (bias + segments[i].p_vaddr) & ~(page - 1);
                end = (bias + segments[i].p_vaddr + segments[i].p_memsz + page - 1) & ~(page - 1);
                (void) madvise((void *) start, end - start, MADV_DONTNEED);
        }
}

void memory_trim_heap(void)
{
#ifdef __GLIBC__
        (void) malloc_trim(0);
#endif
}
