/* SPDX-License-Identifier: MIT */
/* The comparison of replay.h: the core in user space, and what the other host must say to it. */
#include "replay.h"

#include <stdarg.h>
#include <stdlib.h>
#include "../tap.h"
#include "../../core/score.h"
#include "../../userspace/guard.h"
#include "../../userspace/names.h"
/* Places in a table: none is pushed out, for who makes room differs from host to host. */
#define HG_NATIVE_FLOWS REPLAY_FLOWS
#include "native.h"

#define SILENCE_S 30
#define GAP_S 7500 /* longer gaps are cut: nothing is older than this */
#define TOLD_MAX 8192
#define TRIES 20 /* of a run whose clock was disturbed */

struct expected {
	__u64 number;
	__u8 reason, channel;
};

/* What native has told; an answer's data is not kept, but checked against its packet's hash. */
struct told {
	__u16 type, channel;
	struct hg_flow_key key;
	struct hg_score_event score;
	__u32 length, cut, sum;
};

struct replay {
	struct replay_host *other;
	struct hg_names *names;
	struct hg_bound bound;
	struct hg_capture *capture;
	struct hg_capture_device device;
	struct hg_compiled profile;
	struct hg_peer peers[HG_PEERS_MAX];
	__u32 n_peers;
	__u64 clock;
	struct expected expected[REPLAY_BATCH];
	size_t n_expected, next;
	size_t n_told, next_told;
	struct hg_score_state states[HG_CHANNELS_MAX];
	__u64 packets, left_out, seconds, flows, answers, scores, events;
	__u64 alive, n_files, in_file;
	__u64 bad_counters, bad_packets, bad_seconds, bad_events, bad_flows;
	char notes[2000]; /* what differs first */
};

static struct hg_host host;
static struct replay replay;
static struct told told[TOLD_MAX];
static struct {
	__u64 captures, packets, seconds, events, scores, differ;
} all;

__attribute__((format(printf, 2, 3))) static void note(struct replay *r, const char *format, ...)
{
	size_t n = strlen(r->notes);
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->notes + n, sizeof(r->notes) - n, format, ap);
	va_end(ap);
}

static __u32 sum_of(const __u8 *data, size_t n)
{
	__u32 sum = 5381;

	while (n--)
		sum = sum * 33 + *data++;
	return sum;
}

static struct told *tell(struct replay *r, __u16 type, __u8 channel)
{
	struct told *t = &told[r->n_told];

	if (r->n_told == TOLD_MAX) {
		printf("Bail out! too much is told at once\n");
		exit(1);
	}
	r->n_told++;
	memset(t, 0, sizeof(*t));
	t->type = type;
	t->channel = channel;
	return t;
}

static void native_flow(void *ctx, const struct hg_flow_key *k, __u8 channel)
{
	struct replay *r = ctx;

	tell(r, HG_EVENT_FLOW, channel)->key = *k;
	r->flows++;
}

static const struct hg_bound *native_bound(void *ctx, const struct hg_addr *a)
{
	struct replay *r = ctx;

	r->bound = hg_names_bound(r->names, a);
	return r->bound.channels || r->bound.flags ? &r->bound : NULL;
}

static void names_changed(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	struct replay_host *other = ((struct replay *)ctx)->other;

	other->bind(other, addr, bound);
}

static void on_judged(void *ctx, __u32 reason, __u32 channel)
{
	struct replay *r = ctx;
	const struct expected *e = &r->expected[r->next++];

	if (reason == e->reason && channel == e->channel)
		return;
	if (!r->bad_packets++)
		note(r, "# packet %llu: native %s, channel %u; %s %s, channel %u\n", e->number,
		     hg_reason_name(e->reason), e->channel, r->other->name,
		     hg_reason_name(reason < HG_REASON_MAX ? (int)reason : HG_REASON_MAX), channel);
}

static bool answer_equal(const struct told *t, const void *event, size_t length)
{
	const struct hg_answer_event *e = event;

	return length >= sizeof(*e) - HG_ANSWER_MAX && e->length == t->length && e->cut == t->cut &&
	       length >= sizeof(*e) - HG_ANSWER_MAX + e->length &&
	       !memcmp(&e->key, &t->key, sizeof(e->key)) && sum_of(e->data, e->length) == t->sum;
}

static bool event_equal(const struct told *t, const void *event, size_t length)
{
	const struct hg_event *head = event;
	struct hg_score_event score = t->score;

	if (length < sizeof(*head) || head->type != t->type || head->channel != t->channel ||
	    head->length != length)
		return false;
	if (head->type == HG_EVENT_FLOW)
		return length == sizeof(struct hg_flow_event) &&
		       !memcmp(&((const struct hg_flow_event *)event)->key, &t->key,
			       sizeof(t->key));
	if (head->type == HG_EVENT_ANSWER)
		return answer_equal(t, event, length);
	score.head = *head;
	return length == sizeof(score) && !memcmp(event, &score, sizeof(score));
}

