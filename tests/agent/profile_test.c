// SPDX-License-Identifier: MIT
/* Profile: what a good one becomes, and that each way to be wrong is named with its place. */
#include "../tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include "../../userspace/profile.h"

static struct hg_profile p;

#define ENV "\"envelope\":{\"packets\":10,\"bytes\":1000,\"flows\":2,\"failed\":1}"
#define HEAD "{\"model\":\"m\",\"firmware\":\"1\",\"channels\":["
#define CH(more) HEAD "{\"name\":\"a\"," more "}]}"

static void good(void)
{
	static const char text[] =
		"{\"model\":\"cam\",\"firmware\":\"2.1\",\"margin_percent\":150,\"channels\":["
		"{\"name\":\"web\",\"proto\":\"tcp\",\"ports\":[443,\"8000-8010\"],"
		"\"remote\":[\"192.0.2.0/24\",\"2001:db8::/32\",\"mirror\"]," ENV "},"
		"{\"name\":\"lan\",\"proto\":\"udp\",\"remote\":\"local\",\"answers\":false," ENV
		"}]}";
	char err[256] = "";
	const struct hg_rule *r = p.rules;

	ok(!hg_profile_parse(text, strlen(text), &p, err, sizeof(err)), "a good profile is read %s",
	   err);
	is_int((long long)p.n_channels, 3, "two channels and the outside");
	is_int((long long)p.n_rules, 7, "two ranges times three remotes, and one");
	is_int((long long)p.channels[1].bounds.packets, 15,
	       "bounds are the envelope with its margin");
	is_int(p.channels[2].bounds.walk_limit, 0, "no walk where no answers are expected");
	ok(p.channels[0].bounds.walk_up > p.channels[1].bounds.walk_up, "outside weighs more");
	ok(r[0].channel == 1 && r[0].proto == IPPROTO_TCP && r[0].port_min == 443 &&
		   r[0].port_max == 443 && r[0].flags == HG_RULE_PREFIX && r[0].prefix_len == 120 &&
		   r[0].addr.a[2] == htonl(0xffff) && r[0].addr.a[3] == htonl(0xc0000200),
	   "an IPv4 prefix is mapped");
	ok(r[2].prefix_len == 32 && r[2].addr.a[0] == htonl(0x20010db8), "an IPv6 prefix");
	ok(r[5].peer_roles == HG_PEER_MIRROR && !r[5].flags && r[5].port_max == 8010, "a role");
	ok(r[6].flags == HG_RULE_LOCAL && r[6].port_min == 0 && r[6].port_max == 65535,
	   "local, any port");
}

