// SPDX-License-Identifier: MIT
/*
 * A session's states, one after the other; any of them may go to END:
 *   RESOLVE  -> CONNECT    addresses are known; tried one after the other
 *   CONNECT  -> HANDSHAKE  TCP is up
 *   HANDSHAKE-> ANSWER     TLS is up and the first request is on its way with the last flight; or
 *                          it went with the first flight, as early data, and was taken
 *   ANSWER   -> LINGER     the response is in the store; commands of it run
 *   ANSWER, LINGER -> ANSWER  there is more to say or to hear
 *   END      done() was scheduled; nothing else happens
 * One timer is the deadline of the state, one that of the session.
 */
#include "session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include "agent.h"
#include "clock.h"
#include "command.h"
#include "credentials.h"
#include "property.h"
#include "renewal.h"
#include "resolver.h"
#include "socket.h"
#include "watch.h"
#include "../lib/log.h"

enum state { RESOLVE, CONNECT, HANDSHAKE, ANSWER, LINGER, END };

struct hg_session {
	struct hg_session_options o;
	struct hg_agent *agent;
	enum state state;
	struct hg_session_result result;

	struct hg_lookup *lookup; /* NULL: none is under way */
	struct sockaddr_storage addrs[HG_ADDRESSES_MAX];
	size_t n_addrs, next_addr;
	char peer[INET6_ADDRSTRLEN + 8];
	char connect_error[128];

	int fd; /* until bev has it */
	struct event *connected, *ended, *deadline, *end_by;
	struct bufferevent *bev;
	bool heard; /* anything of TLS from the mirror */
	bool early; /* the first request went as early data */
	uint32_t round;
	uint64_t goal; /* last change of ours when the session began; later ones may wait */
	struct hg_session_message message;
	struct hg_wire_room room;
	uint8_t frame[HG_WIRE_MAX + 4];
};

static void connect_next(struct hg_session *s);
static void send_request(struct hg_session *s);

static void enter(struct hg_session *s, enum state state, uint64_t limit_ms)
{
	struct timeval t = { limit_ms / 1000, limit_ms % 1000 * 1000 };

	s->state = state;
	event_add(s->deadline, &t);
}

/* done() is called by the loop, when no frame of ours is on the stack. */
static void __attribute__((format(printf, 3, 4)))
end(struct hg_session *s, enum hg_sync_failure failure, const char *fmt, ...)
{
	va_list ap;

	if (s->state == END)
		return;
	s->state = END;
	s->result.failure = failure;
	va_start(ap, fmt);
	vsnprintf(s->result.text, sizeof(s->result.text), fmt, ap);
	va_end(ap);
	for (char *c = s->result.text; *c; c++) /* parts of it may be the peer's words */
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	if (s->bev)
		bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	event_del(s->deadline);
	event_del(s->end_by);
	hg_lookup_cancel(s->lookup);
	s->lookup = NULL;
	event_active(s->ended, EV_TIMEOUT, 0);
}

static const char *host(const struct hg_session *s)
{
	return s->agent->conf.mirror.host;
}

static void on_addresses(void *ctx, const char *error, const struct sockaddr_storage *addrs,
			 size_t n)
{
	struct hg_session *s = ctx;

	s->lookup = NULL;
	if (error) {
		end(s, HG_SYNC_DNS, "%s: %s", host(s), error);
		return;
	}
	memcpy(s->addrs, addrs, n * sizeof(*addrs));
	s->n_addrs = n;
	if (s->agent->watch)
		hg_watch_mirror(s->agent->watch, addrs, n);
	connect_next(s);
}

static void resolve(struct hg_session *s)
{
	enter(s, RESOLVE, s->agent->conf.mirror.connect_timeout);
	s->lookup = hg_lookup_new(s->agent->resolver, host(s), s->agent->conf.mirror.port,
				  on_addresses, s);
	if (!s->lookup)
		end(s, HG_SYNC_DNS, "out of memory");
}

static void on_end(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_session *s = ctx;

	s->o.done(s->o.ctx, &s->result);
}

static void on_session_deadline(evutil_socket_t fd, short what, void *ctx)
{
	end(ctx, HG_SYNC_PROTOCOL, "over session_timeout");
}

