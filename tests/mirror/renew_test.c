/* SPDX-License-Identifier: MIT */
/* Which sessions may ask for a certificate; the rest of renewal is in tests/agent/renewal.t. */
#include "../../mirror/renew.h"

#include <string.h>

#include "../lib/pki.h"
#include "../tap.h"

static struct hg_slice request_of(EVP_PKEY *key, unsigned char buf[static HG_WIRE_CSR_MAX])
{
	X509_REQ *req = X509_REQ_new();
	unsigned char *p = buf;
	int len;

	X509_REQ_set_pubkey(req, key);
	X509_REQ_sign(req, key, EVP_sha256());
	len = i2d_X509_REQ(req, &p);
	X509_REQ_free(req);
	return hg_slice_of(buf, (size_t)len);
}

int main(void)
{
	struct pki_cert made = pki_make(NULL, &(struct pki_request){ .cn = "CA" });
	const struct hg_pki_ca ca = { made.cert, made.key };
	const struct hg_mirror_conf conf = { .ca.device_days = 30 };
	struct hg_identity id = { .uid = "cam-0001" };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char buf[HG_WIRE_CSR_MAX];
	struct hg_slice csr = request_of(key, buf);
	struct hg_renewal *r = hg_renewal_new(&ca, &conf, &id, csr, csr);

	ok(r->chain && r->chain_len && r->serial[0],
	   "a session that showed a certificate gets one");
	hg_renewal_recorded(r, &id, NULL, "database: gone");
	ok(!r->chain && !r->chain_len, "not before it is recorded: %s", r->detail);
	hg_renewal_free(r);
	id.resumed = true;
	r = hg_renewal_new(&ca, &conf, &id, csr, csr);
	ok(!r->chain && strstr(r->detail, "a key or ticket is not enough"),
	   "a session that was resumed gets none: %s", r->detail);
	hg_renewal_free(r);
	id.resumed = false;
	r = hg_renewal_new(NULL, &conf, &id, csr, csr);
	ok(!r->chain && strstr(r->detail, "no authority"), "nor does any without authority: %s",
	   r->detail);
	hg_renewal_free(r);
	EVP_PKEY_free(key);
	pki_free(&made);
	return tap_done();
}
