// SPDX-License-Identifier: MIT
/*
 * devices: many simulated devices in one process against a real mirror. `--enrol` makes identities
 * and rows, `--mirror` runs sessions; both may be given. docs/hacking.md shows a whole run.
 * Exit status: 0 if every device that took part is level, 1 if not, 2 for a wrong command line.
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "../../lib/conf.h"
#include "../../lib/tls.h"
#include "enrol.h"
#include "run.h"

#define SPARE_FDS 32
#define CHANGES 10 /* before a session of mode changes */

/* What a device shows to be known again. */
enum with { TICKET, PSK, CERTIFICATE, EARLY, WITH_KINDS };

struct options {
	const char *state, *mirror, *name;
	bool enrol, dump, print_model, spread_off;
	enum with with;
	struct load_identities ids;
	struct load_database db;
	struct load_plan plan;
	uint32_t connect_timeout_s, timeout_s, text, rounds;
};

enum kind { STRING, NUMBER, FLAG, MODE, WITH };

struct option {
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
};

#define AT(field) offsetof(struct options, field)

static const struct hg_opt opts[] = {
	{ 0, "state", "DIR", "identities, tickets and cursors; a second run continues them" },
	{ 0, "enrol", NULL, "make what is missing of identities and rows; wants --ca, --database" },
	{ 0, "devices", "N", "so many (default 1000, at most 1000000)" },
	{ 0, "ca", "DIR", "of `heliograph-mirror ca init`; signs a certificate for each device" },
	{ 0, "keys", "N", "P-256 keys, SHARED: device i has key i mod N (default 64)" },
	{ 0, "database", "CONNINFO",
	  "rows are made by admin_device_add(), as `device add` does, 1,000 in a transaction" },
	{ 0, "schema", "NAME", "of the mirror (default heliograph)" },
	{ 0, "model", "NAME", "Thing Model of the devices (default load)" },
	{ 0, "prefix", "TEXT", "UIDs are TEXT-000000 and on (default load)" },
	{ 0, "properties", "N", "of a device: p0, p1, ... (default 16)" },
	{ 0, "text", "N",
	  "values are text of N digits instead of integers; say it with --print-model, too" },
	{ 0, "print-model", NULL, "print the Thing Model for `heliograph-mirror model add`" },
	{ 0, "mirror", "ADDRESS:PORT", "run sessions with this mirror; of 127/8, each device has" },
	{ 0, "one-address", NULL, "a source address of its own unless this is given" },
	{ 0, "name", "HOST", "that the mirror's certificate must name (default localhost)" },
	{ 0, "mode", "MODE",
	  "first: contact of those that had none; idle: resumed; changes: resumed, with --changes;"
	  " full: idle without tickets (default idle)" },
	{ 0, "with", "WHAT",
	  "ticket, psk or certificate: how sessions are resumed, or not; with psk first contacts"
	  " ask for a key; early: psk, and idle requests are early data (default ticket)" },
	{ 0, "changes", "N",
	  "made before each session, at most --properties (default 10 in mode changes, else 0)" },
	{ 0, "rounds", "N", "of a session at least, 256 at most (default: as many as it needs)" },
	{ 0, "rate", "N", "devices per second; without it and --loop all want at once" },
	{ 0, "loop", NULL, "closed loop: --connections sessions are under way all the time" },
	{ 0, "limit", "N", "only so many devices take part, the first that can" },
	{ 0, "connections", "N", "open at once at most (default 1000)" },
	{ 0, "sessions", "N", "of each device (default 1)" },
	{ 0, "tries", "N", "of each session (default 20)" },
	{ 0, "backoff", "MS", "first bound of the random time after a failure (default 2000)" },
	{ 0, "backoff-max", "MS", "last bound (default 1800000)" },
	{ 0, "connect-timeout", "S", "of each of connection and handshake (default 20)" },
	{ 0, "timeout", "S", "of one session (default 120)" },
	{ 0, "deadline", "S", "of the run (default 600)" },
	{ 0, "continue", NULL, "the run that was killed, with the devices that it left" },
	{ 0, "curve", "FILE", "how the run went, a line each 100 ms: what its first line says" },
	{ 0, "server-pid", "PID", "tell the CPU time of this process, too" },
	{ 0, "database-pid", "PID", "and of this one with its children: PostgreSQL's first" },
	{ 0, "dump", NULL, "print each device: UID, session, changes, and its three cursors" },
	{ 0 },
};

