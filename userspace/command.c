// SPDX-License-Identifier: MIT
/*
 * Commands: from the journal's state received, oldest first, at most [commands] concurrent at a
 * time, to a final state in the journal. The order of writes is the promise:
 *   executing is durable, then the handler starts; the handler has ended, then its end is durable.
 * If the end cannot be written (full disk), it is kept here and tried again; nothing new starts
 * meanwhile. If the agent dies in between, the store makes the command unknown, not done twice.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "agent.h"
#include "handler.h"
#include "property.h"
#include "store.h"
#include "sync.h"
#include "../lib/cborjson.h"
#include "../lib/log.h"

#define RETRY_S 2

enum run_state {
	RUN_STARTING = 0,
	RUN_RUNNING = 1,
	RUN_ENDED = 2, /* its end is to be written */
};

/* A command that has left state received. */
struct run {
	LIST_ENTRY(run) link;
	struct hg_commands *commands;
	enum run_state state;
	uint64_t seq;
	bool repeatable;
	uint32_t execute_within_ms;
	uint64_t age_ms;
	char action[HG_WIRE_NAME_MAX + 1];
	json_t *input;	/* NULL: none */
	json_t *values; /* of a $set that a handler is asked for; NULL: none */
	struct hg_handler *handler;
	struct hg_journal_entry end; /* slices: output below, detail below */
	uint8_t *output;	     /* CBOR; NULL: none */
	char detail[HG_HANDLER_DETAIL_MAX + 1];
};

struct hg_commands {
	struct hg_agent *agent;
	LIST_HEAD(runs, run) runs;
	unsigned int n_runs;
	bool ended;	/* something has, and the sync is to be told */
	bool recovered; /* what a crash left in state executing is dealt with */
	struct event *look, *retry;
	uint64_t done, failed;
	char env_uid[HG_UID_MAX + 20];
	char env_socket[4200];
};

static void run_free(struct run *r)
{
	if (r->handler)
		hg_handler_free(r->handler);
	LIST_REMOVE(r, link);
	r->commands->n_runs--;
	json_decref(r->input);
	json_decref(r->values);
	free(r->output);
	free(r);
}

static void try_later(struct hg_commands *c)
{
	struct timeval t = { RETRY_S, 0 };

	event_add(c->retry, &t);
}

/* There is no room for it: its command must not wait for ever, and with it all that come later. */
static void drop_output(struct run *r)
{
	hg_warn("command: %llu %s: output of %zu bytes is not kept: %s", (unsigned long long)r->seq,
		r->action, r->end.output.len, hg_store_error(r->commands->agent->store));
	snprintf(r->detail, sizeof(r->detail),
		 "it ran, but its output of %zu bytes was not kept: "
		 "%.150s",
		 r->end.output.len, hg_store_error(r->commands->agent->store));
	r->end.detail = hg_slice_str(r->detail);
	r->end.output = hg_slice_of(NULL, 0);
	r->end.state = HG_COMMAND_FAILED;
}

/* The end is in r->end: makes it durable, or keeps it for the next try. */
static void write_end(struct run *r)
{
	struct hg_commands *c = r->commands;
	int ret;

	r->state = RUN_ENDED;
	ret = hg_store_finished(c->agent->store, &r->end);
	if (ret == -EDQUOT || (ret == -ENOSPC && r->end.output.len > HG_WIRE_VALUE_MAX)) {
		drop_output(r);
		ret = hg_store_finished(c->agent->store, &r->end);
	}
	if (ret == -ENOENT) {
		hg_warn("command: %llu %s: ended as %s, but the mirror has forgotten it",
			(unsigned long long)r->seq, r->action, hg_command_state_name(r->end.state));
	} else if (ret) {
		hg_error("command: %llu %s: its end is not written yet: %s",
			 (unsigned long long)r->seq, r->action, hg_store_error(c->agent->store));
		try_later(c);
		return;
	}
	if (r->end.state == HG_COMMAND_DONE)
		c->done++;
	else
		c->failed++;
	run_free(r);
	c->ended = true;
	hg_commands_look(c);
}

static void end(struct run *r, enum hg_command_state state, int exit_status, const char *detail)
{
	if (detail != r->detail)
		snprintf(r->detail, sizeof(r->detail), "%s", detail);
	r->end.seq = r->seq;
	r->end.state = state;
	r->end.exit_status = exit_status;
	r->end.detail = hg_slice_str(r->detail);
	if (state != HG_COMMAND_DONE)
		hg_warn("command: %llu %s: %s (status %d): %s", (unsigned long long)r->seq,
			r->action, hg_command_state_name(state), exit_status, r->detail);
	else
		hg_info("command: %llu %s: done", (unsigned long long)r->seq, r->action);
	write_end(r);
}

