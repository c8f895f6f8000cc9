// SPDX-License-Identifier: MIT
/*
 * Sessions of devices: TLS, frames, one request after the other, limits and deadlines.
 *
 * A session is in the list of its state from the beginning of its handshake to session_end(); only
 * session_set() moves it. A handshake may be done by any loop; then the session goes to the loop
 * that its device's UID hashes to, so that all sessions of a device meet there. It is the `current`
 * of the device's slot; a newer session of the same device ends it. A request goes to the database
 * as an ask, which the slot holds, so that it outlives the session: while one is under way no other
 * request of the same device is sent, and a device that came back early is judged after its own
 * last request. One that finds the batcher full waits for room, and hears BUSY only when its time
 * is over. What a peer can make us hold: one frame in, one out, one handshake.
 */
#include "sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <openssl/err.h>
#include "../lib/log.h"
#include "admit.h"
#include "batch.h"
#include "early.h"
#include "exchange.h"
#include "identity.h"
#include "inbox.h"
#include "loop.h"
#include "net.h"
#include "pace.h"
#include "renew.h"
#include "slot.h"
#include "stream.h"

#define ROUNDS_MAX 256 /* of one session; no honest device needs as many */
#define TICK_MS 100    /* how finely deadlines are kept */

/* Of each loop, under way or waiting, when no handshake begins any more; two are under way. */
#define BATCHES_AHEAD 4
#define AHEAD_UNBATCHED 64 /* the same where each request is committed by itself */
#define LATE_MS 15000	   /* of the 20 s that a device waits: section 10 of the protocol */
#define SLOW_MS 5000	   /* a handshake that takes so long keeps no others from beginning */

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_SLOW,	/* a handshake for longer than SLOW_MS */
	SESSION_MOVING, /* between two loops, in no list */
	SESSION_IDLE,	/* no byte of the next request is here */
	SESSION_READING,
	SESSION_WAITING, /* a request is here; the device's last one is still under way */
	SESSION_QUEUED,	 /* a request is here; the batcher has no room for it */
	SESSION_ASKING,
	SESSION_ANSWERING,
	SESSION_CLOSING, /* as ANSWERING, and the end after it */
	SESSION_STATES
};

struct session {
	TAILQ_ENTRY(session) entry;
	struct hg_sync *sync;
	struct hg_stream stream;
	enum session_state state;
	uint64_t deadline_ms;
	struct hg_slot *slot;
	unsigned int rounds;
	uint32_t flags; /* of the last request */
	struct hg_identity identity;
	struct hg_early *early; /* of the handshake: whether it can be answered already is asked */
	bool early_asked;
	bool told; /* the first request was answered early; it is yet to be recorded */
	struct hg_renewal *renewal; /* of the request under way; NULL: it wants no certificate */
	bool certified;		    /* a certificate was asked for: once in a session */
	struct timespec accepted;
	struct hg_net_addr peer;
	struct hg_inbox in;
};

TAILQ_HEAD(session_list, session);

struct hg_sync {
	struct hg_sync_shared *shared;
	const struct hg_mirror_conf *conf;
	struct event_base *base;
	struct event *tick, *room_again;
	struct hg_pg *pg;
	struct hg_batcher *batcher;
	struct hg_admit *admit;
	struct hg_pace pace;
	size_t asking_max; /* of all loops, see may_begin() */
	struct session_list sessions[SESSION_STATES];
	uint64_t timeout_ms[SESSION_STATES]; /* 0: none; the batcher keeps these deadlines */
	struct hg_slots slots;
	bool stopping, away; /* away: it was logged that the database does not answer */
	struct hg_wire_room room;
	uint8_t out[HG_WIRE_MAX + 4], scratch[HG_INBOX_READ];
};

static void session_go_on(struct session *s);

/* For the log. */
static const char *session_name(const struct session *s)
{
	return *s->identity.uid ? s->identity.uid : "?";
}

static const char *session_peer(const struct session *s)
{
	static _Thread_local char text[HG_PEER_TEXT];

	hg_net_peer((const struct sockaddr *)&s->peer.storage, s->peer.len, text);
	return text;
}

