// SPDX-License-Identifier: MIT
/*
 * Requests of sessions and what becomes of them. A request goes to the database as an ask, which
 * the device's slot holds, so that it outlives the session: while one is under way no other request
 * of the same device is sent, and a device that came back early is judged after its own last
 * request.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include "../lib/log.h"

#define ROUNDS_MAX 256 /* of one session; no honest device needs as many */

/* Logged once when the database goes and once when it comes back. */
static void note_away(struct hg_sync *sync, const char *why)
{
	if (why && !sync->away)
		hg_error("sync: database: %s; devices hear UNAVAILABLE", why);
	else if (!why && sync->away)
		hg_info("sync: database: answers again");
	sync->away = why;
}

static void session_take_row(struct session *s, const struct hg_answer *a)
{
	struct hg_sync *sync = s->sync;
	uint32_t status = HG_WIRE_OK;
	struct hg_exchange_grant grant = { 0 };
	struct hg_psk psk;
	long len;

	hg_pace_answered(&sync->pace, hg_pace_now_ms());
	hg_identity_key(s->stream.ssl, &s->identity, sync->conf, s->flags, &psk, &grant.psk);
	if (s->renewal) {
		grant.chain = hg_slice_of(s->renewal->chain, s->renewal->chain_len);
		grant.detail = s->renewal->detail;
	}
	len = hg_exchange_response(a->res, a->row, hg_sync_wait_ms(sync), &grant, sync->out,
				   &status);
	hg_renewal_free(s->renewal);
	s->renewal = NULL;
	if (len < 0)
		hg_error("sync: cannot encode the answer: %s: %ld", s->identity.uid, len);
	hg_session_answer(s, sync->out, len, status != HG_WIRE_OK || ++s->rounds == ROUNDS_MAX);
}

/* Of a request that was answered early. What the row has to give is given in the next session. */
static void session_recorded(struct session *s, const struct hg_answer *a)
{
	uint32_t status = hg_exchange_status(a->res, a->row);

	hg_pace_answered(&s->sync->pace, hg_pace_now_ms());
	s->told = false;
	s->rounds++;
	if (status == HG_WIRE_OK && !s->sync->stopping)
		hg_session_go_on(s);
	else
		hg_session_end(s);
}

static void on_answer(void *ctx, const struct hg_answer *a)
{
	struct hg_slot *slot = ctx;
	struct hg_sync *sync = slot->sync;
	struct session *s = slot->current;

	atomic_fetch_sub(&sync->shared->asking, 1);
	event_active(sync->room_again, 0, 0);
	slot->asking = false;
	if (a->bad_data)
		hg_error("sync: request refused by the database: %s: %s", slot->uid, a->error);
	else if (!a->late)
		note_away(sync, a->error);
	if (!s) {
		hg_slot_put(slot);
	} else if (s->state != SESSION_ASKING) {
		/* The answer is for an older session of the device, which is gone. */
		if (s->state == SESSION_WAITING)
			hg_session_go_on(s);
	} else if (a->bad_data) {
		hg_session_refuse(s, HG_WIRE_BAD_MESSAGE, a->error, true);
	} else if (a->late) {
		hg_session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
	} else if (a->error) {
		hg_session_refuse(s, HG_WIRE_UNAVAILABLE, "the database does not answer", true);
	} else if (s->told) {
		session_recorded(s, a);
	} else {
		session_take_row(s, a);
	}
}

static void session_ask(struct session *s, struct hg_slice in, struct hg_wire_request *r)
{
	struct hg_sync *sync = s->sync;

	if (!hg_pg_ready(sync->pg)) {
		hg_session_refuse(s, HG_WIRE_UNAVAILABLE, "the database is away", true);
		return;
	}
	if (hg_batch_ask(sync->batcher, in, r, &s->accepted, on_answer, s->slot)) {
		hg_session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	s->flags = r->flags;
	atomic_fetch_add(&sync->shared->asking, 1);
	s->slot->asking = true;
	hg_session_set(s, SESSION_ASKING);
}

/* A certificate is recorded, or not: now the request that asked for it. */
static void on_renewed(void *ctx, const PGresult *res, const char *error)
{
	struct hg_slot *slot = ctx;
	struct session *s = slot->current;

	atomic_fetch_sub(&slot->sync->shared->asking, 1);
	slot->asking = false;
	if (!s) {
		hg_slot_put(slot);
	} else if (s->state == SESSION_WAITING) {
		hg_session_go_on(s);
	} else if (s->state == SESSION_ASKING && s->renewal) {
		hg_renewal_recorded(s->renewal, &s->identity, res, error);
		hg_session_request(s, hg_slice_of(s->renewal->frame, s->renewal->frame_len));
	}
}

/* The request is kept until its certificate is in the database, and then asked as any other. */
static void session_renew(struct session *s, struct hg_slice frame, struct hg_wire_request *r)
{
	struct hg_sync *sync = s->sync;
	const char *values[HG_RENEWAL_PARAMS];

	s->certified = true;
	s->renewal = hg_renewal_new(sync->shared->ca, sync->conf, &s->identity, r->csr, frame);
	if (!s->renewal || !s->renewal->chain) {
		session_ask(s, frame, r);
		return;
	}
	hg_renewal_params(s->renewal, &s->identity, values);
	if (hg_pg_query(sync->pg, HG_RENEWAL_SQL, HG_RENEWAL_PARAMS, values, on_renewed, s->slot)) {
		hg_session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	atomic_fetch_add(&sync->shared->asking, 1);
	s->slot->asking = true;
	hg_session_set(s, SESSION_ASKING);
}

void hg_session_request(struct session *s, struct hg_slice in)
{
	struct hg_wire_request r;
	char detail[64];
	size_t at = 0;
	int rc = hg_wire_get_request(in, &s->sync->room, &r, &at);

	if (rc == -EPROTONOSUPPORT) {
		hg_session_refuse(s, HG_WIRE_VERSION_UNSUPPORTED, "this mirror speaks version 1",
				  true);
	} else if (rc) {
		snprintf(detail, sizeof(detail), "not a valid request at byte %zu", at);
		hg_info("sync: %s: %s: %s", detail, hg_session_name(s), hg_session_peer(s));
		hg_session_refuse(s, HG_WIRE_BAD_MESSAGE, detail, true);
	} else if (!hg_slice_eq(r.uid, hg_slice_str(s->identity.uid))) {
		hg_warn("sync: presents the UID %.*s: %s: %s", (int)r.uid.len,
			(const char *)r.uid.ptr, hg_session_name(s), hg_session_peer(s));
		hg_session_refuse(s, HG_WIRE_WRONG_UID, "uid is not the certificate's", true);
	} else if (r.mirror_cursor > HG_EXCHANGE_CURSOR_MAX ||
		   r.command_cursor > HG_EXCHANGE_CURSOR_MAX) {
		hg_warn("sync: claims a cursor that no mirror gives: %s: %s", hg_session_name(s),
			hg_session_peer(s));
		hg_session_refuse(s, HG_WIRE_BAD_MESSAGE, "a cursor over 2^62", true);
	} else if (r.csr.len && !s->renewal && !s->certified) {
		session_renew(s, in, &r);
	} else {
		session_ask(s, in, &r);
	}
}
