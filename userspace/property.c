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

static int encode(struct hg_property *p, const char *name, const json_t *value, char *err,
		  size_t err_size)
{
	uint8_t buf[HG_WIRE_VALUE_MAX];
	long len = hg_cbor_from_json(value, buf, sizeof(buf));
	uint8_t *copy;

	if (len < 0) {
		snprintf(err, err_size, "%s: %s", name,
			 len == -ENOSPC ? "larger than 16 KiB" : "nested too deeply, or not UTF-8");
		return -EINVAL;
	}
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, buf, len);
	*p = (struct hg_property){ .name = hg_slice_str(name), .value = hg_slice_of(copy, len) };
	return 0;
}

static void announce(struct hg_agent *agent, const struct hg_property *list, size_t n, bool urgent)
{
	for (size_t i = 0; i < n; i++) {
		char name[HG_WIRE_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)list[i].name.len,
			 (const char *)list[i].name.ptr);
		urgent |= agent->model && hg_model_urgent(agent->model, name);
		hg_socket_changed(agent->socket, list[i].name);
	}
	if (agent->sync)
		hg_sync_soon(agent->sync, urgent);
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
			ret = encode(&list[n], name, value, err, err_size);
		if (ret)
			goto free;
		n++;
	}
	ret = hg_store_set(agent->store, list, n, hg_now_ms(), &rows);
	if (ret) {
		snprintf(err, err_size, "%s", hg_store_error(agent->store));
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
	const struct hg_store_cursors *c = hg_store_cursors(agent->store);
	json_t *value = p->value.len ? hg_json_from_cbor(p->value) : json_null();

	if (!value)
		return NULL;
	return json_pack("{s:s%, s:o, s:s, s:I, s:b}", "name", p->name.ptr, p->name.len, "value",
			 value, "owner", p->owner == HG_OWNER_DEVICE ? "device" : "mirror",
			 "time_ms", (json_int_t)p->time_ms, "synced",
			 p->owner == HG_OWNER_MIRROR || p->seq <= c->change_acked);
}
