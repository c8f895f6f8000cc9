// SPDX-License-Identifier: MIT
/*
 * Signed profiles: called by the agent when it reads one, and by `heliograph profile sign|verify`.
 * Nothing of the payload is read before the signature was found good.
 */
#include "profile-sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "../lib/alarm.h"
#include "profile-text.h"

_Static_assert(HG_KEY_ID_LEN == HG_COSE_X5T_LEN, "x5t is the key's id");

struct anchor {
	X509 *cert;    /* NULL: a bare key */
	EVP_PKEY *key; /* its public key */
};

struct hg_profile_trust {
	struct anchor anchors[HG_TRUST_MAX];
	size_t n;
	X509_STORE *authorities;
};

static long sign(const struct hg_profile *p, struct hg_slice der, EVP_PKEY *key, void *buf,
		 size_t size)
{
	uint8_t *cbor = malloc(HG_PROFILE_CBOR_MAX);
	struct hg_cose c = { .x5chain = der };
	long n = cbor ? hg_profile_encode(p, cbor, HG_PROFILE_CBOR_MAX) : -ENOMEM;

	c.payload = hg_slice_of(cbor, n < 0 ? 0 : (size_t)n);
	if (n >= 0)
		n = hg_cose_sign(&c, key, buf, size);
	free(cbor);
	return n;
}

long hg_profile_sign(const struct hg_profile *p, X509 *cert, EVP_PKEY *key, void *buf, size_t size)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);
	long ret = -EIO;

	if (n > 0 && X509_check_private_key(cert, key) != 1)
		ret = -EINVAL;
	else if (n > 0)
		ret = sign(p, hg_slice_of(der, (size_t)n), key, buf, size);
	OPENSSL_free(der);
	ERR_clear_error();
	return ret;
}

/* Takes what a PEM block holds; false if it is neither a certificate nor a public key. */
static bool add_anchor(struct hg_profile_trust *t, const char *name, const uint8_t *der, long len)
{
	struct anchor *a = &t->anchors[t->n];

	if (!strcmp(name, PEM_STRING_X509)) {
		a->cert = d2i_X509(NULL, &der, len);
		a->key = a->cert ? X509_get_pubkey(a->cert) : NULL;
	} else if (!strcmp(name, PEM_STRING_PUBLIC)) {
		a->key = d2i_PUBKEY(NULL, &der, len);
	}
	if (a->key)
		t->n++;
	else
		X509_free(a->cert);
	return a->key;
}

static bool add_anchors(struct hg_profile_trust *t, BIO *bio)
{
	char *name, *header;
	bool good = true;
	uint8_t *der;
	long len;

	while (good && PEM_read_bio(bio, &name, &header, &der, &len)) {
		good = t->n < HG_TRUST_MAX && add_anchor(t, name, der, len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	for (size_t i = 0; good && i < t->n; i++)
		if (t->anchors[i].cert && X509_check_ca(t->anchors[i].cert) == 1)
			good = X509_STORE_add_cert(t->authorities, t->anchors[i].cert);
	return good && t->n;
}

struct hg_profile_trust *hg_profile_trust_load(const char *path, char *err, size_t err_size)
{
	struct hg_profile_trust *t = calloc(1, sizeof(*t));
	BIO *bio = BIO_new_file(path, "r");

	if (!bio)
		snprintf(err, err_size, "%s: cannot be read: %s", path, strerror(errno));
	if (t)
		t->authorities = X509_STORE_new();
	if (bio && (!t || !t->authorities || !add_anchors(t, bio))) {
		snprintf(
			err, err_size,
			"%s: must hold the maker's certificates or public keys, in PEM, at most %d",
			path, HG_TRUST_MAX);
		BIO_free(bio);
		bio = NULL;
	}
	ERR_clear_error();
	if (!bio) {
		hg_profile_trust_free(t);
		return NULL;
	}
	BIO_free(bio);
	return t;
}

void hg_profile_trust_free(struct hg_profile_trust *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		X509_free(t->anchors[i].cert);
		EVP_PKEY_free(t->anchors[i].key);
	}
	X509_STORE_free(t->authorities);
	free(t);
}

/* Issued for code signing by one of the authorities, whenever. */
static bool is_issued(const struct hg_profile_trust *t, X509 *cert)
{
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	bool good = sc && X509_STORE_CTX_init(sc, t->authorities, cert, NULL);

	if (good) {
		X509_STORE_CTX_set_flags(sc, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
		good = X509_verify_cert(sc) == 1 &&
		       X509_get_extension_flags(cert) & EXFLAG_XKUSAGE &&
		       X509_get_extended_key_usage(cert) & XKU_CODE_SIGN;
	}
	X509_STORE_CTX_free(sc);
	return good;
}

static X509 *cert_of(const struct hg_cose *c)
{
	const uint8_t *der = c->x5chain.ptr;
	X509 *cert = c->x5chain.len ? d2i_X509(NULL, &der, (long)c->x5chain.len) : NULL;

	if (cert && der != c->x5chain.ptr + c->x5chain.len) {
		X509_free(cert);
		cert = NULL;
	}
	ERR_clear_error();
	return cert;
}

/* Signed with the key of one that stands for itself. */
static bool is_signed_by_anchor(const struct hg_profile_trust *t, const struct hg_cose *c,
				const X509 *cert)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct anchor *a = &t->anchors[i];
		uint8_t id[HG_KEY_ID_LEN];

		if (a->cert && cert && X509_cmp(a->cert, cert))
			continue;
		if (a->cert && c->x5t.len &&
		    (hg_key_id(a->cert, id) || memcmp(id, c->x5t.ptr, sizeof(id))))
			continue;
		if (!hg_cose_verify(c, a->key))
			return true;
	}
	return false;
}

