/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The verdict about one packet, with its reason. hg_verdict_out() learns flows from what the device
 * sends, and passes everything unless it is asked to confine or police; hg_verdict_in() lets in
 * what belongs to those flows, and what a host needs to have an address. Neither reads more than
 * the packet and the host's tables.
 *
 * Included after the host's functions of host.h.
 */
#ifndef HG_CORE_VERDICT_H
#define HG_CORE_VERDICT_H

#include "addr.h"
#include "flow.h"
#include "host.h"
#include "match.h"
#include "police.h"
#include "rate.h"
#include "spots.h"

#define HG_FRAGMENT_S 30     /* as long as Linux waits for the rest (ipfrag_time) */
#define HG_DHCP_ASKED_S 64   /* longest wait of a client between two tries, RFC 2131 4.1 */
#define HG_EVENTS_PER_S 1000 /* what a slow reader on a small device still reads */
#define HG_ANSWERS_PER_S 50  /* a device asks for a dozen names when it starts */
#define HG_KEPT_TRIES 8	     /* flows looked at to find one that is over */
#define HG_LATE_S 10	     /* so long may it take until a name is known for an opening */

/* Keyed: who does not know the seed cannot aim at a slot. */
static hg_inline __u32 hg_key_hash(__u64 seed, const struct hg_flow_key *k)
{
	__u64 x = seed ^ hg_addr_high(&k->remote);

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	x ^= hg_addr_low(&k->remote);
	x = (x ^ x >> 32) * 0x94d049bb133111ebull;
	x ^= (__u64)(hg_force __u16)k->local_port << 32;
	x ^= (__u64)(hg_force __u16)k->remote_port << 8 | k->proto;
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
	return x >> 32;
}

static hg_inline int hg_judge_rate(struct hg_host *h, const struct hg_packet *p, __u32 kind,
				   int reason)
{
	__u32 group = p->flags & HG_PACKET_GROUP ? 1 : 0;

	if (!hg_rate_allows(h, kind + group, hg_host_config(h)->config_rate, hg_host_seconds(h)))
		return HG_DROP_RATE;
	return reason;
}

static hg_inline int hg_was_lately(__u32 then_s, __u32 now_s, __u32 lately_s)
{
	return then_s && (__s32)(now_s - then_s) <= (__s32)lately_s;
}

static hg_inline enum hg_table hg_table_for(__u8 channel, __u8 roles)
{
	if (roles & (HG_PEER_MIRROR | HG_PEER_COLLECTOR))
		return HG_TABLE_KEPT;
	return channel || roles ? HG_TABLE_INSIDE : HG_TABLE_OUTSIDE;
}

/* Where what this key's flow had last is noted; found once for a packet. NULL: BPF only. */
static hg_inline __u32 *hg_slot_of(struct hg_host *h, const struct hg_flow_key *k)
{
	return hg_host_slot(h, hg_key_hash(hg_host_config(h)->seed, k));
}

/* Notes that something with the slot's key had traffic. */
static hg_inline void hg_slot_mark(struct hg_host *h, __u32 *slot, __u32 now_s, enum hg_table t)
{
	struct hg_moments *m = hg_host_moments(h);
	__u32 used = (now_s ? now_s : 1) << HG_SLOT_BITS | t;

	/* Written only when it changes: otherwise the line would travel between processors. */
	if (m && m->seen_s != now_s)
		m->seen_s = now_s;
	if (slot && *slot != used)
		*slot = used;
}

/*
 * False if no flow of this slot can be alive. Time is that of the last packet of any flow, which
 * spares the junk path the clock: it runs behind, so a slot seems younger than it is, never older.
 */
static hg_inline int hg_slot_is_live(struct hg_host *h, const __u32 *slot, __u32 longest_s)
{
	struct hg_moments *m;

	if (!slot || !*slot)
		return 0;
	m = hg_host_moments(h);
	return m &&
	       (__s32)((m->seen_s << HG_SLOT_BITS) - *slot) <= (__s32)(longest_s << HG_SLOT_BITS);
}

