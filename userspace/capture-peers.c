// SPDX-License-Identifier: MIT
/*
 * Peers of a captured device. Messages of DHCP, DHCPv6 and RFC 8106 are only looked through for
 * their lists of servers: each reader stops at the first thing that does not fit.
 */
#include "capture-peers.h"

#include <arpa/inet.h>
#include <string.h>
#include "../core/parse.h"

#define RESOLVERS_MAX 64 /* looked at */
#define GUESSED_MAX 3

enum { DHCP_SERVER = 67, DHCP_CLIENT = 68, DHCP6_SERVER = 547, DHCP6_CLIENT = 546, DNS = 53 };
enum { NTP = 123 };

struct resolver {
	struct hg_addr addr;
	__u64 asked, answered;
};

struct finder {
	struct hg_capture_peers *out;
	struct resolver resolvers[RESOLVERS_MAX];
	size_t n;
};

/* What a packet carries behind its transport header. */
struct payload {
	const __u8 *at;
	size_t n;
};

void hg_capture_peers_add(struct hg_capture_peers *p, const struct hg_addr *addr, __u8 proto,
			  __u16 port, enum hg_peer_role role)
{
	struct hg_peer peer = {
		.addr = *addr, .proto = proto, .port = (__be16)HG_NET16(port), .role = (__u8)role
	};

	for (size_t i = 0; i < p->n; i++)
		if (!memcmp(&p->list[i], &peer, sizeof(peer)))
			return;
	if (p->n < HG_PEERS_MAX)
		p->list[p->n++] = peer;
}

__u8 hg_capture_peers_roles(const struct hg_capture_peers *p, const struct hg_addr *addr)
{
	__u8 roles = 0;

	for (size_t i = 0; i < p->n; i++)
		if (hg_addr_equal(&p->list[i].addr, addr))
			roles |= p->list[i].role;
	return roles;
}

static void add_server(struct finder *f, const struct hg_addr *addr, enum hg_peer_role role)
{
	if (hg_capture_is_group(addr) || (hg_addr_is_ipv4(addr) && !addr->a[3]))
		return;
	if (role == HG_PEER_DNS)
		hg_capture_peers_add(f->out, addr, 0, DNS, role);
	else if (role == HG_PEER_NTP)
		hg_capture_peers_add(f->out, addr, HG_IP_UDP, NTP, role);
	else
		hg_capture_peers_add(f->out, addr, HG_IP_UDP, 0, role);
}

static void add_list(struct finder *f, const __u8 *at, size_t n, size_t size,
		     enum hg_peer_role role)
{
	struct hg_addr a;
	__be32 v4;

	for (; n >= size; at += size, n -= size) {
		if (size == 4) {
			memcpy(&v4, at, sizeof(v4));
			hg_addr_from_ipv4(&a, v4);
		} else {
			memcpy(&a, at, sizeof(a));
		}
		add_server(f, &a, role);
	}
}

/* RFC 2131 and 2132; only what is meant for this device's link address, if it is known. */
static void read_dhcp(struct finder *f, const struct payload *p,
		      const struct hg_capture_device *device)
{
	static const __u8 cookie[4] = { 99, 130, 83, 99 };
	size_t at = 240;

	if (p->n < at || p->at[0] != 2 || memcmp(p->at + 236, cookie, 4))
		return;
	if (device->has_mac && memcmp(p->at + 28, device->mac, 6))
		return;
	while (at + 2 <= p->n && p->at[at] != 255) {
		__u8 code = p->at[at];
		size_t n = p->at[at + 1];

		if (!code) {
			at++;
			continue;
		}
		at += 2;
		if (at + n > p->n)
			return;
		if (code == 6)
			add_list(f, p->at + at, n, 4, HG_PEER_DNS);
		else if (code == 42)
			add_list(f, p->at + at, n, 4, HG_PEER_NTP);
		else if (code == 54)
			add_list(f, p->at + at, n, 4, HG_PEER_DHCP);
		at += n;
	}
}

/* RFC 8415; option 23 of RFC 3646, 31 of RFC 4075. */
static void read_dhcp6(struct finder *f, const struct payload *p)
{
	size_t at = 4, n;
	__u16 code;

	if (p->n < at || (p->at[0] != 2 && p->at[0] != 7))
		return;
	for (; at + 4 <= p->n; at += n) {
		code = (__u16)(p->at[at] << 8 | p->at[at + 1]);
		n = (size_t)(p->at[at + 2] << 8 | p->at[at + 3]);
		at += 4;
		if (at + n > p->n)
			return;
		if (code == 23)
			add_list(f, p->at + at, n, 16, HG_PEER_DNS);
		else if (code == 31)
			add_list(f, p->at + at, n, 16, HG_PEER_NTP);
	}
}

