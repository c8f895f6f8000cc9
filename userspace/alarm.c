// SPDX-License-Identifier: MIT
/*
 * Sender: what this device has to say to the collector and has not been confirmed yet. The agent
 * makes one at start; the detector and `heliograph alarm test` hand it statements. Each is signed
 * once; repeats are the same bytes, so the collector knows them by their counter. Repeats come
 * after 1, 2, 4 ... s with jitter, because the flood that is being reported drops alarms too.
 *
 * Nothing here is believed before its signature has been checked, and an answer only ever
 * stops a repeat or asks for the enrolment, at most once a second.
 */
#include "alarm.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "../lib/log.h"
#include "../lib/tls.h"

#define GAP_FIRST_MS 1000
#define GAP_LAST_MS 60000
#define GAP_REFUSED_MS                                                                             \
	3600000		  /* the collector does not accept our certificate: a person must act */
#define ENROL_GAP_MS 1000 /* answers cannot make us enrol more often */
#define PRIORITY 6	  /* TC_PRIO_INTERACTIVE: the best that needs no privilege */

struct statement {
	bool used;
	uint64_t counter, episode;
	uint64_t queued_ms, next_ms, gap_ms;
	uint64_t tries;
	struct hg_alarm alarm; /* as it was signed; not of an enrolment */
	bool old;	       /* signed with a certificate that is not in use any more */
	size_t len;
	uint8_t datagram[HG_ENROL_MAX];
};

struct hg_alarm_sender {
	struct hg_alarm_options o;
	char uid[HG_UID_MAX + 1], model[33], firmware[33];
	X509 *cert;
	EVP_PKEY *key, *collector_key;
	int fd;
	struct event *readable, *timer;
	struct hg_alarm_status status;
	uint64_t enrol_ms; /* when it was sent last */
	uint64_t newest;   /* number that was taken last */
	bool refused;
	struct statement enrol;
	struct statement queue[HG_ALARM_QUEUE_MAX];
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* 3/4 to 5/4 of ms: devices that were started by one event must not stay in step. */
static uint64_t jittered(uint64_t ms)
{
	uint32_t r = 1u << 31;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 1u << 31;
	return ms * 3 / 4 + (ms / 2) * r / UINT32_MAX;
}

static X509 *load_cert(const char *path, char *err, size_t err_size)
{
	FILE *f = fopen(path, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (!cert)
		snprintf(err, err_size, "%s: %s", path,
			 f ? "holds no PEM certificate" : strerror(errno));
	if (f)
		fclose(f);
	ERR_clear_error();
	return cert;
}

static void schedule(struct hg_alarm_sender *s)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC), next = UINT64_MAX;
	struct timeval tv;

	if (s->enrol.used)
		next = s->enrol.next_ms;
	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++)
		if (s->queue[i].used && s->queue[i].next_ms < next)
			next = s->queue[i].next_ms;
	if (next == UINT64_MAX || s->fd < 0) {
		event_del(s->timer);
		return;
	}
	next = next > now ? next - now : 0;
	tv.tv_sec = (time_t)(next / 1000);
	tv.tv_usec = (suseconds_t)(next % 1000 * 1000);
	event_add(s->timer, &tv);
}

/* Loss on the way out is what repeats are for, so the result of send() decides nothing. */
static void transmit(struct hg_alarm_sender *s, struct statement *st, uint64_t now)
{
	if (s->fd >= 0) {
		if (send(s->fd, st->datagram, st->len, MSG_DONTWAIT) >= 0 || errno == ECONNREFUSED)
			st->tries ? s->status.repeated++ : s->status.sent++;
		st->tries++;
	}
	st->next_ms = now + jittered(s->refused ? GAP_REFUSED_MS : st->gap_ms);
	st->gap_ms = st->gap_ms * 2 < GAP_LAST_MS ? st->gap_ms * 2 : GAP_LAST_MS;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_alarm_sender *s = ctx;
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	if (s->enrol.used && s->enrol.next_ms <= now) {
		s->enrol_ms = now;
		transmit(s, &s->enrol, now);
	}
	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++)
		if (s->queue[i].used && s->queue[i].next_ms <= now)
			transmit(s, &s->queue[i], now);
	schedule(s);
}

