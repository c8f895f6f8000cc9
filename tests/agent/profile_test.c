// SPDX-License-Identifier: MIT
/*
 * Profile: what a good one says, that it is written as it was read, that each way to be wrong is
 * named with its place, and what limits there are.
 */
#include "../tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include "../../userspace/profile-text.h"
#include "../../userspace/profile.h"

static struct hg_profile p, q;
static char err[512];

#define ENV "\"envelope\":{\"1\":{\"packets\":10,\"bytes\":1000}}"
#define MF "\"model\":\"m\",\"firmware\":\"1\""
#define HEAD "{" MF ",\"channels\":["
#define CH(more) HEAD "{\"name\":\"a\"," more "}]}"
#define TCP(more) CH("\"proto\":\"tcp\",\"remote\":\"any\"," more)

static int parse(const char *text)
{
	err[0] = '\0';
	return hg_profile_parse(text, strlen(text), &p, err, sizeof(err));
}

/* All that a profile can say, as it is written. */
static const char all[] =
	"{\n"
	"  \"model\": \"cam\",\n"
	"  \"firmware\": \"2.1\",\n"
	"  \"maker\": \"Example-Works\",\n"
	"  \"serial\": 9007199254740991,\n"
	"  \"valid_from\": \"2026-01-01T00:00:00Z\",\n"
	"  \"valid_until\": \"2031-12-31T23:59:59Z\",\n"
	"  \"margin_percent\": 150,\n"
	"  \"outside\": {\"1\": {\"packets\": 5}, \"3600\": {\"new_destinations\": 7}},\n"
	"  \"channels\": [\n"
	"    {\n"
	"      \"name\": \"web\",\n"
	"      \"proto\": \"tcp\",\n"
	"      \"ports\": [443, \"8000-8010\"],\n"
	"      \"remote\": [\"192.0.2.0/24\", \"2001:db8::/32\", \"name:*.example.com\", \"mirror\"],\n"
	"      \"envelope\": {\n"
	"        \"1\": {\"packets\": 1, \"bytes\": 2, \"flows\": 3, \"failed\": 4, "
	"\"destinations\": 5},\n"
	"        \"60\": {\n"
	"          \"packets\": 10,\n"
	"          \"bytes\": 1000000000000,\n"
	"          \"flows\": 12,\n"
	"          \"failed\": 13,\n"
	"          \"destinations\": 14,\n"
	"          \"new_destinations\": 15,\n"
	"          \"ports\": 16,\n"
	"          \"sources\": 17,\n"
	"          \"size_min\": 40,\n"
	"          \"size_max\": 1500\n"
	"        },\n"
	"        \"3600\": {\"bytes\": 0}\n"
	"      },\n"
	"      \"walk\": {\"limit\": 30, \"up\": 2, \"down\": 3},\n"
	"      \"sum\": {\"flows\": {\"rate\": 100, \"limit\": 50}, \"bytes\": {\"rate\": 1, "
	"\"limit\": 0}}\n"
	"    },\n"
	"    {\n"
	"      \"name\": \"ssh\",\n"
	"      \"proto\": \"tcp\",\n"
	"      \"ports\": [22],\n"
	"      \"remote\": \"local\",\n"
	"      \"opener\": \"remote\",\n"
	"      \"envelope\": {}\n"
	"    },\n"
	"    {\"name\": \"gre\", \"proto\": 47, \"remote\": \"198.51.100.7\", \"envelope\": {}, "
	"\"answers\": false}\n"
	"  ]\n"
	"}\n";

