/* SPDX-License-Identifier: MIT */
/* Captures in the module, in step with the core: see tests/core/replay.h. */
#include "module.h"

#include <string.h>

#include "../core/replay.h"

struct other {
	struct replay_host host;
	struct module *m;
};

struct result {
	replay_judged each;
	void *ctx;
};

static struct module *of(struct replay_host *h)
{
	return ((struct other *)h)->m;
}

static void begin(struct replay_host *h, const struct hg_guard_config *c,
		  const struct hg_peer *peers, const struct hg_compiled *profile, __u32 now_s,
		  __u64 packets)
{
	module_attach(of(h), c, REPLAY_FLOWS);
	module_close(of(h), 1); /* from now on its clock stands; there are no bounds yet */
	module_profile(of(h), peers, c->n_peers, profile->rules, c->n_rules, profile->bounds);
}

static void rematch(struct replay_host *h, const struct hg_guard_config *c)
{
	module_rematch(of(h));
}

static void bind_addr(struct replay_host *h, const struct hg_addr *a, const struct hg_bound *b)
{
	module_bind(of(h), a, b);
}

static bool put(struct replay_host *h, const struct hg_capture_packet *in, __u32 now_s,
		unsigned int segments)
{
	module_put_frame(of(h), in->out, 1, in->frame.data, in->frame.wire, now_s, segments);
	return genl_waiting(module_genl(of(h))) > GENL_ROOM / 2;
}

static __u32 value32(const struct genl_answer *a, int type)
{
	__u32 v = ~0u;

	if (a->at[type] && a->length[type] == sizeof(v))
		memcpy(&v, a->at[type], sizeof(v));
	return v;
}

static void on_verdict(void *ctx, const struct genl_answer *a)
{
	struct result *r = ctx;

	r->each(r->ctx, value32(a, HG_A_REASON), value32(a, HG_A_CHANNEL));
}

static void judged(struct replay_host *h, size_t n, replay_judged each, void *ctx)
{
	struct result r = { each, ctx };

	genl_exchange(module_genl(of(h)), n, on_verdict, &r);
}

static int events(struct replay_host *h, replay_event each, void *ctx)
{
	return genl_events(module_genl(of(h)), each, ctx);
}

static void close_seconds(struct replay_host *h, __u32 seconds, bool silent)
{
	module_close(of(h), seconds);
}

static void windows(struct replay_host *h, struct hg_window w[HG_CHANNELS_MAX])
{
	module_windows(of(h), w);
}

static void counters(struct replay_host *h, __u64 n[HG_REASON_MAX])
{
	module_counters(of(h), n);
}

static void flows(struct replay_host *h, replay_flow each, void *ctx)
{
	module_flows(of(h), each, ctx);
}

int main(void)
{
	const char *why = "";
	int status;
	struct other other = {
		.host = { .name = "module",
			  .begin = begin,
			  .rematch = rematch,
			  .bind = bind_addr,
			  .put = put,
			  .judged = judged,
			  .events = events,
			  .close = close_seconds,
			  .windows = windows,
			  .counters = counters,
			  .flows = flows },
		.m = module_new("lo", &why),
	};

	if (!other.m) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	genl_listen(module_genl(other.m));
	status = replay_list(&other.host);
	module_free(other.m);
	return status;
}
