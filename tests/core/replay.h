/* SPDX-License-Identifier: MIT */
/*
 * Captures of real devices through the core in user space and, in step, through another host:
 * every packet must get the same reason and channel; what the guard tells (new flows, DNS answers,
 * scores of each second) must be the same, byte for byte and in the same order; and after every
 * second in which there was a packet, all windows. At the end of a capture also all counters and
 * all flows.
 *
 * Each capture goes through twice: once only watched (monitor), once confined and policed by the
 * profile that was learned of the model. Names are bound as the device's DNS answers come.
 *
 * Silence of more than 30 s in a capture is cut short for the score; the clock of the flows gets
 * the whole of it.
 */
#ifndef HG_TESTS_REPLAY_H
#define HG_TESTS_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include "../../core/tables.h"
#include "../../userspace/capture.h"
#include "../../userspace/profile-compile.h"

#define REPLAY_BATCH 256       /* packets that are judged before somebody asks for the result */
#define REPLAY_FLOWS (1 << 16) /* places in a table that the other host must have */
#define REPLAY_LINK_MTU 1514   /* longer frames were several, or will be */

typedef void (*replay_flow)(void *ctx, int table, const struct hg_flow_key *k,
			    const struct hg_flow *f);
typedef void (*replay_judged)(void *ctx, __u32 reason, __u32 channel);
typedef void (*replay_event)(void *ctx, const void *event, size_t length);

/* The other host. Its functions do not fail: what does ends the program. */
struct replay_host {
	const char *name;
	/* A new guard, empty, that closes no second by itself; so many packets will come. */
	void (*begin)(struct replay_host *h, const struct hg_guard_config *c,
		      const struct hg_peer *peers, const struct hg_compiled *profile, __u32 now_s,
		      __u64 packets);
	/* Another generation of the same configuration. */
	void (*rematch)(struct replay_host *h, const struct hg_guard_config *c);
	void (*bind)(struct replay_host *h, const struct hg_addr *a, const struct hg_bound *b);
	/* A packet; it may wait for others until judged(). True: no more fit. */
	bool (*put)(struct replay_host *h, const struct hg_capture_packet *in, __u32 now_s,
		    unsigned int segments);
	/* What came of those n, in their order. */
	void (*judged)(struct replay_host *h, size_t n, replay_judged each, void *ctx);
	/* What was told since; how many, or -1: some were lost. */
	int (*events)(struct replay_host *h, replay_event each, void *ctx);
	/* Closes seconds, one after the other. silent: native has nothing to tell of them. */
	void (*close)(struct replay_host *h, __u32 seconds, bool silent);
	void (*windows)(struct replay_host *h, struct hg_window w[HG_CHANNELS_MAX]);
	void (*counters)(struct replay_host *h, __u64 n[HG_REASON_MAX]);
	void (*flows)(struct replay_host *h, replay_flow each, void *ctx);
	/* NULL, or true if this run says nothing, for its clock was disturbed. */
	bool (*disturbed)(struct replay_host *h);
};

/*
 * Plays what standard input names, a line a capture: PCAP, MAC, PROFILE. Says all in TAP, to the
 * plan; returns the status to exit with.
 */
int replay_list(struct replay_host *h);

#endif