static void good(void)
{
	const struct hg_profile_channel *web = &p.channels[0];
	const struct hg_profile_remote *r = p.remotes;
	uint64_t(*most)[HG_ENVELOPE_FEATURES] = p.channels[0].envelope.most;

	ok(!parse(all), "a profile with all there is: read %s", err);
	is_str(p.maker, "Example-Works", "maker");
	ok(p.serial == HG_PROFILE_SERIAL_MAX && p.margin_percent == 150, "serial and margin");
	ok(p.valid_from == 1767225600 && p.valid_until == 1956527999, "validity");
	ok(p.outside.most[HG_WINDOW_SECOND][HG_ENVELOPE_PACKETS] == 5 &&
		   p.outside.most[HG_WINDOW_SECOND][HG_ENVELOPE_BYTES] == HG_PROFILE_UNTESTED &&
		   p.outside.most[HG_WINDOW_HOUR][HG_ENVELOPE_FRESH] == 7,
	   "what is not said of the outside is not tested");
	ok(p.n_channels == 3 && p.n_remotes == 6 && web->n_remotes == 4 && web->n_ports == 2,
	   "channels, remotes and ports");
	ok(r[0].kind == HG_REMOTE_PREFIX && r[0].prefix_len == 120 &&
		   r[0].addr.a[2] == htonl(0xffff) && r[0].addr.a[3] == htonl(0xc0000200),
	   "an IPv4 prefix is mapped");
	ok(r[1].prefix_len == 32 && r[1].addr.a[0] == htonl(0x20010db8), "an IPv6 prefix");
	ok(r[2].kind == HG_REMOTE_NAME && !strcmp(r[2].host, "*.example.com"), "a name");
	ok(r[3].kind == HG_REMOTE_PEER && r[3].role == HG_PEER_MIRROR, "a role");
	ok(web->ports[1].min == 8000 && web->ports[1].max == 8010, "a range");
	ok(most[HG_WINDOW_SECOND][HG_ENVELOPE_FAILED] == 4 &&
		   most[HG_WINDOW_SECOND][HG_ENVELOPE_PORTS] == HG_PROFILE_UNTESTED &&
		   most[HG_WINDOW_MINUTE][HG_ENVELOPE_SIZE_MAX] == 1500 &&
		   !most[HG_WINDOW_HOUR][HG_ENVELOPE_BYTES],
	   "windows");
	ok(web->walk.given && web->walk.limit == 30 && web->sum_flows.limit == 50 &&
		   web->sum_bytes.given && !web->sum_bytes.limit,
	   "walk and sums");
	ok(p.channels[1].remote_opens && !p.channels[1].no_answers && !p.channels[1].walk.given,
	   "the remote may open");
	ok(p.channels[2].proto == 47 && p.channels[2].no_answers && r[5].prefix_len == 128,
	   "a protocol by number, no answers, one address");
	is_int((long long)hg_profile_rules(&p, web), 8, "rules: two ranges times four remotes");
}

static void written(void)
{
	static const char terse[] = "{\"channels\":[{\"remote\":[\"name:A.Example\"],\"proto\":6,"
				    "\"ports\":[\"7-7\"],\"name\":\"a\",\"envelope\":{\"60\":{}},"
				    "\"opener\":\"device\",\"answers\":true,\"sum\":{}}],"
				    "\"margin_percent\":200,\"serial\":0,\"firmware\":\"1\","
				    "\"valid_from\":\"2026-01-01T02:00:00+02:00\",\"model\":\"m\"}";
	static const char line[] = "{\n"
				   "  \"model\": \"m\",\n"
				   "  \"firmware\": \"1\",\n"
				   "  \"valid_from\": \"2026-01-01T00:00:00Z\",\n"
				   "  \"channels\": [\n"
				   "    {\"name\": \"a\", \"proto\": \"tcp\", \"ports\": [7], "
				   "\"remote\": \"name:a.example\", \"envelope\": {}}\n"
				   "  ]\n"
				   "}\n";
	uint8_t cbor[2048], again[2048];
	char *text;
	long n;

	ok(!parse(all), "read again");
	text = hg_profile_write(&p);
	is_str(text, all, "it is written as it was");
	free(text);
	n = hg_profile_encode(&p, cbor, sizeof(cbor));
	ok(n > 0 && !hg_profile_decode(cbor, (size_t)n, &q, err, sizeof(err)) &&
		   !memcmp(&p, &q, sizeof(p)),
	   "its CBOR form, %ld bytes, is read to the same profile", n);
	ok(n > 0 && hg_profile_encode(&q, again, sizeof(again)) == n &&
		   !memcmp(cbor, again, (size_t)n),
	   "and written to the same bytes");
	is_int(hg_profile_encode(&p, cbor, 20), -ENOSPC, "CBOR without room");
	cbor[0] = 0xff;
	ok(hg_profile_decode(cbor, (size_t)n, &q, err, sizeof(err)) == -EINVAL &&
		   strstr(err, "not deterministic CBOR"),
	   "what is no CBOR: %s", err);
	ok(!parse(terse), "a profile in another order, with defaults: read %s", err);
	text = hg_profile_write(&p);
	is_str(text, line, "it is written in the one form");
	free(text);
}

