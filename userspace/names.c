// SPDX-License-Identifier: MIT
/*
 * The table of names: pairs of an address and a name, each with its end, in one array of fixed size
 * and found by address through a small hash. Fed by the agent with the device's DNS answers, and by
 * `heliograph profile` with those in captures. What an address is bound to is the union over its
 * pairs; who asked to be told hears of every change of it.
 *
 * When the array is full, a pair of a name outside the profile makes room first, the one that ends
 * first; such a name never takes the place of one of the profile's. So whatever the device is made
 * to look up, the profile's names stay.
 */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../core/addr.h"

#define BUCKETS 256
#define NONE UINT32_MAX
#define PATTERNS_MAX 4096 /* 63 channels of 32 remotes are 2,016 */

/* Shared by the pairs of one answer. */
struct name {
	unsigned int users;
	__u64 channels;
	char text[];
};

struct pair {
	struct hg_addr addr;
	struct name *name; /* NULL: free */
	uint64_t expires_s;
	uint32_t next; /* in the bucket, or of the free ones */
};

struct pattern {
	__u64 channels;
	bool below; /* text begins with a dot, and any name that ends so is meant */
	uint8_t length;
	char text[HG_DNS_NAME_MAX + 1]; /* lower case */
};

struct hg_names {
	hg_names_changed changed;
	void *ctx;
	struct pattern *patterns;
	size_t n_patterns;
	struct hg_names_stats stats;
	uint32_t buckets[BUCKETS];
	uint32_t free;
	struct pair pairs[];
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool in_name(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool name_ok(const char *name)
{
	size_t label = 0, n;

	for (n = 0; name[n]; n++) {
		if (name[n] == '.' ? !label : !in_name(name[n]))
			return false;
		label = name[n] == '.' ? 0 : label + 1;
		if (label > 63 || n == HG_DNS_NAME_MAX)
			return false;
	}
	return label > 0;
}

bool hg_names_pattern_ok(const char *name)
{
	bool below = !strncmp(name, "*.", 2);

	/* Something must fit before the dot. */
	return name_ok(name + (below ? 2 : 0)) && strlen(name) <= HG_DNS_NAME_MAX;
}

static bool pattern_matches(const struct pattern *p, const char *name, size_t length)
{
	if (p->below ? length <= p->length : length != p->length)
		return false;
	return !memcmp(name + length - p->length, p->text, p->length);
}

static __u64 channels_of(const struct hg_names *n, const char *name)
{
	size_t length = strlen(name);
	__u64 channels = 0;

	for (size_t i = 0; i < n->n_patterns; i++)
		if (pattern_matches(&n->patterns[i], name, length))
			channels |= n->patterns[i].channels;
	return channels;
}

struct hg_names *hg_names_new(size_t limit, hg_names_changed changed, void *ctx)
{
	struct hg_names *n;

	if (limit < HG_DNS_ADDRESSES_MAX || limit > UINT16_MAX) {
		errno = EINVAL;
		return NULL;
	}
	n = calloc(1, sizeof(*n) + limit * sizeof(*n->pairs));
	if (!n)
		return NULL;
	n->changed = changed;
	n->ctx = ctx;
	n->stats.limit = limit;
	for (size_t i = 0; i < BUCKETS; i++)
		n->buckets[i] = NONE;
	for (size_t i = 0; i < limit; i++)
		n->pairs[i].next = i + 1 < limit ? (uint32_t)i + 1 : NONE;
	return n;
}

static void name_unuse(struct name *name)
{
	if (name && !--name->users)
		free(name);
}

void hg_names_free(struct hg_names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->stats.limit; i++)
		name_unuse(n->pairs[i].name);
	free(n->patterns);
	free(n);
}

static uint32_t *bucket_of(struct hg_names *n, const struct hg_addr *a)
{
	__u32 x = a->a[0] ^ a->a[1] * 0x9e3779b1u ^ a->a[2] * 0x85ebca6bu ^ a->a[3] * 0xc2b2ae35u;

	return &n->buckets[(x ^ x >> 8 ^ x >> 16 ^ x >> 24) % BUCKETS];
}

static const struct pair *first_of(const struct hg_names *n, const struct hg_addr *addr)
{
	uint32_t i = *bucket_of((struct hg_names *)n, addr);

	while (i != NONE && !hg_addr_equal(&n->pairs[i].addr, addr))
		i = n->pairs[i].next;
	return i == NONE ? NULL : &n->pairs[i];
}

static const struct pair *next_of(const struct hg_names *n, const struct pair *p)
{
	uint32_t i = p->next;

	while (i != NONE && !hg_addr_equal(&n->pairs[i].addr, &p->addr))
		i = n->pairs[i].next;
	return i == NONE ? NULL : &n->pairs[i];
}

struct hg_bound hg_names_bound(const struct hg_names *n, const struct hg_addr *addr)
{
	struct hg_bound b = { 0 };

