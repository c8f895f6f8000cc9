// SPDX-License-Identifier: MIT
/*
 * The operations of the agent's socket, one function each, in one table. A request's members are
 * checked against the table first: an unknown one is an error, for it is most likely a misspelling.
 */
#include "socket-client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent.h"
#include "command.h"
#include "model.h"
#include "property.h"
#include "store.h"
#include "sync.h"
#include "watch.h"

#define PAGE_BYTES (128 * 1024) /* of CBOR values in one answer to property.list */

/* Of one operation; `err` is for people. */
struct op {
	const char *name;
	const char *members; /* space-separated, besides id and op */
	int (*run)(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		   size_t err_size);
};

static json_t *store_status(const struct hg_agent *agent)
{
	const struct hg_store_cursors *c = hg_store_cursors(agent->store);
	size_t waiting = 0;

	hg_store_reports_count(agent->store, &waiting);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s}", "changes", (json_int_t)c->change_seq,
			 "changes_synced", (json_int_t)c->change_acked, "mirror_cursor",
			 (json_int_t)c->mirror_cursor, "command_cursor",
			 (json_int_t)c->command_cursor, "reports_waiting", (json_int_t)waiting,
			 "last_error", hg_store_error(agent->store));
}

static int op_status(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		     size_t err_size)
{
	struct hg_agent *a = c->agent;

	*result = json_pack("{s:s, s:s, s:i, s:I, s:s, s:o*, s:o, s:o, s:o?, s:o?}", "version",
			    HG_VERSION, "uid", a->uid, "pid", getpid(), "uptime_ms",
			    (json_int_t)(hg_uptime_ms() - a->started_ms), "model",
			    a->model ? hg_model_title(a->model) : "", "sync",
			    a->sync ? hg_sync_status(a->sync) : NULL, "store", store_status(a),
			    "commands", hg_commands_status(a->commands), "guard",
			    hg_watch_guard_status(a->watch), "alarm",
			    hg_watch_alarm_status(a->watch));
	return *result ? 0 : -ENOMEM;
}

/* The member `name`, a property's name. */
static const char *name_of(json_t *request, char *err, size_t err_size)
{
	const char *name = json_string_value(json_object_get(request, "name"));

	if (!name)
		snprintf(err, err_size, "\"name\" must be a string");
	return name;
}

struct one {
	struct hg_agent *agent;
	json_t *json;
};

static int take_property(void *ctx, const struct hg_property *p)
{
	struct one *one = ctx;

	one->json = hg_property_json(one->agent, p);
	return 1;
}

static int op_get(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		  size_t err_size)
{
	const char *name = name_of(request, err, err_size);
	struct one one = { c->agent, NULL };
	int ret;

	if (!name)
		return -EINVAL;
	ret = hg_store_get(c->agent->store, hg_slice_str(name), take_property, &one);
	if (ret == -ENOENT)
		snprintf(err, err_size, "%.64s: no such property, or it has no value yet", name);
	else if (ret)
		snprintf(err, err_size, "%s", hg_store_error(c->agent->store));
	else if (!one.json)
		ret = -ENOMEM;
	*result = one.json;
	return ret;
}

static int op_set(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		  size_t err_size)
{
	json_t *name = json_object_get(request, "name"), *value = json_object_get(request, "value");
	json_t *values = json_object_get(request, "values");
	json_t *urgent = json_object_get(request, "urgent");
	size_t changed = 0;
	int ret;

	if ((name && !json_is_string(name)) || (!name != !value) || (!name == !values) ||
	    (values && !json_is_object(values)) || (urgent && !json_is_boolean(urgent))) {
		snprintf(err, err_size,
			 "give \"name\" and \"value\", or an object \"values\"; \"urgent\" is a "
			 "boolean");
		return -EINVAL;
	}
	if (name)
		values = json_pack("{s:O}", json_string_value(name), value);
	else
		json_incref(values);
	ret = hg_property_write(c->agent, values, json_is_true(urgent), &changed, err, err_size);
	json_decref(values);
	if (!ret)
		*result = json_pack("{s:I}", "changed", (json_int_t)changed);
	return ret;
}

static int op_add(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		  size_t err_size)
{
	const char *name = name_of(request, err, err_size);
	json_t *by = json_object_get(request, "by"), *urgent = json_object_get(request, "urgent");
	int64_t sum = 0;
	int ret;

	if (!name)
		return -EINVAL;
	if (!json_is_integer(by) || (urgent && !json_is_boolean(urgent))) {
		snprintf(err, err_size, "\"by\" must be a whole number; \"urgent\" is a boolean");
		return -EINVAL;
	}
	ret = hg_property_add(c->agent, name, json_integer_value(by), json_is_true(urgent), &sum,
			      err, err_size);
	if (!ret)
		*result = json_pack("{s:I}", "value", (json_int_t)sum);
	return ret;
}

static int take_conflict(void *ctx, const struct hg_conflict *c)
{
	return json_array_append_new(ctx, hg_property_conflict_json(c)) ? 1 : 0;
}

static int op_conflicts(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
			size_t err_size)
{
	json_t *list = json_array();
	int ret = hg_store_conflicts(c->agent->store, 0, take_conflict, list);

	if (ret)
		snprintf(err, err_size, "%s", hg_store_error(c->agent->store));
	*result = json_pack("{s:o}", "conflicts", list);
	return ret;
}

static int op_remove(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		     size_t err_size)
{
	const char *name = name_of(request, err, err_size);

	if (!name)
		return -EINVAL;
	*result = NULL;
	return hg_property_remove(c->agent, name, err, err_size);
}

