/* SPDX-License-Identifier: MIT */
/* What the files of the watch share. */
#ifndef HG_USERSPACE_WATCH_STATE_H
#define HG_USERSPACE_WATCH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "guard.h"
#include "resolver.h"
#include "watch.h"

struct hg_alarm;
struct event;

#define HG_WATCH_STEPS_MAX 30 /* 2^40: as ms 35 years */

struct hg_watch {
	struct hg_agent *agent;
	const struct hg_guard_ops *host; /* of guard */
	struct hg_guard *guard;		 /* NULL: not attached */
	char guard_error[256];
	struct hg_profile *source;
	struct hg_compiled *profile; /* of it, for this guard; NULL: none */
	struct hg_detect *detect;
	struct hg_answers *answers;	/* NULL: no guard or no profile is configured */
	struct hg_alarm_sender *sender; /* NULL: no collector */
	unsigned int refused;		/* alarms in a row, at most HG_WATCH_STEPS_MAX */
	struct hg_heartbeat *heartbeat; /* NULL: no guard is configured */
	bool locked;			/* the guard refused to be changed, and that was said */
	struct event *tick;
	int link_fd; /* tells of links that come, go and change */
	struct event *links;
	struct hg_lookup *lookup;
	uint64_t open_until_ms;	     /* the gate */
	uint64_t collector_known_ms; /* 0: not yet */
	struct sockaddr_storage mirror[HG_ADDRESSES_MAX], collector;
	size_t n_mirror, n_collector;
	struct hg_peer peers[HG_PEERS_MAX]; /* as the guard has them */
	size_t n_peers;
};

/* What the detector found; said in the log whether or not somebody is to be told. */
int hg_watch_on_alarm(void *ctx, const struct hg_alarm *alarm, uint64_t *episode);

/* If a collector is configured: who sends alarms to it. -EINVAL with a message in err. */
int hg_watch_start_sender(struct hg_watch *w, char *err, size_t err_size);

/* If a guard is: after the sender. -ENOMEM. */
int hg_watch_start_heartbeat(struct hg_watch *w);

#endif