static const struct option table[] = {
	{ "state", STRING, AT(state), 0, 0 },
	{ "enrol", FLAG, AT(enrol), 0, 0 },
	{ "devices", NUMBER, AT(ids.devices), 1, LOAD_DEVICES_MAX },
	{ "ca", STRING, AT(ids.ca), 0, 0 },
	{ "keys", NUMBER, AT(ids.keys), 1, LOAD_KEYS_MAX },
	{ "database", STRING, AT(db.conninfo), 0, 0 },
	{ "schema", STRING, AT(db.schema), 0, 0 },
	{ "model", STRING, AT(db.model), 0, 0 },
	{ "prefix", STRING, AT(ids.prefix), 0, 0 },
	{ "properties", NUMBER, AT(ids.properties), 1, LOAD_PROPERTIES_MAX },
	{ "text", NUMBER, AT(text), 1, LOAD_TEXT_MAX },
	{ "print-model", FLAG, AT(print_model), 0, 0 },
	{ "mirror", STRING, AT(mirror), 0, 0 },
	{ "one-address", FLAG, AT(spread_off), 0, 0 },
	{ "name", STRING, AT(name), 0, 0 },
	{ "mode", MODE, AT(plan.mode), 0, 0 },
	{ "with", WITH, AT(with), 0, 0 },
	{ "changes", NUMBER, AT(plan.changes), 1, LOAD_PROPERTIES_MAX },
	{ "rounds", NUMBER, AT(rounds), 1, LOAD_ROUNDS_MAX },
	{ "rate", NUMBER, AT(plan.rate), 1, 1000000 },
	{ "loop", FLAG, 0, 0, 0 },
	{ "limit", NUMBER, AT(plan.limit), 1, LOAD_DEVICES_MAX },
	{ "connections", NUMBER, AT(plan.connections), 1, 200000 },
	{ "sessions", NUMBER, AT(plan.sessions), 1, 1000000 },
	{ "tries", NUMBER, AT(plan.tries), 1, 1000000 },
	{ "backoff", NUMBER, AT(plan.backoff_ms), 1, 86400000 },
	{ "backoff-max", NUMBER, AT(plan.backoff_max_ms), 1, 86400000 },
	{ "connect-timeout", NUMBER, AT(connect_timeout_s), 1, 3600 },
	{ "timeout", NUMBER, AT(timeout_s), 1, 3600 },
	{ "deadline", NUMBER, AT(plan.deadline_s), 1, 86400 },
	{ "continue", FLAG, AT(plan.go_on), 0, 0 },
	{ "curve", STRING, AT(plan.curve), 0, 0 },
	{ "server-pid", NUMBER, AT(plan.server), 1, INT_MAX },
	{ "database-pid", NUMBER, AT(plan.database), 1, INT_MAX },
	{ "dump", FLAG, AT(dump), 0, 0 },
};

static const struct hg_program program = {
	.name = "devices",
	.purpose = "load for a mirror: simulated devices with real TLS and real messages",
	.opts = opts,
};

static int set_number(const struct option *o, void *to, const char *text)
{
	uint32_t value;
	char *rest;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &rest, 10);
	if (errno || rest == text || *rest || *text == '-' || n < o->min || n > o->max)
		return -EINVAL;
	value = (uint32_t)n;
	memcpy(to, &value, sizeof(value));
	return 0;
}

