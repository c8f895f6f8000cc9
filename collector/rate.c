// SPDX-License-Identifier: MIT
/*
 * Rates of lines: a table of sets of four, hashed with a secret seed; the bucket used longest ago
 * gives way. Forged source addresses can so empty the table of memory but not of room, and what is
 * forgotten begins with a full bucket: a flood costs the listener its cheapest check only.
 */
#include "rate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WAYS 4

struct slot {
	struct hg_net line;
	struct hg_rate rate;
};

struct hg_rates {
	uint64_t seed;
	size_t n_sets;
	struct slot slots[];
};

bool hg_rate_take(struct hg_rate *r, uint64_t per_second, uint64_t burst, uint64_t now_ms)
{
	uint64_t full = burst * 1000, since = r->time_ms ? now_ms - r->time_ms : UINT32_MAX;

	if (since > UINT32_MAX)
		since = UINT32_MAX;
	r->tokens += since * per_second;
	if (r->tokens > full)
		r->tokens = full;
	r->time_ms = now_ms ? now_ms : 1;
	if (r->tokens < 1000)
		return false;
	r->tokens -= 1000;
	return true;
}

struct hg_rates *hg_rates_new(size_t lines)
{
	size_t sets = lines / WAYS + 1;
	struct hg_rates *r = calloc(1, sizeof(*r) + sets * WAYS * sizeof(r->slots[0]));

	if (!r)
		return NULL;
	r->n_sets = sets;
	if (getrandom(&r->seed, sizeof(r->seed), 0) != sizeof(r->seed)) {
		free(r);
		return NULL;
	}
	return r;
}

void hg_rates_free(struct hg_rates *r)
{
	free(r);
}

bool hg_rates_take(struct hg_rates *r, const struct hg_net *line, uint64_t per_second,
		   uint64_t burst, uint64_t now_ms)
{
	uint64_t h = r->seed;
	struct slot *set, *use;

	for (size_t i = 0; i < sizeof(line->addr); i++) {
		h = (h ^ line->addr[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	set = &r->slots[h % r->n_sets * WAYS];
	use = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (!memcmp(&set[i].line, line, sizeof(*line))) {
			use = &set[i];
			break;
		}
		if (set[i].rate.time_ms < use->rate.time_ms)
			use = &set[i];
	}
	if (memcmp(&use->line, line, sizeof(*line))) {
		memset(use, 0, sizeof(*use));
		use->line = *line;
	}
	return hg_rate_take(&use->rate, per_second, burst, now_ms);
}
