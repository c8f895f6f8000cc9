// SPDX-License-Identifier: MIT
/*
 * Sender: what a collector, played here on loopback, sees of it: enrolment, an alarm at once, the
 * same bytes again after growing gaps, and silence once a good answer came. Forged answers change
 * nothing.
 */
#include "../tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../../userspace/alarm.h"
#include "../lib/pki.h"

#define SEEN_MAX 256

static struct event_base *base;
static struct hg_alarm_sender *sender;
static struct pki_cert ca, device, collector, stranger;
static char dir[] = "/tmp/hg-alarm-XXXXXX", *cert_path, *key_path, *collector_path;
static int fd;
static struct sockaddr_in here;
static uint64_t counter_now = 100, answered_counter;
static int answered_result = 1;

static struct seen {
	uint8_t data[HG_ENROL_MAX];
	size_t len;
	int kind;
	uint64_t counter, at_ms;
	struct sockaddr_in from;
} seen[SEEN_MAX];
static int n_seen;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t next_counter(void *ctx)
{
	return counter_now ? counter_now++ : 0;
}

static void on_answered(void *ctx, uint64_t counter, int result)
{
	answered_counter = counter;
	answered_result = result;
}

static void on_datagram(evutil_socket_t s, short what, void *ctx)
{
	struct seen *m = &seen[n_seen % SEEN_MAX];
	socklen_t len = sizeof(m->from);
	uint8_t id[HG_KEY_ID_LEN];
	ssize_t n = recvfrom(s, m->data, sizeof(m->data), 0, (struct sockaddr *)&m->from, &len);

	if (n < 0)
		return;
	m->len = (size_t)n;
	m->kind = hg_datagram_peek(hg_slice_of(m->data, m->len), id);
	m->counter = hg_datagram_counter(hg_slice_of(m->data, m->len));
	m->at_ms = now_ms();
	n_seen++;
}

static int count(int kind, uint64_t counter)
{
	int n = 0;

	for (int i = 0; i < n_seen && i < SEEN_MAX; i++)
		n += seen[i].kind == kind && (!counter || seen[i].counter == counter);
	return n;
}

static struct seen *last(int kind)
{
	for (int i = n_seen - 1; i >= 0; i--)
		if (seen[i].kind == kind)
			return &seen[i];
	return NULL;
}

#define WAIT_MS 20000 /* for what comes within a second or six when the machine is free */

/* Runs the loop for at most ms, or until `want` datagrams of the kind were seen. */
static void loop(uint64_t ms, int kind, int want)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end && (!want || count(kind, 0) < want)) {
		struct timeval tv = { .tv_usec = 5000 };

		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
}

static void reply(const struct seen *to, const char *uid, uint64_t counter, uint8_t code,
		  EVP_PKEY *key)
{
	struct hg_ack ack = { .counter = counter, .code = code };
	uint8_t buf[HG_ALARM_MAX];
	long n;

	snprintf(ack.uid, sizeof(ack.uid), "%s", uid);
	n = hg_ack_sign(&ack, key, buf, sizeof(buf));
	if (n > 0)
		sendto(fd, buf, (size_t)n, 0, (const struct sockaddr *)&to->from, sizeof(to->from));
	loop(60, 0, 0);
}

static size_t waiting(void)
{
	struct hg_alarm_status st;

	hg_alarm_sender_status(sender, &st);
	return st.waiting;
}

static void enrolment(void)
{
	struct hg_alarm_status st;
	struct seen *e;
	X509_STORE *trust = X509_STORE_new();
	struct hg_alarm who = { 0 };
	X509 *cert = NULL;

	hg_alarm_sender_connect(sender, (struct sockaddr *)&here, sizeof(here));
	loop(WAIT_MS, HG_DATAGRAM_ENROL, 1);
	e = last(HG_DATAGRAM_ENROL);
	X509_STORE_add_cert(trust, ca.cert);
	ok(e && !hg_enrol_open(hg_slice_of(e->data, e->len), trust, &who, &cert) &&
		   !strcmp(who.uid, "dev-1"),
	   "it enrols with its certificate when it has an address");
	X509_free(cert);
	X509_STORE_free(trust);
	if (!e)
		return;
	reply(e, "dev-1", e->counter, HG_ACK_STORED, stranger.key);
	hg_alarm_sender_status(sender, &st);
	ok(!st.enrolled, "an answer signed by another key is not believed");
	reply(e, "dev-2", e->counter, HG_ACK_STORED, collector.key);
	hg_alarm_sender_status(sender, &st);
	ok(!st.enrolled, "nor one for another device");
	reply(e, "dev-1", e->counter, HG_ACK_STORED, collector.key);
	hg_alarm_sender_status(sender, &st);
	ok(st.enrolled && st.connected, "the collector's own is");
}

