// SPDX-License-Identifier: MIT
/*
 * Sessions of devices: TLS and frames, one request after the other.
 *
 * A session is in the list of its state from the beginning of its handshake to hg_session_end();
 * only hg_session_set() moves it. A handshake may be done by any loop; then the session goes to the
 * loop that its device's UID hashes to, so that all sessions of a device meet there. It is the
 * `current` of the device's slot; a newer session of the same device ends it. What a peer can make
 * us hold: one frame in, one out, one handshake.
 */
#include "session.h"

#include <stdlib.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include "../lib/log.h"
#include "loop.h"

/* For the log. */
const char *hg_session_name(const struct session *s)
{
	return *s->identity.uid ? s->identity.uid : "?";
}

const char *hg_session_peer(const struct session *s)
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

void hg_session_end(struct session *s)
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

void hg_session_set(struct session *s, enum session_state state)
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
		hg_session_end(s);
		return false;
	}
	hg_stream_want(&s->stream, left ? want | EV_WRITE : want);
	return true;
}

/* The answer is with the kernel, all of it. */
static void session_answered(struct session *s)
{
	if (s->state == SESSION_CLOSING)
		hg_session_end(s);
	else
		hg_session_go_on(s);
}

/* One write per answer. */
void hg_session_answer(struct session *s, const void *frame, long len, bool last)
{
	int left;

	if (len < 0 || hg_stream_write(&s->stream, frame, len)) {
		hg_session_end(s);
		return;
	}
	hg_session_set(s, last || s->sync->stopping ? SESSION_CLOSING : SESSION_ANSWERING);
	left = hg_stream_flush(&s->stream);
	if (left < 0)
		hg_session_end(s);
	else if (left)
		hg_stream_want(&s->stream, EV_WRITE);
	else
		session_answered(s);
}

void hg_session_refuse(struct session *s, uint32_t status, const char *detail, bool last)
{
	struct hg_sync *sync = s->sync;
	uint32_t ms = status == HG_WIRE_BUSY || status == HG_WIRE_UNAVAILABLE
			      ? hg_pace_refused_ms((uint32_t)sync->conf->sync.busy_interval,
						   hg_sync_wait_ms(sync))
			      : 0;
	long len = hg_exchange_refusal(status, detail, ms, sync->out);

	if (s->told)
		hg_session_end(s); /* it has its answer */
	else
		hg_session_answer(s, sync->out, len, last);
}

/* Takes the frame of `need` bytes off what has arrived; s may be gone afterwards. */
static void session_take_frame(struct session *s, size_t need)
{
	uint8_t *frame = hg_inbox_take(&s->in, need);

	if (!frame) {
		hg_session_end(s);
		return;
	}
	hg_session_request(s, hg_slice_of(frame + 4, need - 4));
	free(frame);
}

static void log_failure(const struct session *s)
{
	char why[160];
	unsigned long e = ERR_peek_last_error();

	if (e && s->stream.failed && ERR_GET_REASON(e) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		hg_info("sync: %s: %s: %s: %s", s->state <= SESSION_SLOW ? "handshake" : "session",
			hg_session_name(s), hg_session_peer(s),
			hg_net_tls_reason(s->stream.ssl, e, why, sizeof(why)));
	ERR_clear_error();
}

/* Looks at what has arrived, if the session may take a request. */
void hg_session_go_on(struct session *s)
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
		hg_session_end(s);
	} else if (!n) {
		state = s->in.len ? SESSION_READING : SESSION_IDLE;
		if (s->state != state)
			hg_session_set(s, state);
		session_flush(s, EV_READ);
	} else if (need < 0) {
		hg_info("sync: frame over the limit: %s: %s", hg_session_name(s),
			hg_session_peer(s));
		hg_session_refuse(s, HG_WIRE_BAD_MESSAGE, "frame length is 0 or over the limit",
				  true);
	} else if (s->slot->asking) {
		hg_session_set(s, SESSION_WAITING);
	} else if (hg_batch_full(s->sync->batcher)) {
		hg_session_set(s, SESSION_QUEUED);
	} else {
		session_take_frame(s, need);
	}
}

static bool came_before(const struct session *a, const struct session *b)
{
	return a->accepted.tv_sec != b->accepted.tv_sec ? a->accepted.tv_sec < b->accepted.tv_sec
							: a->accepted.tv_nsec < b->accepted.tv_nsec;
}

/*
 * At its loop: the session becomes the device's only one, or ends because there is a newer one: its
 * last flight was late, and with early data a device may be done without knowing.
 */
static void session_settle(struct session *s)
{
	struct hg_slot *slot = s->sync->stopping
				       ? NULL
				       : hg_slot_get(&s->sync->slots, s->sync, s->identity.uid);
	struct session *older;

	if (!slot || (slot->current && came_before(s, slot->current))) {
		hg_session_end(s);
		return;
	}
	older = slot->current;
	slot->current = s;
	s->slot = slot;
	if (older) {
		hg_info("sync: newer session ends the older: %s: %s", s->identity.uid,
			hg_session_peer(s));
		older->slot = NULL;
		hg_session_end(older);
	}
	hg_session_set(s, SESSION_IDLE);
	hg_session_go_on(s);
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
		hg_warn("sync: certificate names no device: %s", hg_session_peer(s));
		hg_session_end(s);
		return;
	}
	home = shared->loops[hg_slot_hash(s->identity.uid) / HG_SLOT_BUCKETS % shared->n_loops];
	if (hg_loop_sync(home) == s->sync) {
		session_settle(s);
		return;
	}
	hg_session_set(s, SESSION_MOVING);
	hg_stream_detach(&s->stream);
	s->sync = hg_loop_sync(home);
	if (hg_loop_post(home, session_arrive, s))
		hg_session_end(s);
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
		len = hg_exchange_response(res, 0, hg_sync_wait_ms(sync), &none, sync->out,
					   &status);
	s->told = len > 0 && !hg_stream_write_early(&s->stream, sync->out, len);
	session_flush(s, EV_READ);
}

/* Its answer, or that there is none yet, leaves with the server's flight. False: flush that now. */
static bool session_early(struct session *s)
{
	if (s->stream.came_early.len && !s->early_asked && !hg_batch_full(s->sync->batcher)) {
		s->early = hg_early_ask(s->sync->base, s->sync->pg, &s->stream, &s->sync->room,
					on_early, s);
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
		hg_session_end(s);
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
		hg_session_end(s);
		return;
	}
	switch (s->state) {
	case SESSION_HANDSHAKE:
	case SESSION_SLOW:
		session_shake(s);
		break;
	case SESSION_IDLE:
	case SESSION_READING:
		hg_session_go_on(s);
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

void hg_session_begin(void *ctx, int fd, const struct hg_net_addr *peer,
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
	hg_session_set(s, SESSION_HANDSHAKE);
	if (hg_stream_begin(&s->stream, sync->shared->tls, sync->conf->sync.early))
		hg_session_end(s);
	else
		session_shake(s);
}
