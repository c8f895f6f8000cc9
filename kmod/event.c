// SPDX-License-Identifier: GPL-2.0
/*
 * Events go to the group "events" of the guard's namespace, as they are: one message each. Called
 * from packets and from works; takes no lock of ours, sleeps nowhere. How many there can be a
 * second is bounded by core/verdict.h.
 */
#include "guard.h"

#include <linux/ktime.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>

bool hg_event_heard(const struct hg_guard *g)
{
	return genl_has_listeners(&hg_family, g->net, 0);
}

/* A message with room for one event, or NULL. */
static struct sk_buff *event_begin(struct hg_guard *g, u32 length, u8 **data)
{
	struct sk_buff *msg;
	struct nlattr *a;
	void *head;

	if (!hg_event_heard(g))
		return NULL;
	msg = genlmsg_new(nla_total_size(length), GFP_ATOMIC);
	if (!msg)
		return NULL;
	head = genlmsg_put(msg, 0, 0, &hg_family, 0, HG_CMD_EVENT);
	a = head ? nla_reserve(msg, HG_A_EVENT, length) : NULL;
	if (!a) {
		nlmsg_free(msg);
		return NULL;
	}
	genlmsg_end(msg, head);
	*data = nla_data(a);
	return msg;
}

void hg_event_send(struct hg_guard *g, const void *event, u32 length)
{
	struct sk_buff *msg;
	u8 *data;

	msg = event_begin(g, length, &data);
	if (!msg)
		return;
	memcpy(data, event, length);
	genlmsg_multicast_netns(&hg_family, g->net, msg, 0, 0, GFP_ATOMIC);
}

/* A DNS answer: the p->left - 8 bytes behind the UDP header, which are at `at` of skb. */
void hg_event_answer(struct hg_guard *g, const struct hg_packet *p, const struct sk_buff *skb,
		     u32 at)
{
	const u32 head = sizeof(struct hg_answer_event) - HG_ANSWER_MAX;
	u32 n = min_t(u32, p->left - 8, HG_ANSWER_MAX);
	struct sk_buff *msg;
	u8 *data;
	struct { /* struct hg_answer_event without its data */
		struct hg_event head;
		struct hg_flow_key key;
		u16 length, cut;
		u32 pad;
	} e = {
		.head.time_ns = ktime_get_ns(),
		.head.type = HG_EVENT_ANSWER,
		.head.channel = p->channel,
		.head.length = head + n,
		.key = p->key,
		.length = n,
		.cut = p->left - 8 > HG_ANSWER_MAX || p->flags & HG_PACKET_FIRST,
	};

	BUILD_BUG_ON(sizeof(e) != sizeof(struct hg_answer_event) - HG_ANSWER_MAX);
	msg = event_begin(g, head + n, &data);
	if (!msg)
		return;
	memcpy(data, &e, head);
	if (skb_copy_bits(skb, at, data + head, n)) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_multicast_netns(&hg_family, g->net, msg, 0, 0, GFP_ATOMIC);
}