static int set_mode(enum load_mode *mode, const char *text)
{
	for (int i = 0; i < LOAD_MODES; i++) {
		if (!strcmp(text, load_mode_name(i))) {
			*mode = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_with(enum with *with, const char *text)
{
	static const char *const names[] = { "ticket", "psk", "certificate", "early" };

	for (int i = 0; i < WITH_KINDS; i++) {
		if (!strcmp(text, names[i])) {
			*with = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_option(void *ctx, const struct hg_opt *opt, const char *value)
{
	struct options *o = ctx;
	const struct option *t = table;

	while (strcmp(t->name, opt->name))
		t++;
	if (!strcmp(t->name, "loop"))
		o->plan.arrival = LOAD_LOOP;
	else if (t->kind == FLAG)
		*(bool *)((char *)o + t->offset) = true;
	else if (t->kind == STRING)
		*(const char **)((char *)o + t->offset) = value;
	else if (t->kind == MODE)
		return set_mode(&o->plan.mode, value);
	else if (t->kind == WITH)
		return set_with(&o->with, value);
	else
		return set_number(t, (char *)o + t->offset, value);
	return 0;
}

static int complain(int status, const char *what, const char *why)
{
	fprintf(stderr, "devices: %s%s%s\n", what, *why ? ": " : "", why);
	return status;
}

static int print_model(const struct options *o)
{
	printf("{\"@context\": [\"https://www.w3.org/2022/wot/td/v1.1\","
	       " {\"hg\": \"urn:heliograph:td#\"}],\n"
	       " \"@type\": \"tm:ThingModel\", \"title\": \"Load\", \"hg:model\": \"%s\",\n"
	       " \"properties\": {\"target\": {\"type\": \"integer\"}",
	       o->db.model);
	for (uint32_t i = 0; i < o->ids.properties; i++)
		printf(",\n  \"p%u\": {\"type\": \"%s\", \"readOnly\": true}", i,
		       o->text ? "string" : "integer");
	printf("},\n \"actions\": {\"blink\": {}, \"locate\": {\"idempotent\": true}}}\n");
	return HG_EXIT_OK;
}

static int enrol(struct options *o, struct load_state *s)
{
	size_t len = strlen(o->ids.prefix);
	char err[512];
	long n;

	if (!o->ids.ca || !o->db.conninfo)
		return complain(HG_EXIT_USAGE, "--enrol wants --ca and --database", "");
	if (len > LOAD_PREFIX_MAX || !hg_uid_valid(o->ids.prefix, len))
		return complain(HG_EXIT_USAGE, "--prefix",
				"1 to 24 of A-Z a-z 0-9 . _ -, first a letter or digit");
	if (load_state_make(s, o->state, &o->ids))
		return complain(HG_EXIT_FAILED, s->error, "");
	n = load_enrol(s, &o->db, err, sizeof(err));
	if (n < 0)
		return complain(HG_EXIT_UNAVAILABLE, err, "");
	fprintf(stderr, "devices: %u identities, %ld new rows; %u keys are shared among them\n",
		s->head->devices, n, s->head->keys);
	return HG_EXIT_OK;
}

static int resolve(const char *where, struct load_peer *peer)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	const char *colon = strrchr(where, ':');
	struct addrinfo *ai;
	char host[64];
	int n = colon ? (int)(colon - where) : 0;

	if (n < 1 || n >= (int)sizeof(host))
		return -1;
	if (where[0] == '[' && where[n - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", n - 2, where + 1);
	else
		snprintf(host, sizeof(host), "%.*s", n, where);
	if (getaddrinfo(host, colon + 1, &hints, &ai))
		return -1;
	memcpy(&peer->addr, ai->ai_addr, ai->ai_addrlen);
	peer->addr_len = ai->ai_addrlen;
	peer->spread = ai->ai_family == AF_INET && !strncmp(host, "127.", 4);
	freeaddrinfo(ai);
	return 0;
}

static int descriptors(uint32_t connections)
{
	struct rlimit l;
	char text[128];

	if (getrlimit(RLIMIT_NOFILE, &l))
		return complain(HG_EXIT_FAILED, "getrlimit", strerror(errno));
	if (l.rlim_cur >= connections + SPARE_FDS)
		return HG_EXIT_OK;
	l.rlim_cur = connections + SPARE_FDS;
	if (l.rlim_max < l.rlim_cur)
		l.rlim_max = l.rlim_cur; /* a privileged one may */
	if (!setrlimit(RLIMIT_NOFILE, &l))
		return HG_EXIT_OK;
	snprintf(text, sizeof(text), "%u need as many descriptors; raise `ulimit -Hn`",
		 connections);
	return complain(HG_EXIT_FAILED, "--connections", text);
}

static int open_peer(const struct options *o, struct load_peer *peer)
{
	char cert[PATH_MAX], key[PATH_MAX], ca[PATH_MAX], err[512];
	struct hg_tls_files files = { cert, key, ca, NULL };
	struct event_config *c = event_config_new();

	snprintf(cert, sizeof(cert), "%s/first.crt", o->state);
	snprintf(key, sizeof(key), "%s/keys.pem", o->state);
	snprintf(ca, sizeof(ca), "%s/ca.crt", o->state);
	if (resolve(o->mirror, peer))
		return complain(HG_EXIT_USAGE, "--mirror", "write ADDRESS:PORT, both as numbers");
	if (o->spread_off)
		peer->spread = false;
	peer->tls = hg_tls_ctx_new(HG_TLS_SYNC_CLIENT, &files, err, sizeof(err));
	if (!peer->tls)
		return complain(HG_EXIT_FAILED, err, "");
	load_session_prepare(peer);
	if (c) {
		event_config_set_flag(c, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
		event_config_set_max_dispatch_interval(c, NULL, LOAD_LAST_BURST,
						       LOAD_LAST_PRIORITY);
	}
	peer->base = c ? event_base_new_with_config(c) : NULL;
	if (c)
		event_config_free(c);
	return peer->base && !event_base_priority_init(peer->base, LOAD_PRIORITIES)
		       ? descriptors(o->plan.connections)
		       : complain(HG_EXIT_FAILED, "cannot set up the event loop", "");
}

static int run(struct options *o, struct load_state *s)
{
	struct load_peer peer = { .state = s,
				  .name = o->name,
				  .full = o->plan.mode == LOAD_FULL || o->plan.mode == LOAD_FIRST ||
					  o->with == CERTIFICATE,
				  .early = o->with == EARLY,
				  .connect_timeout_s = o->connect_timeout_s,
				  .timeout_s = o->timeout_s };
	struct load_result r = { 0 };
	char err[256];
	int rc = open_peer(o, &peer);

	s->text = o->text;
	s->rounds = o->rounds;
	s->want_psk = o->with == PSK || o->with == EARLY;
	if (!rc && o->plan.changes > s->head->properties)
		rc = complain(HG_EXIT_USAGE, "--changes", "more than the devices have properties");
	if (!rc && load_run(&peer, &o->plan, &r, err, sizeof(err)))
		rc = complain(HG_EXIT_FAILED, err, "");
	if (!rc) {
		load_result_table(&r, &peer, stderr);
		load_result_json(&r, &peer, stdout);
		if (!r.took_part)
			rc = complain(
				HG_EXIT_FAILED, "no device takes part",
				"idle, full and changes are of those that had contact, first of "
				"those that had none");
		else if (r.level < r.took_part)
			rc = HG_EXIT_FAILED;
	}
	load_result_free(&r);
	SSL_CTX_free(peer.tls);
	if (peer.base)
		event_base_free(peer.base);
	return rc;
}

static void dump(const struct load_state *s)
{
	char uid[LOAD_UID_TEXT];

	for (uint32_t i = 0; i < s->head->devices; i++) {
		const struct load_record *r = &s->records[i];

		load_state_uid(s, i, uid);
		printf("%s\t%llu\t%llu\t%llu\t%llu\t%llu\n", uid, (unsigned long long)r->session,
		       (unsigned long long)r->seq, (unsigned long long)r->acked,
		       (unsigned long long)r->mirror_cursor, (unsigned long long)r->command_cursor);
	}
}

int main(int argc, char **argv)
{
	struct options o = {
		.name = "localhost",
		.ids = { .prefix = "load", .devices = 1000, .properties = 16, .keys = 64 },
		.db = { .schema = "heliograph", .model = "load" },
		.plan = { .mode = LOAD_IDLE,
			  .connections = 1000,
			  .sessions = 1,
			  .tries = 20,
			  .backoff_ms = 2000,
			  .backoff_max_ms = 1800000,
			  .deadline_s = 600 },
		.connect_timeout_s = 20,
		.timeout_s = 120
	};
	struct load_state s = { .fd = -1 };
	int rc = hg_program_options(&program, argc, argv, set_option, &o, NULL);

	if (rc < 0)
		return HG_EXIT_USAGE;
	if (rc < argc)
		return complain(HG_EXIT_USAGE, argv[rc], "no operands are taken; see --help");
	if (o.print_model)
		return print_model(&o);
	if (!o.state || !(o.enrol || o.mirror || o.dump))
		return complain(HG_EXIT_USAGE, "wants --state, and --enrol, --mirror or --dump",
				"");
	if (o.plan.rate && o.plan.arrival == LOAD_LOOP)
		return complain(HG_EXIT_USAGE, "--rate or --loop, not both", "");
	if (o.plan.rate)
		o.plan.arrival = LOAD_RATE;
	if (!o.plan.changes && o.plan.mode == LOAD_CHANGES)
		o.plan.changes = CHANGES;
	signal(SIGPIPE, SIG_IGN);
	rc = o.enrol ? enrol(&o, &s) : 0;
	if (!o.enrol && load_state_open(&s, o.state))
		rc = complain(HG_EXIT_FAILED, s.error, "");
	if (!rc && o.mirror)
		rc = run(&o, &s);
	if (!rc && o.dump)
		dump(&s);
	load_state_close(&s);
	return rc;
}
