// SPDX-License-Identifier: MIT
/*
 * The table behind heliograph-mirror.conf. A test holds the sample file and
 * heliograph-mirror.conf(5) against it, so a key is added here first.
 */
#include "conf.h"

#include "../lib/wire.h"

#define CONF HG_SYSCONFDIR "/heliograph"
#define MINUTE_MS UINT64_C(60000)
#define DAY_MS (24 * 60 * MINUTE_MS)

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };

/* Each stands for the inside of one row. */
#define ROW(sec, name, kind)                                                                       \
	.section = #sec, .key = #name, .type = HG_CONF_##kind,                                     \
	.offset = offsetof(struct hg_mirror_conf, sec.name)
#define STRING(sec, name, absent, text)                                                            \
	ROW(sec, name, STRING), .fallback = absent, .min = 1, .max = 4095, .help = text
#define NUMBER(sec, name, kind, absent, low, high, text)                                           \
	ROW(sec, name, kind), .fallback = absent, .min = low, .max = high, .help = text

const struct hg_conf_key hg_mirror_conf_keys[] = {
	{ ROW(log, level, ENUM), .fallback = "info", .names = log_levels,
	  .help = "what is logged" },
	{ ROW(log, syslog, BOOL), .fallback = "no",
	  .help = "log to syslog instead of standard error" },

	{ STRING(database, conninfo, "dbname=heliograph", "libpq connection string") },
	{ STRING(database, schema, "heliograph", "schema of the tables") },
	{ STRING(database, migrations, HG_DATADIR "/mirror/sql", "directory of the migrations") },
	{ NUMBER(database, connections, UINT, "8", 1, 64, "connections of the pool") },
	{ NUMBER(database, queue, UINT, "4096", 1, 1000000,
		 "statements waiting; beyond, applications hear that it is busy, devices wait") },
	{ NUMBER(database, timeout, DURATION, "5s", 100, 5 * MINUTE_MS, "of one statement") },

	{ STRING(sync, listen, "[::]:4646", "address and port for devices") },
	{ STRING(sync, cert, CONF "/ca/mirror.crt",
		 "certificate shown to devices and applications") },
	{ STRING(sync, key, CONF "/ca/mirror.key", "its private key") },
	{ STRING(sync, ca, CONF "/ca/ca.crt", "certificates that sign the devices'") },
	{ STRING(sync, crl, CONF "/ca/ca.crl", "their revocation list") },
	{ STRING(
		sync, psk_key, "",
		"secret from which devices' pre-shared keys are made; absent: none are handed out") },
	{ STRING(sync, psk_key_previous, "", "the secret before it, still accepted") },
	{ NUMBER(sync, psk_life, DURATION, "90d", 1000, 3650 * DAY_MS,
		 "of a pre-shared key; half of it gone, a device asks for the next") },
	{ ROW(sync, early, BOOL), .fallback = "no",
	  .help = "answer idle first requests that come as TLS early data with a pre-shared key" },
	{ STRING(sync, public_host, "",
		 "name by which devices reach this mirror; goes into bundles") },
	{ NUMBER(sync, public_port, UINT, "4646", 1, 65535, "and the port") },
	{ NUMBER(sync, connections, UINT, "10000", 1, 1000000, "devices connected at once") },
	{ NUMBER(sync, threads, UINT, "0", 0, 64,
		 "event loops; 0: one per processor, if [database] connections has two for each") },
	{ NUMBER(sync, batch, UINT, "256", 1, 1024,
		 "devices' requests committed together at most; 1: each by itself") },
	{ NUMBER(sync, object_max, SIZE, "1M", HG_WIRE_VALUE_MAX, HG_WIRE_OBJECT_MAX,
		 "of a property's value or a command's output, as CBOR") },
	{ NUMBER(sync, tickets, UINT, "32768", 1, 100000000,
		 "TLS sessions kept for devices that resume by ticket, some 6 KB each") },
	{ NUMBER(sync, handshake_timeout, DURATION, "20s", 100, 10 * MINUTE_MS,
		 "of a TLS handshake") },
	{ NUMBER(sync, idle_timeout, DURATION, "30s", 100, 60 * MINUTE_MS,
		 "between two requests") },
	{ NUMBER(sync, message_timeout, DURATION, "20s", 100, 10 * MINUTE_MS,
		 "from the first to the last byte of a message, either way") },
	{ NUMBER(sync, busy_interval, DURATION, "30s", 100, DAY_MS,
		 "after which a device comes back that was turned away") },

	{ STRING(http, listen, "[::]:8443",
		 "address and port for applications; none: no such listener") },
	{ STRING(http, cert, "", "certificate shown to applications; absent: that of [sync]") },
	{ STRING(http, key, "", "its private key") },
	{ ROW(http, public_url, STRING), .fallback = "", .min = 1, .max = 255,
	  .help = "URL by which applications reach it; absent: as they said in Host" },
	{ NUMBER(http, connections, UINT, "1000", 1, 1000000, "applications connected at once") },
	{ NUMBER(http, body_max, SIZE, "64K", 1024, 64 << 20, "of a request") },
	{ NUMBER(http, request_timeout, DURATION, "20s", 100, 10 * MINUTE_MS,
		 "from the first to the last byte of a request") },

	{ STRING(ca, directory, CONF "/ca", "what `ca init` made") },
	{ NUMBER(ca, device_days, UINT, "7300", 1, 36500, "life of device certificates") },
	{ ROW(ca, renew, BOOL), .fallback = "yes",
	  .help = "sign devices' new certificates in sessions, if the authority is there" },
	{ NUMBER(ca, server_days, UINT, "825", 1, 36500, "life of server certificates") },
	{ NUMBER(ca, ca_days, UINT, "10950", 1, 36500, "life of the authority's certificate") },
	{ NUMBER(ca, crl_days, UINT, "3650", 1, 36500, "until the revocation list wants renewal") },

	{ NUMBER(keep, outbox, DURATION, "7d", MINUTE_MS, 3650 * DAY_MS, "rows of the outbox") },
	{ NUMBER(keep, commands, DURATION, "90d", MINUTE_MS, 3650 * DAY_MS,
		 "commands after their end") },
	{ NUMBER(keep, audit, DURATION, "365d", MINUTE_MS, 3650 * DAY_MS,
		 "who wrote and invoked what") },
	{ 0 },
};
