/* SPDX-License-Identifier: MIT */
/*
 * The CBOR codec and its bridge to JSON: the examples of RFC 8949 appendix A, each also cut at
 * every byte; everything that is not the one deterministic form; limits.
 */
#include "../../lib/cbor.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "../../lib/cborjson.h"
#include "../tap.h"
#include "hex.h"

/* Appendix A, those in deterministic form; `json` where the value has one. */
static const struct {
	const char *hex, *json;
} good[] = {
	{ "00", "0" },
	{ "01", "1" },
	{ "0a", "10" },
	{ "17", "23" },
	{ "1818", "24" },
	{ "1819", "25" },
	{ "1864", "100" },
	{ "1903e8", "1000" },
	{ "1a000f4240", "1000000" },
	{ "1b000000e8d4a51000", "1000000000000" },
	{ "1bffffffffffffffff", NULL },
	{ "c249010000000000000000", NULL },
	{ "3bffffffffffffffff", NULL },
	{ "c349010000000000000000", NULL },
	{ "1b7fffffffffffffff", "9223372036854775807" },
	{ "3b7fffffffffffffff", "-9223372036854775808" },
	{ "20", "-1" },
	{ "29", "-10" },
	{ "3863", "-100" },
	{ "3903e7", "-1000" },
	{ "f90000", "0.0" },
	{ "f98000", "-0.0" },
	{ "f93c00", "1.0" },
	{ "fb3ff199999999999a", "1.1" },
	{ "f93e00", "1.5" },
	{ "f97bff", "65504.0" },
	{ "fa47c35000", "100000.0" },
	{ "fa7f7fffff", "3.4028234663852886e+38" },
	{ "fb7e37e43c8800759c", "1.0e+300" },
	{ "f90001", "5.960464477539063e-8" },
	{ "f90400", "0.00006103515625" },
	{ "f9c400", "-4.0" },
	{ "fbc010666666666666", "-4.1" },
	{ "f97c00", NULL },
	{ "f97e00", NULL },
	{ "f9fc00", NULL },
	{ "f4", "false" },
	{ "f5", "true" },
	{ "f6", "null" },
	{ "f7", NULL },
	{ "f0", NULL },
	{ "f8ff", NULL },
	{ "c074323031332d30332d32315432303a30343a30305a", NULL },
	{ "c11a514b67b0", NULL },
	{ "c1fb41d452d9e8200000", NULL },
	{ "d74401020304", NULL },
	{ "d818456449455446", NULL },
	{ "d82076687474703a2f2f7777772e6578616d706c652e636f6d", NULL },
	{ "40", NULL },
	{ "4401020304", NULL },
	{ "60", "\"\"" },
	{ "6161", "\"a\"" },
	{ "6449455446", "\"IETF\"" },
	{ "62225c", "\"\\\"\\\\\"" },
	{ "62c3bc", "\"\\u00fc\"" },
	{ "63e6b0b4", "\"\\u6c34\"" },
	{ "64f0908591", "\"\\ud800\\udd51\"" },
	{ "80", "[]" },
	{ "83010203", "[1,2,3]" },
	{ "8301820203820405", "[1,[2,3],[4,5]]" },
	{ "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
	  "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]" },
	{ "a0", "{}" },
	{ "a201020304", NULL },
	{ "a26161016162820203", "{\"a\":1,\"b\":[2,3]}" },
	{ "826161a161626163", "[\"a\",{\"b\":\"c\"}]" },
	{ "a56161614161626142616361436164614461656145",
	  "{\"e\":\"E\",\"d\":\"D\",\"c\":\"C\",\"b\":\"B\",\"a\":\"A\"}" },
	/*
	 * Beyond the appendix: subnormal halves, the border of singles, key order by length first.
	 */
	{ "f903ff", "6.097555160522461e-05" },
	{ "fa33000000", "2.9802322387695312e-08" },
	{ "fb47efffffe0000001", "3.4028234663852888e+38" },
	{ "a2617a0162616102", "{\"aa\":2,\"z\":1}" },
};