static const struct {
	const char *text, *place;
} wrong[] = {
	{ "{", "line 1" },
	{ "1", "line 1" },
	{ "{} {}", "line 1" },
	{ "[]", "$: must be an object" },
	{ "{\"model\":\"m\",\"model\":\"n\"}", "duplicate" },
	{ "{\"modell\":\"m\"}", "$: unknown key 'modell'; did you mean 'model'?" },
	{ "{\"x\":\"m\"}", "$: unknown key 'x'; see docs/profile.md" },
	{ "{\"firmware\":\"1\",\"channels\":[]}", "$.model: is missing" },
	{ "{\"model\":\"a b\",\"firmware\":\"1\",\"channels\":[]}", "$.model: has a byte" },
	{ "{\"model\":\"\",\"firmware\":\"1\"}", "$.model: must be a string of 1 to 32" },
	{ "{\"model\":\"123456789012345678901234567890123\",\"firmware\":\"1\"}",
	  "$.model: must be a string of 1 to 32" },
	{ "{\"model\":\"m\\u0000\",\"firmware\":\"1\"}", "line 1" },
	{ "{\"model\":\"m\",\"firmware\":1}", "$.firmware: must be a string" },
	{ "{" MF "}", "$.channels: is missing" },
	{ "{" MF ",\"channels\":{}}", "$.channels: must be an array" },
	{ "{" MF ",\"channels\":[7]}", "$.channels[0]: must be an object" },
	{ "{" MF ",\"maker\":\"\",\"channels\":[]}", "$.maker: must be" },
	{ "{" MF ",\"serial\":-1,\"channels\":[]}", "$.serial: must be" },
	{ "{" MF ",\"serial\":9007199254740992,\"channels\":[]}", "$.serial: must be" },
	{ "{" MF ",\"serial\":1.0,\"channels\":[]}", "$.serial: must be an integer" },
	{ "{" MF ",\"valid_from\":\"2026-01-01\",\"channels\":[]}", "$.valid_from: must" },
	{ "{" MF ",\"valid_until\":1,\"channels\":[]}", "$.valid_until: must" },
	{ "{" MF ",\"valid_from\":\"2026-01-01T00:00:00Z\","
	  "\"valid_until\":\"2026-01-01T00:00:00Z\",\"channels\":[]}",
	  "$.valid_until: is not after" },
	{ "{" MF ",\"margin_percent\":99,\"channels\":[]}",
	  "$.margin_percent: must be an integer from 100 to 2000" },
	{ "{" MF ",\"margin_percent\":2001,\"channels\":[]}", "$.margin_percent: must" },
	{ "{" MF ",\"outside\":{\"packets\":1},\"channels\":[]}",
	  "$.outside: unknown key 'packets'" },
	{ "{" MF ",\"outside\":{\"1\":{\"packet\":1}},\"channels\":[]}",
	  "$.outside.1: unknown key 'packet'; did you mean 'packets'?" },
	{ "{" MF ",\"outside\":[],\"channels\":[]}", "$.outside: must be an object" },
	{ "{" MF ",\"outside\":{\"1\":[]},\"channels\":[]}", "$.outside.1: must be" },
	{ CH("\"nme\":1"), "$.channels[0]: unknown key 'nme'; did you mean 'name'?" },
	{ HEAD "{}]}", "$.channels[0].name: is missing" },
	{ HEAD "{\"name\":\"outside\"}]}", "$.channels[0].name: 'outside' is what" },
	{ CH("\"remote\":\"any\"," ENV), "$.channels[0].proto: must be" },
	{ CH("\"proto\":\"sctpp\",\"remote\":\"any\"," ENV), "$.channels[0].proto" },
	{ CH("\"proto\":256,\"remote\":\"any\"," ENV), "$.channels[0].proto" },
	{ CH("\"proto\":0,\"remote\":\"any\"," ENV), "$.channels[0].proto" },
	{ CH("\"proto\":\"tcp\",\"remote\":\"cloud\"," ENV), "$.channels[0].remote: 'cloud'" },
	{ CH("\"proto\":\"tcp\",\"remote\":7," ENV), "$.channels[0].remote: must be a" },
	{ CH("\"proto\":\"tcp\"," ENV), "$.channels[0].remote: is missing" },
	{ CH("\"proto\":\"tcp\",\"remote\":\"10.0.0.1/8\"," ENV), "host bits" },
	{ CH("\"proto\":\"tcp\",\"remote\":[\"any\",\"10.0.0.0/33\"]," ENV),
	  "$.channels[0].remote[1]" },
	{ CH("\"proto\":\"tcp\",\"remote\":[]," ENV), "$.channels[0].remote" },
	{ CH("\"proto\":\"tcp\",\"remote\":[\"name:a..b\"]," ENV),
	  "$.channels[0].remote[0]: 'name:a..b' is not name:" },
	{ TCP("\"ports\":[0]," ENV), "$.channels[0].ports[0]" },
	{ TCP("\"ports\":[1,\"9-8\"]," ENV), "$.channels[0].ports[1]" },
	{ TCP("\"ports\":[\"1-65536\"]," ENV), "$.channels[0].ports[0]" },
	{ TCP("\"ports\":[]," ENV), "$.channels[0].ports: must be an array of 1 to 32" },
	{ TCP("\"ports\":443," ENV), "$.channels[0].ports: must be an array" },
	{ CH("\"proto\":\"icmp\",\"ports\":[1],\"remote\":\"any\"," ENV),
	  "$.channels[0].ports: only tcp" },
	{ TCP("\"opener\":\"peer\"," ENV),
	  "$.channels[0].opener: must be \"device\" or \"remote\"" },
	{ TCP("\"opener\":1," ENV), "$.channels[0].opener: must be" },
	{ TCP("\"answers\":true"), "$.channels[0].envelope: is missing" },
	{ TCP("\"envelope\":{\"10\":{}}"), "$.channels[0].envelope: unknown key '10'" },
	{ TCP("\"envelope\":{\"1\":{\"packets\":-1}}"),
	  "$.channels[0].envelope.1.packets: must be an integer from 0 to 1000000000" },
	{ TCP("\"envelope\":{\"60\":{\"packets\":1000000001}}"),
	  "$.channels[0].envelope.60.packets" },
	{ TCP("\"envelope\":{\"3600\":{\"bytes\":1000000000001}}"),
	  "$.channels[0].envelope.3600.bytes" },
	{ TCP("\"envelope\":{\"3600\":{\"bytes\":null}}"),
	  "$.channels[0].envelope.3600.bytes: must be" },
	{ TCP("\"envelope\":{\"1\":{\"size_min\":40}}"),
	  "$.channels[0].envelope.1: 'size_min' is only tested in the window \"60\"" },
	{ TCP("\"envelope\":{\"60\":{\"size_max\":65535}}"), "$.channels[0].envelope.60.size_max" },
	{ TCP("\"envelope\":{\"60\":{\"size_min\":9,\"size_max\":8}}"),
	  "$.channels[0].envelope.60: size_min is over size_max" },
	{ TCP("\"answers\":1," ENV), "$.channels[0].answers" },
	{ TCP("\"walk\":1," ENV), "$.channels[0].walk: must be an object" },
	{ TCP("\"walk\":{\"limit\":20,\"up\":1}," ENV),
	  "$.channels[0].walk.down: is missing; it is an integer from 0" },
	{ TCP("\"walk\":{\"limit\":20,\"up\":0,\"down\":1}," ENV), "$.channels[0].walk.up" },
	{ TCP("\"sum\":{\"flow\":{}}," ENV), "$.channels[0].sum: unknown key 'flow'" },
	{ TCP("\"sum\":{\"flows\":{\"rate\":1}}," ENV),
	  "$.channels[0].sum.flows.limit: is missing" },
	{ TCP("\"sum\":{\"bytes\":{\"rate\":-1,\"limit\":1}}," ENV),
	  "$.channels[0].sum.bytes.rate: must be" },
	{ HEAD "{\"name\":\"a\",\"proto\":\"tcp\",\"remote\":\"any\"," ENV "},"
	       "{\"name\":\"a\",\"proto\":\"tcp\",\"remote\":\"any\"," ENV "}]}",
	  "$.channels[1].name: 'a' is taken" },
};

