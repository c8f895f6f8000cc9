// SPDX-License-Identifier: MIT
/*
 * MUD files: what each kind of entry becomes, that each way to be wrong is named with its place,
 * and that what was exported is the same profile again.
 */
#include "../tap.h"
#include <stdlib.h>
#include "../../userspace/mud-acl.h"
#include "../../userspace/profile.h"

#define FROM "\"from-device-policy\":{\"access-lists\":{\"access-list\":[{\"name\":\"fr\"}]}}"
#define TO "\"to-device-policy\":{\"access-lists\":{\"access-list\":[{\"name\":\"to\"}]}}"
#define ACE(name, matches)                                                                         \
	"{\"name\":\"" name "\",\"matches\":{" matches "},\"actions\":{\"forwarding\":\"accept\"}}"
#define DROP(name, matches)                                                                        \
	"{\"name\":\"" name "\",\"matches\":{" matches "},\"actions\":{\"forwarding\":\"drop\"}}"
#define NAMED(which, host, proto)                                                                  \
	"\"ipv4\":{\"ietf-acldns:" which "-dnsname\":\"" host "\",\"protocol\":" proto "}"
#define PORT(l4, side, port)                                                                       \
	"\"" l4 "\":{\"" side "-port\":{\"operator\":\"eq\",\"port\":" port "}}"
#define LOCAL "\"ietf-mud:mud\":{\"local-networks\":[null]}"
#define WHO(node) "\"ietf-mud:mud\":{" node "}"
#define HTTPS_FROM                                                                                 \
	ACE("https-frdev",                                                                         \
	    NAMED("dst", "Cloud.example.", "6") "," PORT("tcp", "destination", "443"))
#define HTTPS_TO                                                                                   \
	ACE("https-todev", NAMED("src", "cloud.example", "6") "," PORT("tcp", "source", "443"))

static const char base[] =
	"{\"ietf-mud:mud\":{\"mud-version\":1,\"mud-url\":\"https://cam.example/v1\","
	"\"last-update\":\"2024-03-01T12:00:00.5+01:00\",\"cache-validity\":168,"
	"\"is-supported\":true,\"systeminfo\":\"A camera\",\"mfg-name\":\"Cams & Co\","
	"\"model-name\":\"Cam 3\",\"firmware-rev\":\"2.1\"," FROM "," TO "},"
	"\"ietf-access-control-list:acls\":{\"acl\":["
	"{\"name\":\"fr\",\"type\":\"ipv4-acl-type\",\"aces\":{\"ace\":[" HTTPS_FROM "]}},"
	"{\"name\":\"to\",\"type\":\"ipv4-acl-type\",\"aces\":{\"ace\":[" HTTPS_TO "]}}]}}";

static const struct hg_mud_import_options plain_import;
static char err[1024];
static json_t *notes;

static json_t *import(const char *text)
{
	json_decref(notes);
	notes = json_array();
	err[0] = '\0';
	if (!text)
		return NULL;
	return hg_mud_import(text, strlen(text), &plain_import, notes, err, sizeof(err));
}

static json_t *export(const json_t *profile, const char *url, bool plain)
{
	const struct hg_mud_export_options o = { url, "2024-03-01T12:00:00Z", plain };

	json_decref(notes);
	notes = json_array();
	err[0] = '\0';
	return hg_mud_export(profile, &o, notes, err, sizeof(err));
}

static bool noted(const char *what)
{
	for (size_t i = 0; i < json_array_size(notes); i++)
		if (strstr(json_string_value(json_array_get(notes, i)), what))
			return true;
	return false;
}

/* `text` with the first `find` replaced; free() it. */
static char *replaced(const char *text, const char *find, const char *by)
{
	const char *at = strstr(text, find);
	size_t size = strlen(text) + strlen(by) + 1;
	char *out = malloc(size);

	if (!at || !out) {
		ok(false, "the test's own text has %s", find);
		exit(1);
	}
	snprintf(out, size, "%.*s%s%s", (int)(at - text), text, by, at + strlen(find));
	return out;
}

/* A file whose lists are these. */
static char *file_of(const char *from, const char *to)
{
	char *a = replaced(base, HTTPS_FROM, from), *b = replaced(a, HTTPS_TO, to);

	free(a);
	return b;
}

