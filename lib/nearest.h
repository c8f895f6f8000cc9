/* SPDX-License-Identifier: MIT */
/* "Did you mean": set `wanted`, add each word that would have been right, read `best`. */
#ifndef HG_LIB_NEAREST_H
#define HG_LIB_NEAREST_H

#include <stddef.h>

struct hg_nearest {
	const char *wanted;
	const char *best; /* NULL: no word is near */
	size_t distance;
};

void hg_nearest_add(struct hg_nearest *n, const char *word);

#endif
