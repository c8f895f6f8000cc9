// SPDX-License-Identifier: GPL-2.0
/*
 * The commands that only read: GET, GET_COUNTERS and the dumps. A dump takes hg_net.lock for each
 * message. When a command has changed settings or names between two of them, its reader is told
 * (NLM_F_DUMP_INTR) and asks again; what packets change is seen or not, but never half.
 */
#include "netlink.h"

#include <linux/ktime.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <net/sock.h>

static int put_interfaces(struct sk_buff *msg, const struct hg_guard *g)
{
	const struct hg_interfaces *l = hg_interfaces_of(g);
	char names[HG_INTERFACES_MAX][IFNAMSIZ];
	u32 ifindexes[HG_INTERFACES_MAX], i;

	for (i = 0; i < l->n; i++) {
		ifindexes[i] = l->at[i].ifindex;
		memcpy(names[i], l->at[i].name, IFNAMSIZ);
	}
	return nla_put(msg, HG_A_IFINDEXES, i * sizeof(u32), ifindexes) ||
	       nla_put(msg, HG_A_IFNAMES, i * IFNAMSIZ, names);
}

static int put_distress(struct sk_buff *msg, const struct hg_distress *d)
{
	s32 left = d->due_s - (u32)ktime_get_seconds();

	return d->expected && nla_put_u32(msg, HG_A_HEARTBEAT_LEFT, left > 0 ? left : 0);
}

static int put_guard(struct sk_buff *msg, const struct hg_guard *g, const struct hg_settings *s)
{
	struct hg_guard_config config = s->config;
	u32 sizes[3], counts[3], i;

	config.seed = 0;
	for (i = 0; i < 3; i++) {
		sizes[i] = g->tables[i].size;
		counts[i] = READ_ONCE(g->tables[i].used);
	}
	return nla_put(msg, HG_A_CONFIG, sizeof(config), &config) ||
	       nla_put(msg, HG_A_SIZES, sizeof(sizes), sizes) ||
	       nla_put(msg, HG_A_COUNTS, sizeof(counts), counts) ||
	       nla_put_u32(msg, HG_A_CLOCK, !g->clock.stands) ||
	       nla_put_u32(msg, HG_A_LOCKED, g->lock.locked) || put_interfaces(msg, g) ||
	       nla_put(msg, HG_A_TRUSTED, config.n_trusted * sizeof(struct hg_prefix),
		       s->trusted) ||
	       put_distress(msg, &g->distress) || nla_put_u32(msg, HG_A_MEMORY, hg_guard_bytes(g));
}