/* The channels without those that RFC 8520 grants by default. */
static json_t *channels_of(const json_t *profile)
{
	json_t *list = json_deep_copy(json_object_get(profile, "channels"));

	for (size_t i = json_array_size(list); i-- > 0;)
		if (!strncmp(json_string_value(json_object_get(json_array_get(list, i), "name")),
			     "default-", 8))
			json_array_remove(list, i);
	return list;
}

static void is_json(const json_t *got, const char *want_text, const char *name)
{
	json_t *want = json_loads(want_text, 0, NULL);
	char *text = got ? json_dumps(got, JSON_COMPACT) : NULL;

	if (!ok(want && got && json_equal(got, want), "%s", name))
		printf("# got %s\n# want %s\n# %s\n", text ? text : "nothing", want_text, err);
	free(text);
	json_decref(want);
}

static void header(void)
{
	json_t *p = import(base), *list;

	ok(p, "a file is read %s", err);
	is_str(json_string_value(json_object_get(p, "model")), "Cam-3", "model");
	is_str(json_string_value(json_object_get(p, "firmware")), "2.1", "firmware");
	is_str(json_string_value(json_object_get(p, "maker")), "Cams-Co", "maker");
	ok(noted("$.ietf-mud:mud.model-name: 'Cam 3'"), "a changed name is noted");
	ok(noted("channel 'default-dns'") && noted("channel 'default-ntp'"), "so are the defaults");
	list = json_object_get(p, "channels");
	is_json(list,
		"[{\"name\":\"https\",\"proto\":\"tcp\",\"ports\":[443],"
		"\"remote\":\"name:cloud.example\",\"envelope\":{}},"
		"{\"name\":\"default-dns\",\"proto\":\"udp\",\"ports\":[53],\"remote\":\"dns\","
		"\"envelope\":{}},"
		"{\"name\":\"default-ntp\",\"proto\":\"udp\",\"ports\":[123],\"remote\":\"ntp\","
		"\"envelope\":{}}]",
		"a pair is a channel, and DNS and NTP are permitted");
	json_decref(p);
}

#define CH(name, rest) "{\"name\":\"" name "\"," rest ",\"envelope\":{}}"
#define DUMB(name, rest) "{\"name\":\"" name "\"," rest ",\"envelope\":{},\"answers\":false}"

