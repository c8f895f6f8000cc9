/* SPDX-License-Identifier: MIT */
/*
 * The listener: datagrams of devices, checked in order of cost, stored, and only then answered.
 */
#ifndef HG_COLLECTOR_INGEST_H
#define HG_COLLECTOR_INGEST_H

#include <event2/event.h>
#include <stddef.h>
#include "../lib/pg.h"
#include "conf.h"

struct hg_ingest;

struct hg_ingest_options {
	struct event_base *base;
	const struct hg_collector_conf *conf; /* must outlive the listener */
	struct hg_pg *pg;
	void (*stored)(void *ctx); /* an alarm was committed */
	void *ctx;
};

/* Listens from now on. NULL with a message that names file or address in err. */
struct hg_ingest *hg_ingest_new(const struct hg_ingest_options *options, char *err,
				size_t err_size);

/* Called after hg_pg_free(), which fails what is under way. */
void hg_ingest_free(struct hg_ingest *in);

/* Reads device CA and revocation list again. On failure (-EINVAL, message in err) the old ones
 * stay. */
int hg_ingest_reload(struct hg_ingest *in, char *err, size_t err_size);

/* Called every few seconds: writes the counts, and reloads when the revocation list has changed. */
void hg_ingest_tick(struct hg_ingest *in);

#endif