static void bad(void)
{
	static const struct {
		const char *text, *place;
	} cases[] = {
		{ "{", "line 1" },
		{ "[]", "$: must be an object" },
		{ "{\"model\":\"m\",\"model\":\"n\"}", "duplicate" },
		{ "{\"modell\":\"m\"}", "unknown key 'modell'" },
		{ "{\"firmware\":\"1\",\"channels\":[]}", "$.model" },
		{ "{\"model\":\"a b\",\"firmware\":\"1\",\"channels\":[]}", "$.model" },
		{ "{\"model\":\"m\",\"firmware\":\"1\"}", "$.channels" },
		{ "{\"model\":\"m\",\"firmware\":\"1\",\"margin_percent\":99,\"channels\":[]}",
		  "$.margin_percent: must be an integer from 100" },
		{ "{\"model\":\"m\",\"firmware\":\"1\",\"outside\":{\"packets\":1},\"channels\":[]}",
		  "$.outside.bytes: is missing" },
		{ CH("\"proto\":\"sctpp\",\"remote\":\"any\"," ENV), "$.channels[0].proto" },
		{ CH("\"proto\":256,\"remote\":\"any\"," ENV), "$.channels[0].proto" },
		{ CH("\"proto\":\"tcp\",\"remote\":\"cloud\"," ENV),
		  "$.channels[0].remote: 'cloud'" },
		{ CH("\"proto\":\"tcp\"," ENV), "$.channels[0].remote: is missing" },
		{ CH("\"proto\":\"tcp\",\"remote\":\"10.0.0.1/8\"," ENV), "host bits" },
		{ CH("\"proto\":\"tcp\",\"remote\":[\"any\",\"10.0.0.0/33\"]," ENV),
		  "$.channels[0].remote[1]" },
		{ CH("\"proto\":\"tcp\",\"remote\":[]," ENV), "$.channels[0].remote" },
		{ CH("\"proto\":\"tcp\",\"ports\":[0],\"remote\":\"any\"," ENV),
		  "$.channels[0].ports[0]" },
		{ CH("\"proto\":\"tcp\",\"ports\":[1,\"9-8\"],\"remote\":\"any\"," ENV),
		  "$.channels[0].ports[1]" },
		{ CH("\"proto\":\"tcp\",\"ports\":[\"1-65536\"],\"remote\":\"any\"," ENV),
		  "$.channels[0].ports[0]" },
		{ CH("\"proto\":\"icmp\",\"ports\":[1],\"remote\":\"any\"," ENV),
		  "$.channels[0].ports: only tcp" },
		{ CH("\"proto\":\"tcp\",\"remote\":\"any\""),
		  "$.channels[0].envelope: is missing" },
		{ CH("\"proto\":\"tcp\",\"remote\":\"any\",\"envelope\":{\"packets\":-1,\"bytes\":1,"
		     "\"flows\":1,\"failed\":1}"),
		  "$.channels[0].envelope.packets" },
		{ CH("\"proto\":\"tcp\",\"remote\":\"any\",\"answers\":1," ENV),
		  "$.channels[0].answers" },
		{ HEAD "{\"name\":\"a\",\"proto\":\"tcp\",\"remote\":\"any\"," ENV "},"
		       "{\"name\":\"a\",\"proto\":\"tcp\",\"remote\":\"any\"," ENV "}]}",
		  "$.channels[1].name: 'a' is taken" },
	};
	char err[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err[0] = '\0';
		ok(hg_profile_parse(cases[i].text, strlen(cases[i].text), &p, err, sizeof(err)) ==
				   -EINVAL &&
			   strstr(err, cases[i].place),
		   "refused: %s", err);
	}
}

static void limits(void)
{
	char *text = malloc(HG_PROFILE_SIZE_MAX + 2), err[256] = "";
	size_t n;

	strcpy(text, HEAD);
	for (int i = 0; i < HG_CHANNELS_MAX; i++)
		sprintf(text + strlen(text),
			"%s{\"name\":\"c%d\",\"proto\":\"tcp\",\"remote\":\"any\"," ENV "}",
			i ? "," : "", i);
	strcat(text, "]}");
	ok(hg_profile_parse(text, strlen(text), &p, err, sizeof(err)) && strstr(err, "at most 63"),
	   "a channel too many: %s", err);

	strcpy(text, HEAD);
	for (int i = 0; i < 5; i++) {
		sprintf(text + strlen(text),
			"%s{\"name\":\"c%d\",\"proto\":\"tcp\",\"remote\":\"any\"," ENV
			",\"ports\":[1",
			i ? "," : "", i);
		for (int k = 2; k <= 30; k++)
			sprintf(text + strlen(text), ",%d", k);
		strcat(text, "]}");
	}
	strcat(text, "]}");
	ok(hg_profile_parse(text, strlen(text), &p, err, sizeof(err)) &&
		   strstr(err, "$.channels[4].remote: one rule too many"),
	   "a rule too many: %s", err);
	n = HG_PROFILE_SIZE_MAX + 1;
	memset(text, ' ', n);
	is_int(hg_profile_parse(text, n, &p, err, sizeof(err)), -EFBIG, "a file too large");
	free(text);
}

int main(void)
{
	const char *top = getenv("HG_TOP");
	char path[4096], err[512] = "";

	good();
	bad();
	limits();
	snprintf(path, sizeof(path), "%s/package/profile.json", top ? top : ".");
	ok(!hg_profile_load(path, &p, err, sizeof(err)), "the sample is good %s", err);
	ok(hg_profile_load("/nonexistent/profile", &p, err, sizeof(err)) == -ENOENT &&
		   strstr(err, "/nonexistent/profile"),
	   "a file that is not there: %s", err);
	return tap_done();
}
