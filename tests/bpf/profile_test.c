// SPDX-License-Identifier: MIT
/*
 * Learned profiles in BPF: for each model of the captures, what `heliograph profile learn` makes of
 * its training files is given to the core's host in user space and to the guard's programs. Then
 * its test files and the scenarios with attacks go through both. Every packet must get the same
 * reason, flow and channel; after every second in which there was one, all windows and all sets of
 * distinct destinations must be the same. Names are bound as the device's DNS answers come. Behind
 * the profile's rules stands one more: what is not the device's own is the last channel's.
 *
 * Arguments: names of files of the manifest, instead of all. The captures are not part of the tree.
 * They are looked for in $HG_DATA, else ../shared/data.
 */
#include "../tap.h"
#include "testrun.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../userspace/capture.h"
#include "../../userspace/guard.h"
#include "../../userspace/names.h"
#include "../../userspace/profile-compile.h"
#include "../core/native.h"

/*
 * Places in a table, of two testruns: none is pushed out, for BPF's LRU is not exact; but a large
 * one takes long to read. Captures with more packets than PACKETS_MANY get it.
 */
#define FLOWS 8192
#define FLOWS_MANY 65536
#define PACKETS_MANY 45000
#define SAN_PACKETS 12000
#define TAKEN_MAX 2048 /* bytes; a longer frame was several segments */

#define SWEEP 2000 /* packets between two sweeps of the maps */
#define GAP_S 7500 /* of silence; longer ones are cut: nothing is older than this */
#define MODELS 64
#define FILES 16 /* to train on, of one model */
#define SERVED (HG_CHANNELS_MAX - 1)

struct model {
	const char *name;
	size_t n;
	const char *train[FILES], *mac;
	char profile[64]; /* path; empty: not learned yet */
};

struct replay {
	struct testrun *t;
	struct player *other;
	struct play_world world;
	struct hg_names *names;
	struct hg_bound bound; /* what native was told last */
	struct hg_capture *capture;
	struct hg_capture_device device;
	__u64 clock;  /* capture's second */
	__u32 second; /* of minutes and hours */
	unsigned int packets, seconds, answers, differ, bad_seconds, channels[HG_CHANNELS_MAX];
};

static struct hg_host host;
static struct model models[MODELS];
static size_t n_models;
static unsigned int served;
static char tmp[] = "/tmp/hg-profile-XXXXXX";

/* Runs heliograph and waits. True if it said that all is well. */
static bool run(const char *const *argv)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (!child) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(126);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static bool learn(struct model *m, const char *data)
{
	const char *build = getenv("HG_BUILD");
	const char *argv[FILES + 16];
	static char tool[PATH_MAX], paths[FILES][2 * PATH_MAX];
	size_t n = 0;

	if (*m->profile)
		return true;
	snprintf(tool, sizeof(tool), "%s/heliograph", build ? build : "build");
	snprintf(m->profile, sizeof(m->profile), "%s/%zu.json", tmp, (size_t)(m - models));
	argv[n++] = tool;
	argv[n++] = "profile";
	argv[n++] = "learn";
	argv[n++] = "--accept";
	argv[n++] = "--model";
	argv[n++] = m->name;
	argv[n++] = "--firmware";
	argv[n++] = "1";
	argv[n++] = "--device";
	argv[n++] = m->mac;
	argv[n++] = "--output";
	argv[n++] = m->profile;
	for (size_t i = 0; i < m->n; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", data, m->train[i]);
		argv[n++] = paths[i];
	}
	argv[n] = NULL;
	return run(argv);
}

static const struct hg_bound *native_bound(void *ctx, const struct hg_addr *a)
{
	struct replay *r = ctx;

	r->bound = hg_names_bound(r->names, a);
	return r->bound.channels || r->bound.flags ? &r->bound : NULL;
}

static void names_changed(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	testrun_bind(((struct replay *)ctx)->t, addr, bound);
}

/* The device's name servers are its peers, as the agent would have them from resolv.conf. */
static void add_peer(struct replay *r, const struct hg_flow_key *k)
{
	static const struct {
		__u16 port;
		__u8 role;
	} roles[] = { { 53, HG_PEER_DNS }, { 123, HG_PEER_NTP }, { 67, HG_PEER_DHCP } };
	struct hg_peer *peer = r->world.peers;

	if (k->proto != HG_IP_UDP)
		return;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (k->remote_port != HG_NET16(roles[i].port))
			continue;
		for (; peer->role; peer++)
			if (hg_addr_equal(&peer->addr, &k->remote) && peer->role == roles[i].role)
				return;
		if (peer < r->world.peers + HG_PEERS_MAX - 1)
			*peer = (struct hg_peer){ .addr = k->remote, .role = roles[i].role };
	}
}

