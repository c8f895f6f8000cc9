/* SPDX-License-Identifier: MIT */
/*
 * Whose traffic a capture shows: one device, known by its link address, or by its IP addresses
 * where the link type has none.
 */
#ifndef HG_USERSPACE_CAPTURE_DEVICE_H
#define HG_USERSPACE_CAPTURE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include "capture-file.h"

#define HG_CAPTURE_ADDRS_MAX 16
#define HG_CAPTURE_DEVICE_TEXT 128 /* for hg_capture_device_text() */

struct hg_capture_device {
	bool has_mac; /* known by mac; else by addrs */
	__u8 mac[6];
	size_t n_addrs; /* its own; with has_mac some that it was seen to send from, as a help */
	struct hg_addr addrs[HG_CAPTURE_ADDRS_MAX];
};

/*
 * "00:11:22:33:44:55", or up to HG_CAPTURE_ADDRS_MAX IP addresses between commas. Returns 0 or
 * -EINVAL with a message.
 */
int hg_capture_device_parse(const char *text, struct hg_capture_device *out, char *err,
			    size_t err_size);
/* The link address, else the first IP address. */
const char *hg_capture_device_text(const struct hg_capture_device *d,
				   char out[static HG_CAPTURE_DEVICE_TEXT]);
bool hg_capture_device_same(const struct hg_capture_device *a, const struct hg_capture_device *b);

enum hg_capture_way {
	HG_CAPTURE_OTHER = 0, /* between others */
	HG_CAPTURE_IN,	      /* to the device or to a group */
	HG_CAPTURE_OUT,
};

/* Which way a record goes, seen from the device. */
enum hg_capture_way hg_capture_device_way(const struct hg_capture_device *d,
					  const struct hg_capture_record *r);

/* What capture-finder.c needs besides. */
bool hg_capture_is_group(const struct hg_addr *a);
bool hg_capture_has_addr(const struct hg_addr *list, size_t n, const struct hg_addr *a);
void hg_capture_mac_text(const __u8 *mac, char *out, size_t size);
void hg_capture_addr_text(const struct hg_addr *a, char *out, size_t size);
/* Reads the frame as its sender sends it: key.local is the source. False if it is no IP. */
bool hg_capture_read_ip(const struct hg_capture_record *r, struct hg_packet *p);

#endif
