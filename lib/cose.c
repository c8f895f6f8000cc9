/* SPDX-License-Identifier: MIT */
/*
 * COSE_Sign1 over OpenSSL's EVP. What is signed is the Sig_structure, which is built again on both
 * sides from the protected headers as bytes. COSE writes an ECDSA signature as r || s, OpenSSL as
 * DER: converting between the two is most of this file.
 */
#include "cose.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "cbor.h"

#define TAG_SIGN1 18
#define HEADER_ALG 1
#define HEADER_X5CHAIN 33
#define HEADER_X5T 34
#define ALG_ES256 (-7)
#define ALG_SHA256_64 (-15)
#define COORDINATE_LEN (HG_COSE_SIGNATURE_LEN / 2)
#define SIG_HEAD_MAX (HG_COSE_HEADERS_MAX + 64)
#define DER_MAX 80 /* a P-256 signature has at most 72 bytes */

static bool is_p256(EVP_PKEY *key)
{
	char group[32];

	return key && EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
	       !strcmp(group, "prime256v1");
}

static void put_headers(struct hg_cbor_out *o, const struct hg_cose *c)
{
	hg_cbor_put_map(o, 1u + !!c->x5chain.len + !!c->x5t.len);
	hg_cbor_put_uint(o, HEADER_ALG);
	hg_cbor_put_int(o, ALG_ES256);
	if (c->x5chain.len) {
		hg_cbor_put_uint(o, HEADER_X5CHAIN);
		hg_cbor_put_bytes(o, c->x5chain);
	}
	if (c->x5t.len) {
		hg_cbor_put_uint(o, HEADER_X5T);
		hg_cbor_put_array(o, 2);
		hg_cbor_put_int(o, ALG_SHA256_64);
		hg_cbor_put_bytes(o, c->x5t);
	}
}

/*
 * What stands before the payload in the Sig_structure (RFC 9052 section 4.4), with the payload's
 * own head. The payload follows in place: it may be large.
 */
static struct hg_slice sig_head(uint8_t buf[static SIG_HEAD_MAX], struct hg_slice headers,
				struct hg_slice payload)
{
	struct hg_cbor_out o = hg_cbor_out_of(buf, SIG_HEAD_MAX);

	hg_cbor_put_array(&o, 4);
	hg_cbor_put_text(&o, hg_slice_str("Signature1"));
	hg_cbor_put_bytes(&o, headers);
	hg_cbor_put_bytes(&o, hg_slice_of(NULL, 0)); /* no external data */
	hg_cbor_put_bytes_head(&o, payload.len);
	return hg_slice_of(buf, o.err ? 0 : o.len);
}

static bool raw_of_der(const uint8_t *der, size_t len, uint8_t raw[static HG_COSE_SIGNATURE_LEN])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool good = sig &&
		    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, COORDINATE_LEN) == COORDINATE_LEN &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + COORDINATE_LEN, COORDINATE_LEN) ==
			    COORDINATE_LEN;

	ECDSA_SIG_free(sig);
	return good;
}

/* Returns the length of the DER form, or -1. */
static int der_of_raw(const uint8_t *raw, uint8_t der[static DER_MAX])
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, COORDINATE_LEN, NULL);
	BIGNUM *s = BN_bin2bn(raw + COORDINATE_LEN, COORDINATE_LEN, NULL);
	int len = -1;

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		r = s = NULL; /* sig has them now */
		len = i2d_ECDSA_SIG(sig, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len;
}