/* Puts what the profile and the capture say into both banks of both hosts. */
static void configure(struct replay *r)
{
	memcpy(&r->world.peers[HG_PEERS_MAX], r->world.peers, sizeof(r->world.peers) / 2);
	memcpy(&r->world.rules[HG_RULES_MAX], r->world.rules, sizeof(r->world.rules) / 2);
	memcpy(host.peers, r->world.peers, sizeof(host.peers));
	memcpy(host.rules, r->world.rules, sizeof(host.rules));
	host.config = r->world.config;
	r->other->configure(r->other, &r->world);
}

/* What others open to the device in TCP, from wherever: most captures have something of that. */
static void serve(struct replay *r)
{
	struct hg_rule *rule = &r->world.rules[r->world.config.n_rules];

	if (r->world.config.n_rules >= HG_RULES_MAX)
		return;
	*rule = (struct hg_rule){
		.channel = SERVED, .port_max = 65535, .proto = HG_IP_TCP, .flags = HG_RULE_THEIRS
	};
	r->world.config.n_rules++;
}

static bool begin(struct replay *r, const struct hg_compiled *c)
{
	struct hg_names_pattern patterns[HG_PROFILE_REMOTES_ALL];

	memset(&host, 0, sizeof(host));
	host.bound = native_bound;
	host.ctx = r;
	r->world.now_s = host.now_s = 100000;
	r->world.config = (struct hg_guard_config){
		.seed = 0x13198a2e03707344,
		.abi = HG_GUARD_ABI,
		.policy = HG_POLICY_MONITOR,
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 60,
		.tcp_established_s = GAP_S,
		.tcp_closing_s = 30,
		.icmp_s = 30,
		.other_s = 600,
		.config_rate = 50,
	};
	r->world.config.n_rules = c->n_rules;
	memcpy(r->world.rules, c->rules, c->n_rules * sizeof(c->rules[0]));
	serve(r);
	r->names = hg_names_new(HG_NAMES_LIMIT, names_changed, r);
	for (size_t i = 0; i < c->n_names; i++)
		patterns[i] = (struct hg_names_pattern){ c->names[i].host, c->names[i].channels };
	r->other->begin(r->other, &r->world);
	configure(r);
	return r->names && hg_names_set(r->names, patterns, c->n_names) >= 0;
}

/* The device got a DNS answer: both hosts know its addresses before the next packet. */
static void take_answer(struct replay *r, const struct hg_packet *p,
			const struct hg_capture_packet *in)
{
	const __u8 *network = in->frame.network, *payload;
	static struct hg_dns_answer answer;
	size_t head;

	if (p->kind != HG_PACKET_FLOW || p->key.proto != HG_IP_UDP ||
	    p->key.remote_port != HG_NET16(53))
		return;
	head = (network[0] >> 4 == 4 ? (network[0] & 15) * 4u : 40u) + 8;
	payload = network + head;
	if (payload >= in->frame.end ||
	    hg_dns_answer(payload, (size_t)(in->frame.end - payload), false, &answer, NULL))
		return;
	r->answers++;
	if (hg_names_answer(r->names, &answer, host.now_s) > 0) {
		r->world.config.generation++;
		configure(r);
	}
}

/* After a second: windows and sets must be the same; then both hosts' sets begin anew. */
static void compare_second(struct replay *r)
{
	static struct hg_window windows[HG_CHANNELS_MAX];
	static struct hg_spots spots[HG_CHANNELS_MAX];

	r->seconds++;
	r->other->windows(r->other, windows);
	r->other->spots(r->other, spots);
	if (!memcmp(windows, host.windows, sizeof(windows)) &&
	    !memcmp(spots, host.spots, sizeof(spots)))
		return;
	if (r->bad_seconds++)
		return;
	for (int c = 0; c < HG_CHANNELS_MAX; c++)
		if (memcmp(&windows[c], &host.windows[c], sizeof(windows[c])) ||
		    memcmp(&spots[c], &host.spots[c], sizeof(spots[c])))
			printf("# packet %u, channel %d: native %llu packets, %llu flows; BPF %llu, %llu\n",
			       r->packets, c, host.windows[c].packets_out, host.windows[c].flows,
			       windows[c].packets_out, windows[c].flows);
}