static hg_inline __u32 hg_flow_longest(const struct hg_guard_config *c, __u8 proto)
{
	__u32 opening = hg_flow_timeout(c, proto, HG_FLOW_OPENING);
	__u32 closing = hg_flow_timeout(c, proto, HG_FLOW_CLOSING);
	__u32 longest = hg_flow_timeout(c, proto, HG_FLOW_ESTABLISHED);

	longest = opening > longest ? opening : longest;
	return closing > longest ? closing : longest;
}

/* The entry with this key, alive or not, wherever it is. The slot says where to look first. */
static hg_inline struct hg_flow *hg_flow_find(struct hg_host *h, const struct hg_flow_key *k,
					      __u32 used)
{
	__u32 hint = used & ((1 << HG_SLOT_BITS) - 1);
	struct hg_flow *f = NULL;

	if (hint == HG_TABLE_OUTSIDE)
		f = hg_host_flow(h, HG_TABLE_OUTSIDE, k);
	else if (hint == HG_TABLE_INSIDE)
		f = hg_host_flow(h, HG_TABLE_INSIDE, k);
	if (!f)
		f = hg_host_flow(h, HG_TABLE_KEPT, k);
	if (!f && hint != HG_TABLE_INSIDE)
		f = hg_host_flow(h, HG_TABLE_INSIDE, k);
	if (!f && hint != HG_TABLE_OUTSIDE)
		f = hg_host_flow(h, HG_TABLE_OUTSIDE, k);
	return f;
}

/* The flow of an inbound packet, or of one that an ICMP error quotes; NULL if none is alive. */
static hg_inline struct hg_flow *hg_flow_of(struct hg_host *h, const struct hg_packet *p,
					    const __u32 *slot)
{
	const struct hg_guard_config *c = hg_host_config(h);
	struct hg_flow *f;

	if (!hg_slot_is_live(h, slot, hg_flow_longest(c, p->key.proto)))
		return NULL;
	f = hg_flow_find(h, &p->key, *slot);
	if (!f || !hg_flow_is_alive(c, p->key.proto, f, hg_host_seconds(h)))
		return NULL;
	if (c->policy == HG_POLICY_SEALED && !f->roles)
		return NULL;
	return c->flags & HG_GUARD_OUT && hg_flow_is_held(h, &p->key, f) ? NULL : f;
}

static hg_inline void hg_count_in(struct hg_host *h, __u8 channel, const struct hg_packet *p,
				  int news)
{
	struct hg_window *w = hg_host_window(h, channel);

	if (!w)
		return;
	w->packets_in += p->segments;
	w->bytes_in += p->bytes;
	if (news == HG_NEWS_ANSWERED)
		w->answered++;
	else if (news == HG_NEWS_REFUSED)
		w->refused++;
}

/* Counts a packet of the device. Returns the channel's window, for what else is to count. */
static hg_inline struct hg_window *hg_count_out(struct hg_host *h, __u8 channel,
						const struct hg_packet *p)
{
	struct hg_window *w = hg_host_window(h, channel);

	if (!w)
		return NULL;
	w->packets_out += p->segments;
	w->bytes_out += p->bytes;
	if (p->key.proto == HG_IP_TCP) {
		w->tcp += p->segments;
		if ((p->tcp & (HG_TCP_SYN | HG_TCP_ACK)) == HG_TCP_SYN)
			w->syn += p->segments;
	} else if (p->key.proto == HG_IP_UDP) {
		w->udp += p->segments;
		if (hg_is_amplifier(p->key.local_port))
			w->reflect += p->segments;
	} else if (p->key.proto == HG_IP_ICMP || p->key.proto == HG_IP_ICMPV6) {
		w->icmp += p->segments;
	}
	return w;
}

/*
 * Counts a flow that was opened just now. What a trusted remote opens is answered, and no login of
 * ours.
 */
