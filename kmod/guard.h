/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guard of one network namespace, and what its parts offer each other.
 *
 * Locks, the outer first:
 *   rtnl            ATTACH, and the notifier of interfaces
 *   hg_net.lock     every command; which guard there is; settings and interfaces are written
 *   table locks     spinlocks, inside a packet's judgement
 * The packet path takes none of the first two. It runs with softirqs off, in an RCU read section,
 * and reads settings by RCU.
 */
#ifndef HG_KMOD_GUARD_H
#define HG_KMOD_GUARD_H

#include <linux/if.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/seqlock.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include "../core/score.h"
#include "table.h"

#define HG_HOOKS 4
#define HG_BOUND_HEADS 256
#define HG_KEPT_SCORES 16 /* scores that wait for somebody to listen; the newest */

struct genl_family;
struct genl_info;
struct netlink_callback;
struct netlink_ext_ack;

/* What user space has set. Replaced as a whole: a packet sees the old or the new. */
struct hg_settings {
	struct hg_guard_config config;
	struct hg_bounds bounds[HG_CHANNELS_MAX];
	struct hg_peer peers[HG_PEERS_MAX];	  /* config.n_peers */
	struct hg_rule rules[HG_RULES_MAX];	  /* config.n_rules */
	struct hg_prefix trusted[HG_TRUSTED_MAX]; /* config.n_trusted */
};

struct hg_interface {
	int ifindex; /* 0: gone; read by the packet path without a lock */
	char name[IFNAMSIZ];
};

/* What is guarded. ATTACH replaces it as a whole, the notifier changes an ifindex in its place. */
struct hg_interfaces {
	struct rcu_head rcu;
	u32 n;
	struct hg_interface at[HG_INTERFACES_MAX];
};

/* What each processor writes while it judges packets, with softirqs off. */
struct hg_cpu {
	seqcount_t turn; /* of windows and counters; where a load of 64 bits is not one */
	struct hg_window windows[HG_CHANNELS_MAX];
	u64 counters[HG_REASON_MAX];
	struct hg_ring ring;
};

struct hg_bound_node {
	struct hlist_node node;
	struct rcu_head rcu;
	struct hg_addr addr;
	struct hg_bound bound;
};

/* Closes seconds. Only the work touches it, or who has cancelled the work. */
struct hg_clock {
	struct delayed_work work;
	u64 due_ns; /* when the second that runs is over */
	bool stands;
	struct hg_score_state states[HG_CHANNELS_MAX];
	/* Of the channel at hand: too large for the stack. */
	struct hg_window now;
	struct hg_score_event event;
	struct hg_score_event kept[HG_KEPT_SCORES];
	u32 n_kept; /* so far; the newest is at (n_kept - 1) % HG_KEPT_SCORES */
};

/* Sends the alarm that was left with us. Written by HEARTBEAT while the work is cancelled. */
struct hg_distress {
	struct delayed_work work;
	struct hg_addr to;
	__be16 port;
	u16 length;
	u32 times; /* sent since the heartbeat stopped */
	u32 due_s; /* monotonic: when the heartbeat runs out */
	bool expected;
	u8 data[HG_DISTRESS_MAX];
};

struct hg_lock {
	bool locked;
	u64 counter; /* of the last good seal */
	u8 key[HG_KEY_LENGTH];
};

struct hg_guard {
	struct net *net;
	struct hg_settings __rcu *settings;
	struct hg_interfaces __rcu *interfaces;
	struct nf_hook_ops hooks[HG_HOOKS];
	bool hooked;
	struct hg_flow_table tables[3]; /* by enum hg_table */
	struct hg_flow_table fragments;
	struct hg_cpu __percpu *cpus;
	struct hlist_head bound[HG_BOUND_HEADS]; /* of hg_bound_node, written with hg_net.lock */
	u32 n_bound;
	u32 bound_key; /* random, of its hash */
	struct hg_lock lock;
	struct hg_clock clock;
	struct hg_distress distress;
	/* Shared by processors, which may lose each other's counts: see core/host.h. */
	struct hg_moments moments;
	struct hg_rate rates[HG_RATE_MAX];
	struct hg_police police[HG_CHANNELS_MAX];
	struct hg_spots spots[HG_CHANNELS_MAX];
	struct hg_slots slots;
};

