// SPDX-License-Identifier: MIT
/*
 * The table of heliograph-collector.conf, and the checks that a table cannot make. Read once at
 * start by every subcommand; nothing changes it afterwards.
 */
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "net.h"

#define CONF HG_SYSCONFDIR "/heliograph"
#define DAY_MS (24 * 3600 * UINT64_C(1000))
#define YEAR_MS (366 * DAY_MS)

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };

/* Each stands for the inside of one row. */
#define ROW(sec, name, kind, member)                                                               \
	.section = #sec, .key = name, .type = HG_CONF_##kind,                                      \
	.offset = offsetof(struct hg_collector_conf, member)
#define STRING(sec, name, absent, text)                                                            \
	ROW(sec, #name, STRING, sec.name), .fallback = absent, .min = 1, .max = 4095, .help = text
#define NUMBER(sec, name, kind, absent, low, high, text)                                           \
	ROW(sec, #name, kind, sec.name), .fallback = absent, .min = low, .max = high, .help = text
#define BOOL(sec, name, absent, text)                                                              \
	ROW(sec, #name, BOOL, sec.name), .fallback = absent, .help = text
#define LIST(sec, name, member, most, text)                                                        \
	ROW(sec, name, LIST, member), .fallback = "", .max = most, .help = text

const struct hg_conf_key hg_collector_conf_keys[] = {
	{ ROW(collector, "log_level", ENUM, collector.log_level), .fallback = "info",
	  .names = log_levels, .help = "what is logged" },
	{ BOOL(collector, syslog, "no", "log to syslog instead of standard error") },
	{ LIST(collector, "address", collector.addresses, 16,
	       "address to listen on; absent: all") },
	{ NUMBER(collector, port, UINT, "4647", 1, 65535, "UDP port") },
	{ STRING(collector, cert, CONF "/collector.crt", "certificate; devices hold a copy") },
	{ STRING(collector, key, CONF "/collector.key", "its private key, which signs answers") },
	{ STRING(collector, device_ca, CONF "/device-ca.pem", "certificates that sign devices'") },
	{ STRING(collector, device_crl, "",
		 "revocation list of that authority; absent: not checked") },
	{ NUMBER(collector, keys, UINT, "65536", 16, 1 << 22, "device keys kept in memory") },

	{ STRING(database, conninfo, "dbname=heliograph", "libpq connection string") },
	{ STRING(database, migrations, HG_DATADIR "/collector/sql",
		 "directory of the schema's files") },
	{ NUMBER(database, connections, UINT, "8", 1, 64, "connections to it") },
	{ NUMBER(database, queue, UINT, "4096", 16, 65536,
		 "statements waiting; more alarms are "
		 "not answered and come again") },
	{ NUMBER(database, timeout, DURATION, "10s", 100, 600000, "of one statement") },
	{ NUMBER(database, keep, DURATION, "90d", DAY_MS, 20 * YEAR_MS,
		 "how long alarms, incidents and decisions are kept") },

	{ NUMBER(limits, rate, UINT, "20", 1, 100000, "datagrams of one line per second") },
	{ NUMBER(limits, burst, UINT, "60", 1, 100000, "datagrams of one line at once") },
	{ NUMBER(limits, enrolments, UINT, "500", 1, 100000, "enrolments checked per second") },
	{ NUMBER(limits, signatures, UINT, "10000", 1, 1000000, "signatures checked per second") },
	{ NUMBER(limits, lines, UINT, "65536", 16, 1 << 22, "lines whose rate is remembered") },

	{ STRING(lines, file, "",
		 "prefixes of subscribers' lines, one per row; absent: each "
		 "address is a line") },
	{ NUMBER(lines, ipv6, UINT, "64", 32, 128,
		 "prefix length of an IPv6 line not in the file") },

	{ NUMBER(correlate, min_devices, UINT, "3", 2, 1000,
		 "distinct devices an incident needs") },
	{ NUMBER(correlate, evidence, DURATION, "1h", 10000, 30 * DAY_MS,
		 "how long an alarm counts") },
	{ NUMBER(correlate, keys, UINT, "262144", 1024, 1 << 24,
		 "targets and ports watched at once") },
	{ NUMBER(correlate, alarms_per_day, UINT, "33300", 1, 1000000000,
		 "false alarms expected of all devices together in a day") },
	{ NUMBER(correlate, years, UINT, "1", 1, 1000,
		 "at most one false incident in so many years") },

	{ BOOL(decide, observe_only, "no", "decide and record, but block nothing") },
	{ NUMBER(decide, block, DURATION, "10m", 1000, 30 * DAY_MS, "first block of a line") },
	{ NUMBER(decide, block_max, DURATION, "1d", 1000, 30 * DAY_MS,
		 "longest block; each relapse doubles it up to this") },
	{ NUMBER(decide, quiet, DURATION, "1m", 1000, DAY_MS,
		 "without alarm or packet, after which a line is restored") },
	{ NUMBER(decide, relapse, DURATION, "1d", 1000, 30 * DAY_MS,
		 "how long a decision is remembered for the next") },
	{ NUMBER(decide, line_max, UINT, "16", 1, 1000,
		 "lasting decisions per line, and per device") },
	{ LIST(decide, "protected", decide.protected, 64,
	       "address or prefix never blocked: the mirror, the collector, name servers") },
	{ STRING(decide, table, "heliograph", "nftables table (family inet) of the blocks") },
	{ 0 },
};

static int complain(const char *path, const char *where, const char *what, char *err,
		    size_t err_size)
{
	snprintf(err, err_size, "%s: %s: %s", path ? path : "(defaults)", where, what);
	return -EINVAL;
}

static int check(const struct hg_collector_conf *c, const char *path, char *err, size_t err_size)
{
	struct hg_net p;
	char what[256];

	if (c->decide.block > c->decide.block_max)
		return complain(path, "[decide] block", "is over block_max; lower it", err,
				err_size);
	if (strlen(c->decide.table) > 64 ||
	    strspn(c->decide.table,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
		    strlen(c->decide.table))
		return complain(path, "[decide] table",
				"is no table name; use letters, digits, '_' and '-', at most 64",
				err, err_size);
	for (size_t i = 0; i < c->decide.protected.count; i++) {
		if (!hg_net_parse(c->decide.protected.items[i], &p))
			continue;
		snprintf(what, sizeof(what),
			 "'%.100s' is not an address or prefix; write for example 192.0.2.1 or "
			 "2001:db8::/48",
			 c->decide.protected.items[i]);
		return complain(path, "[decide] protected", what, err, err_size);
	}
	return 0;
}

int hg_collector_conf_load(const char *path, struct hg_collector_conf *conf, char *err,
			   size_t err_size)
{
	struct hg_collector_conf c = { 0 };
	int ret = hg_conf_load(hg_collector_conf_keys, path, &c, err, err_size);

	if (ret)
		return ret;
	ret = check(&c, path, err, err_size);
	if (ret) {
		hg_conf_free(hg_collector_conf_keys, &c);
		return ret;
	}
	*conf = c;
	return 0;
}
