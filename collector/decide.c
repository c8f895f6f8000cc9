// SPDX-License-Identifier: MIT
/*
 * Decide: a small machine that has at most one statement under way, so that alarms are judged in
 * the order of their storage and no two transactions raise the same incident. Its states, each with
 * the query whose answer leads on:
 *
 *   CONFIGURE -> RECALL (alarms judged before a restart feed the statistic again) -> ALL -> IDLE
 *   IDLE -> WAITING -> CONCLUDE -> WAITING ... -> REVIEW -> CHANGED -> APPLIED -> IDLE
 *   IDLE -> HITS -> IDLE
 *
 * The database holds every fact: an answer that is lost is asked for again with the next tick, and
 * an alarm that is fed to the statistic twice counts once.
 */
#include "decide.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../lib/log.h"
#include "block.h"
#include "correlate.h"

#define BATCH 256
#define TICK_MS 500
#define HITS_S 2    /* how often the blocks' counters are read */
#define RESYNC_S 30 /* how often all wanted blocks are read, not only what changed */
#define FORGET_S 3600

enum state {
	CONFIGURE,
	RECALL,
	ALL,
	IDLE,
	WAITING,
	CONCLUDE,
	REVIEW,
	CHANGED,
	APPLIED,
	HITS,
	FORGET
};

struct hg_decide {
	struct hg_decide_options o;
	struct hg_correlate *correlate;
	struct hg_block *block; /* NULL: observe only */
	struct event *timer, *now;
	enum state state;
	bool busy;    /* a statement is under way */
	bool poked;   /* alarms may wait */
	bool unhappy; /* a failure was logged */
	bool blocks_fail;
	bool forgets;	    /* there may be more that is old: at the start, and after each part */
	unsigned int batch; /* 1 after a failure, to find the alarm at fault */
	uint64_t recalled;  /* last alarm fed again */
	uint64_t change;    /* last change of decisions seen */
	uint64_t reviewed_s, hits_s, resync_s, forget_s;
	char lone[24]; /* the alarm being concluded by itself */
	json_t *ids, *packets;
};

static void step(struct hg_decide *d);

static uint64_t monotonic_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static void go(struct hg_decide *d, enum state state)
{
	d->state = state;
}

/* Back to where nothing is half-done; the timer tries again. */
static void give_up(struct hg_decide *d, const char *error)
{
	if (!d->unhappy)
		hg_error("decide: database: %s", error);
	d->unhappy = true;
	if (d->state > IDLE)
		go(d, IDLE);
}

static void on_answer(void *ctx, const PGresult *res, const char *error);

static void ask(struct hg_decide *d, const char *sql, int n, const char *const *values)
{
	if (hg_pg_query(d->o.pg, sql, n, values, on_answer, d))
		give_up(d, "too many statements are waiting");
	else
		d->busy = true;
}

static uint64_t number(const PGresult *res, int row, int column)
{
	return strtoull(PQgetvalue(res, row, column), NULL, 10);
}

