/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a certification request of a device: without an authority's key nothing is signed,
 * so what is asked is which request gets as far as that, and that every other is refused in words.
 * The input is tried as it is, and as a mask over a good request.
 */
#include "fuzz.h"

#include <string.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "../../lib/log.h"
#include "../../mirror/renew.h"

static uint8_t *good;
static int good_len;
static int signed_count;

/* The authority: takes note, and fails. */
X509 *hg_pki_cert_new(const struct hg_pki_ca *ca, const struct hg_pki_request *request,
		      EVP_PKEY *key, char serial[static HG_SERIAL_TEXT], time_t *not_after,
		      char *err, size_t err_size)
{
	holds(key && request->role == HG_PKI_DEVICE && !strcmp(request->name, "cam-0001"));
	signed_count++;
	snprintf(err, err_size, "no authority");
	return NULL;
}

void hg_log(int level, const char *fmt, ...)
{
}

static void make_good(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_REQ *req = X509_REQ_new();

	holds(key && req && X509_REQ_set_pubkey(req, key));
	holds(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	good_len = i2d_X509_REQ(req, &good);
	holds(good_len > 0 && good_len <= HG_WIRE_CSR_MAX);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
}

/* Whether a request gets to the authority. */
static bool accepted(const uint8_t *csr, size_t len)
{
	static const struct hg_mirror_conf conf;
	const struct hg_identity id = { .uid = "cam-0001" };
	int before = signed_count;
	struct hg_renewal *r = hg_renewal_new((const struct hg_pki_ca *)&conf, &conf, &id,
					      hg_slice_of(csr, len), hg_slice_of("frame", 5));

	holds(r && !r->chain && !r->chain_len);
	holds(!strncmp(r->detail, "no new certificate: ", 20));
	holds(!ERR_peek_error());
	hg_renewal_free(r);
	return signed_count != before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t masked[HG_WIRE_CSR_MAX];
	bool same = true;

	if (!good) {
		make_good();
		holds(accepted(good, (size_t)good_len));
	}
	if (size && size <= HG_WIRE_CSR_MAX)
		accepted(data, size);
	memcpy(masked, good, (size_t)good_len);
	for (size_t i = 0; i < size && i < (size_t)good_len; i++) {
		masked[i] ^= data[i];
		same &= !data[i];
	}
	holds(accepted(masked, (size_t)good_len) || !same);
	return 0;
}
