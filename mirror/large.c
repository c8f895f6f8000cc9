// SPDX-License-Identifier: MIT
/*
 * Between a request and sync(), for requests with parts. The database keeps the parts of values
 * that are not whole (mirror/sql/functions/9-parts.sql); the last part is not kept, but joined with
 * them here and handed on as if the value had come whole. If what is held does not fit the last
 * part, that one is handed on as a part, and the answer tells the device where to go on.
 */
#include "large.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "../lib/cbor.h"

static const char digits[] = "0123456789abcdef";

void hg_large_hex(struct hg_slice in, char *out)
{
	out = stpcpy(out, "\\x");
	for (size_t i = 0; i < in.len; i++) {
		*out++ = digits[in.ptr[i] >> 4];
		*out++ = digits[in.ptr[i] & 15];
	}
	*out = '\0';
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long hg_large_unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = strlen(hex);

	if (n < 2 || n % 2 || strncmp(hex, "\\x", 2) || (n - 2) / 2 > size)
		return -EBADMSG;
	for (size_t i = 0; i < (n - 2) / 2; i++) {
		int high = digit_of(hex[2 + 2 * i]), low = digit_of(hex[3 + 2 * i]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return (long)(n - 2) / 2;
}

static struct hg_wire_change *last_change(const struct hg_wire_request *r)
{
	return r->n_changes && r->changes[r->n_changes - 1].part.total
		       ? &r->changes[r->n_changes - 1]
		       : NULL;
}

static struct hg_wire_report *last_report(const struct hg_wire_request *r)
{
	return r->n_reports && r->reports[r->n_reports - 1].part.total
		       ? &r->reports[r->n_reports - 1]
		       : NULL;
}

/* What tells a change or report from others of its number, besides that. */
static void change_tag(const struct hg_wire_change *c, char tag[HG_LARGE_TAG])
{
	snprintf(tag, HG_LARGE_TAG, "%" PRIu64 " %" PRIu64 " %.*s", c->part.total, c->time_ms,
		 (int)c->name.len, (const char *)c->name.ptr);
}

static void report_tag(const struct hg_wire_report *r, char tag[HG_LARGE_TAG])
{
	snprintf(tag, HG_LARGE_TAG, "%" PRIu64 " %d %d %.*s", r->part.total, r->state,
		 (int)r->exit_status, (int)r->detail.len, (const char *)r->detail.ptr);
}

size_t hg_large_size(const struct hg_wire_request *r)
{
	const struct hg_wire_change *c = last_change(r);
	const struct hg_wire_report *o = last_report(r);

	return (c && hg_wire_part_ends(&c->part) ? c->part.total : 0) +
	       (o && hg_wire_part_ends(&o->part) ? o->part.total : 0);
}

static bool wants_before(const struct hg_wire_part *p)
{
	return p->offset && hg_wire_part_ends(p);
}

static void put_before(struct hg_large_params *p, int kind, uint64_t seq,
		       const struct hg_wire_part *part)
{
	const char **at = &p->values[3 + 3 * kind];

	snprintf(p->numbers[kind][0], sizeof(p->numbers[kind][0]), "%" PRIu64, seq);
	snprintf(p->numbers[kind][1], sizeof(p->numbers[kind][1]), "%" PRIu64, part->offset);
	at[0] = p->numbers[kind][0];
	at[1] = p->tags[kind];
	at[2] = p->numbers[kind][1];
}

bool hg_large_before(const struct hg_wire_request *r, struct hg_large_params *p)
{
	const struct hg_wire_change *c = last_change(r);
	const struct hg_wire_report *o = last_report(r);

	if (!(c && wants_before(&c->part)) && !(o && wants_before(&o->part)))
		return false;
	memset(p->values, 0, sizeof(p->values));
	snprintf(p->uid, sizeof(p->uid), "%.*s", (int)r->uid.len, (const char *)r->uid.ptr);
	hg_large_hex(r->epoch, p->epoch);
	hg_large_hex(r->mirror_epoch, p->mirror_epoch);
	p->values[0] = p->uid;
	p->values[1] = p->epoch;
	p->values[2] = p->mirror_epoch;
	if (c && wants_before(&c->part)) {
		change_tag(c, p->tags[0]);
		put_before(p, 0, c->seq, &c->part);
	}
	if (o && wants_before(&o->part)) {
		report_tag(o, p->tags[1]);
		put_before(p, 1, o->seq, &o->part);
	}
	return true;
}

/* The whole value in memory of its own. Returns 0; -ENOENT: its beginning is not held; -ENOMEM. */
static int join(const struct hg_wire_part *part, const PGresult *before, int column, uint8_t **out)
{
	uint8_t *bytes;

	if (!hg_wire_part_ends(part) ||
	    (part->offset && (!before || PQntuples(before) != 1 || PQgetisnull(before, 0, column))))
		return -ENOENT;
	bytes = malloc(part->total);
	if (!bytes)
		return -ENOMEM;
	if (part->offset && hg_large_unhex(PQgetvalue(before, 0, column), bytes, part->offset) !=
				    (long)part->offset) {
		free(bytes);
		return -ENOENT;
	}
	memcpy(bytes + part->offset, part->bytes.ptr, part->bytes.len);
	*out = bytes;
	return 0;
}

static bool is_value(struct hg_slice bytes)
{
	struct hg_cbor_in in = hg_cbor_in_of(bytes);

	hg_cbor_get_value(&in);
	return !hg_cbor_end(&in);
}

static int add_part(json_t *parts, int kind, uint64_t seq, const char *tag,
		    const struct hg_wire_part *p)
{
	char *hex = malloc(2 * p->bytes.len + 3);
	json_t *one;

	if (!hex)
		return -ENOMEM;
	hg_large_hex(p->bytes, hex);
	one = json_pack("{s:i, s:I, s:s, s:I, s:s}", "kind", kind, "seq", (json_int_t)seq, "tag",
			tag, "offset", (json_int_t)p->offset, "bytes", hex + 2);
	free(hex);
	return json_array_append_new(parts, one) ? -ENOMEM : 0;
}

static int split_change(struct hg_wire_request *r, const PGresult *before, uint64_t max,
			struct hg_large *large, json_t *parts)
{
	struct hg_wire_change *c = last_change(r);
	struct hg_wire_part part;
	char tag[HG_LARGE_TAG];
	int ret;

	if (!c)
		return 0;
	part = c->part;
	c->part.total = 0;
	if (part.total > max) {
		large->bad = "is larger than the mirror's object_max";
		return 0;
	}
	ret = join(&part, before, 0, &large->bytes[0]);
	if (ret == -ENOENT) {
		c->part = part;
		change_tag(c, tag);
		r->n_changes--;
		return add_part(parts, 0, c->seq, tag, &part);
	}
	if (ret)
		return ret;
	c->value = hg_slice_of(large->bytes[0], part.total);
	if (!is_value(c->value)) {
		c->value.len = 0;
		large->bad = "is no value when whole";
	}
	return 0;
}

/* Of a report the state counts, whatever its output is. */
static int split_report(struct hg_wire_request *r, const PGresult *before, uint64_t max,
			struct hg_large *large, json_t *parts)
{
	struct hg_wire_report *o = last_report(r);
	struct hg_wire_part part;
	char tag[HG_LARGE_TAG];
	int ret = 0;

	if (!o)
		return 0;
	part = o->part;
	if (part.total <= max)
		ret = join(&part, before, 1, &large->bytes[1]);
	if (ret == -ENOENT) {
		report_tag(o, tag);
		r->n_reports--;
		return add_part(parts, 1, o->seq, tag, &part);
	}
	if (ret)
		return ret;
	o->part.total = 0;
	o->output = hg_slice_of(large->bytes[1], large->bytes[1] ? part.total : 0);
	if (!o->output.len || !is_value(o->output)) {
		snprintf(large->detail, sizeof(large->detail), "its output of %" PRIu64 " bytes %s",
			 part.total,
			 o->output.len ? "was no value" : "is larger than the mirror's object_max");
		o->output.len = 0;
		o->detail = hg_slice_str(large->detail);
	}
	return 0;
}

int hg_large_split(struct hg_wire_request *r, const PGresult *before, uint64_t object_max,
		   struct hg_large *large)
{
	json_t *parts;
	int ret = 0;

	*large = (struct hg_large){ .alone = r->n_partials || last_change(r) || last_report(r) };
	if (!large->alone)
		return 0;
	if (r->n_partials && r->partials[0].kind == HG_WIRE_CHANGE &&
	    asprintf(&large->held, "[%" PRIu64 ", %" PRIu64 "]", r->partials[0].seq,
		     r->partials[0].have) < 0) {
		large->held = NULL;
		return -ENOMEM;
	}
	parts = json_array();
	if (!parts)
		return -ENOMEM;
	ret = split_change(r, before, object_max, large, parts);
	if (!ret)
		ret = split_report(r, before, object_max, large, parts);
	if (!ret && json_array_size(parts)) {
		large->parts = json_dumps(parts, JSON_COMPACT);
		ret = large->parts ? 0 : -ENOMEM;
	}
	json_decref(parts);
	return ret;
}

void hg_large_free(struct hg_large *large)
{
	free(large->held);
	free(large->parts);
	free(large->bytes[0]);
	free(large->bytes[1]);
	*large = (struct hg_large){ 0 };
}