struct page {
	struct hg_agent *agent;
	json_t *list;
	size_t bytes;
	char next[HG_WIRE_NAME_MAX + 1]; /* last name of a page that is full */
	int ret;
};

static int take_listed(void *ctx, const struct hg_property *p)
{
	struct page *page = ctx;
	json_t *one = hg_property_json(page->agent, p);

	if (!one || json_array_append_new(page->list, one)) {
		page->ret = -ENOMEM;
		return 1;
	}
	page->bytes += p->value.len + p->name.len;
	if (page->bytes < PAGE_BYTES)
		return 0;
	snprintf(page->next, sizeof(page->next), "%.*s", (int)p->name.len,
		 (const char *)p->name.ptr);
	return 1;
}

static int op_list(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		   size_t err_size)
{
	struct page page = { .agent = c->agent, .list = json_array() };
	json_t *after = json_object_get(request, "after");
	int ret;

	if (after && !json_is_string(after)) {
		snprintf(err, err_size, "\"after\" must be a string");
		json_decref(page.list);
		return -EINVAL;
	}
	ret = hg_store_list(c->agent->store,
			    after ? hg_slice_str(json_string_value(after)) : hg_slice_of(NULL, 0),
			    take_listed, &page);
	if (ret)
		snprintf(err, err_size, "%s", hg_store_error(c->agent->store));
	if (ret || page.ret) {
		json_decref(page.list);
		return ret ? ret : page.ret;
	}
	*result = json_pack("{s:o, s:s*}", "properties", page.list, "next",
			    page.next[0] ? page.next : NULL);
	return 0;
}

static int op_watch(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		    size_t err_size)
{
	json_t *names = json_object_get(request, "names"), *name, *watch;
	size_t i;

	if (names && !json_is_array(names))
		goto invalid;
	watch = json_object();
	json_array_foreach (names, i, name) {
		if (!json_is_string(name)) {
			json_decref(watch);
			goto invalid;
		}
		json_object_set_new(watch, json_string_value(name), json_true());
	}
	json_decref(c->watch);
	c->watch = watch;
	*result = NULL;
	return 0;
invalid:
	snprintf(err, err_size, "\"names\" must be an array of strings");
	return -EINVAL;
}

static void sync_done(void *ctx, int ret, const char *text)
{
	struct hg_socket_client *c = ctx;
	json_t *id = c->sync_id;

	c->sync_id = NULL;
	hg_socket_answer(c, id, ret, ret ? NULL : json_pack("{s:s}", "session", text), text);
	json_decref(id);
}

static int op_sync(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		   size_t err_size)
{
	json_t *id = json_object_get(request, "id");
	int ret;

	if (!c->agent->sync) {
		snprintf(err, err_size, "no mirror is configured ([mirror] host)");
		return -ENOTCONN;
	}
	if (c->sync_id) {
		snprintf(err, err_size, "this connection waits for a session already");
		return -EBUSY;
	}
	c->sync_id = id ? json_incref(id) : json_null();
	ret = hg_sync_now(c->agent->sync, sync_done, c);
	if (!ret)
		return 1;
	json_decref(c->sync_id);
	c->sync_id = NULL;
	return ret;
}

static int op_alarm_test(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
			 size_t err_size)
{
	uint64_t counter;
	int ret;

	if (c->uid != 0 && c->uid != geteuid()) {
		snprintf(err, err_size, "only root and the agent's user may send alarms");
		return -EPERM;
	}
	if (!c->agent->watch) {
		snprintf(err, err_size, "no collector is configured ([collector] host)");
		return -ENOTCONN;
	}
	ret = hg_watch_alarm_test(c->agent->watch, &counter, err, err_size);
	if (!ret)
		*result = json_pack("{s:I}", "counter", (json_int_t)counter);
	return ret;
}

static int op_alarm_status(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
			   size_t err_size)
{
	*result = hg_watch_alarm_status(c->agent->watch);
	return 0;
}

static int op_guard_status(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
			   size_t err_size)
{
	*result = hg_watch_guard_status(c->agent->watch);
	return 0;
}

static const struct op ops[] = {
	{ "status", "", op_status },
	{ "property.get", "name", op_get },
	{ "property.set", "name value values urgent", op_set },
	{ "property.add", "name by urgent", op_add },
	{ "property.remove", "name", op_remove },
	{ "property.conflicts", "", op_conflicts },
	{ "property.list", "after", op_list },
	{ "property.watch", "names", op_watch },
	{ "sync.now", "", op_sync },
	{ "alarm.test", "", op_alarm_test },
	{ "alarm.status", "", op_alarm_status },
	{ "guard.status", "", op_guard_status },
};

static bool word_in(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *w = words; len && (w = strstr(w, word)); w += len) {
		if ((w == words || w[-1] == ' ') && (w[len] == ' ' || !w[len]))
			return true;
	}
	return false;
}

int hg_socket_op(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		 size_t err_size)
{
	const char *name = json_string_value(json_object_get(request, "op")), *key;
	const struct op *op = NULL;
	json_t *value;

	for (size_t i = 0; name && i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!strcmp(ops[i].name, name))
			op = &ops[i];
	}
	if (!op) {
		snprintf(err, err_size, "\"op\" names no operation: %.64s", name ? name : "absent");
		return -EINVAL;
	}
	json_object_foreach (request, key, value) {
		if (strcmp(key, "id") && strcmp(key, "op") && !word_in(op->members, key)) {
			snprintf(err, err_size, "%s has no \"%.64s\"", name, key);
			return -EINVAL;
		}
	}
	return op->run(c, request, result, err, err_size);
}
