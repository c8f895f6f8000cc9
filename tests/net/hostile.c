// SPDX-License-Identifier: MIT
/*
 * Random frames by kind. A struct make says what is still to be decided for one packet: who sends
 * it, and whether it may be wrong. Each layer fills what it is given room for and returns its
 * length; lengths never pass `room`, so that what is written always fits the frame.
 */
#include "hostile.h"

#include <netinet/in.h>
#include <string.h>

#include "send.h"

const char *const hostile_names[HOSTILE_KINDS] = {
	[HOSTILE_IP] = "isic",	      [HOSTILE_TCP] = "tcpsic",		[HOSTILE_UDP] = "udpsic",
	[HOSTILE_ICMP] = "icmpsic",   [HOSTILE_FRAGMENT] = "fragments", [HOSTILE_LINK] = "esic",
	[HOSTILE_MUTANT] = "mutants",
};

struct make {
	const struct hostile_target *t;
	const struct hostile_flow *flow; /* NULL: a stranger */
	enum hostile_kind kind;
	bool good; /* nothing wrong in it */
	uint8_t src[16], dst[16];
	uint8_t proto;
};

static unsigned int below(unsigned int n)
{
	return (send_random() >> 32) % n;
}

static bool chance(const struct make *m, unsigned int percent)
{
	return !m->good && below(100) < percent;
}

static void fill_random(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = send_random() >> 40;
}

static uint32_t sum_pseudo(const struct make *m, size_t len)
{
	uint32_t sum = sum_add(0, m->src, m->t->size);

	return sum_add(sum, m->dst, m->t->size) + m->proto + len;
}

static size_t make_tcp(struct make *m, uint8_t *p, size_t room)
{
	static const uint8_t usual[] = { 0x02, 0x10, 0x11, 0x12, 0x14, 0x04, 0x18 };
	size_t options = chance(m, 50) ? 4 * below(11) : 0, len = 20 + options;

	fill_random(p, len);
	if (m->flow) {
		put16(p, m->flow->remote_port);
		put16(p + 2, m->flow->local_port);
	}
	p[12] = chance(m, 10) ? p[12] : (len / 4) << 4;
	p[13] = m->good || below(2) ? usual[below(sizeof(usual))] : p[13];
	if (below(2) && room > len) {
		size_t data = below(room - len < 200 ? room - len : 200);

		fill_random(p + len, data);
		len += data;
	}
	put16(p + 16, 0);
	put_sum(p + 16, sum_add(sum_pseudo(m, len), p, len) + chance(m, 10));
	return len;
}

static size_t make_udp(struct make *m, uint8_t *p, size_t room)
{
	size_t len = 8 + below(below(4) ? 64 : room - 8);

	fill_random(p, len);
	if (m->flow) {
		put16(p, m->flow->remote_port);
		put16(p + 2, m->flow->local_port);
	}
	if (!chance(m, 10))
		put16(p + 4, len);
	put16(p + 6, 0);
	if (m->t->size == 16 || below(4))
		put_sum(p + 6, sum_add(sum_pseudo(m, len), p, len) + chance(m, 10));
	return len;
}

/* The beginning of a packet that the device might have sent, as an ICMP error quotes it. */
static size_t make_quote(struct make *m, uint8_t *p, size_t room)
{
	size_t head = m->t->size == 4 ? 20 : 40, len = head + 8 + below(room - head - 8);

	fill_random(p, len);
	p[0] = m->t->size == 4 ? 0x45 : 0x60;
	put16(p + (m->t->size == 4 ? 2 : 4), m->t->size == 4 ? len : len - head);
	if (m->t->size == 4) {
		put16(p + 6, chance(m, 20) ? below(65536) : 0);
		p[9] = m->flow ? m->flow->proto : below(256);
		memcpy(p + 12, m->dst, 4);
		memcpy(p + 16, m->src, 4);
	} else {
		p[6] = m->flow ? m->flow->proto : below(256);
		memcpy(p + 8, m->dst, 16);
		memcpy(p + 24, m->src, 16);
	}
	if (m->flow) {
		put16(p + head, m->flow->local_port);
		put16(p + head + 2, m->flow->remote_port);
	}
	return len;
}