struct hg_net {
	struct mutex lock;	/* of the guard and all commands, see above */
	struct hg_guard *guard; /* NULL: none is attached */
	u32 changes;		/* of what dumps tell, but for what packets change */
};

struct hg_net *hg_net_of(struct net *net);

#define hg_guard_is_locked(g) lockdep_is_held(&hg_net_of((g)->net)->lock)

/* guard.c: all with hg_net.lock. A reason for failure is in extack. */
struct hg_guard *hg_guard_new(struct net *net, const struct hg_settings *s, const u32 sizes[3],
			      struct netlink_ext_ack *extack);
void hg_guard_free(struct hg_guard *g);
struct hg_settings *hg_settings_copy(const struct hg_guard *g);
void hg_settings_put(struct hg_guard *g, struct hg_settings *s);
const struct hg_settings *hg_settings_of(const struct hg_guard *g, const struct hg_net *n);
u32 hg_guard_bytes(const struct hg_guard *g);
void hg_guard_counters(const struct hg_guard *g, u64 by_reason[HG_REASON_MAX]);
void hg_guard_window(const struct hg_guard *g, u32 channel, struct hg_window *sum);

/* hooks.c */
int hg_hooks_attach(struct hg_guard *g);
void hg_hooks_detach(struct hg_guard *g);

/* interface.c: the notifier's life is the module's. */
int hg_interfaces_set(struct hg_guard *g, const u32 *ifindexes, u32 n,
		      struct netlink_ext_ack *extack); /* with rtnl */
const struct hg_interfaces *hg_interfaces_of(const struct hg_guard *g);
bool hg_interfaces_have(const struct hg_guard *g, int ifindex);
int hg_interfaces_init(void);
void hg_interfaces_exit(void);

/*
 * judge.c: the packet is at skb->data, which begins `link` bytes before IP. Sets p->reason and what
 * else is known of the packet. True if it must go. flags: HG_PACKET_OUT or 0.
 */
bool hg_judge_packet(struct hg_guard *g, struct sk_buff *skb, u32 link, u8 flags, u32 now_s,
		     u32 segments, struct hg_packet *p);

/* Judges one that the stack has answered before a hook saw it; true if the answer must go. */
bool hg_judge_unseen(struct hg_guard *g);

/* bound.c: with hg_net.lock, but find, which is in an RCU read section. */
const struct hg_bound *hg_bound_find(const struct hg_guard *g, const struct hg_addr *a);
int hg_bound_set(struct hg_guard *g, const struct hg_addr *a, const struct hg_bound *b);
void hg_bound_exit(struct hg_guard *g);

/* clock.c */
void hg_clock_init(struct hg_guard *g);
void hg_clock_start(struct hg_guard *g);
void hg_clock_stop(struct hg_guard *g);
/* While it stands, but for the work itself: of all channels, and of one. */
void hg_clock_close(struct hg_guard *g, u32 seconds);
void hg_clock_close_channel(struct hg_guard *g, u32 channel, u32 seconds);

/* distress.c: with hg_net.lock. */
void hg_distress_init(struct hg_guard *g);
void hg_distress_stop(struct hg_guard *g);
void hg_distress_start(struct hg_guard *g, u32 seconds);

/* lock.c: with hg_net.lock. */
int hg_lock_close(struct hg_guard *g, const u8 *key, u64 after, struct netlink_ext_ack *extack);
void hg_lock_open(struct hg_guard *g);
int hg_lock_check(struct hg_guard *g, struct genl_info *info);

/* event.c: from any context; nobody listens: nothing happens. */
bool hg_event_heard(const struct hg_guard *g);
void hg_event_send(struct hg_guard *g, const void *event, u32 length);
void hg_event_answer(struct hg_guard *g, const struct hg_packet *p, const struct sk_buff *skb,
		     u32 at);

/* netlink.c */
extern struct genl_family hg_family;
int hg_netlink_init(void);
void hg_netlink_exit(void);

#endif
