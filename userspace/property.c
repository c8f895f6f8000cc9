// SPDX-License-Identifier: MIT
/*
 * One way for all writes of the device's side, so that each is checked, made durable, announced
 * and synchronised in that order, whoever makes it.
 */
#include "property.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent.h"
#include "model.h"
#include "socket.h"
#include "sync.h"
#include "../lib/cborjson.h"
#include "../lib/log.h"

bool hg_property_name_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= HG_WIRE_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		       n;
}

static int check(struct hg_agent *agent, const char *name, const json_t *value, char *err,
		 size_t err_size)
{
	if (!hg_property_name_valid(name)) {
		snprintf(err, err_size, "a property's name is 1 to %d of A-Z a-z 0-9 . _ -",
			 HG_WIRE_NAME_MAX);
		return -EINVAL;
	}
	return agent->model ? hg_model_check(agent->model, name, value, err, err_size) : 0;
}

static int encode(struct hg_property *p, const char *name, const json_t *value, uint64_t max,
		  char *err, size_t err_size)
{
	uint8_t *copy;
	long len = hg_cbor_from_json_new(value, max, &copy);

	if (len == -ENOMEM)
		return -ENOMEM;
	if (len == -ENOSPC)
		snprintf(err, err_size, "%s: larger than %s%llu bytes", name,
			 max > HG_WIRE_VALUE_MAX ? "[device] object_max, " : "",
			 (unsigned long long)max);
	else if (len < 0)
		snprintf(err, err_size, "%s: nested too deeply, or not UTF-8", name);
	if (len < 0)
		return -EINVAL;
	*p = (struct hg_property){ .name = hg_slice_str(name), .value = hg_slice_of(copy, len) };
	return 0;
}

static void announce(struct hg_agent *agent, const struct hg_property *list, size_t n, bool urgent)
{
	uint64_t within = urgent ? 0 : UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		char name[HG_WIRE_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)list[i].name.len,
			 (const char *)list[i].name.ptr);
		if (agent->model && hg_model_tell_within(agent->model, name) < within)
			within = hg_model_tell_within(agent->model, name);
		hg_socket_changed(agent->socket, list[i].name);
	}
	if (agent->sync)
		hg_sync_changed(agent->sync, n, within);
}

/* The mirror may have to say a value of both sides again: these travel whole. */
static size_t size_max(const struct hg_agent *agent, const char *name)
{
	return agent->model && hg_model_rule(agent->model, name) != HG_MERGE_NONE
		       ? HG_WIRE_VALUE_MAX
		       : agent->conf.device.object_max;
}

int hg_property_write(struct hg_agent *agent, const json_t *values, bool urgent, size_t *changed,
		      char *err, size_t err_size)
{
	struct hg_property list[HG_PROPERTIES_PER_WRITE];
	size_t n = 0, rows;
	const char *name;
	json_t *value;
	int ret = 0;

	if (json_object_size(values) > HG_PROPERTIES_PER_WRITE || !json_object_size(values)) {
		snprintf(err, err_size, "give 1 to %d properties at once", HG_PROPERTIES_PER_WRITE);
		return -EINVAL;
	}
	json_object_foreach ((json_t *)values, name, value) {
		ret = check(agent, name, value, err, err_size);
		if (!ret)
			ret = encode(&list[n], name, value, size_max(agent, name), err, err_size);
		if (ret)
			goto free;
		n++;
	}
	ret = hg_store_set(agent->store, list, n, hg_now_ms(), &rows);
	if (ret) {
		snprintf(err, err_size, "%s", hg_store_error(agent->store));
		ret = ret == -ERANGE ? -EINVAL : ret;
		goto free;
	}
	*changed = rows;
	if (rows || urgent)
		announce(agent, list, n, urgent);
free:
	for (size_t i = 0; i < n; i++)
		free((void *)list[i].value.ptr);
	return ret;
}

static int take_number(void *ctx, const struct hg_property *p)
{
	json_t *json = hg_json_from_cbor(p->value);

	*(int64_t *)ctx = json_integer_value(json);
	json_decref(json);
	return 1;
}

