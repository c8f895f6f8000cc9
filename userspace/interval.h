/* SPDX-License-Identifier: MIT */
/*
 * How long until the next session: pure arithmetic on what the last sessions came to, without
 * clock and timer, which are sync.c's. docs/sync-protocol.md section 9 is the specification. All
 * times are milliseconds.
 */
#ifndef HG_USERSPACE_INTERVAL_H
#define HG_USERSPACE_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hg_agent_conf;

/* Why a session failed; each backs off by itself. */
enum hg_sync_failure {
	HG_SYNC_OK = 0,
	HG_SYNC_DNS,	  /* the name does not resolve */
	HG_SYNC_CONNECT,  /* no connection */
	HG_SYNC_TLS,	  /* handshake or certificates */
	HG_SYNC_PROTOCOL, /* what came is not the protocol, or came too late */
	HG_SYNC_BUSY,	  /* the mirror or its database is overloaded or away */
	HG_SYNC_REFUSED,  /* it does not know, or has quarantined, this device */
	HG_SYNC_STORE,	  /* our store cannot be written */
	HG_SYNC_FAILURES,
};

/* "none", "dns", ... */
const char *hg_sync_failure_name(enum hg_sync_failure f);

/* What a Thing Model says of times; 0: nothing. */
struct hg_model_times {
	uint64_t interval, min, max; /* hg:interval, hg:intervalMin, hg:intervalMax */
	uint64_t idle;		     /* hg:intervalIdle: where growth ends */
	uint64_t within; /* the shortest hg:deliverWithin of what the mirror has to deliver */
};

struct hg_interval {
	uint64_t base;	   /* without a hint */
	uint64_t min, max; /* jitter stays within them */
	uint64_t idle;	   /* up to here it doubles while nothing comes; 0: it does not */
	uint64_t soon;	   /* after a change of a property */
	uint64_t jitter;   /* percent, 0..50 */
	uint64_t backoff_min, backoff_max, backoff_refused;
	uint64_t (*below)(uint64_t bound); /* random, 0..bound - 1, evenly; 0 for 0 */

	unsigned int idle_sessions; /* in a row; one of both is 0 */
	unsigned int busy_sessions;
	unsigned int failed[HG_SYNC_FAILURES]; /* in a row, since the last good session */
};

/*
 * From configuration and model (NULL: none): the narrower bounds of both hold. If they contradict
 * each other the shorter interval wins, but never one below the configuration's interval_min.
 */
void hg_interval_init(struct hg_interval *i, const struct hg_agent_conf *conf,
		      const struct hg_model_times *model, uint64_t (*below)(uint64_t bound));

/*
 * After a good session. `hint` is the mirror's; 0: it gave none. `heard`: changes and commands that
 * came. What the device has to say brings sessions forward by itself, so it does not count.
 */
uint64_t hg_interval_good(struct hg_interval *i, uint64_t hint, size_t heard);

/*
 * After a failure (not HG_SYNC_OK). Not before `hint`, if the mirror gave one; one that is longer
 * than every bound of ours counts as that.
 */
uint64_t hg_interval_failed(struct hg_interval *i, enum hg_sync_failure f, uint64_t hint);

#endif