/* Keeps the handler's JSON as CBOR. False, and why in r->detail, if it is none. */
static bool take_output(struct run *r, const struct hg_handler_result *result)
{
	json_error_t je;
	json_t *json;
	size_t blank = 0;
	long len;

	while (blank < result->output_len && strchr(" \t\r\n", result->output[blank]))
		blank++;
	if (blank == result->output_len)
		return true;
	json = json_loadb(result->output, result->output_len,
			  JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &je);
	if (!json) {
		snprintf(r->detail, sizeof(r->detail), "output is not JSON: line %d: %.160s",
			 je.line, je.text);
		return false;
	}
	len = hg_cbor_from_json_new(json, r->commands->agent->conf.device.object_max, &r->output);
	json_decref(json);
	if (len < 0) {
		snprintf(r->detail, sizeof(r->detail), "output is too large or too deep");
		return false;
	}
	r->end.output = hg_slice_of(r->output, len);
	return true;
}

static void set_values(struct run *r)
{
	char err[HG_HANDLER_DETAIL_MAX + 1] = "";
	size_t changed;
	int ret = hg_property_write(r->commands->agent, r->values, false, &changed, err,
				    sizeof(err));

	end(r, ret ? HG_COMMAND_FAILED : HG_COMMAND_DONE, 0, err);
}

static void on_handler_done(void *ctx, const struct hg_handler_result *result)
{
	struct run *r = ctx;
	bool good;

	r->handler = NULL; /* it frees itself */
	snprintf(r->detail, sizeof(r->detail), "%s", result->detail);
	good = !result->exit_status && !result->killed;
	if (good)
		good = take_output(r, result);
	if (good && r->values)
		set_values(r);
	else
		end(r, good ? HG_COMMAND_DONE : HG_COMMAND_FAILED, result->exit_status, r->detail);
}

static void start_handler(struct run *r, const char *name, const json_t *input)
{
	struct hg_commands *c = r->commands;
	const struct hg_agent_conf *conf = &c->agent->conf;
	char seq[48], action[96], err[HG_HANDLER_DETAIL_MAX + 1] = "";
	const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			      "LANG=C.UTF-8",
			      seq,
			      action,
			      c->env_uid,
			      c->env_socket,
			      NULL };
	char *text = input ? json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");
	struct hg_handler_options o = {
		.base = c->agent->base,
		.dir = conf->device.commands_dir,
		.name = name,
		.argument = r->action,
		.input = text,
		.env = env,
		.time_limit_ms = conf->commands.time_limit,
		.kill_after_ms = conf->commands.kill_after,
		.memory_max = conf->commands.memory_max,
		.files_max = conf->commands.files_max,
		.output_max = conf->device.object_max,
		.done = on_handler_done,
		.ctx = r,
	};
	int ret;

	snprintf(seq, sizeof(seq), "HELIOGRAPH_COMMAND=%llu", (unsigned long long)r->seq);
	snprintf(action, sizeof(action), "HELIOGRAPH_ACTION=%s", r->action);
	r->state = RUN_RUNNING;
	ret = text ? hg_handler_start(&o, &r->handler, err, sizeof(err)) : -ENOMEM;
	free(text);
	if (ret)
		end(r, HG_COMMAND_FAILED, 0, err[0] ? err : strerror(-ret));
}

/*
 * An application's write to a property of the device, {"name": ..., "value": ...}. The handler
 * set-NAME, if there is one, is asked first; it gets the value and may refuse.
 */
static void start_set(struct run *r)
{
	const char *dir = r->commands->agent->conf.device.commands_dir;
	const char *name = json_string_value(json_object_get(r->input, "name"));
	json_t *value = json_object_get(r->input, "value");
	char handler[HG_WIRE_NAME_MAX + 5], err[64];

	if (!name || !value || strlen(name) > HG_WIRE_NAME_MAX) {
		end(r, HG_COMMAND_FAILED, 0, "input must have a name and a value");
		return;
	}
	r->values = json_pack("{s:O}", name, value);
	snprintf(handler, sizeof(handler), "set-%s", name);
	if (hg_handler_check(dir, handler, err, sizeof(err)) != -ENOENT)
		start_handler(r, handler, value);
	else
		set_values(r);
}

static void start(struct run *r)
{
	struct hg_commands *c = r->commands;
	int ret;

	if (r->execute_within_ms && r->age_ms > r->execute_within_ms) {
		end(r, HG_COMMAND_EXPIRED, 0, "not run: execute_within had passed");
		return;
	}
	ret = hg_store_started(c->agent->store, r->seq);
	if (ret == -ESTALE) { /* dropped with the mirror's old epoch */
		run_free(r);
		return;
	}
	if (ret) {
		hg_error("command: %llu %s: not run: %s", (unsigned long long)r->seq, r->action,
			 hg_store_error(c->agent->store));
		run_free(r);
		try_later(c);
		return;
	}
	if (!strcmp(r->action, "$set"))
		start_set(r);
	else
		start_handler(r, r->action, r->input);
}

