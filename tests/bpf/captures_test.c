/* SPDX-License-Identifier: MIT */
/*
 * Captures of real devices through the core and, in step, through XDP and tc egress. A judge of its
 * own, which knows tuples only, says for most inbound packets what must come of them: an answer on
 * a tuple on which the device sent a moment ago gets in; what comes on a tuple on which it never
 * sent does not.
 *
 * What a guarded device would not have sent is left out: its answers to connections that the guard
 * does not let in. Payload that the publisher of a capture cut off is zeros here, so that every
 * frame has the length it had on the wire.
 *
 * The captures are not part of the tree. They are looked for in $HG_DATA, else ../shared/data.
 */
#include "../tap.h"
#include "testrun.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <limits.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include "../../userspace/guard.h"
#include "../core/native.h"

#define TAKEN_MAX 2048 /* bytes; a longer frame was several segments */
#define MOMENT_S 20    /* below every timeout of the configuration */
#define SWEEP 500      /* packets between two sweeps of the maps */
#define TUPLES 65536   /* per file; open addressing */
#define FLOWS_MAX 8192 /* in a table at a time */

enum opinion { NO_OPINION, MUST_PASS, MUST_DROP, WOULD_NOT_BE };

struct tuple {
	struct hg_flow_key key;
	__u32 sent_s;
	enum { UNSEEN = 0, OURS, THEIRS, BOTH } whose;
};

struct replay {
	struct player *other;
	struct play_world world;
	__u8 mac[6];
	unsigned int reasons[HG_REASON_MAX];
	unsigned int out, in, must_pass, must_drop, wrongly_dropped, wrongly_passed;
	unsigned int left_out, too_long, differ;
};

static struct hg_host host;
static struct tuple tuples[TUPLES];

static struct tuple *tuple_of(const struct hg_flow_key *k)
{
	const __u8 *bytes = (const __u8 *)k;
	__u32 hash = 5381;

	for (size_t i = 0; i < sizeof(*k); i++)
		hash = hash * 33 + bytes[i];
	for (hash %= TUPLES; tuples[hash].whose != UNSEEN; hash = (hash + 1) % TUPLES)
		if (!memcmp(&tuples[hash].key, k, sizeof(*k)))
			break;
	tuples[hash].key = *k;
	return &tuples[hash];
}

/*
 * The judge's own reading of a frame: whole TCP, UDP and echo over IPv4 and IPv6 without options.
 * Returns the tuple's transport header, or NULL for all else.
 */
static const __u8 *read_tuple(const struct frame *f, struct hg_flow_key *k)
{
	const __u8 *ip = f->data + FRAME_LINK, *l4, *from, *to;
	int v6 = f->data[12] == 0x86;

	memset(k, 0, sizeof(*k));
	if (f->length < FRAME_LINK + 60 && (v6 || f->length < FRAME_LINK + 28))
		return NULL;
	if (v6 ? f->data[13] != 0xdd : f->data[12] != 8 || f->data[13] || ip[0] != 0x45)
		return NULL;
	if (!v6 && ((ip[6] & 0x3f) || ip[7]))
		return NULL;
	k->proto = ip[v6 ? 6 : 9];
	l4 = ip + (v6 ? 40 : 20);
	from = ip + (v6 ? 8 : 12);
	to = from + (v6 ? 16 : 4);
	memcpy(v6 ? (void *)&k->local : &k->local.a[3], f->out ? from : to, v6 ? 16 : 4);
	memcpy(v6 ? (void *)&k->remote : &k->remote.a[3], f->out ? to : from, v6 ? 16 : 4);
	if (k->proto == 6 || k->proto == 17) {
		memcpy(&k->local_port, l4 + (f->out ? 0 : 2), 2);
		memcpy(&k->remote_port, l4 + (f->out ? 2 : 0), 2);
		return k->proto == 17 || f->length >= FRAME_LINK + 40 ? l4 : NULL;
	}
	if (k->proto != (v6 ? 58 : 1) || l4[0] != (v6 ? (f->out ? 128 : 129) : (f->out ? 8 : 0)))
		return NULL;
	memcpy(&k->local_port, l4 + 4, 2);
	return l4;
}

static int is_dhcp(const struct hg_flow_key *k)
{
	return k->proto == 17 && (k->local_port == htons(68) || k->local_port == htons(546));
}

