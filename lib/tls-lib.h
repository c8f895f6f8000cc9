/* SPDX-License-Identifier: MIT */
/*
 * A library context of OpenSSL for a server's handshakes: the default provider without what they
 * never need. OpenSSL 3.0 looks through all decoders and all kinds of keys whenever it reads a
 * certificate, and that is most of what reading one costs.
 */
#ifndef HG_LIB_TLS_LIB_H
#define HG_LIB_TLS_LIB_H

#include <openssl/types.h>

/*
 * The context, made by the first call and kept until the process ends; for SSL_CTX_new_ex(). Keys
 * and certificates of OpenSSL's own context may be used with it. NULL, which is OpenSSL's own
 * context, if it cannot be made, or if the machine's configuration (openssl.cnf) or the program has
 * loaded a provider that is not one of OpenSSL's usual ones, or not the default one, or asks for
 * FIPS: their wishes stand, and nothing is loaded beside them.
 */
OSSL_LIB_CTX *hg_tls_lib(void);

#endif
