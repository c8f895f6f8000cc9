// SPDX-License-Identifier: MIT
/*
 * Ingest: from datagram to stored alarm. Checked in this order, cheapest first: size, the line's
 * rate, form, known key, budget of signatures, signature, whose key it is, replay (in the
 * database). What fails is counted by reason; it is answered only where an honest device needs the
 * answer (its key is unknown, refused, or the counter is past). Nothing is acknowledged before its
 * transaction is committed; a device that hears nothing repeats.
 */
#include "ingest.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../lib/alarm.h"
#include "../lib/log.h"
#include "../lib/tls.h"
#include "audit.h"
#include "keys.h"
#include "rate.h"
#include "udp.h"

#define SOCKETS_MAX 16
#define UNKNOWN_MAX 4096 /* key ids of nobody, remembered for a moment, apart from the good ones */
#define STRANGERS 4	 /* what they cost is at most the fourth part of what the known ones may */
#define BATCH 64	 /* datagrams per wake-up of a socket; the loop has other work */

struct hg_ingest {
	struct hg_ingest_options o;
	X509_STORE *trust;
	EVP_PKEY *key;
	struct hg_lines *lines;
	struct hg_keys *keys, *unknown;
	struct hg_rates *rates;
	struct hg_rate enrolments, signatures, strangers;
	struct hg_audit *audit;
	struct timespec crl_mtime;
	size_t n_sockets;
	struct {
		int fd;
		struct event *ev;
	} sockets[SOCKETS_MAX];
};

/* One datagram on its way through the database. */
struct request {
	struct hg_ingest *in;
	struct hg_udp_peer peer;
	struct hg_net source, line;
	uint8_t key_id[HG_KEY_ID_LEN];
	char uid[HG_UID_MAX + 1];
	uint64_t counter;
	size_t len;
	uint8_t datagram[HG_ENROL_MAX];
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void count(struct hg_ingest *in, enum hg_audit_reason reason)
{
	hg_audit_count(in->audit, reason);
}

static void answer(const struct request *r, uint8_t code)
{
	struct hg_ack ack = { .counter = r->counter, .code = code };
	uint8_t buf[HG_ALARM_MAX];
	long n;

	if (code != HG_ACK_ENROL)
		memcpy(ack.uid, r->uid, sizeof(ack.uid));
	n = hg_ack_sign(&ack, r->in->key, buf, sizeof(buf));
	if (n > 0)
		hg_udp_answer(&r->peer, buf, (size_t)n);
}

static struct request *keep(const struct request *r)
{
	struct request *copy = malloc(sizeof(*copy));