/* This address did not work; the next one may. */
static void connect_failed(struct hg_session *s, const char *why)
{
	snprintf(s->connect_error, sizeof(s->connect_error), "%s: %s", s->peer, why);
	if (s->fd >= 0) {
		event_free(s->connected);
		s->connected = NULL;
		close(s->fd);
		s->fd = -1;
	}
	connect_next(s);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_session *s = ctx;

	switch (s->state) {
	case RESOLVE:
		end(s, HG_SYNC_DNS, "%s: no answer from the name servers", host(s));
		break;
	case CONNECT:
		connect_failed(s, strerror(ETIMEDOUT));
		break;
	case HANDSHAKE:
		end(s, s->heard ? HG_SYNC_TLS : HG_SYNC_BUSY, "%s: handshake: %s", s->peer,
		    strerror(ETIMEDOUT));
		break;
	case ANSWER:
		end(s, HG_SYNC_PROTOCOL, "%s: no answer", s->peer);
		break;
	case LINGER:
		send_request(s);
		break;
	case END:
		break;
	}
}

/*
 * From the server's hello on, the kernel holds back our last handshake flight until the first
 * request is behind it: one packet and one wake-up less. It is let go when both are written.
 */
static void cork(int fd, int on)
{
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
		       void *ctx)
{
	const uint8_t *message = data;
	struct hg_session *s = ctx;

	s->heard |= !sent;
	if (!sent && type == SSL3_RT_HANDSHAKE && len && message[0] == SSL3_MT_SERVER_HELLO)
		cork(SSL_get_fd(ssl), 1);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	cork(bufferevent_getfd(bev), 0);
}

/* The connection is of no more use: by TLS, by TCP, or closed. */
static void lost(struct hg_session *s, int error)
{
	unsigned long e = bufferevent_get_openssl_error(s->bev);
	long verify = SSL_get_verify_result(bufferevent_openssl_get_ssl(s->bev));
	const char *reason;

	if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		e = 0;
	if (s->state == HANDSHAKE && !s->heard && ERR_GET_LIB(e) != ERR_LIB_SSL) {
		end(s, HG_SYNC_BUSY, "%s: closed before it said anything", s->peer);
	} else if (e) {
		if (s->state == HANDSHAKE)
			hg_credentials_forget(s->o.credentials);
		reason = ERR_reason_error_string(e);
		end(s, HG_SYNC_TLS, "%s: %s%s%s", s->peer, reason ? reason : "TLS failed",
		    verify == X509_V_OK ? "" : ": ",
		    verify == X509_V_OK ? "" : X509_verify_cert_error_string(verify));
	} else if (s->state == HANDSHAKE) {
		end(s, HG_SYNC_TLS, "%s: closed in the handshake", s->peer);
	} else if (error) {
		end(s, HG_SYNC_PROTOCOL, "%s: %s", s->peer, strerror(error));
	} else {
		end(s, HG_SYNC_PROTOCOL, "%s: closed %s", s->peer,
		    evbuffer_get_length(bufferevent_get_input(s->bev))
			    ? "in the middle of an answer"
			    : "without an answer");
	}
}

/* The request is with the mirror. Its answer, if it is not here yet, needs our last flight. */
static void sent_early(struct hg_session *s)
{
	char byte;
	int fd = bufferevent_getfd(s->bev);

	s->result.early = true;
	s->round++;
	enter(s, ANSWER, s->agent->conf.mirror.session_timeout);
	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		cork(fd, 0);
}

static void connected(struct hg_session *s, SSL *ssl)
{
	s->result.resumed = SSL_session_reused(ssl);
	s->result.by_key = hg_credentials_used(s->o.credentials, ssl);
	if (s->early && SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED) {
		sent_early(s);
		return;
	}
	if (s->early)
		hg_credentials_late(s->o.credentials);
	send_request(s);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct hg_session *s = ctx;
	int error = what & BEV_EVENT_ERROR ? errno : 0;

	if (s->state == END)
		return;
	if (what & BEV_EVENT_CONNECTED)
		connected(s, bufferevent_openssl_get_ssl(bev));
	else
		lost(s, error);
}

static enum hg_sync_failure refusal(uint32_t status)
{
	switch (status) {
	case HG_WIRE_BUSY:
	case HG_WIRE_UNAVAILABLE:
		return HG_SYNC_BUSY;
	case HG_WIRE_BAD_MESSAGE:
		return HG_SYNC_PROTOCOL;
	default: /* a person must do something first */
		return HG_SYNC_REFUSED;
	}
}

static const char *date_of(uint64_t ms, char buf[static 32])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(buf, 32, "%Y-%m-%d", &tm))
		strcpy(buf, "?");
	return buf;
}