/* lint: length ok, a table of cases */
static const struct {
	const char *name, *from, *to, *channels, *note;
} cases[] = {
	{ "no answers", HTTPS_FROM, "",
	  "[" DUMB("https",
		   "\"proto\":\"tcp\",\"ports\":[443],\"remote\":\"name:cloud.example\"") "]",
	  NULL },
	{ "answers alone", "", HTTPS_TO, "[]", "acl[1].aces.ace[0]: answers only" },
	{ "the remote opens",
	  ACE("a", LOCAL ",\"ipv4\":{\"protocol\":6}," PORT("tcp", "source", "80")),
	  ACE("b", LOCAL ",\"ipv4\":{\"protocol\":6}," PORT("tcp", "destination", "80")),
	  "[" CH("a",
		 "\"proto\":\"tcp\",\"ports\":[80],\"remote\":\"local\",\"opener\":\"remote\"") "]",
	  NULL },
	{ "direction-initiated stands above ports",
	  ACE("a", "\"tcp\":{\"ietf-mud:direction-initiated\":\"from-device\","
		   "\"source-port\":{\"port\":80}}"),
	  "", "[" DUMB("a", "\"proto\":\"tcp\",\"remote\":\"0.0.0.0/0\"") "]", "device's port" },
	{ "to-device", ACE("a", "\"tcp\":{\"ietf-mud:direction-initiated\":\"to-device\"}"),
	  ACE("b", "\"tcp\":{\"ietf-mud:direction-initiated\":\"to-device\"}"),
	  "[" CH("a", "\"proto\":\"tcp\",\"remote\":\"0.0.0.0/0\",\"opener\":\"remote\"") "]",
	  NULL },
	{ "no port, both ways: both open", ACE("a", LOCAL ",\"udp\":{}"),
	  ACE("b", LOCAL ",\"udp\":{}"),
	  "[" CH("a", "\"proto\":\"udp\",\"remote\":\"local\"") "," CH(
		  "a-2", "\"proto\":\"udp\",\"remote\":\"local\",\"opener\":\"remote\"") "]",
	  NULL },
	{ "sent from a port that nobody may open",
	  ACE("a", LOCAL "," PORT("udp", "source", "5353")), "",
	  "[" DUMB("a", "\"proto\":\"udp\",\"remote\":\"local\"") "]", "device's port" },
	{ "neq is two ranges",
	  ACE("a", "\"udp\":{\"destination-port\":{\"operator\":\"neq\",\"port\":53}}"), "",
	  "[" DUMB(
		  "a",
		  "\"proto\":\"udp\",\"ports\":[\"1-52\",\"54-65535\"],\"remote\":\"0.0.0.0/0\"") "]",
	  NULL },
	{ "lte", ACE("a", "\"udp\":{\"destination-port\":{\"operator\":\"lte\",\"port\":9}}"), "",
	  "[" DUMB("a", "\"proto\":\"udp\",\"ports\":[\"1-9\"],\"remote\":\"0.0.0.0/0\"") "]",
	  NULL },
	{ "gte 0 is any",
	  ACE("a", "\"udp\":{\"destination-port\":{\"operator\":\"gte\",\"port\":0}}"), "",
	  "[" DUMB("a", "\"proto\":\"udp\",\"remote\":\"0.0.0.0/0\"") "]", NULL },
	{ "gt of a draft",
	  ACE("a", "\"udp\":{\"destination-port\":{\"operator\":\"gt\",\"port\":9}}"), "",
	  "[" DUMB("a", "\"proto\":\"udp\",\"ports\":[\"10-65535\"],\"remote\":\"0.0.0.0/0\"") "]",
	  "operator of a draft" },
	{ "a range", ACE("a", "\"udp\":{\"destination-port\":{\"lower-port\":5,\"upper-port\":7}}"),
	  "", "[" DUMB("a", "\"proto\":\"udp\",\"ports\":[\"5-7\"],\"remote\":\"0.0.0.0/0\"") "]",
	  NULL },
	{ "port 0", ACE("a", PORT("udp", "destination", "0")), "", "[]",
	  "port 0 is none; no channel" },
	{ "a network", ACE("a", "\"ipv4\":{\"destination-ipv4-network\":\"192.0.2.77/24\"}"), "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"192.0.2.0/24\"") "]", NULL },
	{ "a group in local networks",
	  ACE("a", LOCAL ",\"ipv4\":{\"destination-ipv4-network\":\"239.255.255.250/32\"}"), "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"239.255.255.250\"") "]", NULL },
	{ "an address for a name", ACE("a", NAMED("dst", "192.0.2.1", "132")), "",
	  "[" DUMB("a", "\"proto\":132,\"remote\":\"192.0.2.1\"") "]", NULL },
	{ "echo", ACE("a", NAMED("dst", "h.example", "1") ",\"icmp\":{\"type\":8,\"code\":0}"),
	  ACE("b", NAMED("src", "h.example", "1") ",\"icmp\":{\"type\":0,\"code\":0}"),
	  "[" CH("a", "\"proto\":\"icmp\",\"remote\":\"name:h.example\"") "]",
	  "matches.icmp: a profile does not test type and code" },
	{ "being asked for an echo", ACE("a", "\"icmp\":{\"type\":0}"),
	  ACE("b", "\"icmp\":{\"type\":8}"),
	  "[" CH("a", "\"proto\":\"icmp\",\"remote\":\"any\",\"opener\":\"remote\"") "]", NULL },
	{ "DNS",
	  ACE("a", WHO("\"controller\":\"urn:ietf:params:mud:dns\"") "," PORT("udp", "destination",
									      "53")),
	  "", "[" DUMB("a", "\"proto\":\"udp\",\"ports\":[53],\"remote\":\"dns\"") "]", NULL },
	{ "a role of ours",
	  ACE("a", WHO("\"controller\":\"https://cam.example/heliograph/mirror\"") ",\"tcp\":{}"),
	  "", "[" DUMB("a", "\"proto\":\"tcp\",\"remote\":\"mirror\"") "]", NULL },
	{ "another's role", ACE("a", WHO("\"controller\":\"https://x.example/heliograph/mirror\"")),
	  "", "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"local\"") "]",
	  "mud.controller: a profile does not know who" },
	{ "my-controller", ACE("a", WHO("\"my-controller\":[null]")), "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"local\"") "]", "my-controller: a profile" },
	{ "same-manufacturer", ACE("a", WHO("\"same-manufacturer\":[null]")), "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"local\"") "]",
	  "same-manufacturer: a profile" },
	{ "manufacturer", ACE("a", WHO("\"manufacturer\":\"x.example\"")), "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"local\"") "]", "manufacturer: a profile" },
	{ "model", ACE("a", WHO("\"model\":\"https://x.example/m\"")), "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"local\"") "]", "model: a profile" },
	{ "a drop", DROP("a", "\"udp\":{}") "," ACE("b", "\"tcp\":{}"), "",
	  "[" DUMB("b", "\"proto\":\"tcp\",\"remote\":\"0.0.0.0/0\"") "]",
	  "this entry takes away" },
	{ "DSCP", ACE("a", "\"ipv4\":{\"dscp\":46},\"udp\":{}"), "",
	  "[" DUMB("a", "\"proto\":\"udp\",\"remote\":\"0.0.0.0/0\"") "]",
	  "matches.ipv4.dscp: a profile does not test this" },
	{ "an unknown node", ACE("a", "\"udp\":{},\"x:y\":{\"z\":[1]}"), "",
	  "[" DUMB("a", "\"proto\":\"udp\",\"remote\":\"0.0.0.0/0\"") "]",
	  "matches.x:y: unknown node" },
	{ "no matches at all", "{\"name\":\"a\",\"actions\":{\"forwarding\":\"accept\"}}", "",
	  "[" DUMB("a", "\"proto\":\"any\",\"remote\":\"0.0.0.0/0\"") "]", NULL },
	{ "names made valid and unique",
	  ACE("to the cloud!", PORT("udp", "destination", "1")) "," ACE(
		  "to-the-cloud",
		  PORT("udp", "destination", "2")) "," ACE("?", PORT("udp", "destination", "3")),
	  "",
	  "[" DUMB("to-the-cloud", "\"proto\":\"udp\",\"ports\":[1],\"remote\":\"0.0.0.0/0\"") "," DUMB(
		  "to-the-cloud-2",
		  "\"proto\":\"udp\",\"ports\":[2],\"remote\":\"0.0.0.0/0\"") "," DUMB("channel",
										       "\"proto\":\"udp\",\"ports\":[3],\"remote\":\"0.0.0.0/0\"") "]",
	  NULL },
	{ "narrow remotes come first",
	  ACE("a", "\"udp\":{}") "," ACE("b", LOCAL ",\"udp\":{}") "," ACE(
		  "c", NAMED("dst", "h.example",
			     "17")) "," ACE("d", "\"ipv4\":{\"protocol\":17,"
						 "\"destination-ipv4-network\":\"192.0.2.1/32\"}"),
	  "",
	  "[" DUMB("d", "\"proto\":\"udp\",\"remote\":\"192.0.2.1\"") "," DUMB("c", "\"proto\":\"udp\",\"remote\":\"name:h.example\"") "," DUMB(
		  "b",
		  "\"proto\":\"udp\",\"remote\":\"local\"") "," DUMB("a",
								     "\"proto\":\"udp\",\"remote\":\"0.0.0.0/0\"") "]",
	  NULL },
};

