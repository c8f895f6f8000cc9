// SPDX-License-Identifier: MIT
/*
 * Captures made in memory, read back: times, lengths, directions and link types; whose traffic it
 * is; several files; and what is wrong with damaged ones.
 */
#include "../tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include "../../core/parse.h"
#include "../../userspace/capture.h"
#include "pcapgen.h"

#define FILES 40

static const struct gen_host device = { "00:53:00:00:00:01", "192.168.1.20" };
static const struct gen_host device6 = { "00:53:00:00:00:01", "2001:db8:1::20" };
static const struct gen_host other = { "00:53:00:00:00:02", "192.168.1.30" };
static const struct gen_host router = { "00:53:00:00:00:fe", "192.168.1.1" };
static const struct gen_host all = { "ff:ff:ff:ff:ff:ff", "255.255.255.255" };

static struct gen files[FILES];
static const char *const names[FILES] = { "a", "b", "c", "d", "e", "f" };
static char warning[1024], err[1024];
static unsigned int warnings;

static FILE *open_file(void *ctx, const char *name)
{
	for (size_t i = 0; i < FILES; i++)
		if (names[i] && !strcmp(names[i], name) && files[i].data)
			return files[i].size ? fmemopen(files[i].data, files[i].size, "rb")
					     : fopen("/dev/null", "re");
	errno = ENOENT;
	return NULL;
}

static void on_warning(void *ctx, const char *text)
{
	snprintf(warning, sizeof(warning), "%s", text);
	warnings++;
}

static struct gen_host server(int i)
{
	static char addr[8][32];

	snprintf(addr[i & 7], sizeof(addr[0]), "198.51.100.%d", i);
	return (struct gen_host){ router.mac, addr[i & 7] };
}

/* A conversation of n frames each way, one every `step` seconds from `time` on. */
static void talk(struct gen *g, const struct gen_host *from, const struct gen_host *to, double time,
		 double step, int n)
{
	struct gen_frame f;

	for (int i = 0; i < n; i++) {
		gen_tcp(&f, from, 40000, to, 443, i ? GEN_ACK : GEN_SYN, 10);
		gen_add(g, time + step * i, &f);
		gen_tcp(&f, to, 443, from, 40000, GEN_ACK | (i ? 0 : GEN_SYN), 20);
		gen_add(g, time + step * i + step / 2, &f);
	}
}

static struct hg_capture *open_files(size_t n, const char *wanted, bool as_given)
{
	static struct hg_capture_device d;
	struct hg_capture_options o = { .files = names,
					.n_files = n,
					.as_given = as_given,
					.open = open_file,
					.warn = on_warning };

	*warning = *err = '\0';
	warnings = 0;
	if (wanted) {
		if (hg_capture_device_parse(wanted, &d, err, sizeof(err)))
			return NULL;
		o.device = &d;
	}
	return hg_capture_new(&o, err, sizeof(err));
}

static void drop_files(struct hg_capture *c)
{
	hg_capture_free(c);
	for (size_t i = 0; i < FILES; i++)
		gen_free(&files[i]);
}

struct seen {
	unsigned int out, in, sessions, units;
	__u64 bytes;
	double first, last;
	bool ordered;
	char way[64]; /* of the first packets */
};

static struct seen play(struct hg_capture *c)
{
	struct seen s = { .ordered = true };
	struct hg_capture_packet p;
	struct hg_packet packet;
	unsigned int n = 0, session = ~0u;
	int ret;

	while ((ret = hg_capture_next(c, &p, err, sizeof(err))) == 1) {
		double t = (double)p.time_ns / 1e9;

		if (p.session != session) {
			session = p.session;
			s.sessions++;
		} else if (t < s.last) {
			s.ordered = false;
		}
		s.first = n ? s.first : t;
		s.last = t;
		s.units = p.unit + 1 > s.units ? p.unit + 1 : s.units;
		if (p.out)
			s.out++;
		else
			s.in++;
		if (n < sizeof(s.way) - 1)
			s.way[n] = p.out ? '>' : '<';
		n++;
		hg_packet_parse(&packet, &p.frame, p.out ? HG_PACKET_OUT : 0);
		s.bytes += packet.bytes;
	}
	if (ret)
		printf("# %s\n", err);
	return s;
}

