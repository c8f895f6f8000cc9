/* SPDX-License-Identifier: MIT */
/* Bytes written as hex in the tests' tables. */
#ifndef HG_TESTS_LIB_HEX_H
#define HG_TESTS_LIB_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Returns the number of bytes; blanks are skipped. out has room. */
static inline size_t hex_bytes(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned int byte;
	int used;

	for (; sscanf(hex, " %2x%n", &byte, &used) == 1; hex += used)
		out[n++] = (uint8_t)byte;
	return n;
}

#endif