/* What is exported imports as the same profile, and its lists alone grant the same. */
static void there_and_back(const json_t *profile, const char *name)
{
	const struct hg_mud_import_options lists_only = { .lists_only = true };
	json_t *mud = export(profile, NULL, false), *again, *lists, *mud2, *a, *b;
	char *text = mud ? json_dumps(mud, 0) : NULL;

	if (!ok(text, "%s: is exported %s", name, err))
		return;
	again = import(text);
	ok(again && json_equal(again, profile), "%s: and imported %s", name, err);
	lists = hg_mud_import(text, strlen(text), &lists_only, notes, err, sizeof(err));
	mud2 = lists ? export(lists, NULL, true) : NULL;
	a = hg_mud_entries(mud);
	b = mud2 ? hg_mud_entries(mud2) : NULL;
	ok(b && json_object_size(a) == json_object_size(b), "%s: and by its lists %s", name, err);
	for (void *i = json_object_iter(a); b && i; i = json_object_iter_next(a, i))
		if (!json_object_get(b, json_object_iter_key(i)))
			ok(false, "%s: lost %s", name, json_object_iter_key(i));
	json_decref(a);
	json_decref(b);
	json_decref(mud);
	json_decref(mud2);
	json_decref(again);
	json_decref(lists);
	free(text);
}

