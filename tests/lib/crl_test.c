/* SPDX-License-Identifier: MIT */
/*
 * Revocation lists that are verified once: what is remembered, and that nothing else is. Whether a
 * list is verified is seen by spoiling its signature in memory.
 */
#include "../../lib/tls.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <openssl/x509_vfy.h>

#include "../tap.h"
#include "pki.h"

#define DEVICE                                                                                     \
	&(struct pki_request)                                                                      \
	{                                                                                          \
		.cn = "d", .san = "URI:urn:heliograph:device:d", .eku = "clientAuth"               \
	}

static char dir[] = "/tmp/hg-crl.XXXXXX";
static char err[256];
static struct pki_cert ca, device, other;
static char *ca_file;

static X509_STORE *trust(X509_CRL *crl)
{
	char *file = pki_write_crl(dir, "list.crl", crl);
	X509_STORE *store = hg_tls_trust_load(ca_file, file, err, sizeof(err));

	unlink(file);
	free(file);
	if (!store)
		fprintf(stderr, "# %s\n", err);
	return store;
}

static void spoil(X509_STORE *store)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
	const ASN1_BIT_STRING *signature;

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));

		if (!crl)
			continue;
		X509_CRL_get0_signature(crl, &signature, NULL);
		((ASN1_BIT_STRING *)signature)->data[signature->length - 1] ^= 1;
	}
}

static void test_memory(void)
{
	X509_CRL *none = pki_crl(&ca, NULL), *list = pki_crl(&ca, other.cert);
	X509_STORE *store = trust(none);

	spoil(store);
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_ERR_CRL_SIGNATURE_FAILURE,
	       "a spoiled list is refused when it is first looked at");
	spoil(store);
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_OK, "mended, it is good");
	spoil(store);
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_OK, "and not verified again");
	is_int(hg_tls_client_check(store, other.cert, NULL), X509_V_OK, "for anybody");
	X509_STORE_free(store);

	store = trust(list);
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_OK, "another store's list");
	is_int(hg_tls_client_check(store, other.cert, NULL), X509_V_ERR_CERT_REVOKED,
	       "who is on a list that is remembered is refused");
	X509_STORE_free(store);

	store = trust(none);
	spoil(store);
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_ERR_CRL_SIGNATURE_FAILURE,
	       "what one store remembers is nothing to another");
	X509_STORE_free(store);
	X509_CRL_free(none);
	X509_CRL_free(list);
}

static void test_end(void)
{
	X509_CRL *crl = pki_crl(&ca, NULL);
	ASN1_TIME *next = X509_gmtime_adj(NULL, 3);
	time_t deadline = time(NULL) + 30;
	X509_STORE *store;
	int error;

	ok(next && X509_CRL_set1_nextUpdate(crl, next) && X509_CRL_sign(crl, ca.key, EVP_sha256()),
	   "a list that ends soon");
	store = trust(crl);
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_OK, "is good until then");
	do {
		usleep(50000);
		error = hg_tls_client_check(store, device.cert, NULL);
	} while (error == X509_V_OK && time(NULL) < deadline);
	is_int(error, X509_V_ERR_CRL_HAS_EXPIRED, "and not longer");
	X509_STORE_free(store);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
}

/* Another authority of the same name: its list is not the certificate's issuer's. */
static void test_namesake(void)
{
	struct pki_cert twin = pki_make(NULL, &(struct pki_request){ .cn = "CA" });
	X509_CRL *crl = pki_crl(&twin, NULL);
	X509_STORE *store = trust(crl);

	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_ERR_CRL_SIGNATURE_FAILURE,
	       "a list by a namesake of the authority is refused");
	is_int(hg_tls_client_check(store, device.cert, NULL), X509_V_ERR_CRL_SIGNATURE_FAILURE,
	       "each time");
	X509_STORE_free(store);
	X509_CRL_free(crl);
	pki_free(&twin);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	ca = pki_make(NULL, &(struct pki_request){ .cn = "CA" });
	device = pki_make(&ca, DEVICE);
	other = pki_make(&ca, DEVICE);
	ca_file = pki_write_cert(dir, "ca.crt", ca.cert);
	test_memory();
	test_end();
	test_namesake();
	unlink(ca_file);
	free(ca_file);
	rmdir(dir);
	pki_free(&other);
	pki_free(&device);
	pki_free(&ca);
	return tap_done();
}
