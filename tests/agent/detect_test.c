// SPDX-License-Identifier: MIT
/*
 * Detector on a guard that plays scenes: openings and answers go into windows, spots and flows as
 * the kernel's guard would count them, and each second is scored by the core; the alarms that come
 * of it are looked at.
 */
#include "../tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include "../../core/score.h"
#include "../../userspace/detect.h"
#include "../../userspace/profile-compile.h"

#define FLOWS_MAX 20000
#define ALARMS_MAX 64

struct hg_guard {
	struct hg_window windows[HG_CHANNELS_MAX];
	struct {
		struct hg_flow_key key;
		struct hg_flow flow;
	} flows[FLOWS_MAX];
	size_t n_flows, n_told;
	struct hg_spots spots[HG_CHANNELS_MAX];
	struct hg_score_state score[HG_CHANNELS_MAX];
	struct hg_score_event scored[HG_CHANNELS_MAX];
	size_t n_scored;
	int broken;
};

static struct hg_guard guard;
static struct hg_compiled profile;
static struct hg_alarm alarms[ALARMS_MAX];
static int n_alarms, refuse;
static uint64_t now_s, next_episode;

static enum hg_guard_clock fake_clock(struct hg_guard *g)
{
	return HG_CLOCK_AGENT;
}

static int fake_close(struct hg_guard *g, unsigned int seconds)
{
	for (__u32 i = 0; i < HG_CHANNELS_MAX; i++) {
		struct hg_score_event e = {
			.head = { .type = HG_EVENT_SCORE, .channel = (__u16)i, .length = sizeof(e) }
		};

		if (!profile.bounds[i].id)
			continue;
		hg_score_step(&g->score[i], &profile.bounds[i], &g->windows[i], &g->spots[i], i,
			      seconds, &e);
		if (e.news != HG_EPISODE_NONE && g->n_scored < HG_CHANNELS_MAX)
			g->scored[g->n_scored++] = e;
	}
	return g->broken;
}

static int fake_flows(struct hg_guard *g,
		      int (*each)(void *ctx, int table, const struct hg_flow_key *key,
				  const struct hg_flow *flow),
		      void *ctx)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < g->n_flows; i++)
		ret = each(ctx, 2, &g->flows[i].key, &g->flows[i].flow);
	return ret;
}

static int fake_events(struct hg_guard *g, void (*each)(void *ctx, const struct hg_event *e),
		       void *ctx)
{
	for (; g->n_told < g->n_flows; g->n_told++) {
		struct hg_flow_event e = { .head.type = HG_EVENT_FLOW,
					   .key = g->flows[g->n_told].key,
					   .head.channel = g->flows[g->n_told].flow.channel,
					   .head.time_ns = now_s * 1000000000ull };

		each(ctx, &e.head);
	}
	for (size_t i = 0; i < g->n_scored; i++)
		each(ctx, &g->scored[i].head);
	g->n_scored = 0;
	return g->broken;
}

static const struct hg_guard_ops fake = {
	.name = "fake",
	.clock = fake_clock,
	.close_seconds = fake_close,
	.flows = fake_flows,
	.events = fake_events,
};

static int take_alarm(void *ctx, const struct hg_alarm *a, uint64_t *episode)
{
	if (refuse)
		return -EAGAIN;
	if (n_alarms < ALARMS_MAX)
		alarms[n_alarms++] = *a;
	if (!a->episode)
		*episode = ++next_episode;
	return 0;
}

/* The device sends `packets` of 60 bytes in a new flow. */
static void open_flow(unsigned int channel, uint32_t remote, uint16_t port, uint16_t local_port,
		      uint32_t packets, int answered)
{
	struct hg_window *w = &guard.windows[channel];
	struct hg_flow_key *k;
	struct hg_flow *f;

	if (guard.n_flows == FLOWS_MAX)
		return;
	k = &guard.flows[guard.n_flows].key;
	f = &guard.flows[guard.n_flows].flow;
	memset(k, 0, sizeof(*k));
	memset(f, 0, sizeof(*f));
	k->local.a[2] = k->remote.a[2] = htonl(0xffff);
	k->local.a[3] = htonl(0xc0a80102);
	k->remote.a[3] = htonl(remote);
	k->remote_port = htons(port);
	k->local_port = htons(local_port);
	k->proto = IPPROTO_TCP;
	f->channel = (__u16)channel;
	f->opened_s = f->last_s = (__u32)now_s;
	f->packets_out = packets;
	f->state = answered ? HG_FLOW_ESTABLISHED : HG_FLOW_OPENING;
	guard.n_flows++;
	w->flows++;
	w->packets_out += packets;
	w->bytes_out += packets * 60ull;
	w->answered += answered;
	w->packets_in += answered ? packets : 0;
	w->tcp += packets;
	w->syn += packets == 1 ? 1 : 0;
	w->unnamed++;
	w->fresh += hg_spots_add(&guard.spots[channel], 1, k, k->remote_port);
}

