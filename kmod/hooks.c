// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets are seen: first of all at PRE_ROUTING, before defragmentation and conntrack, so
 * that a flood costs neither; and last of all at POST_ROUTING, after NAT, as they leave. The hooks
 * are there from ATTACH to DETACH, in the guard's namespace only; no lock.
 *
 * What the stack loops back to the device itself (its own multicast) did not come from outside, and
 * passes.
 */
#include "guard.h"

#include <linux/ktime.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/skbuff.h>

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

static unsigned int packet_out(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct hg_guard *g = priv;
	struct hg_packet p;

	if (!hg_interfaces_have(g, state->out->ifindex))
		return NF_ACCEPT;
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
