// SPDX-License-Identifier: MIT
/*
 * The module host of the guard: heliograph.ko, spoken to over generic netlink. The agent and the
 * command line call it through hg_guard_module; guard-netlink.c, guard-kmod-keep.c,
 * guard-kmod-events.c and guard-kmod-probe.c are its parts.
 *
 * The kernel holds everything; an open guard here is a socket. Whatever changes is one request,
 * which the module takes or refuses as a whole, so nothing is to be undone. There is one guard in
 * each network namespace, and pin_dir means nothing.
 */
#include "guard-kmod.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netlink/genl/genl.h>
#include <sys/random.h>

#define DUMP_TRIES 8 /* of what must be one state */

_Static_assert(HG_GUARD_INTERFACES_MAX == HG_INTERFACES_MAX, "interfaces of a guard");

/* What GET answers. */
struct state {
	__u32 abi, clock, locked, memory;
	int heartbeat_left; /* -1: none */
	bool guarded;
	struct hg_guard_config config;
	__u32 sizes[3], counts[3];
	__u32 ifindexes[HG_INTERFACES_MAX];
	char names[HG_INTERFACES_MAX][16];
	size_t n_interfaces;
};

static void take(struct nlattr **attrs, enum hg_attribute a, void *to, size_t size)
{
	const void *from = hg_netlink_bytes(attrs, a, size);

	if (from)
		memcpy(to, from, size);
}

static void take_interfaces(struct state *s, struct nlattr **attrs)
{
	size_t n = attrs[HG_A_IFINDEXES] ? nla_len(attrs[HG_A_IFINDEXES]) / sizeof(__u32) : 0;

	if (n > HG_INTERFACES_MAX)
		n = HG_INTERFACES_MAX;
	take(attrs, HG_A_IFINDEXES, s->ifindexes, n * sizeof(__u32));
	take(attrs, HG_A_IFNAMES, s->names, n * sizeof(s->names[0]));
	s->n_interfaces = n;
}

static void take_state(void *ctx, struct nlattr **attrs)
{
	struct state *s = ctx;

	s->abi = hg_netlink_u32(attrs, HG_A_ABI, 0);
	s->clock = hg_netlink_u32(attrs, HG_A_CLOCK, 0);
	s->locked = hg_netlink_u32(attrs, HG_A_LOCKED, 0);
	s->memory = hg_netlink_u32(attrs, HG_A_MEMORY, 0);
	s->heartbeat_left = attrs[HG_A_HEARTBEAT_LEFT]
				    ? (int)hg_netlink_u32(attrs, HG_A_HEARTBEAT_LEFT, 0)
				    : -1;
	s->guarded = attrs[HG_A_CONFIG] != NULL;
	take(attrs, HG_A_CONFIG, &s->config, sizeof(s->config));
	take(attrs, HG_A_SIZES, s->sizes, sizeof(s->sizes));
	take(attrs, HG_A_COUNTS, s->counts, sizeof(s->counts));
	take_interfaces(s, attrs);
}

/* -EPROTO: a module of another release. */
static int get_state(struct hg_netlink *n, struct state *s, struct hg_error *e)
{
	int ret;

	*s = (struct state){ 0 };
	ret = hg_netlink_call(n, hg_netlink_request(n, HG_CMD_GET), take_state, s, e);
	if (!ret && s->abi != HG_GUARD_ABI)
		ret = hg_error_set(e, -EPROTO,
				   "the module speaks ABI %u, this program %u; both must be of one "
				   "release",
				   s->abi, HG_GUARD_ABI);
	return ret;
}

static int guard_state(struct hg_guard *g, struct state *s)
{
	int ret = get_state(&g->netlink, s, NULL);

	return !ret && !s->guarded ? -ENODEV : ret;
}

static struct hg_guard *guard_of(const struct hg_netlink *n)
{
	struct hg_guard *g = calloc(1, sizeof(*g));

	if (g)
		g->netlink = *n;
	return g;
}

