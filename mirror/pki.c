// SPDX-License-Identifier: MIT
/*
 * Certificates for devices and servers, and the revocation list. Called by the subcommands, and by
 * tests/load for the certificates of devices that exist in large numbers.
 * Private keys are created with mode 0600 and never overwritten; certificates are small, because a
 * device sends its own in every full handshake.
 */
#include "pki.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include "../lib/tls.h"

#define SERIAL_BYTES 16	   /* random, so that nobody counts the devices; RFC 5280 allows 20 */
#define CLOCK_SKEW_S 86400 /* devices wake up with clocks that lag */

static int fail(char *err, size_t size, int code, const char *what, const char *why)
{
	snprintf(err, size, "%s: %s", what, why);
	return code;
}

static int fail_ssl(char *err, size_t size, const char *what)
{
	char why[128];

	errno = 0;
	return fail(err, size, -EIO, what, hg_tls_error(NULL, why, sizeof(why)));
}

static FILE *create(const char *path, mode_t mode, char *err, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		fail(err, size, -errno, path, strerror(errno));
	return f;
}

/* Down to the disk: a key that was handed out must not be lost to a power cut. */
static int finish(FILE *f, const char *path, bool good, char *err, size_t size)
{
	int why;

	if (good && !fflush(f) && !fsync(fileno(f))) {
		fclose(f);
		return 0;
	}
	why = errno ? errno : EIO;
	fclose(f);
	unlink(path);
	return fail(err, size, -why, path, strerror(why));
}

static int write_cert(const char *path, X509 *cert, char *err, size_t size)
{
	FILE *f = create(path, 0644, err, size);

	return f ? finish(f, path, PEM_write_X509(f, cert), err, size) : -errno;
}

static int write_key(const char *path, EVP_PKEY *key, char *err, size_t size)
{
	FILE *f = create(path, 0600, err, size);

	return f ? finish(f, path, PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL),
			  err, size)
		 : -errno;
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool good;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = ext && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return good;
}

static bool set_serial(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *n = NULL;
	bool good;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of full length */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return good;
}

static X509 *new_cert(const char *name, EVP_PKEY *key, X509_NAME *issuer, unsigned int days)
{
	X509 *cert = X509_new();
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

	if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
				       (const unsigned char *)name, -1, -1, 0) &&
	    X509_set_issuer_name(cert, issuer ? issuer : subject) && X509_set_pubkey(cert, key) &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -CLOCK_SKEW_S) &&
	    X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL))
		return cert;
	X509_free(cert);
	return NULL;
}

int hg_pki_ca_make(const char *dir, unsigned int days, char *err, size_t size)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	char path[4096];
	int r;

	if (mkdir(dir, 0755) && errno != EEXIST)
		return fail(err, size, -errno, dir, strerror(errno));
	key = EVP_EC_gen("P-256");
	cert = key ? new_cert("Heliograph CA", key, NULL, days) : NULL;
	if (!cert || !add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_ext(cert, cert, NID_subject_key_identifier, "hash") ||
	    !X509_sign(cert, key, EVP_sha256())) {
		r = fail_ssl(err, size, "cannot make the authority");
		goto out;
	}
	snprintf(path, sizeof(path), "%s/ca.key", dir);
	r = write_key(path, key, err, size);
	snprintf(path, sizeof(path), "%s/ca.crt", dir);
	r = r ?: write_cert(path, cert, err, size);
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return r;
}

int hg_pki_ca_load(const char *dir, struct hg_pki_ca *ca, char *err, size_t size)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	char path[4096];
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "%s/ca.key", dir);
	r = hg_tls_key_load(path, &key, err, size);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/ca.crt", dir);
	f = fopen(path, "re");
	cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (f)
		fclose(f);
	if (!cert || !X509_check_private_key(cert, key)) {
		X509_free(cert);
		EVP_PKEY_free(key);
		return fail(err, size, -EINVAL, path, "is no certificate of ca.key beside it");
	}
	*ca = (struct hg_pki_ca){ cert, key };
	return 0;
}

void hg_pki_ca_free(struct hg_pki_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	*ca = (struct hg_pki_ca){ 0 };
}