static void good(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = file_of(cases[i].from, cases[i].to);
		json_t *p = import(text), *channels = p ? channels_of(p) : NULL;

		is_json(channels, cases[i].channels, cases[i].name);
		if (cases[i].note)
			ok(noted(cases[i].note), "%s: is noted", cases[i].name);
		if (p)
			there_and_back(p, cases[i].name);
		json_decref(channels);
		json_decref(p);
		free(text);
	}
}

#define IN_FROM "$.ietf-access-control-list:acls.acl[0].aces.ace[0]."

/* lint: length ok, a table of cases */
static void bad(void)
{
	static const struct {
		const char *find, *by, *place;
	} wrong[] = {
		{ "{\"ietf-mud", "", "line 1" },
		{ "\"mud-version\":1", "\"mud-version\":1,\"mud-version\":1", "duplicate" },
		{ "ietf-mud:mud", "mud", "$.ietf-mud:mud: is missing" },
		{ "\"mud-version\":1,", "", "$.ietf-mud:mud.mud-version: is missing" },
		{ "\"mud-version\":1", "\"mud-version\":2", "$.ietf-mud:mud.mud-version: must be" },
		{ "\"mud-version\":1", "\"mud-version\":\"1\"",
		  "$.ietf-mud:mud.mud-version: must" },
		{ "https://cam.example/v1", "http://cam.example/v1",
		  "$.ietf-mud:mud.mud-url: must begin with https" },
		{ "cam.example/v1", "/v1", "$.ietf-mud:mud.mud-url: must have a host" },
		{ "cam.example/v1", "cam example", "$.ietf-mud:mud.mud-url: has a byte" },
		{ "2024-03-01T", "2024-13-01T", "$.ietf-mud:mud.last-update: must be a date" },
		{ "2024-03-01T12:00:00.5+01:00", "2024-03-01", "$.ietf-mud:mud.last-update: must" },
		{ ":168", ":169", "$.ietf-mud:mud.cache-validity: must be an integer from 1 to" },
		{ "\"is-supported\":true,", "", "$.ietf-mud:mud.is-supported: is missing" },
		{ ":true", ":1", "$.ietf-mud:mud.is-supported: must be true or false" },
		{ "\"A camera\"", "[]", "$.ietf-mud:mud.systeminfo: must be a string" },
		{ FROM, "\"extensions\":\"qos\"", "$.ietf-mud:mud.extensions: must be an array" },
		{ FROM, "\"extensions\":[\"a\",\"a\"]",
		  "$.ietf-mud:mud.extensions[1]: 'a' is there" },
		{ FROM, "\"from-device-policy\":[]", "$.ietf-mud:mud.from-device-policy: must be" },
		{ "\"name\":\"fr\"}]", "\"name\":\"x\"}]",
		  "$.ietf-mud:mud.from-device-policy.access-lists.access-list[0].name: names ACL "
		  "'x' that is not defined" },
		{ "\"name\":\"fr\"}]", "\"name\":\"fr\"},{\"name\":\"fr\"}]",
		  "from-device-policy.access-lists.access-list[1].name: 'fr' is there twice" },
		{ "ietf-access-control-list:acls", "acls", "$.ietf-access-control-list:acls: is" },
		{ "\"ietf-access-control-list:acls\"",
		  "\"ietf-access-control-list:access-lists\":{},\"ietf-access-control-list:acls\"",
		  "$.ietf-access-control-list:access-lists: stands beside" },
		{ "{\"name\":\"to\",\"type\"", "{\"name\":\"fr\",\"type\"",
		  "$.ietf-access-control-list:acls.acl[1].name: 'fr' is taken" },
		{ "ipv4-acl-type", "ip-acl-type", "acl[0].type: 'ip-acl-type' is no type" },
		{ "ipv4-acl-type", "ipv6-acl-type", IN_FROM "matches.ipv4: is not for a list" },
		{ "\"aces\":{\"ace\"", "\"aces\":{\"a\"", "acl[0].aces.ace: is missing" },
		{ HTTPS_FROM, "7", "acl[0].aces.ace[0]: must be an object" },
		{ HTTPS_FROM, HTTPS_FROM "," HTTPS_FROM, "ace[1].name: 'https-frdev' is taken" },
		{ "\"name\":\"https-frdev\",", "", IN_FROM "name: is missing" },
		{ "\"forwarding\":\"accept\"", "\"forwarding\":\"pass\"",
		  IN_FROM "actions.forwarding: 'pass' is not accept" },
		{ ",\"actions\":{\"forwarding\":\"accept\"}", "", IN_FROM "actions: is missing" },
		{ "dst-dnsname", "src-dnsname",
		  IN_FROM "matches.ipv4.ietf-acldns:src-dnsname: is the device itself" },
		{ "Cloud.example.", "*.example", "dst-dnsname: '*.example' is no DNS name" },
		{ "Cloud.example.", "", "dst-dnsname: must be a string" },
		{ "\"protocol\":6", "\"protocol\":17",
		  "matches.tcp: does not go with protocol 17" },
		{ "\"protocol\":6", "\"protocol\":256",
		  "matches.ipv4.protocol: must be an integer" },
		{ "\"tcp\":{", "\"udp\":{},\"tcp\":{", "matches.udp: stands beside tcp" },
		{ "\"ipv4\":{", "\"ipv6\":{},\"ipv4\":{", "matches.ipv6: stands beside ipv4" },
		{ "\"port\":443", "\"port\":70000",
		  "tcp.destination-port.port: must be an integer" },
		{ ",\"port\":443", "", "tcp.destination-port.port: is missing" },
		{ "\"eq\"", "\"ne\"", "tcp.destination-port.operator: 'ne' is not lte" },
		{ "\"port\":443", "\"port\":443,\"lower-port\":1,\"upper-port\":2",
		  "tcp.destination-port: has both" },
		{ "\"port\":443", "\"lower-port\":2,\"upper-port\":1",
		  "upper-port: must be at least" },
		{ "\"port\":443", "\"lower-port\":2", "destination-port.upper-port: is missing" },
		{ "\"tcp\":{", "\"tcp\":{\"ietf-mud:direction-initiated\":\"from\",",
		  "ietf-mud:direction-initiated: must be" },
		{ "\"ipv4\":{", "\"ietf-mud:mud\":{\"local-networks\":[]},\"ipv4\":{",
		  "ietf-mud:mud.local-networks: must be [null]" },
		{ "\"ipv4\":{", "\"ietf-mud:mud\":{\"controller\":[null]},\"ipv4\":{",
		  "ietf-mud:mud.controller: must be a string" },
		{ "\"ipv4\":{", "\"ipv4\":{\"destination-ipv4-network\":\"2001:db8::/32\",",
		  "destination-ipv4-network: '2001:db8::/32' is no IPv4 prefix" },
		{ "\"ipv4\":{", "\"ipv4\":{\"destination-ipv4-network\":\"10.0.0.0/33\",",
		  "destination-ipv4-network: '10.0.0.0/33' is no IPv4 prefix" },
		{ "\"ipv4\":{", "\"ipv4\":{\"destination-ipv6-network\":\"2001:db8::/32\",",
		  "destination-ipv6-network: is not for ipv4" },
		{ "}]}}]}}", "}]}}]},\"wb-profile:profile\":{}}",
		  "$.wb-profile:profile: the extension 'wb-profile' is not in" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *text = replaced(base, wrong[i].find, wrong[i].by);
		json_t *p = import(text);

		if (!ok(!p && strstr(err, wrong[i].place), "%s", wrong[i].place))
			printf("# %s\n", p ? "was taken" : err);
		json_decref(p);
		free(text);
	}
}

/* `n` entries to hosts of their own, with `ports`. */
static char *many(unsigned int n, unsigned int networks, const char *ports)
{
	size_t size = 1 << 18, len = 0;
	char *text = malloc(size), *file;

	for (unsigned int i = 0; text && i < n; i++)
		len += (size_t)snprintf(
			text + len, size - len,
			i < networks
				? "%s{\"name\":\"e%u\",\"matches\":{\"ipv4\":{"
				  "\"destination-ipv4-network\":\"192.0.2.%u/32\"},\"udp\":{%s}},"
				  "\"actions\":{\"forwarding\":\"accept\"}}"
				: "%s{\"name\":\"e%u\",\"matches\":{\"ipv4\":{"
				  "\"ietf-acldns:dst-dnsname\":\"h%u.example\"},\"udp\":{%s}},"
				  "\"actions\":{\"forwarding\":\"accept\"}}",
			i ? "," : "", i, i % 250, ports);
	file = file_of(text, "");
	free(text);
	return file;
}

static void limits(void)
{
	char *text = many(61, 0, "");
	json_t *p = import(text), *list = json_object_get(p, "channels");

	is_int((long long)json_array_size(list), 63, "61 entries and the defaults are 63 channels");
	free(text);
	json_decref(p);
	text = many(100, 20, "");
	p = import(text);
	list = json_object_get(p, "channels");
	is_int((long long)json_array_size(list), 1 + 3 + 2, "too many are put together by kind");
	ok(noted("102 ways to talk are too many channels"), "that is noted");
	there_and_back(p, "put together");
	free(text);
	json_decref(p);
	text = many(130, 130, "");
	p = import(text);
	ok(!p && strstr(err, "one rule too many"), "too many rules are refused: %s", err);
	free(text);
	json_decref(p);
	text = many(900, 0, "\"x:unknown\":{\"a\":\"0123456789\"}");
	ok(!import(text) && strstr(err, "bytes; at most 262144"), "too much to keep, too: %s", err);
	free(text);
	text = calloc(1, HG_MUD_SIZE_MAX + 2);
	memset(text, ' ', HG_MUD_SIZE_MAX + 1);
	ok(!import(text) && strstr(err, "larger than"), "a large file is refused: %s", err);
	memset(text, '[', 1000);
	memset(text + 1000, ']', 1000);
	text[2000] = '\0';
	ok(!import(text) && strstr(err, "$"), "a deep one: %s", err);
	free(text);
}

#define PROFILE(channels) "{\"model\":\"m\",\"firmware\":\"1\",\"channels\":[" channels "]}"

static void extension(void)
{
	static const char text[] = PROFILE(
		"{\"name\":\"up\",\"proto\":\"tcp\",\"ports\":[443,\"8000-8010\"],"
		"\"remote\":[\"name:*.example.com\",\"mirror\",\"2001:db8::/32\",\"192.0.2.1\"],"
		"\"envelope\":{\"1\":{\"packets\":7},\"3600\":{\"bytes\":9000}},"
		"\"sum\":{\"bytes\":{\"rate\":5,\"limit\":50}}},"
		"{\"name\":\"in\",\"proto\":\"udp\",\"ports\":[5353],\"remote\":\"local\","
		"\"opener\":\"remote\",\"answers\":false,\"envelope\":{}},"
		"{\"name\":\"ping\",\"proto\":\"icmpv6\",\"remote\":\"any\",\"envelope\":{}},"
		"{\"name\":\"odd\",\"proto\":\"any\",\"remote\":\"collector\",\"envelope\":{}}");
	json_t *p = json_loads(text, 0, NULL), *mud, *again, *node;
	char *dump, *broken;

	ok(!export(p, NULL, false) && strstr(err, "$.mud.header.mud-url: is missing"),
	   "a learned profile needs a URL: %s", err);
	mud = export(p, "https://x.example/m", false);
	ok(mud && noted("$.channels[0].remote: 'name:*.example.com' cannot be said"),
	   "a pattern of names is noted %s", err);
	dump = json_dumps(mud, JSON_SORT_KEYS);
	ok(strstr(dump, "https://x.example/heliograph/mirror"), "a role is a class of the maker's");
	ok(!strstr(dump, "*.example.com\", \"protocol\""), "no entry has a pattern");
	again = import(dump);
	ok(again && json_equal(again, p), "the extension brings all of it back %s", err);
	ok(!json_array_size(notes), "and nothing is to be noted");
	json_decref(again);

	broken = replaced(dump, "\"lower-port\": 8000", "\"lower-port\": 8001");
	ok(!import(broken) && strstr(err, "$.wb-profile:profile.profile: does not grant"),
	   "lists that grant other than the extension: %s", err);
	free(broken);
	broken = replaced(dump, "\"opener\": \"remote\"", "\"opener\": \"both\"");
	ok(!import(broken) && strstr(err, "$.wb-profile:profile.profile.channels[1].opener"),
	   "a wrong profile in it: %s", err);
	free(broken);
	node = json_object_get(mud, "wb-profile:profile");
	json_object_set_new(node, "version", json_integer(2));
	free(dump);
	dump = json_dumps(mud, 0);
	ok(!import(dump) && strstr(err, "$.wb-profile:profile.version"), "another version: %s",
	   err);
	free(dump);
	json_decref(mud);
	json_decref(p);
}

/* What import kept is written as it was, as long as its channel is there. */
static void kept(void)
{
	char *text = file_of(ACE("echo", "\"icmp\":{\"type\":8}") "," HTTPS_FROM,
			     ACE("echo", "\"icmp\":{\"type\":0}") "," HTTPS_TO);
	json_t *p = import(text), *mud = export(p, NULL, true), *list;
	char *dump = json_dumps(mud, JSON_SORT_KEYS | JSON_COMPACT);

	ok(dump && strstr(dump, "{\"icmp\":{\"type\":8}}"), "an entry as it was %s", err);
	ok(dump && strstr(dump, "\"model-name\":\"Cam 3\"") &&
		   strstr(dump, "\"cache-validity\":168"),
	   "and the header");
	free(dump);
	json_decref(mud);
	list = json_object_get(p, "channels");
	for (size_t i = json_array_size(list); i-- > 0;)
		if (!strcmp(json_string_value(json_object_get(json_array_get(list, i), "name")),
			    "echo"))
			json_array_remove(list, i);
	mud = export(p, NULL, true);
	dump = json_dumps(mud, JSON_SORT_KEYS | JSON_COMPACT);
	ok(dump && !strstr(dump, "icmp") && strstr(dump, "cloud.example"),
	   "not without its channel");
	ok(noted("$.mud.entries[0].ace: 'echo' is not written"), "which is noted");
	free(dump);
	json_decref(mud);
	json_object_set_new(json_object_get(p, "mud"), "entries",
			    json_pack("[{s:s}]", "type", "x"));
	ok(!export(p, NULL, true) && strstr(err, "$.mud.entries[0].direction: is missing"),
	   "what is kept is read strictly: %s", err);
	json_decref(p);
	free(text);
}

/* What drops before something accepts still does. */
static void drops(void)
{
	char *text =
		file_of(ACE("a", PORT("udp", "destination", "53")) "," DROP(
				"b", "\"udp\":{}") "," ACE("c", "\"tcp\":{}") "," DROP("d", ""),
			"");
	json_t *p = import(text), *mud = export(p, NULL, true), *list, *ace;
	char order[16] = "";
	size_t i;

	list = json_object_get(json_object_get(mud, "ietf-access-control-list:acls"), "acl");
	list = json_object_get(json_object_get(json_array_get(list, 0), "aces"), "ace");
	json_array_foreach (list, i, ace)
		if (i < sizeof(order) - 1)
			order[i] = json_string_value(json_object_get(ace, "name"))[0];
	is_str(order, "abcd", "entries stay in order around one that drops");
	json_decref(mud);
	json_decref(p);
	free(text);
	text = file_of(DROP("no", WHO("\"controller\":\"urn:ietf:params:mud:dns\"")), "");
	p = import(text);
	is_int((long long)json_array_size(json_object_get(p, "channels")), 1,
	       "what is dropped is no default");
	json_decref(p);
	free(text);
}

static void print(json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
}

/* For tests/fuzz/seeds: a file on each line, what it becomes, and what becomes of that. */
static int seeds(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = file_of(cases[i].from, cases[i].to);
		json_t *p = import(text);

		puts(text);
		print(export(p, NULL, i % 2));
		print(p);
		free(text);
	}
	json_decref(notes);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "seeds"))
		return seeds();
	header();
	good();
	bad();
	limits();
	extension();
	kept();
	drops();
	json_decref(notes);
	return tap_done();
}