static void repeats(void)
{
	struct hg_alarm a = { .alarm_class = HG_ALARM_FLOOD,
			      .feature = HG_FEATURE_PACKETS,
			      .value = 100,
			      .bound = 10,
			      .n_targets = 1,
			      .targets = { { .family = 4,
					     .prefix_len = 32,
					     .addr = { 192, 0, 2, 1 },
					     .proto = 6,
					     .port = 80 } } };
	struct hg_alarm got;
	uint64_t counter = 0, before = now_ms(), gap1, gap2;
	int first;

	n_seen = 0;
	is_int(hg_alarm_sender_send(sender, &a, &counter), 0, "an alarm is taken");
	loop(WAIT_MS, HG_DATAGRAM_ALARM, 1);
	ok(count(HG_DATAGRAM_ALARM, counter) == 1 && seen[0].at_ms - before < 200,
	   "and sent at once");
	ok(!hg_alarm_open(hg_slice_of(seen[0].data, seen[0].len), device.key, &got) &&
		   !strcmp(got.uid, "dev-1") && !strcmp(got.model, "cam") &&
		   got.episode == counter && got.targets[0].port == 80,
	   "signed by the device, an episode's first");
	first = n_seen;
	loop(WAIT_MS, HG_DATAGRAM_ALARM, 3);
	is_int(count(HG_DATAGRAM_ALARM, counter), 3, "unanswered, it comes again and again");
	ok(n_seen >= 3 && first == 1 && seen[0].len == seen[2].len &&
		   !memcmp(seen[0].data, seen[2].data, seen[0].len),
	   "byte for byte");
	gap1 = seen[1].at_ms - seen[0].at_ms;
	gap2 = seen[2].at_ms - seen[1].at_ms;
	ok(gap1 >= 740 && gap1 <= 1400 && gap2 >= 1490 && gap2 <= 2700,
	   "after about 1 s, then 2 s (%d, %d ms)", (int)gap1, (int)gap2);
	reply(&seen[2], "dev-1", counter, HG_ACK_STORED, collector.key);
	ok(!waiting() && answered_counter == counter && !answered_result, "until it is answered");
}

static void silenced(void)
{
	uint64_t counter = 0, after = 0;
	uint8_t datagram[HG_ALARM_MAX];
	struct hg_alarm got = { 0 };
	long n = hg_alarm_sender_silenced(sender, 60, datagram, sizeof(datagram), &counter);

	ok(n > 0 && !hg_alarm_open(hg_slice_of(datagram, (size_t)n), device.key, &got) &&
		   got.alarm_class == HG_ALARM_SILENCED && got.feature == HG_FEATURE_HEARTBEAT &&
		   got.value == 60 && got.bound == 60 && !got.time_ms &&
		   !strcmp(got.model, "cam") && got.counter == counter && got.episode == counter,
	   "an alarm for the kernel to send is signed, has no time and its own number");
	is_int(hg_alarm_sender_newest(sender), counter, "which is the newest");
	ok(!waiting(), "and it does not wait to be sent from here");
	hg_alarm_sender_test(sender, &after);
	ok(after > counter && hg_alarm_sender_newest(sender) == after,
	   "the next statement has another number");
	loop(WAIT_MS, HG_DATAGRAM_ALARM, 1);
	reply(last(HG_DATAGRAM_ALARM), "dev-1", after, HG_ACK_STORED, collector.key);
	counter_now = 0;
	is_int((int)hg_alarm_sender_silenced(sender, 60, datagram, sizeof(datagram), &after),
	       -EAGAIN, "without a number there is none");
	counter_now = hg_alarm_sender_newest(sender) + 1;
}

static void queue(void)
{
	struct hg_alarm a = {
		.alarm_class = HG_ALARM_SCAN, .feature = HG_FEATURE_FLOWS, .value = 100, .bound = 10
	};
	struct hg_alarm_status st;
	uint64_t episode = 0, counter;

	hg_alarm_sender_state(sender, &a, &episode);
	a.episode = episode;
	for (int i = 0; i < 5; i++)
		hg_alarm_sender_state(sender, &a, &episode);
	is_int((long long)waiting(), 1, "of an episode only the newest statement waits");
	a.episode = 0;
	for (int i = 0; i < HG_ALARM_QUEUE_MAX + 5; i++)
		hg_alarm_sender_send(sender, &a, &counter);
	hg_alarm_sender_status(sender, &st);
	ok(st.waiting == HG_ALARM_QUEUE_MAX && st.given_up == 6,
	   "a full queue gives up the oldest");
	counter_now = 0;
	is_int(hg_alarm_sender_send(sender, &a, NULL), -EAGAIN, "no number, no alarm");
	counter_now = 1000;
}