static void close_guard(struct hg_guard *g)
{
	if (!g)
		return;
	hg_kmod_events_close(g);
	hg_netlink_close(&g->netlink);
	free(g);
}

static int find_interfaces(struct hg_guard_options *o, __u32 ifindexes[], struct hg_error *e)
{
	for (size_t i = 0; i < o->n_interfaces; i++) {
		struct hg_guard_interface *g = &o->interfaces[i];
		int ret;

		g->ifindex = if_nametoindex(g->name);
		if (!g->ifindex)
			return hg_error_set(e, -ENODEV,
					    "interface %s does not exist; attach again when it has "
					    "come",
					    g->name);
		ret = hg_guard_link_type(g->name, e);
		if (ret < 0)
			return ret;
		ifindexes[i] = g->ifindex;
		g->got = HG_GUARD_HOOK;
	}
	return 0;
}

static int send_attach(struct hg_netlink *n, const struct hg_guard_options *o,
		       const __u32 *ifindexes, struct hg_error *e)
{
	const __u32 sizes[3] = { o->flows_kept, o->flows_inside, o->flows_outside };
	struct nl_msg *m = hg_netlink_request(n, HG_CMD_ATTACH);
	int ret = m ? 0 : -ENOMEM;
	struct hg_prefix *trusted = hg_guard_trusted(o, &ret, e);

	if (!ret && o->n_trusted > HG_TRUSTED_MAX)
		ret = hg_error_set(e, -E2BIG, "trusted: %zu prefixes; %d are possible",
				   o->n_trusted, HG_TRUSTED_MAX);
	if (!ret && (nla_put(m, HG_A_CONFIG, sizeof(o->config), &o->config) ||
		     nla_put(m, HG_A_IFINDEXES, o->n_interfaces * sizeof(*ifindexes), ifindexes) ||
		     nla_put(m, HG_A_TRUSTED, o->n_trusted * sizeof(*trusted), trusted) ||
		     nla_put(m, HG_A_SIZES, sizeof(sizes), sizes)))
		ret = -ENOMEM;
	free(trusted);
	if (!ret)
		return hg_netlink_call(n, m, NULL, NULL, e);
	nlmsg_free(m);
	return ret;
}

static int attach(struct hg_guard_options *o, struct hg_guard **guard, char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_guard_options made = *o;
	__u32 ifindexes[HG_INTERFACES_MAX];
	struct hg_netlink n;
	struct state s;
	int ret = hg_guard_options_check(o, &e);

	if (ret)
		return ret;
	if (!made.config.seed && getrandom(&made.config.seed, sizeof(made.config.seed), 0) < 0)
		return hg_error_set(&e, -errno, "no random numbers: %s", strerror(errno));
	made.config.abi = HG_GUARD_ABI;
	ret = find_interfaces(&made, ifindexes, &e);
	if (!ret)
		ret = hg_netlink_open(&n, true, &e);
	if (ret)
		return ret;
	ret = get_state(&n, &s, &e);
	if (!ret)
		ret = send_attach(&n, &made, ifindexes, &e);
	if (!ret) {
		*guard = guard_of(&n);
		ret = *guard ? 0 : -ENOMEM;
	}
	if (ret)
		hg_netlink_close(&n);
	else
		*o = made;
	return ret;
}

static int open_guard(const char *pin_dir, struct hg_guard **guard, char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_guard *g = NULL;
	struct hg_netlink n;
	struct state s;
	int ret = hg_netlink_open(&n, false, &e);

	if (ret)
		return ret;
	ret = get_state(&n, &s, &e);
	if (!ret && !s.guarded)
		ret = hg_error_set(&e, -ENOENT,
				   "the module is loaded, but guards nothing in this network "
				   "namespace");
	if (!ret) {
		g = guard_of(&n);
		ret = g ? 0 : -ENOMEM;
	}
	if (ret)
		hg_netlink_close(&n);
	else
		*guard = g;
	return ret;
}

