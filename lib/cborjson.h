/* SPDX-License-Identifier: MIT */
/*
 * Property values between CBOR (on the wire) and JSON (in databases, on sockets, for handlers).
 * The JSON data model only: null, booleans, integers of -2^63..2^63-1, finite doubles, text
 * without U+0000, arrays, maps with text keys. Depth at most HG_CBOR_DEPTH_MAX.
 */
#ifndef HG_LIB_CBORJSON_H
#define HG_LIB_CBORJSON_H

#include <jansson.h>
#include "slice.h"

/*
 * Encodes deterministically. Returns bytes written, -ENOSPC, -ENOMEM, -EINVAL (depth) or -EILSEQ
 * (text).
 */
long hg_cbor_from_json(const json_t *value, void *buf, size_t size);

/*
 * The same into memory of its own, to be freed with free(). Returns bytes written, or the errors
 * above: -ENOSPC if that were more than `max`.
 */
long hg_cbor_from_json_new(const json_t *value, size_t max, uint8_t **out);

/* Decodes exactly one item. Returns a new reference, or NULL with errno EBADMSG or ENOMEM. */
json_t *hg_json_from_cbor(struct hg_slice in);

#endif