static size_t make_icmp(struct make *m, uint8_t *p, size_t room)
{
	static const uint8_t types4[] = { 0, 3, 4, 5, 8, 9, 11, 12, 13, 15, 17 };
	static const uint8_t types6[] = { 1,   2,   3,	 4,   128, 129, 130,
					  131, 132, 133, 134, 135, 136, 143 };
	size_t len = 8;

	fill_random(p, 8);
	if (m->good || below(4))
		p[0] = m->t->size == 4 ? types4[below(sizeof(types4))]
				       : types6[below(sizeof(types6))];
	if (m->good || below(2))
		p[1] = below(5);
	if (below(2)) {
		len += make_quote(m, p + 8, room - 8 < 200 ? room - 8 : 200);
	} else {
		size_t data = below(room - 8 < 100 ? room - 8 : 100);

		fill_random(p + 8, data);
		len += data;
	}
	put16(p + 2, 0);
	put_sum(p + 2, sum_add(m->t->size == 4 ? 0 : sum_pseudo(m, len), p, len) + chance(m, 10));
	return len;
}

/* What is carried: by kind, or of the flow that it pretends to belong to. */
static size_t make_load(struct make *m, uint8_t *p, size_t room)
{
	enum hostile_kind kind = m->kind;

	if (m->flow && m->kind != HOSTILE_ICMP)
		kind = m->flow->proto == IPPROTO_TCP ? HOSTILE_TCP : HOSTILE_UDP;
	else if (kind == HOSTILE_FRAGMENT || kind == HOSTILE_MUTANT || kind == HOSTILE_LINK)
		kind = HOSTILE_TCP + below(3);
	switch (kind) {
	case HOSTILE_TCP:
		m->proto = IPPROTO_TCP;
		return make_tcp(m, p, room);
	case HOSTILE_UDP:
		m->proto = IPPROTO_UDP;
		return make_udp(m, p, room);
	case HOSTILE_ICMP:
		m->proto = m->t->size == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		return make_icmp(m, p, room);
	default:
		m->proto = below(256);
		room = below(room < 1400 ? room : 1400);
		fill_random(p, room);
		return room;
	}
}

/* Offsets that collide: few values, by eights; some near the end of the largest datagram. */
static unsigned int fragment_offset(void)
{
	static const uint16_t offsets[] = { 0, 0, 0, 1, 2, 3, 8, 16, 185, 8000, 8180, 8191 };

	return offsets[below(sizeof(offsets) / sizeof(*offsets))];
}

static size_t make_ip4(struct make *m, uint8_t *p, size_t room)
{
	size_t head = 20 + (chance(m, 10) ? 4 * below(11) : 0), len;

	fill_random(p, head);
	len = head + make_load(m, p + head, room - head);
	if (m->kind == HOSTILE_FRAGMENT) {
		put16(p + 4, below(16));
		put16(p + 6, fragment_offset() | (below(3) ? 0x2000 : 0));
		len = head + below(below(3) ? 64 : len - head + 1);
	} else if (!chance(m, 30)) {
		put16(p + 6, below(2) ? 0x4000 : 0);
	}
	p[0] = (chance(m, 10) ? p[0] & 0xf0 : 0x40) | (chance(m, 5) ? p[0] & 15 : head / 4);
	if (!chance(m, 5))
		put16(p + 2, len);
	p[8] |= 1;
	p[9] = m->proto;
	memcpy(p + 12, m->src, 4);
	memcpy(p + 16, m->dst, 4);
	put16(p + 10, 0);
	put_sum(p + 10, sum_add(0, p, head) + chance(m, 5));
	return len;
}

/* One extension header; *next is the place where its own kind must stand. */
static size_t make_extension(struct make *m, uint8_t *p, uint8_t **next)
{
	static const uint8_t kinds[] = { 0, 43, 44, 51, 60, 59, 135, 139, 140 };
	uint8_t kind = kinds[below(sizeof(kinds))];
	size_t len = kind == 44 ? 8 : 8 * (1 + below(3));

	fill_random(p, len);
	**next = kind;
	*next = p;
	if (!chance(m, 10))
		p[1] = kind == 44 ? 0 : kind == 51 ? len / 4 - 2 : len / 8 - 1;
	if (kind == 44) {
		put16(p + 2, fragment_offset() << 3 | (below(2) ? 1 : 0));
		put16(p + 4, 0);
		put16(p + 6, below(16));
	}
	return len;
}

