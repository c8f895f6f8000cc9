// SPDX-License-Identifier: MIT
/*
 * The device of a capture. A finder keeps, for each link address (each IP address where there are
 * none), how many frames it is on one end of, how many flows it opens, and what a router does: it
 * gets frames for many networks, and brings those of global addresses to private ones.
 *
 * The device is who is on one end of nearly all frames between two hosts; if two are (a device and
 * its router, with one server behind it), the one that opens the flows. In a capture of a whole
 * network nobody is: then the one that opens nearly all flows.
 */
#include "capture-finder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../core/parse.h"

#define HOSTS 4096     /* in the table; it is pruned when half full */
#define TUPLES 65536   /* fingerprints of flows that have been seen */
#define NETWORKS_MAX 4 /* for which frames are sent to a host that is no router */
#define NEARLY_ALL(n, all) ((n)*100 >= (all)*95)
#define MOST(n, all) ((n)*100 >= (all)*90)
#define LISTED 5 /* hosts in a message */

struct host {
	__u64 frames; /* between two hosts, it being one */
	__u64 opened;
	__u64 forwarded;   /* IPv4 frames that it sent from a global address to a private one */
	struct hg_addr id; /* IP address, or link address in its first six bytes */
	struct hg_addr own[HG_CAPTURE_ADDRS_MAX];
	struct hg_addr networks[NETWORKS_MAX + 1];
	__u8 n_own, n_networks;
	__u8 mac[6]; /* of an IP address: whom it was sent by */
	bool used;
};

struct hg_capture_finder {
	enum hg_capture_link link;
	__u64 frames[2]; /* between two hosts; where IP addresses are the hosts: IPv4, IPv6 */
	size_t n_hosts;
	struct host hosts[HOSTS];
	__u32 tuples[TUPLES];
};

struct hg_capture_finder *hg_capture_finder_new(enum hg_capture_link link)
{
	struct hg_capture_finder *f = calloc(1, sizeof(*f));

	if (f)
		f->link = link;
	return f;
}

void hg_capture_finder_free(struct hg_capture_finder *f)
{
	free(f);
}

static __u32 hash_bytes(const void *data, size_t n)
{
	const __u8 *b = data;
	__u32 hash = 2166136261u;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ b[i]) * 16777619u;
	return hash;
}

static struct host *place_of(struct hg_capture_finder *f, const struct hg_addr *id)
{
	__u32 i = hash_bytes(id, sizeof(*id)) % HOSTS;

	while (f->hosts[i].used && memcmp(&f->hosts[i].id, id, sizeof(*id)))
		i = (i + 1) % HOSTS;
	return &f->hosts[i];
}

/* Half full: those with the fewest frames make room. */
static void prune(struct hg_capture_finder *f)
{
	struct host *old = malloc(sizeof(f->hosts));
	__u64 least = 1;

	if (!old)
		return; /* it stays as full as it is: host_of() says NULL when it must */
	memcpy(old, f->hosts, sizeof(f->hosts));
	while (f->n_hosts > HOSTS / 4) {
		least *= 2;
		f->n_hosts = 0;
		for (size_t i = 0; i < HOSTS; i++)
			f->n_hosts += old[i].used && old[i].frames >= least;
	}
	memset(f->hosts, 0, sizeof(f->hosts));
	for (size_t i = 0; i < HOSTS; i++)
		if (old[i].used && old[i].frames >= least)
			*place_of(f, &old[i].id) = old[i];
	free(old);
}

static struct host *host_of(struct hg_capture_finder *f, const struct hg_addr *id)
{
	struct host *h = place_of(f, id);

	if (!h->used) {
		if (f->n_hosts > HOSTS / 2) {
			prune(f);
			h = place_of(f, id);
		}
		if (f->n_hosts > HOSTS - 2)
			return NULL;
		f->n_hosts++;
		h->id = *id;
		h->used = true;
	}
	return h;
}

static void id_of_mac(const __u8 *mac, struct hg_addr *id)
{
	memset(id, 0, sizeof(*id));
	memcpy(id, mac, 6);
}