/* Of sessions that shake hands, one more or less. */
static void count_shaking(struct hg_sync *sync, enum session_state from, enum session_state to)
{
	if (from == to)
		return;
	if (to == SESSION_HANDSHAKE)
		atomic_fetch_add(&sync->shared->shaking, 1);
	if (from != SESSION_HANDSHAKE)
		return;
	atomic_fetch_sub(&sync->shared->shaking, 1);
	hg_admit_go(sync->admit);
}

static void session_end(struct session *s)
{
	struct hg_slot *slot = s->slot;

	if (s->state != SESSION_MOVING)
		TAILQ_REMOVE(&s->sync->sessions[s->state], s, entry);
	if (slot && slot->current == s) {
		slot->current = NULL;
		hg_slot_put(slot);
	}
	hg_early_cancel(s->early);
	hg_stream_close(&s->stream);
	count_shaking(s->sync, s->state, SESSION_STATES);
	atomic_fetch_sub(&s->sync->shared->open, 1);
	hg_renewal_free(s->renewal);
	free(s->in.bytes);
	free(s);
}

static void session_set(struct session *s, enum session_state state)
{
	struct hg_sync *sync = s->sync;

	if (s->state != SESSION_MOVING)
		TAILQ_REMOVE(&sync->sessions[s->state], s, entry);
	count_shaking(sync, s->state, state);
	s->state = state;
	if (state != SESSION_MOVING)
		TAILQ_INSERT_TAIL(&sync->sessions[state], s, entry);
	s->deadline_ms = hg_pace_now_ms() + sync->timeout_ms[state];
}

/* Writes what there is, as far as it goes, and waits for what the state needs. False: gone. */
static bool session_flush(struct session *s, short want)
{
	int left = hg_stream_flush(&s->stream);

	if (left < 0) {
		session_end(s);
		return false;
	}
	hg_stream_want(&s->stream, left ? want | EV_WRITE : want);
	return true;
}

/* The answer is with the kernel, all of it. */
static void session_answered(struct session *s)
{
	if (s->state == SESSION_CLOSING)
		session_end(s);
	else
		session_go_on(s);
}

/* One write per answer. */
static void session_answer(struct session *s, const void *frame, long len, bool last)
{
	int left;

	if (len < 0 || hg_stream_write(&s->stream, frame, len)) {
		session_end(s);
		return;
	}
	session_set(s, last || s->sync->stopping ? SESSION_CLOSING : SESSION_ANSWERING);
	left = hg_stream_flush(&s->stream);
	if (left < 0)
		session_end(s);
	else if (left)
		hg_stream_want(&s->stream, EV_WRITE);
	else
		session_answered(s);
}

static uint32_t wait_ms(const struct hg_sync *sync)
{
	return hg_pace_wait_ms(&sync->pace, (unsigned int)(hg_admit_waiting(sync->admit) +
							   hg_batch_busy(sync->batcher)));
}

static void session_refuse(struct session *s, uint32_t status, const char *detail, bool last)
{
	struct hg_sync *sync = s->sync;
	uint32_t ms = status == HG_WIRE_BUSY || status == HG_WIRE_UNAVAILABLE
			      ? hg_pace_refused_ms((uint32_t)sync->conf->sync.busy_interval,
						   wait_ms(sync))
			      : 0;
	long len = hg_exchange_refusal(status, detail, ms, sync->out);

	if (s->told)
		session_end(s); /* it has its answer */
	else
		session_answer(s, sync->out, len, last);
}

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
	len = hg_exchange_response(a->res, a->row, wait_ms(sync), &grant, sync->out, &status);
	hg_renewal_free(s->renewal);
	s->renewal = NULL;
	if (len < 0)
		hg_error("sync: cannot encode the answer: %s: %ld", s->identity.uid, len);
	session_answer(s, sync->out, len, status != HG_WIRE_OK || ++s->rounds == ROUNDS_MAX);
}