/* "10.0.0.0/24 6 80" per row */
static void read_targets(const char *text, struct hg_correlate_report *out)
{
	while (*text && out->n_targets < HG_ALARM_TARGETS_MAX) {
		struct hg_correlate_target *t = &out->targets[out->n_targets];
		char net[HG_NET_STRLEN];
		unsigned int proto, port;

		if (sscanf(text, "%49s %u %u", net, &proto, &port) == 3 &&
		    !hg_net_parse(net, &t->net)) {
			t->proto = (uint8_t)proto;
			t->port = (uint16_t)port;
			out->n_targets++;
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
}

/* Columns: alarm_id, uid, line, class, at_s, targets. */
static size_t correlate_row(struct hg_decide *d, const PGresult *res, int row,
			    struct hg_crossing out[static HG_CROSSINGS_MAX])
{
	struct hg_correlate_report r = { .uid = PQgetvalue(res, row, 1),
					 .time_s = number(res, row, 4),
					 .alarm_class = (uint8_t)number(res, row, 3) };

	read_targets(PQgetvalue(res, row, 5), &r);
	return hg_correlate_report(d->correlate, &r, out);
}

static void configure(struct hg_decide *d)
{
	const struct hg_collector_conf *c = d->o.conf;
	json_t *protected = json_array();
	const char *values[1];
	char *text;

	for (size_t i = 0; i < c->decide.protected.count; i++)
		json_array_append_new(protected, json_string(c->decide.protected.items[i]));
	json_t *o = json_pack("{sbsIsIsIsIsIsIsIso}", "observe_only", (int)c->decide.observe_only,
			      "min_devices", (json_int_t)c->correlate.min_devices, "evidence_ms",
			      (json_int_t)c->correlate.evidence, "block_ms",
			      (json_int_t)c->decide.block, "block_max_ms",
			      (json_int_t)c->decide.block_max, "quiet_ms",
			      (json_int_t)c->decide.quiet, "relapse_ms",
			      (json_int_t)c->decide.relapse, "line_max",
			      (json_int_t)c->decide.line_max, "protected", protected);

	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	values[0] = text;
	ask(d, "SELECT hg_configure($1)", 1, values);
	free(text);
}

static void ask_recall(struct hg_decide *d)
{
	char after[24], most[24];
	const char *values[] = { after, most };

	snprintf(after, sizeof(after), "%llu", (unsigned long long)d->recalled);
	snprintf(most, sizeof(most), "%d", BATCH);
	ask(d, "SELECT * FROM hg_alarms_recent($1, $2)", 2, values);
}

static void take_recalled(struct hg_decide *d, const PGresult *res)
{
	struct hg_crossing unused[HG_CROSSINGS_MAX];
	int n = PQntuples(res);

	for (int i = 0; i < n; i++) {
		correlate_row(d, res, i, unused);
		d->recalled = number(res, i, 0);
	}
	if (n < BATCH)
		go(d, ALL);
}

static void ask_waiting(struct hg_decide *d)
{
	char most[24];
	const char *values[] = { most };

	d->poked = false;
	snprintf(most, sizeof(most), "%u", d->batch);
	ask(d, "SELECT * FROM hg_alarms_waiting($1)", 1, values);
}

/* [[alarm, [[target, port, ln R], ...]], ...] */
static char *judge(struct hg_decide *d, const PGresult *res)
{
	json_t *all = json_array();
	char *text, net[HG_NET_STRLEN];

	for (int i = 0; i < PQntuples(res); i++) {
		struct hg_crossing c[HG_CROSSINGS_MAX];
		size_t n = correlate_row(d, res, i, c);
		json_t *raised = json_array();

		for (size_t k = 0; k < n; k++)
			json_array_append_new(raised,
					      json_pack("[sif]", hg_net_format(&c[k].target, net),
							(int)c[k].port, c[k].ln_r));
		json_array_append_new(all,
				      json_pack("[Io]", (json_int_t)number(res, i, 0), raised));
	}
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}

static void take_waiting(struct hg_decide *d, const PGresult *res)
{
	const char *values[1];
	char *text;

	if (!PQntuples(res)) {
		go(d, REVIEW);
		return;
	}
	if (PQntuples(res) == (int)d->batch)
		d->poked = true;
	snprintf(d->lone, sizeof(d->lone), "%s", PQgetvalue(res, 0, 0));
	text = judge(d, res);
	values[0] = text;
	go(d, CONCLUDE);
	ask(d,
	    "SELECT coalesce(sum(hg_alarm_conclude((x->>0)::bigint, x->1)), 0) "
	    "FROM jsonb_array_elements($1) x",
	    1, values);
	free(text);
}

/* One alarm that the database cannot conclude must not keep the others waiting for ever. */
static void skip_alarm(struct hg_decide *d, const char *error)
{
	const char *values[] = { d->lone };

	if (d->batch > 1) {
		d->batch = 1;
		d->poked = true;
		go(d, WAITING);
		return;
	}
	hg_error("decide: alarm %s: not concluded: %s", d->lone, error);
	go(d, CONCLUDE);
	ask(d, "SELECT hg_alarm_skip($1)", 1, values);
}

static void take_concluded(struct hg_decide *d, const PGresult *res)
{
	unsigned long made = PQntuples(res) ? strtoul(PQgetvalue(res, 0, 0), NULL, 10) : 0;

	if (made)
		hg_info("decide: %lu new decisions", made);
	d->batch = BATCH;
	/* Blocks first, even if more alarms wait: they are what the victim waits for. */
	go(d, made || !d->poked ? REVIEW : WAITING);
}

static void take_reviewed(struct hg_decide *d, const PGresult *res)
{
	for (int i = 0; i < PQntuples(res); i++)
		hg_info("decide: decision %s: %s to %s: %s: %s", PQgetvalue(res, i, 0),
			PQgetvalue(res, i, 2), PQgetvalue(res, i, 3), PQgetvalue(res, i, 4),
			PQgetvalue(res, i, 5));
	d->reviewed_s = monotonic_s();
	go(d, CHANGED);
}

static void ask_changed(struct hg_decide *d)
{
	char since[24];
	const char *values[] = { since };

	if (d->state == ALL)
		d->change = 0;
	snprintf(since, sizeof(since), "%llu", (unsigned long long)d->change);
	ask(d, "SELECT * FROM hg_decisions_changed($1)", 1, values);
}

/* Columns: change, decision_id, line, target, proto, port, wanted, seconds. */
static void want_row(struct hg_decide *d, const PGresult *res, int row, uint64_t now_s)
{
	struct hg_block_decision b = { .id = number(res, row, 1),
				       .proto = (uint8_t)number(res, row, 4),
				       .port = (uint16_t)number(res, row, 5),
				       .until_s = now_s + number(res, row, 7) };

	if (number(res, row, 0) > d->change)
		d->change = number(res, row, 0);
	if (!d->block)
		return;
	if (*PQgetvalue(res, row, 6) != 't' || hg_net_parse(PQgetvalue(res, row, 2), &b.line) ||
	    hg_net_parse(PQgetvalue(res, row, 3), &b.target))
		hg_block_unwant(d->block, b.id);
	else
		hg_block_want(d->block, &b);
}

static void apply(struct hg_decide *d)
{
	char err[512];
	int failed;

	failed = hg_block_apply(d->block, monotonic_s(), err, sizeof(err));
	if (failed && !d->blocks_fail)
		hg_error("decide: %s", err);
	else if (!failed && d->blocks_fail)
		hg_info("decide: nftables takes blocks again");
	d->blocks_fail = failed != 0;
}

static void take_changed(struct hg_decide *d, const PGresult *res)
{
	uint64_t now_s = monotonic_s();
	const char *values[1];
	char *ids;
	size_t len = 1;

	if (d->state == ALL) {
		d->resync_s = now_s;
		if (d->block)
			hg_block_unwant_all(d->block);
	} else if (!PQntuples(res)) {
		go(d, IDLE);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
		want_row(d, res, i, now_s);
	if (d->block)
		apply(d);
	if (!d->block || d->blocks_fail || !PQntuples(res)) {
		go(d, IDLE);
		return;
	}
	ids = malloc((size_t)PQntuples(res) * 24 + 3);
	if (!ids) {
		go(d, IDLE);
		return;
	}
	ids[0] = '{';
	for (int i = 0; i < PQntuples(res); i++)
		if (*PQgetvalue(res, i, 6) == 't')
			len += (size_t)sprintf(ids + len, "%s%s", len > 1 ? "," : "",
					       PQgetvalue(res, i, 1));
	strcpy(ids + len, "}");
	values[0] = ids;
	go(d, APPLIED);
	ask(d, "SELECT hg_decisions_applied($1)", 1, values);
	free(ids);
}

static void add_hit(void *ctx, uint64_t id, uint64_t packets)
{
	struct hg_decide *d = ctx;

	json_array_append_new(d->ids, json_integer((json_int_t)id));
	json_array_append_new(d->packets, json_integer((json_int_t)packets));
}

static void ask_hits(struct hg_decide *d)
{
	char err[512], *ids, *packets;
	const char *values[2];
	int changed;

	d->hits_s = monotonic_s();
	go(d, IDLE);
	if (!d->block)
		return;
	d->ids = json_array();
	d->packets = json_array();
	changed = hg_block_hits(d->block, d->hits_s, add_hit, d, err, sizeof(err));
	if (changed > 0)
		hg_warn("decide: somebody else changed our sets; putting that right");
	if (changed)
		apply(d);
	if (json_array_size(d->ids)) {
		ids = json_dumps(d->ids, JSON_COMPACT);
		packets = json_dumps(d->packets, JSON_COMPACT);
		values[0] = ids;
		values[1] = packets;
		go(d, HITS);
		ask(d,
		    "SELECT hg_decision_hits(ARRAY(SELECT jsonb_array_elements_text($1)::bigint), "
		    "ARRAY(SELECT jsonb_array_elements_text($2)::bigint))",
		    2, values);
		free(ids);
		free(packets);
	}
	json_decref(d->ids);
	json_decref(d->packets);
	d->ids = d->packets = NULL;
}

static void ask_forget(struct hg_decide *d)
{
	char keep[32];
	const char *values[] = { keep };

	snprintf(keep, sizeof(keep), "%llu seconds",
		 (unsigned long long)d->o.conf->database.keep / 1000);
	d->forget_s = monotonic_s();
	d->forgets = false;
	ask(d, "SELECT hg_forget($1)", 1, values);
}

/* What to do when nothing is under way; false: nothing. */
static bool choose(struct hg_decide *d)
{
	uint64_t now_s = monotonic_s();

	/* Once a second all is looked at, also alarms whose commit was not heard of. */
	if (d->poked || now_s != d->reviewed_s)
		go(d, WAITING);
	else if (now_s - d->hits_s >= HITS_S)
		go(d, HITS);
	else if (now_s - d->resync_s >= RESYNC_S)
		go(d, ALL);
	else if (d->forgets || now_s - d->forget_s >= FORGET_S)
		go(d, FORGET);
	else
		return false;
	return true;
}

static void step(struct hg_decide *d)
{
	while (!d->busy && !(d->unhappy && !hg_pg_ready(d->o.pg))) {
		enum state before = d->state;

		if (d->state == IDLE && !choose(d))
			return;
		switch (d->state) {
		case CONFIGURE:
			configure(d);
			break;
		case RECALL:
			ask_recall(d);
			break;
		case WAITING:
			ask_waiting(d);
			break;
		case REVIEW:
			ask(d, "SELECT * FROM hg_decisions_review()", 0, NULL);
			break;
		case ALL:
		case CHANGED:
			ask_changed(d);
			break;
		case HITS:
			ask_hits(d);
			break;
		case FORGET:
			ask_forget(d);
			break;
		case IDLE:
		case CONCLUDE:
		case APPLIED:
			go(d, IDLE);
			break;
		}
		/* A statement that could not be sent is for the next tick. */
		if (!d->busy && d->state == before)
			return;
	}
}

static void take(struct hg_decide *d, const PGresult *res)
{
	switch (d->state) {
	case CONFIGURE:
		go(d, RECALL);
		break;
	case RECALL:
		take_recalled(d, res);
		break;
	case WAITING:
		take_waiting(d, res);
		break;
	case CONCLUDE:
		take_concluded(d, res);
		break;
	case REVIEW:
		take_reviewed(d, res);
		break;
	case ALL:
	case CHANGED:
		take_changed(d, res);
		break;
	case FORGET:
		d->forgets = PQntuples(res) && number(res, 0, 0);
		go(d, IDLE);
		break;
	case APPLIED:
	case HITS:
	case IDLE:
		go(d, IDLE);
		break;
	}
}

/*
 * Is it the statement itself that fails? Not if the connection went, or the server is out of room,
 * read-only, shutting down or out of time: then every alarm would fail, and all of them wait.
 */
static bool is_lasting(const PGresult *res)
{
	static const char *const passing[] = { "08", "25", "40", "53", "55", "57", "58", "XX" };
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	for (size_t i = 0; state && i < sizeof(passing) / sizeof(passing[0]); i++)
		if (!strncmp(state, passing[i], 2))
			return false;
	return state != NULL;
}

static void on_answer(void *ctx, const PGresult *res, const char *error)
{
	struct hg_decide *d = ctx;

	d->busy = false;
	if (!error) {
		if (d->unhappy)
			hg_info("decide: the database answers again");
		d->unhappy = false;
		take(d, res);
		/* Not from within the callback of a query: the next one starts from the loop. */
		event_active(d->now, EV_TIMEOUT, 0);
		return;
	}
	if (d->state == CONCLUDE && is_lasting(res)) {
		skip_alarm(d, error);
		event_active(d->now, EV_TIMEOUT, 0);
		return;
	}
	give_up(d, error);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	step(ctx);
}

void hg_decide_poke(struct hg_decide *d)
{
	d->poked = true;
	if (!d->busy)
		event_active(d->now, EV_TIMEOUT, 0);
}

static int make_block(struct hg_decide *d, char *err, size_t err_size)
{
	const struct hg_collector_conf *c = d->o.conf;

	if (c->decide.observe_only) {
		/* Without the right to touch nftables there is nothing of ours in it either. */
		hg_block_remove(c->decide.table, err, err_size);
		return 0;
	}
	d->block = hg_block_new(c->decide.table, &c->decide.protected, monotonic_s(), err,
				err_size);
	return d->block ? 0 : -EIO;
}

struct hg_decide *hg_decide_new(const struct hg_decide_options *options, char *err, size_t err_size)
{
	static const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	const struct hg_collector_conf *c = options->conf;
	const struct hg_correlate_options correlate = {
		.keys_max = c->correlate.keys,
		.evidence_s = c->correlate.evidence / 1000,
		.alarms_per_day = c->correlate.alarms_per_day,
		.years = c->correlate.years,
	};
	struct hg_decide *d = calloc(1, sizeof(*d));

	if (!d) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	d->o = *options;
	d->batch = BATCH;
	d->forgets = true;
	if (make_block(d, err, err_size))
		goto fail;
	snprintf(err, err_size, "out of memory");
	d->correlate = hg_correlate_new(&correlate);
	d->timer = event_new(d->o.base, -1, EV_PERSIST, on_timer, d);
	d->now = event_new(d->o.base, -1, 0, on_timer, d);
	if (!d->correlate || !d->timer || !d->now || event_add(d->timer, &tick))
		goto fail;
	event_active(d->now, EV_TIMEOUT, 0);
	return d;
fail:
	hg_decide_free(d);
	return NULL;
}

void hg_decide_free(struct hg_decide *d)
{
	if (!d)
		return;
	if (d->timer)
		event_free(d->timer);
	if (d->now)
		event_free(d->now);
	hg_correlate_free(d->correlate);
	hg_block_free(d->block);
	free(d);
}
