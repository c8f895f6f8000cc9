/* SPDX-License-Identifier: MIT */
/*
 * The key schedule of the mirror's library context against OpenSSL's own "TLS13-KDF", over lengths
 * that TLS uses and others; what it refuses; two threads at once.
 */
#include "../../lib/tls-lib.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "../tap.h"

struct input {
	int mode;
	const char *hash, *label;
	size_t key_len, salt_len, data_len, out_len;
	bool has_key, has_salt, has_data;
};

static int derive(OSSL_LIB_CTX *lib, const struct input *in, uint8_t *out)
{
	static const uint8_t key[256] = { 1, 2, 3 }, salt[256] = { 4, 5 }, data[256] = { 6 };
	EVP_KDF *kdf = EVP_KDF_fetch(lib, "TLS13-KDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[8], *p = params;
	int mode = in->mode, rc;

	*p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	if (in->hash)
		*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)in->hash, 0);
	if (in->has_key)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key,
							 in->key_len);
	if (in->has_salt)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt,
							 in->salt_len);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)in->label,
						 strlen(in->label));
	if (in->has_data)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, (void *)data,
							 in->data_len);
	*p = OSSL_PARAM_construct_end();
	rc = EVP_KDF_derive(ctx, out, in->out_len, params);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	return rc;
}

/* Both take it and give the same, or both refuse it. */
static bool same(const struct input *in)
{
	uint8_t ours[1024] = { 0 }, theirs[1024] = { 0 };
	int rc = derive(hg_tls_lib(), in, ours), want = derive(NULL, in, theirs);

	if ((rc == 1) == (want == 1) && (want != 1 || !memcmp(ours, theirs, in->out_len)))
		return true;
	printf("# %s, mode %d, key %zu, salt %zu, data %zu, out %zu: %d and %d\n", in->hash,
	       in->mode, in->key_len, in->salt_len, in->data_len, in->out_len, rc, want);
	return false;
}

static void test_expand(const char *hash, size_t size)
{
	static const char *const labels[] = { "key", "iv", "finished", "c hs traffic",
					      "res master" };
	static const size_t outs[] = { 12, 16, 32, 48, 49, 100, 255 };
	static const size_t contexts[] = { 0, 32, 48 };
	size_t wrong = 0;

	for (size_t l = 0; l < sizeof(labels) / sizeof(labels[0]); l++)
		for (size_t o = 0; o < sizeof(outs) / sizeof(outs[0]); o++)
			for (size_t d = 0; d < sizeof(contexts) / sizeof(contexts[0]); d++)
				wrong += !same(
					&(struct input){ .mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
							 .hash = hash,
							 .label = labels[l],
							 .key_len = size,
							 .data_len = contexts[d],
							 .out_len = outs[o],
							 .has_key = true,
							 .has_data = d > 0 });
	ok(!wrong, "HKDF-Expand-Label is OpenSSL's: %s", hash);
}

static void test_extract(const char *hash, size_t size)
{
	size_t wrong = 0;

	for (int i = 0; i < 4; i++)
		for (size_t key = 16; key <= 66; key += 10)
			wrong += !same(&(struct input){ .mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
							.hash = hash,
							.label = "derived",
							.key_len = key,
							.salt_len = size,
							.out_len = size,
							.has_key = i & 1,
							.has_salt = i & 2 });
	ok(!wrong, "the next secret is OpenSSL's: %s", hash);
}

static void test_refused(void)
{
	const struct input good = { .mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
				    .hash = "SHA256",
				    .label = "key",
				    .key_len = 32,
				    .out_len = 16,
				    .has_key = true };
	struct input in = good;
	uint8_t out[1024];

	ok(derive(hg_tls_lib(), &in, out) == 1, "a derivation");
	in.hash = NULL;
	ok(derive(hg_tls_lib(), &in, out) <= 0, "none without a hash");
	in.hash = "MD5";
	ok(derive(hg_tls_lib(), &in, out) <= 0, "none with another hash");
	in = good;
	in.has_key = false;
	ok(derive(hg_tls_lib(), &in, out) <= 0, "none without a secret");
	in = good;
	in.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;
	ok(derive(hg_tls_lib(), &in, out) <= 0, "none in another mode");
	in = good;
	in.has_data = true;
	in.data_len = 256;
	ok(derive(hg_tls_lib(), &in, out) <= 0, "none with a context over 255 bytes");
	in = good;
	in.key_len = 200;
	ok(derive(hg_tls_lib(), &in, out) <= 0, "none with a secret over a block");
	in.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
	in.key_len = 32;
	ok(derive(hg_tls_lib(), &in, out) <= 0, "no secret of another length than the hash's");
}

static void *many(void *arg)
{
	size_t *wrong = arg;

	for (int i = 0; i < 2000; i++)
		*wrong += !same(&(struct input){ .mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
						 .hash = i & 1 ? "SHA2-256" : "SHA2-384",
						 .label = "key",
						 .key_len = 32 + (size_t)i % 17,
						 .out_len = 16 + (size_t)i % 20,
						 .has_key = true });
	return NULL;
}

static void test_threads(void)
{
	size_t wrong[2] = { 0 };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, many, &wrong[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is_int((long long)(wrong[0] + wrong[1]), 0, "two threads do not disturb each other");
}

int main(void)
{
	EVP_KDF *kdf = EVP_KDF_fetch(hg_tls_lib(), "TLS13-KDF", NULL);

	ok(kdf && !strcmp(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), "heliograph"),
	   "the context has the key schedule of ours");
	EVP_KDF_free(kdf);
	test_expand("SHA2-256", 32);
	test_expand("SHA2-384", 48);
	test_extract("SHA2-256", 32);
	test_extract("SHA2-384", 48);
	test_refused();
	test_threads();
	return tap_done();
}
