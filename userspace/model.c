// SPDX-License-Identifier: MIT
/*
 * The Thing Model: loaded once at start, asked at each write of an application. Values are
 * checked by walking schema and value together; jansson has bounded the depth of both when it
 * parsed them. A keyword that is not known here does not restrict.
 */
#include "model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model-times.h"

#define MODEL_SIZE_MAX (1 << 20)

struct hg_model {
	json_t *root;
	const json_t *properties;
	struct hg_model_times times;
};

struct hg_model *hg_model_load(const char *path, char *err, size_t err_size)
{
	struct hg_model *m = calloc(1, sizeof(*m));
	char place[256];
	json_error_t je;
	const char *name;
	json_t *schema;

	if (!m) {
		snprintf(err, err_size, "%s: out of memory", path);
		return NULL;
	}
	m->root = json_load_file(path, JSON_REJECT_DUPLICATES, &je);
	if (!m->root) {
		snprintf(err, err_size, "%s:%d: %s", path, je.line, je.text);
		goto fail;
	}
	m->properties = json_object_get(m->root, "properties");
	if (!json_is_object(m->root) || (m->properties && !json_is_object(m->properties))) {
		snprintf(err, err_size, "%s: not a Thing Model: properties must be an object",
			 path);
		goto fail;
	}
	json_object_foreach ((json_t *)m->properties, name, schema) {
		if (!json_is_object(schema)) {
			snprintf(err, err_size, "%s: properties.%s: not an object", path, name);
			goto fail;
		}
		if (json_object_get(schema, "hg:merge") && !hg_model_rule(m, name)) {
			snprintf(err, err_size,
				 "%s: properties.%s.hg:merge: is \"newest\" or \"counter\"", path,
				 name);
			goto fail;
		}
	}
	if (hg_model_times_read(m->root, &m->times, place, sizeof(place))) {
		snprintf(err, err_size, "%s: %s", path, place);
		goto fail;
	}
	return m;
fail:
	hg_model_free(m);
	return NULL;
}

void hg_model_free(struct hg_model *m)
{
	if (!m)
		return;
	json_decref(m->root);
	free(m);
}

const char *hg_model_title(const struct hg_model *m)
{
	const char *title = json_string_value(json_object_get(m->root, "title"));

	return title ? title : "";
}

/* Where in the value, and how it breaks the schema. */
struct trouble {
	char *err;
	size_t size;
	char path[256];
};

static int wrong(struct trouble *t, const char *what, const json_t *limit)
{
	char *text = limit ? json_dumps(limit, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	snprintf(t->err, t->size, "%s: %s%s%.80s", t->path, what, text ? " " : "",
		 text ? text : "");
	free(text);
	return -EINVAL;
}

static bool has_type(const json_t *v, const char *type)
{
	if (!strcmp(type, "integer"))
		return json_is_integer(v) ||
		       (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)));
	if (!strcmp(type, "number"))
		return json_is_number(v);
	if (!strcmp(type, "boolean"))
		return json_is_boolean(v);
	if (!strcmp(type, "string"))
		return json_is_string(v);
	if (!strcmp(type, "array"))
		return json_is_array(v);
	if (!strcmp(type, "object"))
		return json_is_object(v);
	if (!strcmp(type, "null"))
		return json_is_null(v);
	return true;
}

/* <0, 0, >0 as a is below, equal to, above b; integers exactly. */
static int compare(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b)) {
		json_int_t x = json_integer_value(a), y = json_integer_value(b);

		return (x > y) - (x < y);
	}
	return (json_number_value(a) > json_number_value(b)) -
	       (json_number_value(a) < json_number_value(b));
}

static int check_number(struct trouble *t, const json_t *schema, const json_t *v)
{
	const json_t *limit;

	if (!json_is_number(v))
		return 0;
	limit = json_object_get(schema, "minimum");
	if (json_is_number(limit) && compare(v, limit) < 0)
		return wrong(t, "is below the minimum", limit);
	limit = json_object_get(schema, "maximum");
	if (json_is_number(limit) && compare(v, limit) > 0)
		return wrong(t, "is above the maximum", limit);
	limit = json_object_get(schema, "exclusiveMinimum");
	if (json_is_number(limit) && compare(v, limit) <= 0)
		return wrong(t, "must be above", limit);
	limit = json_object_get(schema, "exclusiveMaximum");
	if (json_is_number(limit) && compare(v, limit) >= 0)
		return wrong(t, "must be below", limit);
	return 0;
}

