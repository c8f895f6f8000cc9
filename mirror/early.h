/* SPDX-License-Identifier: MIT */
/*
 * Requests that came as early data: whoever saw one can send it again, at any time and before the
 * device's own arrives. So such a request changes nothing. It is answered at once if that answer
 * takes no change: the device has nothing new to say and nothing new to hear. It is then recorded,
 * and any other request is taken, as soon as the handshake is done, which a replay cannot do.
 */
#ifndef HG_MIRROR_EARLY_H
#define HG_MIRROR_EARLY_H

#include <event2/event.h>
#include "../lib/pg.h"
#include "../lib/wire.h"
#include "stream.h"

struct hg_early; /* one question to the database */

/* What the server's flight waits for an answer. A device waits 20 s for all, its turn included. */
#define HG_EARLY_WAIT_MS 500

/* res has one row as hg_exchange_response() wants it, or is NULL: wait for the handshake. */
typedef void (*hg_early_done)(void *ctx, const PGresult *res);

/*
 * Asks whether what came early is a request of the stream's device that can be answered now. NULL
 * if it is none for sure, or there is no room for the question; else done() is called from base,
 * once and within HG_EARLY_WAIT_MS, unless hg_early_cancel() is before. room is not used after the
 * return.
 */
struct hg_early *hg_early_ask(struct event_base *base, struct hg_pg *pg,
			      const struct hg_stream *stream, struct hg_wire_room *room,
			      hg_early_done done, void *ctx);

/* done() will not be called. NULL is allowed. */
void hg_early_cancel(struct hg_early *e);

#endif