	for (const struct pair *p = first_of(n, addr); p; p = next_of(n, p)) {
		b.channels |= p->name->channels;
		b.flags |= HG_BOUND_NAMED;
	}
	return b;
}

const char *hg_names_name(const struct hg_names *n, const struct hg_addr *addr)
{
	const struct pair *best = NULL;

	for (const struct pair *p = first_of(n, addr); p; p = next_of(n, p)) {
		if (!best || (p->name->channels && !best->name->channels))
			best = p;
	}
	return best ? best->name->text : NULL;
}

/* Tells of the address if it is bound otherwise than `was`. Returns 1 if it gained a channel. */
static int tell(const struct hg_names *n, const struct hg_addr *addr, const struct hg_bound *was)
{
	struct hg_bound now = hg_names_bound(n, addr);

	if (now.channels == was->channels && now.flags == was->flags)
		return 0;
	if (n->changed)
		n->changed(n->ctx, addr, &now);
	return (now.channels & ~was->channels) != 0;
}

static void pair_remove(struct hg_names *n, struct pair *p)
{
	uint32_t i = (uint32_t)(p - n->pairs), *link = bucket_of(n, &p->addr);

	while (*link != i)
		link = &n->pairs[*link].next;
	*link = p->next;
	name_unuse(p->name);
	p->name = NULL;
	p->next = n->free;
	n->free = i;
	n->stats.pairs--;
}

static void forget(struct hg_names *n, struct pair *p)
{
	struct hg_bound was = hg_names_bound(n, &p->addr);
	struct hg_addr addr = p->addr;

	pair_remove(n, p);
	tell(n, &addr, &was);
}

/* The pair that is to go for a new one of these channels, or NULL. */
static struct pair *victim(struct hg_names *n, __u64 channels)
{
	struct pair *v = NULL;

	for (size_t i = 0; i < n->stats.limit; i++) {
		struct pair *p = &n->pairs[i];

		if (!p->name || (p->name->channels && !channels))
			continue;
		if (!v || (v->name->channels && !p->name->channels) ||
		    (!v->name->channels == !p->name->channels && p->expires_s < v->expires_s))
			v = p;
	}
	return v;
}

static bool make_room(struct hg_names *n, __u64 channels)
{
	struct pair *v;

	if (n->free != NONE)
		return true;
	v = victim(n, channels);
	if (!v) {
		n->stats.refused++;
		return false;
	}
	n->stats.evicted++;
	forget(n, v);
	return true;
}

static void pair_add(struct hg_names *n, struct name *name, const struct hg_addr *addr,
		     uint64_t expires_s)
{
	uint32_t i = n->free, *bucket = bucket_of(n, addr);
	struct pair *p = &n->pairs[i];

	n->free = p->next;
	p->addr = *addr;
	p->name = name;
	p->expires_s = expires_s;
	p->next = *bucket;
	*bucket = i;
	name->users++;
	n->stats.pairs++;
}

static struct name *name_new(const struct hg_names *n, const char *text)
{
	size_t size = strlen(text) + 1;
	struct name *name = malloc(sizeof(*name) + size);