/* What the judge thinks of the packet before the guard has seen it. */
static enum opinion judge(const struct frame *f, __u32 now_s)
{
	struct hg_flow_key k;
	const __u8 *l4 = read_tuple(f, &k);
	struct tuple *t;
	int tcp, bare_syn;

	if (!l4 || is_dhcp(&k))
		return NO_OPINION;
	t = tuple_of(&k);
	tcp = k.proto == 6;
	bare_syn = tcp && (l4[13] & 0x12) == 2;
	if (f->out) {
		if (t->whose == THEIRS && !bare_syn)
			return WOULD_NOT_BE;
		if (t->whose == UNSEEN && tcp && ((l4[13] & 0x12) == 0x12 || l4[13] & 4))
			return WOULD_NOT_BE;
		t->whose = t->whose == BOTH ? BOTH : OURS;
		t->sent_s = now_s;
		return NO_OPINION;
	}
	if (bare_syn) { /* on a tuple of the device: its old flow may be alive or not */
		t->whose = t->whose == OURS || t->whose == BOTH ? BOTH : THEIRS;
		return MUST_DROP;
	}
	if (t->whose == BOTH)
		return NO_OPINION;
	if (t->whose != OURS) {
		t->whose = tcp ? UNSEEN : THEIRS;
		return MUST_DROP;
	}
	if (now_s - t->sent_s > MOMENT_S || (tcp && !(l4[13] & 0x10)))
		return NO_OPINION;
	return MUST_PASS;
}

static int flows_differ(struct replay *r, const struct hg_packet *p)
{
	struct hg_flow *ours = hg_flow_find(&host, &p->key, 0), theirs;
	int table = r->other->flow(r->other, &p->key, &theirs);

	if (!ours || !hg_flow_is_alive(&host.config, p->key.proto, ours, host.now_s))
		return 0; /* over, and may have been swept away */
	if (table < 0)
		return 1;
	return ours->state != theirs.state || ours->channel != theirs.channel ||
	       ours->tcp != theirs.tcp || ours->bytes_in != theirs.bytes_in ||
	       ours->bytes_out != theirs.bytes_out || ours->packets_in != theirs.packets_in ||
	       ours->packets_out != theirs.packets_out;
}

static void replay_packet(struct replay *r, struct frame *f)
{
	struct hg_frame view = { .data = f->data,
				 .network = f->data + FRAME_LINK,
				 .end = f->data + f->length,
				 .wire = f->wire };
	enum opinion opinion = judge(f, host.now_s);
	struct hg_packet p;
	int reason, theirs;

	if (opinion == WOULD_NOT_BE) {
		r->left_out++;
		return;
	}
	reason = hg_native_run(&host, &p, &view, f->out, 1);
	r->reasons[reason]++;
	if (f->out)
		r->out++;
	else
		r->in++;
	r->must_pass += opinion == MUST_PASS;
	r->must_drop += opinion == MUST_DROP;
	if (opinion == MUST_PASS && reason != HG_PASS_FLOW)
		printf("# packet %u: %s\n", r->in + r->out + r->left_out, hg_reason_name(reason));
	r->wrongly_dropped += opinion == MUST_PASS && reason != HG_PASS_FLOW;
	r->wrongly_passed += opinion == MUST_DROP && reason < HG_DROP_NO_FLOW;
	if (!r->other)
		return;
	theirs = r->other->run(r->other, f);
	if (theirs < 0 && reason >= HG_DROP_MALFORMED)
		return; /* shorter than a test run takes */
	if (theirs == reason &&
	    (p.kind != HG_PACKET_FLOW || reason > HG_PASS_OUT || !flows_differ(r, &p)))
		return;
	if (!r->differ++)
		printf("# native %s, BPF %s\n", hg_reason_name(reason), hg_reason_name(theirs));
}

static void begin(struct replay *r)
{
	struct hg_rule any = { .channel = 1, .port_max = 65535, .flags = HG_RULE_LOCAL };

	memset(&host, 0, sizeof(host));
	memset(tuples, 0, sizeof(tuples));
	r->world.now_s = 100000;
	r->world.config = (struct hg_guard_config){
		.seed = 0x13198a2e03707344,
		.abi = HG_GUARD_ABI,
		.policy = HG_POLICY_INITIATED,
		.n_rules = 1,
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 60,
		.tcp_established_s = 7500,
		.tcp_closing_s = 30,
		.icmp_s = 30,
		.other_s = 600,
		.config_rate = 50,
	};
	r->world.rules[0] = any;
	host.config = r->world.config;
	host.rules[0] = any;
	host.now_s = r->world.now_s;
	if (!r->other)
		return;
	r->other->begin(r->other, &r->world);
	r->other->configure(r->other, &r->world);
}

