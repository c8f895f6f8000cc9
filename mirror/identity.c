// SPDX-License-Identifier: MIT
/*
 * Identities of devices. Called by session.c and session-ask.c, once per session and once per
 * answer. Keeps nothing: what a key stands for is in its identity.
 */
#include "identity.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "../lib/log.h"

static uint64_t end_of(const X509 *cert)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
		return 0;
	return (uint64_t)timegm(&tm) * 1000;
}

int hg_identity_of(const SSL *ssl, struct hg_identity *id)
{
	const struct hg_psk_claim *claim = hg_psk_session(ssl);
	struct hg_identity found = { 0 };
	X509 *cert;

	if (claim) {
		strcpy(found.uid, claim->uid);
		found.cert_end_ms = claim->cert_end_ms;
		found.stale_key = claim->old;
	} else {
		cert = SSL_get0_peer_certificate(ssl);
		if (!cert || hg_tls_cert_uid(cert, found.uid))
			return -ENOENT;
		found.cert_end_ms = end_of(cert);
	}
	found.resumed = SSL_session_reused(ssl);
	*id = found;
	return 0;
}

void hg_identity_key(const SSL *ssl, const struct hg_identity *id,
		     const struct hg_mirror_conf *conf, uint32_t flags, struct hg_psk *psk,
		     struct hg_wire_psk *out)
{
	const struct hg_psk_keys *keys = hg_psk_keys_of(SSL_get_SSL_CTX(ssl));
	struct hg_psk_claim claim = { .cert_end_ms = id->cert_end_ms };
	struct timespec now;

	*out = (struct hg_wire_psk){ 0 };
	if (!keys || !(flags & HG_REQUEST_KEY || id->stale_key))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	claim.not_after_ms = (uint64_t)now.tv_sec * 1000 + conf->sync.psk_life;
	strcpy(claim.uid, id->uid);
	if (hg_psk_make(keys, &claim, psk)) {
		hg_error("sync: cannot make a pre-shared key: %s", id->uid);
		return;
	}
	out->identity = hg_slice_of(psk->identity, psk->identity_len);
	out->key = hg_slice_of(psk->key, sizeof(psk->key));
	out->not_after_ms = psk->not_after_ms;
}