/* In code points, as JSON Schema counts. */
static size_t text_length(const char *s, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static int check_size(struct trouble *t, const json_t *schema, size_t n, const char *min,
		      const char *max)
{
	const json_t *limit = json_object_get(schema, min);

	if (json_is_integer(limit) && (json_int_t)n < json_integer_value(limit))
		return wrong(t, "is shorter than", limit);
	limit = json_object_get(schema, max);
	if (json_is_integer(limit) && (json_int_t)n > json_integer_value(limit))
		return wrong(t, "is longer than", limit);
	return 0;
}

static int check_value(struct trouble *t, const json_t *schema, const json_t *v);

/* One step deeper: t->path is longer for the time of the call. */
static int check_part(struct trouble *t, const char *part, const json_t *schema, const json_t *v)
{
	size_t len = strlen(t->path);
	int ret;

	snprintf(t->path + len, sizeof(t->path) - len, "/%s", part);
	ret = check_value(t, schema, v);
	t->path[len] = '\0';
	return ret;
}

static int check_array(struct trouble *t, const json_t *schema, const json_t *v)
{
	const json_t *items = json_object_get(schema, "items");
	int ret = check_size(t, schema, json_array_size(v), "minItems", "maxItems");
	char part[24];

	for (size_t i = 0; i < json_array_size(v) && !ret && json_is_object(items); i++) {
		snprintf(part, sizeof(part), "%zu", i);
		ret = check_part(t, part, items, json_array_get(v, i));
	}
	return ret;
}

static int check_object(struct trouble *t, const json_t *schema, const json_t *v)
{
	const json_t *parts = json_object_get(schema, "properties");
	const json_t *required = json_object_get(schema, "required");
	const char *name;
	json_t *part;
	size_t i;
	int ret;

	json_array_foreach ((json_t *)required, i, part) {
		if (json_is_string(part) && !json_object_get(v, json_string_value(part)))
			return wrong(t, "lacks", part);
	}
	json_object_foreach ((json_t *)v, name, part) {
		const json_t *sub = json_object_get(parts, name);

		ret = json_is_object(sub) ? check_part(t, name, sub, part) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

static int check_choice(struct trouble *t, const json_t *schema, const json_t *v)
{
	const json_t *only = json_object_get(schema, "const");
	const json_t *list = json_object_get(schema, "enum");
	json_t *choice;
	size_t i;

	if (only && !json_equal((json_t *)only, (json_t *)v))
		return wrong(t, "must be", only);
	if (!json_is_array(list))
		return 0;
	json_array_foreach ((json_t *)list, i, choice) {
		if (json_equal(choice, (json_t *)v))
			return 0;
	}
	return wrong(t, "is none of", list);
}

static int check_value(struct trouble *t, const json_t *schema, const json_t *v)
{
	const char *type = json_string_value(json_object_get(schema, "type"));
	int ret;

	if (type && !has_type(v, type))
		return wrong(t, "must be of type", json_object_get(schema, "type"));
	ret = check_choice(t, schema, v);
	if (!ret)
		ret = check_number(t, schema, v);
	if (!ret && json_is_string(v))
		ret = check_size(t, schema,
				 text_length(json_string_value(v), json_string_length(v)),
				 "minLength", "maxLength");
	if (!ret && json_is_array(v))
		ret = check_array(t, schema, v);
	if (!ret && json_is_object(v))
		ret = check_object(t, schema, v);
	return ret;
}

static enum hg_merge rule_of(const json_t *schema)
{
	const char *merge = json_string_value(json_object_get(schema, "hg:merge"));

	if (!merge)
		return HG_MERGE_NONE;
	return !strcmp(merge, "counter")  ? HG_MERGE_COUNTER
	       : !strcmp(merge, "newest") ? HG_MERGE_NEWEST
					  : HG_MERGE_NONE;
}

enum hg_merge hg_model_rule(const struct hg_model *m, const char *name)
{
	return rule_of(json_object_get(m->properties, name));
}

bool hg_model_is_ours(const json_t *schema)
{
	const char *owner = json_string_value(json_object_get(schema, "hg:owner"));

	if (rule_of(schema) != HG_MERGE_NONE)
		return true;
	if (owner)
		return !strcmp(owner, "device");
	return json_is_true(json_object_get(schema, "readOnly"));
}

int hg_model_check(const struct hg_model *m, const char *name, const json_t *value, char *err,
		   size_t err_size)
{
	const json_t *schema = json_object_get(m->properties, name);
	struct trouble t = { .err = err, .size = err_size };

	if (!schema) {
		snprintf(err, err_size, "%s: the model has no such property", name);
		return -ENOENT;
	}
	if (!hg_model_is_ours(schema)) {
		snprintf(err, err_size, "%s: owned by the mirror", name);
		return -EPERM;
	}
	if (!value)
		return 0;
	snprintf(t.path, sizeof(t.path), "%s", name);
	return check_value(&t, schema, value);
}

uint64_t hg_model_tell_within(const struct hg_model *m, const char *name)
{
	const json_t *schema = json_object_get(m->properties, name);
	uint64_t ms;

	if (json_is_true(json_object_get(schema, "hg:urgent")))
		return 0;
	return hg_duration_parse(json_object_get(schema, "hg:deliverWithin"), &ms) ? UINT64_MAX
										   : ms;
}

const struct hg_model_times *hg_model_times(const struct hg_model *m)
{
	return &m->times;
}
