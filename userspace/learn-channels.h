/* SPDX-License-Identifier: MIT */
/*
 * Channels made of endpoints: what goes to one service is one channel, its remotes written so that
 * they hold for another unit in another network.
 */
#ifndef HG_USERSPACE_LEARN_CHANNELS_H
#define HG_USERSPACE_LEARN_CHANNELS_H

#include "learn-endpoints.h"
#include "profile.h"

struct hg_learned_channel {
	__u64 flows, answered, packets, bytes;
	unsigned int endpoints;
	unsigned int hours, days; /* most of any of its endpoints */
};

/*
 * Fills p's channels and each endpoint's `channel`. about[i] is of p->channels[i]. Returns 0 or
 * -ENOMEM; *merged: how many rare channels were merged into others for want of room.
 */
int hg_channels_learn(struct hg_endpoints *e, struct hg_profile *p,
		      struct hg_learned_channel about[static HG_PROFILE_CHANNELS_MAX],
		      unsigned int *merged);

#endif
