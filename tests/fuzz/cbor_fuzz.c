/* SPDX-License-Identifier: MIT */
/* Any bytes as one CBOR item, as a JSON value, and back: a value has one encoding. */
#include "fuzz.h"

#include <string.h>

#include "../../lib/cbor.h"
#include "../../lib/cborjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hg_cbor_in item = hg_cbor_in_of(hg_slice_of(data, size)), value = item;
	json_t *json = hg_json_from_cbor(hg_slice_of(data, size));
	uint8_t *again;

	hg_cbor_get_item(&item);
	hg_cbor_get_value(&value);
	holds(item.pos <= size && value.pos <= size);
	holds(value.err || (!item.err && item.pos == value.pos));
	holds(!json == (hg_cbor_end(&value) != 0));
	if (json) {
		again = malloc(size);
		holds(hg_cbor_from_json(json, again, size) == (long)size);
		holds(!memcmp(again, data, size));
		free(again);
	}
	json_decref(json);
	return 0;
}