	if (!name)
		return NULL;
	name->users = 1;
	name->channels = channels_of(n, text);
	memcpy(name->text, text, size);
	return name;
}

/* No server has these; resolvers that block a name answer with some of them. */
static bool is_no_server(const struct hg_addr *a)
{
	__u32 v4 = HG_NET32(a->a[3]);

	if (hg_addr_is_ipv4(a))
		return !(v4 >> 24) || v4 >> 24 == 127 || v4 >> 28 >= 0xe;
	return HG_NET32(a->a[0]) >> 24 == 0xff ||
	       (!(a->a[0] | a->a[1] | a->a[2]) && HG_NET32(a->a[3]) <= 1);
}

static struct pair *find(struct hg_names *n, const char *name, const struct hg_addr *addr)
{
	for (const struct pair *p = first_of(n, addr); p; p = next_of(n, p))
		if (!strcmp(p->name->text, name))
			return &n->pairs[p - n->pairs];
	return NULL;
}

/* *name is made when first needed, and released by the caller. */
static int put(struct hg_names *n, struct name **name, const char *text, const struct hg_addr *addr,
	       uint64_t expires_s)
{
	struct pair *p = find(n, text, addr);
	struct hg_bound was;

	if (is_no_server(addr)) {
		n->stats.ignored++;
		return 0;
	}
	if (p) {
		p->expires_s = expires_s > p->expires_s ? expires_s : p->expires_s;
		return 0;
	}
	if (!*name)
		*name = name_new(n, text);
	if (!*name || !make_room(n, (*name)->channels))
		return 0;
	was = hg_names_bound(n, addr);
	pair_add(n, *name, addr, expires_s);
	return tell(n, addr, &was);
}

int hg_names_put(struct hg_names *n, const char *name, const struct hg_addr *addr,
		 uint64_t expires_s)
{
	struct name *made = NULL;
	int gained = put(n, &made, name, addr, expires_s);

	name_unuse(made);
	return gained;
}

int hg_names_answer(struct hg_names *n, const struct hg_dns_answer *answer, uint64_t now_s)
{
	struct name *name = NULL;
	int gained = 0;

	n->stats.answers++;
	for (size_t i = 0; i < answer->n; i++)
		gained += put(n, &name, answer->question.name, &answer->addresses[i].addr,
			      now_s + answer->addresses[i].ttl_s);
	name_unuse(name);
	return gained;
}

static void pattern_set(struct pattern *p, const struct hg_names_pattern *from)
{
	const char *text = from->name;

	p->channels = from->channels;
	p->below = text[0] == '*';
	text += p->below;
	p->length = (uint8_t)strlen(text);
	for (size_t i = 0; i <= p->length; i++)
		p->text[i] = lower(text[i]);
}

/* Judges every name anew. The names of an address change together, so that it is told of once. */
static int judge(struct hg_names *n)
{
	struct hg_bound *was = calloc(n->stats.limit, sizeof(*was));
	int gained = 0;

	if (!was)
		return -ENOMEM;
	for (size_t i = 0; i < n->stats.limit; i++)
		if (n->pairs[i].name)
			was[i] = hg_names_bound(n, &n->pairs[i].addr);
	for (size_t i = 0; i < n->stats.limit; i++)
		if (n->pairs[i].name)
			n->pairs[i].name->channels = channels_of(n, n->pairs[i].name->text);
	for (size_t i = 0; i < n->stats.limit; i++)
		if (n->pairs[i].name && first_of(n, &n->pairs[i].addr) == &n->pairs[i])
			gained += tell(n, &n->pairs[i].addr, &was[i]);
	free(was);
	return gained;
}

int hg_names_set(struct hg_names *n, const struct hg_names_pattern *patterns, size_t count)
{
	struct pattern *made, *old = n->patterns;
	size_t n_old = n->n_patterns;
	int ret;

	if (count > PATTERNS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++)
		if (!hg_names_pattern_ok(patterns[i].name))
			return -EINVAL;
	made = calloc(count + 1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		pattern_set(&made[i], &patterns[i]);
	n->patterns = made;
	n->n_patterns = count;
	ret = judge(n);
	if (ret < 0) {
		n->patterns = old;
		n->n_patterns = n_old;
		old = made;
	}
	free(old);
	return ret;
}

void hg_names_use(struct hg_names *n, const struct hg_addr *addr, uint64_t now_s)
{
	for (const struct pair *p = first_of(n, addr); p; p = next_of(n, p))
		if (p->expires_s < now_s)
			n->pairs[p - n->pairs].expires_s = now_s;
}

static bool is_over(const struct pair *p, uint64_t now_s)
{
	return p->name && p->expires_s + HG_NAMES_GRACE <= now_s;
}

bool hg_names_is_due(const struct hg_names *n, uint64_t now_s)
{
	for (size_t i = 0; i < n->stats.limit; i++)
		if (is_over(&n->pairs[i], now_s) && n->pairs[i].name->channels)
			return true;
	return false;
}

void hg_names_expire(struct hg_names *n, uint64_t now_s)
{
	for (size_t i = 0; i < n->stats.limit; i++)
		if (is_over(&n->pairs[i], now_s))
			forget(n, &n->pairs[i]);
}

void hg_names_each(const struct hg_names *n,
		   void (*each)(void *ctx, const char *name, const struct hg_addr *addr,
				uint64_t expires_s, __u64 channels),
		   void *ctx)
{
	for (size_t i = 0; i < n->stats.limit; i++) {
		const struct pair *p = &n->pairs[i];

		if (p->name)
			each(ctx, p->name->text, &p->addr, p->expires_s, p->name->channels);
	}
}

void hg_names_stats(const struct hg_names *n, struct hg_names_stats *stats)
{
	*stats = n->stats;
}
