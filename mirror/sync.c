// SPDX-License-Identifier: MIT
/*
 * Sessions of devices: TLS, frames, one request after the other, limits and deadlines.
 *
 * A session belongs to hg_sync's list from accept to session_end(). Once its certificate is known
 * it is the `current` of the device's slot; a newer session of the same device ends it. A request
 * goes to the database as an `ask`, which the slot holds, so that it outlives the session: while
 * one is under way no other request of the same device is sent, and a device that came back early
 * is judged after its own last request. One deadline per session, set by session_set() for each
 * state. What a peer can make us hold: one frame in, one out, one handshake.
 */
#include "sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include "../lib/log.h"
#include "batch.h"
#include "exchange.h"
#include "identity.h"
#include "net.h"

#define BUCKETS 4096
#define ROUNDS_MAX 256 /* of one session; no honest device needs as many */

/*
 * The mirror continues its numbers above a device's cursors, see sync_begin(): one that lies must
 * leave room to count on, and to leap (admin_restored()).
 */
#define CURSOR_MAX (UINT64_C(1) << 62)

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_IDLE, /* no byte of the next request is here */
	SESSION_READING,
	SESSION_WAITING, /* a request is here; the device's last one is still under way */
	SESSION_ASKING,
	SESSION_ANSWERING,
	SESSION_CLOSING, /* as ANSWERING, and the end after it */
};

struct session {
	TAILQ_ENTRY(session) entry;
	struct hg_sync *sync;
	struct bufferevent *bev;
	struct event *deadline;
	enum session_state state;
	struct slot *slot;
	unsigned int rounds;
	uint32_t flags; /* of the last request */
	struct hg_identity identity;
	struct timespec accepted;
	char peer[HG_PEER_TEXT];
};

/* A device that has a session or a request under way. */
struct slot {
	LIST_ENTRY(slot) entry;
	struct hg_sync *sync;
	struct session *current;
	bool asking;
	char uid[HG_UID_MAX + 1];
};

struct hg_sync {
	struct event_base *base;
	const struct hg_mirror_conf *conf;
	struct hg_pg *pg;
	struct hg_batcher *batcher;
	SSL_CTX *tls;
	struct evconnlistener *listener;
	TAILQ_HEAD(session_list, session) sessions;
	LIST_HEAD(slot_list, slot) slots[BUCKETS];
	size_t n_sessions;
	bool stopping, away; /* away: it was logged that the database does not answer */
	struct hg_wire_room room;
	uint8_t out[HG_WIRE_MAX + 4];
};

static void session_go_on(struct session *s);

static struct slot *slot_get(struct hg_sync *sync, const char *uid)
{
	unsigned int h = 5381;
	struct slot *slot;

	for (const char *c = uid; *c; c++)
		h = h * 33 + (unsigned char)*c;
	h %= BUCKETS;
	LIST_FOREACH (slot, &sync->slots[h], entry)
		if (!strcmp(slot->uid, uid))
			return slot;
	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return NULL;
	slot->sync = sync;
	strcpy(slot->uid, uid);
	LIST_INSERT_HEAD(&sync->slots[h], slot, entry);
	return slot;
}

static void slot_put(struct slot *slot)
{
	if (slot->current || slot->asking)
		return;
	LIST_REMOVE(slot, entry);
	free(slot);
}

static const char *session_name(const struct session *s)
{
	return s->slot ? s->slot->uid : "?";
}

/*
 * The end of a session. OpenSSL forgets the session's ticket if the connection goes without a
 * close_notify, so one is said, and the peer's is taken as said.
 */
static void session_end(struct session *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	struct slot *slot = s->slot;

	if (s->state != SESSION_HANDSHAKE) {
		SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(ssl);
	}
	ERR_clear_error();
	TAILQ_REMOVE(&s->sync->sessions, s, entry);
	s->sync->n_sessions--;
	if (slot && slot->current == s) {
		slot->current = NULL;
		slot_put(slot);
	}
	event_free(s->deadline);
	bufferevent_free(s->bev);
	free(s);
}