static void test_variant(int link, int flags, const char *name)
{
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	gen_begin(&files[0], link, flags);
	talk(&files[0], &device, &web, 1600000000.25, 1, 3);
	talk(&files[0], &device6, &(struct gen_host){ router.mac, "2001:db8:9::1" }, 1600000010, 1,
	     3);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	if (!ok(c, "%s: is read", name)) {
		printf("# %s\n", err);
		drop_files(c);
		return;
	}
	s = play(c);
	is_str(s.way, "><><><><><><", "directions");
	is_int((long long)s.bytes, 3 * (50 + 60 + 70 + 80), "bytes of IP");
	ok(s.first > 1600000000.249 && s.first < 1600000000.251 && s.last > 1600000012.499 &&
		   s.last < 1600000012.501,
	   "times");
	hg_capture_rewind(c);
	s = play(c);
	is_int(s.out + s.in, 12, "a second reading gives the same packets");
	ok(!warnings, "no warning");
	drop_files(c);
}

static void test_variants(void)
{
	test_variant(GEN_ETHERNET, 0, "Ethernet");
	test_variant(GEN_ETHERNET, GEN_NANO, "nanoseconds");
	test_variant(GEN_ETHERNET, GEN_SWAPPED, "other byte order");
	test_variant(GEN_ETHERNET, GEN_PCAPNG, "pcapng");
	test_variant(GEN_RAW, 0, "raw IP");
	test_variant(GEN_RAW, GEN_PCAPNG, "raw IP in pcapng");
	test_variant(GEN_SLL, 0, "Linux cooked");
	test_variant(GEN_SLL2, GEN_PCAPNG, "Linux cooked, version 2");
}

static void test_cut(void)
{
	struct gen_host web = server(1);
	struct hg_capture_packet p;
	struct gen_frame f;
	struct hg_capture *c;
	unsigned int dirty = 0;

	gen_begin(&files[0], GEN_ETHERNET, 0);
	gen_udp(&f, &device, 5000, &web, 5001, NULL, 900);
	memset(f.bytes + 42, 0xaa, 900);
	gen_add(&files[0], 10, &f);
	gen_record(&files[0], 0, 11, f.bytes, 60, f.length);
	gen_record(&files[0], 0, 12, f.bytes, 60, 400000);
	gen_end(&files[0]);
	c = open_files(1, device.mac, false);
	hg_capture_next(c, &p, err, sizeof(err));
	is_int(p.captured, 942, "all of it was captured");
	hg_capture_next(c, &p, err, sizeof(err));
	is_int(p.frame.wire, 942, "cut: the length on the wire");
	is_int(p.captured, 60, "cut: what there is");
	is_int(p.frame.end - p.frame.data, 942, "cut: all can be read");
	for (const __u8 *b = p.frame.data + 60; b < p.frame.end; b++)
		dirty += *b != 0;
	is_int(dirty, 0, "cut: what is missing is zeros, not the packet before");
	is_int(hg_capture_next(c, &p, err, sizeof(err)), 1, "longer than any frame can be read");
	is_int(p.frame.wire, 400000, "its length on the wire stays");
	ok(p.frame.end - p.frame.data > 65550 && p.frame.end - p.frame.data < 70000,
	   "but not all of it can be read");
	is_int(hg_capture_next(c, &p, err, sizeof(err)), 0, "end");
	drop_files(c);
}

static const char *found(struct hg_capture *c)
{
	static char text[HG_CAPTURE_DEVICE_TEXT];

	if (!c)
		return err;
	return hg_capture_device_text(&hg_capture_file_info(c, 0)->device, text);
}

/* One server only, behind the router: both link addresses are in every frame. */
static void test_find_pair(void)
{
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	gen_begin(&files[0], GEN_ETHERNET, 0);
	talk(&files[0], &device, &web, 10, 1, 20);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	is_str(found(c), device.mac, "found: who opens the flow, not the router");
	drop_files(c);

	gen_begin(&files[0], GEN_ETHERNET, 0);
	for (int i = 1; i < 8; i++)
		talk(&files[0], &device, &(struct gen_host){ router.mac, "203.0.113.1" }, i, 1, 2);
	talk(&files[0], &other, &device, 30, 1, 2);
	gen_end(&files[0]);
	c = open_files(1, "192.168.1.20", false);
	is_str(found(c), device.mac, "an IP address stands for its link address");
	s = play(c);
	is_str(s.way + 28, "<><>", "to it from another host in the same network");
	drop_files(c);
}

/* A capture of a whole network: the router is in most frames, two hosts open flows. */
static void make_network(struct gen *g, int share)
{
	static const char *const webs[] = { "198.51.100.1", "203.0.113.1", "192.0.2.1",
					    "8.8.8.8",	    "9.9.9.9",	   "1.1.1.1" };

	for (int i = 0; i < 60; i++) {
		struct gen_host web = { router.mac, webs[i % 6] };

		talk(g, i < share ? &device : &other, &web, 100 + i, 0.1, 2);
	}
}

