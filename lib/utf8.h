/* SPDX-License-Identifier: MIT */
/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef HG_LIB_UTF8_H
#define HG_LIB_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes (1..4) of the well-formed character at p, where n > 0 bytes are left; 0 if there is none.
 */
static inline size_t hg_utf8_next(const uint8_t *p, size_t n)
{
	uint8_t low = 0x80, high = 0xbf; /* of the second byte, RFC 3629 section 4 */
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static inline bool hg_utf8_valid(const void *text, size_t n)
{
	const uint8_t *p = text;
	size_t step;

	for (; n; p += step, n -= step) {
		step = hg_utf8_next(p, n);
		if (!step)
			return false;
	}
	return true;
}

#endif
