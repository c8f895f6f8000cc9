// SPDX-License-Identifier: MIT
/*
 * HTTPS for applications: evhttp over TLS. Checks what needs no facts (form, size, type, JSON),
 * hands the rest to the SQL function of the route and returns its answer. Errors are problem
 * details (RFC 9457).
 *
 * A struct conn lives as long as its SSL object and keeps the one deadline that evhttp does not:
 * from the first byte of a request (of a connection: from accept) to its last. A struct request
 * lives from the moment its request has arrived whole until its answer is written (on_done) or the
 * connection goes (on_close). While the database is asked it outlives the connection; `req` is NULL
 * then, unless evhttp has left the request to us, in which case evhttp_send_reply() frees it.
 */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <jansson.h>
#include <sys/queue.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include "../lib/cborjson.h"
#include "../lib/log.h"
#include "../lib/tls.h"
#include "../lib/wire.h"
#include "api.h"
#include "exchange.h"
#include "large.h"
#include "net.h"

#define HEADERS_MAX 8192

/*
 * A body up to so much over the limit is read, so that the client hears why. Strangers without a
 * token can make us hold as much on each connection.
 */
#define BODY_READ_FACTOR 2
#define VALUE_MAX                                                                                  \
	(HG_WIRE_VALUE_MAX - 128) /* as CBOR; $set wraps it in {"name": ..., "value": ...} */
#define PAGE "50"
#define RETRY_AFTER "5"

struct conn {
	struct hg_http *http;
	struct bufferevent *bev;
	struct event *deadline;
	bool busy; /* a request has begun */
};

struct request {
	struct hg_http *http;
	struct evhttp_request *req;
	const struct hg_api_route *route;
	bool asking; /* the database holds it */
};

struct hg_http {
	struct event_base *base;
	const struct hg_mirror_conf *conf;
	struct hg_pg *pg;
	SSL_CTX *tls;
	struct evhttp *evhttp;
	struct evconnlistener *listener;
	size_t n_connections, n_requests;
	bool stopping, away;
};

static int conn_index; /* of a struct conn among the ex_data of its SSL */

/* Reason phrases of RFC 9110 and, for 429, RFC 6585; NULL: libevent's own. */
static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return NULL;
}

/* The only place that answers. body is taken over; NULL: none. r may be gone afterwards. */
static void request_answer(struct request *r, int status, char *body, const char *type)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(r->req);
	struct evbuffer *buf = evhttp_request_get_output_buffer(r->req);

	if (body) {
		evbuffer_add(buf, body, strlen(body));
		evhttp_add_header(out, "Content-Type",
				  status >= 400 ? "application/problem+json" : type);
	} else if (status != 204) {
		evhttp_add_header(out, "Content-Length", "0");
	}
	free(body);
	evhttp_add_header(out, "Cache-Control", "no-store");
	if (status == 401)
		evhttp_add_header(out, "WWW-Authenticate", "Bearer realm=\"heliograph\"");
	if (status == 429 || status == 503)
		evhttp_add_header(out, "Retry-After", RETRY_AFTER);
	if (r->http->stopping)
		evhttp_add_header(out, "Connection", "close");
	evhttp_send_reply(r->req, status, reason_of(status), NULL);
}

static void request_fail(struct request *r, int status, const char *detail)
{
	json_t *problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
				    reason_of(status), "status", status, "detail", detail);
	char *text = problem ? json_dumps(problem, JSON_COMPACT) : NULL;

	json_decref(problem);
	request_answer(r, status, text, NULL);
}

static void conn_arm(struct conn *c)
{
	uint64_t ms = c->http->conf->http.request_timeout;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(c->deadline, &tv);
}