static void test_find_network(void)
{
	struct gen_frame f;
	struct hg_capture *c;
	struct seen s;

	gen_begin(&files[0], GEN_ETHERNET, 0);
	make_network(&files[0], 60);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	is_str(found(c), device.mac, "found: the host, not its router");
	drop_files(c);

	gen_begin(&files[0], GEN_ETHERNET, 0);
	make_network(&files[0], 57);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	is_str(found(c), device.mac, "found: who opens nearly all flows");
	s = play(c);
	is_int(s.out, 57 * 2, "frames of others are left out");
	is_int((long long)hg_capture_file_info(c, 0)->others, 3 * 4, "and counted");
	drop_files(c);

	gen_begin(&files[0], GEN_ETHERNET, 0);
	make_network(&files[0], 30);
	gen_udp(&f, &other, 68, &all, 67, NULL, 100);
	gen_add(&files[0], 500, &f);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	ok(!c && strstr(err, "a: no single device; choose one with --device") &&
		   strstr(err, device.mac) && strstr(err, other.mac) && strstr(err, "a router"),
	   "two devices: both are listed");
	drop_files(c);
	gen_begin(&files[0], GEN_ETHERNET, 0);
	make_network(&files[0], 30);
	gen_udp(&f, &other, 68, &all, 67, NULL, 100);
	gen_add(&files[0], 500, &f);
	gen_end(&files[0]);
	c = open_files(1, device.mac, false);
	s = play(c);
	ok(s.out == 60 && s.in == 61, "one of them was chosen; it gets what goes to all");
	drop_files(c);
}

static void test_device_words(void)
{
	static const char *const bad[] = { "",
					   "x",
					   "00:53:00:00:00",
					   "01:53:00:00:00:01",
					   "192.168.1",
					   "192.168.1.1,",
					   "224.0.0.1",
					   "00:53:00:00:00:01x" };
	struct hg_capture_device d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(hg_capture_device_parse(bad[i], &d, err, sizeof(err)) == -EINVAL &&
			   strstr(err, bad[i]),
		   "device '%s' is refused", bad[i]);
	ok(!hg_capture_device_parse("192.0.2.1,2001:db8::1", &d, err, sizeof(err)) &&
		   d.n_addrs == 2,
	   "two addresses");
}

static void test_wanted(void)
{
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	gen_begin(&files[0], GEN_ETHERNET, 0);
	talk(&files[0], &device, &web, 10, 1, 3);
	gen_end(&files[0]);
	c = open_files(1, other.mac, false);
	ok(!c && strstr(err, "a: no packet of the device 00:53:00:00:00:02; there are: ") &&
		   strstr(err, device.mac),
	   "a device that is not there");
	drop_files(c);
	gen_begin(&files[0], GEN_RAW, 0);
	talk(&files[0], &device, &web, 10, 1, 3);
	gen_end(&files[0]);
	c = open_files(1, device.mac, false);
	ok(!c && strstr(err, "a: has no link addresses"), "a link address in raw IP");
	drop_files(c);
	gen_begin(&files[0], GEN_SLL, 0);
	talk(&files[0], &device, &web, 10, 1, 3);
	gen_end(&files[0]);
	c = open_files(1, device.mac, false);
	s = play(c);
	is_str(s.way, "><><><", "a link address in a cooked capture");
	drop_files(c);
}

static void test_several(void)
{
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	for (int i = 0; i < 4; i++)
		gen_begin(&files[i], i == 1 ? GEN_SLL : GEN_ETHERNET, i == 2 ? GEN_PCAPNG : 0);
	talk(&files[0], &device, &web, 20000, 1, 3); /* a: after b and c, hours later */
	talk(&files[1], &device, &web, 1000, 1, 3);  /* b and c overlap */
	talk(&files[2], &device, &web, 1000.1, 1, 3);
	talk(&files[3], &other, &web, 1000, 1, 3); /* another unit */
	for (int i = 0; i < 4; i++)
		gen_end(&files[i]);
	c = open_files(4, NULL, false);
	s = play(c);
	is_int(s.out, 12, "four files: all packets");
	is_int(s.units, 2, "of two units");
	is_int(s.sessions, 3, "in three sessions");
	ok(s.ordered, "in order of time within each");
	is_str(s.way, ">><<>><<>><<><><><><><><", "and merged where they overlap");
	hg_capture_free(c);
	c = open_files(4, NULL, true);
	s = play(c);
	is_int(s.sessions, 4, "as given: time that goes back begins a session");
	ok(s.first > 19999, "as given: the first file is the first");
	is_str(s.way, "><><><><><><><><><><><><", "as given: nothing is merged");
	drop_files(c);
}