/* Is this packet the first of its flow? Of UDP and echo it is the first of either direction. */
static bool begins_flow(struct hg_capture_finder *f, const struct hg_packet *p)
{
	struct {
		struct hg_addr addr;
		__be16 port;
	} __attribute__((packed)) a = { p->key.local, p->key.local_port },
				  b = { p->key.remote, p->key.remote_port };
	__u32 hash;

	if (p->key.proto == HG_IP_TCP)
		return (p->tcp & (HG_TCP_SYN | HG_TCP_ACK)) == HG_TCP_SYN;
	if (p->kind != HG_PACKET_FLOW || p->flags & HG_PACKET_ANSWER)
		return false;
	hash = (hash_bytes(&a, sizeof(a)) + hash_bytes(&b, sizeof(b))) ^ (__u32)p->key.proto << 24;
	if (f->tuples[hash % TUPLES] == (hash | 1))
		return false;
	f->tuples[hash % TUPLES] = hash | 1;
	return true;
}

/* What a host receives for: IPv4 by /16, IPv6 by /48, for addresses of one home change. */
static void add_network(struct host *h, const struct hg_addr *to)
{
	struct hg_addr net = *to;

	if (hg_capture_is_group(to) || h->n_networks > NETWORKS_MAX)
		return;
	if (hg_addr_is_ipv4(to)) {
		net.a[3] &= htonl(0xffff0000);
	} else {
		net.a[1] &= htonl(0xffff0000);
		net.a[2] = net.a[3] = 0;
	}
	if (!hg_capture_has_addr(h->networks, h->n_networks, &net))
		h->networks[h->n_networks++] = net;
}

static void add_own(struct host *h, const struct hg_addr *from)
{
	if (h->n_own == HG_CAPTURE_ADDRS_MAX ||
	    !(from->a[0] | from->a[1] | from->a[2] | from->a[3]))
		return;
	if (hg_addr_is_ipv4(from) && !from->a[3])
		return;
	if (!hg_capture_has_addr(h->own, h->n_own, from))
		h->own[h->n_own++] = *from;
}

/* No host with a global address has one with a private one on its link: a router is between. */
static bool is_forwarded(const struct hg_packet *p)
{
	return hg_addr_is_ipv4(&p->key.local) && p->key.local.a[3] &&
	       !hg_addr_is_local(&p->key.local) && hg_addr_is_local(&p->key.remote);
}

static void add_by_mac(struct hg_capture_finder *f, const struct hg_capture_record *r,
		       const struct hg_packet *p)
{
	bool group = r->to[0] & 1;
	struct hg_addr id;
	struct host *h;

	id_of_mac(r->from, &id);
	h = r->from[0] & 1 ? NULL : host_of(f, &id);
	if (h) {
		h->frames += !group;
		h->forwarded += p && !group && is_forwarded(p);
		if (p)
			add_own(h, &p->key.local);
		h->opened += p && begins_flow(f, p);
	}
	if (group)
		return;
	f->frames[0]++;
	id_of_mac(r->to, &id);
	h = host_of(f, &id);
	if (!h)
		return;
	h->frames++;
	if (p)
		add_network(h, &p->key.remote);
}

static void add_by_addr(struct hg_capture_finder *f, const struct hg_capture_record *r,
			const struct hg_packet *p)
{
	struct host *h = host_of(f, &p->key.local);
	bool group = hg_capture_is_group(&p->key.remote);

	if (h) {
		h->frames += !group;
		add_own(h, &p->key.local);
		h->opened += begins_flow(f, p);
		if (r->from)
			memcpy(h->mac, r->from, 6);
	}
	if (group)
		return;
	f->frames[!hg_addr_is_ipv4(&p->key.local)]++;
	h = host_of(f, &p->key.remote);
	if (h)
		h->frames++;
}

void hg_capture_finder_add(struct hg_capture_finder *f, const struct hg_capture_record *r)
{
	struct hg_packet p;
	bool ip = hg_capture_read_ip(r, &p);

	if (f->link == HG_CAPTURE_ETHERNET && r->from)
		add_by_mac(f, r, ip ? &p : NULL);
	else if (f->link != HG_CAPTURE_ETHERNET && ip)
		add_by_addr(f, r, &p);
}

static bool by_mac(const struct hg_capture_finder *f)
{
	return f->link == HG_CAPTURE_ETHERNET;
}

