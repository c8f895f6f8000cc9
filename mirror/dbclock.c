// SPDX-License-Identifier: MIT
/*
 * An answer was made before it came here. So the database's clock was ahead of ours by at least the
 * difference of the two times, and the largest difference of late is the best that is known. One
 * struct hg_dbclock per loop, called by its thread only.
 */
#include "dbclock.h"

#include <time.h>

#define SPAN_MS 30000 /* a clock that was put back is believed after two of these */

void hg_dbclock_heard(struct hg_dbclock *c, uint64_t now_ms, uint64_t db_ms)
{
	/* What db_ms lost when it was rounded down must not make the past earlier than it was. */
	int64_t ahead = (int64_t)(db_ms + 1 - now_ms);
	uint64_t past = now_ms - c->began_ms;

	if (c->known && past < SPAN_MS) {
		if (ahead > c->ahead[0])
			c->ahead[0] = ahead;
		return;
	}
	c->ahead[1] = c->known && past < 2 * SPAN_MS ? c->ahead[0] : ahead;
	c->ahead[0] = ahead;
	c->began_ms = now_ms;
	c->known = true;
}

static int64_t ms_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t hg_dbclock_of(const struct hg_dbclock *c, uint64_t then_ms)
{
	int64_t ahead = c->ahead[0] > c->ahead[1] ? c->ahead[0] : c->ahead[1];

	if (!c->known)
		ahead = ms_of(CLOCK_REALTIME) - ms_of(CLOCK_MONOTONIC);
	return (int64_t)then_ms + ahead;
}
