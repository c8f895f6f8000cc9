/* SPDX-License-Identifier: MIT */
/*
 * From stored alarms to blocks and back: correlates what waits in the database, has incidents and
 * decisions made there, keeps nftables at what is wanted, and ends what is over.
 */
#ifndef HG_COLLECTOR_DECIDE_H
#define HG_COLLECTOR_DECIDE_H

#include <event2/event.h>
#include <stddef.h>
#include "../lib/pg.h"
#include "conf.h"

struct hg_decide;

struct hg_decide_options {
	struct event_base *base;
	const struct hg_collector_conf *conf; /* must outlive it */
	struct hg_pg *pg;
};

/* Runs from now on. NULL with a message in err (nftables refuses, most likely). */
struct hg_decide *hg_decide_new(const struct hg_decide_options *options, char *err,
				size_t err_size);

/* Called after hg_pg_free(). Blocks stay; they end by themselves. */
void hg_decide_free(struct hg_decide *d);

/* An alarm was stored: look at once. */
void hg_decide_poke(struct hg_decide *d);

#endif
