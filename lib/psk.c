/* SPDX-License-Identifier: MIT */
/*
 * Pre-shared keys: a mirror holds two master secrets and nothing per device. What always holds: the
 * UID of a session is in the TLS session whose binder was verified, never beside it, for a client
 * may name several identities in one hello.
 *
 * Identity: id of the secret (1), nonce (12), AES-256-GCM of { not_after, cert_end: seconds, 5
 * bytes each; UID, zeros up to a multiple of 16 }, tag (16). The id is authenticated with it.
 * Random nonces are good for 2^32 identities of one secret: 4,294 for each of a million devices.
 */
#include "psk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#define NONCE_LEN 12
#define TAG_LEN 16
#define TIME_LEN 5   /* seconds: good for 34,000 years */
#define UID_BLOCK 16 /* lengths tell little about the UID */
#define PLAIN_MAX (2 * TIME_LEN + HG_UID_MAX)
#define OVERHEAD (1 + NONCE_LEN + TAG_LEN)
#define SECRET_MAX 4096

_Static_assert(HG_UID_MAX % UID_BLOCK == 0, "the longest UID is whole blocks");
_Static_assert(OVERHEAD + PLAIN_MAX <= HG_PSK_IDENTITY_MAX, "the longest identity fits");

struct generation {
	uint8_t id;
	uint8_t seal[32], derive[32];
};

struct hg_psk_keys {
	struct generation generations[2]; /* current, previous */
	size_t n;
	uint32_t early; /* bytes of early data that are read; 0: none */
};

/* HKDF-SHA-256 of a secret; `label` says what for, and the format's version. */
static bool expand(const uint8_t *secret, size_t len, const char *label, uint8_t *out, size_t size)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	bool good = ctx && EVP_KDF_derive(ctx, out, size, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return good;
}

static int read_secret(const char *path, uint8_t buf[static SECRET_MAX], size_t *len, char *err,
		       size_t err_size)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	int rc = 0;

	if (!f || fstat(fileno(f), &st)) {
		rc = -errno;
		snprintf(err, err_size, "%s: cannot open the master secret: %s", path,
			 strerror(-rc));
	} else if (st.st_mode & 077) {
		rc = -EPERM;
		snprintf(err, err_size,
			 "%s: master secret is open to others (mode %04o); chmod 600 it", path,
			 st.st_mode & 07777);
	} else {
		*len = fread(buf, 1, SECRET_MAX, f);
		if (*len && buf[*len - 1] == '\n')
			--*len;
		if (*len < HG_PSK_SECRET_MIN || *len >= SECRET_MAX - 1) {
			rc = -EINVAL;
			snprintf(err, err_size,
				 "%s: master secret has %zu bytes, not %d to %d; make one with "
				 "`heliograph-mirror psk-key FILE`",
				 path, *len, HG_PSK_SECRET_MIN, SECRET_MAX - 2);
		}
	}
	if (f)
		fclose(f);
	return rc;
}

static int load_generation(struct hg_psk_keys *keys, const char *path, char *err, size_t err_size)
{
	struct generation *g = &keys->generations[keys->n];
	uint8_t secret[SECRET_MAX];
	size_t len = 0;
	int rc = read_secret(path, secret, &len, err, err_size);

	if (!rc && !(expand(secret, len, "heliograph psk 1 id", &g->id, 1) &&
		     expand(secret, len, "heliograph psk 1 seal", g->seal, sizeof(g->seal)) &&
		     expand(secret, len, "heliograph psk 1 key", g->derive, sizeof(g->derive)))) {
		rc = -EIO;
		snprintf(err, err_size, "%s: OpenSSL cannot derive keys", path);
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	if (!rc)
		keys->n++;
	return rc;
}

struct hg_psk_keys *hg_psk_keys_load(const char *current, const char *previous, char *err,
				     size_t err_size)
{
	struct hg_psk_keys *keys = calloc(1, sizeof(*keys));

	if (!keys) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	if (!load_generation(keys, current, err, err_size) &&
	    (!previous || !load_generation(keys, previous, err, err_size)))
		return keys;
	hg_psk_keys_free(keys);
	return NULL;
}

void hg_psk_keys_early(struct hg_psk_keys *keys)
{
	keys->early = HG_PSK_EARLY_MAX;
}

void hg_psk_keys_free(struct hg_psk_keys *keys)
{
	if (keys)
		OPENSSL_clear_free(keys, sizeof(*keys));
}

int hg_psk_secret_make(const char *path, char *err, size_t err_size)
{
	uint8_t secret[HG_PSK_SECRET_MIN];
	char text[2 * HG_PSK_SECRET_MIN + 2];
	int fd, rc = 0;

	if (RAND_priv_bytes(secret, sizeof(secret)) != 1) {
		snprintf(err, err_size, "%s: no randomness", path);
		return -EIO;
	}
	for (size_t i = 0; i < sizeof(secret); i++)
		snprintf(text + 2 * i, 4, "%02x\n", secret[i]);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd))
		rc = errno ? -errno : -EIO;
	if (rc)
		snprintf(err, err_size, "%s: %s", path, strerror(-rc));
	if (fd >= 0) {
		close(fd);
		if (rc)
			unlink(path);
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(text, sizeof(text));
	return rc;
}

