/* SPDX-License-Identifier: MIT */
/* Revocation lists whose signature is verified once, not with each certificate. */
#ifndef HG_LIB_CRL_H
#define HG_LIB_CRL_H

#include <openssl/x509.h>

/*
 * Called for a new store before anything is verified against it. A list of this store that was
 * found good with an issuer of this store is not verified again with the same issuer until it ends:
 * one ECDSA verification less in each handshake. Lists with a scope of their own (issuing
 * distribution points, deltas), issuers that peers sent and checks at another time than now are
 * verified as ever. Returns 0 or -ENOMEM.
 */
int hg_crl_remember(X509_STORE *store);

#endif