static void end_seconds(struct replay *r, __u64 seconds)
{
	for (; seconds; seconds--, r->second++) {
		for (__u32 c = 0; c < HG_CHANNELS_MAX; c++) {
			hg_spots_end_second(&host.spots[c]);
			if (r->second % 60 == 59)
				hg_spots_end_minute(&host.spots[c]);
			if (r->second % 3600 == 3599)
				hg_spots_end_hour(&host.spots[c]);
		}
	}
	testrun_set_spots(r->t, host.spots);
}

static void pass_seconds(struct replay *r, __u64 seconds)
{
	seconds = seconds > GAP_S ? GAP_S : seconds;
	compare_second(r);
	end_seconds(r, seconds);
	host.now_s += seconds;
	r->other->wait(r->other, seconds);
	hg_names_expire(r->names, host.now_s);
}

static int flows_differ(struct replay *r, const struct hg_packet *p)
{
	struct hg_flow *ours = hg_flow_find(&host, &p->key, 0), theirs;
	int table = r->other->flow(r->other, &p->key, &theirs);

	if (!ours || !hg_flow_is_alive(&host.config, p->key.proto, ours, host.now_s))
		return 0; /* over, and may have been swept away */
	r->channels[ours->channel]++;
	if (table < 0)
		return 1;
	return ours->state != theirs.state || ours->channel != theirs.channel ||
	       ours->tcp != theirs.tcp || ours->bytes_in != theirs.bytes_in ||
	       ours->bytes_out != theirs.bytes_out;
}

static void replay_packet(struct replay *r, const struct hg_capture_packet *in)
{
	static struct frame f;
	size_t length = (size_t)(in->frame.end - in->frame.data);
	struct hg_packet p;
	int reason, theirs;

	if (length > TAKEN_MAX || in->frame.wire > TAKEN_MAX || length < FRAME_LINK)
		return;
	memset(&f, 0, sizeof(f));
	memcpy(f.data, in->frame.data, length);
	f.length = length;
	f.wire = in->frame.wire;
	f.segments = 1;
	f.out = in->out;
	reason = hg_native_run(&host, &p, &in->frame, in->out, 1);
	theirs = r->other->run(r->other, &f);
	if (theirs < 0 && reason >= HG_DROP_MALFORMED)
		return; /* shorter than a test run takes */
	r->packets++;
	if ((theirs != reason || (p.kind == HG_PACKET_FLOW && flows_differ(r, &p))) && !r->differ++)
		printf("# packet %llu: native %s, BPF %s\n", in->number, hg_reason_name(reason),
		       hg_reason_name(theirs));
	if (!in->out)
		take_answer(r, &p, in);
	if (r->packets % SWEEP == 0)
		testrun_sweep(r->t);
}

/* Which name servers, time servers the device asks: of the whole file, before it begins. */
static void find_peers(struct replay *r, char *err, size_t size)
{
	struct hg_capture_packet in;
	struct hg_packet p;

	while (hg_capture_next(r->capture, &in, err, size) > 0) {
		hg_packet_parse(&p, &in.frame, in.out ? HG_PACKET_OUT : 0);
		if (in.out && p.kind == HG_PACKET_FLOW)
			add_peer(r, &p.key);
	}
	hg_capture_rewind(r->capture);
}

static int replay_file(struct replay *r, const char *path, const struct hg_compiled *c)
{
	struct hg_capture_options o = { .files = &path, .n_files = 1, .device = &r->device };
	struct hg_capture_packet in;
	char err[512] = "";
	int n;

	r->capture = hg_capture_new(&o, err, sizeof(err));
	if (!r->capture) {
		printf("# %s\n", err);
		return -1;
	}
	find_peers(r, err, sizeof(err));
	if (!begin(r, c))
		return -1;
	while ((n = hg_capture_next(r->capture, &in, err, sizeof(err))) > 0) {
		__u64 now = in.time_ns / 1000000000;

		if (r->clock && now > r->clock)
			pass_seconds(r, now - r->clock);
		r->clock = now > r->clock ? now : r->clock;
		replay_packet(r, &in);
	}
	compare_second(r);
	if (n)
		printf("# %s\n", err);
	return n;
}

static const char *text(const json_t *file, const char *key)
{
	const char *s = json_string_value(json_object_get(file, key));

	return s ? s : "";
}

