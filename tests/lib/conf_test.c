/* SPDX-License-Identifier: MIT */
/* Configuration files against a table: each kind of value, each kind of error with its place. */
#include "../../lib/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"

struct settings {
	char *name, *note;
	uint64_t count, interval, limit;
	bool on;
	int policy;
	struct hg_conf_list peers;
	int untouched;
};

static const char *const policies[] = { "monitor", "initiated", "sealed", NULL };

#define AT(field) offsetof(struct settings, field)
static const struct hg_conf_key keys[] = {
	{ "device", "name", HG_CONF_STRING, AT(name), NULL, 1, 8, NULL, "its name" },
	{ "device", "note", HG_CONF_STRING, AT(note), "", 0, 0, NULL, "a note" },
	{ "sync", "count", HG_CONF_UINT, AT(count), "3", 1, 10, NULL, "how often" },
	{ "sync", "interval", HG_CONF_DURATION, AT(interval), "5m", 1000, 86400000, NULL,
	  "how long" },
	{ "sync", "limit", HG_CONF_SIZE, AT(limit), "64K", 512, 8 << 20, NULL, "how much" },
	{ "guard", "on", HG_CONF_BOOL, AT(on), "yes", 0, 0, NULL, "whether" },
	{ "guard", "policy", HG_CONF_ENUM, AT(policy), "initiated", 0, 0, policies, "which" },
	{ "guard", "peer", HG_CONF_LIST, AT(peers), "", 0, 3, NULL, "who" },
	{ NULL, NULL, 0, 0, NULL, 0, 0, NULL, NULL },
};

static int load_bytes(const char *text, size_t len, struct settings *out, char *err, size_t size)
{
	FILE *file = fmemopen((void *)text, len ? len : 1, "r");
	int rc;

	if (!len)
		fgetc(file);
	rc = hg_conf_read(keys, file, "t.conf", out, err, size);
	fclose(file);
	return rc;
}

static void test_good(void)
{
	static const char text[] = "# comment\n"
				   "[device]\n"
				   "name = cam-1   ; inline\r\n"
				   "\n"
				   "[sync]\n"
				   "  count=7\n"
				   "interval = 90s\n"
				   "\tlimit = 1M\n"
				   "[guard]\n"
				   "on = off\n"
				   "policy: sealed\n"
				   "peer = a b\n"
				   "peer = c";
	struct settings s = { .untouched = 42 };
	char err[256] = "";

	is_int(load_bytes(text, strlen(text), &s, err, sizeof(err)), 0, "a good file");
	is_str(err, "", "no message");
	is_str(s.name, "cam-1", "string");
	is_str(s.note, NULL, "absent string");
	is_int((long long)s.count, 7, "indented number");
	is_int((long long)s.interval, 90000, "duration in ms");
	is_int((long long)s.limit, 1 << 20, "size in bytes");
	ok(!s.on, "switch");
	is_int(s.policy, 2, "name of an enum");
	is_int((long long)s.peers.count, 2, "list");
	is_str(s.peers.items[0], "a b", "first of the list");
	is_str(s.peers.items[1], "c", "second, without newline at the end");
	is_int(s.untouched, 42, "fields outside the table stay");
	hg_conf_free(keys, &s);
	ok(!s.name && !s.peers.items && !s.peers.count, "freed");
	is_int(load_bytes("[device]\nname=x\n", 16, &s, err, sizeof(err)), 0, "fallbacks");
	is_int((long long)s.interval, 300000, "fallback of a duration");
	ok(s.on && s.policy == 1 && !s.peers.count, "fallbacks of the others");
	hg_conf_free(keys, &s);
}

