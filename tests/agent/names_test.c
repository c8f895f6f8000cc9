// SPDX-License-Identifier: MIT
/*
 * The table of names: patterns, union, life and grace, what makes room for what; and a long run of
 * random answers, expiries and profiles against a plain list that does the same slowly.
 */
#include "../tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include "../../userspace/names.h"

static unsigned int n_told;
static struct {
	struct hg_addr addr;
	struct hg_bound bound;
} told[4096];

static void changed(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	if (n_told < sizeof(told) / sizeof(*told)) {
		told[n_told].addr = *addr;
		told[n_told].bound = *bound;
	}
	n_told++;
}

static struct hg_addr addr_of(const char *text)
{
	struct hg_addr a = { .a[2] = htonl(0xffff) };

	if (inet_pton(AF_INET, text, &a.a[3]) != 1)
		inet_pton(AF_INET6, text, &a);
	return a;
}

static struct hg_dns_answer answer_of(const char *name, const char *addr, uint32_t ttl_s)
{
	struct hg_dns_answer a = { .n = 1 };

	snprintf(a.question.name, sizeof(a.question.name), "%s", name);
	a.addresses[0].addr = addr_of(addr);
	a.addresses[0].ttl_s = ttl_s;
	return a;
}

static int answer(struct hg_names *n, const char *name, const char *addr, uint32_t ttl_s,
		  uint64_t now_s)
{
	struct hg_dns_answer a = answer_of(name, addr, ttl_s);

	return hg_names_answer(n, &a, now_s);
}

static __u64 channels(const struct hg_names *n, const char *text)
{
	struct hg_addr a = addr_of(text);

	return hg_names_bound(n, &a).channels;
}

static __u32 flags(const struct hg_names *n, const char *text)
{
	struct hg_addr a = addr_of(text);

	return hg_names_bound(n, &a).flags;
}

