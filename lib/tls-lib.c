// SPDX-License-Identifier: MIT
/*
 * A provider that is made of the default one: the same functions with the same context, but of key
 * types and decoders only those that a certificate in TLS 1.3 can need. Called by tls.c when a
 * server begins. What is made here is not changed afterwards, so all threads may use it.
 */
#include "tls-lib.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#define NAME "heliograph"
#define OPERATIONS 24 /* OSSL_OP_* begin at 1; those of OpenSSL 3 end at 22 */
#define KEPT_MAX 12   /* of one operation */

/* The first names that the default provider has for what is kept, of all operations. */
static const char *const names[] = {
	"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", /* records */
	"SHA2-256",    "SHA2-384",    "SHA2-512",
	"HMAC",	       "HKDF",	      "TLS13-KDF", /* handshake, signatures */
	"SHA1",					   /* X509 objects take one of themselves */
	"X25519",      "EC",	      "ECDH",	   /* key exchange */
	"ECDSA",       "RSA",	      "RSA-PSS",
	"ED25519",     "ED448",			  /* certificates */
	"AES-256-CTR", "CTR-DRBG",    "SEED-SRC", /* random numbers */
};

static OSSL_PROVIDER *base; /* the default provider of OpenSSL's own context */
static OSSL_ALGORITHM kept[OPERATIONS][KEPT_MAX + 1];
static OSSL_LIB_CTX *lib;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* An algorithm's names are separated by colons. */
static bool is_wanted(const char *all)
{
	size_t len = strcspn(all, ":");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncmp(all, names[i], len))
			return true;
	return false;
}

/* Keys of other kinds (PEM files of an operator) are read in OpenSSL's own context. */
static bool reads_certificates(const char *properties)
{
	return strstr(properties, "input=der") && strstr(properties, "SubjectPublicKeyInfo");
}

static void keep(int operation)
{
	int no_cache;
	size_t n = 0;

	for (const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(base, operation, &no_cache);
	     a && a->algorithm_names && n < KEPT_MAX; a++)
		if (is_wanted(a->algorithm_names) &&
		    (operation != OSSL_OP_DECODER || reads_certificates(a->property_definition)))
			kept[operation][n++] = *a;
}

static const OSSL_ALGORITHM *query(void *ctx, int operation, int *no_cache)
{
	*no_cache = 0;
	return operation > 0 && operation < OPERATIONS ? kept[operation] : NULL;
}

static int capabilities(void *ctx, const char *capability, OSSL_CALLBACK *call, void *arg)
{
	return OSSL_PROVIDER_get_capabilities(base, capability, call, arg);
}

static int begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
		 void **ctx)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
		{ OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities },
		{ 0, NULL },
	};

	*out = functions;
	*ctx = OSSL_PROVIDER_get0_provider_ctx(base);
	return 1;
}

struct active {
	bool usual, foreign;
};

/* The other two of OpenSSL's own have nothing that TLS 1.3 would take. */
static int see(OSSL_PROVIDER *provider, void *arg)
{
	const char *name = OSSL_PROVIDER_get0_name(provider);
	struct active *a = arg;

	if (!strcmp(name, "default"))
		a->usual = true;
	else if (strcmp(name, "base") && strcmp(name, "legacy"))
		a->foreign = true;
	return 1;
}

static void make(void)
{
	struct active active = { 0 };

	OSSL_PROVIDER_do_all(NULL, see, &active);
	if (!active.usual || active.foreign || EVP_default_properties_is_fips_enabled(NULL))
		return;
	base = OSSL_PROVIDER_load(NULL, "default"); /* it is there: nothing becomes active */
	if (!base || !OSSL_PROVIDER_get0_provider_ctx(base))
		return;
	for (int i = 1; i < OPERATIONS; i++)
		if (i != OSSL_OP_ENCODER && i != OSSL_OP_STORE)
			keep(i);
	lib = OSSL_LIB_CTX_new();
	if (lib && OSSL_PROVIDER_add_builtin(lib, NAME, begin) && OSSL_PROVIDER_load(lib, NAME))
		return;
	OSSL_LIB_CTX_free(lib);
	lib = NULL;
}

OSSL_LIB_CTX *hg_tls_lib(void)
{
	pthread_once(&once, make);
	ERR_clear_error();
	return lib;
}