/* What was taken is durable now: tell the applications, let the commands run. */
static void announce(struct hg_session *s, const struct hg_wire_response *r,
		     const struct hg_store_applied *applied, uint64_t cursor_before)
{
	for (size_t i = 0; i < r->n_changes; i++) {
		if ((applied->new_mirror || r->changes[i].seq > cursor_before) &&
		    (!r->changes[i].part.total || hg_wire_part_ends(&r->changes[i].part)))
			hg_socket_changed(s->agent->socket, r->changes[i].name);
	}
	if (applied->ignored)
		hg_warn("sync: %s: %zu changes were ignored: of properties that this device owns, or "
			"of counters and no number",
			s->peer, applied->ignored);
	if (applied->lost)
		hg_property_lost(s->agent, applied->last_conflict);
	if (applied->refused)
		hg_warn("sync: %s: a value of the mirror is over [device] object_max or an eighth of "
			"store_max, or none: it is left out",
			s->peer);
	if (applied->new_mirror)
		hg_warn("sync: %s: the mirror has begun a new epoch: everything is sent again",
			s->peer);
	if (r->detail.len)
		hg_warn("sync: %s: %.*s", s->peer, (int)r->detail.len, (const char *)r->detail.ptr);
	if (applied->waiting)
		hg_warn("sync: journal is full: %zu commands stay with the mirror",
			applied->waiting);
	if (applied->commands)
		hg_commands_look(s->agent->commands);
}

/* Is there a reason for another request? */
static bool is_more(struct hg_session *s, const struct hg_wire_response *r,
		    const struct hg_store_applied *applied)
{
	const struct hg_store_cursors *c = hg_store_cursors(s->agent->store);
	size_t ended = 0;

	hg_store_reports_count(s->agent->store, &ended);
	return (r->flags & HG_RESPONSE_MORE && !applied->waiting) || r->flags & HG_RESPONSE_FULL ||
	       r->n_changes || applied->commands || applied->new_mirror || s->message.cut ||
	       ended || c->change_acked < s->goal;
}

static void finish(struct hg_session *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);

	cork(bufferevent_getfd(s->bev), 1);	      /* close() sends the alert with the FIN */
	SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN); /* do not wait for theirs */
	SSL_shutdown(ssl);
	end(s, HG_SYNC_OK, "%zu sent, %zu received, %zu commands, %zu reports, %zu rounds%s",
	    s->result.sent, s->result.received, s->result.commands, s->result.reports,
	    s->result.rounds,
	    s->result.early	? ", resumed by key, early"
	    : s->result.by_key	? ", resumed by key"
	    : s->result.resumed ? ", resumed"
				: "");
}

/* Nothing is taken from a mirror that lives in the past. */
static bool is_rollback(struct hg_session *s, const struct hg_wire_response *r)
{
	struct hg_clock *c = s->o.clock;
	char told[32], known[32];

	if (!c || !r->time_ms)
		return false;
	/* What is known of the time grows by good answers only. */
	if (r->status == HG_WIRE_OK ? !hg_clock_hear(c, r->time_ms, hg_uptime_ms())
				    : r->time_ms + HG_CLOCK_TOLERANCE_MS >= c->floor_ms)
		return false;
	end(s, HG_SYNC_PROTOCOL, "%s: the mirror's clock says %s, but it is %s or later", s->peer,
	    date_of(r->time_ms, told), date_of(c->floor_ms, known));
	return true;
}

static void take_response(struct hg_session *s, const struct hg_wire_response *r)
{
	uint64_t cursor = hg_store_cursors(s->agent->store)->mirror_cursor;
	struct hg_store_applied applied;
	size_t told;
	int ret;

	if (is_rollback(s, r))
		return;
	s->result.interval_ms = r->interval_ms;
	if (r->status != HG_WIRE_OK) {
		const char *name = hg_wire_status_name(r->status);

		end(s, refusal(r->status), "%s: %s%s%.*s", s->peer, name ? name : "refused",
		    r->detail.len ? ": " : "", (int)r->detail.len, (const char *)r->detail.ptr);
		return;
	}
	told = hg_session_answered(&s->message, r);
	if (r->time_ms)
		hg_store_clock(s->agent->store, r->time_ms, s->message.request.time_ms,
			       hg_now_ms());
	ret = hg_store_apply(s->agent->store, r, s->message.told, told, &applied);
	if (ret == -ESTALE) {
		hg_warn("%s: this is an old copy of the store: a new epoch begins",
			hg_store_error(s->agent->store));
		ret = hg_store_renew(s->agent->store);
		if (!ret)
			end(s, HG_SYNC_STORE, "store was older than the mirror's copy");
	}
	if (ret)
		end(s, HG_SYNC_STORE, "%s", hg_store_error(s->agent->store));
	if (s->state == END)
		return;
	hg_credentials_answer(s->o.credentials, r);
	s->result.renewed |= hg_renewal_answer(s->agent->renewal, r);
	s->result.rounds++;
	s->result.sent += s->message.whole;
	s->result.reports += told;
	s->result.received += applied.changes;
	s->result.parts += applied.parts + s->message.parts;
	s->result.commands += applied.commands;
	announce(s, r, &applied, cursor);
	if (!is_more(s, r, &applied))
		finish(s);
	else if (applied.commands && !(r->flags & HG_RESPONSE_MORE))
		enter(s, LINGER, s->agent->conf.mirror.linger);
	else
		send_request(s);
}

