/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A flow: what the device and one remote say to each other over one 5-tuple. It begins with a
 * packet of the device, never with one of the remote; its states and timeouts are here, its tables
 * belong to the host. Expiry is lazy: a flow past its timeout is not there, whatever the table
 * holds.
 *
 *   OPENING      only the device has sent
 *                -> ESTABLISHED by any packet back but a refusal
 *   ESTABLISHED  both have
 *                -> CLOSING by FIN both ways, RST of the device, or RST of the remote after a FIN
 *                   or RST of ours
 *   CLOSING      rests of a TCP connection
 *                -> OPENING by a SYN of the device
 *
 * One RST from outside ends nothing, for anybody can forge one; the device's stack judges it.
 */
#ifndef HG_CORE_FLOW_H
#define HG_CORE_FLOW_H

#include "packet.h"

/* Of hg_flow.tcp, low nibble sent by the device, high nibble received */
enum {
	HG_FLOW_FIN = 1,
	HG_FLOW_SYN = 2,
	HG_FLOW_RST = 4, /* received, of other protocols than TCP: refused by ICMP */
	HG_FLOW_ACK = 8,
	HG_FLOW_RECEIVED = 4, /* shift */
};

/* What a received packet was to its flow */
enum hg_flow_news {
	HG_NEWS_NONE = 0,
	HG_NEWS_ANSWERED,
	HG_NEWS_REFUSED,
};

static hg_inline __u8 hg_flow_tcp_flags(__u8 tcp)
{
	return (tcp & (HG_TCP_FIN | HG_TCP_SYN | HG_TCP_RST)) | (tcp & HG_TCP_ACK) >> 1;
}

static hg_inline __u32 hg_flow_timeout(const struct hg_guard_config *c, __u8 proto, __u8 state)
{
	switch (proto) {
	case HG_IP_TCP:
		if (state == HG_FLOW_ESTABLISHED)
			return c->tcp_established_s;
		return state == HG_FLOW_OPENING ? c->tcp_opening_s : c->tcp_closing_s;
	case HG_IP_UDP:
		return state == HG_FLOW_OPENING ? c->udp_one_way_s : c->udp_two_way_s;
	case HG_IP_ICMP:
	case HG_IP_ICMPV6:
		return c->icmp_s;
	}
	return c->other_s;
}

static hg_inline int hg_flow_is_alive(const struct hg_guard_config *c, __u8 proto,
				      const struct hg_flow *f, __u32 now_s)
{
	/* Another processor may have seen the next second already. */
	return (__s32)(now_s - f->last_s) <= (__s32)hg_flow_timeout(c, proto, f->state);
}

/* May this packet of the device begin a flow? Answers to others' openings and refusals may not. */
static hg_inline int hg_flow_may_open(const struct hg_packet *p)
{
	if (p->key.proto == HG_IP_TCP)
		return !(p->tcp & HG_TCP_RST) &&
		       (p->tcp & (HG_TCP_SYN | HG_TCP_ACK)) != (HG_TCP_SYN | HG_TCP_ACK);
	return !(p->flags & HG_PACKET_ANSWER);
}

/* Does this packet of the device begin a new flow in the place of f, which has the same key? */
static hg_inline int hg_flow_reopens(const struct hg_packet *p, const struct hg_flow *f)
{
	if (p->key.proto != HG_IP_TCP || !(p->tcp & HG_TCP_SYN) || p->tcp & HG_TCP_ACK)
		return 0;
	return f->state != HG_FLOW_OPENING || f->tcp & HG_FLOW_RST << HG_FLOW_RECEIVED;
}

/*
 * A new flow by packet p, which was matched. Without packets_out nothing may come in either. Where
 * the remote has begun it, there is no answer to wait for.
 */
