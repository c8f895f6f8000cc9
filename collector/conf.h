/* SPDX-License-Identifier: MIT */
/*
 * The collector's configuration file, heliograph-collector.conf. One table (conf.c) makes the
 * parser, the help text and the list that man page and sample file are held against.
 */
#ifndef HG_COLLECTOR_CONF_H
#define HG_COLLECTOR_CONF_H

#include "../lib/conf.h"

#define HG_COLLECTOR_CONF HG_SYSCONFDIR "/heliograph/heliograph-collector.conf"

struct hg_collector_conf {
	struct {
		int log_level; /* index into error, warning, info, debug */
		bool syslog;
		struct hg_conf_list addresses; /* empty: all, IPv6 and IPv4 */
		uint64_t port;
		char *cert, *key; /* sign what devices are answered */
		char *device_ca, *device_crl;
		uint64_t keys; /* kept in memory */
	} collector;
	struct {
		char *conninfo;
		char *migrations;
		uint64_t connections, queue, timeout;
		uint64_t keep;
	} database;
	struct {
		uint64_t rate, burst; /* datagrams of one line */
		uint64_t enrolments;  /* of all, per second */
		uint64_t signatures;  /* verified for all, per second */
		uint64_t lines;	      /* remembered */
	} limits;
	struct {
		char *file;
		uint64_t ipv6; /* prefix length of a line that the file does not name */
	} lines;
	struct {
		uint64_t min_devices, evidence, keys, alarms_per_day, years;
	} correlate;
	struct {
		bool observe_only;
		uint64_t block, block_max, quiet, relapse;
		uint64_t line_max;
		struct hg_conf_list protected;
		char *table;
	} decide;
};

extern const struct hg_conf_key hg_collector_conf_keys[];

/* As hg_conf_load(); the caller frees with hg_conf_free(hg_collector_conf_keys, conf). */
int hg_collector_conf_load(const char *path, struct hg_collector_conf *conf, char *err,
			   size_t err_size);

#endif
