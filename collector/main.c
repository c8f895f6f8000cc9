// SPDX-License-Identifier: MIT
/*
 * heliograph-collector: the access operator's side. `serve` is a listener (ingest.c) and a decider
 * (decide.c) on one event loop and one pool of database connections; the other subcommands look at
 * the database from a shell (list.c). It blocks in the network namespace it is started in.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/args.h"
#include "../lib/conf.h"
#include "../lib/log.h"
#include "../lib/pg.h"
#include "conf.h"
#include "decide.h"
#include "ingest.h"
#include "list.h"

#define SCHEMA "collector"
#define TICK_S 5

struct collector {
	struct hg_collector_conf conf;
	struct event_base *base;
	struct hg_pg *pg;
	struct hg_ingest *ingest;
	struct hg_decide *decide;
};

static void on_stored(void *ctx)
{
	hg_decide_poke(((struct collector *)ctx)->decide);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	hg_ingest_tick(((struct collector *)ctx)->ingest);
}

static void on_stop(evutil_socket_t signal, short what, void *ctx)
{
	event_base_loopbreak(((struct collector *)ctx)->base);
}

static void on_hangup(evutil_socket_t signal, short what, void *ctx)
{
	struct collector *c = ctx;
	char err[512];

	if (hg_ingest_reload(c->ingest, err, sizeof(err)))
		hg_error("collector: device CA and revocation list not read again: %s", err);
	else
		hg_info("collector: device CA and revocation list read again");
}

static int start(struct collector *c)
{
	const struct hg_pg_options pg = {
		.conninfo = c->conf.database.conninfo,
		.connections = (unsigned int)c->conf.database.connections,
		.queue_max = (unsigned int)c->conf.database.queue,
		.timeout_ms = (unsigned int)c->conf.database.timeout,
		.search_path = SCHEMA,
	};
	struct hg_decide_options decide = { .base = c->base, .conf = &c->conf };
	struct hg_ingest_options ingest = {
		.base = c->base, .conf = &c->conf, .stored = on_stored, .ctx = c
	};
	char err[1024] = "";

	c->pg = hg_pg_new(c->base, &pg);
	if (!c->pg) {
		hg_error("collector: [database] conninfo: %s",
			 errno == EINVAL ? "not a connection string" : strerror(errno));
		return HG_EXIT_CONFIG;
	}
	decide.pg = ingest.pg = c->pg;
	c->decide = hg_decide_new(&decide, err, sizeof(err));
	if (!c->decide) {
		hg_error("collector: %s", err);
		return HG_EXIT_FAILED;
	}
	c->ingest = hg_ingest_new(&ingest, err, sizeof(err));
	if (!c->ingest) {
		hg_error("collector: %s", err);
		return HG_EXIT_CONFIG;
	}
	return HG_EXIT_OK;
}

static int run(struct collector *c)
{
	static const struct timeval tick = { .tv_sec = TICK_S };
	struct event *events[4];
	int ret = HG_EXIT_FAILED;

	events[0] = event_new(c->base, -1, EV_PERSIST, on_tick, c);
	events[1] = evsignal_new(c->base, SIGTERM, on_stop, c);
	events[2] = evsignal_new(c->base, SIGINT, on_stop, c);
	events[3] = evsignal_new(c->base, SIGHUP, on_hangup, c);
	for (size_t i = 0; i < 4; i++)
		if (!events[i] || event_add(events[i], i ? NULL : &tick))
			goto out;
	hg_info("collector: listening on port %llu%s", (unsigned long long)c->conf.collector.port,
		c->conf.decide.observe_only ? ", observing only" : "");
	event_base_dispatch(c->base);
	hg_info("collector: stopped");
	ret = HG_EXIT_OK;
out:
	for (size_t i = 0; i < 4; i++)
		if (events[i])
			event_free(events[i]);
	return ret;
}

static int serve(void *ctx, int argc, char **argv)
{
	static const int levels[] = { HG_LOG_ERROR, HG_LOG_WARN, HG_LOG_INFO, HG_LOG_DEBUG };
	struct collector *c = ctx;
	int ret;

	if (hg_args_take("heliograph-collector", argc, argv, 0, 0, NULL) < 0)
		return HG_EXIT_USAGE;
	hg_log_init("heliograph-collector", levels[c->conf.collector.log_level],
		    c->conf.collector.syslog);
	signal(SIGPIPE, SIG_IGN);
	c->base = event_base_new();
	if (!c->base)
		return HG_EXIT_FAILED;
	ret = start(c);
	if (!ret)
		ret = run(c);
	/* First the pool: it ends what is under way, and those it tells are still there. */
	hg_pg_free(c->pg);
	hg_ingest_free(c->ingest);
	hg_decide_free(c->decide);
	event_base_free(c->base);
	return ret;
}

static int migrate(void *ctx, int argc, char **argv)
{
	struct collector *c = ctx;
	char err[1024];
	int ret;

	if (hg_args_take("heliograph-collector", argc, argv, 0, 0, NULL) < 0)
		return HG_EXIT_USAGE;
	ret = hg_pg_migrate(c->conf.database.conninfo, SCHEMA, c->conf.database.migrations, err,
			    sizeof(err));
	if (ret)
		fprintf(stderr, "heliograph-collector: migrate: %s\n", err);
	return !ret ? HG_EXIT_OK : ret == -ECONNREFUSED ? HG_EXIT_UNAVAILABLE : HG_EXIT_FAILED;
}

#define LIST(name)                                                                                 \
	static int name(void *ctx, int argc, char **argv)                                          \
	{                                                                                          \
		return hg_list_##name(&((struct collector *)ctx)->conf, argc, argv);               \
	}
LIST(incidents)
LIST(decisions)
LIST(drift)
LIST(devices)
LIST(audit)
LIST(history)
LIST(restore)

static const struct hg_subcommand subcommands[] = {
	{ "serve", "", "take alarms, decide, block and restore", serve },
	{ "migrate", "", "make or update the schema in the database", migrate },
	{ "incidents", "[--all] [--json]", "list open incidents, or all", incidents },
	{ "decisions", "[--all] [--json]", "list lasting decisions, or all", decisions },
	{ "history", "ID [--json]", "what happened to a decision", history },
	{ "restore", "ID", "end a decision", restore },
	{ "drift", "[--json]", "what models do that their profiles lack", drift },
	{ "devices", "[--json]", "list enrolled devices", devices },
	{ "audit", "[--json]", "count datagrams by what became of them", audit },
	{ 0 },
};

static const struct hg_opt opts[] = { { 0 } };

static const struct hg_program program = {
	.name = "heliograph-collector",
	.purpose = "correlate devices' alarms, block attacks near their sources, and restore",
	.default_conf = HG_COLLECTOR_CONF,
	.opts = opts,
	.subcommands = subcommands,
	.keys = hg_collector_conf_keys,
};

static int set_option(void *ctx, const struct hg_opt *opt, const char *value)
{
	return -EINVAL;
}

int main(int argc, char **argv)
{
	struct collector c = { 0 };
	const char *path;
	char err[1024];
	int first, ret;

	first = hg_program_options(&program, argc, argv, set_option, &c, &path);
	if (first < 0)
		return HG_EXIT_USAGE;
	if (hg_collector_conf_load(path, &c.conf, err, sizeof(err))) {
		fprintf(stderr, "heliograph-collector: %s\n", err);
		return HG_EXIT_CONFIG;
	}
	ret = hg_program_run(&program, &c, argc - first, argv + first);
	hg_conf_free(hg_collector_conf_keys, &c.conf);
	return ret;
}
