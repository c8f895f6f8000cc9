// SPDX-License-Identifier: MIT
/*
 * A session's states, any of which may go to END:
 *   CONNECT -> HANDSHAKE -> SEND -> ANSWER -> SEND (there is more) or END
 * Memory is small: frames go through one buffer of the process, and only what could not be written
 * or is not whole yet is kept with the session.
 */
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <event2/event_struct.h>
#include <openssl/err.h>
#include "../../lib/psk.h"
#include "../../lib/tls.h"
#include "exchange.h"
#include "ticket.h"

#define ROUNDS_MAX LOAD_ROUNDS_MAX
#define SPREAD_BASE 0x7f100000u /* 127.16.0.0 */

enum state { CONNECT, HANDSHAKE, SEND, ANSWER, END };

struct session {
	LIST_ENTRY(session) entry;
	struct event ev;
	struct load_peer *peer;
	struct load_record *record;
	uint32_t device;
	int fd;
	SSL *ssl;
	enum state state;
	void (*done)(void *ctx, const struct load_outcome *o);
	void *ctx;
	struct load_exchange exchange;
	struct load_outcome outcome;
	bool offered_psk, early; /* early: the request went with the first flight */
	uint64_t begun_us, until_us;
	uint8_t *kept; /* of a frame: what is still to be written, or what has arrived */
	size_t n_kept;
};

static uint8_t frame[HG_WIRE_MAX + 4];

uint64_t load_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000) + t.tv_nsec / 1000;
}

const char *load_end_name(enum load_end end)
{
	static const char *const names[] = { "ok",	    "connect", "tls",	   "turned_away",
					     "closed",	    "timeout", "protocol", "busy",
					     "unavailable", "refused", "local" };

	_Static_assert(sizeof(names) / sizeof(names[0]) == LOAD_ENDS, "a name for each");
	return names[end];
}

static void on_event(evutil_socket_t fd, short what, void *arg);

static void wait_for(struct session *s, short what)
{
	uint64_t now = load_now_us(), left = s->until_us > now ? s->until_us - now : 1;
	struct timeval tv = { left / 1000000, left % 1000000 };

	if (s->state == END)
		return;
	if (event_pending(&s->ev, EV_READ | EV_WRITE, NULL))
		event_del(&s->ev);
	event_assign(&s->ev, s->peer->base, s->fd, what, on_event, s);
	event_priority_set(&s->ev, s->state == CONNECT ? LOAD_LAST_PRIORITY : LOAD_FIRST_PRIORITY);
	event_add(&s->ev, &tv);
}

/* What is begun now may take so long, if the session's time is not over before. */
static void limit(struct session *s, uint32_t seconds)
{
	uint64_t all = s->begun_us + s->peer->timeout_s * UINT64_C(1000000);

	s->until_us = load_now_us() + seconds * UINT64_C(1000000);
	if (s->until_us > all)
		s->until_us = all;
}

static void session_free(struct session *s)
{
	LIST_REMOVE(s, entry);
	event_del(&s->ev);
	SSL_free(s->ssl);
	if (s->fd >= 0)
		close(s->fd);
	free(s->kept);
	free(s);
}

static void forget(struct session *s)
{
	if (s->peer->state->want_psk)
		load_record_psk(s->record, NULL);
	else
		load_record_ticket(s->record, NULL, 0);
}