static void check_patterns(void)
{
	static const char *const good[] = {
		"a", "a.b", "*.a", "*.example.com", "_x._tcp.a-b.c0", "EXAMPLE.Com"
	};
	static const char *const bad[] = { "",	  ".",	 "a.",	 ".a",	       "a..b",
					   "*",	  "*.",	 "*a.b", "a.*.b",      "*.*.a",
					   "a b", "a/b", "*..a", "a\xc3\xa4.b" };
	char name[HG_DNS_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		ok(hg_names_pattern_ok(good[i]), "'%s' is a pattern", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(!hg_names_pattern_ok(bad[i]), "'%s' is none", bad[i]);
	memset(name, 'x', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[HG_DNS_NAME_MAX + 1] = '\0';
	ok(!hg_names_pattern_ok(name), "254 bytes are too many");
	name[HG_DNS_NAME_MAX] = '\0';
	ok(hg_names_pattern_ok(name), "253 are not");
	name[63] = 'x';
	ok(!hg_names_pattern_ok(name), "a label of more than 63 is none");
}

static void check_match(void)
{
	const struct hg_names_pattern p[] = {
		{ "Host.Example.com", 1 << 1 },
		{ "*.example.com", 1 << 2 },
		{ "*.ple.com", 1 << 3 },
		{ "other.test", 1ull << 63 },
	};
	struct hg_names *n = hg_names_new(64, changed, NULL);
	struct hg_addr a;

	n_told = 0;
	is_int(hg_names_set(n, p, 4), 0, "patterns of a profile");
	is_int(answer(n, "host.example.com", "192.0.2.1", 100, 0), 1, "a name of it gains");
	is_int((long long)channels(n, "192.0.2.1"), 1 << 1 | 1 << 2, "two patterns, two channels");
	is_int(answer(n, "host.example.com", "192.0.2.1", 100, 1), 0, "and nothing again");
	is_int(n_told, 1, "told once");
	answer(n, "example.com", "192.0.2.2", 100, 0);
	is_int((long long)channels(n, "192.0.2.2"), 0, "*.example.com is not example.com");
	is_int(flags(n, "192.0.2.2"), HG_BOUND_NAMED, "but the address has a name");
	is_int(flags(n, "192.0.2.3"), 0, "and another has none");
	answer(n, "badexample.com", "192.0.2.3", 100, 0);
	is_int((long long)channels(n, "192.0.2.3"), 0, "nor badexample.com");
	answer(n, "x.y.example.com", "2001:db8::1", 100, 0);
	is_int((long long)channels(n, "2001:db8::1"), 1 << 2, "names below names are");
	answer(n, "other.test", "2001:db8::1", 100, 0);
	ok(channels(n, "2001:db8::1") == (1ull << 63 | 1 << 2), "two names, the union");
	a = addr_of("192.0.2.2");
	is_str(hg_names_name(n, &a), "example.com", "the name of an address");
	answer(n, "cdn.other", "192.0.2.1", 100, 0);
	a = addr_of("192.0.2.1");
	is_str(hg_names_name(n, &a), "host.example.com", "rather one of the profile's");
	a = addr_of("192.0.2.99");
	ok(!hg_names_name(n, &a), "no name");
	hg_names_free(n);
	hg_names_free(NULL);
}

static void check_profiles(void)
{
	const struct hg_names_pattern one[] = { { "a.test", 2 } };
	const struct hg_names_pattern two[] = { { "a.test", 4 }, { "*.test", 8 } };
	const struct hg_names_pattern wrong[] = { { "a.test", 16 }, { "a..test", 16 } };
	struct hg_names *n = hg_names_new(64, changed, NULL);

	hg_names_set(n, one, 1);
	answer(n, "a.test", "192.0.2.1", 100, 0);
	answer(n, "b.test", "192.0.2.1", 100, 0);
	answer(n, "b.test", "192.0.2.2", 100, 0);
	answer(n, "c.other", "192.0.2.3", 100, 0);
	n_told = 0;
	is_int(hg_names_set(n, two, 2), 2, "another profile: two addresses gain");
	is_int(n_told, 2, "each told once");
	is_int((long long)channels(n, "192.0.2.1"), 12, "bound anew");
	is_int((long long)channels(n, "192.0.2.2"), 8, "and what was outside");
	is_int(hg_names_set(n, wrong, 2), -EINVAL, "a wrong one is refused");
	is_int((long long)channels(n, "192.0.2.1"), 12, "and nothing changed");
	answer(n, "d.test", "192.0.2.4", 100, 0);
	is_int((long long)channels(n, "192.0.2.4"), 8, "also not for later names");
	is_int(hg_names_set(n, NULL, 0), 0, "no profile");
	is_int((long long)channels(n, "192.0.2.1"), 0, "no channels");
	is_int(flags(n, "192.0.2.1"), HG_BOUND_NAMED, "but names");
	hg_names_free(n);
}

static void check_life(void)
{
	const struct hg_names_pattern p[] = { { "*.test", 2 } };
	struct hg_names *n = hg_names_new(64, changed, NULL);
	struct hg_addr a = addr_of("192.0.2.1");
	uint64_t end;

	hg_names_set(n, p, 1);
	answer(n, "a.test", "192.0.2.1", 300, 1000);
	answer(n, "out.side", "192.0.2.2", 60, 1000);
	answer(n, "a.test", "192.0.2.1", 100, 1010);
	end = 1300 + HG_NAMES_GRACE;
	n_told = 0;
	hg_names_expire(n, end - 1);
	ok(channels(n, "192.0.2.1") && !flags(n, "192.0.2.2"),
	   "bound until its longest life and grace are over");
	ok(!hg_names_is_due(n, end - 1) && hg_names_is_due(n, end), "due then");
	hg_names_use(n, &a, end);
	ok(!hg_names_is_due(n, end), "not while a flow is alive");
	hg_names_expire(n, end + HG_NAMES_GRACE - 1);
	is_int((long long)channels(n, "192.0.2.1"), 2, "nor a grace time after it");
	n_told = 0;
	hg_names_expire(n, end + HG_NAMES_GRACE);
	is_int(n_told, 1, "its end is told");
	ok(!told[0].bound.channels && !told[0].bound.flags && !memcmp(&told[0].addr, &a, sizeof(a)),
	   "as nothing at all");
	is_int(answer(n, "a.test", "192.0.2.1", 300, end * 2), 1, "and it can come again");
	hg_names_use(n, &a, 5);
	hg_names_expire(n, end * 2 + 300 + HG_NAMES_GRACE - 1);
	is_int((long long)channels(n, "192.0.2.1"), 2, "use does not shorten a life");
	hg_names_free(n);
}

static void count_pair(void *ctx, const char *name, const struct hg_addr *addr, uint64_t expires_s,
		       __u64 in)
{
	*(size_t *)ctx += 1;
}

/* A table of 32: who gets in, who goes. */
static void check_room(void)
{
	const struct hg_names_pattern p[] = { { "*.test", 2 } };
	struct hg_names *n = hg_names_new(32, changed, NULL);
	struct hg_names_stats st;
	char text[32];
	size_t pairs = 0;

	hg_names_set(n, p, 1);
	answer(n, "a.test", "198.51.100.1", 60, 0);
	for (int i = 1; i <= 100; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		answer(n, "out.side", text, (uint32_t)(1000 + i), 0);
	}
	hg_names_stats(n, &st);
	is_int((long long)st.pairs, 32, "no more than its limit");
	is_int((long long)st.evicted, 69, "the others are counted");
	is_int((long long)channels(n, "198.51.100.1"), 2,
	       "the profile's stays, short-lived as it is");
	ok(!flags(n, "192.0.2.69") && flags(n, "192.0.2.70"), "who ends first goes");
	for (int i = 1; i <= 31; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i + 1);
		answer(n, "a.test", text, (uint32_t)(100 + i), 0);
	}
	is_int(flags(n, "192.0.2.100"), 0, "names outside the profile make room for its names");
	answer(n, "out.side", "192.0.2.1", 86400, 0);
	hg_names_stats(n, &st);
	is_int((long long)st.refused, 1, "and are refused where all are the profile's");
	ok(!flags(n, "192.0.2.1"), "without a trace");
	n_told = 0;
	is_int(answer(n, "a.test", "198.51.100.99", 70, 0), 1,
	       "the profile's own replace each other");
	is_int(n_told, 2, "which is told");
	is_int((long long)channels(n, "198.51.100.1"), 0, "who ends first goes here, too");
	hg_names_each(n, count_pair, &pairs);
	is_int((long long)pairs, 32, "each pair is listed");
	hg_names_free(n);
	ok(!hg_names_new(HG_DNS_ADDRESSES_MAX - 1, NULL, NULL) && errno == EINVAL,
	   "a table that an answer could flood is refused");
}

static void check_no_servers(void)
{
	static const char *const none[] = { "0.0.0.0",	       "127.0.0.1", "224.0.0.251",
					    "255.255.255.255", "::",	    "::1",
					    "ff02::fb" };
	static const char *const some[] = { "10.0.0.1", "192.168.1.1", "fd00::1", "fe80::1",
					    "::2" };
	const struct hg_names_pattern p[] = { { "*.test", 2 } };
	struct hg_names *n = hg_names_new(64, changed, NULL);
	struct hg_names_stats st;

	hg_names_set(n, p, 1);
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		answer(n, "a.test", none[i], 60, 0);
		ok(!flags(n, none[i]), "%s is not bound", none[i]);
	}
	hg_names_stats(n, &st);
	is_int((long long)st.ignored, sizeof(none) / sizeof(*none), "they are counted");
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++)
		is_int(answer(n, "a.test", some[i], 60, 0), 1, some[i]);
	hg_names_free(n);
}

