/* SPDX-License-Identifier: MIT */
/*
 * The player of play.h. The world of the cases: device D, mirror M (TCP 8443), name server N
 * (port 53), others R and X; channels 1 mirror, 2 names, 3 TCP 443 to R's prefix, 4 UDP 5000-5999
 * in the local network, 5 echo, 7 TCP 8883 to whom a name of the channel led, 8 what X's prefix
 * opens to the device's ports 8000 to 8009, and its echoes; the rest is outside, channel 0. Time
 * begins at 100,000 s.
 */
#include "play.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../userspace/guard.h"
#include "native.h"

static struct hg_host host;
static struct play_world world;

static void peer(size_t *n, const char *who, unsigned int port, __u8 proto, __u8 role)
{
	size_t bank = (world.config.generation & 1) * HG_PEERS_MAX;

	for (int v6 = 0; v6 < 2; v6++) {
		struct hg_peer *p = &world.peers[bank + (*n)++];

		frame_address(who, v6, &p->addr);
		p->port = htons(port);
		p->proto = proto;
		p->role = role;
	}
}

static void rule(size_t *n, const struct hg_rule *r)
{
	world.rules[(world.config.generation & 1) * HG_RULES_MAX + (*n)++] = *r;
}

/* What trusted remotes may open. */
static void serve(size_t *n)
{
	struct hg_rule r = { .channel = 8,
			     .port_min = 8000,
			     .port_max = 8009,
			     .flags = HG_RULE_THEIRS | HG_RULE_PREFIX };

	frame_address("203.0.113.0", 0, &r.addr);
	r.prefix_len = 120;
	rule(n, &r);
}

/* Set A is described above; B knows no mirror, and puts R's prefix into channel 6. */
static void profile(char set)
{
	struct hg_rule prefix = { .port_min = 443,
				  .port_max = 443,
				  .proto = 6,
				  .flags = HG_RULE_PREFIX,
				  .channel = set == 'A' ? 3 : 6 };
	size_t peers = 0, rules = 0;

	world.config.generation++;
	memset(&world.peers[(world.config.generation & 1) * HG_PEERS_MAX], 0,
	       sizeof(world.peers) / 2);
	memset(&world.rules[(world.config.generation & 1) * HG_RULES_MAX], 0,
	       sizeof(world.rules) / 2);
	if (set == 'A') {
		peer(&peers, "M", 8443, 6, HG_PEER_MIRROR);
		rule(&rules, &(struct hg_rule){ .channel = 1,
						.port_max = 65535,
						.peer_roles = HG_PEER_MIRROR });
	}
	peer(&peers, "N", 53, 0, HG_PEER_DNS);
	rule(&rules,
	     &(struct hg_rule){ .channel = 2, .port_max = 65535, .peer_roles = HG_PEER_DNS });
	frame_address("198.51.100.0", 0, &prefix.addr);
	prefix.prefix_len = 120;
	rule(&rules, &prefix);
	frame_address("2001:db8:7::", 1, &prefix.addr);
	prefix.prefix_len = 48;
	rule(&rules, &prefix);
	rule(&rules, &(struct hg_rule){ .channel = 4,
					.proto = 17,
					.port_min = 5000,
					.port_max = 5999,
					.flags = HG_RULE_LOCAL });
	rule(&rules, &(struct hg_rule){ .channel = 7,
					.proto = 6,
					.port_min = 8883,
					.port_max = 8883,
					.flags = HG_RULE_BOUND });
	serve(&rules);
	rule(&rules, &(struct hg_rule){ .channel = 5, .proto = 1 });
	rule(&rules, &(struct hg_rule){ .channel = 5, .proto = 58 });
	world.config.n_peers = peers;
	world.config.n_rules = rules;
}

static const struct hg_bound *bound_of(void *ctx, const struct hg_addr *a)
{
	for (size_t i = 0; i < world.n_bound; i++)
		if (hg_addr_equal(&world.bound_addr[i], a))
			return &world.bound[i];
	return NULL;
}

