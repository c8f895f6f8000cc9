// SPDX-License-Identifier: MIT
/*
 * Lists: what an operator asks from a shell, each one query on a connection of its own. Text for
 * people, or with --json an array of objects with the same names. Called by main.c.
 */
#include "list.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/args.h"
#include "../lib/pg.h"

#define PROGRAM "heliograph-collector"

struct options {
	bool all, json;
	const char *word; /* the one argument, if the subcommand takes one */
};

/* Returns 0, or HG_EXIT_USAGE after saying what is wrong. */
static int read_options(int argc, char **argv, bool takes_all, bool takes_word, struct options *o)
{
	struct hg_arg args[] = { { .name = "json", .max = 1 },
				 { .name = takes_all ? "all" : NULL, .max = 1 },
				 { 0 } };
	int words = takes_word ? 1 : 0;

	if (hg_args_take(PROGRAM, argc, argv, words, words, args) < 0)
		return HG_EXIT_USAGE;
	*o = (struct options){ .json = args[0].count,
			       .all = args[1].count,
			       .word = takes_word ? argv[1] : NULL };
	return 0;
}

/* Runs the query; NULL after saying why not: *ret is the exit code then. */
static PGresult *run(const struct hg_collector_conf *conf, PGconn **pg, const char *sql, int n,
		     const char *const *values, int *ret)
{
	PGresult *res = NULL;

	*pg = PQconnectdb(conf->database.conninfo);
	if (PQstatus(*pg) == CONNECTION_OK) {
		PQclear(PQexec(*pg, "SET search_path = collector; SET TimeZone = 'UTC'"));
		res = PQexecParams(*pg, sql, n, NULL, values, NULL, NULL, 0);
		if (PQresultStatus(res) == PGRES_TUPLES_OK)
			return res;
	}
	hg_pg_complain(PROGRAM, *pg, res);
	*ret = PQstatus(*pg) == CONNECTION_OK ? HG_EXIT_FAILED : HG_EXIT_UNAVAILABLE;
	PQclear(res);
	PQfinish(*pg);
	return NULL;
}

static int list(const struct hg_collector_conf *conf, const struct options *o, const char *sql,
		int n, const char *const *values)
{
	char wrapped[4096];
	int ret = HG_EXIT_OK;
	PGresult *res;
	PGconn *pg;

	snprintf(wrapped, sizeof(wrapped),
		 o->json ? "SELECT coalesce(json_agg(x), '[]') FROM (%s) x" : "%s", sql);
	res = run(conf, &pg, wrapped, n, values, &ret);
	if (!res)
		return ret;
	if (o->json)
		puts(PQgetvalue(res, 0, 0));
	else if (hg_pg_print(res))
		ret = HG_EXIT_FAILED;
	PQclear(res);
	PQfinish(pg);
	return ret;
}

#define TIME(column) "to_char(" column ", 'YYYY-MM-DD HH24:MI:SS')"

int hg_list_incidents(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, true, false, &o);
	const char *values[] = { o.all ? "t" : "f" };

	return ret ? ret
		   : list(conf, &o,
			  "SELECT incident_id AS incident, CASE WHEN closed_at IS NULL THEN 'open' ELSE 'closed' END "
			  "AS state, target, CASE port WHEN 0 THEN 'any' ELSE port::text END AS port, "
			  "array_to_string(classes, '+') AS classes, devices, lines, lasting AS blocks, "
			  "array_to_string(attacks, '+') AS attacks, " TIME("opened_at") " AS opened, " TIME(
				  "last_seen_at") " AS last_seen, " TIME("closed_at") " AS closed "
										      "FROM incident_list WHERE $1::boolean OR closed_at IS NULL ORDER BY incident_id",
			  1, values);
}

int hg_list_decisions(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, true, false, &o);
	const char *values[] = { o.all ? "t" : "f" };

	return ret ? ret
		   : list(conf, &o,
			  "SELECT decision_id AS decision, state, incident_id AS incident, uid AS device, line, target, "
			  "CASE port WHEN 0 THEN 'any' ELSE port::text END AS port, hits, relapse, " TIME(
				  "made_at") " AS made, " TIME("coalesce(ended_at, ends_at)") " AS \"end\", reason "
											      "FROM decision WHERE $1::boolean OR ended_at IS NULL ORDER BY decision_id",
			  1, values);
}

int hg_list_drift(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, false, false, &o);

	return ret ? ret
		   : list(conf, &o,
			  "SELECT model, firmware, channel, feature, window_s AS window, devices, alarms, most, "
			  "bound, " TIME("first_at") " AS first, " TIME(
				  "last_at") " AS last "
					     "FROM drift_list ORDER BY devices DESC, alarms DESC, model, firmware, channel, feature",
			  0, NULL);
}

int hg_list_devices(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, false, false, &o);

	return ret ? ret
		   : list(conf, &o,
			  "SELECT uid AS device, encode(key_id, 'hex') AS key, " TIME("enrolled_at") " AS enrolled, " TIME(
				  "last_alarm_at") " AS last_alarm, "
						   "(SELECT count(*) FROM episode e WHERE e.key_id = k.key_id AND e.ended_at IS NULL) AS episodes "
						   "FROM device_key k ORDER BY uid, enrolled_at",
			  0, NULL);
}

int hg_list_audit(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, false, false, &o);

	return ret ? ret
		   : list(conf, &o, "SELECT day, reason, count FROM audit ORDER BY day, reason", 0,
			  NULL);
}

static bool is_number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n && n <= 18 && !s[n];
}

int hg_list_history(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, false, true, &o);
	const char *values[] = { o.word };

	if (!ret && !is_number(o.word)) {
		fprintf(stderr, "heliograph-collector: history: '%s' is no decision's number\n",
			o.word);
		ret = HG_EXIT_USAGE;
	}
	return ret ? ret
		   : list(conf, &o,
			  "SELECT " TIME(
				  "at") " AS at, event, detail FROM decision_history "
					"WHERE decision_id = $1 ORDER BY decision_history.at",
			  1, values);
}

int hg_list_restore(const struct hg_collector_conf *conf, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = read_options(argc, argv, false, true, &o);
	const char *values[] = { o.word };
	PGresult *res;
	PGconn *pg;

	if (ret)
		return ret;
	if (!is_number(o.word)) {
		fprintf(stderr, "heliograph-collector: restore: '%s' is no decision's number\n",
			o.word);
		return HG_EXIT_USAGE;
	}
	res = run(conf, &pg, "SELECT hg_decision_end($1, 'lifted', 'by the operator')", 1, values,
		  &ret);
	if (!res)
		return ret;
	ret = *PQgetvalue(res, 0, 0) == 't' ? HG_EXIT_OK : HG_EXIT_FAILED;
	if (ret == HG_EXIT_OK)
		printf("decision %s: lifted\n", o.word);
	else
		fprintf(stderr, "heliograph-collector: restore: decision %s does not last\n",
			o.word);
	PQclear(res);
	PQfinish(pg);
	return ret;
}