static size_t make_ip6(struct make *m, uint8_t *p, size_t room)
{
	uint8_t *next = p + 6;
	size_t at = 40, len;

	fill_random(p, 40);
	while (chance(m, 30) && at < 300)
		at += make_extension(m, p + at, &next);
	if (m->kind == HOSTILE_FRAGMENT) {
		*next = IPPROTO_FRAGMENT;
		next = p + at;
		put16(p + at, 0);
		put16(p + at + 2, fragment_offset() << 3 | (below(3) ? 1 : 0));
		put16(p + at + 4, 0);
		put16(p + at + 6, below(16));
		at += 8;
	}
	len = at + make_load(m, p + at, room - at);
	if (m->kind == HOSTILE_FRAGMENT)
		len = at + below(below(3) ? 64 : len - at + 1);
	*next = m->proto;
	p[0] = (chance(m, 10) ? p[0] & 0xf0 : 0x60) | (p[0] & 15);
	if (!chance(m, 5))
		put16(p + 4, len - 40);
	/* Neighbour discovery is believed with 255 only. */
	p[7] = m->kind == HOSTILE_ICMP && below(2) ? 255 : p[7] | 1;
	memcpy(p + 8, m->src, 16);
	memcpy(p + 24, m->dst, 16);
	return len;
}

/* Changes up to eight places: bits, bytes, lengths of 16 bits, a part moved, the end cut. */
static size_t mutate(uint8_t *p, size_t len)
{
	static const uint16_t edges[] = { 0, 1, 7, 8, 0x7fff, 0x8000, 0xfff8, 0xffff };

	for (unsigned int n = 1 + below(8); n && len > 1; n--) {
		size_t at = below(below(2) && len > 80 ? 80 : len - 1);

		switch (below(6)) {
		case 0:
			p[at] ^= 1 << below(8);
			break;
		case 1:
			p[at] = below(256);
			break;
		case 2:
			put16(p + at, edges[below(sizeof(edges) / sizeof(*edges))]);
			break;
		case 3:
			put16(p + at, below((unsigned int)len + 2));
			break;
		case 4:
			memmove(p + at, p + below((unsigned int)at + 1),
				below((unsigned int)(len - at)));
			break;
		default:
			if (!below(4))
				len = at + 1;
		}
	}
	return len;
}

/* Tags, sessions, lengths and anything else between the addresses and the packet. */
static size_t make_link(uint8_t *p, size_t room)
{
	static const uint16_t types[] = { 0x8100, 0x88a8, 0x9100, 0x8864, 0x8863, 0x0806, 0x888e,
					  0x88cc, 0x8847, 0x0800, 0x86dd, 0x05dc, 0x0000, 0xffff };
	size_t at = 0;

	do {
		put16(p + at,
		      below(4) ? types[below(sizeof(types) / sizeof(*types))] : below(65536));
		fill_random(p + at + 2, 2);
		at += below(2) ? 4 : 2;
	} while (below(2) && at + 8 < room && at < 40);
	if (below(4))
		put16(p + at - 2, below(2) ? 0x0800 : 0x86dd);
	return at;
}

size_t hostile_frame(uint8_t frame[HOSTILE_FRAME], const struct hostile_target *t,
		     enum hostile_kind kind)
{
	struct make m = { .t = t, .kind = kind, .good = kind == HOSTILE_MUTANT };
	size_t at = 12, len, room;

	fill_random(m.src, 16);
	if (t->size == 4)
		m.src[0] = 1 + m.src[0] % 126; /* unicast and not this host */
	else
		m.src[0] = 0x20;
	memcpy(m.dst, t->addr, 16);
	if (kind == HOSTILE_MUTANT && t->n_flows && below(2)) {
		m.flow = &t->flows[below(t->n_flows)];
		memcpy(m.src, m.flow->remote, 16);
	}
	if (m.good) /* cut into pieces or whole, or an error about it */
		m.kind = below(4) ? HOSTILE_MUTANT : below(2) ? HOSTILE_FRAGMENT : HOSTILE_ICMP;
	memcpy(frame, t->dst_mac, 6);
	memcpy(frame + 6, t->src_mac, 6);
	if (kind == HOSTILE_LINK) {
		at += make_link(frame + 12, 100);
	} else {
		put16(frame + 12, t->size == 4 ? 0x800 : 0x86dd);
		at += 2;
	}
	room = HOSTILE_FRAME - at;
	len = t->size == 4 ? make_ip4(&m, frame + at, room) : make_ip6(&m, frame + at, room);
	if (kind == HOSTILE_MUTANT)
		len = mutate(frame + at, len);
	if (kind == HOSTILE_LINK && below(4) == 0)
		len = below((unsigned int)len + 1);
	return at + len;
}
