/* SPDX-License-Identifier: MIT */
/*
 * Suggestions for mistyped words, by edit distance. Near is one slip, and one more for every four
 * letters.
 */
#include "nearest.h"

#include <string.h>

/* Levenshtein distance of short words; words over 31 bytes count as far away. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b), diagonal, above;

	if (n > 31 || strlen(a) > 31)
		return 32;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			above = row[j + 1];
			row[j + 1] = diagonal + (a[i] != b[j]);
			if (row[j + 1] > above + 1)
				row[j + 1] = above + 1;
			if (row[j + 1] > row[j] + 1)
				row[j + 1] = row[j] + 1;
			diagonal = above;
		}
	}
	return row[n];
}

void hg_nearest_add(struct hg_nearest *n, const char *word)
{
	size_t d = distance(n->wanted, word), limit = 1 + strlen(n->wanted) / 4;

	if (d <= limit && (!n->best || d < n->distance)) {
		n->best = word;
		n->distance = d;
	}
}
