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
#include <time.h>
#include <openssl/ssl.h>

#define HG_UID_MAX 64
#define HG_UID_URN "urn:heliograph:device:"
#define HG_ALPN_SYNC "heliograph-sync/1"

struct hg_tls_files {
	const char *cert; /* PEM chain, leaf first; NULL: present none (HTTP clients only) */
	const char *key;  /* PEM private key without password; refused if others may read it; or
			   * its URI, see hg_tls_key_is_uri() */
	const char *ca;	  /* PEM bundle that signs the peers; NULL: HTTP servers ask for no
			   * certificate, HTTP clients use the system's CAs; required for sync */
	const char *crl;  /* PEM CRLs of that CA; NULL: no revocation check */
};

enum hg_tls_role {
	HG_TLS_SYNC_SERVER, /* mirror's sync port: client certificate required, ALPN */
	HG_TLS_SYNC_CLIENT, /* agent */
	HG_TLS_HTTP_SERVER, /* mirror's application API; HTTP/1.1 */
	HG_TLS_HTTP_CLIENT,
};

/*
 * Returns a context: TLS 1.3 only, AES-GCM and ChaCha20 suites, SSL_MODE_NO_AUTO_CHAIN,
 * SSL_MODE_RELEASE_BUFFERS, partial writes from moving buffers, no early data. Peers are verified
 * against `ca`, `crl` and the purpose of their certificate (clientAuth or serverAuth must be
 * named); a resumed session's certificate is verified again, unless neither the trust was loaded
 * anew nor anything ended since that was done. ALPN is enforced on both sides of
 * sync. Servers keep sessions in memory (stateful tickets); a client resumes with
 * SSL_CTX_sess_set_new_cb() and SSL_set_session(), and drops its session when a handshake with it
 * fails. NULL with a message that names the file, the reason and what to do in err.
 */
SSL_CTX *hg_tls_ctx_new(enum hg_tls_role role, const struct hg_tls_files *files, char *err,
			size_t err_size);

/*
 * Reads `ca` and `crl` again; sessions stay and are verified against the new ones when they are
 * resumed. Called by the thread that does the handshakes. Returns 0, or -EINVAL with a message in
 * err: the old ones stay in force.
 */
int hg_tls_trust_reload(SSL_CTX *ctx, const struct hg_tls_files *files, char *err, size_t err_size);

/*
 * Called by a client before the handshake: whose certificate it wants (name or address), and SNI if
 * it is a name. Returns 0 or -EINVAL.
 */
int hg_tls_set_host(SSL *ssl, const char *host);

/*
 * Called by a client before the handshake: its clock is not to be trusted, but the time does not
 * lie before `floor` (Unix time). A certificate or list of the server that ended before is refused;
 * one that is not valid yet by that time is taken.
 */
void hg_tls_set_floor(SSL *ssl, time_t floor);

/*
 * A store of CAs, and with `crl` (may be NULL) of CRLs that are then checked. NULL with a message
 * in err.
 */
X509_STORE *hg_tls_trust_load(const char *ca, const char *crl, char *err, size_t err_size);

/*
 * Verifies a client's certificate as a handshake would: chain (which may be NULL), dates, CRLs of
 * trust, and that it names clientAuth. Returns X509_V_OK or X509_V_ERR_*.
 */
int hg_tls_client_check(X509_STORE *trust, X509 *cert, STACK_OF(X509) * chain);

/*
 * True if a private key is named by a URI ("pkcs11:...", "handle:...", "file:..."), which an OpenSSL
 * provider understands, and not by the path of a file. A path that holds a colon begins with '/' or
 * '.'.
 */
bool hg_tls_key_is_uri(const char *key);

/*
 * Loads an OpenSSL provider for such keys, and the default one beside it; they stay. `properties`
 * (may be NULL; stays the caller's) is OpenSSL's property query by which algorithms of TLS and of
 * signatures by such keys are chosen, see property(7). Returns 0, or -ENOENT with a message in err.
 */
const char *hg_tls_properties(void);
int hg_tls_provider_load(const char *name, const char *properties, char *err, size_t err_size);

/*
 * A private key from a PEM file, or from the provider that its URI belongs to. Returns 0 or -errno
 * with a message in err; -EPERM if it is a file that others may read.
 */
int hg_tls_key_load(const char *path, EVP_PKEY **key, char *err, size_t err_size);

/* True if s[0..len) is a well-formed UID. */
bool hg_uid_valid(const char *s, size_t len);

/*
 * The UID in a certificate, NUL-terminated. Returns 0, -ENOENT if there is no such SAN, -EINVAL if
 * there is more than one or it is malformed.
 */
int hg_tls_cert_uid(X509 *cert, char uid[static HG_UID_MAX + 1]);

/*
 * Why the handshake or the last call on ssl (may be NULL) failed: one line from OpenSSL's error
 * queue, which is emptied, with what was wrong about the peer's certificate. Returns buf.
 */
const char *hg_tls_error(const SSL *ssl, char *buf, size_t size);

#endif
