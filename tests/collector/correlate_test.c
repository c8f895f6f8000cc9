// SPDX-License-Identifier: MIT
/*
 * Correlator: how many distinct devices it takes, that one device never does, that what is stated
 * about false incidents holds under chance alone, and that its memory is bounded.
 */
#include "../tap.h"
#include <stdlib.h>
#include "../../collector/correlate.h"

static const struct hg_correlate_options usual = {
	.keys_max = 100000, .evidence_s = 3600, .alarms_per_day = 33300, .years = 1
};
static struct hg_crossing out[HG_CROSSINGS_MAX];
static uint64_t seed = 1;

/* Repeatable on purpose. */
static uint64_t chance(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static size_t report(struct hg_correlate *c, unsigned int device, uint64_t time_s, int alarm_class,
		     const char *target, uint16_t port)
{
	struct hg_correlate_report r = { .time_s = time_s,
					 .alarm_class = (uint8_t)alarm_class,
					 .n_targets = 1 };
	char uid[16];

	snprintf(uid, sizeof(uid), "dev-%u", device);
	r.uid = uid;
	if (hg_net_parse(target, &r.targets[0].net))
		abort();
	r.targets[0].proto = 6;
	r.targets[0].port = port;
	return hg_correlate_report(c, &r, out);
}

/* Devices that it takes when they speak `gap` seconds apart; 0: not within 100. */
static unsigned int devices_needed(int alarm_class, const char *target, uint16_t port, uint64_t gap)
{
	struct hg_correlate *c = hg_correlate_new(&usual);
	unsigned int n = 0;

	for (unsigned int i = 1; !n && i <= 100; i++)
		if (report(c, i, 1000000 + i * gap, alarm_class, target, port))
			n = i;
	hg_correlate_free(c);
	return n;
}

static void agreement(void)
{
	char net[HG_NET_STRLEN];
	struct hg_correlate *c;
	size_t n = 0;

	is_int(devices_needed(HG_ALARM_FLOOD, "192.0.2.1/32", 80, 0), 3,
	       "three at once on one target");
	is_int(devices_needed(HG_ALARM_FLOOD, "192.0.2.1/32", 80, 20), 3, "three within a minute");
	is_int(devices_needed(HG_ALARM_SCAN, "192.0.2.0/24", 0, 10), 3, "three scan one network");
	is_int(devices_needed(HG_ALARM_FLOOD, "2001:db8::1/128", 80, 10), 3,
	       "three on an IPv6 host");
	n = devices_needed(HG_ALARM_FLOOD, "192.0.2.1/32", 80, 60);
	ok(n > 3 && n < 10, "one a minute: more are needed (%zu)", n);
	is_int(devices_needed(HG_ALARM_FLOOD, "192.0.2.1/32", 80, 3600), 0, "one an hour: never");
	n = devices_needed(HG_ALARM_SCAN, "0.0.0.0/0", 23, 0);
	ok(n >= 10 && n <= 20, "a port scanned anywhere takes more (%zu)", n);
	is_int(devices_needed(HG_ALARM_FLOOD, "0.0.0.0/0", 23, 1), 0,
	       "a flood of everything is none");
	is_int(devices_needed(HG_ALARM_FLOOD, "192.168.1.1/32", 53, 0), 0,
	       "everybody's 192.168.1.1 is another one");
	is_int(devices_needed(HG_ALARM_TEST, "192.0.2.1/32", 80, 0), 0, "tests never agree");
	is_int(devices_needed(HG_ALARM_ENDED, "192.0.2.1/32", 80, 0), 0, "nor do ends");

	c = hg_correlate_new(&usual);
	for (uint64_t t = 0; t < 3000; t++)
		n = report(c, 1, 1000000 + t, HG_ALARM_FLOOD, "192.0.2.1/32", 80);
	is_int((long long)n, 0, "one device may say it 3,000 times");
	report(c, 2, 1003000, HG_ALARM_SCAN, "192.0.2.7/32", 22);
	report(c, 3, 1003001, HG_ALARM_FLOOD, "192.0.2.9/32", 80);
	n = report(c, 4, 1003002, HG_ALARM_SCAN, "192.0.2.0/24", 0);
	ok(n == 1 && !strcmp(hg_net_format(&out[0].target, net), "192.0.2.0/24") && !out[0].port,
	   "scans and floods in one network meet in the network");
	hg_correlate_free(c);

	c = hg_correlate_new(&usual);
	for (unsigned int i = 1; i <= 3; i++)
		n = report(c, i, 1000000, HG_ALARM_FLOOD, "192.0.2.1/32", 80);
	ok(n == 1 && !strcmp(hg_net_format(&out[0].target, net), "192.0.2.1/32"),
	   "on one host they meet in the host");
	hg_correlate_free(c);
}

/*
 * Chance alone: the alarms of a million devices, one each a month, for 30 days.
 */
static void false_incidents(void)
{
	struct hg_correlate *c = hg_correlate_new(&usual);
	uint64_t incidents = 0, alarms = 0, days = 30;

	for (uint64_t t = 0; t < days * 86400; t++) {
		uint64_t net;
		char target[32];

		/* 0.385 a second */
		if (chance(1000) >= 385)
			continue;
		net = chance(262144);
		snprintf(target, sizeof(target), "%u.%u.%u.%u/32", 64 + (unsigned int)(net >> 16),
			 (unsigned int)(net >> 8 & 255), (unsigned int)(net & 255),
			 (unsigned int)chance(256));
		incidents += report(c, (unsigned int)chance(1000000), 1000000 + t, HG_ALARM_SCAN,
				    target, (uint16_t)(1 + chance(64)));
		alarms++;
	}
	ok(!incidents, "%llu false alarms in %llu days: no incident (%llu)",
	   (unsigned long long)alarms, (unsigned long long)days, (unsigned long long)incidents);
	ok(hg_correlate_keys(c) <= usual.keys_max, "no more keys than allowed (%zu)",
	   hg_correlate_keys(c));
	hg_correlate_free(c);
}

static void memory(void)
{
	struct hg_correlate_options few = usual;
	struct hg_correlate *c;
	size_t n = 0;

	few.keys_max = 1024;
	c = hg_correlate_new(&few);
	for (unsigned int i = 0; i < 100000; i++) {
		char target[32];

		snprintf(target, sizeof(target), "64.%u.%u.1/32", i / 256 % 256, i % 256);
		report(c, i, 1000000, HG_ALARM_FLOOD, target, 80);
	}
	is_int((long long)hg_correlate_keys(c), 1024, "100,000 targets leave 1,024 keys");
	for (unsigned int i = 1; i <= 3; i++)
		n = report(c, i, 1000001, HG_ALARM_FLOOD, "192.0.2.1/32", 80);
	is_int((long long)n, 1, "and an attack is seen");
	hg_correlate_free(c);
	hg_correlate_free(NULL);
}

int main(void)
{
	agreement();
	false_incidents();
	memory();
	return tap_done();
}
