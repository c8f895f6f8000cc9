// SPDX-License-Identifier: MIT
/*
 * Renewal of the device's certificate. Used by sync.c and session.c. Files of state_dir:
 *   renewal.key  the key of the certificate that is asked for, written before it is
 *   device.pem   the renewed key and certificates, in one file, so that they change in one step
 * A crash between any two steps leaves a certificate that works: the old one until device.pem is
 * there, the new one from then on. A key that an OpenSSL provider holds is kept, and device.pem has
 * certificates only.
 *
 * A mirror that does not like the new certificate must not lock the device out: when a session
 * fails in TLS, the next one shows the other of the two.
 */
#include "renewal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "agent.h"
#include "state-file.h"
#include "../lib/log.h"

#define KEY_FILE "renewal.key"
#define PEM_FILE "device.pem"
#define CHAIN_MAX 4
#define DAY_MS (24 * 3600 * UINT64_C(1000))

struct hg_renewal {
	struct hg_agent *agent;
	char *cert, *key;	   /* as configured */
	char *renewed;		   /* path of device.pem */
	bool has_renewed;	   /* it is there and good */
	bool uses_renewed;	   /* and the configuration names it */
	uint64_t begin_ms, end_ms; /* of the certificate in use */
	bool due;
	bool asking, asked;	/* in this session: it asks; and has */
	uint64_t not_before_ms; /* uptime before which no session asks again; 0: any may */
	uint64_t warned_ms;	/* uptime; 0: never */
	uint8_t csr[HG_WIRE_CSR_MAX];
	size_t csr_len;
	EVP_PKEY *pending;
};

static const char *dir_of(const struct hg_renewal *r)
{
	return r->agent->conf.device.state_dir;
}

static uint64_t time_of(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s = ASN1_TIME_to_tm(t, &tm) ? timegm(&tm) : 0;

	return s > 0 ? (uint64_t)s * 1000 : 0;
}

static X509 *read_cert(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	ERR_clear_error();
	return cert;
}

/* The key of path (which may be a provider's) is that of cert. */
static bool matches(const char *path, X509 *cert)
{
	EVP_PKEY *key = NULL;
	char err[256];
	bool good = !hg_tls_key_load(path, &key, err, sizeof(err)) &&
		    X509_check_private_key(cert, key) == 1;

	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

/* device.pem is whole, for the same UID, and lasts longer than the configured one. */
static bool renewed_ok(const struct hg_renewal *r)
{
	const char *key = hg_tls_key_is_uri(r->key) ? r->key : r->renewed;
	X509 *ours = read_cert(r->cert), *theirs = read_cert(r->renewed);
	char uid[HG_UID_MAX + 1], other[HG_UID_MAX + 1];
	bool good = theirs && !hg_tls_cert_uid(theirs, other) && matches(key, theirs) &&
		    (!ours ||
		     (!hg_tls_cert_uid(ours, uid) && !strcmp(uid, other) &&
		      time_of(X509_get0_notAfter(theirs)) > time_of(X509_get0_notAfter(ours))));

	X509_free(ours);
	X509_free(theirs);
	return good;
}

/* Lets the configuration name one of the two. */
static void use(struct hg_renewal *r, bool renewed)
{
	struct hg_agent_conf *conf = &r->agent->conf;
	char *cert = strdup(renewed ? r->renewed : r->cert);
	char *key = strdup(renewed && !hg_tls_key_is_uri(r->key) ? r->renewed : r->key);
	X509 *x;

	if (!cert || !key) {
		free(cert);
		free(key);
		return;
	}
	free(conf->mirror.cert);
	free(conf->mirror.key);
	conf->mirror.cert = cert;
	conf->mirror.key = key;
	r->uses_renewed = renewed;
	x = read_cert(cert);
	r->begin_ms = x ? time_of(X509_get0_notBefore(x)) : 0;
	r->end_ms = x ? time_of(X509_get0_notAfter(x)) : 0;
	X509_free(x);
}

struct hg_renewal *hg_renewal_new(struct hg_agent *agent)
{
	struct hg_renewal *r = calloc(1, sizeof(*r));
	char path[4352];

	if (!r)
		return NULL;
	r->agent = agent;
	r->cert = strdup(agent->conf.mirror.cert);
	r->key = strdup(agent->conf.mirror.key);
	r->renewed = strdup(hg_state_path(dir_of(r), PEM_FILE, path, sizeof(path)));
	if (!r->cert || !r->key || !r->renewed) {
		hg_renewal_free(r);
		return NULL;
	}
	r->has_renewed = renewed_ok(r);
	use(r, r->has_renewed);
	return r;
}

void hg_renewal_free(struct hg_renewal *r)
{
	if (!r)
		return;
	EVP_PKEY_free(r->pending);
	free(r->cert);
	free(r->key);
	free(r->renewed);
	free(r);
}

/* Returns 0 or -errno. */
static int write_pem(const struct hg_renewal *r, const char *name, EVP_PKEY *key,
		     STACK_OF(X509) * chain)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	bool good = bio;
	char *data;
	long len;
	int rc = -ENOMEM;

	if (good && key)
		good = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	for (int i = 0; good && i < sk_X509_num(chain); i++)
		good = PEM_write_bio_X509(bio, sk_X509_value(chain, i));
	if (good) {
		len = BIO_get_mem_data(bio, &data);
		rc = hg_state_write(dir_of(r), name, data, (size_t)len);
	}
	BIO_free(bio);
	ERR_clear_error();
	return rc;
}

