// SPDX-License-Identifier: MIT
/*
 * Replay: packets that the test makes, through the core on their own clock. What is counted, when
 * it is scored, what is left out, which names lead where, and that a silence of months costs
 * nothing and changes nothing.
 */
#include "../tap.h"

#include <stdbool.h>
#include <stdlib.h>
#include "../agent/dns_message.h"
#include "../../userspace/capture-peers.h"
#include "../../userspace/episodes.h"
#include "../../userspace/replay.h"
#include "pcapgen.h"

static const struct gen_host device = { "00:53:00:00:00:01", "192.168.1.20" };
static const struct gen_host phone = { "00:53:00:00:00:02", "192.168.1.30" };
static const struct gen_host router = { "00:53:00:00:00:fe", "192.168.1.1" };
static const struct gen_host all = { "ff:ff:ff:ff:ff:ff", "255.255.255.255" };

static struct gen capture;
static struct hg_bounds bounds[HG_CHANNELS_MAX];
static struct hg_rule rules[4];
static size_t n_rules;
static struct hg_names_pattern patterns[2];
static size_t n_patterns;
static char err[1024];

/* What one replay told. */
struct told {
	unsigned int seconds, alarms, starts, ends, sessions, answers, left_out;
	unsigned int channel_packets[4], opened, answered;
	struct hg_sample sum[4];
	unsigned int destinations, ports;
	__u64 first_second, first_alarm_ns, hash;
	struct hg_replayer_alarm first;
	struct hg_episodes episodes;
};

static void mix(struct told *t, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		t->hash = (t->hash ^ ((const __u8 *)data)[i]) * 1099511628211ull;
}

static void on_packet(void *ctx, const struct hg_replayer_packet *p)
{
	struct told *t = ctx;

	t->left_out += p->left_out;
	t->opened += p->opens;
	t->answered += p->answers;
	if (p->counted)
		t->channel_packets[p->channel & 3]++;
}

static void on_second(void *ctx, const struct hg_replayer_second *s)
{
	struct told *t = ctx;
	struct hg_sample *sum = &t->sum[s->channel & 3];

	t->first_second = t->seconds++ ? t->first_second : s->time_s;
	sum->packets += s->sample.packets;
	sum->bytes += s->sample.bytes;
	sum->flows += s->sample.flows;
	sum->failed += s->sample.failed;
	sum->answered += s->sample.answered;
	sum->fresh += s->sample.fresh;
	t->destinations = s->destinations[1] > t->destinations ? s->destinations[1]
							       : t->destinations;
	t->ports = s->ports > t->ports ? s->ports : t->ports;
	mix(t, &s->time_s, sizeof(s->time_s));
	mix(t, &s->sample, sizeof(s->sample));
	mix(t, s->destinations, sizeof(s->destinations));
}

static void on_alarm(void *ctx, const struct hg_replayer_alarm *a)
{
	struct told *t = ctx;

	if (!t->alarms++) {
		t->first = *a;
		t->first_alarm_ns = a->time_ns;
	}
	t->starts += a->event.news == HG_EPISODE_START;
	t->ends += a->event.news == HG_EPISODE_END;
	hg_episodes_add(&t->episodes, a);
	mix(t, &a->time_ns, sizeof(a->time_ns));
	mix(t, &a->event.value, 2 * sizeof(a->event.value));
}

static void on_answer(void *ctx, const struct hg_dns_answer *a)
{
	((struct told *)ctx)->answers++;
}

static void on_session(void *ctx, unsigned int session)
{
	((struct told *)ctx)->sessions++;
}

static FILE *open_capture(void *ctx, const char *name)
{
	return fmemopen(capture.data, capture.size, "rb");
}

/* Ends the capture, and plays it. */
static struct told play(enum hg_policy policy)
{
	static const char *const name = "capture";
	static struct hg_capture_device d;
	struct hg_capture_options c = {
		.files = &name, .n_files = 1, .open = open_capture, .device = &d
	};
	struct told t = { 0 };
	struct hg_replayer_options o = { .rules = rules,
					 .n_rules = n_rules,
					 .bounds = bounds,
					 .patterns = patterns,
					 .n_patterns = n_patterns,
					 .policy = policy,
					 .packet = on_packet,
					 .second = on_second,
					 .alarm = on_alarm,
					 .answer = on_answer,
					 .session = on_session,
					 .ctx = &t };
	struct hg_capture_peers peers = { 0 };
	struct hg_capture *files;
	struct hg_replayer *r;