/* ---- the same, slowly */

#define MODEL_LIMIT 32

static struct model {
	char name[16];
	struct hg_addr addr;
	uint64_t expires_s;
	bool used;
} model[MODEL_LIMIT];

static struct hg_names_pattern pattern[2];

static __u64 model_channels(const char *name)
{
	__u64 c = 0;

	for (int i = 0; i < 2; i++)
		if (pattern[i].name[0] == '*' ? strstr(name, pattern[i].name + 1) != NULL
					      : !strcmp(name, pattern[i].name))
			c |= pattern[i].channels;
	return c;
}

static void model_put(const char *name, const struct hg_addr *addr, uint64_t expires_s)
{
	struct model *to = NULL;

	for (int i = 0; i < MODEL_LIMIT; i++) {
		struct model *m = &model[i];

		if (m->used && !strcmp(m->name, name) && !memcmp(&m->addr, addr, sizeof(*addr))) {
			m->expires_s = expires_s > m->expires_s ? expires_s : m->expires_s;
			return;
		}
	}
	for (int i = 0; i < MODEL_LIMIT; i++) {
		struct model *m = &model[i];
		bool inside = m->used && model_channels(m->name);

		if (inside && !model_channels(name))
			continue;
		if (!to || (to->used && !m->used) ||
		    (to->used && model_channels(to->name) && !inside) ||
		    (to->used && !model_channels(to->name) == !inside &&
		     m->expires_s < to->expires_s))
			to = m;
	}
	if (!to)
		return;
	snprintf(to->name, sizeof(to->name), "%s", name);
	to->addr = *addr;
	to->expires_s = expires_s;
	to->used = true;
}