static void tell(struct player *other)
{
	host.config = world.config;
	memcpy(host.peers, world.peers, sizeof(world.peers));
	memcpy(host.rules, world.rules, sizeof(world.rules));
	memcpy(host.bounds, world.bounds, sizeof(world.bounds));
	memcpy(host.trusted, world.trusted, sizeof(world.trusted));
	host.bound = bound_of;
	host.now_s = world.now_s;
	if (other)
		other->configure(other, &world);
}

static void begin(struct player *other)
{
	memset(&host, 0, sizeof(host));
	memset(&world, 0, sizeof(world));
	world.now_s = 100000;
	world.config = (struct hg_guard_config){
		.seed = 0x243f6a8885a308d3,
		.abi = HG_GUARD_ABI,
		.policy = HG_POLICY_INITIATED,
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 60,
		.tcp_established_s = 7440,
		.tcp_closing_s = 20,
		.icmp_s = 10,
		.other_s = 600,
		.config_rate = 20,
	};
	profile('A');
	if (other)
		other->begin(other, &world);
	tell(other);
}

/* CHANNEL=PACKETS/BYTES/FLOWS of a second, in the bank in force; "-": unbounded. */
static void bound(const char *value)
{
	struct hg_bounds *b = &world.bounds[(world.config.generation & 1) * HG_CHANNELS_MAX];
	char packets[16], bytes[16], flows[16];
	unsigned int channel;

	if (sscanf(value, "%u=%15[^/]/%15[^/]/%15s", &channel, packets, bytes, flows) != 4)
		abort();
	b += channel;
	b->id = 1;
	b->packets[0] = *packets == '-' ? HG_UNBOUNDED : strtoul(packets, NULL, 10);
	b->bytes[0] = *bytes == '-' ? HG_UNBOUNDED_BYTES : strtoull(bytes, NULL, 10);
	b->flows[0] = *flows == '-' ? HG_UNBOUNDED : strtoul(flows, NULL, 10);
}

static void flag(__u32 bit, const char *value)
{
	if (!strcmp(value, "yes"))
		world.config.flags |= bit;
	else
		world.config.flags &= ~bit;
}

static int command(struct player *other, char *text)
{
	char word[16], value[64];
	char *slash;

	if (sscanf(text, "%15s %63s", word, value) != 2)
		return -1;
	if (!strcmp(word, "wait")) {
		world.now_s += atoi(value);
		host.now_s = world.now_s;
		if (other)
			other->wait(other, atoi(value));
		return 0;
	}
	if (!strcmp(word, "policy")) {
		world.config.policy = hg_policy_parse(value);
	} else if (!strcmp(word, "confine")) {
		flag(HG_GUARD_CONFINE, value);
	} else if (!strcmp(word, "police")) {
		flag(HG_GUARD_POLICE, value);
	} else if (!strcmp(word, "gate")) {
		flag(HG_GUARD_GATE, strcmp(value, "no") ? "yes" : "no");
		flag(HG_GUARD_GATE_SERVICES, strcmp(value, "services") ? "no" : "yes");
	} else if (!strcmp(word, "open")) { /* SECONDS */
		world.config.open_until_s = atoi(value) ? world.now_s + atoi(value) : 0;
	} else if (!strcmp(word, "generation")) { /* +2: the same bank, all flows matched again */
		world.config.generation += atoi(value);
	} else if (!strcmp(word, "bound")) {
		bound(value);
	} else if (!strcmp(word, "rate")) {
		world.config.config_rate = atoi(value);
	} else if (!strcmp(word, "profile")) {
		profile(*value);
	} else if (!strcmp(word, "named")) { /* ADDRESS=CHANNEL, 0: of no channel */
		size_t i = world.n_bound++;

		slash = strchr(value, '=');
		*slash++ = '\0';
		frame_address(value, strchr(value, ':') != NULL, &world.bound_addr[i]);
		world.bound[i].flags = HG_BOUND_NAMED;
		world.bound[i].channels = *slash == '0' ? 0 : 1ull << atoi(slash);
	} else if (!strcmp(word, "trust")) {
		struct hg_prefix *t = &world.trusted[world.config.n_trusted++];
		int v6 = strchr(value, ':') != NULL;

		slash = strchr(value, '/');
		*slash++ = '\0';
		t->length = atoi(slash) + (v6 ? 0 : 96);
		frame_address(value, v6, &t->addr);
	} else {
		return -1;
	}
	tell(other);
	return 0;
}

