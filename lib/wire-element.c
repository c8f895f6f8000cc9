/* SPDX-License-Identifier: MIT */
/*
 * Changes, commands and reports on the wire: short arrays whose last item, a value, may be missing.
 * The rules of each are one function, asked by both directions.
 */
#include "wire-element.h"

#include <errno.h>

static bool seq_ok(uint64_t seq, uint64_t before)
{
	return seq > before && hg_wire_number_ok(seq);
}

static bool reported(unsigned int state)
{
	return state >= HG_COMMAND_RECEIVED && state <= HG_COMMAND_UNKNOWN &&
	       state != HG_COMMAND_CANCELLED;
}

/* No part, or one of a value that is too large to travel whole. */
static bool part_ok(const struct hg_wire_part *p, struct hg_slice whole)
{
	if (!p->total)
		return !p->offset && !p->bytes.len;
	return !whole.len && p->total > HG_WIRE_VALUE_MAX && p->total <= HG_WIRE_OBJECT_MAX &&
	       p->offset < p->total && p->bytes.len && p->bytes.len <= HG_WIRE_PART_MAX &&
	       p->bytes.len <= p->total - p->offset;
}

static bool change_ok(const struct hg_wire_change *c, uint64_t before)
{
	return seq_ok(c->seq, before) && part_ok(&c->part, c->value) &&
	       hg_wire_number_ok(c->time_ms) && hg_wire_text_ok(c->name, 1, HG_WIRE_NAME_MAX) &&
	       c->value.len <= HG_WIRE_VALUE_MAX;
}

static bool command_ok(const struct hg_wire_command *c, uint64_t before)
{
	return seq_ok(c->seq, before) && hg_wire_text_ok(c->action, 1, HG_WIRE_NAME_MAX) &&
	       c->input.len <= HG_WIRE_VALUE_MAX;
}

static bool report_ok(const struct hg_wire_report *r)
{
	return seq_ok(r->seq, 0) && reported(r->state) && part_ok(&r->part, r->output) &&
	       hg_wire_text_ok(r->detail, 0, HG_WIRE_DETAIL_MAX) &&
	       r->output.len <= HG_WIRE_VALUE_MAX;
}

static bool partial_ok(const struct hg_wire_partial *p)
{
	return seq_ok(p->seq, 0) && p->kind <= HG_WIRE_REPORT && p->have < HG_WIRE_OBJECT_MAX;
}

static void put_part(struct hg_cbor_out *o, const struct hg_wire_part *p)
{
	if (!p->total)
		return;
	hg_cbor_put_uint(o, p->total);
	hg_cbor_put_uint(o, p->offset);
	hg_cbor_put_bytes(o, p->bytes);
}

static void put_change(struct hg_cbor_out *o, const struct hg_wire_change *c)
{
	hg_cbor_put_array(o, c->part.total ? 6 : c->value.len ? 4 : 3);
	hg_cbor_put_uint(o, c->seq);
	hg_cbor_put_uint(o, c->time_ms);
	hg_cbor_put_text(o, c->name);
	hg_cbor_put_raw(o, c->value);
	put_part(o, &c->part);
}

static void put_command(struct hg_cbor_out *o, const struct hg_wire_command *c)
{
	hg_cbor_put_array(o, c->input.len ? 5 : 4);
	hg_cbor_put_uint(o, c->seq);
	hg_cbor_put_text(o, c->action);
	hg_cbor_put_uint(o, c->execute_within_ms);
	hg_cbor_put_bool(o, c->repeatable);
	hg_cbor_put_raw(o, c->input);
}

static void put_report(struct hg_cbor_out *o, const struct hg_wire_report *r)
{
	hg_cbor_put_array(o, r->part.total ? 7 : r->output.len ? 5 : 4);
	hg_cbor_put_uint(o, r->seq);
	hg_cbor_put_uint(o, r->state);
	hg_cbor_put_int(o, r->exit_status);
	hg_cbor_put_text(o, r->detail);
	hg_cbor_put_raw(o, r->output);
	put_part(o, &r->part);
}

size_t hg_wire_change_size(const struct hg_wire_change *c)
{
	struct hg_cbor_out o = { 0 };

	put_change(&o, c);
	return o.len;
}

size_t hg_wire_command_size(const struct hg_wire_command *c)
{
	struct hg_cbor_out o = { 0 };

	put_command(&o, c);
	return o.len;
}

size_t hg_wire_report_size(const struct hg_wire_report *r)
{
	struct hg_cbor_out o = { 0 };

	put_report(&o, r);
	return o.len;
}

int hg_wire_put_changes(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_change *c,
			size_t n)
{
	uint64_t before = 0;

	if (!n)
		return 0;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_array(o, n);
	for (; n; before = c->seq, n--, c++) {
		if (!change_ok(c, before) || (c->part.total && n > 1))
			return -EINVAL;
		put_change(o, c);
	}
	return 0;
}

int hg_wire_put_commands(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_command *c,
			 size_t n)
{
	uint64_t before = 0;

	if (!n)
		return 0;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_array(o, n);
	for (; n; before = c->seq, n--, c++) {
		if (!command_ok(c, before))
			return -EINVAL;
		put_command(o, c);
	}
	return 0;
}

int hg_wire_put_reports(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_report *r,
			size_t n)
{
	if (!n)
		return 0;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_array(o, n);
	for (; n; n--, r++) {
		if (!report_ok(r) || (r->part.total && n > 1))
			return -EINVAL;
		put_report(o, r);
	}
	return 0;
}