static hg_inline void hg_flow_open(struct hg_flow *f, const struct hg_packet *p, __u32 generation,
				   __u32 now_s)
{
	f->bytes_out = p->refused ? 0 : p->bytes;
	f->bytes_in = 0;
	f->opened_s = now_s;
	f->last_s = now_s;
	f->packets_out = p->refused ? 0 : p->segments;
	f->packets_in = 0;
	f->channel = p->channel;
	f->roles = p->roles;
	f->state = p->theirs ? HG_FLOW_ESTABLISHED : HG_FLOW_OPENING;
	f->tcp = p->key.proto == HG_IP_TCP && !p->refused ? hg_flow_tcp_flags(p->tcp) : 0;
	f->generation = generation;
}

static hg_inline int hg_flow_closes(__u8 tcp)
{
	__u8 sent = tcp & 15, received = tcp >> HG_FLOW_RECEIVED;

	if (sent & HG_FLOW_RST)
		return 1;
	return sent & HG_FLOW_FIN && received & (HG_FLOW_FIN | HG_FLOW_RST);
}

/* One more packet of the device. One that does not get out only keeps the flow alive. */
static hg_inline void hg_flow_send(struct hg_flow *f, const struct hg_packet *p, __u32 now_s)
{
	f->last_s = now_s;
	if (p->refused)
		return;
	f->bytes_out += p->bytes;
	f->packets_out += p->segments;
	if (p->key.proto != HG_IP_TCP)
		return;
	f->tcp |= hg_flow_tcp_flags(p->tcp);
	if (hg_flow_closes(f->tcp))
		f->state = HG_FLOW_CLOSING;
}

/* Is this TCP packet of the remote possible in the flow's state? */
static hg_inline int hg_flow_tcp_fits(const struct hg_flow *f, __u8 tcp)
{
	if (tcp & HG_TCP_SYN) /* SYN-ACK answers a SYN; a bare SYN would open from outside */
		return tcp & HG_TCP_ACK && f->tcp & HG_FLOW_SYN && f->state != HG_FLOW_CLOSING;
	if (tcp & HG_TCP_RST && f->state == HG_FLOW_OPENING) /* RFC 9293 3.10.7.3 */
		return tcp & HG_TCP_ACK || !(f->tcp & HG_FLOW_SYN);
	return 1;
}

/*
 * A packet of the remote, of a flow that is alive. Returns PASS_FLOW or DROP_STATE; *news says what
 * it was. What comes in while closing does not lengthen the flow's life.
 */
static hg_inline int hg_flow_receive(struct hg_flow *f, const struct hg_packet *p, __u32 now_s,
				     int *news)
{
	__u8 tcp = p->key.proto == HG_IP_TCP ? p->tcp : 0;
	int opening = f->state == HG_FLOW_OPENING;

	*news = HG_NEWS_NONE;
	if (p->key.proto == HG_IP_TCP && !hg_flow_tcp_fits(f, tcp))
		return HG_DROP_STATE;
	f->bytes_in += p->bytes;
	f->packets_in += p->segments;
	if (f->state != HG_FLOW_CLOSING)
		f->last_s = now_s;
	if (opening && tcp & HG_TCP_RST) {
		if (!(f->tcp & HG_FLOW_RST << HG_FLOW_RECEIVED))
			*news = HG_NEWS_REFUSED;
	} else if (opening) {
		*news = HG_NEWS_ANSWERED;
		f->state = HG_FLOW_ESTABLISHED;
	}
	if (tcp) {
		f->tcp |= hg_flow_tcp_flags(tcp) << HG_FLOW_RECEIVED;
		if (hg_flow_closes(f->tcp))
			f->state = HG_FLOW_CLOSING;
	}
	return HG_PASS_FLOW;
}

/* An ICMP error said "nobody there". True if that is news. */
static hg_inline int hg_flow_refuse(struct hg_flow *f)
{
	if (f->state != HG_FLOW_OPENING || f->tcp & HG_FLOW_RST << HG_FLOW_RECEIVED)
		return 0;
	f->tcp |= HG_FLOW_RST << HG_FLOW_RECEIVED;
	return 1;
}

#endif