static bool add_leaf_exts(const struct hg_pki_ca *ca, const struct hg_pki_request *r, X509 *cert)
{
	char san[sizeof("URI:" HG_UID_URN) + HG_UID_MAX];

	snprintf(san, sizeof(san), "URI:" HG_UID_URN "%s", r->name);
	return add_ext(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
	       add_ext(cert, ca->cert, NID_ext_key_usage,
		       r->role == HG_PKI_DEVICE ? "clientAuth" : "serverAuth") &&
	       add_ext(cert, ca->cert, NID_subject_alt_name,
		       r->role == HG_PKI_DEVICE ? san : r->san);
}

static int describe(X509 *cert, char serial[static HG_SERIAL_TEXT], time_t *not_after)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;
	struct tm tm;
	int r = -EIO;

	if (hex && strlen(hex) < HG_SERIAL_TEXT && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm)) {
		strcpy(serial, hex);
		*not_after = timegm(&tm);
		r = 0;
	}
	OPENSSL_free(hex);
	BN_free(n);
	return r;
}

X509 *hg_pki_cert_new(const struct hg_pki_ca *ca, const struct hg_pki_request *r, EVP_PKEY *key,
		      char serial[static HG_SERIAL_TEXT], time_t *not_after, char *err, size_t size)
{
	X509 *cert = new_cert(r->name, key, X509_get_subject_name(ca->cert), r->days);

	if (!cert)
		fail_ssl(err, size, r->name);
	else if (!add_leaf_exts(ca, r, cert) || !X509_sign(cert, ca->key, EVP_sha256()))
		fail_ssl(err, size, r->san ? r->san : r->name);
	else if (describe(cert, serial, not_after))
		fail(err, size, -EIO, r->name, "cannot read the certificate back");
	else
		return cert;
	X509_free(cert);
	return NULL;
}

int hg_pki_issue(const struct hg_pki_ca *ca, const struct hg_pki_request *r,
		 char serial[static HG_SERIAL_TEXT], time_t *not_after, char *err, size_t size)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = NULL;
	int rc = -EIO;

	if (!key)
		fail_ssl(err, size, r->name);
	else
		cert = hg_pki_cert_new(ca, r, key, serial, not_after, err, size);
	if (cert)
		rc = write_key(r->key_path, key, err, size);
	if (!rc) {
		rc = write_cert(r->cert_path, cert, err, size);
		if (rc)
			unlink(r->key_path);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

static bool add_revoked(X509_CRL *crl, const struct hg_pki_revoked *e)
{
	X509_REVOKED *rev = X509_REVOKED_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, e->when);
	ASN1_INTEGER *serial = NULL;
	BIGNUM *n = NULL;
	bool good;

	good = rev && when && BN_hex2bn(&n, e->serial) && (serial = BN_to_ASN1_INTEGER(n, NULL)) &&
	       X509_REVOKED_set_serialNumber(rev, serial) &&
	       X509_REVOKED_set_revocationDate(rev, when) && X509_CRL_add0_revoked(crl, rev);
	if (!good)
		X509_REVOKED_free(rev);
	ASN1_TIME_free(when);
	ASN1_INTEGER_free(serial);
	BN_free(n);
	return good;
}

static X509_CRL *new_crl(const struct hg_pki_ca *ca, const struct hg_pki_revoked *list,
			 size_t count, unsigned int days)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, -CLOCK_SKEW_S);
	ASN1_TIME *next = ASN1_TIME_adj(NULL, time(NULL), (int)days, 0);
	bool good = crl && now && next && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
		    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) &&
		    X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, next);

	for (size_t i = 0; good && i < count; i++)
		good = add_revoked(crl, &list[i]);
	good = good && X509_CRL_sort(crl) && X509_CRL_sign(crl, ca->key, EVP_sha256());
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	if (good)
		return crl;
	X509_CRL_free(crl);
	return NULL;
}

int hg_pki_crl_write(const struct hg_pki_ca *ca, const struct hg_pki_revoked *list, size_t count,
		     unsigned int days, const char *path, char *err, size_t size)
{
	X509_CRL *crl = new_crl(ca, list, count, days);
	char temp[4096];
	FILE *f;
	int r;

	if (!crl)
		return fail_ssl(err, size, path);
	snprintf(temp, sizeof(temp), "%s.%d", path, (int)getpid());
	f = create(temp, 0644, err, size);
	r = f ? finish(f, temp, PEM_write_X509_CRL(f, crl), err, size) : -errno;
	if (!r && rename(temp, path)) {
		r = fail(err, size, -errno, path, strerror(errno));
		unlink(temp);
	}
	X509_CRL_free(crl);
	return r;
}