static int detach(const char *pin_dir, const struct hg_seal *seal, char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_guard g = { 0 };
	int ret = hg_netlink_open(&g.netlink, false, &e);

	if (ret)
		return ret;
	if (seal)
		g.seal = *seal;
	ret = hg_kmod_change(&g, hg_netlink_request(&g.netlink, HG_CMD_DETACH));
	if (ret)
		hg_error_set(&e, ret, "%s", g.said);
	hg_netlink_close(&g.netlink);
	return ret;
}

static int interfaces(struct hg_guard *g, struct hg_guard_interface *list, size_t *n)
{
	struct state s;
	int ret = guard_state(g, &s);

	for (size_t i = 0; !ret && i < s.n_interfaces; i++) {
		list[i] = (struct hg_guard_interface){ .ifindex = s.ifindexes[i],
						       .wanted = HG_GUARD_HOOK,
						       .got = HG_GUARD_HOOK };
		memcpy(list[i].name, s.names[i], sizeof(list[i].name) - 1);
	}
	if (!ret)
		*n = s.n_interfaces;
	return ret;
}

static int get_config(struct hg_guard *g, struct hg_guard_config *config)
{
	struct state s;
	int ret = guard_state(g, &s);

	if (!ret)
		*config = s.config;
	return ret;
}

static enum hg_guard_clock clock_of(struct hg_guard *g)
{
	struct state s;

	return guard_state(g, &s) || !s.clock ? HG_CLOCK_STOPPED : HG_CLOCK_KERNEL;
}

static int close_seconds(struct hg_guard *g, unsigned int seconds)
{
	return -EOPNOTSUPP;
}

static int flow_counts(struct hg_guard *g, size_t counts[static 3])
{
	struct state s;
	int ret = guard_state(g, &s);

	for (int i = 0; !ret && i < 3; i++)
		counts[i] = s.counts[i];
	return ret;
}

static int flow_sizes(struct hg_guard *g, size_t sizes[static 3])
{
	struct state s;
	int ret = guard_state(g, &s);

	for (int i = 0; !ret && i < 3; i++)
		sizes[i] = s.sizes[i];
	return ret;
}

int hg_kmod_change(struct hg_guard *g, struct nl_msg *request)
{
	struct hg_error e = { g->said, sizeof(g->said) };
	const struct hg_seal seal = g->seal;

	g->seal.counter = 0;
	g->said[0] = '\0';
	if (request && seal.counter && nla_put(request, HG_A_SEAL, sizeof(seal), &seal)) {
		nlmsg_free(request);
		return -ENOMEM;
	}
	return hg_netlink_call(&g->netlink, request, NULL, NULL, &e);
}

static int send_u32(struct hg_guard *g, enum hg_command command, enum hg_attribute a, __u32 value)
{
	struct nl_msg *m = hg_netlink_request(&g->netlink, command);

	if (m && nla_put_u32(m, a, value)) {
		nlmsg_free(m);
		m = NULL;
	}
	return hg_kmod_change(g, m);
}

static int set_policy(struct hg_guard *g, enum hg_policy policy)
{
	if (!hg_policy_name(policy))
		return -EINVAL;
	return send_u32(g, HG_CMD_SET_POLICY, HG_A_POLICY, policy);
}

static int set_flag(struct hg_guard *g, __u32 flag, bool on)
{
	return send_u32(g, HG_CMD_SET_POLICY, on ? HG_A_FLAGS_ON : HG_A_FLAGS_OFF, flag);
}

static int set_profile(struct hg_guard *g, const struct hg_peer *peers, size_t n_peers,
		       const struct hg_rule *rules, size_t n_rules, const struct hg_bounds *bounds)
{
	struct nl_msg *m;

	if (n_peers > HG_PEERS_MAX || n_rules > HG_RULES_MAX)
		return -E2BIG;
	m = hg_netlink_request(&g->netlink, HG_CMD_SET_PROFILE);
	if (m && (nla_put(m, HG_A_PEERS, n_peers * sizeof(*peers), peers) ||
		  nla_put(m, HG_A_RULES, n_rules * sizeof(*rules), rules) ||
		  (bounds && nla_put(m, HG_A_BOUNDS, HG_CHANNELS_MAX * sizeof(*bounds), bounds)))) {
		nlmsg_free(m);
		m = NULL;
	}
	return hg_kmod_change(g, m);
}