static hg_inline void hg_count_opened(struct hg_host *h, struct hg_window *w,
				      const struct hg_packet *p, int named)
{
	struct hg_spots *s = hg_host_spots(h, p->channel);

	if (!w || !s)
		return;
	w->flows++;
	if (p->theirs)
		w->answered++;
	else if (!named)
		w->unnamed++;
	if (!p->theirs && hg_is_login(&p->key))
		w->login++;
	if (hg_spots_add(s, hg_host_config(h)->seed, &p->key,
			 p->theirs ? p->key.local_port : p->key.remote_port))
		w->fresh++;
}

/*
 * Fragments of one datagram share addresses, identification and, for IPv4, protocol (IPv6 may say
 * it only in the first). One that the device sends must not let in one with the same number.
 */
static hg_inline void hg_fragment_key(struct hg_flow_key *k, const struct hg_packet *p)
{
	__u32 id = (hg_force __u32)p->fragment_id;

	*k = p->key;
	k->local_port = (hg_force __be16)id;
	k->remote_port = (hg_force __be16)(id >> 16);
	if (!hg_addr_is_ipv4(&p->key.local))
		k->proto = HG_IP_FRAGMENT;
	k->pad[0] = p->flags & HG_PACKET_OUT;
}

static hg_inline void hg_fragment_begin(struct hg_host *h, const struct hg_packet *p, __u8 channel)
{
	struct hg_fragment n = { .first_s = hg_host_seconds(h),
				 .channel = channel,
				 .roles = p->roles,
				 .refused = p->refused };
	struct hg_flow_key k;

	hg_fragment_key(&k, p);
	hg_host_fragment_add(h, &k, &n);
	hg_slot_mark(h, hg_slot_of(h, &k), n.first_s, HG_TABLE_OUTSIDE);
}

static hg_inline struct hg_fragment *hg_fragment_of(struct hg_host *h, const struct hg_packet *p)
{
	struct hg_fragment *f;
	struct hg_flow_key k;

	hg_fragment_key(&k, p);
	if (!hg_slot_is_live(h, hg_slot_of(h, &k), HG_FRAGMENT_S))
		return NULL;
	f = hg_host_fragment(h, &k);
	return f && (__s32)(hg_host_seconds(h) - f->first_s) <= HG_FRAGMENT_S ? f : NULL;
}

static hg_inline int hg_judge_fragment(struct hg_host *h, const struct hg_packet *p)
{
	struct hg_fragment *f = hg_fragment_of(h, p);

	if (!f)
		return HG_DROP_FRAGMENT;
	hg_count_in(h, f->channel, p, HG_NEWS_NONE);
	return HG_PASS_FRAGMENT;
}

/* Does the gate keep out what comes for a flow to a peer with these roles? */
static hg_inline int hg_gate_is_shut(struct hg_host *h, __u8 roles)
{
	const struct hg_guard_config *c = hg_host_config(h);
	__u8 open = HG_PEER_COLLECTOR;

	if (!(c->flags & HG_GUARD_GATE))
		return 0;
	if (c->flags & HG_GUARD_GATE_SERVICES)
		open |= HG_PEER_DNS | HG_PEER_NTP;
	return !(roles & open) && (__s32)(c->open_until_s - hg_host_seconds(h)) <= 0;
}

static hg_inline int hg_judge_error(struct hg_host *h, const struct hg_packet *p)
{
	struct hg_flow *f = hg_flow_of(h, p, hg_slot_of(h, &p->key));
	struct hg_window *w;

	if (!f)
		return HG_DROP_ICMP;
	if (hg_gate_is_shut(h, f->roles))
		return HG_DROP_GATE;
	if (p->flags & HG_PACKET_UNREACHABLE && hg_flow_refuse(f)) {
		w = hg_host_window(h, f->channel);
		if (w)
			w->refused++;
	}
	return HG_PASS_RELATED;
}

/*
 * A DHCP server's word to the client, which has no flow: it asked all, one answers. Broadcast
 * cannot come from afar. Anything else passes only if the device asked lately, over IPv6 only to
 * the link-local address it asked from.
 */