static int replay_file(struct replay *r, struct testrun *t, const char *path)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(path, err);
	struct pcap_pkthdr *h;
	const u_char *bytes;
	unsigned int n = 0;
	time_t last = 0;

	if (!pcap) {
		printf("# %s\n", err);
		return -1;
	}
	begin(r);
	while (pcap_next_ex(pcap, &h, &bytes) == 1) {
		static struct frame f;

		if (h->len > TAKEN_MAX || h->caplen < FRAME_LINK) {
			r->too_long++;
			continue;
		}
		if (last && h->ts.tv_sec > last) {
			host.now_s += h->ts.tv_sec - last;
			if (r->other)
				r->other->wait(r->other, h->ts.tv_sec - last);
		}
		last = h->ts.tv_sec > last ? h->ts.tv_sec : last;
		memset(&f, 0, sizeof(f));
		memcpy(f.data, bytes, h->caplen);
		f.length = f.wire = h->len;
		f.segments = 1;
		f.out = !memcmp(f.data + 6, r->mac, 6);
		replay_packet(r, &f);
		if (t && ++n % SWEEP == 0)
			testrun_sweep(t);
	}
	pcap_close(pcap);
	return 0;
}

static void windows_same(struct replay *r, const char *name)
{
	static struct hg_window theirs[HG_CHANNELS_MAX];

	r->other->windows(r->other, theirs);
	ok(!r->differ && !memcmp(theirs, host.windows, sizeof(theirs)),
	   "%s: BPF gives the same reasons, flows and windows", name);
	if (r->differ)
		printf("# %u of %u packets differ\n", r->differ, r->in + r->out);
}

static void test_file(struct testrun *t, const char *data, const char *name, const char *mac)
{
	struct replay *r = calloc(1, sizeof(*r));
	char path[2 * PATH_MAX];

	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &r->mac[0], &r->mac[1], &r->mac[2],
		   &r->mac[3], &r->mac[4], &r->mac[5]) != 6) {
		ok(0, "%s: has a device address", name);
		goto out;
	}
	r->other = t ? testrun_player(t, TESTRUN_XDP) : NULL;
	snprintf(path, sizeof(path), "%s/%s", data, name);
	if (!ok(!replay_file(r, t, path), "%s: can be read", name))
		goto out;
	ok(!r->wrongly_dropped, "%s: %u answers to the device all get in", name, r->must_pass);
	if (r->wrongly_dropped)
		printf("# %u do not\n", r->wrongly_dropped);
	ok(!r->wrongly_passed, "%s: %u packets nobody asked for all stay out", name, r->must_drop);
	if (r->wrongly_passed)
		printf("# %u do not\n", r->wrongly_passed);
	if (t)
		windows_same(r, name);
	printf("# %u sent, %u received, %u left out, %u too long;", r->out, r->in, r->left_out,
	       r->too_long);
	for (int i = 0; i < HG_REASON_MAX; i++)
		if (r->reasons[i] && i != HG_PASS_OUT)
			printf(" %s %u", hg_reason_name(i), r->reasons[i]);
	printf("\n");
out:
	free(r);
}

int main(int argc, char **argv)
{
	const char *top = getenv("HG_TOP"), *data = getenv("HG_DATA"), *why = "";
	char fallback[PATH_MAX], path[2 * PATH_MAX];
	json_t *manifest, *file;
	struct testrun *t;
	size_t i;

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
	t = testrun_new(FLOWS_MAX, &why);
	if (!t)
		tap_skip("replay in BPF", why);
	json_array_foreach (json_object_get(manifest, "files"), i, file) {
		const char *name = json_string_value(json_object_get(file, "file"));
		const char *mac = json_string_value(json_object_get(file, "device_mac"));

		if (name && mac &&
		    (argc > 1 ? !strcmp(name, argv[1]) : !strncmp(name, "benign/", 7)))
			test_file(t, data, name, mac);
	}
	testrun_free(t);
	json_decref(manifest);
	return tap_done();
}
