// SPDX-License-Identifier: MIT
/*
 * Targets: the detector fills one struct hg_targets from the guard's flow tables when an alarm is
 * to be sent, and this file sums it up. A flood names the hosts it hits; a scan of many hosts names
 * the longest prefixes, four at most, that hold most of them. IPv4 and IPv6 are not mixed in one
 * alarm: the family with more packets is told, the other one breaks its own bound soon enough.
 */
#include "targets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MANY_HOSTS 8 /* from which hosts are told as prefixes */

/* What the groups reported must hold of all hosts, in eighths. */
#define COVER_EIGHTHS 7

struct group {
	struct hg_addr addr;
	uint64_t packets;
	uint32_t hosts, ports;
	uint16_t port;
	uint8_t proto;
};

static bool is_v4(const struct hg_addr *a)
{
	return !a->a[0] && !a->a[1] && a->a[2] == htonl(0xffff);
}

void hg_targets_add(struct hg_targets *t, const struct hg_flow_key *key, uint32_t packets)
{
	struct hg_target_flow *f;

	if (t->n == HG_TARGETS_FLOWS_MAX)
		return;
	f = &t->flows[t->n++];
	f->addr = key->remote;
	f->port = ntohs(key->remote_port);
	f->proto = key->proto;
	f->packets = packets;
	if (t->n == 1 || packets > t->local_packets) {
		t->local = key->local;
		t->local_packets = packets;
	}
}

static int by_address(const void *a, const void *b)
{
	const struct hg_target_flow *x = a, *y = b;
	int c = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (c)
		return c;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return (int)x->proto - (int)y->proto;
}

/* The first `len` bits (of 128) of *a, the rest zero. */
static struct hg_addr prefix_of(const struct hg_addr *a, unsigned int len)
{
	struct hg_addr p = *a;
	uint8_t *b = (uint8_t *)&p;

	for (unsigned int i = (len + 7) / 8; i < 16; i++)
		b[i] = 0;
	if (len % 8)
		b[len / 8] &= (uint8_t)(0xff00 >> len % 8);
	return p;
}

/* Keeps the flows of the family with more packets. */
static void one_family(struct hg_targets *t)
{
	uint64_t packets[2] = { 0, 0 };
	size_t n = 0;
	bool v4;

	for (size_t i = 0; i < t->n; i++)
		packets[is_v4(&t->flows[i].addr)] += t->flows[i].packets;
	v4 = packets[1] >= packets[0];
	for (size_t i = 0; i < t->n; i++)
		if (is_v4(&t->flows[i].addr) == v4)
			t->flows[n++] = t->flows[i];
	t->n = n;
}

/* Puts g among the best HG_ALARM_TARGETS_MAX, by `weight`, largest first. */
static void keep_best(struct group *best, size_t *n, const struct group *g, bool by_hosts)
{
	size_t i = *n;
	uint64_t weight = by_hosts ? g->hosts : g->packets;

	while (i > 0 && weight > (by_hosts ? best[i - 1].hosts : best[i - 1].packets))
		i--;
	if (i == HG_ALARM_TARGETS_MAX)
		return;
	if (*n < HG_ALARM_TARGETS_MAX)
		++*n;
	memmove(&best[i + 1], &best[i], (*n - i - 1) * sizeof(best[0]));
	best[i] = *g;
}

/*
 * Groups the sorted flows by prefixes of `len` bits; fills best[], returns the number of groups and
 * in *covered the hosts that best[] holds.
 */
