/* SPDX-License-Identifier: MIT */
/* Rates and hints: who waits is counted, nobody is told to come back at one moment. */
#include "../../mirror/pace.h"

#include <stdbool.h>

#include "../tap.h"

#define TRIES 2000

/* All hints lie within low..high and fill it: some in its first and some in its last tenth. */
static bool spread(uint32_t (*hint)(uint32_t, uint32_t), uint32_t ms, uint32_t wait, uint32_t low,
		   uint32_t high)
{
	uint32_t tenth = (high - low) / 10;
	bool first = false, last = false;

	for (int i = 0; i < TRIES; i++) {
		uint32_t t = hint(ms, wait);

		if (t < low || t > high)
			return false;
		first |= t < low + tenth;
		last |= t > high - tenth;
	}
	return first && last;
}

int main(void)
{
	struct hg_pace p = { 0 };
	uint64_t now = 1000000;

	ok(!hg_pace_wait_ms(&p, 1000), "without a rate nobody is told to wait");
	for (int i = 0; i < 5000; i++, now++)
		hg_pace_answered(&p, now);
	ok(hg_pace_wait_ms(&p, 500) > 450 && hg_pace_wait_ms(&p, 500) < 550,
	   "1,000 a second: 500 wait for half a second");
	ok(!hg_pace_wait_ms(&p, 0), "who comes first does not wait");
	now += 60000;
	for (int i = 0; i < 100; i++)
		hg_pace_answered(&p, now);
	ok(hg_pace_wait_ms(&p, 500) > 450 && hg_pace_wait_ms(&p, 500) < 550,
	   "a quiet minute does not make it slow");
	for (int i = 0; i < 30000; i++, now += i % 10 ? 0 : 1)
		hg_pace_answered(&p, now);
	ok(hg_pace_wait_ms(&p, 1000) < 400, "it follows when it becomes faster");
	p.rate = 0.001;
	ok(hg_pace_wait_ms(&p, 100000) == 3600 * 1000, "no wait is longer than an hour");

	ok(spread(hg_pace_refused_ms, 30000, 0, 15000, 45000), "BUSY: half to one and a half");
	ok(spread(hg_pace_refused_ms, 30000, 100000, 50000, 150000), "or as long as others wait");
	ok(hg_pace_answered_ms(900000, 0) == 900000 && hg_pace_answered_ms(900000, 999) == 900000,
	   "a good answer: the model's interval");
	ok(spread(hg_pace_answered_ms, 900000, 20000, 900000, 940000),
	   "and up to twice the wait more when others wait");
	ok(!hg_pace_answered_ms(0, 20000), "no hint stays none");
	ok(hg_pace_answered_ms(UINT32_MAX, 3600000) >= 3600000, "and none wraps round");
	return tap_done();
}
