/* SPDX-License-Identifier: MIT */
/*
 * Requests and responses of synchronisation as CBOR maps with small integer keys. A field that is
 * zero or empty is left out, and refused when it is there all the same: a message has one encoding.
 *
 * Decoding fills a local message and the caller's room, and copies the message out only when all of
 * it was good. What a peer can make us hold is bounded by the room and by HG_WIRE_MAX.
 */
#include "wire.h"

#include <errno.h>

#include "cbor.h"

enum request_key {
	REQ_VERSION = 0,
	REQ_UID = 1,
	REQ_EPOCH = 2,
	REQ_SESSION = 3,
	REQ_ROUND = 4,
	REQ_FLAGS = 5,
	REQ_MIRROR_EPOCH = 6,
	REQ_MIRROR_CURSOR = 7,
	REQ_COMMAND_CURSOR = 8,
	REQ_TIME = 9,
	REQ_CHANGES = 10,
	REQ_REPORTS = 11,
};

enum response_key {
	RES_VERSION = 0,
	RES_STATUS = 1,
	RES_DETAIL = 2,
	RES_MIRROR_EPOCH = 3,
	RES_FLAGS = 4,
	RES_DEVICE_CURSOR = 5,
	RES_TIME = 6,
	RES_INTERVAL = 7,
	RES_CHANGES = 8,
	RES_COMMANDS = 9,
};

#define BIT(key) (1u << (key))

static const char *const state_names[] = {
	[HG_COMMAND_QUEUED] = "queued",	    [HG_COMMAND_LEASED] = "leased",
	[HG_COMMAND_RECEIVED] = "received", [HG_COMMAND_EXECUTING] = "executing",
	[HG_COMMAND_DONE] = "done",	    [HG_COMMAND_FAILED] = "failed",
	[HG_COMMAND_EXPIRED] = "expired",   [HG_COMMAND_CANCELLED] = "cancelled",
	[HG_COMMAND_UNKNOWN] = "unknown",
};