	gen_end(&capture);
	hg_capture_device_parse(device.mac, &d, err, sizeof(err));
	files = hg_capture_new(&c, err, sizeof(err));
	if (!files || hg_capture_peers_find(files, &peers, err, sizeof(err))) {
		printf("# %s\n", err);
		exit(1);
	}
	o.peers = peers.list;
	o.n_peers = peers.n;
	r = hg_replayer_new(&o);
	if (!r || hg_replayer_run(r, files, err, sizeof(err))) {
		printf("# %s\n", err);
		exit(1);
	}
	hg_replayer_free(r);
	hg_capture_free(files);
	gen_free(&capture);
	return t;
}

static void set_bounds(struct hg_bounds *b, __u64 id)
{
	memset(b, 0xff, sizeof(*b)); /* nothing is tested */
	b->id = id;
	b->size_min = 0;
	b->walk_limit = 0;
	b->pad = 0;
}

/* Channel 1: TCP 443 to whoever; what else there is, tests add. */
static void begin_test(void)
{
	memset(bounds, 0, sizeof(bounds));
	set_bounds(&bounds[0], 1);
	set_bounds(&bounds[1], 2);
	rules[0] = (struct hg_rule){ .channel = 1, .proto = 6, .port_min = 443, .port_max = 443 };
	n_rules = 1;
	n_patterns = 0;
	gen_begin(&capture, GEN_ETHERNET, 0);
}

static struct gen_host web(unsigned int i)
{
	static char addr[8][32];
	static unsigned int next;
	char *a = addr[next++ & 7];

	snprintf(a, sizeof(addr[0]), "198.51.%u.%u", 100 + i / 250, 1 + i % 250);
	return (struct gen_host){ router.mac, a };
}

static void tcp(double time, const struct gen_host *from, uint16_t sport, const struct gen_host *to,
		uint16_t dport, int flags, size_t n)
{
	struct gen_frame f;

	gen_tcp(&f, from, sport, to, dport, flags, n);
	gen_add(&capture, time, &f);
}

static void udp(double time, const struct gen_host *from, uint16_t sport, const struct gen_host *to,
		uint16_t dport, const void *payload, size_t n)
{
	struct gen_frame f;

	gen_udp(&f, from, sport, to, dport, payload, n);
	gen_add(&capture, time, &f);
}

static void conversation(double time, uint16_t sport, unsigned int server)
{
	struct gen_host w = web(server);

	tcp(time, &device, sport, &w, 443, GEN_SYN, 0);
	tcp(time + 0.01, &w, 443, &device, sport, GEN_SYN | GEN_ACK, 0);
	tcp(time + 0.02, &device, sport, &w, 443, GEN_ACK, 100);
}

static void test_counts(void)
{
	static const uint8_t arp[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x53, 0, 0, 0,
					 1,    8,    6,	   0,	 1,    8,    0, 6,    4, 0, 1 };
	struct told t;

	begin_test();
	gen_record(&capture, 0, 1000.5, arp, sizeof(arp), sizeof(arp)); /* is not counted */
	conversation(1000.9, 40000, 1); /* its last packet is in the next second */
	conversation(1000.99, 40001, 2);
	tcp(1005, &device, 40002, &(struct gen_host){ router.mac, "198.51.100.9" }, 443, GEN_SYN,
	    0);
	tcp(1005, &device, 40003, &(struct gen_host){ router.mac, "198.51.100.9" }, 25, GEN_SYN, 0);
	t = play(HG_POLICY_INITIATED);
	ok(t.sum[1].packets == 5 && t.sum[1].bytes == 5 * 40 + 200,
	   "packets and bytes of channel 1");
	is_int((long long)t.sum[1].flows, 3, "flows");
	is_int((long long)t.sum[1].answered, 2, "answered flows");
	is_int((long long)t.sum[1].failed, 1, "one that failed, though the capture ended before");
	is_int((long long)t.sum[1].fresh, 3, "new destinations");
	is_int((long long)t.sum[0].packets, 1, "a packet outside the profile");
	ok(t.opened == 4 && t.answered == 2, "packets that open and answer flows");
	ok(t.channel_packets[1] == 5 && t.channel_packets[0] == 1, "each packet's channel");
	is_int((long long)t.first_second, 1000, "the first second counts");
	is_int(t.sessions, 1, "one session");
}