static bool is_signed(const struct hg_profile_trust *t, const struct hg_cose *c)
{
	X509 *cert = cert_of(c);
	bool good = (cert || !c->x5chain.len) && is_signed_by_anchor(t, c, cert);

	if (!good && cert && !hg_cose_verify(c, X509_get0_pubkey(cert)))
		good = is_issued(t, cert);
	X509_free(cert);
	ERR_clear_error();
	return good;
}

/* Without trust the signature must at least be that of the certificate inside. */
static bool is_whole(const struct hg_cose *c)
{
	X509 *cert = cert_of(c);
	bool good = cert && !hg_cose_verify(c, X509_get0_pubkey(cert));

	X509_free(cert);
	return good || !c->x5chain.len;
}

void hg_profile_signer(const void *data, size_t len, char *out, size_t size)
{
	struct hg_cose c;
	X509 *cert = hg_cose_parse(hg_slice_of(data, len), &c) ? NULL : cert_of(&c);

	out[0] = '\0';
	if (cert)
		X509_NAME_oneline(X509_get_subject_name(cert), out, (int)size);
	X509_free(cert);
}

int hg_profile_open(const void *data, size_t len, const struct hg_profile_trust *trust,
		    struct hg_profile *out, char *err, size_t err_size)
{
	char signer[200];
	struct hg_cose c;

	if (len > HG_PROFILE_SIGNED_MAX || hg_cose_parse(hg_slice_of(data, len), &c)) {
		snprintf(err, err_size, "is no signed profile");
		return -EBADMSG;
	}
	hg_profile_signer(data, len, signer, sizeof(signer));
	if (trust && !is_signed(trust, &c)) {
		snprintf(err, err_size,
			 "signature is not that of a maker that is trusted (certificate in it: %s)",
			 *signer ? signer : "none");
		return -EKEYREJECTED;
	}
	if (!trust && !is_whole(&c)) {
		snprintf(err, err_size, "signature is not that of its certificate, %s", signer);
		return -EKEYREJECTED;
	}
	return hg_profile_decode(c.payload.ptr, c.payload.len, out, err, err_size);
}

int hg_profile_valid(const struct hg_profile *p, time_t now, char *err, size_t err_size)
{
	char text[HG_TEXT_MAX], clock[HG_TEXT_MAX];

	if (now < HG_CLOCK_SET)
		return 0;
	hg_time_write(now, clock);
	if (p->valid_from && now < p->valid_from) {
		snprintf(err, err_size, "is valid from %s on, and it is %s",
			 hg_time_write(p->valid_from, text), clock);
		return -EKEYEXPIRED;
	}
	if (p->valid_until && now > p->valid_until) {
		snprintf(err, err_size, "was valid until %s, and it is %s",
			 hg_time_write(p->valid_until, text), clock);
		return -EKEYEXPIRED;
	}
	return 0;
}

static int accept_data(const uint8_t *data, size_t len, const char *maker, struct hg_profile *out,
		       char *err, size_t err_size)
{
	bool is_cose = len && data[0] == HG_PROFILE_SIGNED;
	struct hg_profile_trust *trust = NULL;
	int ret;

	if (maker && !is_cose) {
		snprintf(err, err_size, "is not signed, and [profile] maker wants it to be");
		return -EKEYREJECTED;
	}
	if (!is_cose)
		return hg_profile_parse((const char *)data, len, out, err, err_size);
	if (maker) {
		trust = hg_profile_trust_load(maker, err, err_size);
		if (!trust)
			return -EINVAL;
	}
	ret = hg_profile_open(data, len, trust, out, err, err_size);
	hg_profile_trust_free(trust);
	return ret;
}

int hg_profile_accept(const char *path, const char *maker, struct hg_profile *out, char *err,
		      size_t err_size)
{
	struct hg_profile *p = malloc(sizeof(*p));
	char what[400];
	uint8_t *data = NULL;
	size_t len = 0;
	int ret = -ENOMEM;

	if (!p) {
		snprintf(err, err_size, "%s: out of memory", path);
		return ret;
	}
	ret = hg_profile_read_file(path, &data, &len, err, err_size);
	if (ret) {
		free(p);
		return ret;
	}
	ret = accept_data(data, len, maker, p, what, sizeof(what));
	if (!ret)
		ret = hg_profile_valid(p, time(NULL), what, sizeof(what));
	if (ret)
		snprintf(err, err_size, "%s: %s", path, what);
	else
		*out = *p;
	free(data);
	free(p);
	return ret;
}
