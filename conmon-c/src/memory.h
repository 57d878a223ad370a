/* Keep an idle monitor small: there is one for each container. */
#ifndef CONMON_MEMORY_H
#define CONMON_MEMORY_H

/* Unmap the pages of our own program file; those that are needed come back from the page cache one by one. Starting up
 * touches most of the program, waiting next to nothing of it. */
void memory_forget_program(void);

/* Give freed heap memory back. */
void memory_trim_heap(void);

#endif