	if (copy)
		*copy = *r;
	return copy;
}

/* Bytes as PostgreSQL's \x text; out holds 2 * len + 3. */
static void hex(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	*out++ = '\\';
	*out++ = 'x';
	for (size_t i = 0; i < len; i++) {
		*out++ = digits[data[i] >> 4];
		*out++ = digits[data[i] & 15];
	}
	*out = '\0';
}

/* Sends a query that ends in done(request); the request is freed if it cannot be sent. */
static void query(struct request *r, const char *sql, int n, const char *const *values,
		  hg_pg_done done)
{
	if (!hg_pg_query(r->in->o.pg, sql, n, values, done, r))
		return;
	count(r->in, HG_AUDIT_BUSY);
	free(r);
}

static const char *first_field(const PGresult *res)
{
	return PQntuples(res) && !PQgetisnull(res, 0, 0) ? PQgetvalue(res, 0, 0) : "";
}

static void on_stored(void *ctx, const PGresult *res, const char *error)
{
	struct request *r = ctx;
	const char *what = error ? "" : first_field(res);

	if (error) {
		hg_debug("alarm: %s: not stored: %s", r->uid, error);
		count(r->in, HG_AUDIT_DATABASE);
	} else if (!strcmp(what, "stored")) {
		count(r->in, HG_AUDIT_STORED);
		answer(r, HG_ACK_STORED);
		r->in->o.stored(r->in->o.ctx);
	} else if (!strcmp(what, "duplicate")) {
		count(r->in, HG_AUDIT_DUPLICATE);
		answer(r, HG_ACK_STORED);
	} else if (!strcmp(what, "replayed")) {
		count(r->in, HG_AUDIT_REPLAYED);
		answer(r, HG_ACK_REJECTED);
	} else {
		count(r->in, HG_AUDIT_UNKNOWN);
		answer(r, HG_ACK_ENROL);
	}
	free(r);
}

static char *targets_json(const struct hg_alarm *a)
{
	json_t *list = json_array();
	char net[HG_NET_STRLEN], *text;

	for (size_t i = 0; i < a->n_targets; i++) {
		const struct hg_alarm_target *t = &a->targets[i];
		struct hg_net n = { .family = t->family, .len = t->prefix_len };
		uint64_t packets = t->packets < INT32_MAX ? t->packets : INT32_MAX;

		memcpy(n.addr, t->addr, sizeof(n.addr));
		json_array_append_new(list, json_pack("[siii]", hg_net_format(&n, net),
						      (int)t->proto, (int)t->port, (int)packets));
	}
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

static void store(struct request *r, const struct hg_alarm *a)
{
	char id[2 * HG_KEY_ID_LEN + 3], n[10][24], attack[8], window[8], self[HG_NET_STRLEN],
		source[HG_NET_STRLEN];
	char line[HG_NET_STRLEN], *targets = targets_json(a);
	struct hg_net me = { .family = a->self_family, .len = a->self_family == 4 ? 32 : 128 };
	const uint64_t numbers[] = { a->counter, a->episode, a->time_ms, a->alarm_class,
				     a->feature, a->channel, a->value,	 a->bound };
	const char *values[17];

	for (size_t i = 0; i < 8; i++) {
		snprintf(n[i], sizeof(n[i]), "%llu", (unsigned long long)numbers[i]);
		values[1 + i] = n[i];
	}
	hex(r->key_id, sizeof(r->key_id), id);
	memcpy(me.addr, a->self_addr, sizeof(me.addr));
	values[0] = id;
	values[9] = a->model;
	values[10] = a->firmware;
	values[11] = a->self_family ? hg_net_format(&me, self) : NULL;
	values[12] = hg_net_format(&r->source, source);
	values[13] = hg_net_format(&r->line, line);
	values[14] = targets;
	snprintf(attack, sizeof(attack), "%u", a->attack);
	snprintf(window, sizeof(window), "%u", a->window);
	values[15] = attack;
	values[16] = window;
	query(r,
	      "SELECT hg_alarm_store($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
	      "$16, $17)",
	      17, values, on_stored);
	free(targets);
}

/* Takes one from the budget of signatures, checked or made. */
static bool may_sign(struct hg_ingest *in)
{
	uint64_t n = in->o.conf->limits.signatures;
	bool may = hg_rate_take(&in->signatures, n, n, now_ms());

	if (!may)
		count(in, HG_AUDIT_BUSY);
	return may;
}

/*
 * A key that is not known costs a query or an answer's signature. Its budget is apart, so that junk
 * from forged addresses does not silence the devices that are known.
 */
static bool may_ask(struct hg_ingest *in)
{
	uint64_t n = in->o.conf->limits.signatures / STRANGERS + 1;
	bool may = hg_rate_take(&in->strangers, n, n, now_ms());

	if (!may)
		count(in, HG_AUDIT_BUSY);
	return may;
}

/* The key is known: signature, whose it is, and on to the database. Takes the request. */
static void verify(struct request *r, const struct hg_key *key)
{
	struct hg_ingest *in = r->in;
	struct hg_alarm a;

	if (!may_sign(in))
		goto drop;
	if (hg_alarm_open(hg_slice_of(r->datagram, r->len), key->key, &a)) {
		ERR_clear_error();
		count(in, HG_AUDIT_SIGNATURE);
		goto drop;
	}
	if (strcmp(a.uid, key->uid)) {
		hg_warn("alarm: %s: signed by the key of %s; not taken", a.uid, key->uid);
		count(in, HG_AUDIT_UID);
		goto drop;
	}
	memcpy(r->uid, a.uid, sizeof(r->uid));
	r->counter = a.counter;
	if (key->state == HG_KEY_REFUSED || time(NULL) > key->not_after) {
		count(in, HG_AUDIT_REFUSED);
		answer(r, HG_ACK_REJECTED);
		goto drop;
	}
	store(r, &a);
	return;
drop:
	free(r);
}

static time_t not_after(const X509 *cert)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? timegm(&tm) : 0;
}

/* Is a certificate that was enrolled once still good under the CA and revocation list of today? */
static bool trusted(struct hg_ingest *in, X509 *cert)
{
	bool good = hg_tls_client_check(in->trust, cert, NULL) == X509_V_OK;

	ERR_clear_error();
	return good;
}

/* A row of hg_key_get() as an entry; state UNKNOWN if it is unreadable. */
static void key_from_row(struct hg_ingest *in, const PGresult *res, struct hg_key *out)
{
	size_t len;
	unsigned char *der = PQunescapeBytea((const unsigned char *)PQgetvalue(res, 0, 1), &len);
	const unsigned char *p = der;
	X509 *cert = der ? d2i_X509(NULL, &p, (long)len) : NULL;

	snprintf(out->uid, sizeof(out->uid), "%s", PQgetvalue(res, 0, 0));
	if (cert) {
		out->key = X509_get_pubkey(cert);
		out->not_after = not_after(cert);
		out->state = trusted(in, cert) ? HG_KEY_GOOD : HG_KEY_REFUSED;
	}
	if (!out->key)
		out->state = HG_KEY_UNKNOWN;
	X509_free(cert);
	PQfreemem(der);
}

static void tell_to_enrol(struct request *r)
{
	count(r->in, HG_AUDIT_UNKNOWN);
	r->counter = hg_datagram_counter(hg_slice_of(r->datagram, r->len));
	answer(r, HG_ACK_ENROL);
	free(r);
}

static void on_key(void *ctx, const PGresult *res, const char *error)
{
	struct request *r = ctx;
	struct hg_key entry = { .state = HG_KEY_UNKNOWN };

	if (error) {
		count(r->in, HG_AUDIT_DATABASE);
		free(r);
		return;
	}
	if (PQntuples(res))
		key_from_row(r->in, res, &entry);
	if (entry.state == HG_KEY_UNKNOWN) {
		hg_keys_put(r->in->unknown, r->key_id, &entry, now_ms() / 1000);
		tell_to_enrol(r);
	} else {
		hg_keys_put(r->in->keys, r->key_id, &entry, now_ms() / 1000);
		verify(r, &entry);
	}
	EVP_PKEY_free(entry.key);
}

static void take_alarm(const struct request *seen)
{
	struct hg_ingest *in = seen->in;
	const struct hg_key *key;
	char id[2 * HG_KEY_ID_LEN + 3];
	const char *values[] = { id };
	struct request *r;

	if (seen->len > HG_ALARM_MAX) {
		count(in, HG_AUDIT_OVERSIZED);
		return;
	}
	r = keep(seen);
	if (!r) {
		count(in, HG_AUDIT_BUSY);
		return;
	}
	key = hg_keys_find(in->keys, r->key_id, now_ms() / 1000);
	if (key) {
		verify(r, key);
		return;
	}
	if (!may_ask(in)) {
		free(r);
	} else if (hg_keys_find(in->unknown, r->key_id, now_ms() / 1000)) {
		tell_to_enrol(r);
	} else {
		hex(r->key_id, sizeof(r->key_id), id);
		query(r, "SELECT uid, certificate FROM hg_key_get($1)", 1, values, on_key);
	}
}

static void on_enrolled(void *ctx, const PGresult *res, const char *error)
{
	struct request *r = ctx;
	const char *what = error ? "" : first_field(res);

	if (error) {
		count(r->in, HG_AUDIT_DATABASE);
	} else if (!strcmp(what, "taken")) {
		hg_warn("enrol: %s: another certificate has its key id; not taken", r->uid);
		count(r->in, HG_AUDIT_ENROL_REFUSED);
		answer(r, HG_ACK_REJECTED);
	} else {
		count(r->in, HG_AUDIT_ENROLLED);
		hg_keys_drop(r->in->unknown, r->key_id);
		answer(r, HG_ACK_STORED);
	}
	free(r);
}

static void enrol(struct request *r, X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	char id[2 * HG_KEY_ID_LEN + 3], n[24], *text;
	const char *values[] = { id, r->uid, NULL, n };

	text = len > 0 ? malloc(2 * (size_t)len + 3) : NULL;
	if (!text || hg_key_id(cert, r->key_id)) {
		count(r->in, HG_AUDIT_BUSY);
		free(r);
		goto out;
	}
	hex(der, (size_t)len, text);
	hex(r->key_id, sizeof(r->key_id), id);
	snprintf(n, sizeof(n), "%llu", (unsigned long long)r->counter);
	values[2] = text;
	query(r, "SELECT hg_key_enrol($1, $2, $3, $4)", 4, values, on_enrolled);
out:
	free(text);
	OPENSSL_free(der);
}

static void take_enrolment(const struct request *seen)
{
	struct hg_ingest *in = seen->in;
	X509 *cert = NULL;
	struct hg_alarm who;
	struct request *r;
	int err;

	if (!hg_rate_take(&in->enrolments, in->o.conf->limits.enrolments,
			  in->o.conf->limits.enrolments, now_ms())) {
		count(in, HG_AUDIT_BUSY);
		return;
	}
	memset(&who, 0, sizeof(who));
	err = hg_enrol_open(hg_slice_of(seen->datagram, seen->len), in->trust, &who, &cert);
	ERR_clear_error();
	if (err) {
		count(in, err == -EKEYREJECTED ? HG_AUDIT_ENROL_REFUSED : HG_AUDIT_MALFORMED);
		return;
	}
	r = keep(seen);
	if (!r) {
		count(in, HG_AUDIT_BUSY);
	} else {
		memcpy(r->uid, who.uid, sizeof(r->uid));
		r->counter = who.counter;
		enrol(r, cert);
	}
	X509_free(cert);
}

static void take(struct request *r)
{
	struct hg_ingest *in = r->in;
	const struct hg_collector_conf *c = in->o.conf;

	if (hg_net_from_sockaddr((const struct sockaddr *)&r->peer.from, &r->source))
		return;
	r->line = hg_lines_of(in->lines, &r->source);
	if (!r->len || r->len > HG_ENROL_MAX) {
		count(in, HG_AUDIT_OVERSIZED);
		return;
	}
	if (!hg_rates_take(in->rates, &r->line, c->limits.rate, c->limits.burst, now_ms())) {
		count(in, HG_AUDIT_RATE);
		return;
	}
	switch (hg_datagram_peek(hg_slice_of(r->datagram, r->len), r->key_id)) {
	case HG_DATAGRAM_ALARM:
		take_alarm(r);
		break;
	case HG_DATAGRAM_ENROL:
		take_enrolment(r);
		break;
	default:
		count(in, HG_AUDIT_MALFORMED);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct request r = { .in = ctx };

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = hg_udp_receive(fd, r.datagram, sizeof(r.datagram), &r.peer);

		if (n < 0)
			break;
		r.len = (size_t)n;
		r.uid[0] = '\0';
		r.counter = 0;
		take(&r);
	}
}

static void crl_mtime(const struct hg_ingest *in, struct timespec *out)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (in->o.conf->collector.device_crl && !stat(in->o.conf->collector.device_crl, &st))
		*out = st.st_mtim;
}