static int family_of(const struct hg_capture_finder *f, const struct host *h)
{
	return !by_mac(f) && !hg_addr_is_ipv4(&h->id);
}

static bool is_router(const struct host *h)
{
	return h->n_networks > NETWORKS_MAX || h->forwarded * 10 > h->frames;
}

/* Can it be the device? A router cannot, nor 0.0.0.0, nor who has sent nothing. */
static bool is_candidate(const struct hg_capture_finder *f, const struct host *h, int family)
{
	return h->used && family_of(f, h) == family && !is_router(h) && (by_mac(f) || h->n_own);
}

/*
 * The candidate that opens most flows, with on_all of those on nearly all frames. *second: how many
 * the next one opens; *sum: how many all do.
 */
static struct host *most_opened(struct hg_capture_finder *f, int family, bool on_all, __u64 *second,
				__u64 *sum)
{
	struct host *best = NULL;

	*second = *sum = 0;
	for (size_t i = 0; i < HOSTS; i++) {
		struct host *h = &f->hosts[i];

		if (!is_candidate(f, h, family) ||
		    (on_all && !NEARLY_ALL(h->frames, f->frames[family])))
			continue;
		*sum += h->opened;
		if (!best || h->opened > best->opened ||
		    (h->opened == best->opened && h->frames > best->frames)) {
			*second = best ? best->opened : 0;
			best = h;
		} else if (h->opened > *second) {
			*second = h->opened;
		}
	}
	return best;
}

/* The one host of the family that can be the device; NULL if there is none, or no single one. */
static struct host *pick(struct hg_capture_finder *f, int family)
{
	__u64 second, sum;
	struct host *h = most_opened(f, family, true, &second, &sum);

	if (h)
		return second * 2 > h->opened ? NULL : h;
	h = most_opened(f, family, false, &second, &sum);
	if (!h || !MOST(h->opened, sum) || h->frames * 2 < f->frames[family])
		return NULL;
	return h;
}

static void add_addr(struct hg_capture_device *d, const struct hg_addr *a)
{
	if (d->n_addrs < HG_CAPTURE_ADDRS_MAX && !hg_capture_has_addr(d->addrs, d->n_addrs, a))
		d->addrs[d->n_addrs++] = *a;
}

/* Where IP addresses are the hosts: those sent from the same link address belong together. */
static void add_siblings(struct hg_capture_finder *f, struct hg_capture_device *d, const __u8 *mac)
{
	for (size_t i = 0; i < HOSTS && f->link == HG_CAPTURE_COOKED; i++)
		if (f->hosts[i].n_own && !memcmp(f->hosts[i].mac, mac, 6))
			add_addr(d, &f->hosts[i].id);
}

/* Raw IP: further IPv6 addresses of the same network that open flows (temporary ones, RFC 8981). */
static void add_temporary(struct hg_capture_finder *f, struct hg_capture_device *d)
{
	for (size_t i = 0; i < HOSTS && f->link == HG_CAPTURE_RAW; i++) {
		const struct host *h = &f->hosts[i];

		if (!h->opened || hg_addr_is_ipv4(&h->id))
			continue;
		for (size_t k = 0; k < d->n_addrs; k++)
			if (!hg_addr_is_ipv4(&d->addrs[k]) &&
			    hg_addr_in_prefix(&h->id, &d->addrs[k], 64))
				add_addr(d, &h->id);
	}
}

static void take(struct hg_capture_device *d, const struct host *h)
{
	d->has_mac = true;
	memcpy(d->mac, &h->id, 6);
	for (size_t i = 0; i < h->n_own; i++)
		add_addr(d, &h->own[i]);
}

static void list_host(const struct hg_capture_finder *f, const struct host *h, char *out,
		      size_t size)
{
	char id[INET6_ADDRSTRLEN], addr[INET6_ADDRSTRLEN + 2] = "";

	if (by_mac(f)) {
		hg_capture_mac_text((const __u8 *)&h->id, id, sizeof(id));
		strcpy(addr, ", ");
		if (h->n_own)
			hg_capture_addr_text(&h->own[0], addr + 2, sizeof(addr) - 2);
	} else {
		hg_capture_addr_text(&h->id, id, sizeof(id));
	}
	snprintf(out, size, "%s (%llu frames, opens %llu flows%s%s)", id,
		 (unsigned long long)h->frames, (unsigned long long)h->opened,
		 h->n_own || !by_mac(f) ? addr : "", is_router(h) ? ", a router" : "");
}