static bool same_as_model(const struct hg_names *n, struct hg_addr *addrs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct hg_bound b = hg_names_bound(n, &addrs[i]), want = { 0 };

		for (int k = 0; k < MODEL_LIMIT; k++) {
			if (!model[k].used || memcmp(&model[k].addr, &addrs[i], sizeof(*addrs)))
				continue;
			want.channels |= model_channels(model[k].name);
			want.flags |= HG_BOUND_NAMED;
		}
		if (memcmp(&b, &want, sizeof(b)))
			return false;
	}
	return true;
}

/* What was told must add up to what is. */
static struct hg_bound mirror[64];
static struct hg_addr addrs[64];

static void mirror_changed(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	for (size_t i = 0; i < 64; i++)
		if (!memcmp(&addrs[i], addr, sizeof(*addr)))
			mirror[i] = *bound;
}

static bool same_as_told(const struct hg_names *n)
{
	for (size_t i = 0; i < 64; i++) {
		struct hg_bound b = hg_names_bound(n, &addrs[i]);

		if (memcmp(&b, &mirror[i], sizeof(b)))
			return false;
	}
	return true;
}

static uint32_t random_below(uint32_t below)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % below;
}

static const char *const pattern_names[] = { "a0.test", "*.test", "a1.side", "*.side", "b.test" };

static void random_step(struct hg_names *n, uint64_t *now_s)
{
	char name[16];
	struct hg_addr *a = &addrs[random_below(64)];
	/* Lives differ, so that which pair ends first is never a matter of taste. */
	static uint64_t unique;
	uint64_t ends = *now_s * 100000 + ++unique;

	switch (random_below(20)) {
	case 0:
		for (int i = 0; i < 2; i++) {
			pattern[i].name = pattern_names[random_below(5)];
			pattern[i].channels = 1ull << random_below(63);
		}
		hg_names_set(n, pattern, 2);
		break;
	case 1:
		*now_s += random_below(3);
		ends = *now_s * 100000 + HG_NAMES_GRACE;
		hg_names_expire(n, ends);
		for (int i = 0; i < MODEL_LIMIT; i++)
			if (model[i].used && model[i].expires_s + HG_NAMES_GRACE <= ends)
				model[i].used = false;
		break;
	default:
		ends += random_below(3) * 100000ull;
		snprintf(name, sizeof(name), "a%u.%s", random_below(3),
			 random_below(2) ? "test" : "side");
		model_put(name, a, ends);
		hg_names_put(n, name, a, ends);
	}
}

static void check_random(void)
{
	struct hg_names *n = hg_names_new(MODEL_LIMIT, mirror_changed, NULL);
	uint64_t now_s = 1;
	int step;

	for (uint32_t i = 0; i < 64; i++)
		addrs[i] = (struct hg_addr){ .a[0] = htonl(0x20010db8), .a[3] = htonl(i) };
	pattern[0] = (struct hg_names_pattern){ "a0.test", 1 };
	pattern[1] = (struct hg_names_pattern){ "*.side", 2 };
	hg_names_set(n, pattern, 2);
	for (step = 0; step < 100000; step++) {
		random_step(n, &now_s);
		if (!same_as_model(n, addrs, 64) || !same_as_told(n))
			break;
	}
	is_int(step, 100000, "random steps like those of a plain list, and all told");
	hg_names_free(n);
}

int main(void)
{
	check_patterns();
	check_match();
	check_profiles();
	check_life();
	check_room();
	check_no_servers();
	check_random();
	return tap_done();
}