/* What other encoders might send for the same values, and plain damage. */
static const struct {
	const char *hex, *why;
} bad[] = {
	{ "1800", "0 in two bytes" },
	{ "1817", "23 in two bytes" },
	{ "190018", "24 in three bytes" },
	{ "1900ff", "255 in three bytes" },
	{ "1a0000ffff", "65535 in five bytes" },
	{ "1b00000000ffffffff", "2^32-1 in nine bytes" },
	{ "3800", "-1 in two bytes" },
	{ "5801 00", "length of bytes not shortest" },
	{ "7801 61", "length of text not shortest" },
	{ "9800", "length of array not shortest" },
	{ "b800", "length of map not shortest" },
	{ "d80000", "tag not shortest" },
	{ "f814", "false in two bytes" },
	{ "f818", "reserved simple value" },
	{ "fa3f800000", "1.0 as single" },
	{ "fb3ff0000000000000", "1.0 as double" },
	{ "fa7f800000", "infinity as single" },
	{ "fb7ff0000000000000", "infinity as double" },
	{ "fa7fc00000", "NaN as single" },
	{ "fb7ff8000000000000", "NaN as double" },
	{ "f97e01", "NaN with payload" },
	{ "f9fe00", "negative NaN" },
	{ "fb47efffffe0000000", "largest single as double" },
	{ "5f42010243030405ff", "bytes of indefinite length" },
	{ "7f657374726561646d696e67ff", "text of indefinite length" },
	{ "9fff", "array of indefinite length" },
	{ "bfff", "map of indefinite length" },
	{ "ff", "break alone" },
	{ "1c", "reserved head" },
	{ "1c00000000000000000000000000000001", "reserved head with bytes behind it" },
	{ "fc", "reserved head of simple" },
	{ "a2616201616102", "keys in descending order" },
	{ "a2616101616102", "a key twice" },
	{ "a262616101617a02", "longer key first" },
	{ "a2200100 02", "integer keys out of order" },
	{ "a180 01", "an array as key" },
	{ "a1f6 01", "null as key" },
	{ "a101", "map without its value" },
	{ "8201", "array without its second" },
	{ "61ff", "not UTF-8" },
	{ "62c080", "overlong UTF-8" },
	{ "63e08080", "overlong UTF-8 of three bytes" },
	{ "64f0808080", "overlong UTF-8 of four bytes" },
	{ "63eda080", "a surrogate in UTF-8" },
	{ "64f4908080", "above U+10FFFF" },
	{ "62c3", "cut UTF-8" },
	{ "0000", "a second item" },
	{ "", "nothing" },
	{ "5bffffffffffffffff 00", "length of 2^64-1" },
	{ "7b7fffffffffffffff 00", "length of 2^63-1" },
	{ "9bffffffffffffffff 00", "array of 2^64-1" },
	{ "bbffffffffffffffff 0000", "map of 2^64-1" },
	{ "bb8000000000000000 0000", "map whose count times two is zero" },
	{ "9a00010000 00", "array of 65536 in one byte" },
	{ "c0", "tag of nothing" },
};

/* Deterministic CBOR, but not JSON's data model. */
static const char *const not_json[] = {
	"40",	  "f7",	    "f0",   "c000", "1b8000000000000000", "3b8000000000000000", "f97c00",
	"f97e00", "a10001", "6100", "8140",
};

static int item_check(const uint8_t *bytes, size_t n)
{
	struct hg_cbor_in in = hg_cbor_in_of(hg_slice_of(bytes, n));
	struct hg_slice item = hg_cbor_get_item(&in);
	int rc = hg_cbor_end(&in);

	return rc ? rc : item.ptr == bytes && item.len == n ? 0 : -EIO;
}

/* Copies to memory of exactly n bytes, so that the sanitizer sees a read beyond it. */
static int exact_check(const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	int rc;

	memcpy(copy, bytes, n);
	rc = item_check(copy, n);
	free(copy);
	return rc;
}

static void test_json(const char *hex, const char *json)
{
	uint8_t bytes[64], again[64];
	size_t n = hex_bytes(hex, bytes);
	json_t *want = json_loads(json, JSON_DECODE_ANY, NULL), *got;
	long len;

	got = hg_json_from_cbor(hg_slice_of(bytes, n));
	ok(want && got && json_equal(want, got), "%s is %s", hex, json);
	len = want ? hg_cbor_from_json(want, again, sizeof(again)) : -1;
	ok(len == (long)n && !memcmp(again, bytes, n), "%s is %s", json, hex);
	ok(want && hg_cbor_from_json(want, again, n - 1) == -ENOSPC, "%s does not fit in less",
	   json);
	json_decref(want);
	json_decref(got);
}

static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t bytes[64];
		size_t n = hex_bytes(good[i].hex, bytes), cut = 0;

		is_int(exact_check(bytes, n), 0, good[i].hex);
		while (cut < n && exact_check(bytes, cut) == -EBADMSG)
			cut++;
		ok(cut == n, "%s cut anywhere is refused", good[i].hex);
		if (good[i].json)
			test_json(good[i].hex, good[i].json);
	}
}

static void test_bad(void)
{
	uint8_t bytes[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = hex_bytes(bad[i].hex, bytes);

		ok(exact_check(bytes, n) == -EBADMSG, "refused: %s", bad[i].why);
	}
	for (size_t i = 0; i < sizeof(not_json) / sizeof(not_json[0]); i++) {
		size_t n = hex_bytes(not_json[i], bytes);
		json_t *json = hg_json_from_cbor(hg_slice_of(bytes, n));

		ok(!exact_check(bytes, n) && !json && errno == EBADMSG, "not JSON: %s",
		   not_json[i]);
		json_decref(json);
	}
}