static void on_event(void *ctx, const void *event, size_t length)
{
	const struct hg_event *head = event;
	struct replay *r = ctx;
	const struct told *t = r->next_told < r->n_told ? &told[r->next_told++] : NULL;

	if (t && event_equal(t, event, length))
		return;
	if (!r->bad_events++)
		note(r, "# before packet %llu: %s tells type %u of channel %u, native %s %d\n",
		     r->packets, r->other->name, head->type, head->channel, t ? "type" : "nothing",
		     t ? t->type : 0);
}

static void compare_events(struct replay *r)
{
	int n = r->other->events(r->other, on_event, r);

	if (n >= 0 && r->next_told < r->n_told && !r->bad_events)
		note(r, "# before packet %llu: native tells type %u of channel %u, %s nothing\n",
		     r->packets, told[r->next_told].type, told[r->next_told].channel,
		     r->other->name);
	if (n < 0)
		note(r, "# events were lost\n");
	r->bad_events += (n < 0) + r->n_told - r->next_told;
	r->events += r->n_told;
	r->n_told = r->next_told = 0;
}

/* Asks what came of the packets that native has judged. */
static void flush(struct replay *r)
{
	if (r->n_expected) {
		r->next = 0;
		r->other->judged(r->other, r->n_expected, on_judged, r);
		r->bad_packets += r->n_expected - r->next;
		r->n_expected = 0;
	}
	compare_events(r);
}

static void compare_windows(struct replay *r)
{
	static struct hg_window windows[HG_CHANNELS_MAX];

	r->seconds++;
	r->other->windows(r->other, windows);
	for (int c = 0; c < HG_CHANNELS_MAX; c++) {
		if (!memcmp(&windows[c], &host.windows[c], sizeof(windows[c])))
			continue;
		if (!r->bad_seconds++)
			note(r, "# after packet %llu the windows of channel %d differ\n",
			     r->packets, c);
		return;
	}
}

static void close_seconds(struct replay *r, __u32 seconds)
{
	const struct hg_bounds *bounds = r->profile.bounds;
	struct hg_score_event e;
	size_t before = r->n_told;

	for (__u32 s = 0; s < seconds; s++) {
		for (__u32 c = 0; c < HG_CHANNELS_MAX; c++) {
			if (!bounds[c].id)
				continue;
			hg_score_step(&r->states[c], &bounds[c], &host.windows[c], &host.spots[c],
				      c, 1, &e);
			if (e.news == HG_EPISODE_NONE)
				continue;
			tell(r, HG_EVENT_SCORE, (__u8)c)->score = e;
			r->scores++;
		}
	}
	r->other->close(r->other, seconds, r->n_told == before);
	compare_events(r);
}

static void pass_seconds(struct replay *r, __u64 seconds)
{
	flush(r);
	compare_windows(r);
	close_seconds(r, seconds > SILENCE_S ? SILENCE_S : (__u32)seconds);
	host.now_s += seconds > GAP_S ? GAP_S : (__u32)seconds;
	hg_names_expire(r->names, host.now_s);
}

/* As the agent has it: what the guard hands up is read, and binds its names. */
static void take_answer(struct replay *r, const struct hg_packet *p,
			const struct hg_capture_packet *in)
{
	const __u8 *payload = in->frame.network + p->at * 4u + 8;
	struct told *t = tell(r, HG_EVENT_ANSWER, p->channel);
	static struct hg_dns_answer answer;

	r->answers++;
	t->key = p->key;
	t->length = p->left - 8 < HG_ANSWER_MAX ? p->left - 8 : HG_ANSWER_MAX;
	t->cut = p->left - 8 > HG_ANSWER_MAX || p->flags & HG_PACKET_FIRST;
	t->sum = sum_of(payload, t->length);
	flush(r);
	if (!hg_dns_answer(payload, t->length, t->cut, &answer, NULL) &&
	    hg_names_answer(r->names, &answer, host.now_s) > 0) {
		host.config.generation += 2;
		r->other->rematch(r->other, &host.config);
	}
}

/* How many segments a frame from a capture on the device itself will be, or was. */
static unsigned int segments_of(const struct hg_capture_packet *in)
{
	return in->frame.wire > REPLAY_LINK_MTU ? (in->frame.wire + 1399) / 1400 : 1;
}