/* AES-256-GCM either way; the tag is behind the text. */
static bool crypt_sealed(const struct generation *g, bool encrypt, const uint8_t *nonce,
			 const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;
	bool good = ctx &&
		    EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, g->seal, nonce, encrypt) &&
		    EVP_CipherUpdate(ctx, NULL, &n, &g->id, 1) &&
		    EVP_CipherUpdate(ctx, out, &n, in, (int)len) &&
		    (encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag)) &&
		    EVP_CipherFinal_ex(ctx, out + n, &n) &&
		    (!encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag));

	EVP_CIPHER_CTX_free(ctx);
	return good;
}

static void put_time(uint8_t *out, uint64_t ms)
{
	uint64_t s = ms / 1000;

	for (int i = 0; i < TIME_LEN; i++)
		out[i] = (uint8_t)(s >> 8 * (TIME_LEN - 1 - i));
}

static uint64_t get_time(const uint8_t *in)
{
	uint64_t s = 0;

	for (int i = 0; i < TIME_LEN; i++)
		s = s << 8 | in[i];
	return s * 1000;
}

static bool derive_key(const struct generation *g, struct hg_slice identity, uint8_t *key)
{
	unsigned int len = HG_PSK_KEY_LEN;

	return HMAC(EVP_sha256(), g->derive, sizeof(g->derive), identity.ptr, identity.len, key,
		    &len);
}

int hg_psk_make(const struct hg_psk_keys *keys, const struct hg_psk_claim *claim,
		struct hg_psk *out)
{
	const struct generation *g = &keys->generations[0];
	size_t uid_len = strlen(claim->uid);
	size_t len = 2 * TIME_LEN + (uid_len + UID_BLOCK - 1) / UID_BLOCK * UID_BLOCK;
	uint64_t end = claim->not_after_ms < claim->cert_end_ms ? claim->not_after_ms
								: claim->cert_end_ms;
	uint8_t plain[PLAIN_MAX] = { 0 };
	struct hg_psk psk = { .identity_len = OVERHEAD + len };

	if (!hg_uid_valid(claim->uid, uid_len))
		return -EINVAL;
	put_time(plain, end);
	put_time(plain + TIME_LEN, claim->cert_end_ms);
	memcpy(plain + 2 * TIME_LEN, claim->uid, uid_len);
	psk.identity[0] = g->id;
	psk.not_after_ms = get_time(plain);
	if (RAND_bytes(psk.identity + 1, NONCE_LEN) != 1 ||
	    !crypt_sealed(g, true, psk.identity + 1, plain, len, psk.identity + 1 + NONCE_LEN,
			  psk.identity + 1 + NONCE_LEN + len) ||
	    !derive_key(g, hg_slice_of(psk.identity, psk.identity_len), psk.key)) {
		ERR_clear_error();
		return -EIO;
	}
	*out = psk;
	return 0;
}

int hg_psk_open(const struct hg_psk_keys *keys, struct hg_slice identity, uint64_t now_ms,
		struct hg_psk_claim *claim, uint8_t key[static HG_PSK_KEY_LEN])
{
	size_t len = identity.len - OVERHEAD; /* of the text; checked before it is used */
	uint8_t plain[PLAIN_MAX + 1], tag[TAG_LEN];
	struct hg_psk_claim c = { 0 };

	if (identity.len < OVERHEAD + 2 * TIME_LEN + UID_BLOCK || len > PLAIN_MAX)
		return -ENOENT;
	memcpy(tag, identity.ptr + 1 + NONCE_LEN + len, TAG_LEN);
	for (size_t i = 0; i < keys->n; i++) {
		const struct generation *g = &keys->generations[i];

		if (identity.ptr[0] != g->id ||
		    !crypt_sealed(g, false, identity.ptr + 1, identity.ptr + 1 + NONCE_LEN, len,
				  plain, tag))
			continue;
		plain[len] = '\0';
		c.not_after_ms = get_time(plain);
		c.cert_end_ms = get_time(plain + TIME_LEN);
		c.old = i > 0;
		strcpy(c.uid, (char *)plain + 2 * TIME_LEN);
		if (now_ms >= c.not_after_ms)
			return -ESTALE;
		if (!derive_key(g, identity, key))
			break;
		*claim = c;
		return 0;
	}
	ERR_clear_error();
	return -ENOENT;
}