static void test_place(void)
{
	static const uint8_t bytes[] = { 0x83, 0x01, 0x18, 0x05, 0x02 };
	struct hg_cbor_in in = hg_cbor_in_of(hg_slice_of(bytes, sizeof(bytes)));

	is_int((long long)hg_cbor_get_array(&in), 3, "array of three");
	is_int((long long)hg_cbor_get_uint(&in), 1, "the first");
	is_int((long long)hg_cbor_get_uint(&in), 0, "the second is refused");
	is_int(in.err, -EBADMSG, "the error stays");
	is_int((long long)in.pos, 2, "its place is known");
	is_int((long long)hg_cbor_get_uint(&in), 0, "nothing is read after an error");
	is_int((long long)in.pos, 2, "the place stays");
	is_int(hg_cbor_end(&in), -EBADMSG, "and the end says so");
}

static void test_counts(void)
{
	static const uint8_t array[] = { 0x82, 0, 0 }, map[] = { 0xa2, 0, 0, 1 };
	struct hg_cbor_in in = hg_cbor_in_of(hg_slice_of(array, 2));

	ok(!hg_cbor_get_array(&in) && in.err, "an array of two cannot be in one byte");
	in = hg_cbor_in_of(hg_slice_of(array, 3));
	ok(hg_cbor_get_array(&in) == 2, "in two it can");
	in = hg_cbor_in_of(hg_slice_of(map, 4));
	ok(!hg_cbor_get_map(&in).left && in.err, "a map of two pairs cannot be in three bytes");
}

static void test_types(void)
{
	static const uint8_t text[] = { 0x61, 'a' };
	struct hg_cbor_in in;

#define WRONG(call)                                                                                \
	do {                                                                                       \
		in = hg_cbor_in_of(hg_slice_of(text, sizeof(text)));                               \
		(void)(call);                                                                      \
		ok(in.err == -EBADMSG && !in.pos, #call " refuses text");                          \
	} while (0)
	WRONG(hg_cbor_get_uint(&in));
	WRONG(hg_cbor_get_int(&in));
	WRONG(hg_cbor_get_bytes(&in).len);
	WRONG(hg_cbor_get_bool(&in));
	WRONG((hg_cbor_get_null(&in), 0));
	WRONG(hg_cbor_get_double(&in) > 0);
	WRONG(hg_cbor_get_tag(&in));
	WRONG(hg_cbor_get_array(&in));
	WRONG(hg_cbor_get_map(&in).left);
#undef WRONG
}

static void test_depth(void)
{
	uint8_t bytes[HG_CBOR_DEPTH_MAX + 2];
	json_t *json;

	memset(bytes, 0x81, sizeof(bytes));
	bytes[HG_CBOR_DEPTH_MAX] = 0;
	is_int(item_check(bytes, HG_CBOR_DEPTH_MAX + 1), 0, "as deep as allowed");
	json = hg_json_from_cbor(hg_slice_of(bytes, HG_CBOR_DEPTH_MAX + 1));
	is_int(hg_cbor_from_json(json, bytes, sizeof(bytes)), HG_CBOR_DEPTH_MAX + 1, "and back");
	json = json_pack("[o]", json);
	is_int(hg_cbor_from_json(json, bytes, sizeof(bytes)), -EINVAL, "one deeper from JSON");
	json_decref(json);
	bytes[HG_CBOR_DEPTH_MAX] = 0x81;
	bytes[HG_CBOR_DEPTH_MAX + 1] = 0;
	is_int(item_check(bytes, sizeof(bytes)), -EBADMSG, "one deeper");
}

static void test_writer(void)
{
	struct hg_cbor_out measure = { 0 }, o;
	uint8_t buf[8];

	hg_cbor_put_text(&measure, hg_slice_str("hello"));
	hg_cbor_put_uint(&measure, 1000);
	is_int((long long)measure.len, 9, "a writer over no memory measures");
	is_int(measure.err, -ENOSPC, "and says that it did not write");
	o = hg_cbor_out_of(buf, sizeof(buf));
	hg_cbor_put_text(&o, hg_slice_str("\xff"));
	hg_cbor_put_uint(&o, 1);
	is_int(o.err, -EILSEQ, "text that is not UTF-8 is not written");
}

static void test_floats(void)
{
	unsigned int wrong = 0;

	/* Every half there is: what is written for its value is the half again. */
	for (unsigned int half = 0; half < 0x10000; half++) {
		uint8_t bytes[] = { 0xf9, (uint8_t)(half >> 8), (uint8_t)half }, again[9];
		struct hg_cbor_in in = hg_cbor_in_of(hg_slice_of(bytes, 3));
		struct hg_cbor_out o = hg_cbor_out_of(again, sizeof(again));
		double value = hg_cbor_get_double(&in);
		bool nan = (half & 0x7c00) == 0x7c00 && half & 0x3ff;

		hg_cbor_put_double(&o, value);
		if (nan ? (in.err == 0) != (half == 0x7e00)
			: in.err || o.len != 3 || memcmp(bytes, again, 3))
			wrong++;
	}
	is_int(wrong, 0, "65,536 halves");
}

int main(void)
{
	test_good();
	test_bad();
	test_place();
	test_counts();
	test_types();
	test_depth();
	test_writer();
	test_floats();
	return tap_done();
}