static struct hg_frame host_frame(const struct frame *f, int plain)
{
	size_t skip = plain ? FRAME_LINK : 0;

	return (struct hg_frame){ .data = f->data + skip,
				  .network = f->data + FRAME_LINK,
				  .end = f->data + f->length,
				  .wire = f->wire - skip };
}

/* Can this frame be judged without its link header? */
static int plain_possible(const struct frame *f)
{
	unsigned int type = f->data[12] << 8 | f->data[13];

	return f->length > FRAME_LINK && (type == 0x0800 || type == 0x86dd) && !(f->data[0] & 1);
}

static int flow_equal(const struct player *other, const struct hg_flow *a, const struct hg_flow *b)
{
	return a->bytes_out == b->bytes_out && a->bytes_in == b->bytes_in &&
	       a->packets_out == b->packets_out && a->packets_in == b->packets_in &&
	       a->channel == b->channel && a->roles == b->roles && a->state == b->state &&
	       a->tcp == b->tcp && (other->counts_anew || a->generation == b->generation);
}

static int find_flow(const struct hg_flow_key *k, struct hg_flow *f)
{
	for (int t = 0; t < 3; t++) {
		struct hg_flow *found = hg_host_flow(&host, t, k);

		if (found) {
			*f = *found;
			return t;
		}
	}
	return -1;
}

static void describe(const char *name, int table, const struct hg_flow *f)
{
	printf("# %s: table %d channel %u roles %u state %u tcp %02x out %u/%llu in %u/%llu\n",
	       name, table, f->channel, f->roles, f->state, f->tcp, f->packets_out,
	       (unsigned long long)f->bytes_out, f->packets_in, (unsigned long long)f->bytes_in);
}

/* Another host takes whole frames, some only those that are longer than a link header. */
static int can_run(const struct player *other, const struct frame *f)
{
	if (f->wire != f->length || f->length <= other->least)
		return 0;
	if (f->segments > 1 && !f->out && !other->in_segments)
		return 0;
	if (other->takes && !other->takes(f))
		return 0;
	return !other->plain || plain_possible(f);
}

/* The other host after the same frame: reason, the frame's flow, all windows and spots. */
static int compare(struct player *other, const struct frame *f, const struct hg_packet *p,
		   int reason)
{
	static struct hg_window windows[HG_CHANNELS_MAX];
	static struct hg_spots spots[HG_CHANNELS_MAX];
	struct hg_flow ours = { 0 }, theirs = { 0 };
	int got = other->run(other, f), table, their_table;

	if (got < 0) /* too short for a test run of this kernel; such a packet leaves no trace */
		return reason == HG_DROP_MALFORMED || reason == HG_DROP_TRUNCATED;
	if (got != reason) {
		printf("# native %s, %s %s\n", hg_reason_name(reason), other->name,
		       hg_reason_name(got));
		return 0;
	}
	table = find_flow(&p->key, &ours);
	their_table = other->flow(other, &p->key, &theirs);
	if (table != their_table || !flow_equal(other, &ours, &theirs)) {
		describe("native", table, &ours);
		describe(other->name, their_table, &theirs);
		return 0;
	}
	other->windows(other, windows);
	if (other->spots)
		other->spots(other, spots);
	for (int i = 0; i < HG_CHANNELS_MAX; i++)
		if (memcmp(&windows[i], &host.windows[i], sizeof(windows[i])) ||
		    (other->spots && memcmp(&spots[i], &host.spots[i], sizeof(spots[i])))) {
			printf("# windows or spots of channel %d differ\n", i);
			return 0;
		}
	return 1;
}