static void enrol_again(void)
{
	struct seen *e, alarm;
	uint64_t counter = 0;

	n_seen = 0;
	hg_alarm_sender_test(sender, &counter);
	loop(WAIT_MS, HG_DATAGRAM_ALARM, 1);
	alarm = *last(HG_DATAGRAM_ALARM);
	/* At most one enrolment a second: the one at the start is long ago. */
	reply(&alarm, "", alarm.counter, HG_ACK_ENROL, collector.key);
	loop(WAIT_MS, HG_DATAGRAM_ENROL, 1);
	e = last(HG_DATAGRAM_ENROL);
	ok(e != NULL, "told to enrol, it does");
	for (int i = 0; i < 20; i++)
		reply(&alarm, "", alarm.counter, HG_ACK_ENROL, collector.key);
	ok(count(HG_DATAGRAM_ENROL, 0) <= 4, "but not as often as it is told (%d times)",
	   count(HG_DATAGRAM_ENROL, 0));
	n_seen = 0;
	if (e)
		reply(e, "dev-1", e->counter, HG_ACK_STORED, collector.key);
	loop(WAIT_MS, HG_DATAGRAM_ALARM, HG_ALARM_QUEUE_MAX);
	is_int(count(HG_DATAGRAM_ALARM, 0), HG_ALARM_QUEUE_MAX,
	       "then all that waits is sent at once");
	alarm = *last(HG_DATAGRAM_ALARM);
	reply(&alarm, "dev-1", alarm.counter, HG_ACK_REJECTED, collector.key);
	ok(answered_counter == alarm.counter && answered_result == -EKEYREJECTED &&
		   waiting() == HG_ALARM_QUEUE_MAX - 1,
	   "what is rejected is not repeated");
}

/* What was signed by `key` and has this number came last. */
static bool is_signed(uint64_t counter, EVP_PKEY *key)
{
	struct hg_alarm got;

	for (int i = n_seen - 1; i >= 0; i--)
		if (seen[i].kind == HG_DATAGRAM_ALARM && seen[i].counter == counter)
			return !hg_alarm_open(hg_slice_of(seen[i].data, seen[i].len), key, &got) &&
			       got.counter == counter;
	return false;
}

static void enrolled_as(const struct seen *e, X509 *want)
{
	X509_STORE *trust = X509_STORE_new();
	struct hg_alarm who = { 0 };
	X509 *cert = NULL;

	X509_STORE_add_cert(trust, ca.cert);
	ok(e && !hg_enrol_open(hg_slice_of(e->data, e->len), trust, &who, &cert) &&
		   !X509_cmp(cert, want),
	   "and enrolled");
	X509_free(cert);
	X509_STORE_free(trust);
}

/* The device's certificate was renewed while alarms wait. */
static void renewed(const char *cert, const char *key, const struct pki_cert *fresh)
{
	struct hg_alarm_status st;
	struct seen *e, old;
	uint64_t counter = 0;
	char err[256] = "";

	n_seen = 0;
	ok(hg_alarm_sender_identity(sender, collector_path, key, err, sizeof(err)) && *err,
	   "files that do not go together change nothing: %s", err);
	ok(hg_alarm_sender_identity(sender, "/nonexistent", key, err, sizeof(err)),
	   "nor one that is not there: %s", err);
	is_int(hg_alarm_sender_identity(sender, cert_path, key_path, err, sizeof(err)), 0,
	       "the same again");
	hg_alarm_sender_test(sender, &counter);
	loop(WAIT_MS, HG_DATAGRAM_ALARM, 1);
	ok(!count(HG_DATAGRAM_ENROL, 0), "is no reason to enrol");
	old = *last(HG_DATAGRAM_ALARM);
	is_int(hg_alarm_sender_identity(sender, cert, key, err, sizeof(err)), 0,
	       "a new certificate is taken");
	loop(WAIT_MS, HG_DATAGRAM_ENROL, 1);
	e = last(HG_DATAGRAM_ENROL);
	enrolled_as(e, fresh->cert);
	hg_alarm_sender_status(sender, &st);
	ok(!st.enrolled, "which the collector is yet to answer");
	reply(&old, "", old.counter, HG_ACK_ENROL, collector.key);
	n_seen = 0;
	if (e)
		reply(e, "dev-1", e->counter, HG_ACK_STORED, collector.key);
	loop(WAIT_MS, HG_DATAGRAM_ALARM, HG_ALARM_QUEUE_MAX);
	ok(is_signed(old.counter, fresh->key),
	   "what waits is signed with it if the collector does not know the old one");
	counter = seen[0].counter != old.counter ? seen[0].counter : seen[1].counter;
	ok(is_signed(counter, device.key), "else it stays as it was");
	n_seen = 0;
	hg_alarm_sender_test(sender, &counter);
	loop(WAIT_MS, HG_DATAGRAM_ALARM, 1);
	ok(is_signed(counter, fresh->key), "and so is what comes later");
}