static void test_alarm(void)
{
	char text[HG_TARGET_TEXT], reason[HG_REASON_TEXT];
	struct told t;

	begin_test();
	bounds[0].flows[HG_WINDOW_SECOND] = 4;
	udp(999, &device, 68, &all, 67, NULL, 300);
	for (unsigned int i = 0; i < 300; i++) {
		struct gen_host w = web(i);

		tcp(1000.5 + i * 0.01, &device, (uint16_t)(30000 + i), &w, 23, GEN_SYN, 0);
	}
	t = play(HG_POLICY_INITIATED);
	is_int((long long)t.first_alarm_ns, 1001000000000ll, "told when its second is over");
	ok(t.starts == 1 && t.ends == 1, "one episode, which ends");
	is_int(t.first.event.attack, HG_ATTACK_HORIZONTAL_SCAN, "a horizontal scan");
	is_str(hg_event_reason(&t.first.event, reason),
	       "opened 50 flows in a second; at most 4 are usual", "in plain words");
	ok(t.first.n_targets, "it has targets");
	is_str(hg_target_text(&t.first.targets[0], text), "198.51.100.0/24 tcp 23",
	       "a prefix of them");
	ok(t.episodes.n == 1 && t.episodes.hostile == 1 && !t.episodes.drift &&
		   t.episodes.list[0].hostile_ns == t.first_alarm_ns,
	   "one hostile episode is listed");
	ok(t.episodes.list && t.episodes.list[0].worst.event.value == 100 &&
		   t.episodes.list[0].alarms >= 2 && t.episodes.list[0].end_ns,
	   "with its worst second and its end");
	hg_episodes_exit(&t.episodes);
}

/* An episode that changes its class: each change is kept, with its time, up to the limit. */
static void test_told(void)
{
	struct hg_replayer_alarm a = { .event = { .news = HG_EPISODE_START } };
	struct hg_episodes e = { 0 };

	for (unsigned int i = 0; i < 2 * HG_EPISODE_TOLD_MAX; i++) {
		a.time_ns = 1000 + i;
		a.event.attack = i / 2 % 2 ? HG_ATTACK_SYN_FLOOD : HG_ATTACK_DRIFT;
		hg_episodes_add(&e, &a);
		a.event.news = HG_EPISODE_MORE;
	}
	ok(e.n == 1 && e.hostile == 1 && !e.drift && e.list[0].hostile_ns == 1002,
	   "drift that became a flood is hostile from then on");
	ok(e.n == 1 && e.list[0].n_told == HG_EPISODE_TOLD_MAX &&
		   e.list[0].told[0].attack == HG_ATTACK_DRIFT &&
		   e.list[0].told[1].attack == HG_ATTACK_SYN_FLOOD &&
		   e.list[0].told[1].time_ns == 1002 && e.list[0].told[15].time_ns == 1030,
	   "each change of its class has its time");
	for (unsigned int i = 0; i < 4; i++) {
		a.event.attack = i % 2 ? HG_ATTACK_SYN_FLOOD : HG_ATTACK_DRIFT;
		hg_episodes_add(&e, &a);
	}
	ok(e.n == 1 && e.list[0].n_told == HG_EPISODE_TOLD_MAX, "as many as are kept");
	hg_episodes_exit(&e);
}

static void test_strangers(void)
{
	struct told t;

	for (int policy = HG_POLICY_MONITOR; policy <= HG_POLICY_INITIATED; policy++) {
		bool guarded = policy == HG_POLICY_INITIATED;

		begin_test();
		tcp(1000, &phone, 50000, &device, 9999, GEN_SYN, 0);
		tcp(1000.1, &device, 9999, &phone, 50000, GEN_SYN | GEN_ACK, 0);
		tcp(1000.2, &phone, 50000, &device, 9999, GEN_ACK, 10);
		tcp(1000.3, &device, 9999, &phone, 50000, GEN_ACK, 10);
		udp(1001, &phone, 50001,
		    &(struct gen_host){ "01:00:5e:7f:ff:fa", "239.255.255.250" }, 1900, NULL, 90);
		udp(1001.1, &device, 1900, &phone, 50001, NULL, 200);
		udp(1002, &phone, 50002, &device, 40000, NULL, 90); /* to a client's port */
		udp(1002.1, &device, 40000, &phone, 50002, NULL, 90);
		tcp(1003, &device, 9999, &phone, 50000, GEN_SYN, 0);
		t = play((enum hg_policy)policy);
		is_int(t.left_out, guarded ? 3 : 0, "%s: answers to flows of others are left out");
		is_int(t.channel_packets[0], guarded ? 2 : 5, "what the device opens is not");
	}
}

