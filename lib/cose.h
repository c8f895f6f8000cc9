/* SPDX-License-Identifier: MIT */
/*
 * COSE_Sign1 (RFC 9052 section 4.2) with ES256 (RFC 9053 section 2.1) over NIST P-256, tagged (18),
 * all headers protected: the form of our datagrams and of signed profiles. Keys are named by
 * certificate (RFC 9360).
 */
#ifndef HG_LIB_COSE_H
#define HG_LIB_COSE_H

#include <openssl/evp.h>
#include "slice.h"

#define HG_COSE_SIGNATURE_LEN 64 /* r and s, 32 bytes each */
#define HG_COSE_HEADERS_MAX 2048 /* bytes: a certificate and a little more */
#define HG_COSE_X5T_LEN 8	 /* SHA-256/64, RFC 9054 */

/* At most one of the two names the key. */
struct hg_cose {
	struct hg_slice x5chain; /* one certificate, DER; empty: not there */
	struct hg_slice
		x5t; /* first HG_COSE_X5T_LEN bytes of the certificate's SHA-256; or empty */
	struct hg_slice payload;
	struct hg_slice protected_headers; /* as decoded; not read by hg_cose_sign() */
	struct hg_slice signature;	   /* as decoded; not read by hg_cose_sign() */
};

/*
 * Signs payload and headers. Returns the message's length, -ENOSPC if it does not fit in size or
 * the headers not in HG_COSE_HEADERS_MAX, -EINVAL if the key is not of P-256, -EIO if OpenSSL
 * fails.
 */
long hg_cose_sign(const struct hg_cose *c, EVP_PKEY *key, void *buf, size_t size);

/*
 * Takes a message apart; nothing is verified. How long it may be is the caller's to say. Returns 0
 * or -EBADMSG.
 */
int hg_cose_parse(struct hg_slice in, struct hg_cose *out);

/* Returns 0, or -EKEYREJECTED if the signature is not that of key, or key is not of P-256. */
int hg_cose_verify(const struct hg_cose *c, EVP_PKEY *key);

#endif
