// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets are seen: first of all at PRE_ROUTING, before defragmentation and conntrack, so
 * that a flood costs neither; and last of all at POST_ROUTING, after NAT, as they leave. The hooks
 * are there from ATTACH to DETACH, in the guard's namespace only; no lock.
 *
 * What the stack loops back to the device itself (its own multicast and broadcast) did not come
 * from outside, and passes; on its way out that copy comes by beside the packet that leaves, which
 * is judged.
 *
 * IPv6 reads hop-by-hop options before PRE_ROUTING, and answers one that it does not know and that
 * asks for it. The packet is dropped then, nobody has judged it, and anybody may have sent it: so
 * the answer does not leave, and is counted in that packet's place.
 */
#include "guard.h"

#include <linux/icmpv6.h>
#include <linux/ipv6.h>
#include <linux/ktime.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/skbuff.h>
#include <net/ipv6.h>
#include <net/route.h>

static u32 segments_of(const struct sk_buff *skb)
{
	return skb_is_gso(skb) ? skb_shinfo(skb)->gso_segs : 1;
}

static unsigned int packet_in(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct hg_guard *g = priv;
	struct hg_packet p;

	if (!hg_interfaces_have(g, state->in->ifindex) || skb->pkt_type == PACKET_LOOPBACK)
		return NF_ACCEPT;
	return hg_judge_packet(g, skb, 0, 0, ktime_get_seconds(), segments_of(skb), &p) ? NF_DROP
											: NF_ACCEPT;
}

/* A parameter problem of the stack's about a packet that began with hop-by-hop options? */
static bool is_early_answer(const struct sk_buff *skb)
{
	struct {
		struct ipv6hdr outer;
		struct icmp6hdr icmp;
		struct ipv6hdr quoted;
	} room;
	const typeof(room) *p = skb_header_pointer(skb, 0, sizeof(room), &room);

	return p && p->outer.nexthdr == IPPROTO_ICMPV6 && p->icmp.icmp6_type == ICMPV6_PARAMPROB &&
	       p->quoted.nexthdr == NEXTHDR_HOP;
}

/* Is this the copy that is looped back? It has lost the socket that still sends it. */
static bool is_copy(const struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct rtable *route;

	if (skb->sk || !state->sk)
		return false;
	if (state->pf == NFPROTO_IPV6)
		return ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
	route = skb_rtable(skb);
	return route && route->rt_flags & (RTCF_MULTICAST | RTCF_BROADCAST);
}

static unsigned int packet_out(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct hg_guard *g = priv;
	struct hg_packet p;

	if (!hg_interfaces_have(g, state->out->ifindex) || is_copy(skb, state))
		return NF_ACCEPT;
	if (state->pf == NFPROTO_IPV6 && is_early_answer(skb))
		return hg_judge_unseen(g) ? NF_DROP : NF_ACCEPT;
	return hg_judge_packet(g, skb, 0, HG_PACKET_OUT, ktime_get_seconds(), segments_of(skb), &p)
		       ? NF_DROP
		       : NF_ACCEPT;
}

static const struct nf_hook_ops hooks[HG_HOOKS] = {
	{
		.hook = packet_in,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP_PRI_FIRST,
	},
	{
		.hook = packet_in,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP6_PRI_FIRST,
	},
	{
		.hook = packet_out,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP_PRI_LAST,
	},
	{
		.hook = packet_out,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP6_PRI_LAST,
	},
};

int hg_hooks_attach(struct hg_guard *g)
{
	int ret;
	u32 i;

	for (i = 0; i < HG_HOOKS; i++) {
		g->hooks[i] = hooks[i];
		g->hooks[i].priv = g;
	}
	ret = nf_register_net_hooks(g->net, g->hooks, HG_HOOKS);
	g->hooked = !ret;
	return ret;
}

/* After this no packet is in the guard any more. */
void hg_hooks_detach(struct hg_guard *g)
{
	if (!g->hooked)
		return;
	nf_unregister_net_hooks(g->net, g->hooks, HG_HOOKS);
	synchronize_net();
	g->hooked = false;
}