/* A number that nothing else has, or 0. */
static uint64_t take_number(struct hg_alarm_sender *s)
{
	uint64_t counter = s->o.next_counter(s->o.ctx);

	if (counter)
		s->newest = counter;
	return counter;
}

/* Signs a new enrolment, if none waits, and sends it. */
static int enrol(struct hg_alarm_sender *s)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	struct statement *e = &s->enrol;
	uint64_t counter;
	long n;

	if (s->enrol_ms && now - s->enrol_ms < ENROL_GAP_MS)
		return 0;
	if (!e->used) {
		counter = take_number(s);
		if (!counter)
			return -EAGAIN;
		n = hg_enrol_sign(s->uid, counter, s->cert, s->key, e->datagram,
				  sizeof(e->datagram));
		if (n < 0)
			return (int)n;
		e->len = (size_t)n;
		e->counter = counter;
		e->tries = 0;
		e->used = true;
	}
	e->gap_ms = GAP_FIRST_MS;
	s->enrol_ms = now;
	transmit(s, e, now);
	schedule(s);
	return 0;
}

static struct statement *find(struct hg_alarm_sender *s, uint64_t counter)
{
	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++)
		if (s->queue[i].used && s->queue[i].counter == counter)
			return &s->queue[i];
	return NULL;
}

static void answer(struct hg_alarm_sender *s, struct statement *st, int result)
{
	st->used = false;
	if (result)
		s->status.refused++;
	else
		s->status.acknowledged++;
	if (s->o.answered)
		s->o.answered(s->o.ctx, st->counter, result);
}

/* What waits goes out again as if it were new. */
static void hurry(struct hg_alarm_sender *s)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++) {
		if (s->queue[i].used) {
			s->queue[i].gap_ms = GAP_FIRST_MS;
			s->queue[i].next_ms = now;
		}
	}
}

static void on_enrol_ack(struct hg_alarm_sender *s, const struct hg_ack *ack)
{
	if (ack->code == HG_ACK_STORED) {
		s->enrol.used = false;
		s->status.enrolled = true;
		s->refused = false;
		hurry(s);
	} else if (ack->code == HG_ACK_REJECTED && !s->refused) {
		hg_error("alarm: the collector does not accept this device's certificate; "
			 "alarms are tried once an hour");
		s->refused = true;
		s->enrol.next_ms = clock_ms(CLOCK_MONOTONIC) + jittered(GAP_REFUSED_MS);
	}
}

/* The collector does not know the key of st; one that is not in use any more is not enrolled. */
static void introduce(struct hg_alarm_sender *s, struct statement *st)
{
	uint8_t datagram[HG_ALARM_MAX];
	long n = st->old ? hg_alarm_sign(&st->alarm, s->cert, s->key, datagram, sizeof(datagram))
			 : 0;

	if (n > 0) {
		memcpy(st->datagram, datagram, (size_t)n);
		st->len = (size_t)n;
		st->old = false;
	}
	enrol(s);
}

static void on_ack(struct hg_alarm_sender *s, const struct hg_ack *ack)
{
	struct statement *st;

	if (ack->code != HG_ACK_ENROL && strcmp(ack->uid, s->uid))
		return;
	if (s->enrol.used && ack->counter == s->enrol.counter) {
		on_enrol_ack(s, ack);
		return;
	}
	st = find(s, ack->counter);
	if (!st)
		return;
	if (ack->code == HG_ACK_STORED)
		answer(s, st, 0);
	else if (ack->code == HG_ACK_REJECTED)
		answer(s, st, -EKEYREJECTED);
	else if (ack->code == HG_ACK_ENROL)
		introduce(s, st);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_alarm_sender *s = ctx;
	uint8_t buf[HG_ALARM_MAX];
	struct hg_ack ack;

	/* A handful per wake-up: a sender of junk must not keep us from the rest of the loop. */
	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			break;
		if ((size_t)n > sizeof(buf))
			continue;
		if (!hg_ack_open(hg_slice_of(buf, (size_t)n), s->collector_key, &ack))
			on_ack(s, &ack);
	}
	schedule(s);
}

