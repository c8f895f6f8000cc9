/* SPDX-License-Identifier: MIT */
/*
 * Payloads of the collector's datagrams: CBOR maps with small integer keys. A field that is zero or
 * empty is left out, and refused when it is there all the same: a payload has one encoding. Used by
 * alarm.c only.
 */
#include "alarm-payload.h"

#include <errno.h>

#include "cbor.h"

enum key {
	KEY_TYPE = 0,
	KEY_UID = 1,
	KEY_COUNTER = 2,
	KEY_TIME = 3,
	KEY_CLASS = 4,
	KEY_EPISODE = 5,
	KEY_MODEL = 6,
	KEY_FIRMWARE = 7,
	KEY_FEATURE = 8,
	KEY_CHANNEL = 9,
	KEY_VALUE = 10,
	KEY_BOUND = 11,
	KEY_SELF = 12,
	KEY_TARGETS = 13,
	KEY_CODE = 14,
	KEY_ATTACK = 15,
	KEY_WINDOW = 16,
	KEY_FREE = 64, /* from here on keys are skipped: later minor versions use them */
};

#define BIT(key) (1u << (key))
#define BITS_EACH (BIT(KEY_TYPE) | BIT(KEY_COUNTER))

/* Which fields each datagram must have, and may have besides. */
static const struct {
	uint32_t must, may;
} fields[] = {
	[HG_DATAGRAM_ENROL] = { BITS_EACH | BIT(KEY_UID), 0 },
	[HG_DATAGRAM_ALARM] = { BITS_EACH | BIT(KEY_UID) | BIT(KEY_EPISODE),
				BIT(KEY_TIME) | BIT(KEY_CLASS) | BIT(KEY_MODEL) |
					BIT(KEY_FIRMWARE) | BIT(KEY_FEATURE) | BIT(KEY_CHANNEL) |
					BIT(KEY_VALUE) | BIT(KEY_BOUND) | BIT(KEY_SELF) |
					BIT(KEY_TARGETS) | BIT(KEY_ATTACK) | BIT(KEY_WINDOW) },
	[HG_DATAGRAM_ACK] = { BITS_EACH, BIT(KEY_UID) | BIT(KEY_CODE) },
};

enum address_tag { TAG_IPV4 = 52, TAG_IPV6 = 54 }; /* RFC 9164 */

