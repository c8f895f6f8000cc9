/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.3 contexts for all parties, and who the peer is.
 *
 * A device's certificate carries its UID as the only SAN URI "urn:heliograph:device:UID" (and as
 * CN). A UID is 1..64 bytes of [A-Za-z0-9._-], first a letter or digit.
 */
#ifndef HG_LIB_TLS_H
#define HG_LIB_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/ssl.h>

#define HG_UID_MAX 64
#define HG_UID_URN "urn:heliograph:device:"
#define HG_ALPN_SYNC "heliograph-sync/1"

struct hg_tls_files {
	const char *cert; /* PEM chain, leaf first; NULL: present none (HTTP clients) */
	const char *key;  /* PEM private key */
	const char *ca;	  /* PEM bundle that signs the peers; NULL: peers are not asked */
	const char *crl;  /* PEM CRLs of that CA; NULL: no revocation check */
};

enum hg_tls_role {
	HG_TLS_SYNC_SERVER, /* mirror's sync port: client certificate required, ALPN */
	HG_TLS_SYNC_CLIENT, /* agent */
	HG_TLS_HTTP_SERVER, /* mirror's application API; HTTP/1.1 */
	HG_TLS_HTTP_CLIENT,
};

/*
 * Returns a context: TLS 1.3 only, AES-128-GCM/AES-256-GCM/CHACHA20 suites, stateful tickets
 * (servers keep the session, clients may save it), SSL_MODE_NO_AUTO_CHAIN,
 * SSL_MODE_RELEASE_BUFFERS, early data off. NULL with a message that names the file and the reason
 * in err.
 */
SSL_CTX *hg_tls_ctx_new(enum hg_tls_role role, const struct hg_tls_files *files, char *err,
			size_t err_size);

/* True if s[0..len) is a well-formed UID. */
bool hg_uid_valid(const char *s, size_t len);

/*
 * The UID in a certificate, NUL-terminated. Returns 0, -ENOENT if there is no such SAN, -EINVAL if
 * there is more than one or it is malformed.
 */
int hg_tls_cert_uid(X509 *cert, char uid[static HG_UID_MAX + 1]);

/* Why the handshake or the last call failed, one line, from OpenSSL's error queue (emptied). */
const char *hg_tls_error(char *buf, size_t size);

#endif