static hg_inline int hg_is_dhcp(struct hg_host *h, const struct hg_packet *p)
{
	struct hg_moments *m = hg_host_moments(h);

	if (p->key.proto != HG_IP_UDP || !m)
		return 0;
	if (!hg_addr_is_ipv4(&p->key.local))
		return p->key.remote_port == HG_BE16(547) && p->key.local_port == HG_BE16(546) &&
		       hg_addr_is_link_local(&p->key.local) &&
		       hg_was_lately(m->asked6_s, hg_host_seconds(h), HG_DHCP_ASKED_S);
	if (p->key.remote_port != HG_BE16(67) || p->key.local_port != HG_BE16(68))
		return 0;
	return !~p->key.local.a[3] ||
	       hg_was_lately(m->asked4_s, hg_host_seconds(h), HG_DHCP_ASKED_S);
}

/* Why nothing lets this packet in. */
static hg_inline int hg_judge_stranger(struct hg_host *h, const struct hg_packet *p)
{
	switch (p->key.proto) {
	case HG_IP_UDP:
		if (hg_is_dhcp(h, p))
			return hg_judge_rate(h, p, HG_RATE_DHCP, HG_PASS_DHCP);
		return HG_DROP_NO_FLOW;
	case HG_IP_TCP:
		return HG_DROP_NO_FLOW;
	case HG_IP_ICMP:
	case HG_IP_ICMPV6:
		return HG_DROP_ICMP;
	}
	return HG_DROP_PROTO;
}

static hg_inline int hg_judge_flow(struct hg_host *h, struct hg_packet *p)
{
	__u32 *slot = hg_slot_of(h, &p->key), now_s;
	struct hg_flow *f = hg_flow_of(h, p, slot);
	int reason, news;

	if (!f)
		return hg_judge_stranger(h, p);
	if (hg_gate_is_shut(h, f->roles)) {
		reason = hg_judge_stranger(h, p); /* a lease is renewed by a flow */
		return hg_reason_drops(reason) ? HG_DROP_GATE : reason;
	}
	now_s = hg_host_seconds(h);
	reason = hg_flow_receive(f, p, now_s, &news);
	if (reason != HG_PASS_FLOW)
		return reason;
	p->channel = f->channel;
	p->roles = f->roles;
	hg_count_in(h, f->channel, p, news);
	hg_slot_mark(h, slot, now_s, hg_table_for(f->channel, f->roles));
	if (p->flags & HG_PACKET_FIRST)
		hg_fragment_begin(h, p, f->channel);
	return reason;
}

static hg_inline int hg_judge(struct hg_host *h, struct hg_packet *p)
{
	switch (p->kind) {
	case HG_PACKET_FLOW:
		return hg_judge_flow(h, p);
	case HG_PACKET_ERROR:
		return hg_judge_error(h, p);
	case HG_PACKET_FRAGMENT:
		return hg_judge_fragment(h, p);
	case HG_PACKET_ICMP:
		return HG_DROP_ICMP;
	case HG_PACKET_ND:
		return hg_judge_rate(h, p, HG_RATE_ND, HG_PASS_ND);
	case HG_PACKET_MULTICAST:
		return hg_judge_rate(h, p, HG_RATE_MULTICAST, HG_PASS_MULTICAST);
	case HG_PACKET_ARP:
		return hg_judge_rate(h, p, HG_RATE_ARP, HG_PASS_ARP);
	case HG_PACKET_LINK:
		return hg_judge_rate(h, p, HG_RATE_LINK, HG_PASS_LINK);
	case HG_PACKET_MALFORMED:
		return HG_DROP_MALFORMED;
	case HG_PACKET_TRUNCATED:
		return HG_DROP_TRUNCATED;
	}
	return HG_DROP_LINK;
}

/* Judges an inbound packet. Under the monitor policy the reason is the same; the host passes it. */
static hg_inline int hg_verdict_in(struct hg_host *h, struct hg_packet *p)
{
	int reason = hg_judge(h, p);

	if (!hg_reason_drops(reason) || !hg_host_config(h)->n_trusted)
		return reason;
	if (p->kind > HG_PACKET_MULTICAST)
		return reason;
	if (!hg_host_trusts(h, p->kind == HG_PACKET_ERROR ? &p->sender : &p->key.remote))
		return reason;
	return HG_PASS_TRUSTED;
}