static void on_readable(struct bufferevent *bev, void *ctx)
{
	struct hg_session *s = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	uint8_t prefix[4];
	struct hg_wire_response r;
	size_t at = 0;
	long len;
	int ret;

	if (s->state == END)
		return;
	if (s->state != ANSWER) {
		end(s, HG_SYNC_PROTOCOL, "%s: sent without being asked", s->peer);
		return;
	}
	if (evbuffer_copyout(in, prefix, sizeof(prefix)) < (ssize_t)sizeof(prefix))
		return;
	len = hg_wire_frame_len(prefix, sizeof(prefix));
	if (len < 0) {
		end(s, HG_SYNC_PROTOCOL, "%s: answer of a length that is not allowed", s->peer);
		return;
	}
	if (evbuffer_get_length(in) < (size_t)len)
		return;
	if (evbuffer_get_length(in) > (size_t)len) {
		end(s, HG_SYNC_PROTOCOL, "%s: sent more than one answer", s->peer);
		return;
	}
	ret = hg_wire_get_response(hg_slice_of(evbuffer_pullup(in, len) + 4, len - 4), &s->room, &r,
				   &at);
	if (ret)
		end(s, HG_SYNC_PROTOCOL, "%s: answer is malformed at byte %zu", s->peer, at);
	else
		take_response(s, &r);
	evbuffer_drain(in, len);
}

static void send_request(struct hg_session *s)
{
	long len;
	int ret;

	if (s->round == s->agent->conf.mirror.rounds_max) {
		end(s, HG_SYNC_PROTOCOL, "%s: over rounds_max requests in one session", s->peer);
		return;
	}
	ret = hg_session_gather(s->agent, &s->message, s->result.number, s->round);
	if (ret) {
		end(s, HG_SYNC_STORE, "%s", hg_store_error(s->agent->store));
		return;
	}
	s->message.request.flags |= hg_credentials_flags(s->o.credentials);
	s->message.request.csr = hg_renewal_csr(s->agent->renewal);
	len = hg_wire_put_request(&s->message.request, s->frame, sizeof(s->frame));
	if (len < 0) {
		end(s, HG_SYNC_PROTOCOL, "request cannot be encoded: %s", strerror(-len));
		return;
	}
	s->round++;
	enter(s, ANSWER, s->agent->conf.mirror.session_timeout);
	bufferevent_write(s->bev, s->frame, len);
}

/*
 * Only what says nothing new may be replayed, so nothing else goes early. The first flight leaves
 * with it; the handshake goes on from the loop.
 */
static void send_early(struct hg_session *s, SSL *ssl)
{
	const struct hg_wire_request *r = &s->message.request;
	size_t n;
	long len;

	if (!hg_credentials_early(s->o.credentials, ssl) ||
	    hg_session_gather(s->agent, &s->message, s->result.number, s->round) || r->flags ||
	    r->n_changes || r->n_reports || r->n_partials)
		return;
	len = hg_wire_put_request(r, s->frame, sizeof(s->frame));
	s->early = len > 0 && SSL_write_early_data(ssl, s->frame, len, &n) && n == (size_t)len;
	if (!s->early)
		end(s, HG_SYNC_TLS, "%s: early data cannot be sent", s->peer);
	ERR_clear_error();
}

