/* SPDX-License-Identifier: MIT */
/* The host of module.h, over genl.h. Nothing here may fail: what does ends the program. */
#include "module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>

struct module_player {
	struct player player;
	struct module *m;
};

struct module {
	struct genl *genl;
	unsigned int linear, flows;
	__u32 now_s, ifindex;
	struct module_player players[2];
	struct play_world world; /* what the guard was told last */
};

static void must(struct module *m, int ret, const char *what)
{
	if (!ret)
		return;
	printf("Bail out! the module refuses %s: %s\n", what, genl_error(m->genl));
	fflush(stdout);
	_exit(1);
}

void module_attach(struct module *m, const struct hg_guard_config *c, unsigned int flows)
{
	const __u32 sizes[3] = { 256, flows, flows };
	int ret;

	genl_begin(m->genl, HG_CMD_DETACH, 0);
	ret = genl_call(m->genl);
	must(m, ret == -ENOENT ? 0 : ret, "to detach");
	genl_begin(m->genl, HG_CMD_ATTACH, 0);
	genl_put(m->genl, HG_A_CONFIG, c, sizeof(*c));
	genl_put(m->genl, HG_A_IFINDEXES, &m->ifindex, sizeof(m->ifindex));
	genl_put(m->genl, HG_A_SIZES, sizes, sizeof(sizes));
	must(m, genl_call(m->genl), "to attach");
}

void module_profile(struct module *m, const struct hg_peer *peers, __u32 n_peers,
		    const struct hg_rule *rules, __u32 n_rules, const struct hg_bounds *bounds)
{
	genl_begin(m->genl, HG_CMD_SET_PROFILE, 0);
	genl_put(m->genl, HG_A_PEERS, peers, n_peers * sizeof(*peers));
	genl_put(m->genl, HG_A_RULES, rules, n_rules * sizeof(*rules));
	genl_put(m->genl, HG_A_BOUNDS, bounds, HG_CHANNELS_MAX * sizeof(*bounds));
	must(m, genl_call(m->genl), "a profile");
}

void module_bind(struct module *m, const struct hg_addr *addr, const struct hg_bound *bound)
{
	genl_begin(m->genl, HG_CMD_SET_BOUND, 0);
	genl_put(m->genl, HG_A_ADDR, addr, sizeof(*addr));
	genl_put(m->genl, HG_A_BOUND, bound, sizeof(*bound));
	must(m, genl_call(m->genl), "a bound address");
}

void module_rematch(struct module *m)
{
	genl_begin(m->genl, HG_CMD_REMATCH, 0);
	must(m, genl_call(m->genl), "to match again");
}

void module_put_frame(struct module *m, int out, int link, const void *frame, size_t length,
		      __u32 now_s, __u32 segments)
{
	genl_begin(m->genl, HG_CMD_TEST, 0);
	genl_put32(m->genl, HG_A_DIRECTION, out != 0);
	genl_put32(m->genl, HG_A_LINK, link != 0);
	genl_put(m->genl, HG_A_FRAME, frame, length);
	genl_put32(m->genl, HG_A_NOW, now_s);
	if (segments > 1)
		genl_put32(m->genl, HG_A_SEGMENTS, segments);
	if (m->linear && m->linear < length)
		genl_put32(m->genl, HG_A_LINEAR, m->linear);
}

void module_close(struct module *m, __u32 seconds)
{
	while (seconds--) {
		genl_begin(m->genl, HG_CMD_TEST_CLOSE, 0);
		genl_put32(m->genl, HG_A_SECONDS, 1);
	}
	must(m, genl_call(m->genl), "to close seconds");
}

static __u32 value32(const struct genl_answer *a, int type)
{
	__u32 v = ~0u;

	if (a->at[type] && a->length[type] == sizeof(v))
		memcpy(&v, a->at[type], sizeof(v));
	return v;
}