/* RFC 4861 4.2, with option 25 of RFC 8106; p begins with the ICMP header. */
static void read_advertisement(struct finder *f, const struct payload *p)
{
	size_t at = 16, n;

	if (p->n < at || p->at[0] != 134)
		return;
	for (; at + 8 <= p->n; at += n) {
		n = p->at[at + 1] * 8u;
		if (!n || at + n > p->n)
			return;
		if (p->at[at] == 25)
			add_list(f, p->at + at + 8, n - 8, 16, HG_PEER_DNS);
	}
}

static struct resolver *resolver_of(struct finder *f, const struct hg_addr *addr, bool add)
{
	for (size_t i = 0; i < f->n; i++)
		if (hg_addr_equal(&f->resolvers[i].addr, addr))
			return &f->resolvers[i];
	if (!add || f->n == RESOLVERS_MAX || hg_capture_is_group(addr))
		return NULL;
	f->resolvers[f->n].addr = *addr;
	return &f->resolvers[f->n++];
}

static void read_dns(struct finder *f, const struct payload *p, const struct hg_packet *packet,
		     bool out)
{
	struct resolver *r = resolver_of(f, &packet->key.remote, out);
	/* Where the publisher has cut payloads off, a datagram back is an answer. */
	bool answer = p->n >= 12 ? p->at[2] & 0x80 : !out;

	if (!r)
		return;
	if (out)
		r->asked += !answer;
	else
		r->answered += r->asked && answer;
}

static struct payload payload_of(const struct hg_capture_packet *c, const struct hg_packet *p,
				 size_t header)
{
	const __u8 *at = c->frame.network + p->at * 4u + header;
	const __u8 *end = c->frame.data + c->captured;
	struct payload out = { at, 0 };

	if (end > c->frame.end)
		end = c->frame.end;
	if (p->left > header && at < end)
		out.n = (size_t)(end - at);
	if (out.n > p->left - header)
		out.n = p->left - header;
	return out;
}

static void read_packet(struct finder *f, const struct hg_capture_packet *c,
			const struct hg_capture_device *device)
{
	struct hg_packet packet;
	struct payload p;
	__u16 port;

	hg_packet_parse(&packet, &c->frame, c->out ? HG_PACKET_OUT : 0);
	if (packet.kind == HG_PACKET_ND && !c->out) {
		p = payload_of(c, &packet, 0);
		read_advertisement(f, &p);
	}
	if (packet.kind != HG_PACKET_FLOW || packet.key.proto != HG_IP_UDP || packet.left < 8)
		return;
	p = payload_of(c, &packet, 8);
	port = HG_NET16(packet.key.remote_port);
	if (port == DNS)
		read_dns(f, &p, &packet, c->out);
	else if (!c->out && port == DHCP_SERVER)
		read_dhcp(f, &p, device);
	else if (!c->out && port == DHCP6_SERVER && HG_NET16(packet.key.local_port) == DHCP6_CLIENT)
		read_dhcp6(f, &p);
}

static bool has_role(const struct hg_capture_peers *p, enum hg_peer_role role)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].role & role)
			return true;
	return false;
}

/* Nobody said which name servers there are: those that answered most. */
static void guess(struct finder *f)
{
	for (int k = 0; k < GUESSED_MAX; k++) {
		struct resolver *best = NULL;

		for (size_t i = 0; i < f->n; i++)
			if (f->resolvers[i].answered &&
			    (!best || f->resolvers[i].answered > best->answered))
				best = &f->resolvers[i];
		if (!best)
			return;
		add_server(f, &best->addr, HG_PEER_DNS);
		best->answered = 0;
		f->out->guessed = true;
	}
}

int hg_capture_peers_find(struct hg_capture *c, struct hg_capture_peers *out, char *err,
			  size_t err_size)
{
	struct hg_capture_peers found = { .n = 0 };
	struct finder f = { .out = &found };
	struct hg_capture_packet p;
	int ret;

	hg_capture_rewind(c);
	while ((ret = hg_capture_next(c, &p, err, err_size)) == 1)
		read_packet(&f, &p, hg_capture_current_device(c));
	if (ret)
		return ret;
	for (size_t i = 0; i < f.n; i++)
		if (f.resolvers[i].answered && hg_addr_is_local(&f.resolvers[i].addr))
			add_server(&f, &f.resolvers[i].addr, HG_PEER_DNS);
	if (!has_role(&found, HG_PEER_DNS))
		guess(&f);
	*out = found;
	return 0;
}
