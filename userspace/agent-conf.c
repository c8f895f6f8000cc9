// SPDX-License-Identifier: MIT
/*
 * The table behind heliographd.conf. heliographd and heliograph load it; a test holds the sample
 * file and heliographd.conf(5) against it, so a key is added here first.
 */
#include "agent-conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <net/if.h>
#include "guard-common.h"
#include "../lib/wire.h"

#define CONF HG_SYSCONFDIR "/heliograph"
#define DAY_MS (24 * 3600 * UINT64_C(1000))
#define WEEK_MS (7 * DAY_MS)

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const guard_hosts[] = { "auto", "bpf", "module", NULL };
static const char *const guard_modes[] = { "auto", "native", "generic", "tc", NULL };
static const char *const guard_gates[] = { "no", "services", "strict", NULL };
static const char *const guard_policies[] = { "monitor", "initiated", "sealed", NULL };

static const char *const clock_modes[] = { "tolerant", "strict", NULL };

/* Each stands for the inside of one row. */
#define ROW(sec, name, kind, member)                                                               \
	.section = #sec, .key = name, .type = HG_CONF_##kind,                                      \
	.offset = offsetof(struct hg_agent_conf, member)
#define STRING(sec, name, absent, text)                                                            \
	ROW(sec, #name, STRING, sec.name), .fallback = absent, .min = 1, .max = 4095, .help = text
#define NUMBER(sec, name, kind, absent, low, high, text)                                           \
	ROW(sec, #name, kind, sec.name), .fallback = absent, .min = low, .max = high, .help = text
#define BOOL(sec, name, absent, text)                                                              \
	ROW(sec, #name, BOOL, sec.name), .fallback = absent, .help = text
#define ENUM(sec, name, absent, list, text)                                                        \
	ROW(sec, #name, ENUM, sec.name), .fallback = absent, .names = list, .help = text
#define LIST(sec, name, member, most, text)                                                        \
	ROW(sec, name, LIST, sec.member), .fallback = "", .max = most, .help = text

const struct hg_conf_key hg_agent_conf_keys[] = {
	{ ENUM(agent, log_level, "info", log_levels, "what is logged") },
	{ BOOL(agent, syslog, "no", "log to syslog instead of standard error") },
	{ STRING(agent, socket, "/run/heliograph/agent.sock", "socket for applications") },
	{ STRING(agent, socket_mode, "0660", "its permissions, octal") },
	{ STRING(agent, socket_group, "", "its group; absent: the agent's") },
	{ NUMBER(agent, clients, UINT, "32", 1, 1024, "applications connected at once") },

	{ STRING(device, state_dir, "/var/lib/heliograph", "directory of the store") },
	{ STRING(device, model, "",
		 "Thing Model that types the properties; absent: any JSON value") },
	{ STRING(device, firmware, "", "firmware version, told in alarms") },
	{ STRING(device, commands_dir, CONF "/commands.d", "directory of command handlers") },
	{ NUMBER(device, store_max, SIZE, "8M", 256 << 10, UINT64_C(1) << 32,
		 "size of the store file") },
	{ NUMBER(device, properties_max, UINT, "1024", 1, 65536,
		 "properties in the store, of each side") },
	{ NUMBER(device, journal_max, UINT, "256", 1, 65536,
		 "commands in the journal; more wait at the mirror") },
	{ NUMBER(device, object_max, SIZE, "1M", HG_WIRE_VALUE_MAX, HG_WIRE_OBJECT_MAX,
		 "of a property's value or a command's output") },
	{ NUMBER(device, results_max, SIZE, "4M", HG_WIRE_VALUE_MAX, UINT64_C(1) << 32,
		 "outputs of commands that wait to be reported") },

	{ STRING(mirror, host, "", "name or address of the mirror; absent: never synchronise") },
	{ NUMBER(mirror, port, UINT, "4646", 1, 65535, "TCP port of its sync listener") },
	{ STRING(mirror, name, "", "name in the mirror's certificate; absent: host") },
	{ STRING(mirror, ca, CONF "/ca.crt", "certificates that sign the mirror's") },
	{ STRING(mirror, crl, "", "revocation list of that authority; absent: not checked") },
	{ STRING(mirror, cert, CONF "/device.crt", "certificate of this device") },
	{ STRING(mirror, key, CONF "/device.key", "its private key, or a URI of a provider's") },
	{ STRING(mirror, provider, "",
		 "OpenSSL provider that has the key; absent: as OpenSSL is configured") },
	{ STRING(mirror, properties, "", "OpenSSL property query by which algorithms are chosen") },
	{ ENUM(mirror, clock, "tolerant", clock_modes,
	       "whether dates of certificates are judged by this device's clock") },
	{ BOOL(mirror, early, "no",
	       "send an idle first request as TLS early data, with a pre-shared key") },
	{ NUMBER(mirror, interval, DURATION, "15m", 100, WEEK_MS,
		 "between sessions, unless the mirror hints otherwise") },
	{ NUMBER(mirror, interval_min, DURATION, "10s", 50, WEEK_MS, "shortest interval") },
	{ NUMBER(mirror, interval_max, DURATION, "1d", 100, WEEK_MS, "longest interval") },
	{ NUMBER(mirror, interval_soon, DURATION, "5s", 10, DAY_MS,
		 "to the next session once a property has changed") },
	{ NUMBER(mirror, start_within, DURATION, "0s", 0, DAY_MS,
		 "to the first session, at a random moment") },
	{ NUMBER(mirror, changes_many, UINT, "64", 1, 65536,
		 "changed properties that are reason for a session at once") },
	{ NUMBER(mirror, jitter, UINT, "10", 0, 50, "percent by which intervals vary") },
	{ NUMBER(mirror, backoff_min, DURATION, "2s", 10, DAY_MS, "first bound after a failure") },
	{ NUMBER(mirror, backoff_max, DURATION, "30m", 10, WEEK_MS, "last bound after failures") },
	{ NUMBER(mirror, backoff_refused, DURATION, "6h", 10, WEEK_MS,
		 "bound when the mirror does not know or quarantines the device") },
	{ LIST(mirror, "link", links, 8, "interface that is taken down between sessions") },
	{ NUMBER(mirror, link_timeout, DURATION, "30s", 100, 600000,
		 "until one of them can be used") },
	{ NUMBER(mirror, connect_timeout, DURATION, "20s", 100, 600000,
		 "for each of name, connection and handshake") },
	{ NUMBER(mirror, session_timeout, DURATION, "2m", 100, 3600000, "for a whole session") },
	{ NUMBER(mirror, linger, DURATION, "1s", 0, 60000,
		 "how long a session waits for its commands to end") },
	{ NUMBER(mirror, rounds_max, UINT, "256", 1, 65536, "requests in one session") },

	{ NUMBER(commands, time_limit, DURATION, "1m", 10, DAY_MS, "of one command") },
	{ NUMBER(commands, kill_after, DURATION, "5s", 10, 600000, "from SIGTERM to SIGKILL") },
	{ NUMBER(commands, concurrent, UINT, "2", 1, 64, "commands that run at once") },
	{ NUMBER(commands, memory_max, SIZE, "256M", 1 << 20, UINT64_C(1) << 40,
		 "data memory of a handler") },
	{ NUMBER(commands, files_max, UINT, "64", 8, 65536, "open files of a handler") },

	{ LIST(guard, "interface", interfaces, 16, "guarded interface; absent: no guard") },
	{ BOOL(guard, required, "yes", "do not run without the guard on these interfaces") },
	{ ENUM(guard, host, "auto", guard_hosts, "what in the kernel guards") },
	{ ENUM(guard, mode, "auto", guard_modes, "where inbound packets are seen") },
	{ ENUM(guard, policy, "initiated", guard_policies, "what is let in") },
	{ BOOL(guard, confine, "no", "let out only what the profile or a peer explains") },
	{ BOOL(guard, police, "no", "drop what a channel sends over its bounds of a second") },
	{ ENUM(guard, gate, "no", guard_gates, "what is kept out between sessions") },
	{ NUMBER(guard, heartbeat, DURATION, "1m", 0, 3600000,
		 "silence of the agent after which the kernel tells the collector; 0: never") },
	{ STRING(guard, pin_dir, "/sys/fs/bpf/heliograph",
		 "where the guard is pinned, on a bpffs") },
	{ STRING(guard, object, HG_BPFDIR "/heliograph.bpf.o", "the guard's programs") },
	{ LIST(guard, "trusted", trusted, 16, "prefix whose packets always pass") },
	{ LIST(guard, "dns", dns, 8, "name server; absent: those of /etc/resolv.conf") },
	{ LIST(guard, "ntp", ntp, 8, "time server's address") },
	{ NUMBER(guard, flows_kept, UINT, "256", 16, 65536,
		 "flows to mirror and collector; 128 per processor at least") },
	{ NUMBER(guard, flows_inside, UINT, "4096", 16, 1 << 20, "flows that the profile knows") },
	{ NUMBER(guard, flows_outside, UINT, "4096", 16, 1 << 20, "flows outside the profile") },
	{ NUMBER(guard, udp_one_way, DURATION, "30s", 1000, DAY_MS, "life of an unanswered flow") },
	{ NUMBER(guard, udp_two_way, DURATION, "3m", 1000, DAY_MS, "life of an answered one") },
	{ NUMBER(guard, tcp_opening, DURATION, "1m", 1000, DAY_MS,
		 "life of a half-open connection") },
	{ NUMBER(guard, tcp_established, DURATION, "125m", 7440000, WEEK_MS,
		 "life of an idle connection (RFC 5382: 2 h 4 min at least)") },
	{ NUMBER(guard, tcp_closing, DURATION, "30s", 1000, DAY_MS, "life of a closing one") },
	{ NUMBER(guard, icmp, DURATION, "30s", 1000, DAY_MS, "life of an echo") },
	{ NUMBER(guard, other, DURATION, "10m", 1000, DAY_MS, "life of other protocols' flows") },
	{ NUMBER(guard, config_rate, UINT, "50", 1, 100000,
		 "ARP, ND, DHCP and group packets accepted per second, each kind") },

	{ STRING(collector, host, "", "name or address of the collector; absent: no alarms") },
	{ NUMBER(collector, port, UINT, "4647", 1, 65535, "its UDP port") },
	{ STRING(collector, cert, CONF "/collector.crt", "its certificate, which signs answers") },

	{ STRING(profile, file, "", "traffic profile of the model; absent: nothing is scored") },
	{ STRING(profile, maker, "",
		 "certificates or keys of who must have signed it; absent: anybody or nobody") },
	{ 0 },
};

static bool mode_valid(const char *s)
{
	size_t n = strlen(s);

	return n >= 3 && n <= 4 && strspn(s, "01234567") == n;
}

static bool is_address(const char *s)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, s, &addr) == 1 || inet_pton(AF_INET6, s, &addr) == 1;
}

static bool is_prefix(const char *s)
{
	struct hg_prefix prefix;

	return !hg_prefix_parse(s, &prefix);
}

/* Of a section that does nothing without an interface: what is wrong is wrong all the same. */
static int check_guard(const struct hg_agent_conf *c, const char *file, char *err, size_t err_size)
{
	static const char address[] = "an address; write an IPv4 or IPv6 address, not a name";
	static const char prefix[] = "a prefix; write for example 192.168.7.0/24 or fd00:7::/64";
	const struct {
		const char *key, *what;
		bool (*good)(const char *s);
		const struct hg_conf_list *list;
	} lists[] = {
		{ "dns", address, is_address, &c->guard.dns },
		{ "ntp", address, is_address, &c->guard.ntp },
		{ "trusted", prefix, is_prefix, &c->guard.trusted },
	};

	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (size_t i = 0; i < lists[l].list->count; i++) {
			const char *s = lists[l].list->items[i];

			if (lists[l].good(s))
				continue;
			snprintf(err, err_size, "%s: [guard] %s: '%s' is not %s", file,
				 lists[l].key, s, lists[l].what);
			return -EINVAL;
		}
	}
	return 0;
}

/* What one row cannot say: it concerns two keys, or the inside of a string. */
static int check(const struct hg_agent_conf *c, const char *path, char *err, size_t err_size)
{
	const char *file = path ? path : "(defaults)";

	if (!mode_valid(c->agent.socket_mode)) {
		snprintf(err, err_size,
			 "%s: [agent] socket_mode: '%s' is not an octal mode; "
			 "write for example 0660",
			 file, c->agent.socket_mode);
		return -EINVAL;
	}
	if (c->mirror.interval_min > c->mirror.interval_max ||
	    c->mirror.interval < c->mirror.interval_min ||
	    c->mirror.interval > c->mirror.interval_max) {
		snprintf(err, err_size,
			 "%s: [mirror] interval: must lie between interval_min and "
			 "interval_max; change one of the three",
			 file);
		return -EINVAL;
	}
	if (c->mirror.backoff_min > c->mirror.backoff_max) {
		snprintf(err, err_size,
			 "%s: [mirror] backoff_min: is over backoff_max; "
			 "lower it",
			 file);
		return -EINVAL;
	}
	for (size_t i = 0; i < c->mirror.links.count; i++) {
		const char *name = c->mirror.links.items[i];

		if (strlen(name) < IFNAMSIZ && strcmp(name, "lo") != 0)
			continue;
		snprintf(err, err_size,
			 "%s: [mirror] link: '%.64s' cannot be taken down; name an interface of at "
			 "most 15 characters, not the loopback",
			 file, name);
		return -EINVAL;
	}
	return check_guard(c, file, err, err_size);
}

int hg_agent_conf_load(const char *path, struct hg_agent_conf *conf, char *err, size_t err_size)
{
	struct hg_agent_conf c = { 0 };
	int ret;

	ret = hg_conf_load(hg_agent_conf_keys, path, &c, err, err_size);
	if (ret)
		return ret;
	ret = check(&c, path, err, err_size);
	if (ret) {
		hg_agent_conf_free(&c);
		return ret;
	}
	*conf = c;
	return 0;
}

void hg_agent_conf_free(struct hg_agent_conf *conf)
{
	hg_conf_free(hg_agent_conf_keys, conf);
}

mode_t hg_agent_conf_socket_mode(const struct hg_agent_conf *conf)
{
	return strtoul(conf->agent.socket_mode, NULL, 8);
}
