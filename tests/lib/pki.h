/* SPDX-License-Identifier: MIT */
/* A certificate authority for tests, in memory and as PEM files. It exits on any failure. */
#ifndef HG_TESTS_LIB_PKI_H
#define HG_TESTS_LIB_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

struct pki_cert {
	X509 *cert;
	EVP_PKEY *key;
};

struct pki_request {
	const char *cn;
	const char *san;   /* "URI:urn:...", "DNS:..."; NULL: none */
	const char *eku;   /* "clientAuth", "serverAuth"; NULL: none */
	long from_s, to_s; /* validity, seconds from now; both 0: an hour either way */
};

/* Signed by issuer; NULL issuer: a CA that signs itself. Keys are on P-256. */
struct pki_cert pki_make(const struct pki_cert *issuer, const struct pki_request *r);
/* The same for a key that is there; the result owns it. */
struct pki_cert pki_make_for(const struct pki_cert *issuer, const struct pki_request *r,
			     EVP_PKEY *key);
void pki_free(struct pki_cert *c);

/* Revokes `revoked` (NULL: nobody); valid for an hour. */
X509_CRL *pki_crl(const struct pki_cert *issuer, X509 *revoked);

/* A file of dir: returned path is the caller's to free. `mode` is its permissions. */
char *pki_write_cert(const char *dir, const char *name, X509 *cert);
char *pki_write_key(const char *dir, const char *name, EVP_PKEY *key, int mode);
char *pki_write_crl(const char *dir, const char *name, X509_CRL *crl);

#endif
