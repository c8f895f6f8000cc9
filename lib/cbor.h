/* SPDX-License-Identifier: MIT */
/*
 * CBOR in its one deterministic form (RFC 8949 section 4.2.1): shortest heads and floats, definite
 * lengths, map keys in ascending order of their bytes, none twice. No allocation; both sides work
 * in memory of the caller and keep their first error, so that a caller writes or reads a whole
 * message and asks once.
 */
#ifndef HG_LIB_CBOR_H
#define HG_LIB_CBOR_H

#include "slice.h"

#define HG_CBOR_DEPTH_MAX                                                                          \
	16 /* arrays, maps and tags around an item that hg_cbor_get_item() accepts */

/*
 * Writing. `len` counts what was asked for even when it does not fit, so an encoder over no memory
 * (all zero) measures. The caller writes map keys in ascending order and as many items as it
 * announced.
 */
struct hg_cbor_out {
	uint8_t *buf;
	size_t size;
	size_t len;
	int err; /* -ENOSPC: len > size. -EILSEQ: text was not UTF-8 */
};

static inline struct hg_cbor_out hg_cbor_out_of(void *buf, size_t size)
{
	return (struct hg_cbor_out){ buf, size, 0, 0 };
}

void hg_cbor_put_uint(struct hg_cbor_out *o, uint64_t value);
void hg_cbor_put_int(struct hg_cbor_out *o, int64_t value);
void hg_cbor_put_bytes(struct hg_cbor_out *o, struct hg_slice bytes);
/* Of bytes that the caller puts behind it himself. */
void hg_cbor_put_bytes_head(struct hg_cbor_out *o, uint64_t len);
void hg_cbor_put_text(struct hg_cbor_out *o, struct hg_slice text);
void hg_cbor_put_array(struct hg_cbor_out *o, uint64_t items);
void hg_cbor_put_map(struct hg_cbor_out *o, uint64_t pairs);
void hg_cbor_put_tag(struct hg_cbor_out *o, uint64_t tag);
void hg_cbor_put_bool(struct hg_cbor_out *o, bool value);
void hg_cbor_put_null(struct hg_cbor_out *o);
void hg_cbor_put_double(struct hg_cbor_out *o, double value);
/* Bytes that are an item already. */
void hg_cbor_put_raw(struct hg_cbor_out *o, struct hg_slice item);

enum hg_cbor_type {
	HG_CBOR_UINT = 0, /* 0..6 are the major types */
	HG_CBOR_NEGATIVE = 1,
	HG_CBOR_BYTES = 2,
	HG_CBOR_TEXT = 3,
	HG_CBOR_ARRAY = 4,
	HG_CBOR_MAP = 5,
	HG_CBOR_TAG = 6,
	HG_CBOR_BOOL,
	HG_CBOR_NULL,
	HG_CBOR_FLOAT,
	HG_CBOR_SIMPLE, /* undefined and unassigned simple values */
	HG_CBOR_NONE,	/* at the end, or after an error */
};

/*
 * Reading. Each hg_cbor_get_ function takes the next item, which must be of its type and
 * deterministic; otherwise err becomes -EBADMSG, `pos` stays at the offending item, and this and
 * all later calls return zero values. Slices point into the input.
 */
struct hg_cbor_in {
	struct hg_slice data;
	size_t pos;
	int err;
};

static inline struct hg_cbor_in hg_cbor_in_of(struct hg_slice data)
{
	return (struct hg_cbor_in){ data, 0, 0 };
}

enum hg_cbor_type hg_cbor_peek(const struct hg_cbor_in *in);
uint64_t hg_cbor_get_uint(struct hg_cbor_in *in);
int64_t hg_cbor_get_int(struct hg_cbor_in *in);
struct hg_slice hg_cbor_get_bytes(struct hg_cbor_in *in);
struct hg_slice hg_cbor_get_text(struct hg_cbor_in *in);
bool hg_cbor_get_bool(struct hg_cbor_in *in);
void hg_cbor_get_null(struct hg_cbor_in *in);
double hg_cbor_get_double(struct hg_cbor_in *in);
uint64_t hg_cbor_get_tag(struct hg_cbor_in *in);

/* Number of items that follow; never more than bytes are left. */
size_t hg_cbor_get_array(struct hg_cbor_in *in);

/*
 * A map is read as: hg_cbor_get_map(), then while hg_cbor_map_next(): the key, the value. The
 * latter checks that keys (integers, text or bytes) ascend.
 */
struct hg_cbor_map {
	size_t left;
	struct hg_slice key; /* the last one, encoded */
};

struct hg_cbor_map hg_cbor_get_map(struct hg_cbor_in *in);
bool hg_cbor_map_next(struct hg_cbor_in *in, struct hg_cbor_map *map);

/* The bytes of one whole item, everything in it checked. */
struct hg_slice hg_cbor_get_item(struct hg_cbor_in *in);

/*
 * As above, of the JSON data model only: null, booleans, integers of -2^63..2^63-1, finite floats,
 * text without U+0000 (databases cannot hold it), arrays, maps with text keys.
 */
struct hg_slice hg_cbor_get_value(struct hg_cbor_in *in);

/* A rule of the caller is broken by what was read last: makes err -EBADMSG with the place `pos`. */
void hg_cbor_refuse(struct hg_cbor_in *in, size_t pos);

/* Returns 0 if all was good and nothing follows, else -EBADMSG. */
int hg_cbor_end(struct hg_cbor_in *in);

#endif
