// SPDX-License-Identifier: MIT
/* Endpoints: filled by a replay, made into channels by learn-channels.c. Bounded: see the limit. */
#include "learn-endpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES (2 * HG_ENDPOINTS_MAX)
#define HOUR_NS (3600 * 1000000000ull)

int hg_endpoints_init(struct hg_endpoints *e)
{
	*e = (struct hg_endpoints){ .table = calloc(PLACES, sizeof(*e->table)) };
	return e->table ? 0 : -ENOMEM;
}

void hg_endpoints_exit(struct hg_endpoints *e)
{
	for (size_t i = 0; i < e->n_names; i++)
		free(e->names[i]);
	free(e->names);
	free(e->table);
	*e = (struct hg_endpoints){ 0 };
}

/* The place of an endpoint, which may be free. */
static struct hg_endpoint *place_of(struct hg_endpoints *e, const struct hg_flow_key *k)
{
	__u16 port = HG_NET16(k->remote_port);
	__u64 hash = port + k->proto * 65537u;
	struct hg_endpoint *p;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ k->remote.a[i]) * 0x9e3779b97f4a7c15ull;
	for (hash = (hash >> 40) % PLACES;; hash = (hash + 1) % PLACES) {
		p = &e->table[hash];
		if (!p->used || (p->port == port && p->proto == k->proto &&
				 !memcmp(&p->addr, &k->remote, sizeof(p->addr))))
			return p;
	}
}

/* Its one copy; NULL: no memory, or more names than endpoints can have. */
static const char *keep_name(struct hg_endpoints *e, const char *name)
{
	for (size_t i = 0; i < e->n_names; i++)
		if (!strcmp(e->names[i], name))
			return e->names[i];
	if (e->n_names == HG_ENDPOINTS_MAX)
		return NULL;
	if (e->n_names == e->room_names) {
		size_t room = e->room_names ? e->room_names * 2 : 64;
		char **names = realloc(e->names, room * sizeof(*names));

		if (!names)
			return NULL;
		e->names = names;
		e->room_names = room;
	}
	e->names[e->n_names] = strdup(name);
	return e->names[e->n_names] ? e->names[e->n_names++] : NULL;
}

static struct hg_endpoint *open_endpoint(struct hg_endpoints *e, const struct hg_flow_key *k,
					 __u64 time_ns, const struct hg_capture_peers *peers)
{
	struct hg_endpoint *p = place_of(e, k);

	if (p->used)
		return p;
	if (e->n == HG_ENDPOINTS_MAX) {
		e->left_out++;
		return NULL;
	}
	e->n++;
	*p = (struct hg_endpoint){
		.addr = k->remote,
		.port = HG_NET16(k->remote_port),
		.proto = k->proto,
		.used = true,
		.named_only = true,
		.channel = -1,
		.roles = hg_capture_peers_roles(peers, &k->remote),
		.first_ns = time_ns,
		.hour = ~0ull,
		.day = ~0ull,
	};
	return p;
}

static void note_opening(struct hg_endpoints *e, struct hg_endpoint *p, __u64 time_ns,
			 const char *name)
{
	p->flows++;
	p->last_ns = time_ns;
	p->hours += p->hour != time_ns / HOUR_NS;
	p->days += p->day != time_ns / HOUR_NS / 24;
	p->hour = time_ns / HOUR_NS;
	p->day = time_ns / HOUR_NS / 24;
	if (!name)
		p->named_only = false;
	else
		p->name = keep_name(e, name);
}

void hg_endpoints_packet(struct hg_endpoints *e, const struct hg_replayer_packet *p,
			 const struct hg_names *names, const struct hg_capture_peers *peers)
{
	const struct hg_flow_key *k = &p->packet->key;
	struct hg_endpoint *x;

	if (p->left_out || p->packet->kind != HG_PACKET_FLOW)
		return;
	if (p->opens) {
		x = open_endpoint(e, k, p->capture->time_ns, peers);
		if (x)
			note_opening(e, x, p->capture->time_ns, hg_names_name(names, &k->remote));
	} else {
		x = p->flow ? place_of(e, k) : NULL;
	}
	if (!x || !x->used)
		return;
	x->answered += p->answers;
	if (!p->capture->out)
		return;
	x->packets += p->packet->segments;
	x->bytes += p->packet->bytes;
}

static int by_flows(const void *a, const void *b)
{
	const struct hg_endpoint *x = *(struct hg_endpoint *const *)a;
	const struct hg_endpoint *y = *(struct hg_endpoint *const *)b;

	if (x->flows != y->flows)
		return x->flows < y->flows ? 1 : -1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

struct hg_endpoint **hg_endpoints_sorted(struct hg_endpoints *e)
{
	struct hg_endpoint **list = calloc(e->n + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list && i < PLACES; i++)
		if (e->table[i].used)
			list[n++] = &e->table[i];
	if (list)
		qsort(list, n, sizeof(*list), by_flows);
	return list;
}