static void replay_packet(struct replay *r, const struct hg_capture_packet *in)
{
	size_t length = (size_t)(in->frame.end - in->frame.data);
	unsigned int segments = segments_of(in);
	__u64 answers = host.answers;
	struct hg_packet p;
	bool full;
	int reason;

	if (length != in->frame.wire || length > 65535) {
		r->left_out++;
		return;
	}
	r->packets++;
	reason = hg_native_run(&host, &p, &in->frame, in->out, segments);
	full = r->other->put(r->other, in, host.now_s, segments);
	r->expected[r->n_expected++] = (struct expected){ in->number, (__u8)reason, p.channel };
	if (host.answers != answers)
		take_answer(r, &p, in);
	if (full || r->n_expected == REPLAY_BATCH)
		flush(r);
}

/* The device's name and time servers are its peers, as the agent would have them. */
static void add_peer(struct replay *r, const struct hg_flow_key *k)
{
	static const struct {
		__u16 port;
		__u8 role;
	} roles[] = { { 53, HG_PEER_DNS }, { 123, HG_PEER_NTP }, { 67, HG_PEER_DHCP } };

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (k->proto != HG_IP_UDP || k->remote_port != HG_NET16(roles[i].port))
			continue;
		for (__u32 n = 0; n < r->n_peers; n++)
			if (hg_addr_equal(&r->peers[n].addr, &k->remote) &&
			    r->peers[n].role == roles[i].role)
				return;
		if (r->n_peers < HG_PEERS_MAX)
			r->peers[r->n_peers++] = (struct hg_peer){ .addr = k->remote,
								   .role = roles[i].role };
	}
}

static void find_peers(struct replay *r, char *err, size_t size)
{
	struct hg_capture_packet in;
	struct hg_packet p;

	while (hg_capture_next(r->capture, &in, err, size) > 0) {
		r->in_file++;
		hg_packet_parse(&p, &in.frame, in.out ? HG_PACKET_OUT : 0);
		if (in.out && p.kind == HG_PACKET_FLOW)
			add_peer(r, &p.key);
	}
	hg_capture_rewind(r->capture);
}

/* Entries that are not in use are not looked at: to clear them all would take a while. */
static void empty(struct hg_native_table *t)
{
	memset(t, 0, offsetof(struct hg_native_table, entries));
}

/* Both hosts empty, with the capture's peers and the model's profile. */
static bool begin(struct replay *r, int strict)
{
	static struct hg_names_pattern patterns[HG_PROFILE_REMOTES_ALL];
	struct hg_guard_config config = {
		.seed = 0x13198a2e03707344,
		.abi = HG_GUARD_ABI,
		.policy = strict ? HG_POLICY_INITIATED : HG_POLICY_MONITOR,
		.flags = strict ? HG_GUARD_CONFINE | HG_GUARD_POLICE : 0,
		.n_peers = r->n_peers,
		.n_rules = (__u32)r->profile.n_rules,
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 60,
		.tcp_established_s = GAP_S,
		.tcp_closing_s = 30,
		.icmp_s = 30,
		.other_s = 600,
		.config_rate = 50,
	};

	memset(&host, 0, offsetof(struct hg_host, flows));
	for (int t = 0; t < 3; t++)
		empty(&host.flows[t]);
	empty(&host.fragments);
	memset(&host.events, 0, sizeof(host) - offsetof(struct hg_host, events));
	host.config = config;
	host.bound = native_bound;
	host.event = native_flow;
	host.ctx = r;
	host.now_s = 100000;
	memcpy(host.peers, r->peers, sizeof(r->peers));
	memcpy(host.rules, r->profile.rules, r->profile.n_rules * sizeof(r->profile.rules[0]));
	memcpy(host.bounds, r->profile.bounds, sizeof(r->profile.bounds));
	r->other->begin(r->other, &config, r->peers, &r->profile, host.now_s, r->in_file);
	r->names = hg_names_new(HG_NAMES_LIMIT, names_changed, r);
	for (size_t i = 0; i < r->profile.n_names; i++)
		patterns[i] = (struct hg_names_pattern){ r->profile.names[i].host,
							 r->profile.names[i].channels };
	close_seconds(r, 1); /* the first only reads the counters */
	return r->names && hg_names_set(r->names, patterns, r->profile.n_names) >= 0;
}

struct flow_count {
	struct replay *r;
	__u64 alive;
};

static void compare_flow(void *ctx, int table, const struct hg_flow_key *k, const struct hg_flow *f)
{
	struct flow_count *n = ctx;
	const struct hg_flow *ours = table >= 0 && table < 3 ? hg_host_flow(&host, table, k) : NULL;
	struct hg_flow theirs = *f;

	if (ours)
		theirs.generation = ours->generation; /* each host's own numbers */
	n->alive += hg_flow_is_alive(&host.config, k->proto, f, host.now_s);
	if ((!ours || memcmp(ours, &theirs, sizeof(theirs))) && !n->r->bad_flows++)
		note(n->r, "# a flow of table %d, protocol %u, port %u is not native's\n", table,
		     k->proto, HG_NET16(k->remote_port));
}

