#ifndef PODLIKE_COPYUP_H
#define PODLIKE_COPYUP_H

/* Copy what the directory src_fd holds into the directory dst_fd: files, links, directories, devices where
 * allowed; with owners, modes and times. Both O_PATH. Returns 0 or -errno. */
int copy_up(int src_fd, int dst_fd);

#endif