static size_t group_by(const struct hg_targets *t, unsigned int len, struct group *best,
		       size_t *n_best, uint32_t *covered)
{
	size_t groups = 0, i = 0;

	*n_best = 0;
	while (i < t->n) {
		struct group g = { .addr = prefix_of(&t->flows[i].addr, len),
				   .port = t->flows[i].port,
				   .proto = t->flows[i].proto };
		const struct hg_target_flow *last = NULL;

		for (; i < t->n; i++) {
			const struct hg_target_flow *f = &t->flows[i];
			struct hg_addr p = prefix_of(&f->addr, len);
			bool host = !last || memcmp(&last->addr, &f->addr, sizeof(f->addr));

			if (memcmp(&p, &g.addr, sizeof(p)))
				break;
			g.hosts += host;
			g.ports += host || f->port != last->port || f->proto != last->proto;
			g.packets += f->packets;
			if (f->port != g.port)
				g.port = 0;
			if (f->proto != g.proto)
				g.proto = g.port = 0;
			last = f;
		}
		groups++;
		keep_best(best, n_best, &g, len < 128);
	}
	*covered = 0;
	for (i = 0; i < *n_best; i++)
		*covered += best[i].hosts;
	return groups;
}

static void put_target(struct hg_alarm *alarm, const struct group *g, unsigned int len)
{
	struct hg_alarm_target *out = &alarm->targets[alarm->n_targets++];
	bool v4 = is_v4(&g->addr); /* also of its prefixes: they are of 96 bits or more */

	memset(out, 0, sizeof(*out));
	out->family = v4 ? 4 : 6;
	out->prefix_len = (uint8_t)(v4 ? len - 96 : len);
	memcpy(out->addr, v4 ? (const uint8_t *)&g->addr + 12 : (const uint8_t *)&g->addr,
	       v4 ? 4 : 16);
	out->proto = g->proto;
	out->port = g->port;
	out->packets = g->packets > UINT32_MAX ? UINT32_MAX : (uint32_t)g->packets;
}

/*
 * A flood's other flows (name lookups, the rest of the channel) must not stand beside its target.
 */
static void put_hosts(struct hg_alarm *alarm, const struct group *best, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!i || best[i].packets >= best[0].packets / 8)
			put_target(alarm, &best[i], 128);
}

static void put_prefixes(const struct hg_targets *t, struct hg_alarm *alarm, uint32_t hosts,
			 bool v4)
{
	static const uint8_t lengths4[] = { 120, 112, 104, 96 }, lengths6[] = { 64, 48, 32, 0 };
	const uint8_t *lengths = v4 ? lengths4 : lengths6;
	struct group best[HG_ALARM_TARGETS_MAX];
	uint32_t covered = 0;
	size_t n = 0, i = 0;

	for (; i < 4; i++) {
		group_by(t, lengths[i], best, &n, &covered);
		if ((uint64_t)covered * 8 >= (uint64_t)hosts * COVER_EIGHTHS)
			break;
	}
	for (size_t k = 0; k < n; k++)
		if (!k || best[k].hosts >= best[0].hosts / 8)
			put_target(alarm, &best[k], lengths[i]);
}

void hg_targets_sum(struct hg_targets *t, struct hg_alarm *alarm)
{
	struct group best[HG_ALARM_TARGETS_MAX] = { 0 };
	uint64_t packets = 0;
	uint32_t covered;
	size_t hosts, n;
	bool v4;

	alarm->n_targets = 0;
	alarm->self_family = 0;
	one_family(t);
	if (!t->n)
		return;
	v4 = is_v4(&t->flows[0].addr);
	if (is_v4(&t->local) == v4) {
		alarm->self_family = v4 ? 4 : 6;
		memset(alarm->self_addr, 0, sizeof(alarm->self_addr));
		memcpy(alarm->self_addr, (const uint8_t *)&t->local + (v4 ? 12 : 0), v4 ? 4 : 16);
	}
	for (size_t i = 0; i < t->n; i++)
		packets += t->flows[i].packets;
	qsort(t->flows, t->n, sizeof(t->flows[0]), by_address);
	hosts = group_by(t, 128, best, &n, &covered);

	/* One host has half of the packets: it is the target, however many others there are. */
	if (hosts < MANY_HOSTS || (best[0].packets * 2 >= packets && best[0].packets > hosts))
		put_hosts(alarm, best, n);
	else
		put_prefixes(t, alarm, (uint32_t)hosts, v4);
}
