// SPDX-License-Identifier: GPL-2.0
/*
 * One packet's judgement: parses it, asks core/verdict.h, counts. The hooks call it, and the
 * self-test. It takes no lock but a table's, when a flow is new.
 *
 * Windows and counters are per processor. Where 64 bits take two loads, who sums them up could read
 * half a number: there, and only there, a seqcount goes around a packet's judgement. It is a raw
 * one, so that a preemptible softirq (PREEMPT_RT) may sleep on a table's lock inside.
 */
#include "guard.h"
#include "host.h"

#include <linux/skbuff.h>
#include "../core/parse.h"
#include "../core/verdict.h"

/* Parses, and if headers lie outside the linear part makes them readable and parses again, once. */
static void parse(struct sk_buff *skb, u32 link, u8 flags, struct hg_packet *p)
{
	struct hg_frame f;
	int i;

	for (i = 0; i < 2; i++) {
		f.data = skb->data;
		f.network = f.data + link;
		f.end = f.data + skb_headlen(skb);
		f.wire = skb->len;
		hg_packet_parse(p, &f, flags);
		if (p->kind != HG_PACKET_TRUNCATED || !skb_is_nonlinear(skb) ||
		    skb_headlen(skb) >= HG_HEADERS_MAX)
			break;
		if (!pskb_may_pull(skb, min_t(u32, skb->len, HG_HEADERS_MAX)))
			break;
	}
}

static int verdict_in(struct hg_host *h, struct hg_packet *p, const struct sk_buff *skb, u32 link)
{
	int reason = hg_verdict_in(h, p);

	if (reason == HG_PASS_FLOW && hg_is_answer(h, p))
		hg_event_answer(h->guard, p, skb, link + p->at * 4 + 8);
	return reason;
}

static void turn_begin(struct hg_cpu *c)
{
	if (BITS_PER_LONG < 64)
		raw_write_seqcount_begin(&c->turn);
}

static void turn_end(struct hg_cpu *c)
{
	if (BITS_PER_LONG < 64)
		raw_write_seqcount_end(&c->turn);
}

bool hg_judge_packet(struct hg_guard *g, struct sk_buff *skb, u32 link, u8 flags, u32 now_s,
		     u32 segments, struct hg_packet *p)
{
	struct hg_host h = { .guard = g, .now_s = now_s };
	bool goes;

	local_bh_disable();
	rcu_read_lock();
	h.settings = rcu_dereference(g->settings);
	h.cpu = this_cpu_ptr(g->cpus);
	parse(skb, link, flags, p);
	hg_packet_segment(p, segments);
	turn_begin(h.cpu);
	p->reason = flags & HG_PACKET_OUT ? hg_verdict_out(&h, p) : verdict_in(&h, p, skb, link);
	h.cpu->counters[p->reason]++;
	turn_end(h.cpu);
	goes = hg_reason_refuses(&h.settings->config, p->reason);
	rcu_read_unlock();
	local_bh_enable();
	return goes;
}

bool hg_judge_unseen(struct hg_guard *g)
{
	struct hg_cpu *c;
	bool goes;

	local_bh_disable();
	rcu_read_lock();
	c = this_cpu_ptr(g->cpus);
	turn_begin(c);
	c->counters[HG_DROP_ICMP]++;
	turn_end(c);
	goes = hg_reason_refuses(&rcu_dereference(g->settings)->config, HG_DROP_ICMP);
	rcu_read_unlock();
	local_bh_enable();
	return goes;
}
