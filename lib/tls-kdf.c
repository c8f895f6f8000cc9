// SPDX-License-Identifier: MIT
/*
 * Called by libssl through tls-lib.c's provider. A derivation keeps nothing: HMAC (RFC 2104) is
 * made of each thread's hash contexts, which are set to their beginning afterwards, so that no
 * state of a key stays there until the next handshake.
 */
#include "tls-kdf.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define HASHES 2
#define BLOCK_MAX 128
#define INFO_MAX (2 + 1 + 255 + 1 + 255 + 1) /* a HkdfLabel, and the block's number */

static struct hash {
	const char *name, *alias; /* OpenSSL's first name, and the usual one */
	size_t len, block;
	EVP_MD *md;
	uint8_t nothing[EVP_MAX_MD_SIZE]; /* the hash of no bytes */
} hashes[HASHES] = {
	{ .name = "SHA2-256", .alias = "SHA256", .len = 32, .block = 64 },
	{ .name = "SHA2-384", .alias = "SHA384", .len = 48, .block = 128 },
};

static pthread_key_t thread_contexts;

struct contexts {
	EVP_MD_CTX *of[HASHES];
};

struct bytes {
	const uint8_t *ptr;
	size_t len;
};

static void contexts_free(void *arg)
{
	struct contexts *c = arg;

	for (int i = 0; i < HASHES; i++)
		EVP_MD_CTX_free(c->of[i]);
	free(c);
}

bool hg_tls_kdf_prepare(void)
{
	for (struct hash *h = hashes; h < hashes + HASHES; h++) {
		h->md = EVP_MD_fetch(NULL, h->name, NULL);
		if (!h->md || !EVP_Digest("", 0, h->nothing, NULL, h->md, NULL))
			return false;
	}
	return !pthread_key_create(&thread_contexts, contexts_free);
}

/* The calling thread's context for a hash. */
static EVP_MD_CTX *context_of(int hash)
{
	struct contexts *c = pthread_getspecific(thread_contexts);

	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c || pthread_setspecific(thread_contexts, c)) {
			free(c);
			return NULL;
		}
	}
	if (!c->of[hash])
		c->of[hash] = EVP_MD_CTX_new();
	return c->of[hash];
}

/* A hash of three pieces, the first of which is a block made of the key. */
static bool keyed_hash(EVP_MD_CTX *ctx, const struct hash *h, const uint8_t *key, struct bytes a,
		       struct bytes b, uint8_t *out)
{
	return EVP_DigestInit_ex2(ctx, h->md, NULL) && EVP_DigestUpdate(ctx, key, h->block) &&
	       EVP_DigestUpdate(ctx, a.ptr, a.len) && EVP_DigestUpdate(ctx, b.ptr, b.len) &&
	       EVP_DigestFinal_ex(ctx, out, NULL);
}