static int sign(EVP_PKEY *key, struct hg_slice head, struct hg_slice payload,
		uint8_t raw[static HG_COSE_SIGNATURE_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[DER_MAX];
	size_t len = sizeof(der);
	bool good = ctx && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
		    EVP_DigestSignUpdate(ctx, head.ptr, head.len) == 1 &&
		    EVP_DigestSignUpdate(ctx, payload.ptr, payload.len) == 1 &&
		    EVP_DigestSignFinal(ctx, der, &len) == 1 && raw_of_der(der, len, raw);

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good ? 0 : -EIO;
}

long hg_cose_sign(const struct hg_cose *c, EVP_PKEY *key, void *buf, size_t size)
{
	uint8_t headers[HG_COSE_HEADERS_MAX], head[SIG_HEAD_MAX], raw[HG_COSE_SIGNATURE_LEN];
	struct hg_cbor_out h = hg_cbor_out_of(headers, sizeof(headers));
	struct hg_cbor_out o = hg_cbor_out_of(buf, size);
	int rc;

	if (!is_p256(key))
		return -EINVAL;
	put_headers(&h, c);
	if (h.err)
		return -ENOSPC;
	rc = sign(key, sig_head(head, hg_slice_of(headers, h.len), c->payload), c->payload, raw);
	if (rc)
		return rc;
	hg_cbor_put_tag(&o, TAG_SIGN1);
	hg_cbor_put_array(&o, 4);
	hg_cbor_put_bytes(&o, hg_slice_of(headers, h.len));
	hg_cbor_put_map(&o, 0); /* nothing unprotected */
	hg_cbor_put_bytes(&o, c->payload);
	hg_cbor_put_bytes(&o, hg_slice_of(raw, sizeof(raw)));
	return o.err ? -ENOSPC : (long)o.len;
}

static void get_x5t(struct hg_cbor_in *in, struct hg_cose *c)
{
	size_t pos = in->pos;
	bool good = hg_cbor_get_array(in) == 2 && hg_cbor_get_int(in) == ALG_SHA256_64;

	c->x5t = hg_cbor_get_bytes(in);
	if (!good || c->x5t.len != HG_COSE_X5T_LEN)
		hg_cbor_refuse(in, pos);
}

static int get_headers(struct hg_slice headers, struct hg_cose *c)
{
	struct hg_cbor_in in = hg_cbor_in_of(headers);
	struct hg_cbor_map map = hg_cbor_get_map(&in);
	bool es256 = false;

	while (hg_cbor_map_next(&in, &map)) {
		size_t pos = in.pos;
		uint64_t key = hg_cbor_get_uint(&in);

		if (key == HEADER_ALG)
			es256 = hg_cbor_get_int(&in) == ALG_ES256;
		else if (key == HEADER_X5CHAIN)
			c->x5chain = hg_cbor_get_bytes(&in);
		else if (key == HEADER_X5T)
			get_x5t(&in, c);
		else
			hg_cbor_refuse(&in, pos);
	}
	if (!es256 || (c->x5chain.len && c->x5t.len))
		hg_cbor_refuse(&in, 0);
	return hg_cbor_end(&in);
}

int hg_cose_parse(struct hg_slice data, struct hg_cose *out)
{
	struct hg_cbor_in in = hg_cbor_in_of(data);
	struct hg_cose c = { 0 };

	if (hg_cbor_get_tag(&in) != TAG_SIGN1 || hg_cbor_get_array(&in) != 4)
		return -EBADMSG;
	c.protected_headers = hg_cbor_get_bytes(&in);
	if (c.protected_headers.len > HG_COSE_HEADERS_MAX)
		return -EBADMSG;
	if (hg_cbor_get_map(&in).left)
		return -EBADMSG;
	c.payload = hg_cbor_get_bytes(&in);
	c.signature = hg_cbor_get_bytes(&in);
	if (hg_cbor_end(&in) || c.signature.len != HG_COSE_SIGNATURE_LEN ||
	    get_headers(c.protected_headers, &c))
		return -EBADMSG;
	*out = c;
	return 0;
}

int hg_cose_verify(const struct hg_cose *c, EVP_PKEY *key)
{
	uint8_t buf[SIG_HEAD_MAX], der[DER_MAX];
	struct hg_slice head;
	EVP_MD_CTX *ctx = NULL;
	int rc = -EKEYREJECTED, len;

	if (!is_p256(key) || c->signature.len != HG_COSE_SIGNATURE_LEN)
		return rc;
	head = sig_head(buf, c->protected_headers, c->payload);
	len = der_of_raw(c->signature.ptr, der);
	ctx = EVP_MD_CTX_new();
	if (head.len && len > 0 && ctx &&
	    EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
	    EVP_DigestVerifyUpdate(ctx, head.ptr, head.len) == 1 &&
	    EVP_DigestVerifyUpdate(ctx, c->payload.ptr, c->payload.len) == 1 &&
	    EVP_DigestVerifyFinal(ctx, der, (size_t)len) == 1)
		rc = 0;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}