static size_t dns_answer(struct message *m, const char *name, const char *addr)
{
	struct in_addr a;

	begin(m, name, A);
	record(m, "@12", A, 300, 4);
	inet_pton(AF_INET, addr, &a);
	memcpy(m->b + m->n, &a, 4);
	m->n += 4;
	return m->n;
}

static void ask(double time, const struct gen_host *server, uint16_t sport, const char *name,
		const char *addr)
{
	struct message m;
	size_t n = dns_answer(&m, name, addr);

	udp(time, &device, sport, server, 53, NULL, 30);
	udp(time + 0.1, server, 53, &device, sport, m.b, n);
}

static void test_names(void)
{
	struct gen_host w = { router.mac, "198.51.100.7" }, alien = { router.mac, "203.0.113.53" };
	struct told t;

	begin_test();
	set_bounds(&bounds[2], 3);
	rules[0] = (struct hg_rule){
		.channel = 1, .proto = 17, .port_max = 65535, .peer_roles = HG_PEER_DNS
	};
	rules[1] = (struct hg_rule){
		.channel = 2, .proto = 6, .port_max = 65535, .flags = HG_RULE_BOUND
	};
	n_rules = 2;
	patterns[0] = (struct hg_names_pattern){ "*.example.com", 1 << 2 };
	n_patterns = 1;
	tcp(999, &device, 40000, &w, 443, GEN_SYN, 0); /* nobody has named it yet */
	ask(1000, &router, 50000, "api.example.com", w.addr);
	tcp(1001, &device, 40001, &w, 443, GEN_SYN, 0);
	tcp(1002, &device, 40000, &w, 443, GEN_ACK, 0); /* is matched again */
	ask(1003, &alien, 50001, "b.example.com", "198.51.100.8");
	tcp(1004, &device, 40002, &(struct gen_host){ router.mac, "198.51.100.8" }, 443, GEN_SYN,
	    0);
	t = play(HG_POLICY_INITIATED);
	is_int(t.answers, 1, "one answer of the network's name server; another's does not count");
	is_int(t.channel_packets[1], 1, "the question is in the channel of name servers");
	is_int(t.channel_packets[2], 2, "the flow after the answer, and an older one from then on");
	is_int(t.channel_packets[0], 3, "before it, and to what others named: outside");
}

/* Months of silence; with ARP in between no step is spared. */
static struct told play_silence(bool chatter)
{
	static const uint8_t arp[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x53, 0, 0, 0,
					 1,    8,    6,	   0,	 1,    8,    0, 6,    4, 0, 1 };
	unsigned int at = 1000000, step = 118368; /* 1.37 days */

	begin_test();
	bounds[0].walk_limit = 20;
	bounds[0].walk_up = 2;
	bounds[0].walk_down = 1;
	bounds[1].sum_flows_rate = 2;
	bounds[1].sum_flows_limit = 3;
	bounds[1].flows[HG_WINDOW_HOUR] = 6;
	for (int burst = 0; burst < 6; burst++, at += step) {

		for (int i = 0; i < 8; i++) {
			struct gen_host w = web((unsigned int)(burst * 8 + i));

			tcp(at + i, &device, (uint16_t)(40000 + burst * 8 + i), &w, 23, GEN_SYN, 0);
			conversation(at + i + 0.5, (uint16_t)(50000 + burst * 8 + i), 1);
		}
		for (unsigned int t = at + 600; chatter && t < at + step; t += 600)
			gen_record(&capture, 0, t, arp, sizeof(arp), sizeof(arp));
	}
	gen_record(&capture, 0, at, arp, sizeof(arp), sizeof(arp));
	return play(HG_POLICY_INITIATED);
}