static struct hg_detect *begin(void)
{
	struct hg_detect_options o = { .ops = &fake, .guard = &guard, .alarm = take_alarm };
	struct hg_detect *d;

	memset(&guard, 0, sizeof(guard));
	n_alarms = refuse = 0;
	now_s = 1000;
	d = hg_detect_new(&o);
	hg_detect_tick(d, now_s * 1000);
	return d;
}

static void second(struct hg_detect *d)
{
	now_s++;
	hg_detect_tick(d, now_s * 1000);
}

static int target_is(int n, const char *addr, int len, int port)
{
	char text[INET6_ADDRSTRLEN] = "";
	const struct hg_alarm_target *t = &alarms[n].targets[0];

	inet_ntop(t->family == 4 ? AF_INET : AF_INET6, t->addr, text, sizeof(text));
	if (alarms[n].n_targets && !strcmp(text, addr) && t->prefix_len == len && t->port == port)
		return 1;
	printf("# alarm %d: %d targets, first %s/%d port %d\n", n, alarms[n].n_targets, text,
	       t->prefix_len, t->port);
	return 0;
}

static void normal(void)
{
	struct hg_detect *d = begin();

	for (int i = 0; i < 600; i++) {
		if (!(i % 10))
			open_flow(1, 0xcb007105, 443, (uint16_t)(2000 + i), 8, 1);
		second(d);
	}
	is_int(n_alarms, 0, "ten minutes as the profile says: no alarm");
	hg_detect_free(d);
}

static void flood(void)
{
	struct hg_detect *d = begin();
	uint16_t port = 1024;

	for (int t = 0; t < 20; t++) {
		open_flow(1, 0xcb007105, 443, 999, 4, 1);
		for (int i = 0; i < 300; i++)
			open_flow(0, 0xc6336407, 80, port++, 1, 0);
		second(d);
		if (!t)
			is_int(n_alarms, 1, "a flood is stated within its first second");
	}
	ok(alarms[0].alarm_class == HG_ALARM_FLOOD && alarms[0].attack == HG_ATTACK_SYN_FLOOD,
	   "as a flood of SYNs: one port of one host");
	is_int(alarms[0].channel, 0, "outside the profile");
	ok(alarms[0].value > alarms[0].bound, "value over bound");
	ok(target_is(0, "198.51.100.7", 32, 80), "its target is the host and port");
	ok(alarms[0].self_family == 4 && alarms[0].self_addr[0] == 192,
	   "with the device's own address");
	is_int(alarms[0].episode, 0, "it begins an episode");
	ok(n_alarms == 3 && alarms[1].episode == next_episode && alarms[2].episode == next_episode,
	   "stated again after 2 s and after 17 s, in the same episode");
	is_int((long long)hg_detect_episodes(d), 1, "one episode lasts");
	for (int t = 0; t < 15; t++) /* unanswered openings count 4 s later */
		second(d);
	ok(n_alarms == 4 && alarms[3].alarm_class == HG_ALARM_ENDED &&
		   alarms[3].episode == next_episode,
	   "and its end is stated once it is quiet");
	is_int((long long)hg_detect_episodes(d), 0, "no episode lasts");
	hg_detect_free(d);
}