static const char *const status_names[] = {
	[HG_WIRE_OK] = "ok",
	[HG_WIRE_BAD_MESSAGE] = "bad-message",
	[HG_WIRE_VERSION_UNSUPPORTED] = "version-unsupported",
	[HG_WIRE_WRONG_UID] = "wrong-uid",
	[HG_WIRE_UNKNOWN_DEVICE] = "unknown-device",
	[HG_WIRE_QUARANTINED] = "quarantined",
	[HG_WIRE_BUSY] = "busy",
	[HG_WIRE_UNAVAILABLE] = "unavailable",
	[HG_WIRE_REFUSED] = "refused",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *hg_command_state_name(unsigned int state)
{
	return state < COUNT(state_names) ? state_names[state] : NULL;
}

int hg_command_state_parse(const char *name)
{
	for (unsigned int i = 0; i < COUNT(state_names); i++)
		if (!strcmp(name, state_names[i]))
			return (int)i;
	return -EINVAL;
}

const char *hg_wire_status_name(unsigned int status)
{
	return status < COUNT(status_names) ? status_names[status] : NULL;
}

/* The rules about single fields, the same for writing and reading. */

static bool number_ok(uint64_t n)
{
	return n <= INT64_MAX;
}

static bool text_ok(struct hg_slice s, size_t min, size_t max)
{
	return s.len >= min && s.len <= max && (!s.len || !memchr(s.ptr, '\0', s.len));
}

static bool seq_ok(uint64_t seq, uint64_t before)
{
	return seq > before && number_ok(seq);
}

static bool reported(unsigned int state)
{
	return state >= HG_COMMAND_RECEIVED && state <= HG_COMMAND_UNKNOWN &&
	       state != HG_COMMAND_CANCELLED;
}

static bool change_ok(const struct hg_wire_change *c, uint64_t before)
{
	return seq_ok(c->seq, before) && number_ok(c->time_ms) &&
	       text_ok(c->name, 1, HG_WIRE_NAME_MAX) && c->value.len <= HG_WIRE_VALUE_MAX;
}

static bool command_ok(const struct hg_wire_command *c, uint64_t before)
{
	return seq_ok(c->seq, before) && text_ok(c->action, 1, HG_WIRE_NAME_MAX) &&
	       c->input.len <= HG_WIRE_VALUE_MAX;
}

static bool report_ok(const struct hg_wire_report *r)
{
	return seq_ok(r->seq, 0) && reported(r->state) &&
	       text_ok(r->detail, 0, HG_WIRE_DETAIL_MAX) && r->output.len <= HG_WIRE_VALUE_MAX;
}

static bool request_ok(const struct hg_wire_request *r)
{
	return text_ok(r->uid, 1, HG_WIRE_UID_MAX) && r->epoch.len == HG_EPOCH_LEN && r->session &&
	       number_ok(r->session) &&
	       (!r->mirror_epoch.len || r->mirror_epoch.len == HG_EPOCH_LEN) &&
	       number_ok(r->mirror_cursor) && number_ok(r->command_cursor) &&
	       number_ok(r->time_ms) && r->n_changes <= HG_WIRE_CHANGES_MAX &&
	       r->n_reports <= HG_WIRE_REPORTS_MAX;
}

/* Only a response of status OK has contents. */
static bool response_ok(const struct hg_wire_response *r)
{
	bool empty = !r->mirror_epoch.len && !r->flags && !r->device_cursor && !r->n_changes &&
		     !r->n_commands;

	return (r->status == HG_WIRE_OK ? r->mirror_epoch.len == HG_EPOCH_LEN : empty) &&
	       text_ok(r->detail, 0, HG_WIRE_DETAIL_MAX) && number_ok(r->device_cursor) &&
	       number_ok(r->time_ms) && r->n_changes <= HG_WIRE_CHANGES_MAX &&
	       r->n_commands <= HG_WIRE_COMMANDS_MAX;
}

static void put_change(struct hg_cbor_out *o, const struct hg_wire_change *c)
{
	hg_cbor_put_array(o, c->value.len ? 4 : 3);
	hg_cbor_put_uint(o, c->seq);
	hg_cbor_put_uint(o, c->time_ms);
	hg_cbor_put_text(o, c->name);
	hg_cbor_put_raw(o, c->value);
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
	hg_cbor_put_array(o, r->output.len ? 5 : 4);
	hg_cbor_put_uint(o, r->seq);
	hg_cbor_put_uint(o, r->state);
	hg_cbor_put_int(o, r->exit_status);
	hg_cbor_put_text(o, r->detail);
	hg_cbor_put_raw(o, r->output);
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

static int put_changes(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_change *c,
		       size_t n)
{
	uint64_t before = 0;

	if (!n)
		return 0;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_array(o, n);
	for (; n; before = c->seq, n--, c++) {
		if (!change_ok(c, before))
			return -EINVAL;
		put_change(o, c);
	}
	return 0;
}

static int put_commands(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_command *c,
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

static int put_reports(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_report *r,
		       size_t n)
{
	if (!n)
		return 0;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_array(o, n);
	for (; n; n--, r++) {
		if (!report_ok(r))
			return -EINVAL;
		put_report(o, r);
	}
	return 0;
}

/* A field of its own key, left out when zero or empty. */
static void put_number_at(struct hg_cbor_out *o, uint64_t key, uint64_t value)
{
	if (!value)
		return;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_uint(o, value);
}

static void put_bytes_at(struct hg_cbor_out *o, uint64_t key, struct hg_slice bytes)
{
	if (!bytes.len)
		return;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_bytes(o, bytes);
}

static void put_text_at(struct hg_cbor_out *o, uint64_t key, struct hg_slice text)
{
	if (!text.len)
		return;
	hg_cbor_put_uint(o, key);
	hg_cbor_put_text(o, text);
}

/* Room for the prefix is left first; the length is known last. */
static struct hg_cbor_out frame_begin(void *buf, size_t size)
{
	size_t room = size < 4 ? 0 : size - 4;

	return hg_cbor_out_of((uint8_t *)buf + (size < 4 ? 0 : 4),
			      room < HG_WIRE_MAX ? room : HG_WIRE_MAX);
}

static long frame_end(const struct hg_cbor_out *o, int rc, void *buf)
{
	uint8_t *prefix = buf;

	if (rc || o->err)
		return rc ? rc : o->err == -ENOSPC ? -ENOSPC : -EINVAL;
	for (int i = 0; i < 4; i++)
		prefix[i] = (uint8_t)(o->len >> (24 - 8 * i));
	return (long)o->len + 4;
}

long hg_wire_put_request(const struct hg_wire_request *r, void *buf, size_t size)
{
	struct hg_cbor_out o = frame_begin(buf, size);
	int rc;

	if (!request_ok(r))
		return -EINVAL;
	hg_cbor_put_map(&o, 4u + !!r->round + !!r->flags + !!r->mirror_epoch.len +
				    !!r->mirror_cursor + !!r->command_cursor + !!r->time_ms +
				    !!r->n_changes + !!r->n_reports);
	hg_cbor_put_uint(&o, REQ_VERSION);
	hg_cbor_put_uint(&o, HG_WIRE_VERSION);
	put_text_at(&o, REQ_UID, r->uid);
	put_bytes_at(&o, REQ_EPOCH, r->epoch);
	put_number_at(&o, REQ_SESSION, r->session);
	put_number_at(&o, REQ_ROUND, r->round);
	put_number_at(&o, REQ_FLAGS, r->flags);
	put_bytes_at(&o, REQ_MIRROR_EPOCH, r->mirror_epoch);
	put_number_at(&o, REQ_MIRROR_CURSOR, r->mirror_cursor);
	put_number_at(&o, REQ_COMMAND_CURSOR, r->command_cursor);
	put_number_at(&o, REQ_TIME, r->time_ms);
	rc = put_changes(&o, REQ_CHANGES, r->changes, r->n_changes);
	if (!rc)
		rc = put_reports(&o, REQ_REPORTS, r->reports, r->n_reports);
	return frame_end(&o, rc, buf);
}

long hg_wire_put_response(const struct hg_wire_response *r, void *buf, size_t size)
{
	struct hg_cbor_out o = frame_begin(buf, size);
	int rc;

	if (!response_ok(r))
		return -EINVAL;
	hg_cbor_put_map(&o, 1u + !!r->status + !!r->detail.len + !!r->mirror_epoch.len +
				    !!r->flags + !!r->device_cursor + !!r->time_ms +
				    !!r->interval_ms + !!r->n_changes + !!r->n_commands);
	hg_cbor_put_uint(&o, RES_VERSION);
	hg_cbor_put_uint(&o, HG_WIRE_VERSION);
	put_number_at(&o, RES_STATUS, r->status);
	put_text_at(&o, RES_DETAIL, r->detail);
	put_bytes_at(&o, RES_MIRROR_EPOCH, r->mirror_epoch);
	put_number_at(&o, RES_FLAGS, r->flags);
	put_number_at(&o, RES_DEVICE_CURSOR, r->device_cursor);
	put_number_at(&o, RES_TIME, r->time_ms);
	put_number_at(&o, RES_INTERVAL, r->interval_ms);
	rc = put_changes(&o, RES_CHANGES, r->changes, r->n_changes);
	if (!rc)
		rc = put_commands(&o, RES_COMMANDS, r->commands, r->n_commands);
	return frame_end(&o, rc, buf);
}

long hg_wire_frame_len(const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint32_t n;

	if (len < 4)
		return 0;
	n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return n && n <= HG_WIRE_MAX ? (long)n + 4 : -EMSGSIZE;
}

/* Reading. A field that is there is not zero and not empty. */

static uint64_t get_number(struct hg_cbor_in *in, uint64_t max)
{
	size_t pos = in->pos;
	uint64_t n = hg_cbor_get_uint(in);

	if (!n || n > max)
		hg_cbor_refuse(in, pos);
	return n;
}

static struct hg_slice get_epoch(struct hg_cbor_in *in)
{
	size_t pos = in->pos;
	struct hg_slice s = hg_cbor_get_bytes(in);

	if (s.len != HG_EPOCH_LEN)
		hg_cbor_refuse(in, pos);
	return s;
}

static struct hg_slice get_text(struct hg_cbor_in *in, size_t max)
{
	size_t pos = in->pos;
	struct hg_slice s = hg_cbor_get_text(in);

	if (!text_ok(s, 1, max))
		hg_cbor_refuse(in, pos);
	return s;
}

static bool get_change(struct hg_cbor_in *in, struct hg_wire_change *c, uint64_t before)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);

	*c = (struct hg_wire_change){ 0 };
	c->seq = hg_cbor_get_uint(in);
	c->time_ms = hg_cbor_get_uint(in);
	c->name = hg_cbor_get_text(in);
	if (n == 4)
		c->value = hg_cbor_get_value(in);
	if ((n != 3 && n != 4) || !change_ok(c, before))
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

static bool get_report(struct hg_cbor_in *in, struct hg_wire_report *r)
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
	if ((n != 4 && n != 5) || state > HG_COMMAND_UNKNOWN || exit_status < INT32_MIN ||
	    exit_status > INT32_MAX || !report_ok(r))
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

static size_t get_changes(struct hg_cbor_in *in, struct hg_wire_change *c)
{
	size_t n = get_count(in, HG_WIRE_CHANGES_MAX);

	for (size_t i = 0; i < n && get_change(in, &c[i], i ? c[i - 1].seq : 0);)
		i++;
	return n;
}

static size_t get_commands(struct hg_cbor_in *in, struct hg_wire_command *c)
{
	size_t n = get_count(in, HG_WIRE_COMMANDS_MAX);

	for (size_t i = 0; i < n && get_command(in, &c[i], i ? c[i - 1].seq : 0);)
		i++;
	return n;
}

static size_t get_reports(struct hg_cbor_in *in, struct hg_wire_report *r)
{
	size_t n = get_count(in, HG_WIRE_REPORTS_MAX);

	for (size_t i = 0; i < n && get_report(in, &r[i]);)
		i++;
	return n;
}

/* Opens a message's map and takes the version, which every version has as its first field. */
static int get_head(struct hg_cbor_in *in, struct hg_cbor_map *map)
{
	size_t pos;
	uint64_t version;

	*map = hg_cbor_get_map(in);
	if (!hg_cbor_map_next(in, map) || hg_cbor_get_uint(in) != 0)
		hg_cbor_refuse(in, 0);
	pos = in->pos;
	version = hg_cbor_get_uint(in);
	if (in->err || version == HG_WIRE_VERSION)
		return in->err;
	in->pos = pos;
	return -EPROTONOSUPPORT;
}

/* A key that this version does not have. */
static void skip_unknown(struct hg_cbor_in *in, uint64_t key, size_t key_pos)
{
	if (key < HG_WIRE_KEY_FREE)
		hg_cbor_refuse(in, key_pos);
	hg_cbor_get_item(in);
}

static void get_request_field(struct hg_cbor_in *in, uint64_t key, size_t key_pos,
			      struct hg_wire_room *room, struct hg_wire_request *r)
{
	switch (key) {
	case REQ_UID:
		r->uid = get_text(in, HG_WIRE_UID_MAX);
		break;
	case REQ_EPOCH:
		r->epoch = get_epoch(in);
		break;
	case REQ_SESSION:
		r->session = get_number(in, INT64_MAX);
		break;
	case REQ_ROUND:
		r->round = (uint32_t)get_number(in, UINT32_MAX);
		break;
	case REQ_FLAGS:
		r->flags = (uint32_t)get_number(in, UINT32_MAX);
		break;
	case REQ_MIRROR_EPOCH:
		r->mirror_epoch = get_epoch(in);
		break;
	case REQ_MIRROR_CURSOR:
		r->mirror_cursor = get_number(in, INT64_MAX);
		break;
	case REQ_COMMAND_CURSOR:
		r->command_cursor = get_number(in, INT64_MAX);
		break;
	case REQ_TIME:
		r->time_ms = get_number(in, INT64_MAX);
		break;
	case REQ_CHANGES:
		r->changes = room->changes;
		r->n_changes = get_changes(in, room->changes);
		break;
	case REQ_REPORTS:
		r->reports = room->reports;
		r->n_reports = get_reports(in, room->reports);
		break;
	default:
		skip_unknown(in, key, key_pos);
	}
}

int hg_wire_get_request(struct hg_slice data, struct hg_wire_room *room,
			struct hg_wire_request *out, size_t *at)
{
	struct hg_cbor_in in = hg_cbor_in_of(data);
	struct hg_wire_request r = { 0 };
	struct hg_cbor_map map;
	int rc = get_head(&in, &map);

	while (!rc && hg_cbor_map_next(&in, &map)) {
		size_t pos = in.pos;
		uint64_t key = hg_cbor_get_uint(&in);

		get_request_field(&in, key, pos, room, &r);
	}
	if (!rc && !in.err && !request_ok(&r))
		hg_cbor_refuse(&in, 0);
	if (!rc)
		rc = hg_cbor_end(&in);
	if (rc)
		*at = in.pos;
	else
		*out = r;
	return rc;
}

static void get_response_field(struct hg_cbor_in *in, uint64_t key, size_t key_pos,
			       struct hg_wire_room *room, struct hg_wire_response *r)
{
	switch (key) {
	case RES_STATUS:
		r->status = (uint32_t)get_number(in, UINT32_MAX);
		break;
	case RES_DETAIL:
		r->detail = get_text(in, HG_WIRE_DETAIL_MAX);
		break;
	case RES_MIRROR_EPOCH:
		r->mirror_epoch = get_epoch(in);
		break;
	case RES_FLAGS:
		r->flags = (uint32_t)get_number(in, UINT32_MAX);
		break;
	case RES_DEVICE_CURSOR:
		r->device_cursor = get_number(in, INT64_MAX);
		break;
	case RES_TIME:
		r->time_ms = get_number(in, INT64_MAX);
		break;
	case RES_INTERVAL:
		r->interval_ms = (uint32_t)get_number(in, UINT32_MAX);
		break;
	case RES_CHANGES:
		r->changes = room->changes;
		r->n_changes = get_changes(in, room->changes);
		break;
	case RES_COMMANDS:
		r->commands = room->commands;
		r->n_commands = get_commands(in, room->commands);
		break;
	default:
		skip_unknown(in, key, key_pos);
	}
}

int hg_wire_get_response(struct hg_slice data, struct hg_wire_room *room,
			 struct hg_wire_response *out, size_t *at)
{
	struct hg_cbor_in in = hg_cbor_in_of(data);
	struct hg_wire_response r = { 0 };
	struct hg_cbor_map map;
	int rc = get_head(&in, &map);

	while (!rc && hg_cbor_map_next(&in, &map)) {
		size_t pos = in.pos;
		uint64_t key = hg_cbor_get_uint(&in);

		get_response_field(&in, key, pos, room, &r);
	}
	if (!rc && !in.err && !response_ok(&r))
		hg_cbor_refuse(&in, 0);
	if (!rc)
		rc = hg_cbor_end(&in);
	if (rc)
		*at = in.pos;
	else
		*out = r;
	return rc;
}
