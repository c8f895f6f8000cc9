/* SPDX-License-Identifier: MIT */
/*
 * Values of devices that come in parts: what of a request is for sync() as it is, what is a part to
 * keep, and what is whole with its last part.
 */
#ifndef HG_MIRROR_LARGE_H
#define HG_MIRROR_LARGE_H

#include <libpq-fe.h>
#include "../lib/wire.h"

/* The bytes that are held of a value whose last part has come; its parameters: hg_large_params. */
#define HG_LARGE_SQL                                                                               \
	"SELECT partial_bytes($1, $2, $3, 0, $4::bigint, $5, $6),"                                 \
	" partial_bytes($1, $2, $3, 1, $7::bigint, $8, $9)"
#define HG_LARGE_PARAMS 9
#define HG_LARGE_TAG (2 * HG_WIRE_DETAIL_MAX + 128) /* bytes of text that tell values apart */

struct hg_large_params {
	const char *values[HG_LARGE_PARAMS];
	char uid[HG_WIRE_UID_MAX + 1], epoch[2 * HG_EPOCH_LEN + 3],
		mirror_epoch[2 * HG_EPOCH_LEN + 3];
	char numbers[2][2][24], tags[2][HG_LARGE_TAG];
};

/* What sync() is to know besides the request. */
struct hg_large {
	bool alone; /* the request is not for a batch */
	char *held; /* p_held, p_parts: JSON text; NULL: nothing */
	char *parts;
	const char *bad;   /* why the last change is none; NULL: it is one */
	uint8_t *bytes[2]; /* values that the request points to */
	char detail[128];  /* a report's, which the request points to */
};

/* The size of the values that end with this request; 0: none do. */
size_t hg_large_size(const struct hg_wire_request *r);

/* Whether HG_LARGE_SQL must be asked first; then *p are its parameters. */
bool hg_large_before(const struct hg_wire_request *r, struct hg_large_params *p);

/*
 * Splits a request: parts that are to be kept go from it to `large`, values that are whole take
 * their places in it, and what is over object_max bytes or no value is marked. before: the row of
 * HG_LARGE_SQL, NULL if it was not asked. Returns 0 or -ENOMEM; hg_large_free() is due either way.
 */
int hg_large_split(struct hg_wire_request *r, const PGresult *before, uint64_t object_max,
		   struct hg_large *large);
void hg_large_free(struct hg_large *large);

/* Bytes as PostgreSQL's text of bytea; out has room for 2 * len + 3. */
void hg_large_hex(struct hg_slice in, char *out);

/* Reads that text into out of `size` bytes. Returns its bytes, or -EBADMSG. */
long hg_large_unhex(const char *hex, uint8_t *out, size_t size);

#endif