static void test_undecided(void)
{
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	for (int i = 0; i < 3; i++)
		gen_begin(&files[i], GEN_ETHERNET, 0);
	talk(&files[0], &device, &web, 1000, 1, 9);
	make_network(&files[1], 30);
	gen_end(&files[0]);
	gen_end(&files[1]);
	gen_end(&files[2]);
	c = open_files(3, NULL, false);
	ok(c, "a file that shows no single device follows the others");
	s = play(c);
	is_int(s.out, 9 + 60, "its packets of that device are there");
	ok(warnings == 1 && strstr(warning, "c: no packets of any host; left out"),
	   "an empty file is left out, and told");
	drop_files(c);
}

static void expect_failure(const char *name, const char *what)
{
	struct hg_capture *c = open_files(1, NULL, false);

	if (!ok(!c && strstr(err, what), "%s", name))
		printf("# %s\n", c ? "no failure" : err);
	drop_files(c);
}

static void test_bad(void)
{
	struct gen_host web = server(1);

	files[0] = (struct gen){ .data = strdup("this is no capture at all"), .size = 25 };
	expect_failure("text", "a: not a capture in pcap or pcapng format");
	files[0] = (struct gen){ .data = strdup(""), .size = 0 };
	expect_failure("nothing", "a: not a capture in pcap or pcapng format");
	gen_begin(&files[0], GEN_WLAN, 0);
	gen_end(&files[0]);
	expect_failure("radio frames", "a: link type IEEE802_11 (105) cannot be read");
	gen_begin(&files[0], GEN_ETHERNET, 0);
	gen_end(&files[0]);
	expect_failure("no packets", "a: no packets of any host");
	gen_begin(&files[0], GEN_ETHERNET, 0);
	gen_bytes(&files[0], "\1\2\3", 3);
	gen_end(&files[0]);
	expect_failure("ends in its first packet", "a: packet 1: truncated");
	gen_begin(&files[0], GEN_ETHERNET, 0);
	gen_record(&files[0], 0, 1, web.mac, 10, 3000000000u);
	gen_end(&files[0]);
	expect_failure("impossible length", "a: packet 1: says it was 3000000000 bytes long");
	expect_failure("no such file", "a: No such file or directory");
}

/* What stands before the damage is used. */
static void test_damaged(void)
{
	static const struct {
		uint32_t length;
		const char *says;
	} damages[] = {
		{ 4000, "a: packet 7: truncated" },
		{ 0x7fffffff, "a: packet 7: invalid packet capture length" },
	};
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	for (size_t i = 0; i < 2; i++) {
		uint32_t head[4] = { 2000, 0, damages[i].length, damages[i].length };

		gen_begin(&files[0], GEN_ETHERNET, 0);
		talk(&files[0], &device, &web, 1000, 1, 3);
		gen_bytes(&files[0], head, sizeof(head));
		gen_bytes(&files[0], "rest", 4);
		gen_end(&files[0]);
		c = open_files(1, NULL, false);
		s = play(c);
		is_int(s.in + s.out, 6, "whole packets before the damage are used");
		if (!ok(warnings == 1 && strstr(warning, damages[i].says) &&
				strstr(warning, "packets before it are used"),
			"and it is told, once"))
			printf("# %u: %s\n", warnings, warning);
		drop_files(c);
	}
}

static void test_interfaces(void)
{
	struct gen_host web = server(1);
	struct gen_frame f;
	struct hg_capture *c;
	struct seen s;

	gen_begin(&files[0], GEN_ETHERNET, GEN_PCAPNG);
	gen_interface(&files[0], GEN_ETHERNET);
	talk(&files[0], &device, &web, 1000, 1, 3);
	gen_tcp(&f, &device, 40001, &web, 443, GEN_SYN, 0);
	gen_record(&files[0], 1, 1010, f.bytes, f.length, f.length);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	s = play(c);
	is_int(s.out, 4, "pcapng: packets of both interfaces");
	drop_files(c);

	gen_begin(&files[0], GEN_ETHERNET, GEN_PCAPNG);
	talk(&files[0], &device, &web, 1000, 1, 3);
	gen_interface(&files[0], GEN_RAW);
	gen_record(&files[0], 1, 1010, f.bytes + 14, f.length - 14, f.length - 14);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	s = play(c);
	is_int(s.in + s.out, 6, "pcapng: an interface of another link type ends the reading");
	ok(warnings == 1 && strstr(warning, "a: packet 7: ") && strstr(warning, "type"),
	   "and it is told");
	drop_files(c);
}