/* The place of the episode's older statement, else a free one, else that of the oldest. */
static struct statement *place(struct hg_alarm_sender *s, uint64_t episode)
{
	struct statement *free_one = NULL, *oldest = &s->queue[0];

	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++) {
		struct statement *st = &s->queue[i];

		if (st->used && episode && st->episode == episode)
			return st;
		if (!st->used)
			free_one = st;
		else if (st->queued_ms < oldest->queued_ms)
			oldest = st;
	}
	if (!free_one)
		s->status.given_up++;
	return free_one ? free_one : oldest;
}

/* Numbers and names the alarm, and signs it; its length or -errno. */
static long sign(struct hg_alarm_sender *s, struct hg_alarm *a, void *datagram, size_t size)
{
	a->counter = take_number(s);
	if (!a->counter)
		return -EAGAIN;
	snprintf(a->uid, sizeof(a->uid), "%s", s->uid);
	snprintf(a->model, sizeof(a->model), "%s", s->model);
	snprintf(a->firmware, sizeof(a->firmware), "%s", s->firmware);
	if (!a->episode)
		a->episode = a->counter;
	return hg_alarm_sign(a, s->cert, s->key, datagram, size);
}

int hg_alarm_sender_send(struct hg_alarm_sender *s, const struct hg_alarm *alarm, uint64_t *counter)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	struct hg_alarm a = *alarm;
	uint8_t datagram[HG_ALARM_MAX];
	struct statement *st;
	long n;

	a.time_ms = clock_ms(CLOCK_REALTIME);
	n = sign(s, &a, datagram, sizeof(datagram));
	if (n < 0)
		return (int)n;
	st = place(s, a.episode);
	memset(st, 0, offsetof(struct statement, datagram));
	memcpy(st->datagram, datagram, (size_t)n);
	st->len = (size_t)n;
	st->alarm = a;
	st->counter = a.counter;
	st->episode = a.episode;
	st->queued_ms = now;
	st->gap_ms = GAP_FIRST_MS;
	st->used = true;
	transmit(s, st, now);
	schedule(s);
	if (counter)
		*counter = a.counter;
	return 0;
}

int hg_alarm_sender_state(void *ctx, const struct hg_alarm *alarm, uint64_t *episode)
{
	uint64_t counter;
	int err = hg_alarm_sender_send(ctx, alarm, &counter);

	if (!err && !alarm->episode)
		*episode = counter;
	return err;
}

int hg_alarm_sender_test(struct hg_alarm_sender *s, uint64_t *counter)
{
	struct hg_alarm a = { .alarm_class = HG_ALARM_TEST,
			      .feature = HG_FEATURE_HEARTBEAT,
			      .value = 1 };

	return hg_alarm_sender_send(s, &a, counter);
}

long hg_alarm_sender_silenced(struct hg_alarm_sender *s, unsigned int timeout_s, void *datagram,
			      size_t size, uint64_t *counter)
{
	struct hg_alarm a = { .alarm_class = HG_ALARM_SILENCED,
			      .feature = HG_FEATURE_HEARTBEAT,
			      .value = timeout_s,
			      .bound = timeout_s };
	long n = sign(s, &a, datagram, size);

	if (n >= 0)
		*counter = a.counter;
	return n;
}

uint64_t hg_alarm_sender_newest(const struct hg_alarm_sender *s)
{
	return s->newest;
}

int hg_alarm_sender_connect(struct hg_alarm_sender *s, const struct sockaddr *addr, socklen_t len)
{
	int fd, priority = PRIORITY, err;
	struct event *ev;

	fd = socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	if (connect(fd, addr, len)) {
		err = -errno;
		goto close_fd;
	}
	err = -ENOMEM;
	ev = event_new(s->o.base, fd, EV_READ | EV_PERSIST, on_readable, s);
	if (!ev || event_add(ev, NULL))
		goto free_event;
	if (s->readable)
		event_free(s->readable);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	s->readable = ev;
	s->status.connected = true;
	s->enrol_ms = 0;
	hurry(s);
	enrol(s);
	schedule(s);
	return 0;
free_event:
	if (ev)
		event_free(ev);
close_fd:
	close(fd);
	return err;
}

