// SPDX-License-Identifier: MIT
/*
 * Correlator: the one place that turns many devices' alarms into "this is no coincidence". Fed in
 * order of storage by decide.c, also after a restart, from the stored alarms.
 *
 * Per key, R <- (1 + R) * L each second, where L is the likelihood ratio of the second's number of
 * new devices under an attack (rate l1) against chance (rate l0), both Poisson. By Doob's
 * inequality the mean time to a false crossing of A is at least A seconds; A = keys * years holds
 * for all keys together. Seconds in which nobody speaks are added up in closed form.
 *
 * Two sorts of keys. A target: three devices suffice, as a false alarm hits one of very many
 * targets. A port that is scanned: chance is frequent, so it takes about fifteen.
 */
#include "correlate.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#define YEAR_S (365.25 * 86400)

/* False alarms spread over at least so many targets, and over so many ports at most. */
#define TARGETS 262144.0
#define TARGET_KEYS 1e6
#define PORT_KEYS 1024.0
#define PORT_SHARE 0.5 /* of all false alarms may name the port that is named most */

/* Rate of new devices under attack: one in 20 s for a target, three times chance for a port. */
#define TARGET_ATTACK 0.05
#define PORT_ATTACK_FACTOR 3
#define PORT_ATTACK_LEAST 0.5

#define DEVICES 32 /* remembered per key; by then it has crossed */

enum sort { SORT_TARGET, SORT_PORT };

struct rates {
	double drift; /* l1 - l0: what a silent second costs */
	double gain;  /* ln(l1 / l0): what a device brings */
	double ln_a;
	double ln_silent; /* ln R of a key of which nobody has ever spoken */
};

struct name {
	struct hg_net net;
	uint8_t sort;
	uint8_t proto;
	uint16_t port;
};

struct key {
	TAILQ_ENTRY(key) recent;
	LIST_ENTRY(key) bucket;
	struct name name;
	double ln_r; /* ln(1 + R) at the end of the second before time_s */
	uint64_t time_s;
	unsigned int here; /* new devices in second time_s */
	unsigned int n_devices, next;
	struct {
		uint64_t hash, time_s;
	} devices[DEVICES];
};

TAILQ_HEAD(recency, key);
LIST_HEAD(bucket, key);

struct hg_correlate {
	struct hg_correlate_options o;
	struct rates rates[2];
	uint64_t seed;
	size_t n_keys, n_buckets;
	struct recency recent; /* first: spoken of last */
	struct bucket *buckets;
};

static uint64_t hash_of(const struct hg_correlate *c, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = c->seed ^ 0xcbf29ce484222325ull;

	while (len--) {
		h = (h ^ *p++) * 0x100000001b3ull;
		h ^= h >> 29;
	}
	return h;
}

static struct bucket *bucket_of(const struct hg_correlate *c, const struct name *n)
{
	return &c->buckets[hash_of(c, n, sizeof(*n)) % c->n_buckets];
}

/* ln(e^a + e^b) */
static double ln_add(double a, double b)
{
	double max = a > b ? a : b, min = a > b ? b : a;

	return max + log1p(exp(min - max));
}

static struct key *key_get(struct hg_correlate *c, const struct name *n, uint64_t time_s)
{
	struct bucket *b = bucket_of(c, n);
	struct key *k = LIST_FIRST(b);

	while (k && memcmp(&k->name, n, sizeof(*n)))
		k = LIST_NEXT(k, bucket);
	if (k) {
		TAILQ_REMOVE(&c->recent, k, recent);
		TAILQ_INSERT_HEAD(&c->recent, k, recent);
		return k;
	}
	if (c->n_keys == c->o.keys_max) {
		k = TAILQ_LAST(&c->recent, recency);
		TAILQ_REMOVE(&c->recent, k, recent);
		LIST_REMOVE(k, bucket);
	} else {
		k = malloc(sizeof(*k));
		if (!k)
			return NULL;
		c->n_keys++;
	}
	memset(k, 0, sizeof(*k));
	k->name = *n;
	k->time_s = time_s;
	/* It was watched all the time, only not written down. */
	k->ln_r = ln_add(0, c->rates[n->sort].ln_silent);
	TAILQ_INSERT_HEAD(&c->recent, k, recent);
	LIST_INSERT_HEAD(b, k, bucket);
	return k;
}

/* Has this device spoken of the key lately? If not, it has now. */
static bool device_known(struct hg_correlate *c, struct key *k, uint64_t hash, uint64_t time_s)
{
	for (unsigned int i = 0; i < k->n_devices; i++) {
		if (k->devices[i].hash != hash)
			continue;
		if (k->devices[i].time_s + c->o.evidence_s > time_s)
			return true;
		k->devices[i].time_s = time_s;
		return false;
	}
	k->devices[k->next].hash = hash;
	k->devices[k->next].time_s = time_s;
	k->next = (k->next + 1) % DEVICES;
	if (k->n_devices < DEVICES)
		k->n_devices++;
	return false;
}

/* ln R at the end of second time_s, as far as it is known. */
static double ln_r_now(const struct rates *r, const struct key *k)
{
	return k->ln_r + k->here * r->gain - r->drift;
}

/*
 * Brings the key to a later second. R after d silent seconds is R q^d + q (1 - q^d) / (1 - q),
 * where q = e^-drift; kept as ln(1 + R), ready for the next second's factor.
 */
