// SPDX-License-Identifier: MIT
/* Networks, lines, rates of lines and the key table. */
#include "../tap.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../collector/keys.h"
#include "../../collector/net.h"
#include "../../collector/rate.h"

static struct hg_net net(const char *text)
{
	struct hg_net n = { 0 };

	if (hg_net_parse(text, &n))
		printf("# cannot parse %s\n", text);
	return n;
}

static void parse(void)
{
	static const char *const good[][2] = {
		{ "192.0.2.1", "192.0.2.1/32" },      { "192.0.2.0/24", "192.0.2.0/24" },
		{ "0.0.0.0/0", "0.0.0.0/0" },	      { "2001:db8::1", "2001:db8::1/128" },
		{ "2001:db8::/32", "2001:db8::/32" },
	};
	static const char *const bad[] = { "",
					   "192.0.2.1/24",
					   "192.0.2.0/33",
					   "192.0.2.0/",
					   "192.0.2",
					   "2001:db8::/129",
					   "192.0.2.0/24x",
					   "/24",
					   "2001:db8::1/64",
					   "192.0.2.0/-1",
					   "1111111111111111111111111111111111111111111111111111" };
	char text[HG_NET_STRLEN];
	struct hg_net n;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		n = net(good[i][0]);
		is_str(hg_net_format(&n, text), good[i][1], good[i][0]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(hg_net_parse(bad[i], &n), "refused: '%.20s'", bad[i]);
}

static bool covers(const char *outer, const char *inner)
{
	struct hg_net o = net(outer), i = net(inner);

	return hg_net_covers(&o, &i);
}

static void cover(void)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
	char text[HG_NET_STRLEN];
	struct hg_net n;

	ok(covers("10.0.0.0/8", "10.1.2.3"), "a network covers its host");
	ok(covers("10.1.2.3", "10.1.2.3"), "a host itself");
	ok(!covers("10.1.2.3", "10.0.0.0/8"), "a host not its network");
	ok(!covers("10.0.0.0/9", "10.128.0.0/16"), "nor another one");
	ok(!covers("0.0.0.0/0", "::/0"), "families do not mix");
	ok(covers("2001:db8::/33", "2001:db8:7fff::/48"), "IPv6 across a byte");
	inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr);
	hg_net_from_sockaddr((struct sockaddr *)&mapped, &n);
	is_str(hg_net_format(&n, text), "192.0.2.1/32", "a mapped address is IPv4");
}

static struct hg_lines *lines_of(const char *text, char *err, size_t size)
{
	char path[] = "/tmp/hg-lines-XXXXXX";
	int fd = mkstemp(path);
	struct hg_lines *l;

	if (write(fd, text, strlen(text)) < 0)
		return NULL;
	close(fd);
	l = hg_lines_load(path, 56, err, size);
	unlink(path);
	return l;
}

static void lines(void)
{
	static const char *const cases[][2] = {
		{ "198.51.100.9", "198.51.100.8/29" },
		{ "198.51.100.16", "198.51.100.16/32" },
		{ "198.51.100.7", "198.51.100.7/32" },
		{ "203.0.113.77", "203.0.113.0/24" },
		{ "2001:db8:1:2::3", "2001:db8:1::/48" },
		{ "2001:db8:2:345::6", "2001:db8:2:300::/56" },
	};
	char err[256] = "", text[HG_NET_STRLEN], rows[600];
	struct hg_lines *l = lines_of("# lines\n203.0.113.0/24\n\n198.51.100.8/29 # business\n"
				      "2001:db8:1::/48\n",
				      err, sizeof(err));

	ok(l != NULL, "a file of lines %s", err);
	for (size_t i = 0; l && i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hg_net a = net(cases[i][0]), line = hg_lines_of(l, &a);

		is_str(hg_net_format(&line, text), cases[i][1], cases[i][0]);
	}
	hg_lines_free(l);
	ok(!lines_of("10.0.0.0/8\n10.1.0.0\n10.2.0.0/33\n", err, sizeof(err)) &&
		   strstr(err, ":3: "),
	   "a wrong one is named: %s", err);
	ok(!lines_of("10.0.0.0/8\n192.0.2.0/24\n10.1.0.0/16\n", err, sizeof(err)) &&
		   strstr(err, "10.0.0.0/8 and 10.1.0.0/16 overlap"),
	   "overlap: %s", err);
	ok(!hg_lines_load("/nonexistent", 64, err, sizeof(err)) && strstr(err, "/nonexistent"),
	   "no file: %s", err);
	ok(!hg_lines_load("/", 64, err, sizeof(err)) && strstr(err, "/: cannot be read"),
	   "a directory: %s", err);
	memset(rows, 'x', sizeof(rows));
	rows[0] = '#';
	snprintf(rows + 500, sizeof(rows) - 500, "\n192.0.2.0/33\n");
	ok(!lines_of(rows, err, sizeof(err)) && strstr(err, ":2: not a prefix"),
	   "a long comment is one row: %s", err);
}