/* done() and session_free() follow from the loop, when no frame of ours is on the stack. */
__attribute__((format(printf, 3, 4))) static void end(struct session *s, enum load_end why,
						      const char *fmt, ...)
{
	va_list ap;

	if (s->state == END)
		return;
	/* As the agent: it may be what was offered, unless the mirror just was not there. */
	if (s->state == HANDSHAKE && why == LOAD_TLS)
		forget(s);
	s->state = END;
	s->outcome.end = why;
	va_start(ap, fmt);
	vsnprintf(s->outcome.text, sizeof(s->outcome.text), fmt, ap);
	va_end(ap);
	for (char *c = s->outcome.text; *c; c++) /* parts of it may be the peer's words */
		*c = *c < ' ' || *c > '~' || *c == '"' || *c == '\\' ? '?' : *c;
	s->outcome.connected = s->ssl;
	s->outcome.silent = !s->ssl || !BIO_number_read(SSL_get_rbio(s->ssl));
	s->outcome.us = load_now_us() - s->begun_us;
	s->outcome.changes = s->exchange.changes;
	s->outcome.commands = s->exchange.commands;
	s->outcome.interval_ms = s->exchange.interval_ms;
	s->outcome.rounds = s->exchange.round;
	event_active(&s->ev, EV_TIMEOUT, 0);
}

static void cork(int fd, int on)
{
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* From the server's hello on our last flight waits for the request, as the agent's does. */
static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
		       void *ctx)
{
	if (!sent && type == SSL3_RT_HANDSHAKE && len &&
	    *(const uint8_t *)data == SSL3_MT_SERVER_HELLO)
		cork(SSL_get_fd(ssl), 1);
}

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct session *s = SSL_get_app_data(ssl);
	uint8_t der[LOAD_TICKET_MAX];
	size_t len = load_ticket_pack(ticket, der, sizeof(der));

	if (len)
		load_record_ticket(s->record, der, len);
	else
		end(s, LOAD_LOCAL, "ticket over %d bytes", LOAD_TICKET_MAX);
	return 0;
}

/* Only a full handshake asks for it. */
static int on_cert_wanted(SSL *ssl, void *arg)
{
	struct session *s = SSL_get_app_data(ssl);
	X509 *cert = load_state_cert(s->peer->state, s->device);
	int good = cert && SSL_use_certificate(ssl, cert) &&
		   SSL_use_PrivateKey(ssl, load_state_key(s->peer->state, s->device));

	X509_free(cert);
	return good;
}

void load_session_prepare(struct load_peer *peer)
{
	SSL_CTX_sess_set_new_cb(peer->tls, on_ticket);
	SSL_CTX_set_cert_cb(peer->tls, on_cert_wanted, NULL);
	LIST_INIT(&peer->sessions);
}

static void finish(struct session *s)
{
	load_traffic_read(s->fd, &s->outcome.traffic);
	cork(s->fd, 1);
	SSL_set_shutdown(s->ssl, SSL_RECEIVED_SHUTDOWN);
	SSL_shutdown(s->ssl);
	end(s, LOAD_OK, "%s", "");
}

/* What SSL_get_error() says of a call that did not go well; true if it is only to be repeated. */
static bool go_on_later(struct session *s, int rc)
{
	int saved = errno, error = SSL_get_error(s->ssl, rc);
	char why[128];

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		wait_for(s, error == SSL_ERROR_WANT_READ ? EV_READ : EV_WRITE);
		return true;
	}
	if (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL ||
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		end(s, s->state == HANDSHAKE ? LOAD_TURNED_AWAY : LOAD_CLOSED, "%s",
		    error == SSL_ERROR_SYSCALL && saved ? strerror(saved) : "closed by the mirror");
		ERR_clear_error();
	} else {
		end(s, LOAD_TLS, "%s", hg_tls_error(s->ssl, why, sizeof(why)));
	}
	return false;
}

/* Replaces what is kept; `from` may lie in it. */
static bool keep(struct session *s, const uint8_t *from, size_t len)
{
	uint8_t *copy = len ? malloc(len) : NULL;

	if (len && !copy) {
		end(s, LOAD_LOCAL, "out of memory");
		return false;
	}
	if (len)
		memcpy(copy, from, len);
	free(s->kept);
	s->kept = copy;
	s->n_kept = len;
	return true;
}

