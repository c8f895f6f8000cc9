/* SPDX-License-Identifier: MIT */
/*
 * Property values between CBOR and JSON. One JSON value has one CBOR form, so an unchanged value is
 * unchanged bytes: maps are written in the order of their encoded keys, which for text is shorter
 * first, then by bytes. Integers stay integers and floats floats; 1 and 1.0 are different values.
 */
#include "cborjson.h"

#include <errno.h>
#include <stdlib.h>

#include "cbor.h"

static int put_value(struct hg_cbor_out *o, const json_t *value, unsigned int depth);

struct member {
	struct hg_slice key;
	const json_t *value;
};

static int compare_members(const void *a, const void *b)
{
	const struct member *ma = a, *mb = b;

	if (ma->key.len != mb->key.len)
		return ma->key.len < mb->key.len ? -1 : 1;
	return memcmp(ma->key.ptr, mb->key.ptr, ma->key.len);
}

static int put_object(struct hg_cbor_out *o, const json_t *object, unsigned int depth)
{
	size_t count = json_object_size(object), n = 0;
	struct member *members = calloc(count ? count : 1, sizeof(*members));
	json_t *unconst = (json_t *)object,
	       *value; /* jansson iterates over non-const objects only */
	const char *key;
	int rc = 0;

	if (!members)
		return -ENOMEM;
	json_object_foreach (unconst, key, value)
		members[n++] = (struct member){ hg_slice_str(key), value };
	qsort(members, count, sizeof(*members), compare_members);
	hg_cbor_put_map(o, count);
	for (size_t i = 0; i < count && !rc; i++) {
		hg_cbor_put_text(o, members[i].key);
		rc = put_value(o, members[i].value, depth);
	}
	free(members);
	return rc;
}

static int put_value(struct hg_cbor_out *o, const json_t *value, unsigned int depth)
{
	size_t i;
	int rc = 0;

	switch (json_typeof(value)) {
	case JSON_NULL:
		hg_cbor_put_null(o);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		hg_cbor_put_bool(o, json_is_true(value));
		break;
	case JSON_INTEGER:
		hg_cbor_put_int(o, json_integer_value(value));
		break;
	case JSON_REAL:
		hg_cbor_put_double(o, json_real_value(value));
		break;
	case JSON_STRING:
		hg_cbor_put_text(o,
				 hg_slice_of(json_string_value(value), json_string_length(value)));
		break;
	case JSON_ARRAY:
		if (depth == HG_CBOR_DEPTH_MAX)
			return -EINVAL;
		hg_cbor_put_array(o, json_array_size(value));
		for (i = 0; i < json_array_size(value) && !rc; i++)
			rc = put_value(o, json_array_get(value, i), depth + 1);
		break;
	case JSON_OBJECT:
		rc = depth == HG_CBOR_DEPTH_MAX ? -EINVAL : put_object(o, value, depth + 1);
		break;
	}
	return rc;
}

long hg_cbor_from_json(const json_t *value, void *buf, size_t size)
{
	struct hg_cbor_out o = hg_cbor_out_of(buf, size);
	int rc = put_value(&o, value, 0);

	return rc ? rc : o.err ? o.err : (long)o.len;
}

long hg_cbor_from_json_new(const json_t *value, size_t max, uint8_t **out)
{
	struct hg_cbor_out measured = { 0 };
	int rc = put_value(&measured, value, 0);
	uint8_t *buf;
	long n;

	if (rc || measured.len > max)
		return rc ? rc : -ENOSPC;
	buf = malloc(measured.len);
	if (!buf)
		return -ENOMEM;
	n = hg_cbor_from_json(value, buf, measured.len);
	if (n < 0)
		free(buf);
	else
		*out = buf;
	return n;
}

static json_t *get_value(struct hg_cbor_in *in);

static json_t *get_array(struct hg_cbor_in *in)
{
	size_t n = hg_cbor_get_array(in);
	json_t *array = json_array();

	for (; array && n; n--) {
		if (json_array_append_new(array, get_value(in))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *get_object(struct hg_cbor_in *in)
{
	struct hg_cbor_map map = hg_cbor_get_map(in);
	json_t *object = json_object();

	while (object && hg_cbor_map_next(in, &map)) {
		struct hg_slice key = hg_cbor_get_text(in);

		if (json_object_setn_new(object, (const char *)key.ptr, key.len, get_value(in))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* The input was checked as a whole, so NULL is only "out of memory". */
static json_t *get_value(struct hg_cbor_in *in)
{
	struct hg_slice text;

	switch (hg_cbor_peek(in)) {
	case HG_CBOR_UINT:
	case HG_CBOR_NEGATIVE:
		return json_integer(hg_cbor_get_int(in));
	case HG_CBOR_TEXT:
		text = hg_cbor_get_text(in);
		return json_stringn((const char *)text.ptr, text.len);
	case HG_CBOR_ARRAY:
		return get_array(in);
	case HG_CBOR_MAP:
		return get_object(in);
	case HG_CBOR_BOOL:
		return json_boolean(hg_cbor_get_bool(in));
	case HG_CBOR_FLOAT:
		return json_real(hg_cbor_get_double(in));
	default:
		hg_cbor_get_null(in);
		return json_null();
	}
}

json_t *hg_json_from_cbor(struct hg_slice in)
{
	struct hg_cbor_in check = hg_cbor_in_of(in), r = check;
	json_t *value;

	hg_cbor_get_value(&check);
	if (hg_cbor_end(&check)) {
		errno = EBADMSG;
		return NULL;
	}
	value = get_value(&r);
	if (!value)
		errno = ENOMEM;
	return value;
}