/* The key to be certified: the provider's, one that was asked for before, or a new one. */
static bool get_key(struct hg_renewal *r)
{
	char path[4352], err[256];
	int rc;

	EVP_PKEY_free(r->pending);
	r->pending = NULL;
	if (hg_tls_key_is_uri(r->key)) {
		rc = hg_tls_key_load(r->key, &r->pending, err, sizeof(err));
		if (rc)
			hg_warn("renewal: %s", err);
		return !rc;
	}
	hg_state_path(dir_of(r), KEY_FILE, path, sizeof(path));
	if (!hg_tls_key_load(path, &r->pending, err, sizeof(err)))
		return true;
	r->pending = EVP_EC_gen("P-256");
	rc = r->pending ? write_pem(r, KEY_FILE, r->pending, NULL) : -ENOMEM;
	if (!rc)
		return true;
	hg_warn("renewal: %s: cannot be written: %s", path, strerror(-rc));
	return false;
}

/* The mirror looks at key and signature only; the name is for people. */
static bool make_csr(struct hg_renewal *r)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = req ? X509_REQ_get_subject_name(req) : NULL;
	unsigned char *p = r->csr;
	const char *md = EVP_PKEY_get_base_id(r->pending) == EVP_PKEY_ED25519 ? NULL : "SHA256";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int len = 0;

	if (req &&
	    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
				       (const unsigned char *)r->agent->uid, -1, -1, 0) &&
	    X509_REQ_set_pubkey(req, r->pending) && ctx &&
	    EVP_DigestSignInit_ex(ctx, NULL, md, NULL, hg_tls_properties(), r->pending, NULL) &&
	    X509_REQ_sign_ctx(req, ctx))
		len = i2d_X509_REQ(req, NULL);
	EVP_MD_CTX_free(ctx);
	r->csr_len = 0;
	if (len > 0 && len <= HG_WIRE_CSR_MAX)
		r->csr_len = (size_t)i2d_X509_REQ(req, &p);
	X509_REQ_free(req);
	ERR_clear_error();
	return r->csr_len;
}

bool hg_renewal_begin(struct hg_renewal *r)
{
	r->asked = false;
	r->asking = r->due && hg_uptime_ms() >= r->not_before_ms && get_key(r) && make_csr(r);
	return r->asking;
}

struct hg_slice hg_renewal_csr(struct hg_renewal *r)
{
	if (!r->asking || r->asked)
		return hg_slice_of(NULL, 0);
	r->asked = true;
	return hg_slice_of(r->csr, r->csr_len);
}