/* evhttp has no answer for a request that never ends, so this one goes past it, and then it sees an
 * end. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	static const char late[] =
		"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 114\r\nConnection: close\r\n\r\n"
		"{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408,"
		"\"detail\":\"the request did not arrive in time, whole\"}";
	struct conn *c = arg;
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	if (c->busy && SSL_is_init_finished(ssl) && SSL_write(ssl, late, sizeof(late) - 1) > 0)
		SSL_shutdown(ssl);
	ERR_clear_error();
	bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_EOF, 0);
}

static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (!info->n_added || c->busy)
		return;
	c->busy = true;
	conn_arm(c);
}

/* Called by SSL_free(), with which every connection ends. */
static void on_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct conn *c = ptr;
	struct hg_http *h;

	if (!c)
		return;
	h = c->http;
	if (h->listener && --h->n_connections < h->conf->http.connections)
		evconnlistener_enable(h->listener);
	event_free(c->deadline);
	free(c);
}

static struct conn *conn_of(struct evhttp_request *req)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);

	return SSL_get_ex_data(
		bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(evcon)), conn_index);
}

static void on_close(struct evhttp_connection *evcon, void *arg)
{
	struct request *r = arg;

	if (!r->asking) {
		r->http->n_requests--;
		free(r);
	} else if (evhttp_request_get_connection(r->req)) {
		r->req = NULL; /* evhttp frees it with the connection */
	}
}

static void on_done(struct evhttp_request *req, void *arg)
{
	struct request *r = arg;

	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	r->http->n_requests--;
	free(r);
}

/* A request has arrived whole. NULL after answering when there is no memory. */
static struct request *request_new(struct hg_http *h, struct evhttp_request *req)
{
	struct request *r = calloc(1, sizeof(*r));
	struct conn *c = conn_of(req);

	if (!r) {
		evhttp_send_error(req, 503, NULL);
		return NULL;
	}
	c->busy = false;
	event_del(c->deadline);
	r->http = h;
	r->req = req;
	h->n_requests++;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_close, r);
	evhttp_request_set_on_complete_cb(req, on_done, r);
	return r;
}

static void note_away(struct hg_http *h, const char *why)
{
	if (why && !h->away)
		hg_error("http: database: %s; applications hear 503", why);
	else if (!why && h->away)
		hg_info("http: database: answers again");
	h->away = why;
}

static char *field(const PGresult *res, const char *name)
{
	int col = PQfnumber(res, name);

	return col < 0 || PQgetisnull(res, 0, col) ? NULL : PQgetvalue(res, 0, col);
}

static void answer_row(struct request *r, const PGresult *res)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(r->req);
	const char *location = field(res, "location"), *etag = field(res, "etag"),
		   *allow = field(res, "allow");
	char *body = field(res, "body"), link[1024];

	if (location && r->route->method == EVHTTP_REQ_GET) {
		snprintf(link, sizeof(link), "<%s>; rel=\"next\"", location);
		evhttp_add_header(out, "Link", link);
	} else if (location) {
		evhttp_add_header(out, "Location", location);
	}
	if (etag)
		evhttp_add_header(out, "ETag", etag);
	if (allow)
		evhttp_add_header(out, "Allow", allow);
	request_answer(r, atoi(field(res, "status")), body ? strdup(body) : NULL, r->route->type);
}

/*
 * An error that carries an SQLSTATE of the statement itself is ours (500); no result, or a server
 * that is out of resources, shutting down or out of time, passes (503).
 */
static bool passes(const PGresult *res)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	return !state || !strncmp(state, "53", 2) || !strncmp(state, "57", 2) ||
	       !strncmp(state, "08", 2) || !strncmp(state, "40", 2) || !strncmp(state, "25", 2);
}

static void on_answer(void *ctx, const PGresult *res, const char *error)
{
	struct request *r = ctx;
	struct hg_http *h = r->http;
	bool owned;

	r->asking = false;
	note_away(h, error && passes(res) ? error : NULL);
	if (error && !passes(res))
		hg_error("http: %s: %s", r->route->pattern, error);
	if (!r->req) {
		h->n_requests--;
		free(r);
		return;
	}
	owned = !evhttp_request_get_connection(r->req);
	if (error && passes(res))
		request_fail(
			r, 503,
			"the database does not answer; a write may or may not have been stored");
	else if (error || PQntuples(res) != 1 || !field(res, "status"))
		request_fail(r, 500, "this request could not be carried out; the log says why");
	else
		answer_row(r, res);
	if (owned) { /* the client went; evhttp has freed its request and tells nobody */
		h->n_requests--;
		free(r);
	}
}