static void list_hosts(struct hg_capture_finder *f, char *err, size_t err_size)
{
	bool listed[HOSTS] = { false };
	size_t n = strlen(err);

	for (int k = 0; k < LISTED; k++) {
		size_t best = HOSTS;

		for (size_t i = 0; i < HOSTS; i++)
			if (f->hosts[i].used && !listed[i] &&
			    (best == HOSTS || f->hosts[i].frames > f->hosts[best].frames))
				best = i;
		if (best == HOSTS || n + 4 >= err_size)
			return;
		listed[best] = true;
		n += (size_t)snprintf(err + n, err_size - n, "%s", k ? "; " : "");
		list_host(f, &f->hosts[best], err + n, err_size - n);
		n = strlen(err);
	}
}

static int find_any(struct hg_capture_finder *f, struct hg_capture_device *out, char *err,
		    size_t err_size)
{
	struct hg_capture_device d = { 0 };
	struct host *h = pick(f, 0);

	if (h && by_mac(f)) {
		take(&d, h);
		*out = d;
		return 0;
	}
	if (h) {
		add_addr(&d, &h->id);
		add_siblings(f, &d, h->mac);
	}
	h = by_mac(f) ? NULL : pick(f, 1);
	if (h) {
		add_addr(&d, &h->id);
		add_siblings(f, &d, h->mac);
		add_temporary(f, &d);
	}
	if (d.n_addrs) {
		*out = d;
		return 0;
	}
	if (!f->n_hosts) {
		snprintf(err, err_size, "no packets of any host");
		return -ENOENT;
	}
	snprintf(err, err_size, "no single device; choose one with --device: ");
	list_hosts(f, err, err_size);
	return -EEXIST;
}

/* An IP address on Ethernet stands for the link address that it is sent from, if no router's. */
static bool find_by_addr(struct hg_capture_finder *f, const struct hg_capture_device *wanted,
			 struct hg_capture_device *d)
{
	struct hg_addr id;

	for (size_t i = 0; i < HOSTS; i++) {
		const struct host *h = &f->hosts[i];

		for (size_t k = 0; h->used && k < wanted->n_addrs; k++) {
			if (!hg_capture_has_addr(h->own, h->n_own, &wanted->addrs[k]))
				continue;
			if (!by_mac(f) || is_router(h)) {
				*d = *wanted;
				return true;
			}
			take(d, h);
			id = wanted->addrs[k];
			add_addr(d, &id);
			return true;
		}
	}
	return false;
}

static bool find_by_mac(struct hg_capture_finder *f, const struct hg_capture_device *wanted,
			struct hg_capture_device *d)
{
	struct hg_addr id;
	struct host *h;

	if (!by_mac(f)) {
		add_siblings(f, d, wanted->mac);
		d->has_mac = d->n_addrs > 0;
		memcpy(d->mac, wanted->mac, 6);
		return d->n_addrs > 0;
	}
	id_of_mac(wanted->mac, &id);
	h = place_of(f, &id);
	if (h->used)
		take(d, h);
	return h->used;
}

int hg_capture_finder_find(struct hg_capture_finder *f, const struct hg_capture_device *wanted,
			   struct hg_capture_device *out, char *err, size_t err_size)
{
	struct hg_capture_device d = { 0 };
	char text[HG_CAPTURE_DEVICE_TEXT];

	if (!wanted)
		return find_any(f, out, err, err_size);
	if (wanted->has_mac && f->link == HG_CAPTURE_RAW) {
		snprintf(err, err_size,
			 "has no link addresses; give the device's IP addresses with --device");
		return -ENOENT;
	}
	if (wanted->has_mac ? find_by_mac(f, wanted, &d) : find_by_addr(f, wanted, &d)) {
		*out = d;
		return 0;
	}
	snprintf(err, err_size,
		 "no packet of the device %s; there are: ", hg_capture_device_text(wanted, text));
	list_hosts(f, err, err_size);
	return -ENOENT;
}