/* Both or, with a message in err, neither. Returns 0 or -EINVAL. */
static int load_identity(const char *cert_path, const char *key_path, X509 **cert, EVP_PKEY **key,
			 char *err, size_t err_size)
{
	X509 *c = load_cert(cert_path, err, err_size);
	EVP_PKEY *k = NULL;

	if (!c || hg_tls_key_load(key_path, &k, err, err_size))
		goto fail;
	if (X509_check_private_key(c, k) != 1) {
		snprintf(err, err_size, "%s: is not the key of %s", key_path, cert_path);
		goto fail;
	}
	*cert = c;
	*key = k;
	return 0;
fail:
	ERR_clear_error();
	EVP_PKEY_free(k);
	X509_free(c);
	return -EINVAL;
}

int hg_alarm_sender_identity(struct hg_alarm_sender *s, const char *cert, const char *key,
			     char *err, size_t err_size)
{
	char uid[HG_UID_MAX + 1];
	EVP_PKEY *new_key;
	X509 *new_cert;
	bool same;

	if (load_identity(cert, key, &new_cert, &new_key, err, err_size))
		return -EINVAL;
	same = !X509_cmp(new_cert, s->cert);
	if (same || hg_tls_cert_uid(new_cert, uid) || strcmp(uid, s->uid)) {
		if (!same)
			snprintf(err, err_size, "%s: is not a certificate of %s", cert, s->uid);
		EVP_PKEY_free(new_key);
		X509_free(new_cert);
		return same ? 0 : -EINVAL;
	}
	X509_free(s->cert);
	EVP_PKEY_free(s->key);
	s->cert = new_cert;
	s->key = new_key;
	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++)
		s->queue[i].old = true;
	s->enrol.used = s->refused = s->status.enrolled = false;
	s->enrol_ms = 0;
	if (s->fd >= 0)
		enrol(s);
	return 0;
}

struct hg_alarm_sender *hg_alarm_sender_new(const struct hg_alarm_options *options, char *err,
					    size_t err_size)
{
	struct hg_alarm_sender *s = calloc(1, sizeof(*s));
	X509 *collector = NULL;

	if (!s) {
		snprintf(err, err_size, "alarm: out of memory");
		return NULL;
	}
	s->fd = -1;
	s->o = *options;
	snprintf(s->uid, sizeof(s->uid), "%s", options->uid);
	snprintf(s->model, sizeof(s->model), "%s", options->model);
	snprintf(s->firmware, sizeof(s->firmware), "%s", options->firmware);
	s->timer = evtimer_new(options->base, on_timer, s);
	if (load_identity(options->cert, options->key, &s->cert, &s->key, err, err_size))
		goto fail;
	collector = load_cert(options->collector_cert, err, err_size);
	if (!collector)
		goto fail;
	s->collector_key = X509_get_pubkey(collector);
	X509_free(collector);
	if (s->collector_key && s->timer)
		return s;
	snprintf(err, err_size, "%s: has no usable key", options->collector_cert);
fail:
	ERR_clear_error();
	hg_alarm_sender_free(s);
	return NULL;
}

void hg_alarm_sender_free(struct hg_alarm_sender *s)
{
	if (!s)
		return;
	if (s->readable)
		event_free(s->readable);
	if (s->timer)
		event_free(s->timer);
	if (s->fd >= 0)
		close(s->fd);
	X509_free(s->cert);
	EVP_PKEY_free(s->key);
	EVP_PKEY_free(s->collector_key);
	free(s);
}

void hg_alarm_sender_status(const struct hg_alarm_sender *s, struct hg_alarm_status *out)
{
	*out = s->status;
	out->waiting = 0;
	for (size_t i = 0; i < HG_ALARM_QUEUE_MAX; i++)
		out->waiting += s->queue[i].used;
}