/*
 * Is this packet, let in because it belongs to a flow, a DNS answer that user space is to be told
 * of? Only of a name server, or of a server that the profile knows: what a stranger says about
 * names counts for nothing. 20: the headers of UDP and of DNS.
 */
static hg_inline int hg_is_answer(struct hg_host *h, const struct hg_packet *p)
{
	if (p->key.proto != HG_IP_UDP || p->key.remote_port != HG_BE16(53))
		return 0;
	if (p->left < 20 || (!p->channel && !(p->roles & HG_PEER_DNS)))
		return 0;
	return hg_rate_allows(h, HG_RATE_ANSWER, HG_ANSWERS_PER_S, hg_host_seconds(h));
}

/*
 * Can this packet be of a flow that the remote has begun? f is the flow, if it is there and alive.
 * What comes in from trusted remotes leaves no trace, so of TCP the SYNs tell, of echoes the kind;
 * of UDP only the port does.
 */
static hg_inline int hg_may_be_theirs(struct hg_host *h, const struct hg_packet *p,
				      const struct hg_flow *f)
{
	if (p->key.proto == HG_IP_TCP) {
		if (p->tcp & HG_TCP_RST || (p->tcp & (HG_TCP_SYN | HG_TCP_ACK)) == HG_TCP_SYN ||
		    (f && f->tcp & HG_FLOW_SYN << HG_FLOW_RECEIVED))
			return 0;
	} else if (p->key.proto == HG_IP_ICMP || p->key.proto == HG_IP_ICMPV6) {
		if (!(p->flags & HG_PACKET_ANSWER))
			return 0;
	}
	return hg_host_config(h)->policy == HG_POLICY_MONITOR || hg_out_trusts(h, &p->key.remote);
}

/*
 * Finds the flow's peer and channel: p->roles, p->channel, p->theirs, which it had to be before.
 * Both loops read the bank in force. False if the remote is a bare address: global, no peer, and no
 * DNS answer has named it.
 */
static hg_inline int hg_match_flow(struct hg_host *h, struct hg_packet *p)
{
	const struct hg_bound *bound = hg_host_bound(h, &p->key.remote);
	__u64 channels = bound ? bound->channels : 0;
	int named = bound && bound->flags & HG_BOUND_NAMED;
	__u32 bank = hg_host_config(h)->generation & 1, i;
	const struct hg_peer *peer;
	const struct hg_rule *rule;

	p->roles = 0;
	p->channel = 0;
	for (i = 0; i < HG_PEERS_MAX; i++) {
		hg_stage();
		peer = hg_host_peer(h, bank * HG_PEERS_MAX + i);
		if (!peer || !peer->role)
			break;
		if (hg_peer_matches(peer, &p->key))
			p->roles |= peer->role;
	}
	for (i = 0; i < HG_RULES_MAX; i++) {
		hg_stage();
		rule = hg_host_rule(h, bank * HG_RULES_MAX + i);
		if (!rule || !rule->channel)
			break;
		if (hg_rule_matches(rule, &p->key, p->roles, channels, p->theirs)) {
			p->channel = rule->channel & (HG_CHANNELS_MAX - 1);
			p->theirs = rule->flags & HG_RULE_THEIRS;
			break;
		}
	}
	hg_stage();
	if (!p->channel)
		p->theirs = 0;
	hg_stage();
	return named || p->roles || hg_addr_is_local(&p->key.remote);
}

/*
 * The kept table is never pushed: a place in it is free, or its flow is over, or the new flow goes
 * elsewhere. So not even a flood at the mirror itself takes an open session's entry.
 */