static void rates(void)
{
	struct hg_rates *r = hg_rates_new(64);
	struct hg_net a = net("192.0.2.1"), b = net("192.0.2.2");
	int n = 0;

	for (int i = 0; i < 100; i++)
		n += hg_rates_take(r, &a, 10, 30, 1000);
	is_int(n, 30, "a burst");
	ok(hg_rates_take(r, &b, 10, 30, 1000), "is its own line's");
	n = 0;
	for (int i = 0; i < 100; i++)
		n += hg_rates_take(r, &a, 10, 30, 2000);
	is_int(n, 10, "a second brings the rate");
	n = 0;
	for (int i = 0; i < 100; i++)
		n += hg_rates_take(r, &a, 10, 30, 1000000000);
	is_int(n, 30, "a long time no more than the burst");
	for (unsigned int i = 0; i < 100000; i++) {
		struct hg_net x = { .family = 4, .len = 32 };

		memcpy(x.addr, &i, sizeof(i));
		hg_rates_take(r, &x, 10, 30, 1000000000);
	}
	ok(1, "100,000 lines in 64 places");
	hg_rates_free(r);
}

static void keys(void)
{
	struct hg_keys *k = hg_keys_new(16);
	struct hg_key good = { .state = HG_KEY_GOOD, .key = EVP_EC_gen("P-256") };
	struct hg_key unknown = { .state = HG_KEY_UNKNOWN };
	struct hg_key refused = { .state = HG_KEY_REFUSED };
	uint8_t id[HG_KEY_ID_LEN] = { 0 };
	const struct hg_key *found;
	int n = 0;

	strcpy(good.uid, "dev");
	for (uint8_t i = 0; i < 100; i++) {
		id[0] = i;
		hg_keys_put(k, id, &good, 1000);
		id[0] = 0; /* the first one is asked for all the time */
		hg_keys_find(k, id, 1000);
	}
	id[0] = 0;
	found = hg_keys_find(k, id, 1000);
	ok(found && !strcmp(found->uid, "dev"), "what is used stays");
	n = 0;
	for (id[0] = 0; id[0] < 100; id[0]++)
		n += hg_keys_find(k, id, 1000) != NULL;
	is_int(n, 16, "of a hundred keys sixteen are kept");
	id[0] = 200;
	hg_keys_put(k, id, &unknown, 1000);
	found = hg_keys_find(k, id, 1001);
	ok(found && found->state == HG_KEY_UNKNOWN, "an unknown one is remembered");
	ok(!hg_keys_find(k, id, 1002), "for two seconds");
	hg_keys_put(k, id, &refused, 1000);
	found = hg_keys_find(k, id, 1009);
	ok(found && found->state == HG_KEY_REFUSED, "a refused one is remembered");
	ok(!hg_keys_find(k, id, 1010), "for ten seconds: our clock may have been wrong");
	hg_keys_put(k, id, &good, 1000);
	ok(hg_keys_find(k, id, 1000000), "a good one until its place is needed");
	id[0] = 99;
	hg_keys_drop(k, id);
	ok(!hg_keys_find(k, id, 1000), "one is forgotten");
	hg_keys_clear(k);
	id[0] = 0;
	ok(!hg_keys_find(k, id, 1000), "all are");
	hg_keys_free(k);
	EVP_PKEY_free(good.key);
}

int main(void)
{
	parse();
	cover();
	lines();
	rates();
	keys();
	return tap_done();
}