static void session_set(struct session *s, enum session_state state)
{
	const struct hg_mirror_conf *conf = s->sync->conf;
	uint64_t ms = 0;
	struct timeval tv;

	s->state = state;
	switch (state) {
	case SESSION_HANDSHAKE:
		ms = conf->sync.handshake_timeout;
		break;
	case SESSION_IDLE:
		ms = conf->sync.idle_timeout;
		break;
	case SESSION_READING:
	case SESSION_ANSWERING:
	case SESSION_CLOSING:
		ms = conf->sync.message_timeout;
		break;
	case SESSION_WAITING:
	case SESSION_ASKING: /* the pool keeps these deadlines */
		event_del(s->deadline);
		return;
	}
	tv = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	event_add(s->deadline, &tv);
}

/* One write per answer. */
static void session_answer(struct session *s, const void *frame, long len, bool last)
{
	if (len < 0 || bufferevent_write(s->bev, frame, len)) {
		session_end(s);
		return;
	}
	session_set(s, last || s->sync->stopping ? SESSION_CLOSING : SESSION_ANSWERING);
}

static uint32_t busy_interval(const struct hg_sync *sync)
{
	uint32_t ms = (uint32_t)sync->conf->sync.busy_interval;

	return ms / 2 + (uint32_t)(((uint64_t)ms * hg_net_random()) >> 32);
}