static hg_inline int hg_flow_keep(struct hg_host *h, const struct hg_flow_key *k,
				  const struct hg_flow *f, __u32 now_s)
{
	const struct hg_guard_config *c = hg_host_config(h);
	struct hg_ring *ring = hg_host_ring(h);
	struct hg_flow_key *slot;
	struct hg_flow *old;
	int i;

	if (!ring)
		return -1;
	for (i = 0; i < HG_KEPT_TRIES; i++) {
		hg_stage();
		slot = &ring->keys[ring->hand++ & (HG_RING_SLOTS - 1)];
		old = hg_host_flow(h, HG_TABLE_KEPT, slot);
		if (old && hg_flow_is_alive(c, slot->proto, old, now_s))
			continue;
		if (old)
			hg_host_flow_remove(h, HG_TABLE_KEPT, slot);
		*slot = *k;
		return hg_host_flow_add(h, HG_TABLE_KEPT, k, f);
	}
	return -1;
}

static hg_inline void hg_flow_put(struct hg_host *h, const struct hg_flow_key *k, enum hg_table t,
				  const struct hg_flow *f, __u32 now_s)
{
	if (t == HG_TABLE_KEPT && !hg_flow_keep(h, k, f, now_s))
		return;
	hg_stage();
	if (t != HG_TABLE_OUTSIDE)
		hg_host_flow_add(h, HG_TABLE_INSIDE, k, f);
	else
		hg_host_flow_add(h, HG_TABLE_OUTSIDE, k, f);
}

/* Removes the entry with this key wherever it is. */
static hg_inline void hg_flow_forget(struct hg_host *h, const struct hg_flow_key *k)
{
	hg_host_flow_remove(h, HG_TABLE_KEPT, k);
	hg_host_flow_remove(h, HG_TABLE_INSIDE, k);
	hg_host_flow_remove(h, HG_TABLE_OUTSIDE, k);
}

/*
 * The device was faster than the agent: its flow was opened outside the profile, and is in a
 * channel now that the address has a name. It counts there as if it had just been opened. Of
 * channel 0 nothing is taken away, for counts that go back are a guard that began anew.
 */
static hg_inline void hg_count_moved(struct hg_host *h, struct hg_window *w,
				     const struct hg_packet *p, const struct hg_flow *old)
{
	struct hg_window *outside = hg_host_window(h, 0);

	if (!w || !outside)
		return;
	outside->moved++;
	if (old->state == HG_FLOW_OPENING)
		outside->answered++; /* no more to be waited for there */
	else
		w->answered++;
	hg_count_opened(h, w, p, p->named);
}

/*
 * The packet begins a flow, or its flow was matched against older rules. An entry with this key,
 * dead or alive, may be in any table.
 */
static hg_inline void hg_learn_flow(struct hg_host *h, struct hg_packet *p)
{
	__u32 generation = hg_host_config(h)->generation, now_s = hg_host_seconds(h);
	enum hg_table to = hg_table_for(p->channel, p->roles);
	struct hg_flow *old, f;
	struct hg_window *w;

	hg_flow_open(&f, p, generation, now_s);
	old = hg_flow_find(h, &p->key, 0);
	if (old && !p->opens) {
		f = *old;
		f.channel = p->channel;
		f.roles = p->roles;
		f.generation = generation;
		p->late = p->channel && !old->channel && !old->roles && !p->theirs &&
			  now_s - old->opened_s <= HG_LATE_S;
		hg_flow_send(&f, p, now_s);
	}
	if (old && hg_table_for(old->channel, old->roles) == to) {
		*old = f;
	} else {
		if (old)
			hg_flow_forget(h, &p->key);
		hg_flow_put(h, &p->key, to, &f, now_s);
	}
	hg_stage();
	hg_slot_mark(h, hg_slot_of(h, &p->key), now_s, to);
	w = hg_count_out(h, p->channel, p);
	if (p->opens)
		hg_count_opened(h, w, p, p->named);
	else if (p->late)
		hg_count_moved(h, w, p, &f);
	if (p->flags & HG_PACKET_FIRST)
		hg_fragment_begin(h, p, p->channel);
	if (p->opens && hg_rate_allows(h, HG_RATE_EVENT, HG_EVENTS_PER_S, now_s))
		hg_host_event(h, &p->key, p->channel);
}