static void on_window(void *ctx, const struct genl_answer *a)
{
	__u32 channel = value32(a, HG_A_CHANNEL);
	struct hg_window *w = ctx;

	if (channel < HG_CHANNELS_MAX && a->at[HG_A_WINDOW] && a->length[HG_A_WINDOW] == sizeof(*w))
		memcpy(&w[channel], a->at[HG_A_WINDOW], sizeof(*w));
}

void module_windows(struct module *m, struct hg_window w[HG_CHANNELS_MAX])
{
	memset(w, 0xee, HG_CHANNELS_MAX * sizeof(*w)); /* each channel must be told */
	must(m, genl_dump(m->genl, HG_CMD_GET_WINDOWS, on_window, w), "windows");
}

static void on_counters(void *ctx, const struct genl_answer *a)
{
	if (a->at[HG_A_COUNTERS] && a->length[HG_A_COUNTERS] == HG_REASON_MAX * sizeof(__u64))
		memcpy(ctx, a->at[HG_A_COUNTERS], a->length[HG_A_COUNTERS]);
}

void module_counters(struct module *m, __u64 n[HG_REASON_MAX])
{
	memset(n, 0xee, HG_REASON_MAX * sizeof(*n));
	genl_begin(m->genl, HG_CMD_GET_COUNTERS, 0);
	genl_exchange(m->genl, 1, on_counters, n);
}

struct each_flow {
	void (*each)(void *ctx, int table, const struct hg_flow_key *k, const struct hg_flow *f);
	void *ctx;
};

static void on_flow(void *ctx, const struct genl_answer *a)
{
	struct each_flow *e = ctx;
	struct hg_flow_key k;
	struct hg_flow f;

	if (!a->at[HG_A_FLOW_KEY] || a->length[HG_A_FLOW_KEY] != sizeof(k) || !a->at[HG_A_FLOW] ||
	    a->length[HG_A_FLOW] != sizeof(f))
		return;
	memcpy(&k, a->at[HG_A_FLOW_KEY], sizeof(k));
	memcpy(&f, a->at[HG_A_FLOW], sizeof(f));
	e->each(e->ctx, (int)value32(a, HG_A_TABLE), &k, &f);
}

void module_flows(struct module *m,
		  void (*each)(void *ctx, int table, const struct hg_flow_key *k,
			       const struct hg_flow *f),
		  void *ctx)
{
	struct each_flow e = { each, ctx };

	must(m, genl_dump(m->genl, HG_CMD_GET_FLOWS, on_flow, &e), "flows");
}

static struct module *of(struct player *p)
{
	return ((struct module_player *)p)->m;
}

/* Of the two banks the one in force; the module has one. */
static void tell_profile(struct module *m, const struct play_world *w)
{
	__u32 bank = w->config.generation & 1;

	module_profile(m, &w->peers[bank * HG_PEERS_MAX], w->config.n_peers,
		       &w->rules[bank * HG_RULES_MAX], w->config.n_rules,
		       &w->bounds[bank * HG_CHANNELS_MAX]);
}

static void player_begin(struct player *p, const struct play_world *w)
{
	struct module *m = of(p);

	m->now_s = w->now_s;
	module_attach(m, &w->config, m->flows);
	tell_profile(m, w);
	m->world = *w;
}

static void adopt(struct module *m, const struct play_world *w)
{
	genl_begin(m->genl, HG_CMD_ATTACH, 0);
	genl_put(m->genl, HG_A_CONFIG, &w->config, sizeof(w->config));
	genl_put(m->genl, HG_A_IFINDEXES, &m->ifindex, sizeof(m->ifindex));
	genl_put(m->genl, HG_A_TRUSTED, w->trusted, w->config.n_trusted * sizeof(w->trusted[0]));
	must(m, genl_call(m->genl), "to adopt another configuration");
}

static void tell_policy(struct module *m, const struct play_world *w)
{
	genl_begin(m->genl, HG_CMD_SET_POLICY, 0);
	genl_put32(m->genl, HG_A_POLICY, w->config.policy);
	genl_put32(m->genl, HG_A_FLAGS_ON, w->config.flags);
	genl_put32(m->genl, HG_A_FLAGS_OFF, m->world.config.flags & ~w->config.flags);
	must(m, genl_call(m->genl), "a policy");
}