static int gate(struct hg_guard *g, unsigned int seconds)
{
	return send_u32(g, HG_CMD_GATE, HG_A_TIMEOUT, seconds);
}

struct rows {
	void *rows;
	size_t size;
	enum hg_attribute attribute;
};

static int take_row(void *ctx, struct nlattr **attrs)
{
	__u32 channel = hg_netlink_u32(attrs, HG_A_CHANNEL, HG_CHANNELS_MAX);
	struct rows *r = ctx;

	if (channel >= HG_CHANNELS_MAX)
		return -EBADMSG;
	take(attrs, r->attribute, (char *)r->rows + channel * r->size, r->size);
	return 0;
}

/* One row for each channel, of one moment; those that are not told are zero. */
static int dump_rows(struct hg_guard *g, enum hg_command command, enum hg_attribute attribute,
		     void *rows, size_t size)
{
	struct rows r = { calloc(HG_CHANNELS_MAX, size), size, attribute };
	int ret = r.rows ? -EINTR : -ENOMEM;

	for (int i = 0; i < DUMP_TRIES && ret == -EINTR; i++) {
		memset(r.rows, 0, HG_CHANNELS_MAX * size);
		ret = hg_netlink_dump(&g->netlink, command, take_row, &r);
	}
	if (!ret)
		memcpy(rows, r.rows, HG_CHANNELS_MAX * size);
	free(r.rows);
	return ret;
}

static int get_bounds(struct hg_guard *g, struct hg_bounds by_channel[static HG_CHANNELS_MAX])
{
	return dump_rows(g, HG_CMD_GET_BOUNDS, HG_A_BOUNDS, by_channel, sizeof(*by_channel));
}

static int windows(struct hg_guard *g, struct hg_window by_channel[static HG_CHANNELS_MAX])
{
	return dump_rows(g, HG_CMD_GET_WINDOWS, HG_A_WINDOW, by_channel, sizeof(*by_channel));
}

static void take_counters(void *ctx, struct nlattr **attrs)
{
	take(attrs, HG_A_COUNTERS, ctx, HG_REASON_MAX * sizeof(__u64));
}

static int counters(struct hg_guard *g, __u64 by_reason[static HG_REASON_MAX])
{
	__u64 got[HG_REASON_MAX] = { 0 };
	int ret = hg_netlink_call(&g->netlink, hg_netlink_request(&g->netlink, HG_CMD_GET_COUNTERS),
				  take_counters, got, NULL);

	if (!ret)
		memcpy(by_reason, got, sizeof(got));
	return ret;
}

struct flows_walk {
	int (*each)(void *ctx, int table, const struct hg_flow_key *key,
		    const struct hg_flow *flow);
	void *ctx;
};

static int take_flow(void *ctx, struct nlattr **attrs)
{
	const void *key = hg_netlink_bytes(attrs, HG_A_FLOW_KEY, sizeof(struct hg_flow_key));
	const void *flow = hg_netlink_bytes(attrs, HG_A_FLOW, sizeof(struct hg_flow));
	__u32 table = hg_netlink_u32(attrs, HG_A_TABLE, 3);
	struct flows_walk *w = ctx;
	struct hg_flow_key k;
	struct hg_flow f;

	if (!key || !flow || table > 2)
		return -EBADMSG;
	memcpy(&k, key, sizeof(k)); /* attributes are aligned to four bytes only */
	memcpy(&f, flow, sizeof(f));
	return w->each(w->ctx, (int)table, &k, &f);
}

/* Flows come and go all the time: what changed while it was read is no error. */
static int flows(struct hg_guard *g,
		 int (*each)(void *ctx, int table, const struct hg_flow_key *key,
			     const struct hg_flow *flow),
		 void *ctx)
{
	struct flows_walk w = { each, ctx };
	int ret = hg_netlink_dump(&g->netlink, HG_CMD_GET_FLOWS, take_flow, &w);

	return ret == -EINTR ? 0 : ret;
}

