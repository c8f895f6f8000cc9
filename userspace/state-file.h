/* SPDX-License-Identifier: MIT */
/* Small files of state_dir, beside the store: replaced in one step, closed to others. */
#ifndef HG_USERSPACE_STATE_FILE_H
#define HG_USERSPACE_STATE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* "DIR/NAME". Returns buf. */
char *hg_state_path(const char *dir, const char *name, char *buf, size_t size);

/* Replaces the file; it is on the disk when this returns. 0, or -errno: the old one is there. */
int hg_state_write(const char *dir, const char *name, const void *data, size_t len);

/* Returns the bytes read, at most size; 0 if there is no such file, or it cannot be read. */
size_t hg_state_read(const char *dir, const char *name, void *buf, size_t size);

/* It is no matter if there is none. */
void hg_state_remove(const char *dir, const char *name);

#endif
