// SPDX-License-Identifier: MIT
/* What the guard gets of a profile: rules, bounds, names; and which numbers channels get. */
#include "../tap.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include "../../userspace/profile-compile.h"
#include "../../userspace/profile-text.h"

static struct hg_profile p;
static struct hg_compiled c;
static char err[256];

static void parse(const char *text)
{
	if (hg_profile_parse(text, strlen(text), &p, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
}

static void compile(const char *text, const __u64 *old)
{
	parse(text);
	memset(&c, 0x55, sizeof(c));
	ok(!hg_profile_compile(&p, old, &c), "compiled");
}

static void rules(void)
{
	static const char text[] =
		"{\"model\":\"cam\",\"firmware\":\"2.1\",\"channels\":["
		"{\"name\":\"web\",\"proto\":\"tcp\",\"ports\":[443,\"8000-8010\"],"
		"\"remote\":[\"192.0.2.0/24\",\"name:a.example\",\"mirror\",\"name:*.b.example\"],"
		"\"envelope\":{}},"
		"{\"name\":\"lan\",\"proto\":\"udp\",\"remote\":\"local\",\"envelope\":{}},"
		"{\"name\":\"in\",\"proto\":\"tcp\",\"ports\":[22],\"remote\":\"local\","
		"\"opener\":\"remote\",\"envelope\":{}},"
		"{\"name\":\"all\",\"proto\":\"any\",\"remote\":[\"any\",\"name:a.example\"],"
		"\"envelope\":{}}]}";
	struct hg_names_pattern patterns[HG_PROFILE_REMOTES_ALL];
	const struct hg_rule *r = c.rules;

	compile(text, NULL);
	is_str(c.model, "cam", "model");
	is_str(c.firmware, "2.1", "firmware");
	is_int((long long)c.n_rules, 10, "two ranges times prefix, names and role; one; one; two");
	ok(r[0].channel == 1 && r[0].proto == IPPROTO_TCP && r[0].port_min == 443 &&
		   r[0].port_max == 443 && r[0].flags == HG_RULE_PREFIX && r[0].prefix_len == 120 &&
		   r[0].addr.a[3] == htonl(0xc0000200) && !r[0].peer_roles,
	   "a prefix");
	ok(r[1].port_min == 8000 && r[1].port_max == 8010, "its other range");
	ok(r[2].flags == HG_RULE_BOUND && r[2].channel == 1 && r[2].port_min == 443 &&
		   r[3].flags == HG_RULE_BOUND && r[3].port_min == 8000,
	   "all names of a channel are one remote");
	ok(!r[4].flags && r[4].peer_roles == HG_PEER_MIRROR && r[5].port_max == 8010, "a role");
	ok(r[6].channel == 2 && r[6].flags == HG_RULE_LOCAL && r[6].port_min == 0 &&
		   r[6].port_max == 65535,
	   "local, any port");
	ok(r[7].channel == 3 && r[7].flags == (HG_RULE_LOCAL | HG_RULE_THEIRS) &&
		   r[7].port_min == 22 && r[7].port_max == 22,
	   "the device's port, which remotes open");
	ok(c.bounds[3].id && !strcmp(c.channels[3], "in"), "in a channel like others");
	ok(r[8].channel == 4 && !r[8].flags && !r[8].peer_roles && !r[8].proto, "any");
	ok(r[9].channel == 4 && r[9].flags == HG_RULE_BOUND, "a name of another channel");
	is_int((long long)hg_compiled_patterns(&c, patterns), 2, "names");
	ok(!strcmp(patterns[0].name, "a.example") && patterns[0].channels == (1 << 1 | 1 << 4),
	   "a name of two channels");
	ok(!strcmp(patterns[1].name, "*.b.example") && patterns[1].channels == 1 << 1,
	   "a pattern of one");
	ok(hg_names_pattern_ok(patterns[1].name), "that the table of names takes");
}

static void bounds(void)
{
	static const char text[] =
		"{\"model\":\"m\",\"firmware\":\"1\",\"margin_percent\":150,"
		"\"outside\":{\"60\":{\"flows\":3}},\"channels\":["
		"{\"name\":\"a\",\"proto\":\"tcp\",\"remote\":\"any\",\"envelope\":{"
		"\"1\":{\"packets\":3,\"bytes\":5,\"flows\":0,\"failed\":7,\"destinations\":9,"
		"\"new_destinations\":11},"
		"\"60\":{\"packets\":1000000000,\"ports\":1,\"sources\":2,\"size_min\":100,"
		"\"size_max\":65534},"
		"\"3600\":{\"bytes\":1000000000000,\"failed\":101}},"
		"\"walk\":{\"limit\":9,\"up\":3,\"down\":2},"
		"\"sum\":{\"flows\":{\"rate\":10,\"limit\":0}}},"
		"{\"name\":\"b\",\"proto\":\"tcp\",\"remote\":\"any\",\"answers\":false,"
		"\"envelope\":{},\"sum\":{\"bytes\":{\"rate\":7,\"limit\":8}}}]}";
	static const char most[] =
		"{\"model\":\"m\",\"firmware\":\"1\",\"margin_percent\":2000,\"channels\":["
		"{\"name\":\"a\",\"proto\":\"tcp\",\"remote\":\"any\",\"envelope\":{"
		"\"1\":{\"packets\":1000000000,\"bytes\":1000000000000}}}]}";
	const struct hg_bounds *o = &c.bounds[0], *a = &c.bounds[1], *b = &c.bounds[2];

	compile(text, NULL);
	ok(a->packets[0] == 4 && a->bytes[0] == 7 && a->flows[0] == 0 && a->failed[0] == 10 &&
		   a->destinations[0] == 13 && a->fresh[0] == 16,
	   "a second's bounds are the envelope with its margin, rounded down");
	ok(a->packets[1] == 1500000000 && a->packets[2] == HG_UNBOUNDED && a->ports == 1 &&
		   a->sources == 3 && a->bytes[1] == HG_UNBOUNDED_BYTES &&
		   a->bytes[2] == 1500000000000 && a->failed[2] == 151,
	   "a minute's and an hour's; what is not said is not tested");
	ok(a->size_min == 100 && a->size_max == 65534, "mean sizes have no margin");
	ok(a->walk_limit == 9 && a->walk_up == 3 && a->walk_down == 2, "the walk of the profile");
	ok(a->sum_flows_rate == 10 && a->sum_flows_limit == 0 &&
		   a->sum_bytes_limit == HG_UNBOUNDED_BYTES,
	   "one sum");
	ok(b->walk_limit == 0 && b->packets[0] == HG_UNBOUNDED && b->size_min == 0 &&
		   b->size_max == 65535,
	   "no answers, no walk; an envelope that tests nothing");
	ok(b->sum_bytes_rate == 7 && b->sum_bytes_limit == 8 && b->sum_flows_limit == HG_UNBOUNDED,
	   "the other sum");
	ok(o->id == HG_OUTSIDE_ID && o->flows[1] == 4 && o->packets[0] == HG_UNBOUNDED &&
		   o->walk_limit == 20 && o->walk_up == 2,
	   "the outside, whose failures weigh more");
	ok(!c.bounds[3].id && !c.bounds[63].id, "other numbers are free");
	compile(most, NULL);
	ok(a->packets[0] == HG_UNBOUNDED - 1 && a->bytes[0] == 20000000000000,
	   "what is too large stays tested");
	is_int(o->packets[0], 400, "the outside's default has the margin, too");
}

/* Channels a, b, ... by the letters of `names`; capitals have another port. */
static void letters(const char *names)
{
	hg_profile_init(&p);
	strcpy(p.model, "m");
	strcpy(p.firmware, "1");
	for (; *names; names++) {
		bool other = *names < 'a';
		const char name[2] = { (char)(*names | 0x20) };
		struct hg_profile_channel *ch = hg_profile_add_channel(&p, name);

		ch->proto = IPPROTO_TCP;
		hg_profile_add_remote(&p);
		hg_profile_add_ports(&p, other ? 2 : 1, 2);
	}
}

static void ids(void)
{
	static const char text[] =
		"{\"model\":\"m\",\"firmware\":\"1\",\"channels\":["
		"{\"name\":\"sync\",\"proto\":\"tcp\",\"remote\":\"mirror\",\"envelope\":{\"1\":"
		"{\"packets\":%d}},\"answers\":%s,\"walk\":{\"limit\":9,\"up\":3,\"down\":2}}]}";
	char buf[512];
	__u64 first;

	snprintf(buf, sizeof(buf), text, 1, "true");
	parse(buf);
	first = hg_profile_id(&p, &p.channels[0]);
	/* sha256 of a3 646e616d65 6473796e63 6570726f746f 63746370 6672656d6f7465 666d6972726f72 */
	ok(first == 0x2c886dae47ca751d, "the id that docs/profile.md says: %llx",
	   (unsigned long long)first);
	snprintf(buf, sizeof(buf), text, 2, "false");
	parse(buf);
	ok(hg_profile_id(&p, &p.channels[0]) == first, "it is not of the envelope");
	letters("aA");
	ok(hg_profile_id(&p, &p.channels[0]) != hg_profile_id(&p, &p.channels[1]),
	   "it is of the ports");
}

/* old: the letter by number, '.' where it is free; want: the number by channel. */
static void placed(const char *old, const char *new, const char *want)
{
	__u64 before[HG_CHANNELS_MAX] = { HG_OUTSIDE_ID };
	__u8 number[HG_PROFILE_CHANNELS_MAX] = { 0 };
	char got[HG_CHANNELS_MAX + 1] = "";

	for (size_t i = 0; old[i]; i++) {
		const char one[2] = { old[i] };

		letters(one);
		before[i + 1] = old[i] == '.' ? 0 : hg_profile_id(&p, &p.channels[0]);
	}
	letters(new);
	ok(!hg_profile_place(&p, *old ? before : NULL, number), "placed");
	for (size_t i = 0; i < p.n_channels; i++)
		got[i] = (char)('0' + number[i]);
	if (!ok(!strcmp(got, want), "%s after %s: %s", new, *old ? old : "nothing", want))
		printf("# got %s\n", got);
}

static void full(void)
{
	__u64 before[HG_CHANNELS_MAX] = { HG_OUTSIDE_ID };
	__u8 number[HG_PROFILE_CHANNELS_MAX];
	bool seen[HG_CHANNELS_MAX] = { false };
	int kept = 0, twice = 0;

	hg_profile_init(&p);
	for (int i = 0; i < HG_PROFILE_CHANNELS_MAX; i++) {
		char name[8];

		snprintf(name, sizeof(name), "c%d", i);
		hg_profile_add_channel(&p, name);
		hg_profile_add_remote(&p);
		before[HG_PROFILE_CHANNELS_MAX - i] = hg_profile_id(&p, &p.channels[i]);
	}
	p.channels[5].proto = 1;
	p.channels[62].proto = 1;
	ok(!hg_profile_place(&p, before, number), "63 channels over 63, of which two have changed");
	for (int i = 0; i < HG_PROFILE_CHANNELS_MAX; i++) {
		kept += number[i] == HG_PROFILE_CHANNELS_MAX - i;
		twice += number[i] == 0 || seen[number[i]];
		seen[number[i]] = true;
	}
	ok(kept >= 61 && !twice, "61 keep their numbers, and none is given twice");
}

int main(void)
{
	rules();
	bounds();
	ids();
	placed("", "abc", "123");
	placed("abc", "abc", "123");
	placed("abc", "cab", "312");
	placed("abc", "ac", "13");
	placed("abc", "xabc", "4123");
	placed("a.c", "ca", "31");
	placed("a.c", "abc", "123");
	placed("abc", "aBc", "143");
	placed("abc", "Abc", "423");
	placed(".b", "ab", "12");
	full();
	return tap_done();
}