struct ask {
	char hash[67], url[300];
	char *body, *cbor; /* cbor: see HG_FROM_CBOR */
	const char *after, *limit;
	struct evkeyvalq query;
	struct hg_api_path path;
};

static bool token_hash(struct request *r, struct ask *a)
{
	const char *auth = evhttp_find_header(evhttp_request_get_input_headers(r->req),
					      "Authorization");
	unsigned char md[32];

	if (!auth || strncasecmp(auth, "Bearer ", 7) || !auth[7] ||
	    EVP_Digest(auth + 7, strlen(auth + 7), md, NULL, EVP_sha256(), NULL) != 1) {
		request_fail(r, 401, "wants Authorization: Bearer TOKEN");
		return false;
	}
	snprintf(a->hash, sizeof(a->hash), "\\x");
	for (size_t i = 0; i < sizeof(md); i++)
		snprintf(a->hash + 2 + 2 * i, 3, "%02x", md[i]);
	return true;
}

static bool base_url(struct request *r, struct ask *a)
{
	const char *host = evhttp_find_header(evhttp_request_get_input_headers(r->req), "Host");
	const char *set = r->http->conf->http.public_url;

	if (set) {
		snprintf(a->url, sizeof(a->url), "%.*s",
			 (int)(strlen(set) - (set[strlen(set) - 1] == '/')), set);
		return true;
	}
	if (!host || !*host || strlen(host) > 255 ||
	    host[strspn(host,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-[]_")]) {
		request_fail(r, 400, "wants a Host header that is a name or address");
		return false;
	}
	snprintf(a->url, sizeof(a->url), "https://%s", host);
	return true;
}

static bool is_json_type(const char *type)
{
	size_t n = strlen("application/json");

	return type && !strncasecmp(type, "application/json", n) && strchr("; \t", type[n]);
}

/* What the wire to the device cannot carry is refused here already. */
static bool fits_wire(struct request *r, struct ask *a, const json_t *value)
{
	bool large = r->route->body == HG_API_LARGE_BODY;
	uint64_t max = large ? r->http->conf->sync.object_max : VALUE_MAX;
	uint8_t *cbor = NULL;
	long n = hg_cbor_from_json_new(value, max, &cbor);
	char detail[96];

	snprintf(detail, sizeof(detail), "values are at most %llu bytes here when encoded as CBOR",
		 (unsigned long long)max);
	if (n == -ENOSPC)
		request_fail(r, 413, detail);
	else if (n == -ENOMEM)
		request_fail(r, 503, "out of memory");
	else if (n < 0)
		request_fail(r, 422, "nested deeper than 16, or text that is not allowed");
	if (n > VALUE_MAX) {
		a->cbor = malloc(2 * (size_t)n + 3);
		if (a->cbor)
			hg_large_hex(hg_slice_of(cbor, (size_t)n), a->cbor);
		else
			request_fail(r, 503, "out of memory");
	}
	free(cbor);
	return n >= 0 && (n <= VALUE_MAX || a->cbor);
}

static bool parse_body(struct request *r, struct ask *a, const char *text, size_t len)
{
	json_error_t error;
	json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	char detail[256];
	bool good;

	if (!value) {
		snprintf(detail, sizeof(detail), "body is not JSON: line %d column %d: %s",
			 error.line, error.column, error.text);
		request_fail(r, 400, detail);
		return false;
	}
	good = fits_wire(r, a, value);
	if (good) {
		a->body = hg_json_text(value);
		if (!a->body)
			request_fail(r, 503, "out of memory");
	}
	json_decref(value);
	return good && a->body;
}

static bool body(struct request *r, struct ask *a)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->req);
	const char *type = evhttp_find_header(evhttp_request_get_input_headers(r->req),
					      "Content-Type");
	size_t len = evbuffer_get_length(in);
	char detail[64];

	if (len > r->http->conf->http.body_max) {
		snprintf(detail, sizeof(detail), "bodies are at most %llu bytes",
			 (unsigned long long)r->http->conf->http.body_max);
		request_fail(r, 413, detail);
		return false;
	}
	if (r->route->body == HG_API_NO_BODY || (!len && r->route->body == HG_API_BODY_IF_ANY))
		return true;
	if (!is_json_type(type)) {
		request_fail(r, 415, "wants Content-Type: application/json");
		return false;
	}
	return parse_body(r, a, (const char *)evbuffer_pullup(in, -1), len);
}

