/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a response: what is taken is encoded to the same bytes, or to fewer where keys of
 * later versions were skipped, and those are taken again.
 */
#include "fuzz.h"

#include <string.h>

#include "../../lib/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t once[HG_WIRE_MAX + 4], twice[HG_WIRE_MAX + 4];
	static struct hg_wire_room room;
	struct hg_wire_response m;
	size_t at = 0;
	long n;

	if (hg_wire_get_response(hg_slice_of(data, size), &room, &m, &at)) {
		holds(at <= size);
		return 0;
	}
	n = hg_wire_put_response(&m, once, sizeof(once));
	holds(n > 4 && n - 4 <= (long)size);
	if (n - 4 == (long)size)
		holds(!memcmp(once + 4, data, size));
	holds(!hg_wire_get_response(hg_slice_of(once + 4, (size_t)n - 4), &room, &m, &at));
	holds(hg_wire_put_response(&m, twice, sizeof(twice)) == n &&
	      !memcmp(once, twice, (size_t)n));
	return 0;
}
