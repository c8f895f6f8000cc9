/* SPDX-License-Identifier: MIT */
/*
 * Replay: captured packets through the core as the guard would have judged, counted and scored
 * them, on the captures' clock. What happens is told second by second: packets, what each channel
 * did, and alarms.
 *
 * Answers to flows that others open are left out, for a guarded device does not get those, unless
 * the policy is monitor.
 */
#ifndef HG_USERSPACE_REPLAY_H
#define HG_USERSPACE_REPLAY_H

#include <stdbool.h>
#include "../include/uapi/heliograph.h"
#include "../lib/alarm.h"
#include "capture.h"
#include "names.h"

struct hg_replayer;

/* One packet, after its verdict. */
struct hg_replayer_packet {
	const struct hg_capture_packet *capture;
	const struct hg_packet *packet;
	const struct hg_flow *flow; /* NULL: it belongs to none */
	int reason;		    /* enum hg_reason; of what is left out, it has no meaning */
	bool left_out;	      /* the device answers to a flow that the guard does not let in */
	bool counted;	      /* sent, and in its channel's counts: no ARP and the like */
	bool opens;	      /* begins a flow */
	bool answers;	      /* the first packet back of one */
	unsigned int channel; /* 0 also for packets of no flow */
};

/* What one channel did in a second that is over; only told when it did something. */
struct hg_replayer_second {
	__u64 time_s; /* since 1970 */
	unsigned int session, channel;
	struct hg_sample sample;
	__u32 destinations[HG_WINDOWS]; /* distinct, in each window so far */
	__u32 ports, sources;		/* distinct, in the minute so far */
};

struct hg_replayer_alarm {
	struct hg_score_event event;
	__u64 time_ns; /* since 1970: the end of the second that showed it */
	unsigned int session, channel;
	__u8 n_targets;
	struct hg_alarm_target targets[HG_ALARM_TARGETS_MAX];
};

struct hg_replayer_options {
	/* The profile, compiled; stays the caller's. Channels whose bounds have no id are none. */
	const struct hg_rule *rules;
	size_t n_rules;
	const struct hg_bounds *bounds; /* HG_CHANNELS_MAX */
	const struct hg_names_pattern *patterns;
	size_t n_patterns;
	const struct hg_peer *peers; /* copied */
	size_t n_peers;
	enum hg_policy policy;
	/* Any may be NULL. What they are given is good until they return. */
	void (*packet)(void *ctx, const struct hg_replayer_packet *p);
	void (*second)(void *ctx, const struct hg_replayer_second *s);
	void (*alarm)(void *ctx, const struct hg_replayer_alarm *a);
	/* A DNS answer that the device asked for. */
	void (*answer)(void *ctx, const struct hg_dns_answer *a);
	/* A session is over: all counters begin anew. */
	void (*session)(void *ctx, unsigned int session);
	void *ctx;
};

/* NULL: no memory. */
struct hg_replayer *hg_replayer_new(const struct hg_replayer_options *o);
void hg_replayer_free(struct hg_replayer *r);

/* In the order of hg_capture_next(). 0 or -ENOMEM. */
int hg_replayer_packet(struct hg_replayer *r, const struct hg_capture_packet *p);
/* After the last packet: time goes on until what has begun is over. */
void hg_replayer_end(struct hg_replayer *r);

/* All packets of a capture from its beginning, and the end. 0, or -errno with a message. */
int hg_replayer_run(struct hg_replayer *r, struct hg_capture *c, char *err, size_t err_size);

/* What the device's DNS answers have said so far; never NULL. */
const struct hg_names *hg_replayer_names(const struct hg_replayer *r);
/* Packets by reason, and what was left out. */
const __u64 *hg_replayer_counters(const struct hg_replayer *r);
__u64 hg_replayer_left_out(const struct hg_replayer *r);

#endif
