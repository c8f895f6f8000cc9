/* SPDX-License-Identifier: MIT */
/*
 * The CBOR codec. Reading and writing share one idea: a head is a major type and a number, and
 * there is exactly one way to write it; whatever decodes to the same value from other bytes is an
 * error, which makes equal messages equal bytes, and signatures and comparisons of encoded values
 * safe.
 *
 * Nothing here trusts a length before it was held against what is left of the input.
 */
#include "cbor.h"

#include <errno.h>
#include <float.h>
#include <math.h>

#include "utf8.h"

#define MAJOR_SIMPLE 7 /* simple values and floats */

enum simple { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };
/* The low five bits of a head's first byte: a small number, or how many bytes it has. */
enum info { INFO_1_BYTE = 24, INFO_2_BYTES = 25, INFO_4_BYTES = 26, INFO_8_BYTES = 27 };

static void put(struct hg_cbor_out *o, const void *bytes, size_t n)
{
	if (!o->err && n > o->size - o->len)
		o->err = -ENOSPC;
	if (!o->err && n)
		memcpy(o->buf + o->len, bytes, n);
	o->len += n;
}

static void put_head_bytes(struct hg_cbor_out *o, unsigned int major, uint64_t n, unsigned int info)
{
	uint8_t head[9] = { (uint8_t)(major << 5 | info) };
	size_t extra = info < INFO_1_BYTE ? 0 : (size_t)1 << (info - INFO_1_BYTE);

	for (size_t i = 0; i < extra; i++)
		head[1 + i] = (uint8_t)(n >> (8 * (extra - 1 - i)));
	put(o, head, 1 + extra);
}

static void put_head(struct hg_cbor_out *o, unsigned int major, uint64_t n)
{
	put_head_bytes(o, major, n,
		       n < INFO_1_BYTE	 ? (unsigned int)n
		       : n <= UINT8_MAX	 ? INFO_1_BYTE
		       : n <= UINT16_MAX ? INFO_2_BYTES
		       : n <= UINT32_MAX ? INFO_4_BYTES
					 : INFO_8_BYTES);
}

void hg_cbor_put_uint(struct hg_cbor_out *o, uint64_t value)
{
	put_head(o, HG_CBOR_UINT, value);
}

void hg_cbor_put_int(struct hg_cbor_out *o, int64_t value)
{
	if (value < 0)
		put_head(o, HG_CBOR_NEGATIVE, ~(uint64_t)value);
	else
		put_head(o, HG_CBOR_UINT, (uint64_t)value);
}

void hg_cbor_put_bytes(struct hg_cbor_out *o, struct hg_slice bytes)
{
	put_head(o, HG_CBOR_BYTES, bytes.len);
	put(o, bytes.ptr, bytes.len);
}

void hg_cbor_put_bytes_head(struct hg_cbor_out *o, uint64_t len)
{
	put_head(o, HG_CBOR_BYTES, len);
}

void hg_cbor_put_text(struct hg_cbor_out *o, struct hg_slice text)
{
	if (!o->err && !hg_utf8_valid(text.ptr, text.len))
		o->err = -EILSEQ;
	put_head(o, HG_CBOR_TEXT, text.len);
	put(o, text.ptr, text.len);
}

void hg_cbor_put_array(struct hg_cbor_out *o, uint64_t items)
{
	put_head(o, HG_CBOR_ARRAY, items);
}

void hg_cbor_put_map(struct hg_cbor_out *o, uint64_t pairs)
{
	put_head(o, HG_CBOR_MAP, pairs);
}

void hg_cbor_put_tag(struct hg_cbor_out *o, uint64_t tag)
{
	put_head(o, HG_CBOR_TAG, tag);
}