/* Would this be a value that the model allows? */
static int check_sum(struct hg_agent *agent, const char *name, int64_t delta, char *err,
		     size_t err_size)
{
	int64_t sum = 0;
	json_t *value;
	int ret = hg_store_get(agent->store, hg_slice_str(name), take_number, &sum);

	if (ret && ret != -ENOENT) {
		snprintf(err, err_size, "%s", hg_store_error(agent->store));
		return ret;
	}
	if (__builtin_add_overflow(sum, delta, &sum)) {
		snprintf(err, err_size, "%s: a counter cannot take so much", name);
		return -EINVAL;
	}
	value = json_integer(sum);
	ret = check(agent, name, value, err, err_size);
	json_decref(value);
	return ret;
}

int hg_property_add(struct hg_agent *agent, const char *name, int64_t delta, bool urgent,
		    int64_t *sum, char *err, size_t err_size)
{
	struct hg_property p = { .name = hg_slice_str(name) };
	int ret;

	if (!agent->model || hg_model_rule(agent->model, name) != HG_MERGE_COUNTER) {
		snprintf(err, err_size,
			 "%.64s: not a counter; that is what \"hg:merge\": \"counter\" in the "
			 "Thing Model makes ([device] model)",
			 name);
		return -EINVAL;
	}
	ret = check_sum(agent, name, delta, err, err_size);
	if (ret)
		return ret;
	ret = hg_store_add(agent->store, p.name, delta, hg_now_ms(), sum);
	if (ret)
		snprintf(err, err_size, "%s", hg_store_error(agent->store));
	else if (delta || urgent)
		announce(agent, &p, 1, urgent);
	return ret == -ERANGE ? -EINVAL : ret;
}

json_t *hg_property_conflict_json(const struct hg_conflict *c)
{
	json_t *value = c->value.len ? hg_json_from_cbor(c->value) : NULL;

	return json_pack("{s:I, s:s%, s:s, s:o*, s:I}", "id", (json_int_t)c->id, "name",
			 c->name.ptr, c->name.len, "owner",
			 c->owner == HG_OWNER_DEVICE ? "device" : "mirror", "value", value,
			 "time_ms", (json_int_t)c->time_ms);
}

static int tell_lost(void *ctx, const struct hg_conflict *c)
{
	struct hg_agent *agent = ctx;
	json_t *json = hg_property_conflict_json(c);
	char *text = json ? json_dumps(json_object_get(json, "value"),
				       JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII)
			  : NULL;

	hg_warn("property: %.*s: a newer value won against one of the %s: %.200s", (int)c->name.len,
		(const char *)c->name.ptr, c->owner == HG_OWNER_DEVICE ? "device" : "mirror",
		text ? text : "(removed)");
	free(text);
	if (json)
		hg_socket_lost(agent->socket, json);
	json_decref(json);
	return 0;
}

void hg_property_lost(struct hg_agent *agent, uint64_t after)
{
	hg_store_conflicts(agent->store, after, tell_lost, agent);
}

int hg_property_remove(struct hg_agent *agent, const char *name, char *err, size_t err_size)
{
	struct hg_property p = { .name = hg_slice_str(name) };
	size_t rows;
	int ret = check(agent, name, NULL, err, err_size);

	if (ret)
		return ret;
	ret = hg_store_set(agent->store, &p, 1, hg_now_ms(), &rows);
	if (ret)
		snprintf(err, err_size, "%s", hg_store_error(agent->store));
	else
		announce(agent, &p, 1, false);
	return ret;
}

json_t *hg_property_json(const struct hg_agent *agent, const struct hg_property *p)
{
	static const char *const merge[] = {
		[HG_MERGE_NEWEST] = "newest", [HG_MERGE_COUNTER] = "counter"
	};
	const struct hg_store_cursors *c = hg_store_cursors(agent->store);
	char name[HG_WIRE_NAME_MAX + 1];
	json_t *value = p->value.len ? hg_json_from_cbor(p->value) : json_null();

	if (!value)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)p->name.len, (const char *)p->name.ptr);
	return json_pack("{s:s, s:o, s:s, s:s*, s:I, s:b}", "name", name, "value", value, "owner",
			 p->owner == HG_OWNER_DEVICE ? "device" : "mirror", "merge",
			 agent->model ? merge[hg_model_rule(agent->model, name)] : NULL, "time_ms",
			 (json_int_t)p->time_ms, "synced",
			 p->owner == HG_OWNER_MIRROR || p->seq <= c->change_acked);
}
