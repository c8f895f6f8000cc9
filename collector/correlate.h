/* SPDX-License-Identifier: MIT */
/*
 * Correlation: how surprising is it that so many distinct devices speak of one target now?
 * A Shiryaev-Roberts statistic per key, with a stated rate of false incidents.
 */
#ifndef HG_COLLECTOR_CORRELATE_H
#define HG_COLLECTOR_CORRELATE_H

#include <stddef.h>
#include <stdint.h>
#include "net.h"
#include "../lib/alarm.h"

struct hg_correlate;

struct hg_correlate_options {
	size_t keys_max;	 /* the least recently spoken of is forgotten first */
	uint64_t evidence_s;	 /* a device counts once for a key in this time */
	uint64_t alarms_per_day; /* false alarms expected of all devices together */
	uint64_t years;		 /* at most one false incident in so many */
};

struct hg_correlate_target {
	struct hg_net net;
	uint8_t proto;
	uint16_t port;
};

struct hg_correlate_report {
	const char *uid;
	uint64_t time_s;
	uint8_t alarm_class;
	size_t n_targets;
	struct hg_correlate_target targets[HG_ALARM_TARGETS_MAX];
};

/* A key over its threshold: many devices speak of this target, or scan this port anywhere. */
struct hg_crossing {
	struct hg_net target;
	uint16_t port; /* 0: any */
	double ln_r;
};

/* Of one report: each target's host, then its network; and each port. */
#define HG_CROSSINGS_MAX (2 * HG_ALARM_TARGETS_MAX)

/* NULL with errno ENOMEM. */
struct hg_correlate *hg_correlate_new(const struct hg_correlate_options *options);
void hg_correlate_free(struct hg_correlate *c);

/*
 * Takes one alarm; time_s may not be less than that of the one before by more than jitter. Returns
 * how many keys stand over their thresholds because of it, and fills out[].
 */
size_t hg_correlate_report(struct hg_correlate *c, const struct hg_correlate_report *r,
			   struct hg_crossing out[static HG_CROSSINGS_MAX]);

/* For tests and the log: keys that are held. */
size_t hg_correlate_keys(const struct hg_correlate *c);

#endif