static void bad(void)
{
	memset(&p, 0x55, sizeof(p));
	q = p;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int ret = parse(wrong[i].text);

		ok(ret == -EINVAL && strstr(err, wrong[i].place) && !memcmp(&p, &q, sizeof(p)),
		   "refused: %s", err);
	}
}

/* What is taken, and what it is written as; NULL: it is refused. */
static void texts(void)
{
	static const struct {
		const char *text, *written;
	} remotes[] = {
		{ "any", "any" },
		{ "dhcp", "dhcp" },
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "::/0", "::/0" },
		{ "2001:DB8:0::1", "2001:db8::1" },
		{ "::ffff:192.0.2.0/120", "192.0.2.0/24" },
		{ "name:Host.Example", "name:host.example" },
		{ "name:*.a_b.example", "name:*.a_b.example" },
		{ "name:router", "name:router" },
		{ "name:a--b.example", "name:a--b.example" },
		{ "", NULL },
		{ "ANY", NULL },
		{ "192.0.2.1/", NULL },
		{ "192.0.2.1/033", NULL },
		{ "192.0.2.1/+2", NULL },
		{ "192.0.2", NULL },
		{ "2001:db8::/129", NULL },
		{ "2001:db8::1/64", NULL },
		{ "0000:0000:0000:0000:0000:0000:255.255.255.255:0000", NULL },
		{ "name:", NULL },
		{ "name:.", NULL },
		{ "name:a.", NULL },
		{ "name:.a", NULL },
		{ "name:-a.b-", "name:-a.b-" },
		{ "name:*", NULL },
		{ "name:*.", NULL },
		{ "name:*.*.a", NULL },
		{ "name:a.*.b", NULL },
		{ "name:a b", NULL },
		{ "name:1234567890123456789012345678901234567890123456789012345678901234", NULL },
	};
	static const struct {
		const char *text;
		int64_t time;
	} times[] = {
		{ "1971-01-01T00:00:00Z", 31536000 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "2028-02-29T12:30:15+05:30", 1835420415 },
		{ "2028-02-29T12:30:15-05:30", 1835460015 },
		{ "1970-12-31T23:59:59Z", -1 },
		{ "9999-12-31T23:59:59-00:01", -1 },
		{ "2027-02-29T00:00:00Z", -1 },
		{ "2026-13-01T00:00:00Z", -1 },
		{ "2026-01-01T24:00:00Z", -1 },
		{ "2026-01-01T00:00:60Z", -1 },
		{ "2026-01-01T00:00:00.5Z", -1 },
		{ "2026-01-01T00:00:00+24:00", -1 },
		{ "2026-01-01T00:00:00", -1 },
		{ "2026-01-01 00:00:00Z", -1 },
		{ "2026-01-01T00:00:00Zx", -1 },
		{ "", -1 },
	};
	char out[HG_REMOTE_TEXT_MAX], long_name[300] = "name:";
	struct hg_profile_remote r;

	for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++) {
		int ret = hg_remote_read(remotes[i].text, &r);

		ok(remotes[i].written
			   ? !ret && !strcmp(hg_remote_write(&r, out), remotes[i].written)
			   : ret < 0,
		   "remote '%s' %s", remotes[i].text,
		   remotes[i].written ? remotes[i].written : "is refused");
	}
	for (int i = 0; i < 127; i++)
		strcat(long_name, i < 126 ? "a." : "a");
	ok(!hg_remote_read(long_name, &r), "a name of 253 bytes");
	strcat(long_name, "b");
	ok(hg_remote_read(long_name, &r) == -EINVAL, "a name of 254 bytes is refused");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		is_int(hg_time_read(times[i].text), times[i].time, times[i].text);
}