static void scan(void)
{
	struct hg_detect *d = begin();

	for (int i = 0; i < 200; i++)
		open_flow(0, 0x0a090000 + (uint32_t)i, 23, 4000, 1, 0);
	second(d);
	is_int(n_alarms, 1, "a scan of a network is stated within its first second");
	ok(alarms[0].alarm_class == HG_ALARM_SCAN &&
		   alarms[0].attack == HG_ATTACK_HORIZONTAL_SCAN && alarms[0].window == 1,
	   "as a scan of many hosts, seen in a second");
	ok(target_is(0, "10.9.0.0", 24, 23), "its target is the network, with the port");
	hg_detect_free(d);

	d = begin();
	for (int i = 0; i < 200; i++)
		open_flow(0, 0xc6336407, (uint16_t)(1 + i), 4000, 1, i % 20 == 0);
	second(d);
	ok(n_alarms == 1 && alarms[0].alarm_class == HG_ALARM_SCAN &&
		   alarms[0].attack == HG_ATTACK_VERTICAL_SCAN,
	   "many ports of one host are a vertical scan");
	ok(target_is(0, "198.51.100.7", 32, 0), "its target is the host");
	hg_detect_free(d);

	d = begin();
	for (uint32_t i = 0; i < 500; i++)
		open_flow(0, i * 2654435761u, i % 5 ? 23 : 2323, 4000, 1, 0);
	second(d);
	ok(n_alarms == 1 && alarms[0].alarm_class == HG_ALARM_SCAN && alarms[0].n_targets == 1 &&
		   alarms[0].targets[0].prefix_len == 0,
	   "random addresses are told as the whole network");
	hg_detect_free(d);
}

static void slow(void)
{
	struct hg_detect *d = begin();
	int t;

	for (t = 0; t < 3600 && !n_alarms; t++) {
		if (!(t % 60))
			open_flow(0, 0x0a090000 + (uint32_t)t, 23, 4000, 1, 0);
		second(d);
	}
	ok(n_alarms == 1 && alarms[0].alarm_class == HG_ALARM_SCAN &&
		   alarms[0].feature == HG_FEATURE_WALK,
	   "a scan of one address a minute is stated (after %d min)", t / 60);
	ok(alarms[0].n_targets > 0, "with targets that the recent openings remember");
	hg_detect_free(d);

	d = begin();
	for (t = 0; t < 3600; t++) {
		if (!(t % 10))
			open_flow(1, 0xcb007105, 443, (uint16_t)(2000 + t), 1, 0);
		second(d);
	}
	is_int(n_alarms, 0, "an hour without its server is an outage, not a scan");
	hg_detect_free(d);
}

static void trouble(void)
{
	struct hg_detect *d = begin();

	guard.broken = -EIO;
	is_int(hg_detect_tick(d, ++now_s * 1000), -EIO, "a guard that cannot be read is an error");
	guard.broken = 0;
	refuse = 1;
	for (int i = 0; i < 200; i++)
		open_flow(0, 0xc6336407, 80, (uint16_t)i, 1, 0);
	second(d);
	refuse = 0;
	for (int i = 0; i < 200; i++)
		open_flow(0, 0xc6336407, 80, (uint16_t)i, 1, 0);
	second(d);
	ok(n_alarms == 1 && !alarms[0].episode, "an alarm that could not be sent is made again");
	memset(guard.windows, 0, sizeof(guard.windows));
	for (int i = 0; i < 3; i++)
		second(d);
	is_int(n_alarms, 1, "counters that begin anew are no alarm");
	for (int i = 0; i < FLOWS_MAX; i++)
		open_flow(0, (uint32_t)i << 8, 80, (uint16_t)i, 1, 0);
	second(d);
	ok(n_alarms >= 2 && alarms[n_alarms - 1].n_targets <= HG_ALARM_TARGETS_MAX,
	   "more flows than it holds do no harm");
	hg_detect_free(d);
	hg_detect_free(NULL);
}

int main(void)
{
	static const char text[] =
		"{\"model\":\"m\",\"firmware\":\"1\",\"channels\":[{\"name\":\"web\",\"proto\":\"tcp\","
		"\"ports\":[443],\"remote\":\"any\",\"envelope\":"
		"{\"1\":{\"packets\":50,\"bytes\":50000,\"flows\":4,\"failed\":2}}}]}";
	static struct hg_profile p;
	char err[256] = "";

	if (hg_profile_parse(text, strlen(text), &p, err, sizeof(err)) ||
	    hg_profile_compile(&p, NULL, &profile)) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	normal();
	flood();
	scan();
	slow();
	trouble();
	return tap_done();
}