/* Of a request that was answered early. What the row has to give is given in the next session. */
static void session_recorded(struct session *s, const struct hg_answer *a)
{
	uint32_t status = hg_exchange_status(a->res, a->row);

	hg_pace_answered(&s->sync->pace, hg_pace_now_ms());
	s->told = false;
	s->rounds++;
	if (status == HG_WIRE_OK)
		session_go_on(s);
	else
		session_end(s);
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
			session_go_on(s);
	} else if (a->bad_data) {
		session_refuse(s, HG_WIRE_BAD_MESSAGE, a->error, true);
	} else if (a->late) {
		session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
	} else if (a->error) {
		session_refuse(s, HG_WIRE_UNAVAILABLE, "the database does not answer", true);
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
		session_refuse(s, HG_WIRE_UNAVAILABLE, "the database is away", true);
		return;
	}
	if (hg_batch_ask(sync->batcher, in, r, &s->accepted, on_answer, s->slot)) {
		session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	s->flags = r->flags;
	atomic_fetch_add(&sync->shared->asking, 1);
	s->slot->asking = true;
	session_set(s, SESSION_ASKING);
}

static void session_request(struct session *s, struct hg_slice in);

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
		session_go_on(s);
	} else if (s->state == SESSION_ASKING && s->renewal) {
		hg_renewal_recorded(s->renewal, &s->identity, res, error);
		session_request(s, hg_slice_of(s->renewal->frame, s->renewal->frame_len));
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
		session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	atomic_fetch_add(&sync->shared->asking, 1);
	s->slot->asking = true;
	session_set(s, SESSION_ASKING);
}

static void session_request(struct session *s, struct hg_slice in)
{
	struct hg_wire_request r;
	char detail[64];
	size_t at = 0;
	int rc = hg_wire_get_request(in, &s->sync->room, &r, &at);

	if (rc == -EPROTONOSUPPORT) {
		session_refuse(s, HG_WIRE_VERSION_UNSUPPORTED, "this mirror speaks version 1",
			       true);
	} else if (rc) {
		snprintf(detail, sizeof(detail), "not a valid request at byte %zu", at);
		hg_info("sync: %s: %s: %s", detail, session_name(s), session_peer(s));
		session_refuse(s, HG_WIRE_BAD_MESSAGE, detail, true);
	} else if (!hg_slice_eq(r.uid, hg_slice_str(s->identity.uid))) {
		hg_warn("sync: presents the UID %.*s: %s: %s", (int)r.uid.len,
			(const char *)r.uid.ptr, session_name(s), session_peer(s));
		session_refuse(s, HG_WIRE_WRONG_UID, "uid is not the certificate's", true);
	} else if (r.mirror_cursor > HG_EXCHANGE_CURSOR_MAX ||
		   r.command_cursor > HG_EXCHANGE_CURSOR_MAX) {
		hg_warn("sync: claims a cursor that no mirror gives: %s: %s", session_name(s),
			session_peer(s));
		session_refuse(s, HG_WIRE_BAD_MESSAGE, "a cursor over 2^62", true);
	} else if (r.csr.len && !s->renewal && !s->certified) {
		session_renew(s, in, &r);
	} else {
		session_ask(s, in, &r);
	}
}

/* Takes the frame of `need` bytes off what has arrived; s may be gone afterwards. */
static void session_take_frame(struct session *s, size_t need)
{
	uint8_t *frame = hg_inbox_take(&s->in, need);

	if (!frame) {
		session_end(s);
		return;
	}
	session_request(s, hg_slice_of(frame + 4, need - 4));
	free(frame);
}