/* Takes the oldest entries; they are started when the journal is not being read any more. */
static int take_entry(void *ctx, const struct hg_journal_entry *e)
{
	struct hg_commands *c = ctx;
	struct run *r;

	for (r = LIST_FIRST(&c->runs); r; r = LIST_NEXT(r, link)) {
		if (r->seq == e->seq) /* ended, but not written: still received if it never ran */
			return 0;
	}
	if (c->n_runs >= c->agent->conf.commands.concurrent)
		return 1;
	r = calloc(1, sizeof(*r));
	if (!r)
		return 1;
	r->commands = c;
	r->seq = e->seq;
	r->repeatable = e->repeatable;
	r->execute_within_ms = e->execute_within_ms;
	r->age_ms = e->age_ms;
	snprintf(r->action, sizeof(r->action), "%.*s", (int)e->action.len,
		 (const char *)e->action.ptr);
	r->input = e->input.len ? hg_json_from_cbor(e->input) : NULL;
	LIST_INSERT_HEAD(&c->runs, r, link);
	c->n_runs++;
	return 0;
}

static struct run *find(struct hg_commands *c, enum run_state state)
{
	struct run *r, *oldest = NULL;

	for (r = LIST_FIRST(&c->runs); r; r = LIST_NEXT(r, link)) {
		if (r->state == state && (!oldest || r->seq < oldest->seq))
			oldest = r;
	}
	return oldest;
}

static bool recover(struct hg_commands *c)
{
	size_t n = 0;

	if (!c->recovered) {
		if (hg_store_recover(c->agent->store, &n)) {
			hg_error("command: nothing is run: %s", hg_store_error(c->agent->store));
			try_later(c);
			return false;
		}
		if (n)
			hg_warn("command: %zu ran when the agent was stopped: unknown, or run "
				"again if repeatable",
				n);
		c->recovered = true;
	}
	return true;
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_commands *c = ctx;
	struct run *r;

	if (!recover(c) || event_pending(c->retry, EV_TIMEOUT, NULL))
		return;
	if (hg_store_journal(c->agent->store, HG_COMMAND_RECEIVED, take_entry, c)) {
		hg_error("command: %s", hg_store_error(c->agent->store));
		try_later(c);
		return;
	}
	while ((r = find(c, RUN_STARTING)))
		start(r);
	/* Not if one ended just now, in start(): then this runs again at once. */
	if (c->ended && c->agent->sync && !event_pending(c->look, EV_TIMEOUT, NULL)) {
		c->ended = false;
		hg_sync_report(c->agent->sync);
	}
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_commands *c = ctx;
	struct run *r = find(c, RUN_ENDED);

	if (r)
		write_end(r); /* looks for more, or tries later */
	else
		hg_commands_look(c);
}

struct hg_commands *hg_commands_new(struct hg_agent *agent, char *err, size_t err_size)
{
	struct hg_commands *c = calloc(1, sizeof(*c));

	if (!c)
		goto nomem;
	c->agent = agent;
	LIST_INIT(&c->runs);
	c->look = event_new(agent->base, -1, 0, on_look, c);
	c->retry = event_new(agent->base, -1, 0, on_retry, c);
	if (!c->look || !c->retry)
		goto nomem;
	snprintf(c->env_uid, sizeof(c->env_uid), "HELIOGRAPH_UID=%s", agent->uid);
	snprintf(c->env_socket, sizeof(c->env_socket), "HELIOGRAPH_SOCKET=%s",
		 agent->conf.agent.socket);
	return c;
nomem:
	snprintf(err, err_size, "out of memory");
	hg_commands_free(c);
	return NULL;
}

void hg_commands_free(struct hg_commands *c)
{
	if (!c)
		return;
	while (!LIST_EMPTY(&c->runs))
		run_free(LIST_FIRST(&c->runs));
	if (c->look)
		event_free(c->look);
	if (c->retry)
		event_free(c->retry);
	free(c);
}

void hg_commands_look(struct hg_commands *c)
{
	event_active(c->look, EV_TIMEOUT, 0);
}

bool hg_commands_busy(const struct hg_commands *c)
{
	return !LIST_EMPTY(&c->runs) || event_pending(c->look, EV_TIMEOUT, NULL);
}

json_t *hg_commands_status(const struct hg_commands *c)
{
	return json_pack("{s:i, s:I, s:I}", "running", c->n_runs, "done", (json_int_t)c->done,
			 "failed", (json_int_t)c->failed);
}