static int set_bound(struct hg_guard *g, const struct hg_addr *addr, const struct hg_bound *bound)
{
	struct nl_msg *m = hg_netlink_request(&g->netlink, HG_CMD_SET_BOUND);

	if (m && (nla_put(m, HG_A_ADDR, sizeof(*addr), addr) ||
		  nla_put(m, HG_A_BOUND, sizeof(*bound), bound))) {
		nlmsg_free(m);
		m = NULL;
	}
	return hg_netlink_call(&g->netlink, m, NULL, NULL, NULL);
}

struct bound_list {
	struct {
		struct hg_addr addr;
		struct hg_bound bound;
	} all[HG_BOUND_MAX];
	size_t n;
};

static int take_bound(void *ctx, struct nlattr **attrs)
{
	const void *addr = hg_netlink_bytes(attrs, HG_A_ADDR, sizeof(struct hg_addr));
	const void *bound = hg_netlink_bytes(attrs, HG_A_BOUND, sizeof(struct hg_bound));
	struct bound_list *l = ctx;

	if (!addr || !bound)
		return -EBADMSG;
	if (l->n == HG_BOUND_MAX)
		return -E2BIG;
	memcpy(&l->all[l->n].addr, addr, sizeof(struct hg_addr));
	memcpy(&l->all[l->n++].bound, bound, sizeof(struct hg_bound));
	return 0;
}

/* Read as a whole first: each() may set one. */
static int bound(struct hg_guard *g,
		 int (*each)(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound),
		 void *ctx)
{
	struct bound_list *l = malloc(sizeof(*l));
	int ret = l ? -EINTR : -ENOMEM;

	for (int i = 0; i < DUMP_TRIES && ret == -EINTR; i++) {
		l->n = 0;
		ret = hg_netlink_dump(&g->netlink, HG_CMD_GET_BOUND, take_bound, l);
	}
	for (size_t i = 0; !ret && i < l->n; i++)
		ret = each(ctx, &l->all[i].addr, &l->all[i].bound);
	free(l);
	return ret;
}

static int rematch(struct hg_guard *g)
{
	return hg_netlink_call(&g->netlink, hg_netlink_request(&g->netlink, HG_CMD_REMATCH), NULL,
			       NULL, NULL);
}

static int keeping(struct hg_guard *g, struct hg_guard_keeping *k)
{
	struct state s;
	int ret = guard_state(g, &s);

	if (!ret)
		*k = (struct hg_guard_keeping){ .locked = s.locked,
						.heartbeat_left = s.heartbeat_left,
						.memory = s.memory };
	return ret;
}

static void set_seal(struct hg_guard *g, const struct hg_seal *seal)
{
	g->seal = *seal;
}

static const char *said(struct hg_guard *g)
{
	return g->said;
}

const struct hg_guard_ops hg_guard_module = {
	.name = "module",
	.probe = hg_kmod_probe,
	.attach = attach,
	.open = open_guard,
	.close = close_guard,
	.detach = detach,
	.interfaces = interfaces,
	.get_config = get_config,
	.set_policy = set_policy,
	.set_flag = set_flag,
	.gate = gate,
	.set_profile = set_profile,
	.get_bounds = get_bounds,
	.clock = clock_of,
	.close_seconds = close_seconds,
	.counters = counters,
	.windows = windows,
	.flows = flows,
	.flow_counts = flow_counts,
	.flow_sizes = flow_sizes,
	.event_fd = hg_kmod_event_fd,
	.events = hg_kmod_events,
	.events_lost = hg_kmod_events_lost,
	.set_bound = set_bound,
	.bound = bound,
	.rematch = rematch,
	.keeping = keeping,
	.heartbeat = hg_kmod_heartbeat,
	.lock = hg_kmod_lock,
	.seal = set_seal,
	.unlock = hg_kmod_unlock,
	.said = said,
};