static void test_file(struct testrun *t[2], const char *data, const json_t *file, struct model *m)
{
	const char *name = text(file, "file");
	static struct hg_profile profile;
	static struct hg_compiled compiled;
	struct replay *r = calloc(1, sizeof(*r));
	char path[2 * PATH_MAX], err[512];
	unsigned int used = 0;

	r->t = t[json_integer_value(json_object_get(file, "packets")) > PACKETS_MANY];
	r->other = testrun_player(r->t, TESTRUN_XDP);
	snprintf(path, sizeof(path), "%s/%s", data, name);
	if (!learn(m, data) || hg_profile_load(m->profile, &profile, err, sizeof(err)) ||
	    hg_profile_compile(&profile, NULL, &compiled) ||
	    hg_capture_device_parse(text(file, "device_mac"), &r->device, err, sizeof(err))) {
		ok(0, "%s: a profile of %s", name, m->name);
		goto out;
	}
	if (!ok(!replay_file(r, path, &compiled), "%s: can be read", name))
		goto out;
	for (int c = 1; c < SERVED; c++)
		used += r->channels[c] != 0;
	ok(r->packets && !r->differ, "%s: same reasons, flows and channels in BPF", name);
	if (r->differ)
		printf("# %u of %u packets differ\n", r->differ, r->packets);
	ok(!r->bad_seconds, "%s: same windows and destinations after each second", name);
	if (r->bad_seconds)
		printf("# %u of %u seconds differ\n", r->bad_seconds, r->seconds);
	printf("# %u packets, %u seconds, %u DNS answers, %u of %zu channels, %u packets outside, "
	       "%u of flows that others opened\n",
	       r->packets, r->seconds, r->answers, used, profile.n_channels, r->channels[0],
	       r->channels[SERVED]);
	served += r->channels[SERVED];
out:
	hg_capture_free(r->capture);
	hg_names_free(r->names);
	free(r);
}

static struct model *model_of(const char *name)
{
	size_t i;

	for (i = 0; i < n_models; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	if (n_models == MODELS)
		exit(1);
	models[i].name = name;
	n_models++;
	return &models[i];
}

static bool is_training(const json_t *file)
{
	return !strncmp(text(file, "role"), "train", 5);
}

/* With sanitizers the long ones take too long, and show no more. */
static bool is_asked_for(const json_t *file, int argc, char **argv)
{
	const char *san = getenv("HG_SAN");

	for (int i = 1; i < argc; i++)
		if (!strcmp(text(file, "file"), argv[i]))
			return true;
	return argc == 1 && (!san || strcmp(san, "1") ||
			     json_integer_value(json_object_get(file, "packets")) < SAN_PACKETS);
}

static void test_all(struct testrun *t[2], const char *data, const json_t *files, int argc,
		     char **argv)
{
	const json_t *file;
	size_t i;

	json_array_foreach (files, i, file) {
		struct model *m = model_of(text(file, "model"));

		if (!is_training(file) || m->n == FILES)
			continue;
		m->train[m->n++] = text(file, "file");
		m->mac = text(file, "device_mac");
	}
	json_array_foreach (files, i, file)
		if (!is_training(file) && is_asked_for(file, argc, argv))
			test_file(t, data, file, model_of(text(file, "model")));
}

static void clean_up(void)
{
	for (size_t i = 0; i < n_models; i++)
		if (*models[i].profile)
			unlink(models[i].profile);
	rmdir(tmp);
}

int main(int argc, char **argv)
{
	const char *top = getenv("HG_TOP"), *data = getenv("HG_DATA"), *why = "";
	char fallback[PATH_MAX], path[2 * PATH_MAX];
	struct testrun *t[2];
	json_t *manifest;

	if (!data) {
		snprintf(fallback, sizeof(fallback), "%s/../shared/data", top ? top : ".");
		data = fallback;
	}
	snprintf(path, sizeof(path), "%s/manifest.json", data);
	manifest = json_load_file(path, 0, NULL);
	if (!manifest) {
		printf("1..0 # SKIP no captures: %s is not there; set HG_DATA\n", path);
		return 0;
	}
	t[0] = testrun_new(FLOWS, &why);
	t[1] = t[0] ? testrun_new(FLOWS_MANY, &why) : NULL;
	if (!t[1]) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	if (!mkdtemp(tmp))
		return 1;
	test_all(t, data, json_object_get(manifest, "files"), argc, argv);
	if (argc == 1)
		ok(served > 1000, "flows that others opened: %u packets", served);
	clean_up();
	testrun_free(t[0]);
	testrun_free(t[1]);
	json_decref(manifest);
	return tap_done();
}