/* Runs the frame everywhere. Returns native's reason, -1 if the hosts differ. */
static int run(struct player *other, struct frame *f, struct hg_packet *p, struct play_count *n)
{
	struct hg_frame view;
	int reason;

	f->plain = other && other->plain && plain_possible(f);
	view = host_frame(f, f->plain);
	reason = hg_native_run(&host, p, &view, f->out, f->segments);
	n->packets++;
	if (other && can_run(other, f) && !compare(other, f, p, reason))
		return -1;
	return reason;
}

static const char *const states[] = { "opening", "established", "closing" };
static const char *const tables[] = { "kept", "inside", "outside" };

/* One word of what must be true after a frame. */
static int expected(const char *word, const struct hg_packet *p, int reason)
{
	struct hg_flow f = { 0 };
	int table = find_flow(&p->key, &f);
	const struct hg_window *w = &host.windows[table < 0 ? 0 : f.channel];
	unsigned long long v = strchr(word, '=') ? strtoull(strchr(word, '=') + 1, NULL, 0) : 0;

	for (int i = 0; i < 3; i++) {
		if (!strcmp(word, states[i]))
			return table >= 0 && f.state == i;
		if (!strcmp(word, tables[i]))
			return table == i;
	}
	if (!strcmp(word, "none"))
		return table < 0;
	if (!strncmp(word, "channel=", 8))
		return table >= 0 && f.channel == v;
	if (!strncmp(word, "flows=", 6))
		return w->flows == v;
	if (!strncmp(word, "answered=", 9))
		return w->answered == v;
	if (!strncmp(word, "refused=", 8))
		return w->refused == v;
	if (!strncmp(word, "sent=", 5))
		return w->packets_out == v;
	if (!strncmp(word, "got=", 4))
		return w->packets_in == v;
	if (!strncmp(word, "bytes_out=", 10))
		return w->bytes_out == v;
	if (!strncmp(word, "bytes_in=", 9))
		return w->bytes_in == v;
	if (!strncmp(word, "fresh=", 6))
		return w->fresh == v;
	if (!strncmp(word, "unnamed=", 8))
		return w->unnamed == v;
	if (!strncmp(word, "moved=", 6)) /* out of channel 0 */
		return host.windows[0].moved == v;
	if (!strncmp(word, "syn=", 4))
		return w->syn == v;
	if (!strncmp(word, "udp=", 4))
		return w->udp == v;
	if (!strncmp(word, "icmp=", 5))
		return w->icmp == v;
	if (!strncmp(word, "reflect=", 8))
		return w->reflect == v;
	if (!strncmp(word, "destinations=", 13))
		return host.spots[table < 0 ? 0 : f.channel].n[1] == v;
	if (!strncmp(word, "ports=", 6))
		return host.spots[table < 0 ? 0 : f.channel].n_ports == v;
	if (!strncmp(word, "events=", 7))
		return host.events == v;
	if (!strncmp(word, "answers=", 8))
		return host.answers == v;
	return !strcmp(word, hg_reason_name(reason));
}

/* Every beginning of an inbound frame is refused, for one of two reasons. */
static int sweep(struct player *other, const struct frame *whole, struct play_count *n)
{
	struct hg_packet p;
	struct frame f;

	for (size_t i = 0; i < whole->length; i++) {
		int reason;

		f = *whole;
		f.length = f.wire = i;
		reason = run(other, &f, &p, n);
		if (reason != HG_DROP_MALFORMED && reason != HG_DROP_TRUNCATED) {
			printf("# %zu bytes of %zu: %s\n", i, whole->length,
			       reason < 0 ? "hosts differ" : hg_reason_name(reason));
			return 0;
		}
	}
	return 1;
}

