/* SPDX-License-Identifier: MIT */
/* What has arrived on a stream and is no whole frame yet, or the next one. Zero: empty. */
#ifndef HG_MIRROR_INBOX_H
#define HG_MIRROR_INBOX_H

#include "stream.h"

#define HG_INBOX_READ 16384 /* of one TLS record */

struct hg_inbox {
	uint8_t *bytes; /* allocated */
	size_t len, size;
};

/*
 * Reads into scratch of HG_INBOX_READ bytes, and from there: room grows with what has arrived, not
 * with what a frame says. Returns as hg_stream_read().
 */
int hg_inbox_read(struct hg_inbox *in, struct hg_stream *stream, uint8_t *scratch);

/* Takes the first `need` bytes off, which are here. They are to be freed. NULL without memory. */
uint8_t *hg_inbox_take(struct hg_inbox *in, size_t need);

#endif
