// SPDX-License-Identifier: MIT
/*
 * Between lib/wire and the SQL function sync(). Holds no state: values go through as they are, and
 * what they mean is judged in SQL.
 */
#include "exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../lib/cborjson.h"
#include "pace.h"

enum column {
	COL_STATUS,
	COL_DETAIL,
	COL_MIRROR_EPOCH,
	COL_FLAGS,
	COL_DEVICE_CURSOR,
	COL_TIME,
	COL_INTERVAL,
	COL_CHANGES,
	COL_COMMANDS,
	COL_PARTIAL,
	COLUMNS
};

/* Values of one response on their way from JSON to CBOR. */
struct arena {
	uint8_t bytes[HG_WIRE_MAX];
	size_t used;
};

static bool has_real(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach (value, i, item)
			if (has_real(item))
				return true;
	} else if (json_is_object(value)) {
		json_object_foreach ((json_t *)value, key, item)
			if (has_real(item))
				return true;
	}
	return json_is_real(value);
}

char *hg_json_text(const json_t *value)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	char *text = json_dumps(value, flags | JSON_REAL_PRECISION(15));
	json_t *back;
	bool same;

	if (!text || !has_real(value))
		return text;
	back = json_loads(text, JSON_DECODE_ANY, NULL);
	same = back && json_equal((json_t *)value, back);
	json_decref(back);
	if (same)
		return text;
	free(text);
	return json_dumps(value, flags | JSON_REAL_PRECISION(17));
}

/*
 * PostgreSQL writes the real 1e300 as an integer of 301 digits, which no 64-bit integer holds. Such
 * numbers get an exponent, so that they are read as the reals they are.
 */
static char *mark_reals(const char *text)
{
	char *out = malloc(strlen(text) * 2 + 1), *at = out; /* 2 more for 19 or more */
	bool quoted = false;

	while (out && *text) {
		size_t n = quoted ? 0 : strspn(text, "0123456789");

		memcpy(at, text, n);
		at += n;
		text += n;
		if (n && (n > 19 || (n == 19 && memcmp(text - n, "9223372036854775807", 19) > 0)) &&
		    !strchr(".eE", *text))
			at = stpcpy(at, "e0");
		if (n && *text == '.') { /* the digits behind it are no integer */
			n = strspn(text + 1, "0123456789") + 1;
			memcpy(at, text, n);
			at += n;
			text += n;
		}
		if (*text == '\\' && text[1])
			*at++ = *text++;
		else if (*text == '"')
			quoted = !quoted;
		if (*text)
			*at++ = *text++;
	}
	if (out)
		*at = '\0';
	return out;
}

static json_t *json_of(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);
	char *marked;

	if (value)
		return value;
	marked = mark_reals(text);
	value = marked ? json_loads(marked, 0, NULL) : NULL;
	free(marked);
	return value;
}

static json_t *text_of(struct hg_slice s)
{
	return json_stringn((const char *)s.ptr, s.len);
}

/* Sets obj[key] to a CBOR value; nothing if it is empty. */
static int set_value(json_t *obj, const char *key, struct hg_slice value)
{
	return value.len ? json_object_set_new(obj, key, hg_json_from_cbor(value)) : 0;
}

/* What comes whole by the wire's rules needs no size. */
static int set_size(json_t *obj, struct hg_slice value)
{
	return value.len > HG_WIRE_VALUE_MAX
		       ? json_object_set_new(obj, "size", json_integer((json_int_t)value.len))
		       : 0;
}

