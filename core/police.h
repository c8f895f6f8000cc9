/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which of the device's own packets do not get out, where the owner has asked for it.
 *
 *   confine  what the profile has no channel for, and what is to no peer
 *   police   what a channel sends over its bounds of a second: packets, bytes, new flows
 *
 * What always gets out: the chores that every host has (ARP, neighbour discovery, IGMP and MLD,
 * EAPOL, LLDP, PPP control never come here; DHCP in the local network at most config_rate a
 * second), and everything to trusted prefixes, whose openings come in and are to be answered.
 * Mirror and collector are peers, and neither count nor are refused by police: alarms and
 * synchronisation get out. All else that the guard does not know as a flow (errors that the device
 * sends, headers that contradict themselves, other EtherTypes) is outside the profile.
 */
#ifndef HG_CORE_POLICE_H
#define HG_CORE_POLICE_H

#include "addr.h"
#include "packet.h"
#include "rate.h"

#define HG_GUARD_OUT (HG_GUARD_CONFINE | HG_GUARD_POLICE) /* the flags that hold back packets out */

static hg_inline int hg_reason_drops(int reason)
{
	return reason >= HG_DROP_NO_FLOW;
}

/* Must a packet with this reason go? */
static hg_inline int hg_reason_refuses(const struct hg_guard_config *c, int reason)
{
	return hg_reason_drops(reason) && c->policy != HG_POLICY_MONITOR;
}

/* Does the device ask for an address? 4, 6: of IPv4, of IPv6. */
static hg_inline int hg_asks_dhcp(const struct hg_packet *p)
{
	if (p->kind != HG_PACKET_FLOW || p->key.proto != HG_IP_UDP)
		return 0;
	if (p->key.remote_port == HG_BE16(67) && p->key.local_port == HG_BE16(68))
		return 4;
	if (p->key.remote_port == HG_BE16(547) && p->key.local_port == HG_BE16(546))
		return 6;
	return 0;
}

static hg_inline int hg_out_trusts(struct hg_host *h, const struct hg_addr *remote)
{
	return hg_host_config(h)->n_trusted && hg_host_trusts(h, remote);
}

/*
 * Does nothing of this flow get out? Then nothing comes in for it. Its entry is there all the same,
 * so that the score sees one flow and not one for each try.
 */
static hg_inline int hg_flow_is_held(struct hg_host *h, const struct hg_flow_key *k,
				     const struct hg_flow *f)
{
	const struct hg_guard_config *c = hg_host_config(h);

	if (c->policy == HG_POLICY_MONITOR)
		return 0;
	if (!f->packets_out)
		return 1;
	return c->flags & HG_GUARD_CONFINE && !f->channel && !f->roles &&
	       !hg_out_trusts(h, &k->remote);
}

/*
 * Is the packet's channel at a bound already? Else counts it: one that begins below the bound
 * passes whole, so that a channel never stands still. Two processors at once may lose a count.
 * Without a profile, and for a bound that is HG_UNBOUNDED, nothing is over.
 */
static hg_inline int hg_police_is_over(struct hg_host *h, const struct hg_packet *p)
{
	__u32 channel = p->channel & (HG_CHANNELS_MAX - 1), now_s = hg_host_seconds(h);
	__u32 bank = hg_host_config(h)->generation & 1;
	const struct hg_bounds *b = hg_host_bounds(h, bank * HG_CHANNELS_MAX + channel);
	struct hg_police *s = hg_host_police(h, channel);

	if (!b || !b->id || !s)
		return 0;
	if (s->second != now_s) {
		s->second = now_s;
		s->packets = 0;
		s->bytes = 0;
		s->flows = 0;
	}
	if (s->packets >= b->packets[HG_WINDOW_SECOND] || s->bytes >= b->bytes[HG_WINDOW_SECOND] ||
	    (p->held && s->flows >= b->flows[HG_WINDOW_SECOND]))
		return 1;
	s->packets += p->segments;
	s->bytes += p->bytes;
	s->flows += p->held;
	return 0;
}

/* Why the packet should not get out, before what always does: HG_PASS_OUT if it should. */
static hg_inline int hg_judge_profile(struct hg_host *h, const struct hg_packet *p)
{
	const struct hg_guard_config *c = hg_host_config(h);

	if (c->flags & HG_GUARD_CONFINE && !p->inside)
		return HG_DROP_CONFINED;
	if (!(c->flags & HG_GUARD_POLICE) || p->roles & (HG_PEER_MIRROR | HG_PEER_COLLECTOR))
		return HG_PASS_OUT;
	/* The rest of a datagram whose first fragment is missing is of no use to anybody. */
	return p->refused || hg_police_is_over(h, p) ? HG_DROP_POLICED : HG_PASS_OUT;
}

/* What gets out whatever the profile says, see above. */
static hg_inline int hg_out_always(struct hg_host *h, const struct hg_packet *p)
{
	if (hg_asks_dhcp(p) && hg_addr_is_local(&p->key.remote) &&
	    hg_rate_allows(h, HG_RATE_ASKING, hg_host_config(h)->config_rate, hg_host_seconds(h)))
		return 1;
	return p->kind <= HG_PACKET_MULTICAST && hg_out_trusts(h, &p->key.remote);
}

/* Sets reason and refused of a packet of the device: channel, roles, inside and held are set. */
static hg_inline void hg_judge_out(struct hg_host *h, struct hg_packet *p)
{
	const struct hg_guard_config *c = hg_host_config(h);

	p->reason = HG_PASS_OUT;
	if (!(c->flags & HG_GUARD_OUT))
		return;
	p->reason = hg_judge_profile(h, p);
	if (p->reason != HG_PASS_OUT && hg_out_always(h, p))
		p->reason = HG_PASS_OUT;
	p->refused = hg_reason_refuses(c, p->reason);
}

#endif
