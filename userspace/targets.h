/* SPDX-License-Identifier: MIT */
/*
 * Where a channel's traffic goes: flows of the last seconds, summed up to at most
 * HG_ALARM_TARGETS_MAX targets (hosts, or prefixes when there are many).
 */
#ifndef HG_USERSPACE_TARGETS_H
#define HG_USERSPACE_TARGETS_H

#include <stddef.h>
#include <stdint.h>
#include "../include/uapi/heliograph.h"
#include "../lib/alarm.h"

#define HG_TARGETS_FLOWS_MAX                                                                       \
	8192 /* the default sizes of the tables inside and outside the profile */

struct hg_target_flow {
	struct hg_addr addr;
	uint16_t port; /* remote, host order */
	uint8_t proto;
	uint32_t packets; /* per second */
};

struct hg_targets {
	size_t n;	      /* flows taken; more than fit are not */
	struct hg_addr local; /* of the flow with most packets */
	uint32_t local_packets;
	struct hg_target_flow flows[HG_TARGETS_FLOWS_MAX];
};

void hg_targets_add(struct hg_targets *t, const struct hg_flow_key *key, uint32_t packets);

/* Sums up into alarm->targets and own address. Reorders t->flows. */
void hg_targets_sum(struct hg_targets *t, struct hg_alarm *alarm);

#endif
