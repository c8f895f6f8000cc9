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

#include "wire-element.h"

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
	REQ_PARTIAL = 12,
	REQ_CSR = 13,
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
	RES_PSK = 10,
	RES_CHAIN = 11,
	RES_PARTIAL = 12,
};

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

/* The rules of a whole message are asked by both directions. */

static bool request_ok(const struct hg_wire_request *r)
{
	return hg_wire_text_ok(r->uid, 1, HG_WIRE_UID_MAX) && r->epoch.len == HG_EPOCH_LEN &&
	       r->session && hg_wire_number_ok(r->session) &&
	       (!r->mirror_epoch.len || r->mirror_epoch.len == HG_EPOCH_LEN) &&
	       hg_wire_number_ok(r->mirror_cursor) && hg_wire_number_ok(r->command_cursor) &&
	       hg_wire_number_ok(r->time_ms) && r->n_changes <= HG_WIRE_CHANGES_MAX &&
	       r->n_reports <= HG_WIRE_REPORTS_MAX && r->n_partials <= HG_WIRE_PARTIALS_MAX &&
	       r->csr.len <= HG_WIRE_CSR_MAX;
}

/* All of it or nothing. */
static bool psk_ok(const struct hg_wire_psk *p)
{
	if (!p->identity.len)
		return !p->key.len && !p->not_after_ms;
	return p->identity.len <= HG_WIRE_PSK_IDENTITY_MAX && p->key.len == HG_WIRE_PSK_KEY_LEN &&
	       p->not_after_ms && hg_wire_number_ok(p->not_after_ms);
}

/* Only a response of status OK has contents. */
static bool response_ok(const struct hg_wire_response *r)
{
	bool empty = !r->mirror_epoch.len && !r->flags && !r->device_cursor && !r->n_changes &&
		     !r->n_commands && !r->n_partials && !r->psk.identity.len && !r->chain.len;

	return (r->status == HG_WIRE_OK ? r->mirror_epoch.len == HG_EPOCH_LEN : empty) &&
	       hg_wire_text_ok(r->detail, 0, HG_WIRE_DETAIL_MAX) &&
	       hg_wire_number_ok(r->device_cursor) && hg_wire_number_ok(r->time_ms) &&
	       r->n_changes <= HG_WIRE_CHANGES_MAX && r->n_commands <= HG_WIRE_COMMANDS_MAX &&
	       r->n_partials <= HG_WIRE_PARTIALS_MAX && psk_ok(&r->psk) &&
	       r->chain.len <= HG_WIRE_CHAIN_MAX;
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

static void put_psk(struct hg_cbor_out *o, const struct hg_wire_psk *p)
{
	if (!p->identity.len)
		return;
	hg_cbor_put_uint(o, RES_PSK);
	hg_cbor_put_array(o, 3);
	hg_cbor_put_bytes(o, p->identity);
	hg_cbor_put_bytes(o, p->key);
	hg_cbor_put_uint(o, p->not_after_ms);
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
				    !!r->n_changes + !!r->n_reports + !!r->n_partials +
				    !!r->csr.len);
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
	rc = hg_wire_put_changes(&o, REQ_CHANGES, r->changes, r->n_changes);
	if (!rc)
		rc = hg_wire_put_reports(&o, REQ_REPORTS, r->reports, r->n_reports);
	if (!rc)
		rc = hg_wire_put_partials(&o, REQ_PARTIAL, r->partials, r->n_partials);
	put_bytes_at(&o, REQ_CSR, r->csr);
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
				    !!r->interval_ms + !!r->n_changes + !!r->n_commands +
				    !!r->n_partials + !!r->psk.identity.len + !!r->chain.len);
	hg_cbor_put_uint(&o, RES_VERSION);
	hg_cbor_put_uint(&o, HG_WIRE_VERSION);
	put_number_at(&o, RES_STATUS, r->status);
	put_text_at(&o, RES_DETAIL, r->detail);
	put_bytes_at(&o, RES_MIRROR_EPOCH, r->mirror_epoch);
	put_number_at(&o, RES_FLAGS, r->flags);
	put_number_at(&o, RES_DEVICE_CURSOR, r->device_cursor);
	put_number_at(&o, RES_TIME, r->time_ms);
	put_number_at(&o, RES_INTERVAL, r->interval_ms);
	rc = hg_wire_put_changes(&o, RES_CHANGES, r->changes, r->n_changes);
	if (!rc)
		rc = hg_wire_put_commands(&o, RES_COMMANDS, r->commands, r->n_commands);
	put_psk(&o, &r->psk);
	put_bytes_at(&o, RES_CHAIN, r->chain);
	if (!rc)
		rc = hg_wire_put_partials(&o, RES_PARTIAL, r->partials, r->n_partials);
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

static struct hg_slice get_bytes(struct hg_cbor_in *in, size_t max)
{
	size_t pos = in->pos;
	struct hg_slice s = hg_cbor_get_bytes(in);

	if (!s.len || s.len > max)
		hg_cbor_refuse(in, pos);
	return s;
}

static struct hg_wire_psk get_psk(struct hg_cbor_in *in)
{
	struct hg_wire_psk p = { 0 };
	size_t pos = in->pos;

	if (hg_cbor_get_array(in) != 3)
		hg_cbor_refuse(in, pos);
	p.identity = get_bytes(in, HG_WIRE_PSK_IDENTITY_MAX);
	pos = in->pos;
	p.key = hg_cbor_get_bytes(in);
	if (p.key.len != HG_WIRE_PSK_KEY_LEN)
		hg_cbor_refuse(in, pos);
	p.not_after_ms = get_number(in, INT64_MAX);
	return p;
}

static struct hg_slice get_text(struct hg_cbor_in *in, size_t max)
{
	size_t pos = in->pos;
	struct hg_slice s = hg_cbor_get_text(in);

	if (!hg_wire_text_ok(s, 1, max))
		hg_cbor_refuse(in, pos);
	return s;
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
		r->n_changes = hg_wire_get_changes(in, room->changes);
		break;
	case REQ_REPORTS:
		r->reports = room->reports;
		r->n_reports = hg_wire_get_reports(in, room->reports);
		break;
	case REQ_PARTIAL:
		r->partials = room->partials;
		r->n_partials = hg_wire_get_partials(in, room->partials);
		break;
	case REQ_CSR:
		r->csr = get_bytes(in, HG_WIRE_CSR_MAX);
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
		r->n_changes = hg_wire_get_changes(in, room->changes);
		break;
	case RES_COMMANDS:
		r->commands = room->commands;
		r->n_commands = hg_wire_get_commands(in, room->commands);
		break;
	case RES_PARTIAL:
		r->partials = room->partials;
		r->n_partials = hg_wire_get_partials(in, room->partials);
		break;
	case RES_PSK:
		r->psk = get_psk(in);
		break;
	case RES_CHAIN:
		r->chain = get_bytes(in, HG_WIRE_CHAIN_MAX);
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