int hg_command_get(struct hg_net *n, struct genl_info *info)
{
	struct hg_guard *g = n->guard;
	struct sk_buff *msg;
	void *head;

	msg = hg_netlink_reply(info, &head);
	if (!msg)
		return -ENOMEM;
	if (nla_put_u32(msg, HG_A_ABI, HG_GUARD_ABI) ||
	    (g && put_guard(msg, g, hg_settings_of(g, n)))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

int hg_command_get_counters(struct hg_net *n, struct genl_info *info)
{
	u64 counters[HG_REASON_MAX];
	struct sk_buff *msg;
	void *head;

	msg = hg_netlink_reply(info, &head);
	if (!msg)
		return -ENOMEM;
	hg_guard_counters(n->guard, counters);
	if (nla_put(msg, HG_A_COUNTERS, sizeof(counters), counters)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

/* One message of a dump. */
struct dump {
	struct sk_buff *msg;
	struct netlink_callback *cb;
	struct hg_guard *guard;
	const struct hg_settings *settings;
	void *head;
	u8 command;
};

static bool begin(struct dump *d)
{
	d->head = genlmsg_put(d->msg, NETLINK_CB(d->cb->skb).portid, d->cb->nlh->nlmsg_seq,
			      &hg_family, NLM_F_MULTI, d->command);
	return d->head;
}

/* Ends an entry, or takes back what did not fit. Returns 0 or -EMSGSIZE. */
static int end(struct dump *d, int failed)
{
	if (failed) {
		genlmsg_cancel(d->msg, d->head);
		return -EMSGSIZE;
	}
	genl_dump_check_consistent(d->cb, d->head);
	genlmsg_end(d->msg, d->head);
	return 0;
}

/* Entry i, if there is one. Returns -EMSGSIZE if it has to go into the next message. */
static int put_bounds(struct dump *d, u32 i)
{
	const struct hg_bounds *b = &d->settings->bounds[i];

	if (!b->id)
		return 0;
	if (!begin(d))
		return -EMSGSIZE;
	return end(d, nla_put_u32(d->msg, HG_A_CHANNEL, i) ||
			      nla_put(d->msg, HG_A_BOUNDS, sizeof(*b), b));
}

static int put_window(struct dump *d, u32 i)
{
	struct hg_window w;

	hg_guard_window(d->guard, i, &w);
	if (!begin(d))
		return -EMSGSIZE;
	return end(d, nla_put_u32(d->msg, HG_A_CHANNEL, i) ||
			      nla_put(d->msg, HG_A_WINDOW, sizeof(w), &w));
}

/* i counts through the three tables. */
static int put_flow(struct dump *d, u32 i)
{
	struct hg_flow_table *t = d->guard->tables;
	struct hg_flow_key k;
	struct hg_flow f;

	while (i >= t->size)
		i -= t++->size;
	if (!hg_table_read(t, i, &k, &f))
		return 0;
	if (!begin(d))
		return -EMSGSIZE;
	return end(d, nla_put_u32(d->msg, HG_A_TABLE, t - d->guard->tables) ||
			      nla_put(d->msg, HG_A_FLOW_KEY, sizeof(k), &k) ||
			      nla_put(d->msg, HG_A_FLOW, sizeof(f), &f));
}

static int put_bound(struct dump *d, const struct hg_bound_node *n)
{
	if (!begin(d))
		return -EMSGSIZE;
	return end(d, nla_put(d->msg, HG_A_ADDR, sizeof(n->addr), &n->addr) ||
			      nla_put(d->msg, HG_A_BOUND, sizeof(n->bound), &n->bound));
}

/* Names are few, so each message counts from the first; cb->args[0] are done. */
static void put_all_bound(struct dump *d)
{
	const struct hg_bound_node *n;
	u32 head, i = 0;

	for (head = 0; head < HG_BOUND_HEADS; head++) {
		hlist_for_each_entry(n, &d->guard->bound[head], node) {
			if (i++ < d->cb->args[0])
				continue;
			if (put_bound(d, n))
				return;
			d->cb->args[0] = i;
		}
	}
}

static u32 flows_max(const struct hg_guard *g)
{
	return g->tables[0].size + g->tables[1].size + g->tables[2].size;
}

/*
 * The next message, of entries 0 and up by put, or of names if put is NULL. cb->args[0] entries
 * were told or passed over before.
 */
static int dump(struct sk_buff *msg, struct netlink_callback *cb, u8 command,
		int (*put)(struct dump *d, u32 i))
{
	struct hg_net *n = hg_net_of(sock_net(cb->skb->sk));
	struct dump d = { .msg = msg, .cb = cb, .command = command };
	u32 all, i;

	mutex_lock(&n->lock);
	d.guard = n->guard;
	if (!d.guard) {
		mutex_unlock(&n->lock);
		NL_SET_ERR_MSG(cb->extack, "no guard is attached in this network namespace");
		return -ENODEV;
	}
	d.settings = hg_settings_of(d.guard, n);
	cb->seq = n->changes;
	if (!put) {
		put_all_bound(&d);
		goto out;
	}
	all = put == put_flow ? flows_max(d.guard) : HG_CHANNELS_MAX;
	for (i = cb->args[0]; i < all; i++) {
		if (put(&d, i))
			break;
		cond_resched(); /* a table may have a million free places */
	}
	cb->args[0] = i;
out:
	mutex_unlock(&n->lock);
	return msg->len;
}

int hg_dump_bounds(struct sk_buff *msg, struct netlink_callback *cb)
{
	return dump(msg, cb, HG_CMD_GET_BOUNDS, put_bounds);
}

int hg_dump_windows(struct sk_buff *msg, struct netlink_callback *cb)
{
	return dump(msg, cb, HG_CMD_GET_WINDOWS, put_window);
}

int hg_dump_flows(struct sk_buff *msg, struct netlink_callback *cb)
{
	return dump(msg, cb, HG_CMD_GET_FLOWS, put_flow);
}

int hg_dump_bound(struct sk_buff *msg, struct netlink_callback *cb)
{
	return dump(msg, cb, HG_CMD_GET_BOUND, NULL);
}
