// SPDX-License-Identifier: MIT
/* The floor of known time. Made by sync.c; session.c judges certificates and mirrors by it. */
#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "state-file.h"
#include "../lib/log.h"

/* A build with SOURCE_DATE_EPOCH says its date; no program of this tree is older than 2025. */
#ifndef HG_BUILD_TIME
#define HG_BUILD_TIME 1735689600
#endif
#define DAY_MS (24 * 3600 * UINT64_C(1000))
#define DRIFT_MS (10 * 60 * UINT64_C(1000)) /* in a day, of either clock: they agree */

void hg_clock_init(struct hg_clock *c, const char *dir)
{
	char text[32] = "";
	uint64_t kept;

	*c = (struct hg_clock){ .dir = dir, .floor_ms = HG_BUILD_TIME * UINT64_C(1000) };
	hg_state_read(dir, "clock", text, sizeof(text) - 1);
	kept = strtoull(text, NULL, 10);
	if (kept > c->floor_ms && kept <= INT64_MAX)
		c->floor_ms = kept;
}

static void raise_floor(struct hg_clock *c, uint64_t ms)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)ms);
	int rc = hg_state_write(c->dir, "clock", text, (size_t)n);

	c->floor_ms = ms;
	if (rc)
		hg_debug("%s/clock: cannot be written: %d", c->dir, rc);
}

int hg_clock_hear(struct hg_clock *c, uint64_t mirror_ms, uint64_t uptime_ms)
{
	uint64_t passed, said;

	if (mirror_ms + HG_CLOCK_TOLERANCE_MS < c->floor_ms)
		return -ERANGE;
	if (mirror_ms < c->floor_ms + DAY_MS) {
		c->said_ms = 0;
		return 0;
	}
	passed = uptime_ms - c->said_at_ms;
	said = mirror_ms - c->said_ms;
	if (!c->said_ms || mirror_ms < c->said_ms || said + DRIFT_MS < passed ||
	    said > passed + DRIFT_MS) {
		c->said_ms = mirror_ms;
		c->said_at_ms = uptime_ms;
	} else if (passed >= DAY_MS) {
		raise_floor(c, c->said_ms);
		c->said_ms = mirror_ms;
		c->said_at_ms = uptime_ms;
	}
	return 0;
}
