/* SPDX-License-Identifier: MIT */
/*
 * External pre-shared keys of synchronisation (RFC 8446 section 4.2.11, always with DHE): how a
 * mirror makes and recognises them without keeping any, and how a device offers one.
 *
 * An identity is opaque to all but the mirrors that share a master secret: one byte names the
 * secret, then a random nonce, then UID and dates, encrypted and authenticated. The key is derived
 * from secret and identity. docs/sync-protocol.md says what a device does with one.
 */
#ifndef HG_LIB_PSK_H
#define HG_LIB_PSK_H

#include <openssl/ssl.h>
#include "slice.h"
#include "tls.h"

#define HG_PSK_KEY_LEN 32
#define HG_PSK_IDENTITY_MAX 128 /* ours take 55 to 119 bytes */
#define HG_PSK_SECRET_MIN 32	/* bytes of a master secret */
#define HG_PSK_EARLY_MAX 1024	/* bytes of early data; an idle request has 68 to 186 */

/* What a device holds. */
struct hg_psk {
	uint8_t identity[HG_PSK_IDENTITY_MAX];
	size_t identity_len; /* 0: there is none */
	uint8_t key[HG_PSK_KEY_LEN];
	uint64_t not_after_ms; /* Unix time, by the mirror's clock */
};

/* What an identity says to the mirror that made it. */
struct hg_psk_claim {
	char uid[HG_UID_MAX + 1];
	uint64_t not_after_ms, cert_end_ms; /* whole seconds; no later key outlives cert_end_ms */
	bool old;			    /* made with the previous secret: time for a new one */
};

/* The mirror's master secrets. */
struct hg_psk_keys;

/*
 * Reads the current secret and, unless NULL, the previous one: files of at least HG_PSK_SECRET_MIN
 * bytes, which nobody else may read; a newline at the end does not count. NULL with a message in
 * err.
 */
struct hg_psk_keys *hg_psk_keys_load(const char *current, const char *previous, char *err,
				     size_t err_size);
void hg_psk_keys_free(struct hg_psk_keys *keys);

/*
 * From now on sessions by keys of the current secret may begin with up to HG_PSK_EARLY_MAX bytes of
 * early data, if the server asks for them by SSL_read_early_data(). They can be replayed by whoever
 * saw them; docs/sync-protocol.md says what may be done with them.
 */
void hg_psk_keys_early(struct hg_psk_keys *keys);

/* Writes a new secret, 64 hexadecimal digits, mode 0600, synced. -EEXIST if there is a file. */
int hg_psk_secret_make(const char *path, char *err, size_t err_size);

/*
 * Makes a key for claim->uid that lasts to not_after_ms or cert_end_ms, whichever is earlier.
 * Returns 0, -EINVAL for a UID that is none, -EIO if there is no randomness.
 */
int hg_psk_make(const struct hg_psk_keys *keys, const struct hg_psk_claim *claim,
		struct hg_psk *out);

/*
 * The inverse. Returns 0, -ENOENT for an identity that these secrets did not make, -ESTALE for one
 * that has ended at now_ms (Unix time). Outputs are untouched then.
 */
int hg_psk_open(const struct hg_psk_keys *keys, struct hg_slice identity, uint64_t now_ms,
		struct hg_psk_claim *claim, uint8_t key[static HG_PSK_KEY_LEN]);

/*
 * Server: accept these keys' identities; such sessions get no ticket. keys stay the caller's, for
 * as long as ctx. An identity that is not ours or has ended is passed over: the handshake goes on
 * with a ticket or certificates. A wrong binder ends it (alert decrypt_error or
 * illegal_parameter).
 */
int hg_psk_serve(SSL_CTX *ctx, const struct hg_psk_keys *keys);

/* What hg_psk_serve() was told of ctx, or NULL. */
const struct hg_psk_keys *hg_psk_keys_of(const SSL_CTX *ctx);

/*
 * After the handshake: who authenticated with a key; NULL if somebody did with a certificate or a
 * ticket. Valid as long as the SSL's session.
 */
const struct hg_psk_claim *hg_psk_session(const SSL *ssl);

/*
 * Client, before the handshake: offer psk, which stays the caller's until the handshake is over.
 * Do not offer a ticket beside it. If the server passes it over, both sides show certificates.
 * For SSL_write_early_data() set SSL_set_max_early_data(ssl, HG_PSK_EARLY_MAX) before.
 */
int hg_psk_offer(SSL *ssl, const struct hg_psk *psk);

/* Client, after the handshake: was it the offered key that authenticated both sides? */
bool hg_psk_used(const SSL *ssl);

#endif