static bool is_number(const char *s, size_t digits)
{
	return *s && strlen(s) <= digits && strspn(s, "0123456789") == strlen(s);
}

static bool query(struct request *r, struct ask *a)
{
	const char *q = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(r->req));

	TAILQ_INIT(&a->query);
	a->after = "";
	a->limit = PAGE;
	if (!q || evhttp_parse_query_str(q, &a->query))
		return true;
	a->after = evhttp_find_header(&a->query, "after");
	a->after = a->after ? a->after : "";
	a->limit = evhttp_find_header(&a->query, "limit");
	a->limit = a->limit ? a->limit : PAGE;
	if (!hg_uid_valid(a->after, strlen(a->after)) && *a->after) {
		request_fail(r, 400, "after: is not a UID");
	} else if (!is_number(a->limit, 3) || atoi(a->limit) < 1 || atoi(a->limit) > 100) {
		request_fail(r, 400, "limit: is 1 to 100");
	} else {
		return true;
	}
	return false;
}

/* Goes to the database as text, so it must be some; our own ETags are digits in quotes. */
static bool if_match(struct request *r)
{
	const char *tag = evhttp_find_header(evhttp_request_get_input_headers(r->req), "If-Match");

	for (const char *c = tag; c && *c; c++) {
		if (*c < ' ' || *c > '~') {
			request_fail(r, 400, "If-Match: wants an ETag of this API, or *");
			return false;
		}
	}
	return true;
}

static const char *param(struct request *r, const struct ask *a, enum hg_api_from from)
{
	switch (from) {
	case HG_FROM_TOKEN:
		return a->hash;
	case HG_FROM_URL:
		return a->url;
	case HG_FROM_DEVICE:
		return a->path.segments[1];
	case HG_FROM_NAME:
		return a->path.segments[3];
	case HG_FROM_ID:
		return a->path.segments[4];
	case HG_FROM_BODY:
		return a->body;
	case HG_FROM_CBOR:
		return a->cbor;
	case HG_FROM_IF_MATCH:
		return evhttp_find_header(evhttp_request_get_input_headers(r->req), "If-Match");
	case HG_FROM_AFTER:
		return a->after;
	case HG_FROM_LIMIT:
		return a->limit;
	case HG_FROM_NONE:
		break;
	}
	return NULL;
}

static void request_ask(struct request *r, const struct ask *a)
{
	const char *values[HG_API_PARAMS_MAX];
	int n = 0, rc;

	for (; n < HG_API_PARAMS_MAX && r->route->params[n] != HG_FROM_NONE; n++)
		values[n] = param(r, a, r->route->params[n]);
	if (!hg_pg_ready(r->http->pg)) {
		request_fail(r, 503, "the database is away; nothing was stored");
		return;
	}
	rc = hg_pg_query(r->http->pg, r->route->sql, n, values, on_answer, r);
	if (rc)
		request_fail(r, 429, "too many requests at once; nothing was stored");
	else
		r->asking = true;
}