/* n channels of some ports and remotes each. */
static char *many(int n, int ports, int remotes, bool names)
{
	char *text = malloc(HG_PROFILE_SIZE_MAX + 2);
	int at = sprintf(text, HEAD);

	for (int i = 0; i < n; i++) {
		at += sprintf(text + at, "%s{\"name\":\"c%d\",\"proto\":\"tcp\"," ENV, i ? "," : "",
			      i);
		for (int k = 0; k < ports; k++)
			at += sprintf(text + at, "%s%d", k ? "," : ",\"ports\":[", k + 1);
		for (int k = 0; k < remotes; k++)
			at += sprintf(text + at,
				      names ? "%s\"name:n%d-%d.example\"" : "%s\"10.%d.%d.0\"",
				      k	      ? ","
				      : ports ? "],\"remote\":["
					      : ",\"remote\":[",
				      i, k);
		at += sprintf(text + at, "]}");
	}
	sprintf(text + at, "]}");
	return text;
}

static void limits(void)
{
	static const struct {
		int channels, ports, remotes;
		bool names;
		const char *error; /* NULL: good */
	} cases[] = {
		{ 63, 0, 1, false, NULL },
		{ 64, 0, 1, false, "$.channels: has 64 channels; at most 63" },
		{ 4, 32, 1, false, NULL },
		{ 5, 32, 1, false, "$.channels[4].remote[0]: one rule too many" },
		{ 1, 33, 1, false, "$.channels[0].ports: must be an array of 1 to 32" },
		{ 1, 0, 33, false, "$.channels[0].remote: must be one remote or an array of 1 to" },
		{ 4, 0, 32, false, NULL },
		{ 5, 0, 26, false, "$.channels[4].remote[24]: one rule too many" },
		{ 8, 16, 32, true, NULL },
		{ 9, 0, 29, true, "$.channels[8].remote[24]: one remote too many" },
	};
	char *text;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret;

		text = many(cases[i].channels, cases[i].ports, cases[i].remotes, cases[i].names);
		ret = parse(text);
		ok(cases[i].error ? ret == -EINVAL && strstr(err, cases[i].error) : !ret,
		   "%d channels, %d ports, %d remotes: %s", cases[i].channels, cases[i].ports,
		   cases[i].remotes, ret ? err : "good");
		free(text);
	}
	text = malloc(HG_PROFILE_SIZE_MAX + 1);
	memset(text, ' ', HG_PROFILE_SIZE_MAX + 1);
	is_int(hg_profile_parse(text, HG_PROFILE_SIZE_MAX + 1, &p, err, sizeof(err)), -EFBIG,
	       "a file too large");
	is_int(hg_profile_decode(text, HG_PROFILE_CBOR_MAX + 1, &p, err, sizeof(err)), -EFBIG,
	       "a CBOR form too large");
	free(text);
}

