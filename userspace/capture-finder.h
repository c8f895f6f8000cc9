/* SPDX-License-Identifier: MIT */
/*
 * Finds the device of one capture file, by what a device does and a router does not;
 * docs/learning.md says how.
 */
#ifndef HG_USERSPACE_CAPTURE_FINDER_H
#define HG_USERSPACE_CAPTURE_FINDER_H

#include "capture-device.h"

/* Collects what is to be known about the hosts of one file; its size is fixed. */
struct hg_capture_finder;

struct hg_capture_finder *hg_capture_finder_new(enum hg_capture_link link);
void hg_capture_finder_free(struct hg_capture_finder *f);
void hg_capture_finder_add(struct hg_capture_finder *f, const struct hg_capture_record *r);

/*
 * After all records. With `wanted` it is looked for under the names it has in this file; else the
 * one device that can be it is found. Returns 0; -ENOENT (it is not there, or nobody is) or -EEXIST
 * (several could be it) with a message that lists them.
 */
int hg_capture_finder_find(struct hg_capture_finder *f, const struct hg_capture_device *wanted,
			   struct hg_capture_device *out, char *err, size_t err_size);

#endif
