// SPDX-License-Identifier: MIT
/*
 * Certificates signed over a session. Called by session-ask.c. What always holds: a certificate is
 * for the UID of the session and no other; the session began with the old certificate, for a stolen
 * key or ticket must not become a new one; and none leaves that is not in the database, so that all
 * can be revoked.
 */
#include "renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include "../lib/log.h"

/* Keys that a device may have: P-256, P-384, Ed25519, and RSA of 2048 to 4096 bits for old TPMs. */
static bool key_ok(EVP_PKEY *key)
{
	char group[32] = "";

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		return EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
		       (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1"));
	case EVP_PKEY_ED25519:
		return true;
	case EVP_PKEY_RSA:
		return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 4096;
	default:
		return false;
	}
}

/* The key of a request that is well-formed and signed by it; to be freed. NULL with a reason. */
static EVP_PKEY *key_of(struct hg_slice csr, const char **why)
{
	const unsigned char *p = csr.ptr;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)csr.len);
	EVP_PKEY *key = NULL;

	*why = "not a PKCS#10 request";
	if (req && p == csr.ptr + csr.len) {
		key = X509_REQ_get_pubkey(req);
		if (!key || !key_ok(key))
			*why = "its key is of no kind that is signed";
		else if (X509_REQ_verify(req, key) != 1)
			*why = "its signature is not by its key";
		else
			*why = NULL;
	}
	if (*why) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	X509_REQ_free(req);
	ERR_clear_error();
	return key;
}

static void refuse(struct hg_renewal *r, const char *why)
{
	OPENSSL_free(r->chain);
	r->chain = NULL;
	r->chain_len = 0;
	snprintf(r->detail, sizeof(r->detail), "no new certificate: %s", why);
}

static void sign(struct hg_renewal *r, const struct hg_pki_ca *ca,
		 const struct hg_mirror_conf *conf, const struct hg_identity *id, EVP_PKEY *key)
{
	struct hg_pki_request request = { .role = HG_PKI_DEVICE,
					  .name = id->uid,
					  .days = (unsigned int)conf->ca.device_days };
	time_t not_after;
	char err[256];
	X509 *cert = hg_pki_cert_new(ca, &request, key, r->serial, &not_after, err, sizeof(err));
	int len = cert ? i2d_X509(cert, &r->chain) : -1;

	X509_free(cert);
	if (len <= 0 || len > HG_WIRE_CHAIN_MAX) {
		hg_error("sync: cannot sign a certificate: %s: %s", id->uid, cert ? "size" : err);
		refuse(r, "the authority failed");
		return;
	}
	r->chain_len = (size_t)len;
	snprintf(r->not_after, sizeof(r->not_after), "%lld", (long long)not_after);
}

struct hg_renewal *hg_renewal_new(const struct hg_pki_ca *ca, const struct hg_mirror_conf *conf,
				  const struct hg_identity *id, struct hg_slice csr,
				  struct hg_slice frame)
{
	struct hg_renewal *r = calloc(1, sizeof(*r));
	const char *why = NULL;
	EVP_PKEY *key;

	if (r)
		r->frame = malloc(frame.len);
	if (!r || !r->frame) {
		free(r);
		return NULL;
	}
	memcpy(r->frame, frame.ptr, frame.len);
	r->frame_len = frame.len;
	if (!ca) {
		refuse(r, "this mirror has no authority; ask its operator");
		return r;
	}
	if (id->resumed) {
		refuse(r, "show the old one; a key or ticket is not enough");
		return r;
	}
	key = key_of(csr, &why);
	if (key)
		sign(r, ca, conf, id, key);
	else
		refuse(r, why);
	EVP_PKEY_free(key);
	return r;
}

void hg_renewal_free(struct hg_renewal *r)
{
	if (!r)
		return;
	OPENSSL_free(r->chain);
	free(r->frame);
	free(r);
}

void hg_renewal_params(const struct hg_renewal *r, const struct hg_identity *id,
		       const char *values[static HG_RENEWAL_PARAMS])
{
	values[0] = id->uid;
	values[1] = r->serial;
	values[2] = r->not_after;
}

void hg_renewal_recorded(struct hg_renewal *r, const struct hg_identity *id, const PGresult *res,
			 const char *error)
{
	if (error) {
		refuse(r, "it could not be recorded");
		hg_error("sync: new certificate: %s: %s", id->uid, error);
	} else if (PQntuples(res) != 1 || !PQgetisnull(res, 0, 0)) {
		refuse(r, PQntuples(res) ? PQgetvalue(res, 0, 0) : "?");
	} else {
		hg_info("sync: new certificate: %s: serial %s", id->uid, r->serial);
	}
}
