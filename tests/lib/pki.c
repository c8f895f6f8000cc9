/* SPDX-License-Identifier: MIT */
#include "pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("Bail out! %s:%d: %s\n", __FILE__, __LINE__, #condition);           \
			ERR_print_errors_fp(stderr);                                               \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext && X509_add_ext(cert, ext, -1));
	X509_EXTENSION_free(ext);
}

struct pki_cert pki_make_for(const struct pki_cert *issuer, const struct pki_request *r,
			     EVP_PKEY *key)
{
	static long serial = 1000;
	struct pki_cert c = { X509_new(), key };
	X509_NAME *name;

	must(c.cert && c.key);
	must(X509_set_version(c.cert, X509_VERSION_3));
	must(ASN1_INTEGER_set(X509_get_serialNumber(c.cert), ++serial));
	must(X509_gmtime_adj(X509_getm_notBefore(c.cert),
			     r->from_s || r->to_s ? r->from_s : -3600));
	must(X509_gmtime_adj(X509_getm_notAfter(c.cert), r->from_s || r->to_s ? r->to_s : 3600));
	name = X509_get_subject_name(c.cert);
	must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)r->cn, -1,
					-1, 0));
	must(X509_set_issuer_name(c.cert, issuer ? X509_get_subject_name(issuer->cert) : name));
	must(X509_set_pubkey(c.cert, c.key));
	add_extension(c.cert, c.cert, NID_basic_constraints,
		      issuer ? "CA:FALSE" : "critical,CA:TRUE");
	add_extension(c.cert, c.cert, NID_subject_key_identifier, "hash");
	if (!issuer)
		add_extension(c.cert, c.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	if (r->san)
		add_extension(c.cert, c.cert, NID_subject_alt_name, r->san);
	if (r->eku)
		add_extension(c.cert, c.cert, NID_ext_key_usage, r->eku);
	must(X509_sign(c.cert, issuer ? issuer->key : c.key, EVP_sha256()));
	return c;
}

struct pki_cert pki_make(const struct pki_cert *issuer, const struct pki_request *r)
{
	return pki_make_for(issuer, r, EVP_EC_gen("P-256"));
}

void pki_free(struct pki_cert *c)
{
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
}

X509_CRL *pki_crl(const struct pki_cert *issuer, X509 *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, 3600);

	must(crl && now && next);
	must(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	must(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert)));
	must(X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, next));
	if (revoked) {
		X509_REVOKED *entry = X509_REVOKED_new();

		must(entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked)));
		must(X509_REVOKED_set_revocationDate(entry, now) &&
		     X509_CRL_add0_revoked(crl, entry));
	}
	must(X509_CRL_sign(crl, issuer->key, EVP_sha256()));
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	return crl;
}

static FILE *create(const char *dir, const char *name, char **path)
{
	FILE *file;

	must(asprintf(path, "%s/%s", dir, name) > 0);
	file = fopen(*path, "w");
	must(file);
	return file;
}

char *pki_write_cert(const char *dir, const char *name, X509 *cert)
{
	char *path;
	FILE *file = create(dir, name, &path);

	must(PEM_write_X509(file, cert) && !fclose(file));
	return path;
}

char *pki_write_key(const char *dir, const char *name, EVP_PKEY *key, int mode)
{
	char *path;
	FILE *file = create(dir, name, &path);

	must(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) && !fclose(file));
	must(!chmod(path, (mode_t)mode));
	return path;
}

char *pki_write_crl(const char *dir, const char *name, X509_CRL *crl)
{
	char *path;
	FILE *file = create(dir, name, &path);

	must(PEM_write_X509_CRL(file, crl) && !fclose(file));
	return path;
}
