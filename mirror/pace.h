/* SPDX-License-Identifier: MIT */
/*
 * How fast a loop answers and how long who waits will wait; from that, when devices shall come
 * again, so that a herd that came at one moment does not return at one.
 */
#ifndef HG_MIRROR_PACE_H
#define HG_MIRROR_PACE_H

#include <stdint.h>

struct hg_pace {
	uint64_t began_ms; /* of the second that is counted */
	unsigned int count;
	double rate; /* answers per second, smoothed; 0: not known yet */
};

/* Of a clock that does not leap. */
uint64_t hg_pace_now_ms(void);

/* now_ms: of that clock. */
void hg_pace_answered(struct hg_pace *p, uint64_t now_ms);

/* How long `waiting` devices take from now, in ms; 0 when nobody waits or no rate is known. */
uint32_t hg_pace_wait_ms(const struct hg_pace *p, unsigned int waiting);

/* For a device that is turned away: base_ms or the wait, if that is longer, times 0.5 to 1.5. */
uint32_t hg_pace_refused_ms(uint32_t base_ms, uint32_t wait_ms);

/*
 * For a device that was answered: its model's interval and, when others waited for more than a
 * second meanwhile, up to twice that wait more. 0 (no hint) stays 0.
 */
uint32_t hg_pace_answered_ms(uint32_t interval_ms, uint32_t wait_ms);

#endif