/* Finds the route, or answers 404 or 405. */
static bool route(struct request *r, struct ask *a)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r->req));
	char allow[32];

	if (hg_api_path_parse(path && *path ? path : "/", &a->path)) {
		request_fail(r, 404, "no such path");
		return false;
	}
	r->route = hg_api_route_find(&a->path, evhttp_request_get_command(r->req), allow);
	if (!r->route && *allow) {
		evhttp_add_header(evhttp_request_get_output_headers(r->req), "Allow", allow);
		request_fail(r, 405, allow);
	} else if (!r->route) {
		request_fail(r, 404, "no such path; see /things");
	} else if (a->path.n == HG_API_SEGMENTS && !is_number(a->path.segments[4], 18)) {
		request_fail(r, 404, "no such invocation");
	} else {
		return true;
	}
	return false;
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct request *r = request_new(arg, req);
	struct ask a = { 0 };

	if (!r)
		return;
	TAILQ_INIT(&a.query);
	if (route(r, &a) && token_hash(r, &a) && base_url(r, &a) && if_match(r) && body(r, &a) &&
	    query(r, &a))
		request_ask(r, &a);
	evhttp_clear_headers(&a.query);
	hg_api_path_free(&a.path);
	free(a.body);
	free(a.cbor);
}

static void on_health(struct evhttp_request *req, void *arg)
{
	struct request *r = request_new(arg, req);

	if (!r)
		return;
	if (hg_pg_ready(r->http->pg))
		request_answer(r, 200, strdup("{\"status\":\"ok\"}"), "application/json");
	else
		request_fail(r, 503, "the database is away");
}

/* For evhttp, which would go on without TLS if it got none: out of memory here is the end. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct hg_http *h = arg;
	struct conn *c = calloc(1, sizeof(*c));
	SSL *ssl = SSL_new(h->tls);

	if (!c || !ssl)
		abort();
	c->http = h;
	c->bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
						BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	c->deadline = event_new(base, -1, 0, on_deadline, c);
	if (!c->bev || !c->deadline || !SSL_set_ex_data(ssl, conn_index, c) ||
	    !evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c))
		abort();
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	conn_arm(c);
	if (++h->n_connections >= h->conf->http.connections)
		evconnlistener_disable(h->listener);
	return c->bev;
}

struct hg_http *hg_http_new(struct event_base *base, const struct hg_mirror_conf *conf,
			    struct hg_pg *pg, SSL_CTX *tls, evutil_socket_t fd)
{
	struct hg_http *h = calloc(1, sizeof(*h));
	uint64_t seconds = (conf->http.request_timeout + 1999) / 1000;
	struct evhttp_bound_socket *bound;

	if (!h)
		return NULL;
	h->base = base;
	h->conf = conf;
	h->pg = pg;
	h->tls = tls;
	if (!conn_index)
		conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_free);
	h->evhttp = evhttp_new(base);
	bound = h->evhttp ? evhttp_accept_socket_with_handle(h->evhttp, fd) : NULL;
	if (!bound) {
		if (h->evhttp)
			evhttp_free(h->evhttp);
		free(h);
		return NULL;
	}
	h->listener = evhttp_bound_socket_get_listener(bound);
	evhttp_set_bevcb(h->evhttp, on_connection, h);
	evhttp_set_gencb(h->evhttp, on_request, h);
	evhttp_set_cb(h->evhttp, "/healthz", on_health, h);
	/* All are let in, so that what is not allowed hears 405 and why. */
	evhttp_set_allowed_methods(h->evhttp, 0xffff);
	evhttp_set_max_headers_size(h->evhttp, HEADERS_MAX);
	evhttp_set_max_body_size(h->evhttp, (ev_ssize_t)(conf->http.body_max * BODY_READ_FACTOR));
	evhttp_set_timeout(h->evhttp, (int)seconds); /* ours comes first; this one is for writing */
	return h;
}

void hg_http_stop(struct hg_http *h)
{
	h->stopping = true;
	evconnlistener_disable(h->listener);
}

size_t hg_http_busy(const struct hg_http *h)
{
	return h->n_requests;
}

void hg_http_free(struct hg_http *h)
{
	if (!h)
		return;
	h->listener = NULL; /* goes with evhttp; on_ssl_free() must not touch it */
	evhttp_free(h->evhttp);
	free(h);
}