static hg_inline void hg_learn_more(struct hg_host *h, struct hg_packet *p, struct hg_flow *f,
				    __u32 *slot)
{
	__u32 now_s = hg_host_seconds(h);

	hg_flow_send(f, p, now_s);
	hg_slot_mark(h, slot, now_s, hg_table_for(p->channel, p->roles));
	hg_count_out(h, p->channel, p);
	if (p->flags & HG_PACKET_FIRST)
		hg_fragment_begin(h, p, p->channel);
}

static hg_inline void hg_learn_asked(struct hg_host *h, const struct hg_packet *p, __u32 now_s)
{
	int version = hg_asks_dhcp(p);
	struct hg_moments *m;

	if (!version)
		return;
	m = hg_host_moments(h);
	if (m && version == 4)
		m->asked4_s = now_s ? now_s : 1;
	else if (m)
		m->asked6_s = now_s ? now_s : 1;
}

/*
 * Where a packet of the device belongs. Returns its flow, or NULL if that is to be learnt, or if
 * the packet has none: an answer to a stranger, which counts as outside the profile wherever it
 * goes, unless the profile has a channel for what trusted remotes open.
 */
static hg_inline struct hg_flow *hg_place_flow(struct hg_host *h, struct hg_packet *p,
					       const __u32 *slot)
{
	const struct hg_guard_config *c = hg_host_config(h);
	struct hg_flow *f = hg_flow_find(h, &p->key, slot ? *slot : 0);
	__u32 now_s = hg_host_seconds(h);
	int opens;

	hg_learn_asked(h, p, now_s);
	opens = !f || !hg_flow_is_alive(c, p->key.proto, f, now_s);
	p->learns = !opens || hg_flow_may_open(p);
	if (!opens)
		opens = hg_flow_reopens(p, f);
	p->held = opens || !f->packets_out;
	if (!opens && f->generation == c->generation) {
		p->channel = f->channel;
		p->roles = f->roles;
		p->inside = p->channel || p->roles;
		return f;
	}
	p->theirs = hg_may_be_theirs(h, p, opens ? NULL : f);
	hg_stage();
	if (!p->learns && !(c->flags & HG_GUARD_OUT) && !p->theirs)
		return NULL;
	p->opens = opens;
	hg_stage();
	p->named = hg_match_flow(h, p);
	p->inside = p->channel || p->roles;
	p->learns = p->learns || p->theirs;
	p->held = p->held && p->learns;
	if (!p->learns)
		p->channel = 0;
	return NULL;
}

/* Of a later fragment the first knows it. */
static hg_inline void hg_place_fragment(struct hg_host *h, struct hg_packet *p)
{
	struct hg_fragment *f = hg_fragment_of(h, p);

	if (!f)
		return;
	p->channel = f->channel;
	p->roles = f->roles;
	p->inside = p->channel || p->roles;
	p->refused = f->refused;
}

/* Learns from a packet of the device. What does not get out is counted like what does. */
static hg_inline int hg_verdict_out(struct hg_host *h, struct hg_packet *p)
{
	struct hg_flow *f = NULL;
	__u32 *slot = NULL;

	switch (p->kind) {
	case HG_PACKET_ARP: /* chores of every host, not the model's traffic */
	case HG_PACKET_ND:
	case HG_PACKET_MULTICAST:
	case HG_PACKET_LINK:
		return HG_PASS_OUT;
	case HG_PACKET_FLOW:
		slot = hg_slot_of(h, &p->key);
		f = hg_place_flow(h, p, slot);
		break;
	case HG_PACKET_FRAGMENT:
		hg_place_fragment(h, p);
	}
	hg_stage();
	hg_judge_out(h, p);
	hg_stage();
	if (f)
		hg_learn_more(h, p, f, slot);
	else if (p->learns)
		hg_learn_flow(h, p);
	else
		hg_count_out(h, p->channel, p);
	return p->reason;
}

#endif
