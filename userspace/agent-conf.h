/* SPDX-License-Identifier: MIT */
/*
 * The device's configuration file, heliographd.conf: read by the agent and by the command line.
 * One table (agent-conf.c) makes the parser, the help text and the list that man page and sample
 * file are held against.
 */
#ifndef HG_USERSPACE_AGENT_CONF_H
#define HG_USERSPACE_AGENT_CONF_H

#include <sys/types.h>
#include "../lib/conf.h"

#define HG_AGENT_CONF HG_SYSCONFDIR "/heliograph/heliographd.conf"
#define HG_SYNC_PORT 4646 /* default TCP port of a mirror's sync listener */

enum hg_clock_mode { HG_CLOCK_TOLERANT, HG_CLOCK_STRICT };

/* What comes in between sessions. */
enum hg_gate {
	HG_GATE_NO = 0,	      /* what the policy lets in */
	HG_GATE_SERVICES = 1, /* only what name and time servers and the collector answer */
	HG_GATE_STRICT = 2,   /* only what the collector answers */
};

struct hg_agent_conf {
	struct {
		int log_level; /* index into error, warning, info, debug */
		bool syslog;
		char *socket;
		char *socket_mode; /* octal, checked by hg_agent_conf_load() */
		char *socket_group;
		uint64_t clients;
	} agent;
	struct {
		char *state_dir;
		char *model; /* Thing Model, JSON */
		char *firmware;
		char *commands_dir;
		uint64_t store_max; /* bytes */
		uint64_t properties_max;
		uint64_t journal_max;
		uint64_t object_max;  /* bytes of a value or an output */
		uint64_t results_max; /* bytes of outputs that wait to be reported */
	} device;
	struct {
		char *host; /* absent: the device has no mirror */
		uint64_t port;
		char *name; /* in the mirror's certificate; absent: host */
		char *ca, *crl, *cert, *key;
		char *provider;	  /* OpenSSL's, for key; absent: as OpenSSL is configured */
		char *properties; /* by which it chooses algorithms, see property(7) */
		int clock;	  /* enum hg_clock_mode */
		bool early;
		uint64_t interval, interval_min, interval_max, interval_soon;
		uint64_t changes_many;
		uint64_t start_within;
		struct hg_conf_list links; /* taken down between sessions */
		uint64_t link_timeout;
		uint64_t jitter; /* percent */
		uint64_t backoff_min, backoff_max, backoff_refused;
		uint64_t connect_timeout, session_timeout, linger;
		uint64_t rounds_max;
	} mirror;
	struct {
		uint64_t time_limit, kill_after;
		uint64_t concurrent;
		uint64_t memory_max;
		uint64_t files_max;
	} commands;
	struct {
		struct hg_conf_list interfaces;
		bool required;
		int host;   /* enum hg_guard_host */
		int mode;   /* enum hg_guard_mode */
		int policy; /* enum hg_policy */
		bool confine, police;
		int gate; /* enum hg_gate */
		uint64_t heartbeat;
		char *pin_dir;
		char *object;
		struct hg_conf_list trusted;
		struct hg_conf_list dns, ntp; /* addresses; dns absent: those of /etc/resolv.conf */
		uint64_t flows_kept, flows_inside, flows_outside;
		uint64_t udp_one_way, udp_two_way;
		uint64_t tcp_opening, tcp_established, tcp_closing;
		uint64_t icmp, other;
		uint64_t config_rate;
	} guard;
	struct {
		char *host; /* absent: no alarms are sent */
		uint64_t port;
		char *cert; /* the collector's certificate, whose key signs what it answers */
	} collector;
	struct {
		char *file;  /* traffic profile; absent: nothing is scored */
		char *maker; /* PEM: who must have signed it; absent: anybody or nobody */
	} profile;
};

extern const struct hg_conf_key hg_agent_conf_keys[];

/*
 * Reads `path` with the table and checks what a table cannot say. Returns 0, or -errno with a
 * message that names file, line and key in err; *conf is then untouched. The caller frees with
 * hg_agent_conf_free().
 */
int hg_agent_conf_load(const char *path, struct hg_agent_conf *conf, char *err, size_t err_size);
void hg_agent_conf_free(struct hg_agent_conf *conf);

/* socket_mode as a number; it was checked when loaded. */
mode_t hg_agent_conf_socket_mode(const struct hg_agent_conf *conf);

#endif
