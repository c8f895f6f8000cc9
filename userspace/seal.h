/* SPDX-License-Identifier: MIT */
/*
 * Seals: the mirror's word that a locked guard may be changed. Made where the key is, by
 * `heliograph guard seal`; taken to the device as a line of text. What a seal covers is said at the
 * head of include/uapi/heliograph.h.
 */
#ifndef HG_USERSPACE_SEAL_H
#define HG_USERSPACE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include "../include/uapi/heliograph.h"

/* A command of at most one number, as the device puts it into its message. */
struct hg_sealed {
	enum hg_command command;
	enum hg_attribute attribute; /* HG_A_UNSPEC: the command takes none */
	__u32 value;
	bool big_endian; /* the device is */
};

/* Returns 0 or -EIO. */
int hg_seal_make(const __u8 key[static HG_KEY_LENGTH], __u64 counter, const struct hg_sealed *what,
		 struct hg_seal *seal);

/* A file of 64 hexadecimal digits. Returns 0, or -errno with a message that names it. */
int hg_seal_key(const char *path, __u8 key[static HG_KEY_LENGTH], char *err, size_t err_size);

#define HG_SEAL_TEXT 88 /* "COUNTER MAC", with the zero byte */

void hg_seal_print(const struct hg_seal *seal, char text[static HG_SEAL_TEXT]);
/* Reads what was printed from a file; "-": standard input. */
int hg_seal_read(const char *path, struct hg_seal *seal, char *err, size_t err_size);

#endif