static void renewal(void)
{
	struct pki_cert fresh =
		pki_make(&ca, &(struct pki_request){ .cn = "dev-1",
						     .san = "URI:urn:heliograph:device:dev-1",
						     .eku = "clientAuth" });
	char *cert = pki_write_cert(dir, "fresh", fresh.cert);
	char *key = pki_write_key(dir, "fresh-key", fresh.key, 0600);

	renewed(cert, key, &fresh);
	unlink(cert);
	unlink(key);
	free(cert);
	free(key);
	pki_free(&fresh);
}

static void bad_files(void)
{
	struct hg_alarm_options o = { .base = base,
				      .uid = "dev-1",
				      .model = "cam",
				      .firmware = "1",
				      .cert = "/nonexistent",
				      .key = key_path,
				      .collector_cert = collector_path,
				      .next_counter = next_counter };
	char err[256] = "";

	ok(!hg_alarm_sender_new(&o, err, sizeof(err)) && strstr(err, "/nonexistent"), "%s", err);
	o.cert = collector_path;
	ok(!hg_alarm_sender_new(&o, err, sizeof(err)) && strstr(err, "not the key"), "%s", err);
	o.cert = cert_path;
	o.collector_cert = key_path;
	ok(!hg_alarm_sender_new(&o, err, sizeof(err)) && strstr(err, "no PEM certificate"), "%s",
	   err);
}

static void make_files(void)
{
	if (!mkdtemp(dir))
		exit(1);
	ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	device = pki_make(&ca, &(struct pki_request){ .cn = "dev-1",
						      .san = "URI:urn:heliograph:device:dev-1",
						      .eku = "clientAuth" });
	collector = pki_make(&ca, &(struct pki_request){ .cn = "collector", .eku = "serverAuth" });
	stranger = pki_make(&ca, &(struct pki_request){ .cn = "collector", .eku = "serverAuth" });
	cert_path = pki_write_cert(dir, "cert", device.cert);
	key_path = pki_write_key(dir, "key", device.key, 0600);
	collector_path = pki_write_cert(dir, "collector", collector.cert);
}

static void remove_files(void)
{
	char *const paths[] = { cert_path, key_path, collector_path };
	struct pki_cert *const certs[] = { &ca, &device, &collector, &stranger };

	for (size_t i = 0; i < 3; i++) {
		unlink(paths[i]);
		free(paths[i]);
	}
	rmdir(dir);
	for (size_t i = 0; i < 4; i++)
		pki_free(certs[i]);
}

int main(void)
{
	struct hg_alarm_options o = { .uid = "dev-1",
				      .model = "cam",
				      .firmware = "1",
				      .next_counter = next_counter,
				      .answered = on_answered };
	socklen_t len = sizeof(here);
	struct event *ev;
	char err[256] = "";

	make_files();
	o.cert = cert_path;
	o.key = key_path;
	o.collector_cert = collector_path;
	base = o.base = event_base_new();
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	here.sin_family = AF_INET;
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) ||
	    getsockname(fd, (struct sockaddr *)&here, &len))
		return 1;
	ev = event_new(base, fd, EV_READ | EV_PERSIST, on_datagram, NULL);
	event_add(ev, NULL);
	bad_files();
	sender = hg_alarm_sender_new(&o, err, sizeof(err));
	ok(sender != NULL, "a sender %s", err);
	if (sender) {
		enrolment();
		repeats();
		n_seen = 0;
		silenced();
		queue();
		enrol_again();
		renewal();
	}
	hg_alarm_sender_free(sender);
	event_free(ev);
	event_base_free(base);
	close(fd);
	remove_files();
	return tap_done();
}