static void write_frame(struct session *s, const uint8_t *bytes, size_t len)
{
	size_t sent = 0;
	int n = 1;

	s->state = SEND;
	ERR_clear_error();
	while (sent < len) {
		n = SSL_write(s->ssl, bytes + sent, (int)(len - sent));
		if (n <= 0)
			break;
		sent += n;
	}
	if (sent < len) {
		int error = SSL_get_error(s->ssl, n);

		if ((error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) &&
		    !keep(s, bytes + sent, len - sent))
			return;
		go_on_later(s, n);
		cork(s->fd, 0);
		return;
	}
	cork(s->fd, 0);
	keep(s, NULL, 0);
	s->state = ANSWER;
	wait_for(s, EV_READ);
}

static void send_request(struct session *s)
{
	long len;

	if (s->exchange.round == ROUNDS_MAX) {
		end(s, LOAD_PROTOCOL, "no end after %d rounds", ROUNDS_MAX);
		return;
	}
	len = load_exchange_request(&s->exchange, frame, sizeof(frame));
	if (len < 0)
		end(s, LOAD_LOCAL, "request: %s", strerror((int)-len));
	else
		write_frame(s, frame, len);
}

static void take_frame(struct session *s, size_t len)
{
	char text[sizeof(s->outcome.text)] = "";
	enum load_answer answer = load_exchange_take(&s->exchange, hg_slice_of(frame + 4, len - 4),
						     text, sizeof(text));

	switch (answer) {
	case LOAD_ANSWER_MORE:
		send_request(s);
		break;
	case LOAD_ANSWER_LEVEL:
		finish(s);
		break;
	case LOAD_ANSWER_BAD:
		end(s, LOAD_PROTOCOL, "%s", text);
		break;
	case LOAD_ANSWER_STATUS:
		end(s,
		    s->exchange.status == HG_WIRE_BUSY		? LOAD_BUSY
		    : s->exchange.status == HG_WIRE_UNAVAILABLE ? LOAD_UNAVAILABLE
								: LOAD_REFUSED,
		    "%s", text);
		break;
	}
}

static void read_answer(struct session *s)
{
	size_t have = s->n_kept;
	int n;

	if (have)
		memcpy(frame, s->kept, have);
	ERR_clear_error();
	while ((n = SSL_read(s->ssl, frame + have, (int)(sizeof(frame) - have))) > 0) {
		long need;

		have += n;
		need = hg_wire_frame_len(frame, have);
		if (need < 0 || (need && have > (size_t)need)) {
			end(s, LOAD_PROTOCOL, "answer of a length that is not allowed");
			return;
		}
		if (need && have == (size_t)need) {
			keep(s, NULL, 0);
			take_frame(s, have);
			return;
		}
	}
	if (have == s->n_kept || keep(s, frame, have))
		go_on_later(s, n);
}

static void shake_hands(struct session *s)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_connect(s->ssl);
	if (n != 1) {
		go_on_later(s, n);
		return;
	}
	if (s->state == END)
		return;
	s->outcome.resumed = SSL_session_reused(s->ssl);
	s->outcome.by_psk = hg_psk_used(s->ssl);
	if (s->offered_psk && !s->outcome.by_psk)
		load_record_psk(s->record, NULL); /* passed over: another is asked for */
	limit(s, s->peer->timeout_s);
	s->outcome.early = s->early && SSL_get_early_data_status(s->ssl) == SSL_EARLY_DATA_ACCEPTED;
	if (s->outcome.early) {
		s->state = ANSWER;
		read_answer(s); /* it has come with the mirror's flight, or it waits for ours */
		if (s->state == ANSWER)
			cork(s->fd, 0);
		return;
	}
	s->exchange.round = 0;
	send_request(s);
}

/* The key, if this run is one with keys, else the ticket. */
static void offer(struct session *s)
{
	const struct load_record *r = s->record;
	const uint8_t *der = r->ticket;
	SSL_SESSION *ticket = NULL;

	if (s->peer->state->want_psk) {
		s->offered_psk = r->psk.identity_len && hg_psk_offer(s->ssl, &r->psk) == 0;
		return;
	}
	if (r->ticket_len)
		ticket = d2i_SSL_SESSION(NULL, &der, r->ticket_len);
	if (ticket)
		SSL_set_session(s->ssl, ticket);
	SSL_SESSION_free(ticket);
}

