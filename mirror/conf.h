/* SPDX-License-Identifier: MIT */
/*
 * heliograph-mirror.conf as the program holds it. conf.c has the table; heliograph-mirror.conf(5)
 * and the sample file say what each key means.
 */
#ifndef HG_MIRROR_CONF_H
#define HG_MIRROR_CONF_H

#include "../lib/conf.h"

struct hg_mirror_conf {
	struct {
		int level;
		bool syslog;
	} log;
	struct {
		char *conninfo, *schema, *migrations;
		uint64_t connections, queue, timeout;
	} database;
	struct {
		char *listen, *cert, *key, *ca, *crl, *public_host;
		char *psk_key, *psk_key_previous; /* absent: no pre-shared keys */
		uint64_t psk_life;
		bool early;
		uint64_t public_port, connections, handshake_timeout, idle_timeout, message_timeout;
		uint64_t busy_interval, object_max, threads, batch, tickets;
	} sync;
	struct {
		char *listen, *cert, *key, *public_url;
		uint64_t connections, body_max, request_timeout;
	} http;
	struct {
		char *directory;
		uint64_t device_days, server_days, ca_days, crl_days;
		bool renew;
	} ca;
	struct {
		uint64_t outbox, commands, audit;
	} keep;
};

extern const struct hg_conf_key hg_mirror_conf_keys[];

#endif