/* Places in OpenSSL's objects, taken once: keys in a server's context, a claim in a session. */
static int keys_index = -1, claim_index = -1, offer_index = -1;
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

static int copy_claim(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int index,
		      long argl, void *argp)
{
	if (!*data)
		return 1;
	*data = OPENSSL_memdup(*data, sizeof(struct hg_psk_claim));
	return *data != NULL;
}

static void free_claim(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl,
		       void *argp)
{
	OPENSSL_free(data);
}

static void take_indices(void)
{
	keys_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	offer_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	claim_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, copy_claim, free_claim);
}

static bool have_indices(void)
{
	return CRYPTO_THREAD_run_once(&once, take_indices) && keys_index >= 0 && offer_index >= 0 &&
	       claim_index >= 0;
}

/*
 * A TLS 1.3 session that is nothing but a key. early: bytes of early data. These need the name of
 * the protocol in the session: it is used before one is negotiated.
 */
static SSL_SESSION *session_of(SSL *ssl, const uint8_t key[static HG_PSK_KEY_LEN], uint32_t early)
{
	const struct hg_slice alpn = hg_slice_str(HG_ALPN_SYNC);
	static const unsigned char aes_128_gcm_sha256[] = { 0x13, 0x01 };
	SSL_SESSION *session = SSL_SESSION_new();
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);

	if (session && cipher && SSL_SESSION_set1_master_key(session, key, HG_PSK_KEY_LEN) &&
	    SSL_SESSION_set_cipher(session, cipher) &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) &&
	    SSL_SESSION_set_max_early_data(session, early) &&
	    (!early || SSL_SESSION_set1_alpn_selected(session, alpn.ptr, alpn.len)))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

/* Called for each identity of a client's hello until one is known. */
static int find_session(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session)
{
	const struct hg_psk_keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keys_index);
	struct hg_psk_claim *claim = OPENSSL_zalloc(sizeof(*claim));
	uint8_t key[HG_PSK_KEY_LEN];
	struct timespec now;
	uint32_t early;

	*session = NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!claim || hg_psk_open(keys, hg_slice_of(identity, len), (uint64_t)now.tv_sec * 1000,
				  claim, key)) {
		OPENSSL_free(claim);
		return 1;
	}
	early = claim->old ? 0 : keys->early; /* who has an old key is to be given another */
	*session = session_of(ssl, key, early);
	OPENSSL_cleanse(key, sizeof(key));
	if (*session && SSL_set_max_early_data(ssl, early) &&
	    SSL_SESSION_set_ex_data(*session, claim_index, claim)) {
		SSL_set_num_tickets(ssl, 0);
		return 1;
	}
	SSL_SESSION_free(*session);
	*session = NULL;
	OPENSSL_free(claim);
	return 0;
}

int hg_psk_serve(SSL_CTX *ctx, const struct hg_psk_keys *keys)
{
	if (!have_indices() || !SSL_CTX_set_ex_data(ctx, keys_index, (void *)keys))
		return -ENOMEM;
	SSL_CTX_set_psk_find_session_callback(ctx, find_session);
	return 0;
}

const struct hg_psk_keys *hg_psk_keys_of(const SSL_CTX *ctx)
{
	return keys_index < 0 ? NULL : SSL_CTX_get_ex_data(ctx, keys_index);
}

const struct hg_psk_claim *hg_psk_session(const SSL *ssl)
{
	SSL_SESSION *session = SSL_get_session(ssl);

	if (claim_index < 0 || !session || !SSL_session_reused(ssl))
		return NULL;
	return SSL_SESSION_get_ex_data(session, claim_index);
}

/* Called when the hello is made, and again with the hash if the server wants another hello. */
static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *len,
		       SSL_SESSION **session)
{
	const struct hg_psk *psk = SSL_get_ex_data(ssl, offer_index);

	*session = NULL;
	if (!psk || (md && EVP_MD_get_type(md) != NID_sha256))
		return 1;
	*session = session_of(ssl, psk->key, SSL_get_max_early_data(ssl));
	if (!*session)
		return 0;
	*identity = psk->identity;
	*len = psk->identity_len;
	return 1;
}

int hg_psk_offer(SSL *ssl, const struct hg_psk *psk)
{
	if (!psk->identity_len || psk->identity_len > HG_PSK_IDENTITY_MAX)
		return -EINVAL;
	if (!have_indices() || !SSL_set_ex_data(ssl, offer_index, (void *)psk))
		return -ENOMEM;
	SSL_set_psk_use_session_callback(ssl, use_session);
	return 0;
}

bool hg_psk_used(const SSL *ssl)
{
	return offer_index >= 0 && SSL_get_ex_data(ssl, offer_index) && SSL_session_reused(ssl);
}
