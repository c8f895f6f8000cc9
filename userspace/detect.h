/* SPDX-License-Identifier: MIT */
/*
 * The detector: reads what the guard tells, and states what the score found as alarms: one per
 * episode, with updates while it lasts and an end.
 */
#ifndef HG_USERSPACE_DETECT_H
#define HG_USERSPACE_DETECT_H

#include <event2/event.h>
#include "guard.h"
#include "../lib/alarm.h"

struct hg_detect;

struct hg_detect_options {
	struct event_base *base; /* NULL: the caller calls hg_detect_tick() himself */
	const struct hg_guard_ops *ops;
	struct hg_guard *guard;

	/*
	 * Sends a statement about this device: class, attack, feature, window, channel, value,
	 * bound, own address, targets and episode are set; episode 0 begins one, and its number is
	 * returned in *episode. Not 0: it could not be sent and is made again with the next tick.
	 */
	int (*alarm)(void *ctx, const struct hg_alarm *alarm, uint64_t *episode);
	/* Told of the guard's DNS answers, which come with the same events; may be NULL. */
	void (*answer)(void *ctx, const struct hg_answer_event *e);
	void *ctx;
};

/* NULL with errno ENOMEM. With a base, its timer runs from now on. */
struct hg_detect *hg_detect_new(const struct hg_detect_options *options);
void hg_detect_free(struct hg_detect *d);

/*
 * One second's work; now_ms is CLOCK_MONOTONIC. Returns 0, or -errno if the guard could not be
 * read.
 */
int hg_detect_tick(struct hg_detect *d, uint64_t now_ms);

/* The guard was attached anew, maybe with another host. */
void hg_detect_set_guard(struct hg_detect *d, const struct hg_guard_ops *ops,
			 struct hg_guard *guard);

/* Number of channels with an episode that lasts. */
size_t hg_detect_episodes(const struct hg_detect *d);

#endif