static void start_tls(struct hg_session *s)
{
	const struct hg_agent_conf *conf = &s->agent->conf;
	SSL *ssl = SSL_new(s->o.tls);
	int one = 1;

	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!ssl || hg_tls_set_host(ssl, conf->mirror.name ? conf->mirror.name : host(s))) {
		SSL_free(ssl);
		end(s, HG_SYNC_TLS, "cannot begin TLS; check [mirror] name");
		return;
	}
	if (s->o.clock)
		hg_tls_set_floor(ssl, (time_t)(s->o.clock->floor_ms / 1000));
	hg_credentials_offer(s->o.credentials, ssl, !hg_renewal_begin(s->agent->renewal));
	SSL_set_msg_callback(ssl, on_message);
	SSL_set_msg_callback_arg(ssl, s);
	s->bev = bufferevent_openssl_socket_new(s->agent->base, s->fd, ssl,
						BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (!s->bev) {
		SSL_free(ssl);
		end(s, HG_SYNC_TLS, "out of memory");
		return;
	}
	s->fd = -1;
	bufferevent_setcb(s->bev, on_readable, on_written, on_event, s);
	bufferevent_setwatermark(s->bev, EV_READ, 0, HG_WIRE_MAX + 5);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	enter(s, HANDSHAKE, conf->mirror.connect_timeout);
	send_early(s, ssl);
}

static void on_connected(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_session *s = ctx;
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		connect_failed(s, strerror(error));
		return;
	}
	event_free(s->connected);
	s->connected = NULL;
	start_tls(s);
}

static void name_peer(struct hg_session *s, const struct sockaddr_storage *addr)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	getnameinfo((const struct sockaddr *)addr, sizeof(*addr), ip, sizeof(ip), NULL, 0,
		    NI_NUMERICHOST);
	snprintf(s->peer, sizeof(s->peer), strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip,
		 (unsigned int)s->agent->conf.mirror.port);
}

static void connect_next(struct hg_session *s)
{
	const struct sockaddr_storage *addr = &s->addrs[s->next_addr];
	socklen_t len = addr->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						    : sizeof(struct sockaddr_in);

	if (s->next_addr == s->n_addrs) {
		end(s, HG_SYNC_CONNECT, "%s", s->connect_error);
		return;
	}
	s->next_addr++;
	name_peer(s, addr);
	enter(s, CONNECT, s->agent->conf.mirror.connect_timeout);
	s->fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	s->connected = s->fd < 0 ? NULL
				 : event_new(s->agent->base, s->fd, EV_WRITE, on_connected, s);
	if (!s->connected) {
		end(s, HG_SYNC_CONNECT, "socket: %s", strerror(errno));
		return;
	}
	event_add(s->connected, NULL);
	if (connect(s->fd, (const struct sockaddr *)addr, len) && errno != EINPROGRESS)
		connect_failed(s, strerror(errno));
}

struct hg_session *hg_session_new(const struct hg_session_options *options)
{
	struct hg_session *s = calloc(1, sizeof(*s));
	uint64_t limit;

	if (!s)
		return NULL;
	s->o = *options;
	s->agent = options->agent;
	s->fd = -1;
	s->ended = event_new(s->agent->base, -1, 0, on_end, s);
	s->deadline = event_new(s->agent->base, -1, 0, on_deadline, s);
	s->end_by = event_new(s->agent->base, -1, 0, on_session_deadline, s);
	if (!s->ended || !s->deadline || !s->end_by) {
		hg_session_free(s);
		return NULL;
	}
	s->goal = hg_store_cursors(s->agent->store)->change_seq;
	limit = s->agent->conf.mirror.session_timeout;
	event_add(s->end_by, &(struct timeval){ limit / 1000, limit % 1000 * 1000 });
	if (hg_store_next(s->agent->store, HG_COUNTER_SESSION, &s->result.number))
		end(s, HG_SYNC_STORE, "%s", hg_store_error(s->agent->store));
	else
		resolve(s);
	return s;
}

void hg_session_free(struct hg_session *s)
{
	struct event *events[4];

	if (!s)
		return;
	hg_lookup_cancel(s->lookup);
	events[0] = s->connected, events[1] = s->ended;
	events[2] = s->deadline, events[3] = s->end_by;
	for (int i = 0; i < 4; i++) {
		if (events[i])
			event_free(events[i]);
	}
	if (s->bev)
		bufferevent_free(s->bev);
	else if (s->fd >= 0)
		close(s->fd);
	free(s);
}

bool hg_session_report(struct hg_session *s)
{
	if (s->state == LINGER && !hg_commands_busy(s->agent->commands))
		send_request(s);
	return s->state == LINGER || s->state == ANSWER;
}