/* Certificates one behind the other; to be freed. NULL if it is not that. */
static STACK_OF(X509) * read_chain(struct hg_slice der)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	const unsigned char *p = der.ptr, *end = p + der.len;
	bool good = chain;

	while (good && p < end) {
		X509 *cert = sk_X509_num(chain) < CHAIN_MAX ? d2i_X509(NULL, &p, end - p) : NULL;

		good = cert && sk_X509_push(chain, cert);
		if (!good)
			X509_free(cert);
	}
	ERR_clear_error();
	if (good)
		return chain;
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

/* Why this certificate is not taken; NULL if it is. */
static const char *fault(const struct hg_renewal *r, X509 *leaf)
{
	char uid[HG_UID_MAX + 1];

	if (X509_check_private_key(leaf, r->pending) != 1)
		return "it is not for the key that was sent";
	if (hg_tls_cert_uid(leaf, uid) || strcmp(uid, r->agent->uid))
		return "it names another device";
	if (X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1 ||
	    !(X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE))
		return "it is not for clients";
	if (time_of(X509_get0_notAfter(leaf)) <= r->end_ms)
		return "it does not last longer than the old one";
	return NULL;
}

/* Returns true if it is in use. */
static bool take(struct hg_renewal *r, struct hg_slice der)
{
	STACK_OF(X509) *chain = read_chain(der);
	const char *why = chain ? fault(r, sk_X509_value(chain, 0)) : "it is malformed";
	int rc;

	ERR_clear_error();
	if (why) {
		hg_warn("renewal: the mirror's certificate is not taken: %s", why);
		sk_X509_pop_free(chain, X509_free);
		return false;
	}
	rc = write_pem(r, PEM_FILE, hg_tls_key_is_uri(r->key) ? NULL : r->pending, chain);
	sk_X509_pop_free(chain, X509_free);
	if (rc) {
		hg_warn("renewal: %s: cannot be written: %s", r->renewed, strerror(-rc));
		return false;
	}
	hg_state_remove(dir_of(r), KEY_FILE);
	r->has_renewed = true;
	use(r, true);
	return true;
}

/* Two thirds of its life are gone by the mirror's clock. */
static void judge(struct hg_renewal *r, uint64_t now_ms)
{
	uint64_t life = r->end_ms - r->begin_ms, uptime = hg_uptime_ms();
	time_t end = (time_t)(r->end_ms / 1000);
	char date[32] = "?";
	struct tm tm;

	if (!now_ms || r->end_ms <= r->begin_ms)
		return;
	r->due = now_ms > r->begin_ms + life / 3 * 2;
	if (now_ms < r->begin_ms + life / 6 * 5 || (r->warned_ms && uptime - r->warned_ms < DAY_MS))
		return;
	if (gmtime_r(&end, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	hg_warn("renewal: %s ends on %s and is not renewed yet", r->agent->conf.mirror.cert, date);
	r->warned_ms = uptime;
}

bool hg_renewal_answer(struct hg_renewal *r, const struct hg_wire_response *response)
{
	bool taken;

	if (!r->asking || !r->asked) {
		judge(r, response->time_ms);
		return false;
	}
	r->asking = false;
	taken = response->chain.len && take(r, response->chain);
	if (taken) {
		hg_info("renewal: a new certificate is in use");
		r->due = false;
	} else {
		if (!response->chain.len)
			hg_warn("renewal: the mirror gave no new certificate; the next try is in a day");
		r->not_before_ms = hg_uptime_ms() + DAY_MS;
		judge(r, response->time_ms);
	}
	EVP_PKEY_free(r->pending);
	r->pending = NULL;
	return taken;
}

bool hg_renewal_failed(struct hg_renewal *r)
{
	if (!r->has_renewed)
		return false;
	use(r, !r->uses_renewed);
	hg_info("renewal: the next session shows %s", r->agent->conf.mirror.cert);
	return true;
}