static void test_backwards(void)
{
	struct gen_host web = server(1);
	struct hg_capture *c;
	struct seen s;

	gen_begin(&files[0], GEN_ETHERNET, 0);
	talk(&files[0], &device, &web, 1000, 1, 3);
	talk(&files[0], &device, &web, 500, 1, 3);
	gen_end(&files[0]);
	c = open_files(1, NULL, false);
	s = play(c);
	ok(s.ordered && s.out == 6, "time does not go back");
	ok(warnings == 1 && strstr(warning, "a: packet 7: 502.5 s older"), "and it is told, once");
	drop_files(c);
}

/* The device of each real capture, if they are there, against who it is known to be. */
static void test_real(void)
{
	const char *top = getenv("HG_TOP"), *data = getenv("HG_DATA");
	char fallback[512], path[1024], text[HG_CAPTURE_DEVICE_TEXT];
	unsigned int n = 0, wrong = 0;
	json_t *manifest, *file;
	size_t i;

	snprintf(fallback, sizeof(fallback), "%s/../shared/data", top ? top : ".");
	data = data ? data : fallback;
	snprintf(path, sizeof(path), "%s/manifest.json", data);
	manifest = json_load_file(path, 0, NULL);
	if (!manifest) {
		tap_skip("devices of real captures", "no captures (HG_DATA)");
		return;
	}
	json_array_foreach (json_object_get(manifest, "files"), i, file) {
		const char *mac = json_string_value(json_object_get(file, "device_mac"));
		const char *name = json_string_value(json_object_get(file, "file")), *list = path;
		struct hg_capture_options o = { .files = &list, .n_files = 1 };
		struct hg_capture *c;

		if (!mac || !name || strncmp(name, "benign/", 7))
			continue;
		snprintf(path, sizeof(path), "%s/%s", data, name);
		c = hg_capture_new(&o, err, sizeof(err));
		n++;
		if (c)
			hg_capture_device_text(&hg_capture_file_info(c, 0)->device, text);
		if (!c || strcmp(text, mac)) {
			printf("# %s: %s\n", name, c ? text : err);
			wrong++;
		}
		hg_capture_free(c);
	}
	json_decref(manifest);
	ok(n && !wrong, "%u real captures: the device is found", n);
}

/* The fuzzer's first captures: each link type, in hex, behind the byte that says how. */
static void print_seed(int link, int flags, int how)
{
	struct gen_host web = server(1);
	struct gen_frame f;

	gen_begin(&files[0], link, flags);
	talk(&files[0], &device, &web, 1600000000, 1, 3);
	talk(&files[0], &device6, &(struct gen_host){ router.mac, "2001:db8:9::1" }, 1600000010, 1,
	     3);
	talk(&files[0], &device, &other, 1600000020, 0.5, 2);
	gen_udp(&f, &device, 68, &all, 67, NULL, 240);
	gen_add(&files[0], 1600000030, &f);
	gen_udp(&f, &device, 5000, &router, 53, NULL, 30);
	gen_add(&files[0], 1600000031, &f);
	gen_udp(&f, &router, 53, &device, 5000, "\0\1\x81\x80\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19);
	gen_add(&files[0], 1600000032, &f);
	gen_end(&files[0]);
	printf("%02x", how);
	for (size_t i = 0; i < files[0].size; i++)
		printf("%02x", (__u8)files[0].data[i]);
	printf("\n");
	gen_free(&files[0]);
}

static int print_seeds(void)
{
	static const int links[] = { GEN_ETHERNET, GEN_RAW, GEN_SLL, GEN_SLL2 };

	for (int i = 0; i < 4; i++)
		for (int flags = 0; flags < 8; flags++)
			if (flags < GEN_PCAPNG || !(flags & GEN_NANO))
				print_seed(links[i], flags, flags);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "seeds"))
		return print_seeds();
	test_variants();
	test_cut();
	test_find_pair();
	test_find_network();
	test_device_words();
	test_wanted();
	test_several();
	test_undecided();
	test_bad();
	test_damaged();
	test_interfaces();
	test_backwards();
	test_real();
	return tap_done();
}