/* Each difference by the command that is there for it. */
static void player_configure(struct player *p, const struct play_world *w)
{
	struct module *m = of(p);
	const struct hg_guard_config *new = &w->config, *old = &m->world.config;

	if (new->config_rate != old->config_rate || new->n_trusted != old->n_trusted ||
	    new->open_until_s != old->open_until_s)
		adopt(m, w);
	else if (new->policy != old->policy || new->flags != old->flags)
		tell_policy(m, w);
	for (size_t i = 0; i < w->n_bound; i++)
		if (i >= m->world.n_bound ||
		    memcmp(&w->bound[i], &m->world.bound[i], sizeof(w->bound[i])))
			module_bind(m, &w->bound_addr[i], &w->bound[i]);
	if ((new->generation ^ old->generation) & 1 ||
	    memcmp(w->bounds, m->world.bounds, sizeof(w->bounds)))
		tell_profile(m, w);
	else if (new->generation != old->generation)
		module_rematch(m);
	m->world = *w;
}

static void player_wait(struct player *p, unsigned int seconds)
{
	of(p)->now_s += seconds;
}

static void on_reason(void *ctx, const struct genl_answer *a)
{
	*(__u32 *)ctx = value32(a, HG_A_REASON);
}

static int player_run(struct player *p, const struct frame *f)
{
	size_t skip = f->plain ? FRAME_LINK : 0;
	struct module *m = of(p);
	__u32 reason = HG_REASON_MAX;

	if (f->length <= skip)
		return -1;
	module_put_frame(m, f->out, !f->plain, f->data + skip, f->length - skip, m->now_s,
			 f->segments);
	genl_exchange(m->genl, 1, on_reason, &reason);
	return reason < HG_REASON_MAX ? (int)reason : HG_REASON_MAX;
}

struct search {
	const struct hg_flow_key *key;
	struct hg_flow *flow;
	int table;
};

static void look(void *ctx, int table, const struct hg_flow_key *k, const struct hg_flow *f)
{
	struct search *s = ctx;

	if (memcmp(k, s->key, sizeof(*k)))
		return;
	s->table = s->table < 0 ? table : 9; /* twice is wrong */
	*s->flow = *f;
}

static int player_flow(struct player *p, const struct hg_flow_key *k, struct hg_flow *f)
{
	struct search s = { k, f, -1 };

	module_flows(of(p), look, &s);
	return s.table;
}

static void player_windows(struct player *p, struct hg_window w[HG_CHANNELS_MAX])
{
	module_windows(of(p), w);
}

struct player *module_player(struct module *m, int plain)
{
	struct module_player *p = &m->players[plain];

	*p = (struct module_player){
		.player = { .name = plain ? "module without link header" : "module",
			    .plain = plain,
			    .in_segments = 1,
			    .counts_anew = 1,
			    .least = plain ? FRAME_LINK : 0,
			    .begin = player_begin,
			    .configure = player_configure,
			    .wait = player_wait,
			    .run = player_run,
			    .flow = player_flow,
			    .windows = player_windows },
		.m = m,
	};
	return &p->player;
}

void module_linear(struct module *m, unsigned int bytes)
{
	m->linear = bytes;
}

void module_room(struct module *m, unsigned int flows)
{
	m->flows = flows;
}

struct genl *module_genl(struct module *m)
{
	return m->genl;
}

struct module *module_new(const char *interface, const char **why)
{
	struct module *m = calloc(1, sizeof(*m));

	*why = "no memory";
	if (!m)
		return NULL;
	m->genl = genl_open(why);
	m->ifindex = if_nametoindex(interface);
	if (m->genl)
		return m;
	free(m);
	return NULL;
}

void module_free(struct module *m)
{
	if (!m)
		return;
	genl_begin(m->genl, HG_CMD_DETACH, 0);
	genl_call(m->genl);
	genl_close(m->genl);
	free(m);
}
