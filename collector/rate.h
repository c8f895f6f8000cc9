/* SPDX-License-Identifier: MIT */
/* Token buckets: one, and one per line with a bounded number of lines. */
#ifndef HG_COLLECTOR_RATE_H
#define HG_COLLECTOR_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net.h"

struct hg_rate {
	uint64_t tokens; /* thousandths */
	uint64_t time_ms;
};

/* Takes one token if there is one. All-zero is a full bucket that was never used. */
bool hg_rate_take(struct hg_rate *r, uint64_t per_second, uint64_t burst, uint64_t now_ms);

struct hg_rates;

struct hg_rates *hg_rates_new(size_t lines); /* NULL: out of memory */
void hg_rates_free(struct hg_rates *r);
bool hg_rates_take(struct hg_rates *r, const struct hg_net *line, uint64_t per_second,
		   uint64_t burst, uint64_t now_ms);

#endif