/* HMAC with a key of at most a block; out has room for the whole hash. */
static bool mac(int hash, struct bytes key, struct bytes a, struct bytes b, uint8_t *out)
{
	const struct hash *h = &hashes[hash];
	EVP_MD_CTX *ctx = context_of(hash);
	uint8_t pad[BLOCK_MAX], inner[EVP_MAX_MD_SIZE];
	const struct bytes none = { pad, 0 };
	bool good = ctx && key.len <= h->block;

	if (!good)
		return false;
	memset(pad, 0x36, h->block);
	for (size_t i = 0; i < key.len; i++)
		pad[i] ^= key.ptr[i];
	good = keyed_hash(ctx, h, pad, a, b, inner);
	for (size_t i = 0; i < h->block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	good = good && keyed_hash(ctx, h, pad, (struct bytes){ inner, h->len }, none, out) &&
	       EVP_DigestInit_ex2(ctx, h->md, NULL);
	OPENSSL_cleanse(pad, h->block);
	OPENSSL_cleanse(inner, sizeof(inner));
	return good;
}

struct request {
	int mode, hash;
	struct bytes key, salt, prefix, label, data;
};

/* HkdfLabel; 0 if something is too long. */
static size_t put_info(const struct request *r, struct bytes context, size_t len,
		       uint8_t out[static INFO_MAX])
{
	size_t label = r->prefix.len + r->label.len, at = 0;

	if (len > UINT16_MAX || label > 255 || context.len > 255)
		return 0;
	out[at++] = (uint8_t)(len >> 8);
	out[at++] = (uint8_t)len;
	out[at++] = (uint8_t)label;
	memcpy(out + at, r->prefix.ptr, r->prefix.len);
	at += r->prefix.len;
	memcpy(out + at, r->label.ptr, r->label.len);
	at += r->label.len;
	out[at++] = (uint8_t)context.len;
	if (context.len)
		memcpy(out + at, context.ptr, context.len);
	return at + context.len;
}

/* HKDF-Expand-Label. */
static bool expand(const struct request *r, struct bytes secret, struct bytes context, uint8_t *out,
		   size_t len)
{
	const size_t size = hashes[r->hash].len;
	uint8_t info[INFO_MAX], block[EVP_MAX_MD_SIZE];
	size_t info_len = put_info(r, context, len, info);
	struct bytes last = { block, 0 };
	bool good = info_len && len <= 255 * size;

	for (uint8_t n = 1; good && len; n++) {
		size_t part = len < size ? len : size;

		info[info_len] = n;
		good = mac(r->hash, secret, last, (struct bytes){ info, info_len + 1 }, block);
		memcpy(out, block, part);
		out += part;
		len -= part;
		last.len = size;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return good;
}

/* The next secret of the schedule: of the last one (none: the first) and of what comes in. */
static bool extract(const struct request *r, uint8_t *out, size_t len)
{
	static const uint8_t zeros[EVP_MAX_MD_SIZE];
	const size_t size = hashes[r->hash].len;
	uint8_t derived[EVP_MAX_MD_SIZE];
	struct bytes salt = { zeros, 0 }, in = r->key.ptr ? r->key : (struct bytes){ zeros, size };
	bool good = len == size;

	if (good && r->salt.ptr) {
		good = expand(r, r->salt, (struct bytes){ hashes[r->hash].nothing, size }, derived,
			      size);
		salt = (struct bytes){ derived, size };
	}
	good = good && mac(r->hash, salt, in, (struct bytes){ zeros, 0 }, out);
	OPENSSL_cleanse(derived, sizeof(derived));
	return good;
}

static int hash_of(const OSSL_PARAM *p)
{
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		for (int i = 0; i < HASHES; i++)
			if (!OPENSSL_strcasecmp(p->data, hashes[i].name) ||
			    !OPENSSL_strcasecmp(p->data, hashes[i].alias))
				return i;
	return -1;
}

static bool read_params(const OSSL_PARAM *p, struct request *r)
{
	for (; p && p->key; p++) {
		const struct bytes value = { p->data, p->data_size };

		if (!strcmp(p->key, OSSL_KDF_PARAM_MODE) && !OSSL_PARAM_get_int(p, &r->mode))
			return false;
		if (!strcmp(p->key, OSSL_KDF_PARAM_DIGEST))
			r->hash = hash_of(p);
		else if (!strcmp(p->key, OSSL_KDF_PARAM_KEY))
			r->key = value;
		else if (!strcmp(p->key, OSSL_KDF_PARAM_SALT))
			r->salt = value;
		else if (!strcmp(p->key, OSSL_KDF_PARAM_PREFIX))
			r->prefix = value;
		else if (!strcmp(p->key, OSSL_KDF_PARAM_LABEL))
			r->label = value;
		else if (!strcmp(p->key, OSSL_KDF_PARAM_DATA))
			r->data = value;
	}
	return r->hash >= 0 && r->prefix.ptr && r->label.ptr;
}

static int derive(void *ctx, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
	struct request r = { .mode = -1, .hash = -1 };

	if (!read_params(params, &r))
		return 0;
	if (r.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
		return extract(&r, out, len);
	return r.mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && r.key.ptr &&
	       expand(&r, r.key, r.data, out, len);
}

/* All parameters come with the derivation: there is nothing to keep. */
static void *new_ctx(void *provider)
{
	return hashes;
}

static void free_ctx(void *ctx)
{
}

const OSSL_DISPATCH hg_tls_kdf[] = {
	{ OSSL_FUNC_KDF_NEWCTX, (void (*)(void))new_ctx },
	{ OSSL_FUNC_KDF_FREECTX, (void (*)(void))free_ctx },
	{ OSSL_FUNC_KDF_DERIVE, (void (*)(void))derive },
	{ 0, NULL },
};