static void log_failure(const struct session *s)
{
	char why[160];
	unsigned long e = ERR_peek_last_error();

	if (e && s->stream.failed && ERR_GET_REASON(e) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		hg_info("sync: %s: %s: %s: %s", s->state <= SESSION_SLOW ? "handshake" : "session",
			session_name(s), session_peer(s),
			hg_net_tls_reason(s->stream.ssl, e, why, sizeof(why)));
	ERR_clear_error();
}

/* Looks at what has arrived, if the session may take a request. */
static void session_go_on(struct session *s)
{
	enum session_state state;
	long need;
	int n = 1;

	while (!(need = hg_wire_frame_len(s->in.bytes, s->in.len)) ||
	       (need > 0 && s->in.len < (size_t)need)) {
		n = hg_inbox_read(&s->in, &s->stream, s->sync->scratch);
		if (n <= 0)
			break;
	}
	if (n < 0) {
		log_failure(s);
		session_end(s);
	} else if (!n) {
		state = s->in.len ? SESSION_READING : SESSION_IDLE;
		if (s->state != state)
			session_set(s, state);
		session_flush(s, EV_READ);
	} else if (need < 0) {
		hg_info("sync: frame over the limit: %s: %s", session_name(s), session_peer(s));
		session_refuse(s, HG_WIRE_BAD_MESSAGE, "frame length is 0 or over the limit", true);
	} else if (s->slot->asking) {
		session_set(s, SESSION_WAITING);
	} else if (hg_batch_full(s->sync->batcher)) {
		session_set(s, SESSION_QUEUED);
	} else {
		session_take_frame(s, need);
	}
}

/* An ask is answered: who waits for room goes on, and then who waits at the door. */
static void on_room(evutil_socket_t fd, short what, void *arg)
{
	struct hg_sync *sync = arg;
	struct session *s;

	while (!hg_batch_full(sync->batcher) && (s = TAILQ_FIRST(&sync->sessions[SESSION_QUEUED])))
		session_go_on(s);
	hg_admit_go(sync->admit);
}

/* At its loop: the session becomes the device's only one. */
static void session_settle(struct session *s)
{
	struct hg_slot *slot = s->sync->stopping
				       ? NULL
				       : hg_slot_get(&s->sync->slots, s->sync, s->identity.uid);
	struct session *older;

	if (!slot) {
		session_end(s);
		return;
	}
	older = slot->current;
	slot->current = s;
	s->slot = slot;
	if (older) {
		hg_info("sync: newer session ends the older: %s: %s", s->identity.uid,
			session_peer(s));
		older->slot = NULL;
		session_end(older);
	}
	session_set(s, SESSION_IDLE);
	session_go_on(s);
}

static void on_io(evutil_socket_t fd, short what, void *arg);

static void session_arrive(void *arg)
{
	struct session *s = arg;

	hg_stream_attach(&s->stream, s->sync->base, on_io, s);
	session_settle(s);
}

/* The handshake is done. What came early is no replay, and a request as any other. */
static void session_identify(struct session *s)
{
	struct hg_sync_shared *shared = s->sync->shared;
	struct hg_slice *early = &s->stream.came_early;
	struct hg_loop *home;

	hg_early_cancel(s->early);
	s->early = NULL;
	s->in = (struct hg_inbox){ (uint8_t *)early->ptr, early->len, early->len };
	*early = hg_slice_of(NULL, 0);
	if (hg_identity_of(s->stream.ssl, &s->identity)) {
		hg_warn("sync: certificate names no device: %s", session_peer(s));
		session_end(s);
		return;
	}
	home = shared->loops[hg_slot_hash(s->identity.uid) / HG_SLOT_BUCKETS % shared->n_loops];
	if (hg_loop_sync(home) == s->sync) {
		session_settle(s);
		return;
	}
	session_set(s, SESSION_MOVING);
	hg_stream_detach(&s->stream);
	s->sync = hg_loop_sync(home);
	if (hg_loop_post(home, session_arrive, s))
		session_end(s);
}

/* In the handshake: the server's flight and, if the request came early and is idle, its answer. */
static void on_early(void *ctx, const PGresult *res)
{
	const struct hg_exchange_grant none = { 0 };
	struct session *s = ctx;
	struct hg_sync *sync = s->sync;
	uint32_t status;
	long len = 0;

	s->early = NULL;
	if (res)
		len = hg_exchange_response(res, 0, wait_ms(sync), &none, sync->out, &status);
	s->told = len > 0 && !hg_stream_write_early(&s->stream, sync->out, len);
	session_flush(s, EV_READ);
}

/* Its answer, or that there is none yet, leaves with the server's flight. False: flush that now. */
static bool session_early(struct session *s)
{
	if (s->stream.came_early.len && !s->early_asked && !hg_batch_full(s->sync->batcher)) {
		s->early = hg_early_ask(s->sync->pg, &s->stream, &s->sync->room, on_early, s);
		s->early_asked = s->early;
	}
	return s->early;
}

static void session_shake(struct session *s)
{
	struct hg_sync_shared *shared = s->sync->shared;
	int rc;

	pthread_rwlock_rdlock(&shared->tls_lock);
	rc = hg_stream_handshake(&s->stream);
	pthread_rwlock_unlock(&shared->tls_lock);
	if (rc < 0) {
		log_failure(s);
		session_end(s);
	} else if (rc) {
		session_identify(s);
	} else if (!session_early(s)) {
		session_flush(s, EV_READ);
	}
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	int left = 0;

	if (what & EV_WRITE)
		left = hg_stream_flush(&s->stream);
	if (left < 0) {
		session_end(s);
		return;
	}
	switch (s->state) {
	case SESSION_HANDSHAKE:
	case SESSION_SLOW:
		session_shake(s);
		break;
	case SESSION_IDLE:
	case SESSION_READING:
		session_go_on(s);
		break;
	case SESSION_ANSWERING:
	case SESSION_CLOSING:
		if (what & EV_WRITE && !left)
			session_answered(s);
		break;
	case SESSION_WAITING:
	case SESSION_QUEUED:
	case SESSION_ASKING:
		hg_stream_want(&s->stream, 0); /* it is read when it was answered */
		break;
	case SESSION_MOVING:
	case SESSION_STATES:
		break;
	}
}

static void on_begin(void *ctx, int fd, const struct hg_net_addr *peer,
		     const struct timespec *accepted)
{
	struct hg_sync *sync = ctx;
	struct session *s = calloc(1, sizeof(*s));
	int one = 1;

	if (!s) {
		close(fd);
		atomic_fetch_sub(&sync->shared->open, 1);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->sync = sync;
	s->accepted = *accepted;
	s->peer = *peer;
	s->state = SESSION_MOVING;
	hg_stream_init(&s->stream, sync->base, fd, on_io, s);
	session_set(s, SESSION_HANDSHAKE);
	if (hg_stream_begin(&s->stream, sync->shared->tls, sync->conf->sync.early))
		session_end(s);
	else
		session_shake(s);
}

/*
 * A handshake whose request the database cannot take would only take time from it, and end in BUSY.
 * Some batches more than it works on keep it busy; those that shake hands will ask, too.
 */
static bool may_begin(void *ctx)
{
	const struct hg_sync *sync = ctx;
	size_t asking = atomic_load(&sync->shared->asking);

	return asking < sync->asking_max &&
	       asking + atomic_load(&sync->shared->shaking) <= sync->conf->database.queue / 4 * 3;
}

static void on_deadline(struct session *s)
{
	if (s->state == SESSION_HANDSHAKE && s->sync->timeout_ms[SESSION_SLOW]) {
		session_set(s, SESSION_SLOW);
		return;
	}
	if (s->state == SESSION_QUEUED) {
		session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	if (s->state == SESSION_READING || s->state == SESSION_ANSWERING)
		hg_info("sync: %s too slowly: %s: %s",
			s->state == SESSION_READING ? "sends" : "reads", session_name(s),
			session_peer(s));
	session_end(s);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_sync *sync = arg;
	uint64_t now = hg_pace_now_ms();

	for (int i = 0; i < SESSION_STATES; i++) {
		struct session *s;

		while (sync->timeout_ms[i] && (s = TAILQ_FIRST(&sync->sessions[i])) &&
		       s->deadline_ms <= now)
			on_deadline(s);
	}
}

static int open_parts(struct hg_sync *sync)
{
	const struct hg_mirror_conf *conf = sync->conf;
	const unsigned int loops = sync->shared->n_loops;
	const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	const struct hg_batch_options b = { .batch = (unsigned int)conf->sync.batch,
					    .connections = hg_pg_connections(sync->pg),
					    .queue_max =
						    (unsigned int)conf->database.queue / loops + 1,
					    .timeout_ms = (unsigned int)conf->database.timeout,
					    .object_max = conf->sync.object_max };
	const size_t ahead = b.batch > 1 ? (size_t)BATCHES_AHEAD * b.batch : AHEAD_UNBATCHED;
	const struct hg_admit_options a = { .fd = sync->shared->listener,
					    .late_ms = LATE_MS,
					    .pace = &sync->pace,
					    .may_begin = may_begin,
					    .open = &sync->shared->open,
					    .open_max = conf->sync.connections,
					    .silence_ms = conf->sync.handshake_timeout,
					    .begin = on_begin,
					    .ctx = sync };

	sync->asking_max = loops * (ahead < b.queue_max / 2 ? ahead : b.queue_max / 2 + 1);
	sync->batcher = hg_batcher_new(sync->base, sync->pg, &b);
	sync->admit = hg_admit_new(sync->base, &a);
	sync->tick = event_new(sync->base, -1, EV_PERSIST, on_tick, sync);
	sync->room_again = event_new(sync->base, -1, 0, on_room, sync);
	return sync->batcher && sync->admit && sync->tick && sync->room_again &&
			       !event_add(sync->tick, &tick)
		       ? 0
		       : -ENOMEM;
}

struct hg_sync *hg_sync_new(struct event_base *base, struct hg_sync_shared *shared,
			    struct hg_pg *pg)
{
	const struct hg_mirror_conf *conf = shared->conf;
	struct hg_sync *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->base = base;
	sync->shared = shared;
	sync->conf = conf;
	sync->pg = pg;
	for (int i = 0; i < SESSION_STATES; i++)
		TAILQ_INIT(&sync->sessions[i]);
	sync->timeout_ms[SESSION_HANDSHAKE] = conf->sync.handshake_timeout;
	if (conf->sync.handshake_timeout > SLOW_MS) {
		sync->timeout_ms[SESSION_HANDSHAKE] = SLOW_MS;
		sync->timeout_ms[SESSION_SLOW] = conf->sync.handshake_timeout - SLOW_MS;
	}
	sync->timeout_ms[SESSION_IDLE] = conf->sync.idle_timeout;
	sync->timeout_ms[SESSION_QUEUED] = conf->database.timeout;
	sync->timeout_ms[SESSION_READING] = conf->sync.message_timeout;
	sync->timeout_ms[SESSION_ANSWERING] = conf->sync.message_timeout;
	sync->timeout_ms[SESSION_CLOSING] = conf->sync.message_timeout;
	if (open_parts(sync)) {
		hg_sync_free(sync);
		return NULL;
	}
	return sync;
}

static void end_all(struct hg_sync *sync, enum session_state state)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&sync->sessions[state])))
		session_end(s);
}

void hg_sync_stop(struct hg_sync *sync)
{
	struct session *s;

	sync->stopping = true;
	if (sync->admit)
		hg_admit_stop(sync->admit);
	end_all(sync, SESSION_HANDSHAKE);
	end_all(sync, SESSION_SLOW);
	end_all(sync, SESSION_IDLE);
	end_all(sync, SESSION_READING);
	end_all(sync, SESSION_WAITING);
	end_all(sync, SESSION_QUEUED);
	while ((s = TAILQ_FIRST(&sync->sessions[SESSION_ANSWERING])))
		session_set(s, SESSION_CLOSING);
}

void hg_sync_free(struct hg_sync *sync)
{
	if (!sync)
		return;
	hg_sync_stop(sync);
	hg_batcher_free(sync->batcher);
	end_all(sync, SESSION_ASKING);
	end_all(sync, SESSION_CLOSING);
	hg_admit_free(sync->admit);
	if (sync->tick)
		event_free(sync->tick);
	if (sync->room_again)
		event_free(sync->room_again);
	free(sync);
}