void hg_cbor_put_bool(struct hg_cbor_out *o, bool value)
{
	put_head(o, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void hg_cbor_put_null(struct hg_cbor_out *o)
{
	put_head(o, MAJOR_SIMPLE, SIMPLE_NULL);
}

void hg_cbor_put_raw(struct hg_cbor_out *o, struct hg_slice item)
{
	put(o, item.ptr, item.len);
}

/* The IEEE 754 half of the same value, if there is one. */
static bool half_of(float value, uint16_t *out)
{
	uint32_t bits, sign, mantissa, lost;
	int exponent;

	memcpy(&bits, &value, sizeof(bits));
	sign = bits >> 16 & 0x8000;
	exponent = (int)(bits >> 23 & 0xff) - 127;
	mantissa = bits & 0x7fffff;
	if (!(bits & 0x7fffffff) || exponent == 128) { /* zero, infinity */
		*out = (uint16_t)(sign | (exponent == 128 ? 0x7c00 : 0));
		return true;
	}
	if (exponent < -24 || exponent > 15)
		return false;
	lost = 13;	      /* bits of the mantissa that a half does not have */
	if (exponent < -14) { /* a subnormal half shows its leading one */
		mantissa |= 0x800000;
		lost += (uint32_t)(-14 - exponent);
		exponent = -15;
	}
	if (mantissa & ((1u << lost) - 1))
		return false;
	*out = (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 | mantissa >> lost);
	return true;
}

void hg_cbor_put_double(struct hg_cbor_out *o, double value)
{
	uint32_t single_bits;
	uint64_t bits;
	uint16_t half;
	float single;

	if (isnan(value)) {
		put_head_bytes(o, MAJOR_SIMPLE, 0x7e00, INFO_2_BYTES);
		return;
	}
	single = fabs(value) <= FLT_MAX || isinf(value) ? (float)value : 0;
	if ((double)single != value) {
		memcpy(&bits, &value, sizeof(bits));
		put_head_bytes(o, MAJOR_SIMPLE, bits, INFO_8_BYTES);
	} else if (half_of(single, &half)) {
		put_head_bytes(o, MAJOR_SIMPLE, half, INFO_2_BYTES);
	} else {
		memcpy(&single_bits, &single, sizeof(single_bits));
		put_head_bytes(o, MAJOR_SIMPLE, single_bits, INFO_4_BYTES);
	}
}

/* A head as it stands in the input. */
struct head {
	unsigned int major, info;
	uint64_t number;
	size_t len;
};

void hg_cbor_refuse(struct hg_cbor_in *in, size_t pos)
{
	if (in->err)
		return;
	in->err = -EBADMSG;
	in->pos = pos;
}

/* Reads a head without moving; false if there is none or it is not the shortest. */
static bool look(const struct hg_cbor_in *in, struct head *h)
{
	size_t left = in->data.len - in->pos, extra;
	const uint8_t *p;

	if (in->err || !left)
		return false;
	p = in->data.ptr + in->pos;
	h->major = p[0] >> 5;
	h->info = p[0] & 31;
	if (h->info > INFO_8_BYTES) /* reserved, or of indefinite length */
		return false;
	extra = h->info < INFO_1_BYTE ? 0 : (size_t)1 << (h->info - INFO_1_BYTE);
	if (left - 1 < extra)
		return false;
	h->len = 1 + extra;
	h->number = extra ? 0 : h->info;
	for (size_t i = 0; i < extra; i++)
		h->number = h->number << 8 | p[1 + i];
	if (h->major ==
	    MAJOR_SIMPLE) /* 25..27 are floats: their bits are not a number to shorten */
		return h->info != INFO_1_BYTE || h->number >= 32;
	return !extra || h->number >= (extra == 1 ? INFO_1_BYTE : 1ull << (4 * extra));
}

enum hg_cbor_type hg_cbor_peek(const struct hg_cbor_in *in)
{
	struct head h;

	if (!look(in, &h))
		return HG_CBOR_NONE;
	if (h.major != MAJOR_SIMPLE)
		return (enum hg_cbor_type)h.major;
	if (h.info >= INFO_2_BYTES)
		return HG_CBOR_FLOAT;
	if (h.info == SIMPLE_FALSE || h.info == SIMPLE_TRUE)
		return HG_CBOR_BOOL;
	return h.info == SIMPLE_NULL ? HG_CBOR_NULL : HG_CBOR_SIMPLE;
}

/* Takes a head of one major type. */
static bool take(struct hg_cbor_in *in, unsigned int major, struct head *h)
{
	if (!look(in, h) || h->major != major) {
		hg_cbor_refuse(in, in->pos);
		return false;
	}
	in->pos += h->len;
	return true;
}

uint64_t hg_cbor_get_uint(struct hg_cbor_in *in)
{
	struct head h;

	return take(in, HG_CBOR_UINT, &h) ? h.number : 0;
}

int64_t hg_cbor_get_int(struct hg_cbor_in *in)
{
	size_t start = in->pos;
	struct head h;

	if (!take(in, hg_cbor_peek(in) == HG_CBOR_NEGATIVE ? HG_CBOR_NEGATIVE : HG_CBOR_UINT, &h))
		return 0;
	if (h.number > INT64_MAX) {
		hg_cbor_refuse(in, start);
		return 0;
	}
	return h.major == HG_CBOR_NEGATIVE ? -1 - (int64_t)h.number : (int64_t)h.number;
}

static struct hg_slice get_string(struct hg_cbor_in *in, unsigned int major)
{
	const struct hg_slice none = { NULL, 0 };
	struct hg_slice s;
	size_t start = in->pos;
	struct head h;

	if (!take(in, major, &h))
		return none;
	if (h.number > in->data.len - in->pos) {
		hg_cbor_refuse(in, start);
		return none;
	}
	s = hg_slice_of(in->data.ptr + in->pos, (size_t)h.number);
	if (major == HG_CBOR_TEXT && !hg_utf8_valid(s.ptr, s.len)) {
		hg_cbor_refuse(in, start);
		return none;
	}
	in->pos += s.len;
	return s;
}

struct hg_slice hg_cbor_get_bytes(struct hg_cbor_in *in)
{
	return get_string(in, HG_CBOR_BYTES);
}

struct hg_slice hg_cbor_get_text(struct hg_cbor_in *in)
{
	return get_string(in, HG_CBOR_TEXT);
}

bool hg_cbor_get_bool(struct hg_cbor_in *in)
{
	struct head h;

	if (hg_cbor_peek(in) != HG_CBOR_BOOL) {
		hg_cbor_refuse(in, in->pos);
		return false;
	}
	return take(in, MAJOR_SIMPLE, &h) && h.info == SIMPLE_TRUE;
}

void hg_cbor_get_null(struct hg_cbor_in *in)
{
	struct head h;

	if (hg_cbor_peek(in) != HG_CBOR_NULL)
		hg_cbor_refuse(in, in->pos);
	else
		take(in, MAJOR_SIMPLE, &h);
}

static double double_of_half(uint64_t half)
{
	uint64_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
	double value;

	if (!exponent) {
		value = (double)mantissa * 0x1p-24;
	} else {
		exponent = exponent == 0x1f ? 0x7ff : exponent - 15 + 1023;
		mantissa = exponent << 52 | mantissa << 42;
		memcpy(&value, &mantissa, sizeof(value));
	}
	return half & 0x8000 ? -value : value;
}

double hg_cbor_get_double(struct hg_cbor_in *in)
{
	uint8_t again[9];
	struct hg_cbor_out shortest = hg_cbor_out_of(again, sizeof(again));
	uint32_t single_bits;
	double value;
	float single;
	struct head h;

	if (hg_cbor_peek(in) != HG_CBOR_FLOAT || !look(in, &h)) {
		hg_cbor_refuse(in, in->pos);
		return 0;
	}
	if (h.info == INFO_2_BYTES) {
		value = double_of_half(h.number);
	} else if (h.info == INFO_4_BYTES) {
		single_bits = (uint32_t)h.number;
		memcpy(&single, &single_bits, sizeof(single));
		value = (double)single;
	} else {
		memcpy(&value, &h.number, sizeof(value));
	}
	hg_cbor_put_double(&shortest, value);
	if (shortest.len != h.len || memcmp(again, in->data.ptr + in->pos, h.len)) {
		hg_cbor_refuse(in, in->pos);
		return 0;
	}
	in->pos += h.len;
	return value;
}

uint64_t hg_cbor_get_tag(struct hg_cbor_in *in)
{
	struct head h;

	return take(in, HG_CBOR_TAG, &h) ? h.number : 0;
}

/* A count of items or pairs that could be there: each has at least item_min bytes. */
static size_t get_count(struct hg_cbor_in *in, unsigned int major, size_t item_min)
{
	size_t start = in->pos;
	struct head h;

	if (!take(in, major, &h))
		return 0;
	if (h.number > (in->data.len - in->pos) / item_min) {
		hg_cbor_refuse(in, start);
		return 0;
	}
	return (size_t)h.number;
}

size_t hg_cbor_get_array(struct hg_cbor_in *in)
{
	return get_count(in, HG_CBOR_ARRAY, 1);
}

struct hg_cbor_map hg_cbor_get_map(struct hg_cbor_in *in)
{
	return (struct hg_cbor_map){ .left = get_count(in, HG_CBOR_MAP, 2) };
}

static int compare(struct hg_slice a, struct hg_slice b)
{
	int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool hg_cbor_map_next(struct hg_cbor_in *in, struct hg_cbor_map *map)
{
	struct hg_cbor_in ahead = *in;
	struct hg_slice key;
	struct head h;

	if (in->err || !map->left)
		return false;
	if (hg_cbor_peek(in) <= HG_CBOR_NEGATIVE)
		take(&ahead, hg_cbor_peek(in), &h);
	else
		get_string(&ahead,
			   hg_cbor_peek(in) == HG_CBOR_BYTES ? HG_CBOR_BYTES : HG_CBOR_TEXT);
	key = hg_slice_of(in->data.ptr + in->pos, ahead.pos - in->pos);
	if (ahead.err || (map->key.len && compare(map->key, key) >= 0)) {
		hg_cbor_refuse(in, in->pos);
		return false;
	}
	map->key = key;
	map->left--;
	return true;
}

/* `plain`: of the JSON data model only. */
static void skip(struct hg_cbor_in *in, unsigned int depth, bool plain)
{
	enum hg_cbor_type type = hg_cbor_peek(in);
	size_t start = in->pos;
	struct hg_cbor_map map;
	struct hg_slice text;
	struct head h;

	if (type == HG_CBOR_NONE ||
	    (plain && (type == HG_CBOR_BYTES || type == HG_CBOR_TAG || type == HG_CBOR_SIMPLE)))
		goto refuse;
	if (type >= HG_CBOR_ARRAY && type <= HG_CBOR_TAG && depth++ == HG_CBOR_DEPTH_MAX)
		goto refuse;
	switch (type) {
	case HG_CBOR_UINT:
	case HG_CBOR_NEGATIVE:
		if (plain)
			hg_cbor_get_int(in);
		else
			take(in, type, &h);
		break;
	case HG_CBOR_BYTES:
	case HG_CBOR_TEXT:
		text = get_string(in, type);
		if (plain && text.len && memchr(text.ptr, '\0', text.len))
			goto refuse;
		break;
	case HG_CBOR_ARRAY:
		for (size_t n = hg_cbor_get_array(in); n && !in->err; n--)
			skip(in, depth, plain);
		break;
	case HG_CBOR_MAP:
		map = hg_cbor_get_map(in);
		while (hg_cbor_map_next(in, &map)) {
			if (plain && hg_cbor_peek(in) != HG_CBOR_TEXT)
				hg_cbor_refuse(in, in->pos);
			skip(in, depth, plain);
			skip(in, depth, plain);
		}
		break;
	case HG_CBOR_TAG:
		hg_cbor_get_tag(in);
		skip(in, depth, plain);
		break;
	case HG_CBOR_FLOAT:
		if (!isfinite(hg_cbor_get_double(in)) && plain)
			goto refuse;
		break;
	default:
		take(in, MAJOR_SIMPLE, &h);
	}
	return;
refuse:
	hg_cbor_refuse(in, start);
}

static struct hg_slice get_item(struct hg_cbor_in *in, bool plain)
{
	size_t start = in->pos;

	skip(in, 0, plain);
	return in->err ? hg_slice_of(NULL, 0) : hg_slice_of(in->data.ptr + start, in->pos - start);
}

struct hg_slice hg_cbor_get_item(struct hg_cbor_in *in)
{
	return get_item(in, false);
}

struct hg_slice hg_cbor_get_value(struct hg_cbor_in *in)
{
	return get_item(in, true);
}

int hg_cbor_end(struct hg_cbor_in *in)
{
	if (in->pos != in->data.len)
		hg_cbor_refuse(in, in->pos);
	return in->err;
}
