// SPDX-License-Identifier: MIT
/*
 * A question lives until the pool has called back, so it outlives a session that ends or goes on
 * before. What it finds is not kept: sync() judges the request again when the handshake is done.
 */
#include "early.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "../lib/psk.h"
#include "large.h"

#define SQL "SELECT * FROM sync_early($1, $2, $3, $4, $5, $6)"
#define PARAMS 6

struct hg_early {
	hg_early_done done; /* NULL: nobody waits */
	void *ctx;
	struct event *late;
};

/* The only request that can be answered without a change: it says nothing new. */
static bool is_idle(const struct hg_wire_request *r)
{
	return !r->round && !r->flags && !r->n_changes && !r->n_reports && !r->n_partials &&
	       !r->csr.len && r->mirror_epoch.len;
}

static bool get_idle(struct hg_slice data, const char *uid, struct hg_wire_room *room,
		     struct hg_wire_request *r)
{
	size_t at = 0;

	return hg_wire_frame_len(data.ptr, data.len) == (long)data.len &&
	       !hg_wire_get_request(hg_slice_of(data.ptr + 4, data.len - 4), room, r, &at) &&
	       hg_slice_eq(r->uid, hg_slice_str(uid)) && is_idle(r);
}

static void early_free(struct hg_early *e)
{
	event_free(e->late);
	free(e);
}

static void answer(struct hg_early *e, const PGresult *res)
{
	const hg_early_done done = e->done;

	hg_early_cancel(e);
	if (done)
		done(e->ctx, res);
}

static void on_row(void *ctx, const PGresult *res, const char *error)
{
	struct hg_early *e = ctx;

	answer(e, !error && PQntuples(res) == 1 ? res : NULL);
	early_free(e);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	answer(arg, NULL);
}

static struct hg_early *early_new(struct event_base *base, hg_early_done done, void *ctx)
{
	const struct timeval wait = { .tv_usec = HG_EARLY_WAIT_MS * 1000 };
	struct hg_early *e = malloc(sizeof(*e));

	if (!e)
		return NULL;
	*e = (struct hg_early){ done, ctx, event_new(base, -1, 0, on_late, e) };
	if (e->late && !event_add(e->late, &wait))
		return e;
	if (e->late)
		event_free(e->late);
	free(e);
	return NULL;
}

struct hg_early *hg_early_ask(struct event_base *base, struct hg_pg *pg,
			      const struct hg_stream *stream, struct hg_wire_room *room,
			      hg_early_done done, void *ctx)
{
	const struct hg_psk_claim *claim = hg_psk_session(stream->ssl);
	char epochs[2][2 * HG_EPOCH_LEN + 3], numbers[3][24];
	const char *values[PARAMS] = { NULL,	  epochs[0],  numbers[0],
				       epochs[1], numbers[1], numbers[2] };
	struct hg_wire_request r;
	struct hg_early *e;

	if (!claim || !hg_pg_ready(pg) || !get_idle(stream->came_early, claim->uid, room, &r))
		return NULL;
	values[0] = claim->uid;
	e = early_new(base, done, ctx);
	if (!e)
		return NULL;
	hg_large_hex(r.epoch, epochs[0]);
	hg_large_hex(r.mirror_epoch, epochs[1]);
	snprintf(numbers[0], sizeof(numbers[0]), "%" PRIu64, r.session);
	snprintf(numbers[1], sizeof(numbers[1]), "%" PRIu64, r.mirror_cursor);
	snprintf(numbers[2], sizeof(numbers[2]), "%" PRIu64, r.command_cursor);
	if (!hg_pg_query(pg, SQL, PARAMS, values, on_row, e))
		return e;
	early_free(e);
	return NULL;
}

void hg_early_cancel(struct hg_early *e)
{
	if (!e)
		return;
	e->done = NULL;
	event_del(e->late);
}