int hg_wire_put_partials(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_partial *p,
			 size_t n)
{
	if (!n)
		return 0;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_array(o, n);
	for (size_t i = 0; i < n; i++) {
		if (!partial_ok(&p[i]) || (i && p[i].kind <= p[i - 1].kind))
			return -EINVAL;
		hg_cbor_put_array(o, 3);
		hg_cbor_put_uint(o, p[i].kind);
		hg_cbor_put_uint(o, p[i].seq);
		hg_cbor_put_uint(o, p[i].have);
	}
	return 0;
}

/* What it says is judged by part_ok(). A part that is there has a size. */
static struct hg_wire_part get_part(struct hg_cbor_in *in)
{
	struct hg_wire_part p;
	size_t pos = in->pos;

	p.total = hg_cbor_get_uint(in);
	p.offset = hg_cbor_get_uint(in);
	p.bytes = hg_cbor_get_bytes(in);
	if (!p.total)
		hg_cbor_refuse(in, pos);
	return p;
}

/* `last`: of its array, where a part may be. */
static bool get_change(struct hg_cbor_in *in, struct hg_wire_change *c, uint64_t before, bool last)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);

	*c = (struct hg_wire_change){ 0 };
	c->seq = hg_cbor_get_uint(in);
	c->time_ms = hg_cbor_get_uint(in);
	c->name = hg_cbor_get_text(in);
	if (n == 4)
		c->value = hg_cbor_get_value(in);
	if (n == 6 && last)
		c->part = get_part(in);
	if ((n != 3 && n != 4 && !c->part.total) || !change_ok(c, before))
		hg_cbor_refuse(in, pos);
	return !in->err;
}

static bool get_command(struct hg_cbor_in *in, struct hg_wire_command *c, uint64_t before)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);
	uint64_t within;

	*c = (struct hg_wire_command){ 0 };
	c->seq = hg_cbor_get_uint(in);
	c->action = hg_cbor_get_text(in);
	within = hg_cbor_get_uint(in);
	c->execute_within_ms = (uint32_t)within;
	c->repeatable = hg_cbor_get_bool(in);
	if (n == 5)
		c->input = hg_cbor_get_value(in);
	if ((n != 4 && n != 5) || within > UINT32_MAX || !command_ok(c, before))
		hg_cbor_refuse(in, pos);
	return !in->err;
}

static bool get_report(struct hg_cbor_in *in, struct hg_wire_report *r, bool last)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);
	uint64_t state;
	int64_t exit_status;

	*r = (struct hg_wire_report){ 0 };
	r->seq = hg_cbor_get_uint(in);
	state = hg_cbor_get_uint(in);
	exit_status = hg_cbor_get_int(in);
	r->state = (uint8_t)state;
	r->exit_status = (int32_t)exit_status;
	r->detail = hg_cbor_get_text(in);
	if (n == 5)
		r->output = hg_cbor_get_value(in);
	if (n == 7 && last)
		r->part = get_part(in);
	if ((n != 4 && n != 5 && !r->part.total) || state > HG_COMMAND_UNKNOWN ||
	    exit_status < INT32_MIN || exit_status > INT32_MAX || !report_ok(r))
		hg_cbor_refuse(in, pos);
	return !in->err;
}

/* The number of elements of an array that is there, so not empty. */
static size_t get_count(struct hg_cbor_in *in, size_t max)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);

	if (!n || n > max)
		hg_cbor_refuse(in, pos);
	return in->err ? 0 : n;
}

size_t hg_wire_get_changes(struct hg_cbor_in *in, struct hg_wire_change *c)
{
	size_t n = get_count(in, HG_WIRE_CHANGES_MAX);

	for (size_t i = 0; i < n && get_change(in, &c[i], i ? c[i - 1].seq : 0, i + 1 == n);)
		i++;
	return in->err ? 0 : n;
}

size_t hg_wire_get_commands(struct hg_cbor_in *in, struct hg_wire_command *c)
{
	size_t n = get_count(in, HG_WIRE_COMMANDS_MAX);

	for (size_t i = 0; i < n && get_command(in, &c[i], i ? c[i - 1].seq : 0);)
		i++;
	return in->err ? 0 : n;
}

size_t hg_wire_get_reports(struct hg_cbor_in *in, struct hg_wire_report *r)
{
	size_t n = get_count(in, HG_WIRE_REPORTS_MAX);

	for (size_t i = 0; i < n && get_report(in, &r[i], i + 1 == n);)
		i++;
	return in->err ? 0 : n;
}

static bool get_partial(struct hg_cbor_in *in, struct hg_wire_partial *p)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);
	uint64_t kind = hg_cbor_get_uint(in);

	p->kind = (uint8_t)kind;
	p->seq = hg_cbor_get_uint(in);
	p->have = hg_cbor_get_uint(in);
	if (n != 3 || kind > HG_WIRE_REPORT || !partial_ok(p))
		hg_cbor_refuse(in, pos);
	return !in->err;
}

size_t hg_wire_get_partials(struct hg_cbor_in *in, struct hg_wire_partial *p)
{
	size_t pos = in->pos, n = get_count(in, HG_WIRE_PARTIALS_MAX);

	for (size_t i = 0; i < n && get_partial(in, &p[i]); i++)
		if (i && p[i].kind <= p[i - 1].kind)
			hg_cbor_refuse(in, pos);
	return in->err ? 0 : n;
}
