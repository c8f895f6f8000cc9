/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as JSON of an application (the mirror's API, the agent's socket) or of a handler: what
 * jansson takes becomes CBOR that is a value by the wire's rules and says the same, or is refused.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "../../lib/cbor.h"
#include "../../lib/cborjson.h"

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size,
				  JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	json_t *back;
	uint8_t *cbor = NULL;
	struct hg_cbor_in in;
	long n = json ? hg_cbor_from_json_new(json, MAX, &cbor) : -EINVAL;

	if (n < 0) {
		holds(!json || n == -ENOSPC || n == -EINVAL || n == -EILSEQ);
		holds(!cbor);
		json_decref(json);
		return 0;
	}
	holds(n > 0 && n <= MAX);
	in = hg_cbor_in_of(hg_slice_of(cbor, (size_t)n));
	hg_cbor_get_value(&in);
	back = hg_json_from_cbor(hg_slice_of(cbor, (size_t)n));
	/* A text with U+0000 is JSON for jansson if asked to, which we do not. */
	holds(!hg_cbor_end(&in) && back && json_equal(json, back));
	json_decref(back);
	json_decref(json);
	free(cbor);
	return 0;
}
