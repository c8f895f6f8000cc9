// SPDX-License-Identifier: MIT
/* Rates and hints; one struct hg_pace per loop, called by its thread only. */
#include "pace.h"

#include <time.h>
#include "net.h"

#define WINDOW_MS 1000
#define SHARE 0.5	   /* of the newest second in the rate */
#define WAIT_BEARABLE 1000 /* ms: less needs no spreading */
#define WAIT_MAX (3600 * 1000)

uint64_t hg_pace_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void hg_pace_answered(struct hg_pace *p, uint64_t now_ms)
{
	uint64_t past = now_ms - p->began_ms;

	if (past >= WINDOW_MS) {
		double rate = p->count * 1000.0 / (double)past;

		/* A pause says nothing of how fast it goes. */
		if (past < 2 * WINDOW_MS)
			p->rate = p->rate > 0 ? p->rate + (rate - p->rate) * SHARE : rate;
		p->began_ms = now_ms;
		p->count = 0;
	}
	p->count++;
}

uint32_t hg_pace_wait_ms(const struct hg_pace *p, unsigned int waiting)
{
	double ms = p->rate > 0 ? waiting * 1000.0 / p->rate : 0;

	return ms < WAIT_MAX ? (uint32_t)ms : WAIT_MAX;
}

/* 0 to below ms. */
static uint32_t below(uint64_t ms)
{
	return (uint32_t)((ms * hg_net_random()) >> 32);
}

uint32_t hg_pace_refused_ms(uint32_t base_ms, uint32_t wait_ms)
{
	uint32_t ms = base_ms > wait_ms ? base_ms : wait_ms;

	return ms / 2 + below(ms);
}

uint32_t hg_pace_answered_ms(uint32_t interval_ms, uint32_t wait_ms)
{
	uint64_t ms = interval_ms;

	if (!interval_ms || wait_ms < WAIT_BEARABLE)
		return interval_ms;
	ms += below(2 * (uint64_t)wait_ms);
	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}