static void session_refuse(struct session *s, uint32_t status, const char *detail, bool last)
{
	uint32_t ms = status == HG_WIRE_BUSY || status == HG_WIRE_UNAVAILABLE
			      ? busy_interval(s->sync)
			      : 0;
	long len = hg_exchange_refusal(status, detail, ms, s->sync->out);

	session_answer(s, s->sync->out, len, last);
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

static void on_answer(void *ctx, const struct hg_answer *a)
{
	struct slot *slot = ctx;
	struct hg_sync *sync = slot->sync;
	struct session *s = slot->current;
	uint32_t status = HG_WIRE_OK;
	struct hg_wire_psk wire_psk;
	struct hg_psk psk;
	long len;

	slot->asking = false;
	if (a->bad_data)
		hg_error("sync: request refused by the database: %s: %s", slot->uid, a->error);
	else
		note_away(sync, a->error);
	if (!s) {
		slot_put(slot);
	} else if (s->state != SESSION_ASKING) {
		/* The answer is for an older session of the device, which is gone. */
		if (s->state == SESSION_WAITING)
			session_go_on(s);
	} else if (a->bad_data) {
		session_refuse(s, HG_WIRE_BAD_MESSAGE, a->error, true);
	} else if (a->error) {
		session_refuse(s, HG_WIRE_UNAVAILABLE, "the database does not answer", true);
	} else {
		hg_identity_key(bufferevent_openssl_get_ssl(s->bev), &s->identity, sync->conf,
				s->flags, &psk, &wire_psk);
		len = hg_exchange_response(a->res, a->row, sync->out, &status, &wire_psk);
		if (len < 0)
			hg_error("sync: cannot encode the answer: %s: %ld", slot->uid, len);
		session_answer(s, sync->out, len,
			       status != HG_WIRE_OK || ++s->rounds == ROUNDS_MAX);
	}
}

static void session_ask(struct session *s, const struct hg_wire_request *r)
{
	struct hg_sync *sync = s->sync;

	if (!hg_pg_ready(sync->pg)) {
		session_refuse(s, HG_WIRE_UNAVAILABLE, "the database is away", true);
		return;
	}
	if (hg_batch_ask(sync->batcher, r, &s->accepted, on_answer, s->slot)) {
		session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	s->flags = r->flags;
	s->slot->asking = true;
	session_set(s, SESSION_ASKING);
}

static bool has_part(const struct hg_wire_request *r)
{
	return (r->n_changes && r->changes[r->n_changes - 1].part.total) ||
	       (r->n_reports && r->reports[r->n_reports - 1].part.total);
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
		hg_info("sync: %s: %s: %s", detail, session_name(s), s->peer);
		session_refuse(s, HG_WIRE_BAD_MESSAGE, detail, true);
	} else if (!hg_slice_eq(r.uid, hg_slice_str(s->slot->uid))) {
		hg_warn("sync: presents the UID %.*s: %s: %s", (int)r.uid.len,
			(const char *)r.uid.ptr, session_name(s), s->peer);
		session_refuse(s, HG_WIRE_WRONG_UID, "uid is not the certificate's", true);
	} else if (has_part(&r)) {
		session_refuse(s, HG_WIRE_BAD_MESSAGE, "this mirror takes no parts", true);
	} else if (r.mirror_cursor > CURSOR_MAX || r.command_cursor > CURSOR_MAX) {
		hg_warn("sync: claims a cursor that no mirror gives: %s: %s", session_name(s),
			s->peer);
		session_refuse(s, HG_WIRE_BAD_MESSAGE, "a cursor over 2^62", true);
	} else {
		session_ask(s, &r);
	}
}

/* Looks at what has arrived, if the session may take a request. */
static void session_go_on(struct session *s)
{
	struct evbuffer *in = bufferevent_get_input(s->bev);
	size_t have = evbuffer_get_length(in);
	uint8_t head[4];
	long need = 0;

	if (evbuffer_copyout(in, head, sizeof(head)) == sizeof(head))
		need = hg_wire_frame_len(head, sizeof(head));
	if (need < 0) {
		hg_info("sync: frame over the limit: %s: %s", session_name(s), s->peer);
		session_refuse(s, HG_WIRE_BAD_MESSAGE, "frame length is 0 or over the limit", true);
	} else if (!need || have < (size_t)need) {
		if (have && s->state != SESSION_READING)
			session_set(s, SESSION_READING);
		else if (!have)
			session_set(s, SESSION_IDLE);
	} else if (s->slot->asking) {
		session_set(s, SESSION_WAITING);
	} else {
		/* The request is decoded and sent on before the buffer is drained; s may be gone
		 * then. */
		uint8_t *frame = evbuffer_pullup(in, need);
		struct evbuffer *whole = evbuffer_new();

		if (!frame || !whole || evbuffer_remove_buffer(in, whole, need) != need) {
			session_end(s);
		} else {
			frame = evbuffer_pullup(whole, need);
			session_request(s, hg_slice_of(frame + 4, need - 4));
		}
		if (whole)
			evbuffer_free(whole);
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_IDLE || s->state == SESSION_READING)
		session_go_on(s);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct session *s = arg;

	if (evbuffer_get_length(bufferevent_get_output(bev)))
		return;
	if (s->state == SESSION_CLOSING)
		session_end(s);
	else if (s->state == SESSION_ANSWERING)
		session_go_on(s);
}

/* The handshake is done: the session becomes the device's only one. */
static void session_identify(struct session *s)
{
	const char *uid = s->identity.uid;
	struct slot *slot;

	if (hg_identity_of(bufferevent_openssl_get_ssl(s->bev), &s->identity)) {
		hg_warn("sync: certificate names no device: %s", s->peer);
		session_end(s);
		return;
	}
	slot = slot_get(s->sync, uid);
	if (!slot) {
		session_end(s);
		return;
	}
	if (slot->current) {
		struct session *older = slot->current;

		slot->current = s;
		hg_info("sync: newer session ends the older: %s: %s", uid, s->peer);
		older->slot = NULL;
		session_end(older);
	}
	slot->current = s;
	s->slot = slot;
	session_set(s, SESSION_IDLE);
	session_go_on(s);
}

static void log_failure(struct session *s)
{
	char why[160];
	unsigned long e = bufferevent_get_openssl_error(s->bev);

	if (e) {
		while (bufferevent_get_openssl_error(s->bev))
			;
		ERR_clear_error();
		hg_info("sync: %s: %s: %s: %s",
			s->state == SESSION_HANDSHAKE ? "handshake" : "session", session_name(s),
			s->peer,
			hg_net_tls_reason(bufferevent_openssl_get_ssl(s->bev), e, why,
					  sizeof(why)));
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct session *s = arg;

	if (what & BEV_EVENT_CONNECTED) {
		session_identify(s);
		return;
	}
	if (what & BEV_EVENT_ERROR)
		log_failure(s);
	session_end(s);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_READING || s->state == SESSION_ANSWERING)
		hg_info("sync: %s too slowly: %s: %s",
			s->state == SESSION_READING ? "sends" : "reads", session_name(s), s->peer);
	session_end(s);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
		      void *arg)
{
	struct hg_sync *sync = arg;
	struct session *s = NULL;
	SSL *ssl = NULL;
	int one = 1;

	if (sync->stopping || sync->n_sessions >= sync->conf->sync.connections)
		goto refuse;
	s = calloc(1, sizeof(*s));
	ssl = SSL_new(sync->tls);
	if (!s || !ssl)
		goto refuse;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->sync = sync;
	clock_gettime(CLOCK_MONOTONIC, &s->accepted);
	hg_net_peer(addr, len, s->peer);
	s->deadline = event_new(sync->base, -1, 0, on_deadline, s);
	s->bev = bufferevent_openssl_socket_new(sync->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
						BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!s->bev || !s->deadline) {
		if (s->bev) {
			bufferevent_free(s->bev);
			fd = -1;
			ssl = NULL;
		}
		if (s->deadline)
			event_free(s->deadline);
		goto refuse;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(s->bev, 1);
	bufferevent_setwatermark(s->bev, EV_READ, 0, HG_WIRE_MAX + 4);
	bufferevent_setcb(s->bev, on_read, on_written, on_event, s);
	TAILQ_INSERT_TAIL(&sync->sessions, s, entry);
	sync->n_sessions++;
	session_set(s, SESSION_HANDSHAKE);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	return;
refuse:
	SSL_free(ssl);
	free(s);
	if (fd >= 0)
		evutil_closesocket(fd);
}

struct hg_sync *hg_sync_new(struct event_base *base, const struct hg_mirror_conf *conf,
			    struct hg_pg *pg, SSL_CTX *tls, evutil_socket_t fd)
{
	struct hg_sync *sync = calloc(1, sizeof(*sync));
	const struct hg_batch_options o = { .batch = (unsigned int)conf->sync.batch,
					    .connections = (unsigned int)conf->database.connections,
					    .queue_max = (unsigned int)conf->database.queue,
					    .timeout_ms = (unsigned int)conf->database.timeout };

	if (!sync)
		return NULL;
	sync->base = base;
	sync->conf = conf;
	sync->pg = pg;
	sync->tls = tls;
	TAILQ_INIT(&sync->sessions);
	sync->batcher = hg_batcher_new(base, pg, &o);
	if (!sync->batcher) {
		free(sync);
		return NULL;
	}
	sync->listener = evconnlistener_new(base, on_accept, sync, LEV_OPT_CLOSE_ON_FREE,
					    HG_NET_BACKLOG, fd);
	if (!sync->listener) {
		hg_batcher_free(sync->batcher);
		free(sync);
		return NULL;
	}
	return sync;
}

void hg_sync_stop(struct hg_sync *sync)
{
	struct session *s = TAILQ_FIRST(&sync->sessions);

	sync->stopping = true;
	if (sync->listener)
		evconnlistener_free(sync->listener);
	sync->listener = NULL;
	while (s) {
		struct session *next = TAILQ_NEXT(s, entry);

		if (s->state == SESSION_ANSWERING)
			session_set(s, SESSION_CLOSING);
		else if (s->state != SESSION_ASKING && s->state != SESSION_CLOSING)
			session_end(s);
		s = next;
	}
}

size_t hg_sync_busy(const struct hg_sync *sync)
{
	return sync->n_sessions + hg_batch_busy(sync->batcher);
}

void hg_sync_free(struct hg_sync *sync)
{
	struct session *s, *next;

	if (!sync)
		return;
	hg_sync_stop(sync);
	hg_batcher_free(sync->batcher);
	for (s = TAILQ_FIRST(&sync->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		session_end(s);
	}
	free(sync);
}