/* All bits of addr behind the prefix are zero, up to its full 16 bytes. */
static bool host_bits_zero(const struct hg_alarm_target *t)
{
	for (unsigned int bit = t->prefix_len; bit < 128; bit++)
		if (t->addr[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool target_ok(const struct hg_alarm_target *t)
{
	return (t->family == 4 || t->family == 6) && t->prefix_len <= (t->family == 4 ? 32 : 128) &&
	       host_bits_zero(t);
}

/* 0: not said. */
static bool window_ok(uint64_t seconds)
{
	return !seconds || seconds == 1 || seconds == 60 || seconds == 3600;
}

/* Of a payload that has all fields it must have. */
static bool payload_ok(const struct hg_alarm_payload *p)
{
	const struct hg_alarm *a = &p->a;
	bool good = p->code <= HG_ACK_REJECTED && a->counter && a->counter <= INT64_MAX &&
		    a->episode <= a->counter && a->time_ms <= INT64_MAX && a->value <= INT64_MAX &&
		    a->bound <= INT64_MAX && a->alarm_class <= HG_ALARM_ENDED &&
		    a->feature <= HG_FEATURE_MAX && a->attack <= HG_ATTACK_MAX &&
		    window_ok(a->window) && a->n_targets <= HG_ALARM_TARGETS_MAX &&
		    (!a->self_family || a->self_family == 4 || a->self_family == 6) &&
		    (!a->uid[0] || hg_uid_valid(a->uid, strnlen(a->uid, sizeof(a->uid)))) &&
		    memchr(a->model, '\0', sizeof(a->model)) &&
		    memchr(a->firmware, '\0', sizeof(a->firmware));

	for (size_t i = 0; good && i < a->n_targets; i++)
		good = target_ok(&a->targets[i]);
	return good;
}

/* A map's body and the keys that it has got; a field that is zero or empty is left out. */
struct body {
	struct hg_cbor_out out;
	uint32_t keys;
};

static void put_key(struct body *b, enum key key)
{
	b->keys |= BIT(key);
	hg_cbor_put_uint(&b->out, key);
}

static void put_number(struct body *b, enum key key, uint64_t value)
{
	if (!value)
		return;
	put_key(b, key);
	hg_cbor_put_uint(&b->out, value);
}

static void put_text(struct body *b, enum key key, const char *text)
{
	if (!*text)
		return;
	put_key(b, key);
	hg_cbor_put_text(&b->out, hg_slice_str(text));
}

static void put_address_tag(struct hg_cbor_out *o, uint8_t family)
{
	hg_cbor_put_tag(o, family == 4 ? TAG_IPV4 : TAG_IPV6);
}

/* A prefix is written without its trailing zero bytes (RFC 9164). */
static void put_target(struct hg_cbor_out *o, const struct hg_alarm_target *t)
{
	size_t len = (t->prefix_len + 7u) / 8;

	while (len && !t->addr[len - 1])
		len--;
	hg_cbor_put_array(o, 4);
	put_address_tag(o, t->family);
	hg_cbor_put_array(o, 2);
	hg_cbor_put_uint(o, t->prefix_len);
	hg_cbor_put_bytes(o, hg_slice_of(t->addr, len));
	hg_cbor_put_uint(o, t->proto);
	hg_cbor_put_uint(o, t->port);
	hg_cbor_put_uint(o, t->packets);
}

static void put_addresses(struct body *b, const struct hg_alarm *a)
{
	if (a->self_family) {
		put_key(b, KEY_SELF);
		put_address_tag(&b->out, a->self_family);
		hg_cbor_put_bytes(&b->out, hg_slice_of(a->self_addr, a->self_family == 4 ? 4 : 16));
	}
	if (a->n_targets) {
		put_key(b, KEY_TARGETS);
		hg_cbor_put_array(&b->out, a->n_targets);
	}
	for (size_t i = 0; i < a->n_targets; i++)
		put_target(&b->out, &a->targets[i]);
}

long hg_alarm_payload_put(const struct hg_alarm_payload *p, void *buf, size_t size)
{
	uint8_t bytes[HG_ALARM_MAX];
	struct body b = { .out = hg_cbor_out_of(bytes, sizeof(bytes)) };
	struct hg_cbor_out o = hg_cbor_out_of(buf, size);
	const struct hg_alarm *a = &p->a;

	if (!payload_ok(p))
		return -EINVAL;
	put_number(&b, KEY_TYPE, p->type);
	put_text(&b, KEY_UID, a->uid);
	put_number(&b, KEY_COUNTER, a->counter);
	put_number(&b, KEY_TIME, a->time_ms);
	put_number(&b, KEY_CLASS, a->alarm_class);
	put_number(&b, KEY_EPISODE, a->episode);
	put_text(&b, KEY_MODEL, a->model);
	put_text(&b, KEY_FIRMWARE, a->firmware);
	put_number(&b, KEY_FEATURE, a->feature);
	put_number(&b, KEY_CHANNEL, a->channel);
	put_number(&b, KEY_VALUE, a->value);
	put_number(&b, KEY_BOUND, a->bound);
	put_addresses(&b, a);
	put_number(&b, KEY_CODE, p->code);
	put_number(&b, KEY_ATTACK, a->attack);
	put_number(&b, KEY_WINDOW, a->window);
	if (~b.keys & fields[p->type].must)
		return -EINVAL;
	if (b.out.err)
		return b.out.err == -EILSEQ ? -EINVAL : b.out.err;
	hg_cbor_put_map(&o, (uint64_t)__builtin_popcount(b.keys));
	hg_cbor_put_raw(&o, hg_slice_of(bytes, b.out.len));
	return o.err ? o.err : (long)o.len;
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

static void get_text(struct hg_cbor_in *in, char *out, size_t size)
{
	size_t pos = in->pos;
	struct hg_slice text = hg_cbor_get_text(in);

	if (!text.len || text.len >= size || memchr(text.ptr, '\0', text.len)) {
		hg_cbor_refuse(in, pos);
		return;
	}
	memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
}

static uint8_t get_family(struct hg_cbor_in *in)
{
	size_t pos = in->pos;
	uint64_t tag = hg_cbor_get_tag(in);

	if (tag != TAG_IPV4 && tag != TAG_IPV6)
		hg_cbor_refuse(in, pos);
	return tag == TAG_IPV4 ? 4 : 6;
}

static void get_self(struct hg_cbor_in *in, struct hg_alarm *a)
{
	size_t pos = in->pos;
	struct hg_slice addr;

	a->self_family = get_family(in);
	addr = hg_cbor_get_bytes(in);
	if (addr.len != (a->self_family == 4 ? 4 : 16))
		hg_cbor_refuse(in, pos);
	else
		memcpy(a->self_addr, addr.ptr, addr.len);
}

static void get_target(struct hg_cbor_in *in, struct hg_alarm_target *t)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in), m;
	uint64_t prefix_len, proto, port, packets;
	struct hg_slice addr;

	t->family = get_family(in);
	m = hg_cbor_get_array(in);
	prefix_len = hg_cbor_get_uint(in);
	addr = hg_cbor_get_bytes(in);
	proto = hg_cbor_get_uint(in);
	port = hg_cbor_get_uint(in);
	packets = hg_cbor_get_uint(in);
	if (in->err || n != 4 || m != 2 || prefix_len > 128 || proto > UINT8_MAX ||
	    port > UINT16_MAX || packets > UINT32_MAX || addr.len > sizeof(t->addr) ||
	    (addr.len && !addr.ptr[addr.len - 1])) {
		hg_cbor_refuse(in, pos);
		return;
	}
	if (addr.len)
		memcpy(t->addr, addr.ptr, addr.len);
	t->prefix_len = (uint8_t)prefix_len;
	t->proto = (uint8_t)proto;
	t->port = (uint16_t)port;
	t->packets = (uint32_t)packets;
}

static void get_targets(struct hg_cbor_in *in, struct hg_alarm *a)
{
	size_t pos = in->pos, n = hg_cbor_get_array(in);

	if (!n || n > HG_ALARM_TARGETS_MAX) {
		hg_cbor_refuse(in, pos);
		return;
	}
	a->n_targets = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		get_target(in, &a->targets[i]);
}

static void get_field(struct hg_cbor_in *in, uint64_t key, size_t key_pos,
		      struct hg_alarm_payload *p)
{
	struct hg_alarm *a = &p->a;

	switch (key) {
	case KEY_TYPE:
		p->type = (uint8_t)get_number(in, HG_DATAGRAM_ACK);
		break;
	case KEY_UID:
		get_text(in, a->uid, sizeof(a->uid));
		break;
	case KEY_COUNTER:
		a->counter = get_number(in, INT64_MAX);
		break;
	case KEY_TIME:
		a->time_ms = get_number(in, INT64_MAX);
		break;
	case KEY_CLASS:
		a->alarm_class = (uint8_t)get_number(in, HG_ALARM_ENDED);
		break;
	case KEY_EPISODE:
		a->episode = get_number(in, INT64_MAX);
		break;
	case KEY_MODEL:
		get_text(in, a->model, sizeof(a->model));
		break;
	case KEY_FIRMWARE:
		get_text(in, a->firmware, sizeof(a->firmware));
		break;
	case KEY_FEATURE:
		a->feature = (uint8_t)get_number(in, HG_FEATURE_MAX);
		break;
	case KEY_CHANNEL:
		a->channel = (uint16_t)get_number(in, UINT16_MAX);
		break;
	case KEY_VALUE:
		a->value = get_number(in, INT64_MAX);
		break;
	case KEY_BOUND:
		a->bound = get_number(in, INT64_MAX);
		break;
	case KEY_SELF:
		get_self(in, a);
		break;
	case KEY_TARGETS:
		get_targets(in, a);
		break;
	case KEY_CODE:
		p->code = (uint8_t)get_number(in, HG_ACK_REJECTED);
		break;
	case KEY_ATTACK:
		a->attack = (uint8_t)get_number(in, HG_ATTACK_MAX);
		break;
	case KEY_WINDOW:
		a->window = (uint16_t)get_number(in, 3600);
		break;
	default:
		if (key < KEY_FREE)
			hg_cbor_refuse(in, key_pos);
		hg_cbor_get_item(in);
	}
}

int hg_alarm_payload_get(struct hg_slice data, struct hg_alarm_payload *out)
{
	struct hg_cbor_in in = hg_cbor_in_of(data);
	struct hg_cbor_map map = hg_cbor_get_map(&in);
	struct hg_alarm_payload p = { 0 };
	uint32_t keys = 0;

	while (hg_cbor_map_next(&in, &map)) {
		size_t pos = in.pos;
		uint64_t key = hg_cbor_get_uint(&in);

		if (key < 32)
			keys |= BIT(key);
		get_field(&in, key, pos, &p);
	}
	if (hg_cbor_end(&in) || ~keys & fields[p.type].must ||
	    keys & ~(fields[p.type].must | fields[p.type].may) || !payload_ok(&p))
		return -EBADMSG;
	*out = p;
	return 0;
}