int hg_ingest_reload(struct hg_ingest *in, char *err, size_t err_size)
{
	struct timespec mtime;
	X509_STORE *trust;

	crl_mtime(in, &mtime);
	trust = hg_tls_trust_load(in->o.conf->collector.device_ca, in->o.conf->collector.device_crl,
				  err, err_size);
	in->crl_mtime = mtime;
	if (!trust)
		return -EINVAL;
	X509_STORE_free(in->trust);
	in->trust = trust;
	if (in->keys)
		hg_keys_clear(in->keys);
	return 0;
}

void hg_ingest_tick(struct hg_ingest *in)
{
	struct timespec mtime;
	char err[512];

	hg_audit_flush(in->audit, in->o.pg);
	crl_mtime(in, &mtime);
	if (mtime.tv_sec == in->crl_mtime.tv_sec && mtime.tv_nsec == in->crl_mtime.tv_nsec)
		return;
	if (hg_ingest_reload(in, err, sizeof(err)))
		hg_error("collector: revocation list not read again: %s", err);
	else
		hg_info("collector: revocation list read again");
}

static int listen_on(struct hg_ingest *in, const char *address, char *err, size_t err_size)
{
	int fd = hg_udp_listen(address, (uint16_t)in->o.conf->collector.port);
	struct event *ev;

	if (fd < 0) {
		snprintf(err, err_size, "%s port %llu: %s", address ? address : "all addresses",
			 (unsigned long long)in->o.conf->collector.port, strerror(-fd));
		return fd;
	}
	ev = event_new(in->o.base, fd, EV_READ | EV_PERSIST, on_readable, in);
	if (!ev || event_add(ev, NULL)) {
		snprintf(err, err_size, "out of memory");
		if (ev)
			event_free(ev);
		close(fd);
		return -ENOMEM;
	}
	in->sockets[in->n_sockets].fd = fd;
	in->sockets[in->n_sockets++].ev = ev;
	return 0;
}

