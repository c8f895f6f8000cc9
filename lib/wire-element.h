/* SPDX-License-Identifier: MIT */
/*
 * The elements of messages: changes, commands, reports, and arrays of them. For wire.c, which puts
 * them into requests and responses; the sizes that callers need are declared in wire.h.
 */
#ifndef HG_LIB_WIRE_ELEMENT_H
#define HG_LIB_WIRE_ELEMENT_H

#include "cbor.h"
#include "wire.h"

static inline bool hg_wire_number_ok(uint64_t n)
{
	return n <= INT64_MAX;
}

static inline bool hg_wire_text_ok(struct hg_slice s, size_t min, size_t max)
{
	return s.len >= min && s.len <= max && (!s.len || !memchr(s.ptr, '\0', s.len));
}

/*
 * Write `key` and an array of n elements; nothing if n is 0. Return 0, or -EINVAL if one breaks a
 * rule.
 */
int hg_wire_put_changes(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_change *c,
			size_t n);
int hg_wire_put_commands(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_command *c,
			 size_t n);
int hg_wire_put_reports(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_report *r,
			size_t n);
int hg_wire_put_partials(struct hg_cbor_out *o, uint64_t key, const struct hg_wire_partial *p,
			 size_t n);

/*
 * Read an array of 1 to HG_WIRE_*_MAX elements into room for so many. Return their number; 0 after
 * an error.
 */
size_t hg_wire_get_changes(struct hg_cbor_in *in, struct hg_wire_change *c);
size_t hg_wire_get_commands(struct hg_cbor_in *in, struct hg_wire_command *c);
size_t hg_wire_get_reports(struct hg_cbor_in *in, struct hg_wire_report *r);
size_t hg_wire_get_partials(struct hg_cbor_in *in, struct hg_wire_partial *p);

#endif
