/* SPDX-License-Identifier: MIT */
/*
 * The key schedule's two functions of TLS 1.3 (RFC 8446 section 7.1: HKDF-Extract with the step
 * "derived" before it, HKDF-Expand-Label) as an algorithm of an OpenSSL provider, over OpenSSL's
 * hashes. It takes the place and the parameters of OpenSSL's own "TLS13-KDF", which looks three
 * algorithms up, and makes and frees as many contexts, in each of the twenty calls of a handshake.
 */
#ifndef HG_LIB_TLS_KDF_H
#define HG_LIB_TLS_KDF_H

#include <stdbool.h>
#include <openssl/core.h>

/* For OSSL_OP_KDF; SHA-256 and SHA-384 only. */
extern const OSSL_DISPATCH hg_tls_kdf[];

/*
 * Called once, before the first derivation: looks both hashes up in OpenSSL's own context, to be
 * kept until the process ends. False if they are not there.
 */
bool hg_tls_kdf_prepare(void);

#endif
