/* SPDX-License-Identifier: MIT */
/* Learns a profile from captures: docs/learning.md says how. */
#ifndef HG_USERSPACE_LEARN_H
#define HG_USERSPACE_LEARN_H

#include "capture-peers.h"
#include "episodes.h"
#include "learn-channels.h"
#include "learn-envelope.h"
#include "learn-minutes.h"
#include "learn-sums.h"
#include "profile-compile.h"

struct hg_learn {
	/* Set by the caller. */
	struct hg_capture *capture;
	const struct hg_capture_peers *peers;
	enum hg_policy policy;
	bool accept;	      /* learn from what looks like an attack, too */
	struct hg_spans skip; /* not to be learned from; attacks are added to it */
	void (*phase)(void *ctx, const char *what); /* may be NULL */
	void *ctx;

	/* What was learned and found. */
	struct hg_profile profile; /* model and firmware are the caller's */
	struct hg_compiled compiled;
	struct hg_learned_channel about[HG_PROFILE_CHANNELS_MAX];
	struct hg_spans found; /* what stands out */
	struct hg_endpoints endpoints;
	struct hg_minutes minutes;
	struct hg_meter *meter;
	struct hg_sums *sums;
	struct hg_episodes episodes; /* that the captures make with the profile */
	unsigned int merged;
	__u64 seconds, active_minutes, left_out;

	/* Of the pass that runs. */
	struct hg_replayer *replayer;
	__u64 session_first_ns, session_last_ns, minute;
	struct hg_names_pattern patterns[HG_PROFILE_REMOTES_ALL];
};

/* 0, or -errno with a message. hg_learn_exit() in any case. */
int hg_learn_run(struct hg_learn *l, char *err, size_t err_size);
void hg_learn_exit(struct hg_learn *l);

#endif