static void advance(const struct rates *r, struct key *k, uint64_t time_s)
{
	double ln_r, silent;

	if (time_s <= k->time_s)
		return;
	ln_r = ln_r_now(r, k);
	silent = (double)(time_s - k->time_s - 1);
	if (silent > 0) {
		double q = exp(-r->drift), rest = -expm1(-r->drift * silent);

		ln_r = ln_add(ln_r - r->drift * silent, log(q * rest / (1 - q)));
	}
	k->ln_r = ln_add(0, ln_r);
	k->time_s = time_s;
	k->here = 0;
}

/* Returns true if the key stands over its threshold; ln R is in *ln_r. */
static bool feed(struct hg_correlate *c, const struct name *n, const struct hg_correlate_report *in,
		 uint64_t device, double *ln_r)
{
	const struct rates *r = &c->rates[n->sort];
	struct key *k = key_get(c, n, in->time_s);

	if (!k)
		return false;
	advance(r, k, in->time_s);
	if (!device_known(c, k, device, in->time_s))
		k->here++;
	*ln_r = ln_r_now(r, k);
	return *ln_r >= r->ln_a;
}

/* Networks that a target's neighbours share: devices scan different hosts of one network. */
static unsigned int network_len(const struct hg_net *n)
{
	return n->family == 4 ? 24 : 64;
}

static unsigned int host_len(const struct hg_net *n)
{
	return n->family == 4 ? 32 : 128;
}

static size_t feed_target(struct hg_correlate *c, const struct hg_correlate_report *in,
			  const struct hg_correlate_target *t, uint64_t device,
			  struct hg_crossing *out)
{
	const unsigned int lens[] = { host_len(&t->net), network_len(&t->net) };
	size_t crossed = 0;

	for (size_t i = 0; i < 2; i++) {
		struct name n;

		if (t->net.len < lens[i])
			continue;
		memset(&n, 0, sizeof(n));
		n.net = hg_net_shorten(&t->net, lens[i]);
		n.sort = SORT_TARGET;
		/* Both are fed; the host, if it has crossed, is what is told. */
		if (feed(c, &n, in, device, &out[0].ln_r) && !crossed) {
			out[0].target = n.net;
			out[0].port = 0;
			crossed = 1;
		}
	}
	return crossed;
}

static size_t feed_port(struct hg_correlate *c, const struct hg_correlate_report *in,
			const struct hg_correlate_target *t, uint64_t device,
			struct hg_crossing *out)
{
	struct name n;

	if (in->alarm_class != HG_ALARM_SCAN || !t->port)
		return 0;
	memset(&n, 0, sizeof(n));
	n.net = hg_net_shorten(&t->net, 0);
	n.sort = SORT_PORT;
	n.proto = t->proto;
	n.port = t->port;
	if (!feed(c, &n, in, device, &out[0].ln_r))
		return 0;
	out[0].target = n.net;
	out[0].port = t->port;
	return 1;
}

size_t hg_correlate_report(struct hg_correlate *c, const struct hg_correlate_report *r,
			   struct hg_crossing out[static HG_CROSSINGS_MAX])
{
	uint64_t device = hash_of(c, r->uid, strlen(r->uid));
	size_t n = 0;

	if (r->alarm_class != HG_ALARM_SCAN && r->alarm_class != HG_ALARM_FLOOD &&
	    r->alarm_class != HG_ALARM_OUTSIDE)
		return 0;
	for (size_t i = 0; i < r->n_targets; i++) {
		size_t here;

		if (hg_net_is_private(&r->targets[i].net))
			continue;
		here = feed_target(c, r, &r->targets[i], device, &out[n]);
		/* What is known by its target is not told by its port as well. */
		if (!here)
			here = feed_port(c, r, &r->targets[i], device, &out[n]);
		n += here;
	}
	return n;
}

static struct rates rates_of(double l0, double l1, double keys, double years)
{
	double drift = l1 - l0;

	return (struct rates){ .drift = drift,
			       .gain = log(l1 / l0),
			       .ln_a = log(keys * years * YEAR_S),
			       .ln_silent = -drift - log(-expm1(-drift)) };
}

struct hg_correlate *hg_correlate_new(const struct hg_correlate_options *options)
{
	struct hg_correlate *c = calloc(1, sizeof(*c));
	double all = (double)options->alarms_per_day / 86400, years = (double)options->years;
	double target = all / TARGETS, port = all * PORT_SHARE;

	if (!c)
		return NULL;
	c->o = *options;
	/* Chance must stay well below an attack, however many alarms one expects. */
	if (target > TARGET_ATTACK / 10)
		target = TARGET_ATTACK / 10;
	c->rates[SORT_TARGET] = rates_of(target, TARGET_ATTACK, TARGET_KEYS, years);
	c->rates[SORT_PORT] = rates_of(port, PORT_ATTACK_FACTOR * port + PORT_ATTACK_LEAST,
				       PORT_KEYS, years);
	c->n_buckets = c->o.keys_max / 2 + 1;
	c->buckets = calloc(c->n_buckets, sizeof(c->buckets[0]));
	TAILQ_INIT(&c->recent);
	if (getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed) || !c->buckets) {
		hg_correlate_free(c);
		errno = ENOMEM;
		return NULL;
	}
	return c;
}

void hg_correlate_free(struct hg_correlate *c)
{
	struct key *k;

	if (!c)
		return;
	while ((k = TAILQ_FIRST(&c->recent))) {
		TAILQ_REMOVE(&c->recent, k, recent);
		free(k);
	}
	free(c->buckets);
	free(c);
}

size_t hg_correlate_keys(const struct hg_correlate *c)
{
	return c->n_keys;
}