/* bad: why it is none; NULL: it is one. */
static json_t *change_json(const struct hg_wire_change *c, const char *bad)
{
	json_t *o = json_pack("{s:I, s:o, s:I}", "seq", (json_int_t)c->seq, "name",
			      text_of(c->name), "time", (json_int_t)c->time_ms);

	if (o && (set_value(o, "value", c->value) || set_size(o, c->value) ||
		  (bad && json_object_set_new(o, "bad", json_string(bad))))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *report_json(const struct hg_wire_report *r)
{
	json_t *o = json_pack("{s:I, s:s, s:i, s:o}", "seq", (json_int_t)r->seq, "state",
			      hg_command_state_name(r->state), "exit", (int)r->exit_status,
			      "detail", text_of(r->detail));

	if (o && (set_value(o, "output", r->output) || set_size(o, r->output))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static char *changes_text(const struct hg_wire_request *r, const char *bad)
{
	json_t *array = json_array();
	char *text = NULL;

	for (size_t i = 0; array && i < r->n_changes; i++)
		if (json_array_append_new(array, change_json(&r->changes[i],
							     i + 1 == r->n_changes ? bad : NULL)))
			goto out;
	text = array ? hg_json_text(array) : NULL;
out:
	json_decref(array);
	return text;
}

static char *reports_text(const struct hg_wire_request *r)
{
	json_t *array = json_array();
	char *text = NULL;

	for (size_t i = 0; array && i < r->n_reports; i++)
		if (json_array_append_new(array, report_json(&r->reports[i])))
			goto out;
	text = array ? hg_json_text(array) : NULL;
out:
	json_decref(array);
	return text;
}

/* A copy, or NULL of NULL. Sets *lost when out of memory. */
static char *copy(const char *text, bool *lost)
{
	char *out = text ? strdup(text) : NULL;

	*lost |= text && !out;
	return out;
}

int hg_exchange_params(const struct hg_wire_request *r, const struct hg_large *large,
		       struct hg_exchange_params *p)
{
	const uint64_t numbers[] = { r->session, r->round, r->flags, r->mirror_cursor,
				     r->command_cursor };
	static const int places[] = { 2, 3, 4, 6, 7 };
	bool lost = false;

	memset(p, 0, sizeof(*p));
	snprintf(p->uid, sizeof(p->uid), "%.*s", (int)r->uid.len, (const char *)r->uid.ptr);
	hg_large_hex(r->epoch, p->epoch);
	hg_large_hex(r->mirror_epoch, p->mirror_epoch);
	p->values[0] = p->uid;
	p->values[1] = p->epoch;
	p->values[5] = p->mirror_epoch;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		snprintf(p->numbers[i], sizeof(p->numbers[i]), "%" PRIu64, numbers[i]);
		p->values[places[i]] = p->numbers[i];
	}
	p->changes = r->n_changes ? changes_text(r, large->bad) : NULL;
	p->reports = r->n_reports ? reports_text(r) : NULL;
	p->values[8] = p->changes ? p->changes : "[]";
	p->values[9] = p->reports ? p->reports : "[]";
	p->values[11] = p->held = copy(large->held, &lost);
	p->values[12] = p->parts = copy(large->parts, &lost);
	p->alone = large->alone;
	hg_exchange_set_accepted(p, 0);
	return !lost && !p->changes == !r->n_changes && !p->reports == !r->n_reports ? 0 : -ENOMEM;
}

void hg_exchange_set_accepted(struct hg_exchange_params *p, int64_t ms)
{
	snprintf(p->accepted, sizeof(p->accepted), "%" PRId64, ms);
	p->values[HG_EXCHANGE_PARAMS - 1] = p->accepted;
}

void hg_exchange_params_free(struct hg_exchange_params *p)
{
	free(p->changes);
	free(p->reports);
	free(p->held);
	free(p->parts);
	p->changes = p->reports = p->held = p->parts = NULL;
}

/* Room for n more bytes, and NUL. Once memory is out all further calls do nothing. */
static char *column_room(struct hg_exchange_column *c, size_t n)
{
	size_t size = c->size ? c->size : 4096;
	char *text = c->text;

	if (c->len + n < c->size)
		return text + c->len;
	while (c->len + n >= size)
		size *= 2;
	text = realloc(text, size);
	if (!text)
		return NULL;
	c->text = text;
	c->size = size;
	return text + c->len;
}

void hg_exchange_arrays_begin(struct hg_exchange_arrays *a)
{
	a->lost = false;
	for (size_t i = 0; i < HG_EXCHANGE_PARAMS; i++)
		a->columns[i].len = 0;
}

void hg_exchange_arrays_add(struct hg_exchange_arrays *a, const struct hg_exchange_params *p)
{
	for (size_t i = 0; i < HG_EXCHANGE_PARAMS; i++) {
		struct hg_exchange_column *c = &a->columns[i];
		const char *s = p->values[i];
		/* brace or comma, two quotes, each byte perhaps escaped, the last brace */
		char *at = column_room(c, 2 * strlen(s) + 4);

		if (!at) {
			a->lost = true;
			return;
		}
		*at++ = c->len ? ',' : '{';
		*at++ = '"';
		for (; *s; s++) {
			if (*s == '"' || *s == '\\')
				*at++ = '\\';
			*at++ = *s;
		}
		*at++ = '"';
		c->len = at - c->text;
	}
}

int hg_exchange_arrays_end(struct hg_exchange_arrays *a, const char *values[HG_EXCHANGE_PARAMS])
{
	for (size_t i = 0; i < HG_EXCHANGE_PARAMS; i++) {
		struct hg_exchange_column *c = &a->columns[i];

		if (a->lost || !c->len)
			return -ENOMEM;
		memcpy(c->text + c->len, "}", 2);
		values[i] = c->text;
	}
	return 0;
}

void hg_exchange_arrays_free(struct hg_exchange_arrays *a)
{
	for (size_t i = 0; i < HG_EXCHANGE_PARAMS; i++)
		free(a->columns[i].text);
	memset(a, 0, sizeof(*a));
}

static int add_value(struct arena *a, const json_t *value, struct hg_slice *out)
{
	long n;

	*out = hg_slice_of(NULL, 0);
	if (!value)
		return 0;
	n = hg_cbor_from_json(value, a->bytes + a->used, sizeof(a->bytes) - a->used);
	if (n < 0)
		return -EBADMSG;
	*out = hg_slice_of(a->bytes + a->used, n);
	a->used += n;
	return 0;
}

static struct hg_slice string_member(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return hg_slice_str(s ? s : "");
}

static uint64_t number_member(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* A part of a value, if the change has one. */
static int add_part(struct arena *a, const json_t *o, struct hg_wire_part *part)
{
	const char *hex = json_string_value(json_object_get(o, "part"));
	size_t room = sizeof(a->bytes) - a->used;
	long n;

	if (!hex)
		return 0;
	n = strlen(hex) / 2 > room ? -EBADMSG : hg_large_unhex(hex, a->bytes + a->used, room);
	if (n < 0)
		return -EBADMSG;
	*part = (struct hg_wire_part){ number_member(o, "total"), number_member(o, "offset"),
				       hg_slice_of(a->bytes + a->used, n) };
	a->used += n;
	return 0;
}

static int take_changes(const json_t *array, struct arena *a, struct hg_wire_room *room,
			struct hg_wire_response *r)
{
	size_t i;
	json_t *o;

	if (!json_is_array(array) || json_array_size(array) > HG_WIRE_CHANGES_MAX)
		return -EBADMSG;
	json_array_foreach (array, i, o) {
		struct hg_wire_change *c = &room->changes[i];

		*c = (struct hg_wire_change){ .seq = number_member(o, "seq"),
					      .name = string_member(o, "name"),
					      .time_ms = number_member(o, "time") };
		if (add_value(a, json_object_get(o, "value"), &c->value) ||
		    add_part(a, o, &c->part))
			return -EBADMSG;
	}
	r->changes = room->changes;
	r->n_changes = json_array_size(array);
	return 0;
}

static int take_commands(const json_t *array, struct arena *a, struct hg_wire_room *room,
			 struct hg_wire_response *r)
{
	size_t i;
	json_t *o;

	if (!json_is_array(array) || json_array_size(array) > HG_WIRE_COMMANDS_MAX)
		return -EBADMSG;
	json_array_foreach (array, i, o) {
		struct hg_wire_command *c = &room->commands[i];

		*c = (struct hg_wire_command){
			.seq = number_member(o, "seq"),
			.action = string_member(o, "action"),
			.execute_within_ms = (uint32_t)number_member(o, "execute_within_ms"),
			.repeatable = json_is_true(json_object_get(o, "repeatable")),
		};
		if (add_value(a, json_object_get(o, "input"), &c->input))
			return -EBADMSG;
	}
	r->commands = room->commands;
	r->n_commands = json_array_size(array);
	return 0;
}

/* Text for people, cut to what the wire allows, between characters. */
static struct hg_slice detail_of(const char *s)
{
	size_t n = strlen(s);

	if (n > HG_WIRE_DETAIL_MAX) {
		n = HG_WIRE_DETAIL_MAX;
		while (n && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	return hg_slice_of(s, n);
}

static int take_epoch(const char *hex, uint8_t epoch[static HG_EPOCH_LEN], struct hg_slice *out)
{
	if (hg_large_unhex(hex, epoch, HG_EPOCH_LEN) != HG_EPOCH_LEN)
		return -EBADMSG;
	*out = hg_slice_of(epoch, HG_EPOCH_LEN);
	return 0;
}

/* [[kind, seq, have], ...], or nothing. */
static int take_partials(const json_t *array, struct hg_wire_room *room, struct hg_wire_response *r)
{
	json_t *one;
	size_t i;

	if (json_array_size(array) > HG_WIRE_PARTIALS_MAX)
		return -EBADMSG;
	json_array_foreach (array, i, one)
		room->partials[i] = (struct hg_wire_partial){
			(uint8_t)json_integer_value(json_array_get(one, 0)),
			json_integer_value(json_array_get(one, 1)),
			json_integer_value(json_array_get(one, 2))
		};
	r->partials = room->partials;
	r->n_partials = json_array_size(array);
	return 0;
}

enum hg_exchange_kept hg_exchange_kept(const PGresult *res, int row)
{
	const char *status = PQgetvalue(res, row, COL_STATUS);

	return status[0] != '-'	  ? HG_EXCHANGE_KEPT
	       : status[1] == '1' ? HG_EXCHANGE_HELD
				  : HG_EXCHANGE_FAILED;
}

uint32_t hg_exchange_status(const PGresult *res, int row)
{
	return (uint32_t)atol(PQgetvalue(res, row, COL_STATUS));
}

uint64_t hg_exchange_time(const PGresult *res, int row)
{
	return strtoull(PQgetvalue(res, row, COL_TIME), NULL, 10);
}

long hg_exchange_response(const PGresult *res, int row, uint32_t wait_ms,
			  const struct hg_exchange_grant *grant, void *buf, uint32_t *status)
{
	static _Thread_local struct hg_wire_room room; /* large, and done with on return */
	static _Thread_local struct arena arena;
	uint8_t epoch[HG_EPOCH_LEN];
	struct hg_wire_response r = { 0 };
	json_t *changes, *commands, *partial;
	long n = -EBADMSG;

	if (row >= PQntuples(res) || PQnfields(res) < COLUMNS)
		return -EBADMSG;
	arena.used = 0;
	r.status = hg_exchange_status(res, row);
	r.detail = detail_of(PQgetvalue(res, row, COL_DETAIL));
	r.flags = (uint32_t)atol(PQgetvalue(res, row, COL_FLAGS));
	r.device_cursor = strtoull(PQgetvalue(res, row, COL_DEVICE_CURSOR), NULL, 10);
	r.time_ms = hg_exchange_time(res, row);
	r.interval_ms = hg_pace_answered_ms((uint32_t)atol(PQgetvalue(res, row, COL_INTERVAL)),
					    wait_ms);
	*status = r.status;
	if (r.status != HG_WIRE_OK)
		return hg_wire_put_response(&r, buf, HG_WIRE_MAX + 4);
	r.psk = grant->psk;
	r.chain = grant->chain;
	if (!r.detail.len && grant->detail)
		r.detail = detail_of(grant->detail);
	changes = json_of(PQgetvalue(res, row, COL_CHANGES));
	commands = json_of(PQgetvalue(res, row, COL_COMMANDS));
	partial = PQgetisnull(res, row, COL_PARTIAL) ? NULL
						     : json_of(PQgetvalue(res, row, COL_PARTIAL));
	if (!take_epoch(PQgetvalue(res, row, COL_MIRROR_EPOCH), epoch, &r.mirror_epoch) &&
	    !take_changes(changes, &arena, &room, &r) &&
	    !take_commands(commands, &arena, &room, &r) && !take_partials(partial, &room, &r))
		n = hg_wire_put_response(&r, buf, HG_WIRE_MAX + 4);
	json_decref(changes);
	json_decref(commands);
	json_decref(partial);
	return n;
}

long hg_exchange_refusal(uint32_t status, const char *detail, uint32_t interval_ms, void *buf)
{
	struct timespec now;
	struct hg_wire_response r = { .status = status, .interval_ms = interval_ms };

	clock_gettime(CLOCK_REALTIME, &now);
	r.time_ms = (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	r.detail = detail_of(detail);
	return hg_wire_put_response(&r, buf, HG_WIRE_MAX + 4);
}
