// SPDX-License-Identifier: GPL-2.0
/*
 * The self-test, in modules built with HELIOGRAPH_DEBUG only: judges frames that user space brings,
 * through the code that the hooks call, at the second that it says. So the table of cases and the
 * captures run here as they run in user space and in BPF. With hg_net.lock; the guard's own clock
 * stands from the first test on.
 */
#include "netlink.h"

#include <linux/percpu.h>
#include <linux/skbuff.h>

#define FRAME_LINK 14 /* bytes of an Ethernet header */

/* Puts what lies behind the linear part into pages. */
static int frame_pages(struct sk_buff *skb, const u8 *data, u32 left)
{
	struct page *page;
	u32 n;
	int i;

	for (i = 0; left; i++, data += n, left -= n) {
		if (i >= MAX_SKB_FRAGS)
			return -EMSGSIZE;
		page = alloc_page(GFP_KERNEL);
		if (!page)
			return -ENOMEM;
		n = min_t(u32, left, PAGE_SIZE);
		memcpy(page_address(page), data, n);
		skb_add_rx_frag(skb, i, page, 0, n, PAGE_SIZE);
	}
	return 0;
}

/* The frame as an skb, its IP header aligned as drivers do it; NULL with *ret. */
static struct sk_buff *frame_of(struct genl_info *info, u32 link, int *ret)
{
	const struct nlattr *a = hg_netlink_want(info, FRAME);
	u32 n = a ? nla_len(a) : 0, linear = n;
	struct sk_buff *skb;

	*ret = -EINVAL;
	if (!n)
		return NULL;
	if (info->attrs[HG_A_LINEAR])
		linear = min(n, nla_get_u32(info->attrs[HG_A_LINEAR]));
	linear = max(linear, min(n, link));
	*ret = -ENOMEM;
	skb = alloc_skb(linear + 64 + 2 + HG_HEADERS_MAX, GFP_KERNEL);
	if (!skb)
		return NULL;
	skb_reserve(skb, 64 + (link ? 2 : 0));
	skb_put_data(skb, nla_data(a), linear);
	*ret = frame_pages(skb, nla_data(a) + linear, n - linear);
	if (!*ret)
		return skb;
	kfree_skb(skb);
	return NULL;
}

static int reply(struct genl_info *info, const struct hg_packet *p)
{
	struct sk_buff *msg;
	void *head;

	msg = hg_netlink_reply(info, &head);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, HG_A_REASON, p->reason) ||
	    nla_put_u32(msg, HG_A_CHANNEL, p->channel)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

int hg_command_test(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *direction = hg_netlink_want(info, DIRECTION);
	const struct nlattr *kind = hg_netlink_want(info, LINK);
	const struct nlattr *now = hg_netlink_want(info, NOW);
	const struct nlattr *segments = info->attrs[HG_A_SEGMENTS];
	struct sk_buff *skb;
	struct hg_packet p;
	u32 link;
	int ret;

	if (!direction || !kind || !now)
		return -EINVAL;
	link = nla_get_u32(kind) ? FRAME_LINK : 0;
	skb = frame_of(info, link, &ret);
	if (!skb)
		return ret;
	hg_clock_stop(n->guard);
	hg_judge_packet(n->guard, skb, link, nla_get_u32(direction) ? HG_PACKET_OUT : 0,
			nla_get_u32(now), segments ? nla_get_u32(segments) : 1, &p);
	kfree_skb(skb);
	return reply(info, &p);
}

/* What the channel has counted, on all processors together. */
static void set_counters(struct hg_guard *g, u32 channel, const void *w, const void *s)
{
	int cpu;

	for_each_possible_cpu(cpu)
		memset(&per_cpu_ptr(g->cpus, cpu)->windows[channel], 0, sizeof(struct hg_window));
	/* Attributes are aligned to four bytes only. */
	local_bh_disable();
	memcpy(&this_cpu_ptr(g->cpus)->windows[channel], w, sizeof(struct hg_window));
	memcpy(&g->spots[channel], s, sizeof(struct hg_spots));
	local_bh_enable();
}

int hg_command_test_close(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *seconds = hg_netlink_want(info, SECONDS);
	const struct nlattr *channel = info->attrs[HG_A_CHANNEL], *window, *spots;

	if (!seconds)
		return -EINVAL;
	hg_clock_stop(n->guard);
	if (!channel) {
		hg_clock_close(n->guard, nla_get_u32(seconds));
		return 0;
	}
	window = hg_netlink_want(info, WINDOW);
	spots = hg_netlink_want(info, SPOTS);
	if (!window || !spots)
		return -EINVAL;
	set_counters(n->guard, nla_get_u32(channel), nla_data(window), nla_data(spots));
	hg_clock_close_channel(n->guard, nla_get_u32(channel), nla_get_u32(seconds));
	return 0;
}