static int step(struct player *other, char *line, struct play_count *n)
{
	char *want = strstr(line, " : "), *save = NULL, *word;
	struct hg_packet p;
	const char *bad;
	struct frame f;
	int reason;

	if (want) {
		*want = '\0';
		want += 3;
	}
	if (frame_from_words(&f, *line == '>', line + 1, &bad)) {
		printf("# no such word: %s\n", bad);
		return 0;
	}
	reason = run(other, &f, &p, n);
	if (reason < 0)
		return 0;
	if (*line == '<' && !want) {
		printf("# nothing is expected\n");
		return 0;
	}
	for (word = want ? strtok_r(want, " ", &save) : NULL; word;
	     word = strtok_r(NULL, " ", &save)) {
		if (!strcmp(word, "sweep") ? sweep(other, &f, n) : expected(word, &p, reason))
			continue;
		printf("# expected %s; reason is %s\n", word, hg_reason_name(reason));
		return 0;
	}
	return 1;
}

/* The next frame of a case at *at, without what is expected of it; commands are passed over. */
static int next_frame(const char **at, struct frame *f)
{
	char line[512];

	for (; **at; *at += **at == '\n') {
		const char *start = *at, *end = strstr(start, " : "), *bad;
		size_t length = strcspn(start, "\n");

		*at += length;
		if (*start == '.')
			continue;
		if (end && end < start + length)
			length = end - start;
		snprintf(line, sizeof(line), "%.*s", (int)length, start);
		*at += **at == '\n';
		return frame_from_words(f, *line == '>', line + 1, &bad);
	}
	return 1;
}

static int can_play(const struct player *other, const struct hg_case *c)
{
	const char *at = c->lines;
	struct frame f;

	while (!next_frame(&at, &f))
		if (!can_run(other, &f))
			return 0;
	return 1;
}

const struct hg_case *play_case_at(size_t i)
{
	if (i < hg_cases_in.n)
		return &hg_cases_in.cases[i];
	i -= hg_cases_in.n;
	return i < hg_cases_out.n ? &hg_cases_out.cases[i] : NULL;
}

int play_case(const struct hg_case *c, struct player *other, struct play_count *n)
{
	char copy[4096], shown[256], *save, *line;
	unsigned int i = 0;

	if (other && !can_play(other, c)) {
		n->skipped++;
		return 1;
	}
	begin(other);
	snprintf(copy, sizeof(copy), "%s", c->lines);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		i++;
		snprintf(shown, sizeof(shown), "%s", line);
		if (*line == '.' ? !command(other, line + 1) : step(other, line, n))
			continue;
		printf("# %s, line %u: %s\n", c->name, i, shown);
		return 0;
	}
	return 1;
}

static __u32 random_next(__u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void change(struct frame *f, __u32 *state)
{
	size_t room = f->length > 96 ? 84 : f->length - 12;

	for (__u32 k = random_next(state) % 4; k; k--)
		f->data[12 + random_next(state) % room] = random_next(state) >> 8;
}

int play_mutations(struct player *other, unsigned int rounds, struct play_count *n)
{
	__u32 state = 20240607;
	const char *at = "";
	struct hg_packet p;
	struct frame f;
	size_t c = 0;

	begin(other);
	/* A second that turns in between would count anew: bounds are so high, or nothing. */
	world.config.config_rate = 1000000;
	bound("0=0/-/-");
	bound("3=-/-/0");
	while (rounds--) {
		if (rounds % 1000 == 0) { /* neither, confine, police, both */
			world.config.flags = rounds / 1000 % 4;
			tell(other);
		}
		while (next_frame(&at, &f)) {
			at = play_case_at(c)->lines;
			c = (c + 1) % (hg_cases_in.n + hg_cases_out.n);
		}
		change(&f, &state);
		if (other && !can_run(other, &f))
			continue;
		if (run(other, &f, &p, n) >= 0)
			continue;
		printf("# ");
		for (size_t k = 0; k < f.length; k++)
			printf("%02x", f.data[k]);
		printf("\n");
		return 0;
	}
	return 1;
}

size_t play_seed(const struct hg_case *c, uint8_t *out, size_t size)
{
	const char *at = c->lines;
	struct frame f;
	size_t n = 0;

	while (!next_frame(&at, &f) && n + 3 + f.length <= size) {
		out[n++] = f.out | f.segments << 2;
		out[n++] = f.length;
		out[n++] = f.length >> 8;
		memcpy(out + n, f.data, f.length);
		n += f.length;
	}
	return n;
}
