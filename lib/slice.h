/* SPDX-License-Identifier: MIT */
/*
 * A read-only run of bytes inside a buffer that somebody else owns. Decoders return slices
 * of their input; text slices are UTF-8, checked, and not NUL-terminated.
 */
#ifndef HG_LIB_SLICE_H
#define HG_LIB_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hg_slice {
	const uint8_t *ptr;
	size_t len;
};

static inline struct hg_slice hg_slice_of(const void *ptr, size_t len)
{
	return (struct hg_slice){ ptr, len };
}

static inline struct hg_slice hg_slice_str(const char *s)
{
	return (struct hg_slice){ (const uint8_t *)s, strlen(s) };
}

static inline bool hg_slice_eq(struct hg_slice a, struct hg_slice b)
{
	return a.len == b.len && (!a.len || !memcmp(a.ptr, b.ptr, a.len));
}

#endif