static int listen_all(struct hg_ingest *in, char *err, size_t err_size)
{
	const struct hg_conf_list *list = &in->o.conf->collector.addresses;
	int ret = 0;

	if (!list->count)
		return listen_on(in, NULL, err, err_size);
	for (size_t i = 0; !ret && i < list->count && i < SOCKETS_MAX; i++)
		ret = listen_on(in, list->items[i], err, err_size);
	return ret;
}

struct hg_ingest *hg_ingest_new(const struct hg_ingest_options *options, char *err, size_t err_size)
{
	const struct hg_collector_conf *c = options->conf;
	struct hg_ingest *in = calloc(1, sizeof(*in));

	if (!in) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	in->o = *options;
	if (hg_ingest_reload(in, err, err_size) ||
	    hg_tls_key_load(c->collector.key, &in->key, err, err_size))
		goto fail;
	in->lines = hg_lines_load(c->lines.file, (unsigned int)c->lines.ipv6, err, err_size);
	if (!in->lines)
		goto fail;
	snprintf(err, err_size, "out of memory");
	in->keys = hg_keys_new(c->collector.keys);
	in->unknown = hg_keys_new(UNKNOWN_MAX);
	in->rates = hg_rates_new(c->limits.lines);
	in->audit = hg_audit_new();
	if (!in->keys || !in->unknown || !in->rates || !in->audit || listen_all(in, err, err_size))
		goto fail;
	return in;
fail:
	hg_ingest_free(in);
	return NULL;
}

void hg_ingest_free(struct hg_ingest *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < in->n_sockets; i++) {
		event_free(in->sockets[i].ev);
		close(in->sockets[i].fd);
	}
	hg_audit_free(in->audit);
	hg_rates_free(in->rates);
	hg_keys_free(in->keys);
	hg_keys_free(in->unknown);
	hg_lines_free(in->lines);
	EVP_PKEY_free(in->key);
	X509_STORE_free(in->trust);
	free(in);
}