static void send_early(struct session *s)
{
	long len = load_exchange_request(&s->exchange, frame, sizeof(frame));
	size_t n;

	SSL_set_max_early_data(s->ssl, HG_PSK_EARLY_MAX);
	s->early = len > 0 && SSL_write_early_data(s->ssl, frame, len, &n) && n == (size_t)len;
	if (!s->early)
		end(s, LOAD_LOCAL, "cannot send early data");
}

static void start_tls(struct session *s)
{
	int one = 1;

	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->ssl = SSL_new(s->peer->tls);
	if (!s->ssl || !SSL_set_fd(s->ssl, s->fd) || hg_tls_set_host(s->ssl, s->peer->name)) {
		end(s, LOAD_LOCAL, "cannot begin TLS");
		return;
	}
	SSL_set_app_data(s->ssl, s);
	SSL_set_msg_callback(s->ssl, on_message);
	if (!s->peer->full)
		offer(s);
	s->state = HANDSHAKE;
	limit(s, s->peer->connect_timeout_s);
	if (s->peer->early && s->offered_psk && load_exchange_is_idle(&s->exchange))
		send_early(s);
	shake_hands(s);
}

static void connected(struct session *s)
{
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		end(s, LOAD_CONNECT, "%s", strerror(error));
	else
		start_tls(s);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	if (s->state != END && what & EV_TIMEOUT) {
		static const char *const names[] = { "connection", "handshake", "sending",
						     "answer" };

		end(s, s->state == CONNECT ? LOAD_CONNECT : LOAD_TIMEOUT, "%s: after %llu s",
		    names[s->state], (unsigned long long)(load_now_us() - s->begun_us) / 1000000);
		return;
	}
	switch (s->state) {
	case CONNECT:
		connected(s);
		break;
	case HANDSHAKE:
		shake_hands(s);
		break;
	case SEND:
		write_frame(s, s->kept, s->n_kept);
		break;
	case ANSWER:
		read_answer(s);
		break;
	case END:
		s->done(s->ctx, &s->outcome);
		session_free(s);
		break;
	}
}

static void dial(struct session *s)
{
	const struct load_peer *p = s->peer;
	struct sockaddr_in own = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(SPREAD_BASE + s->device) };
	int one = 1;

	s->fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		end(s, LOAD_LOCAL, "socket: %s", strerror(errno));
		return;
	}
	if (p->spread) {
		setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(s->fd, (struct sockaddr *)&own, sizeof(own))) {
			end(s, LOAD_LOCAL, "bind: %s", strerror(errno));
			return;
		}
	}
	if (connect(s->fd, (const struct sockaddr *)&p->addr, p->addr_len) && errno != EINPROGRESS)
		end(s, errno == EADDRNOTAVAIL ? LOAD_LOCAL : LOAD_CONNECT, "%s", strerror(errno));
	else
		wait_for(s, EV_WRITE);
}

int load_session_start(struct load_peer *peer, uint32_t device,
		       void (*done)(void *ctx, const struct load_outcome *o), void *ctx)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	s->peer = peer;
	s->device = device;
	s->record = &peer->state->records[device];
	s->fd = -1;
	s->done = done;
	s->ctx = ctx;
	s->begun_us = load_now_us();
	limit(s, peer->connect_timeout_s);
	event_assign(&s->ev, peer->base, -1, 0, on_event, s);
	LIST_INSERT_HEAD(&peer->sessions, s, entry);
	load_exchange_begin(&s->exchange, peer->state, device);
	dial(s);
	return 0;
}

void load_session_end_all(struct load_peer *peer)
{
	while (!LIST_EMPTY(&peer->sessions))
		session_free(LIST_FIRST(&peer->sessions));
}