/* What others build with: it writes what reads back, and stops at the limits. */
static void built(void)
{
	char *text;
	int n = 0;

	hg_profile_init(&p);
	strcpy(p.model, "m");
	strcpy(p.firmware, "1");
	while (hg_profile_add_channel(&p, "x"))
		n++;
	is_int(n, 63, "channels that can be added");
	p.n_channels = 0;
	hg_profile_add_channel(&p, "a")->proto = IPPROTO_UDP;
	for (n = 0; hg_profile_add_ports(&p, 1000, (uint16_t)(1000 + n)); n++)
		;
	is_int(n, 32, "ranges");
	p.channels[0].n_ports = 1;
	for (n = 0; hg_profile_add_remote(&p); n++)
		;
	is_int(n, 32, "remotes");
	p.channels[0].n_remotes = 1;
	text = hg_profile_write(&p);
	ok(text && !hg_profile_parse(text, strlen(text), &q, err, sizeof(err)),
	   "what was built is read %s", err);
	ok(q.channels[0].ports[0].max == 1000 && q.remotes[0].kind == HG_REMOTE_ANY,
	   "and is the same");
	free(text);
}

static void sample(void)
{
	const char *top = getenv("HG_TOP");
	char path[4096], *text, have[8192] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/package/profile.json", top ? top : ".");
	ok(!hg_profile_load(path, &p, err, sizeof(err)), "the sample is good %s", err);
	f = fopen(path, "re");
	ok(f && fread(have, 1, sizeof(have) - 1, f) > 0, "its text");
	if (f)
		fclose(f);
	text = hg_profile_write(&p);
	is_str(text, have, "stands as it is written");
	free(text);
	ok(hg_profile_load("/nonexistent/profile", &p, err, sizeof(err)) == -ENOENT &&
		   strstr(err, "/nonexistent/profile"),
	   "a file that is not there: %s", err);
	ok(hg_profile_load("/", &p, err, sizeof(err)) && strstr(err, "/: cannot be read: "),
	   "a directory: %s", err);
}

int main(void)
{
	good();
	written();
	bad();
	texts();
	limits();
	built();
	sample();
	return tap_done();
}
