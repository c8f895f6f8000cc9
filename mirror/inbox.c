// SPDX-License-Identifier: MIT
/* Bytes of one session. A frame is handed over in the memory in which it has arrived. */
#include "inbox.h"

#include <stdlib.h>
#include <string.h>

int hg_inbox_read(struct hg_inbox *in, struct hg_stream *stream, uint8_t *scratch)
{
	int n = hg_stream_read(stream, scratch, HG_INBOX_READ);
	size_t size = in->size;
	uint8_t *bytes;

	if (n <= 0)
		return n;
	if (in->len + n > size) {
		size = in->len ? 2 * (in->len + n) : (size_t)n;
		bytes = realloc(in->bytes, size);
		if (!bytes)
			return -1;
		in->bytes = bytes;
		in->size = size;
	}
	memcpy(in->bytes + in->len, scratch, n);
	in->len += n;
	return n;
}

uint8_t *hg_inbox_take(struct hg_inbox *in, size_t need)
{
	size_t rest = in->len - need;
	uint8_t *frame = in->bytes, *next = rest ? malloc(rest) : NULL;

	if (rest && !next)
		return NULL;
	if (rest)
		memcpy(next, frame + need, rest);
	*in = (struct hg_inbox){ next, rest, rest };
	return frame;
}