static const struct {
	const char *text, *want;
} wrong[] = {
	{ "[device]\nnote=x\n", "t.conf: [device] name: is required; add it" },
	{ "", "t.conf: [device] name: is required; add it" },
	{ "[device]\nname=x\n[sync]\nintervall = 5m\n",
	  "t.conf:4: [sync] intervall: no such key; did you mean interval?" },
	{ "[device]\nname=x\ncolour=red\n",
	  "t.conf:3: [device] colour: no such key; [device] has name note" },
	{ "[devise]\nname=x\n", "t.conf:2: [devise]: no such section; did you mean [device]?" },
	{ "[weather]\nname=x\n",
	  "t.conf:2: [weather]: no such section; there are [device] [sync] [guard]" },
	{ "name=x\n",
	  "t.conf:1: stands before any section; start with one of [device] [sync] [guard]" },
	{ "[device]\nname=x\nname=y\n",
	  "t.conf:3: [device] name: given again, first on line 2; remove one" },
	{ "[device]\nname=123456789\n", "t.conf:2: [device] name: has 9 bytes; allowed is 1 to 8" },
	{ "[device]\nname=\n", "t.conf:2: [device] name: is empty; give it a value" },
	{ "[sync]\ncount=0\n", "t.conf:2: [sync] count: 0 is out of range; allowed is 1 to 10" },
	{ "[sync]\ncount=99999999999999999999\n",
	  "t.conf:2: [sync] count: 99999999999999999999 is out of range; allowed is 1 to 10" },
	{ "[sync]\ncount=-1\n",
	  "t.conf:2: [sync] count: \"-1\" is not a number; write decimal digits only" },
	{ "[sync]\ncount=0x2\n",
	  "t.conf:2: [sync] count: \"0x2\" is not a number; write decimal digits only" },
	{ "[sync]\ninterval=90\n", "t.conf:2: [sync] interval: \"90\" is not a duration; "
				   "write a number with its unit: 500ms, 30s, 5m, 2h, 1d" },
	{ "[sync]\ninterval=5 m\n", "t.conf:2: [sync] interval: \"5 m\" is not a duration; "
				    "write a number with its unit: 500ms, 30s, 5m, 2h, 1d" },
	{ "[sync]\ninterval=2d\n",
	  "t.conf:2: [sync] interval: 2d is out of range; allowed is 1s to 1d" },
	{ "[sync]\ninterval=99999999999999999d\n",
	  "t.conf:2: [sync] interval: 99999999999999999d is out of range; allowed is 1s to 1d" },
	{ "[sync]\nlimit=1T\n",
	  "t.conf:2: [sync] limit: \"1T\" is not a size; write bytes, or a number "
	  "with its unit: 64K, 8M, 1G" },
	{ "[sync]\nlimit=9M\n",
	  "t.conf:2: [sync] limit: 9M is out of range; allowed is 512 to 8M" },
	{ "[guard]\non=maybe\n",
	  "t.conf:2: [guard] on: \"maybe\" is not a switch; write yes or no" },
	{ "[guard]\npolicy=open\n",
	  "t.conf:2: [guard] policy: \"open\" is not known; write one of monitor, initiated, sealed" },
	{ "[guard]\npeer=a\npeer=b\npeer=c\npeer=d\n",
	  "t.conf:5: [guard] peer: given more than 3 times; remove some" },
	{ "[device]\nname=x\njust words\n",
	  "t.conf:3: is neither \"key = value\" nor \"[section]\"; correct it" },
	{ "[device\nname=x\n",
	  "t.conf:1: is neither \"key = value\" nor \"[section]\"; correct it" },
	{ "[device]\nname=x\nbad line\ncount=1\n",
	  "t.conf:3: is neither \"key = value\" nor \"[section]\"; correct it" },
};

static void test_wrong(void)
{
	struct settings before = { .name = (char *)"before", .count = 5 }, s;
	char err[256], name[64], longest[3000];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		s = before;
		snprintf(name, sizeof(name), "error %zu: refused, nothing changed", i);
		is_int(load_bytes(wrong[i].text, strlen(wrong[i].text), &s, err, sizeof(err)),
		       -EINVAL, name);
		is_str(err, wrong[i].want, "its message");
		ok(!memcmp(&s, &before, sizeof(s)), "nothing half-applied");
	}
	load_bytes("[device]\nname=a\0b\n", 18, &s, err, sizeof(err));
	is_str(err, "t.conf:2: contains a NUL byte; the file must be plain text", "NUL byte");
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "[device]\nname=", 14);
	load_bytes(longest, sizeof(longest), &s, err, sizeof(err));
	is_str(err, "t.conf:2: line has 2991 bytes; at most 2046 are allowed", "overlong line");
}

static void test_files(void)
{
	struct settings s;
	char err[256];

	is_int(hg_conf_load(keys, "/nonexistent/x.conf", &s, err, sizeof(err)), -ENOENT,
	       "no such file");
	is_str(err, "/nonexistent/x.conf: cannot open: No such file or directory", "its message");
	is_int(hg_conf_load(keys, "/", &s, err, sizeof(err)), -EISDIR, "a directory");
	is_str(err, "/: cannot read: Is a directory", "its message");
	is_int(hg_conf_load(keys + 1, NULL, &s, err, sizeof(err)), 0, "no file at all: fallbacks");
	hg_conf_free(keys + 1, &s);
}

int main(void)
{
	test_good();
	test_wrong();
	test_files();
	return tap_done();
}