static void test_silence(void)
{
	struct told jumped = play_silence(false), walked = play_silence(true);

	ok(jumped.alarms > 3, "%u alarms in six days", jumped.alarms);
	is_int(jumped.alarms, walked.alarms, "as many if no second is spared");
	ok(jumped.hash == walked.hash, "at the same times with the same values");
	ok(jumped.seconds == walked.seconds && jumped.sum[1].fresh == walked.sum[1].fresh,
	   "and the same is counted");
	hg_episodes_exit(&jumped.episodes);
	hg_episodes_exit(&walked.episodes);
	begin_test();
	conversation(1000, 40000, 1);
	conversation(2000000000, 40001, 1);
	jumped = play(HG_POLICY_INITIATED);
	ok(jumped.opened == 2 && jumped.sum[1].fresh == 2, "63 years of silence take no time");
}

/* What a card has joined counts as what was on the wire. */
static void test_segments(void)
{
	struct gen_host w = web(1);
	struct gen_frame f;
	struct told t;

	begin_test();
	conversation(1000, 40000, 1);
	gen_tcp(&f, &device, 40000, &w, 443, GEN_ACK, 1460 * 3 > GEN_FRAME_MAX ? 1960 : 4380);
	gen_add(&capture, 1001, &f);
	t = play(HG_POLICY_INITIATED);
	is_int((long long)t.sum[1].packets, 4, "2,000 bytes were two packets");
	is_int((long long)t.sum[1].bytes, 40 + 140 + 2000 + 40, "with a header each");
}

static void test_peers(void)
{
	static const struct gen_host group = { "33:33:00:00:00:01", "ff02::1" };
	static const struct gen_host router6 = { "00:53:00:00:00:fe", "fe80::1" };
	struct message m;
	uint8_t dhcp[260] = { 2 };
	struct told t;

	begin_test();
	rules[0] = (struct hg_rule){ .channel = 1, .port_max = 65535, .peer_roles = HG_PEER_DNS };
	memcpy(dhcp + 28, "\0\x53\0\0\0\1", 6);
	memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\1\5\0\6\x4\x9\x9\x9\x9\xff", 15);
	udp(999, &router, 67, &all, 68, dhcp, sizeof(dhcp));
	udp(1000, &device, 50000, &(struct gen_host){ router.mac, "9.9.9.9" }, 53, NULL, 30);
	udp(1001, &device, 50001, &(struct gen_host){ router.mac, "8.8.8.8" }, 53, NULL, 30);
	t = play(HG_POLICY_INITIATED);
	is_int(t.channel_packets[1], 1, "DHCP says which name server is the network's");

	begin_test();
	rules[0] = (struct hg_rule){ .channel = 1, .port_max = 65535, .peer_roles = HG_PEER_DNS };
	dhcp[33] = 2; /* to another client */
	udp(999, &router, 67, &all, 68, dhcp, sizeof(dhcp));
	ask(1000, &(struct gen_host){ router.mac, "8.8.8.8" }, 50001, "a.example.com", "192.0.2.1");
	udp(1001, &device, 50000, &(struct gen_host){ router.mac, "9.9.9.9" }, 53, NULL, 30);
	t = play(HG_POLICY_INITIATED);
	is_int(t.channel_packets[1], 1, "told to another client: who answers is taken for it");

	begin_test();
	rules[0] = (struct hg_rule){ .channel = 1, .port_max = 65535, .peer_roles = HG_PEER_DNS };
	dns_answer(&m, "a.example.com", "192.0.2.1");
	udp(1000, &(struct gen_host){ router.mac, "8.8.8.8" }, 53, &device, 50001, m.b, m.n);
	udp(1001, &device, 50000, &(struct gen_host){ router.mac, "8.8.8.8" }, 53, NULL, 30);
	udp(1002, &router6, 1, &group, 2, NULL, 10);
	t = play(HG_POLICY_INITIATED);
	is_int(t.channel_packets[1], 0, "an answer that nobody asked for makes no name server");
}

int main(void)
{
	test_counts();
	test_alarm();
	test_told();
	test_strangers();
	test_names();
	test_silence();
	test_segments();
	test_peers();
	return tap_done();
}