static void compare_end(struct replay *r)
{
	struct flow_count n = { r, 0 };
	__u64 counters[HG_REASON_MAX];

	flush(r);
	compare_windows(r);
	r->other->counters(r->other, counters);
	r->other->flows(r->other, compare_flow, &n);
	for (int t = 0; t < 3; t++) {
		const struct hg_native_entry *e = host.flows[t].entries;

		for (__u32 i = host.flows[t].newest; i; i = e[i].older)
			r->alive += hg_flow_is_alive(&host.config, e[i].key.proto, &e[i].flow,
						     host.now_s);
	}
	if (r->alive != n.alive)
		note(r, "# %llu flows are alive, in %s %llu\n", r->alive, r->other->name, n.alive);
	r->bad_flows += r->alive != n.alive;
	r->bad_counters = memcmp(counters, host.counters, sizeof(counters)) != 0;
}

static void say(const struct replay *r, const char *name)
{
	fputs(r->notes, stdout);
	ok(r->packets && !r->bad_packets, "%s: %llu packets, same reasons and channels", name,
	   r->packets);
	ok(!r->bad_seconds && !r->bad_counters,
	   "%s: %llu times the same windows, and counters at the end", name, r->seconds);
	ok(!r->bad_events, "%s: told alike: %llu flows, %llu answers, %llu scores", name, r->flows,
	   r->answers, r->scores);
	ok(!r->bad_flows, "%s: the same flows at the end, %llu alive", name, r->alive);
	if (r->left_out)
		printf("# %s: %llu packets cut on the wire or too long are left out\n", name,
		       r->left_out);
	all.captures += r->n_files;
	all.packets += r->packets;
	all.seconds += r->seconds;
	all.events += r->events;
	all.scores += r->scores;
	all.differ += r->bad_packets + r->bad_seconds + r->bad_counters + r->bad_events +
		      r->bad_flows;
}

/* Once through the capture. Returns false without memory or if the file cannot be read. */
static bool play(struct replay *r, int strict)
{
	struct hg_capture_packet in;
	char err[512] = "";
	int n = -1;

	if (begin(r, strict)) {
		hg_capture_rewind(r->capture);
		while ((n = hg_capture_next(r->capture, &in, err, sizeof(err))) > 0) {
			__u64 now = in.time_ns / 1000000000;

			if (r->clock && now > r->clock)
				pass_seconds(r, now - r->clock);
			r->clock = now > r->clock ? now : r->clock;
			replay_packet(r, &in);
		}
		compare_end(r);
	}
	if (n)
		note(r, "# %s\n", *err ? err : "no memory for names");
	hg_names_free(r->names);
	return !n;
}

/* Opens the capture, with the model's profile. */
static int prepare(struct replay *r, const char **path, const char *mac, const char *profile,
		   char *err, size_t size)
{
	struct hg_capture_options o = { .files = path, .n_files = 1, .device = &r->device };
	static struct hg_profile read;

	if (hg_profile_load(profile, &read, err, size))
		return -1;
	if (hg_profile_compile(&read, NULL, &r->profile)) {
		snprintf(err, size, "%s cannot be compiled", profile);
		return -1;
	}
	if (hg_capture_device_parse(mac, &r->device, err, size))
		return -1;
	r->capture = hg_capture_new(&o, err, size);
	if (r->capture)
		find_peers(r, err, size);
	return r->capture ? 0 : -1;
}

/* One line of the list, both ways. */
static void test_capture(struct replay_host *other, const char *path, const char *mac,
			 const char *profile)
{
	const char *name = strstr(path, "/data/") ? strstr(path, "/data/") + 6 : path;
	char err[512] = "", title[600];
	bool good = false;

	for (int strict = 0; strict < 2; strict++) {
		for (int i = 0; i < TRIES; i++) {
			memset(&replay, 0, sizeof(replay));
			replay.other = other;
			replay.n_files = strict;
			if (prepare(&replay, &path, mac, profile, err, sizeof(err))) {
				ok(0, "%s: %s", name, err);
				return;
			}
			good = play(&replay, strict);
			hg_capture_free(replay.capture);
			if (!good || !other->disturbed || !other->disturbed(other))
				break;
			good = false;
		}
		snprintf(title, sizeof(title), "%s%s", name,
			 strict ? ", confined and policed" : "");
		if (!good)
			ok(0, "%s: to its end, undisturbed", title);
		say(&replay, title);
	}
}

int replay_list(struct replay_host *h)
{
	char line[1024], path[512], mac[32], profile[256];

	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%511s %31s %255s", path, mac, profile) == 3)
			test_capture(h, path, mac, profile);
	ok(all.packets && !all.differ,
	   "%llu captures, %llu packets, %llu readings of windows, %llu events, %llu scores: "
	   "%llu differences",
	   all.captures, all.packets, all.seconds, all.events, all.scores, all.differ);
	return tap_done();
}
