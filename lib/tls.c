/* SPDX-License-Identifier: MIT */
/*
 * TLS contexts by role, and the identity in a certificate. Made at start by all daemons. What
 * always holds:
 *
 *   - a full handshake verifies chain, dates, CRL (if given) and purpose: the extended key usage
 *     must be there and name the peer's role, for a CA may also sign for other purposes;
 *   - a resumed session shows no certificate, so servers verify the stored one again (recheck_peer)
 *     unless nothing that this depends on has changed: revoked or expired since means alert, and
 *     the session is forgotten;
 *   - on the sync port both sides insist on ALPN, so that no other protocol's bytes are taken for
 *     ours.
 */
#include "tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509v3.h>

#include "crl.h"
#include "slice.h"
#include "tls-lib.h"

#define SESSION_LIFE_S 86400 /* a device that syncs once a day still resumes */
#define SESSIONS_MAX 32768   /* about 3 KB each with the peer's certificate */

/* Lengths of the protocol names are their first bytes (RFC 7301). */
static const unsigned char alpn_sync[] = "\x11" HG_ALPN_SYNC;
static const unsigned char alpn_http[] = "\x08http/1.1";

_Static_assert(sizeof(alpn_sync) == 0x11 + 2, "length byte of " HG_ALPN_SYNC);

static bool is_server(enum hg_tls_role role)
{
	return role == HG_TLS_SYNC_SERVER || role == HG_TLS_HTTP_SERVER;
}

const char *hg_tls_error(const SSL *ssl, char *buf, size_t size)
{
	int saved = errno;
	/* A handshake ends with what it means; reading a file begins with it. */
	unsigned long e = ssl ? ERR_peek_last_error() : ERR_peek_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;

	if (e && ERR_SYSTEM_ERROR(e))
		snprintf(buf, size, "%s", strerror(ERR_GET_REASON(e)));
	else if (e && verify != X509_V_OK)
		snprintf(buf, size, "%s: %s", reason ? reason : "certificate",
			 X509_verify_cert_error_string(verify));
	else if (e)
		snprintf(buf, size, "%s", reason ? reason : "unknown error");
	else
		snprintf(buf, size, "%s", saved ? strerror(saved) : "connection closed");
	ERR_clear_error();
	return buf;
}

/* "FILE: WHAT: why" from the error queue. */
static int file_error(char *err, size_t err_size, const char *file, const char *what)
{
	char why[128];

	errno = 0;
	snprintf(err, err_size, "%s: %s: %s", file, what, hg_tls_error(NULL, why, sizeof(why)));
	return -EINVAL;
}

/* No prompt on a terminal for an encrypted key: daemons have none. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
	return -1;
}

bool hg_tls_key_is_uri(const char *key)
{
	const char *c = key;

	while ((*c >= 'a' && *c <= 'z') || (c > key && ((*c >= '0' && *c <= '9') || *c == '-')))
		c++;
	return c > key && *c == ':';
}

/* By which algorithms of TLS and of signatures by such keys are chosen; NULL: the defaults. */
static const char *key_properties;

const char *hg_tls_properties(void)
{
	return key_properties;
}

int hg_tls_provider_load(const char *name, const char *properties, char *err, size_t err_size)
{
	char why[128];

	errno = 0;
	if (OSSL_PROVIDER_load(NULL, "default") && OSSL_PROVIDER_load(NULL, name)) {
		key_properties = properties;
		return 0;
	}
	snprintf(
		err, err_size,
		"OpenSSL provider '%s' cannot be loaded: %s; install it where `openssl version -m` "
		"says",
		name, hg_tls_error(NULL, why, sizeof(why)));
	return -ENOENT;
}

/* A file behind a URI is as closed to others as one behind a path. */
static int check_uri_mode(const char *uri, char *err, size_t err_size)
{
	const char *path = uri + strlen("file:");
	struct stat st;

	if (strncmp(uri, "file:", strlen("file:")))
		return 0;
	if (!strncmp(path, "//", 2))
		path += 2;
	if (stat(path, &st) || !(st.st_mode & 077))
		return 0; /* what is not there, or not meant so, the store will say */
	snprintf(err, err_size, "%s: private key is open to others (mode %04o); chmod 600 it", uri,
		 st.st_mode & 07777);
	return -EPERM;
}

static int load_uri(const char *uri, EVP_PKEY **key, char *err, size_t err_size)
{
	OSSL_STORE_CTX *store;
	EVP_PKEY *found = NULL;
	char why[128];
	int rc = check_uri_mode(uri, err, err_size);

	if (rc)
		return rc;
	ERR_clear_error();
	errno = 0;
	store = OSSL_STORE_open(uri, UI_null(), NULL, NULL, NULL);
	while (store && !found && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
			found = OSSL_STORE_INFO_get1_PKEY(info);
		OSSL_STORE_INFO_free(info);
		if (!info && !OSSL_STORE_error(store))
			break;
	}
	if (!found)
		snprintf(err, err_size,
			 "%s: no private key there: %s; is its OpenSSL provider loaded ([mirror] "
			 "provider)?",
			 uri, hg_tls_error(NULL, why, sizeof(why)));
	OSSL_STORE_close(store);
	ERR_clear_error();
	*key = found ? found : *key;
	return found ? 0 : -ENOENT;
}

int hg_tls_key_load(const char *path, EVP_PKEY **key, char *err, size_t err_size)
{
	FILE *file;
	EVP_PKEY *pkey = NULL;
	struct stat st;
	int rc = 0;

	if (hg_tls_key_is_uri(path))
		return load_uri(path, key, err, err_size);
	file = fopen(path, "re");
	if (!file || fstat(fileno(file), &st)) {
		rc = -errno;
		snprintf(err, err_size, "%s: cannot open private key: %s", path, strerror(-rc));
	} else if (st.st_mode & 077) {
		rc = -EPERM;
		snprintf(err, err_size,
			 "%s: private key is open to others (mode %04o); chmod 600 it", path,
			 st.st_mode & 07777);
	} else {
		pkey = PEM_read_PrivateKey(file, NULL, no_password, NULL);
		if (!pkey)
			rc = file_error(err, err_size, path,
					"not a PEM private key without password");
	}
	if (file)
		fclose(file);
	if (!rc)
		*key = pkey;
	return rc;
}

/*
 * What was verified stays so until the trust is loaded anew or something in it ends. Each store has
 * a number, and a session the number of the store that it was verified against, with the end of
 * what was looked at then: two words of ex_data, which copies of the session take along.
 */
static atomic_uint_least32_t trust_count;
static int trust_number_index, trust_crl_index, session_number_index, session_until_index;
static pthread_once_t trust_once = PTHREAD_ONCE_INIT;

static void trust_indices(void)
{
	trust_number_index = X509_STORE_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	trust_crl_index = X509_STORE_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	session_number_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	session_until_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* Unix time; what cannot be read has ended. */
static intptr_t time_of(const ASN1_TIME *t)
{
	struct tm tm;

	return t && ASN1_TIME_to_tm(t, &tm) ? (intptr_t)timegm(&tm) : 0;
}

/* The first end of a revocation list. */
static intptr_t crl_until(X509_STORE *store)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
	intptr_t until = INTPTR_MAX;

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));
		intptr_t end = crl && X509_CRL_get0_nextUpdate(crl)
				       ? time_of(X509_CRL_get0_nextUpdate(crl))
				       : INTPTR_MAX;

		if (end < until)
			until = end;
	}
	return until;
}

static bool trust_mark(X509_STORE *store)
{
	uintptr_t number = atomic_fetch_add(&trust_count, 1) + 1;

	pthread_once(&trust_once, trust_indices);
	return X509_STORE_set_ex_data(store, trust_number_index, (void *)number) &&
	       X509_STORE_set_ex_data(store, trust_crl_index, (void *)crl_until(store));
}

X509_STORE *hg_tls_trust_load(const char *ca, const char *crl, char *err, size_t err_size)
{
	X509_STORE *store = X509_STORE_new();
	X509_LOOKUP *lookup;

	if (!store) {
		file_error(err, err_size, ca, "cannot make a certificate store");
		return NULL;
	}
	if (!X509_STORE_load_file(store, ca)) {
		file_error(err, err_size, ca, "cannot load CA certificates");
		goto fail;
	}
	if (crl) {
		lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
		if (!lookup || X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) <= 0) {
			file_error(err, err_size, crl, "cannot load revocation list");
			goto fail;
		}
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	}
	if (!trust_mark(store) || hg_crl_remember(store)) {
		file_error(err, err_size, ca, "cannot make a certificate store");
		goto fail;
	}
	return store;
fail:
	X509_STORE_free(store);
	return NULL;
}

/* OpenSSL refuses a certificate that names other purposes, but takes one that names none. */
static bool names_purpose(X509 *leaf)
{
	return X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE;
}

/* When the first of what a good verification looked at ends. */
static intptr_t verified_until(X509_STORE_CTX *sc)
{
	const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(sc);
	intptr_t until = (intptr_t)X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(sc),
							  trust_crl_index);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		intptr_t end = time_of(X509_get0_notAfter(sk_X509_value(chain, i)));

		if (end < until)
			until = end;
	}
	return until;
}

static void session_verified(SSL_SESSION *session, X509_STORE_CTX *sc)
{
	void *number = X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(sc), trust_number_index);

	if (SSL_SESSION_set_ex_data(session, session_until_index, (void *)verified_until(sc)))
		SSL_SESSION_set_ex_data(session, session_number_index, number);
}

/* As hg_tls_client_check(); session (may be NULL) is marked with what comes of it. */
static int client_check(X509_STORE *trust, X509 *cert, STACK_OF(X509) * chain, SSL_SESSION *session)
{
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	int error = X509_V_ERR_OUT_OF_MEM;

	if (sc && X509_STORE_CTX_init(sc, trust, cert, chain) &&
	    X509_STORE_CTX_set_default(sc, "ssl_client")) {
		X509_verify_cert(sc);
		error = X509_STORE_CTX_get_error(sc);
		if (error == X509_V_OK && !names_purpose(cert))
			error = X509_V_ERR_INVALID_PURPOSE;
	}
	if (error == X509_V_OK && session)
		session_verified(session, sc);
	X509_STORE_CTX_free(sc);
	ERR_clear_error();
	return error;
}

int hg_tls_client_check(X509_STORE *trust, X509 *cert, STACK_OF(X509) * chain)
{
	return client_check(trust, cert, chain, NULL);
}

/* The certificate of a session that is resumed: X509_V_OK or X509_V_ERR_*. */
static int session_check(X509_STORE *trust, SSL_SESSION *session, X509 *leaf,
			 STACK_OF(X509) * chain)
{
	if (SSL_SESSION_get_ex_data(session, session_number_index) ==
		    X509_STORE_get_ex_data(trust, trust_number_index) &&
	    time(NULL) < (intptr_t)SSL_SESSION_get_ex_data(session, session_until_index))
		return X509_V_OK;
	return client_check(trust, leaf, chain, session);
}

/* Called for each certificate of a chain, the leaf last. */
static int verify_peer(int good, X509_STORE_CTX *sc)
{
	if (!good || X509_STORE_CTX_get_error_depth(sc) ||
	    names_purpose(X509_STORE_CTX_get_current_cert(sc)))
		return good;
	X509_STORE_CTX_set_error(sc, X509_V_ERR_INVALID_PURPOSE);
	return 0;
}

/* What was verified in the handshake need not be when its session is resumed. */
static int verify_device(int good, X509_STORE_CTX *sc)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());

	good = verify_peer(good, sc);
	if (good && !X509_STORE_CTX_get_error_depth(sc))
		session_verified(SSL_get_session(ssl), sc);
	return good;
}

/* What was found wrong is only that the floor of time lies before a beginning. */
static bool is_early(X509_STORE_CTX *sc)
{
	int error = X509_STORE_CTX_get_error(sc);

	return (X509_VERIFY_PARAM_get_flags(X509_STORE_CTX_get0_param(sc)) &
		X509_V_FLAG_USE_CHECK_TIME) &&
	       (error == X509_V_ERR_CERT_NOT_YET_VALID || error == X509_V_ERR_CRL_NOT_YET_VALID);
}

/*
 * A server's choice of protocol has arrived before its certificate. (On resumption there is none,
 * but there the server is one that made this choice before.)
 */
static int verify_mirror(int good, X509_STORE_CTX *sc)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
	const unsigned char *name;
	unsigned int len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	if (!hg_slice_eq(hg_slice_of(name, len), hg_slice_str(HG_ALPN_SYNC))) {
		X509_STORE_CTX_set_error(sc, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	if (!good && is_early(sc)) {
		X509_STORE_CTX_set_error(sc, X509_V_OK); /* it is called again for this one */
		return 1;
	}
	return verify_peer(good, sc);
}

/*
 * A session that may be resumed by several threads at once gets room for its words while one alone
 * has it: then session_check() writes words, and makes no room. Its copies have it, too.
 */
static bool session_make_room(SSL_SESSION *session)
{
	pthread_once(&trust_once, trust_indices);
	return SSL_SESSION_set_ex_data(session, session_until_index, NULL) &&
	       SSL_SESSION_set_ex_data(session, session_number_index, NULL);
}

/*
 * Called in every handshake of a server, after resumption was decided (the name itself is not
 * used).
 */
static int recheck_peer(SSL *ssl, int *alert, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	X509 *leaf = session ? SSL_SESSION_get0_peer(session) : NULL;
	int error;

	if (!SSL_session_reused(ssl)) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return !session || session_make_room(session) ? SSL_TLSEXT_ERR_NOACK
							      : SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	if (!leaf)
		return SSL_TLSEXT_ERR_NOACK;
	error = session_check(SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), session, leaf,
			      SSL_get_peer_cert_chain(ssl));
	if (error == X509_V_OK)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_verify_result(ssl, error);
	*alert = SSL_AD_CERTIFICATE_REVOKED;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The choice below is only asked for when the client offers something. */
static int want_alpn(SSL *ssl, int *alert, void *arg)
{
	const unsigned char *ext;
	size_t len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
				      &len))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned int in_len, void *arg)
{
	const unsigned char *ours = arg;
	unsigned char *found;

	if (SSL_select_next_proto(&found, out_len, ours, ours[0] + 1u, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

/*
 * How a server remembers sessions: in its own memory (stateful tickets), bounded in number and
 * life.
 */
static int set_up_server(SSL_CTX *ctx, enum hg_tls_role role)
{
	const unsigned char *alpn = role == HG_TLS_SYNC_SERVER ? alpn_sync : alpn_http;

	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
	SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
	SSL_CTX_set_timeout(ctx, SESSION_LIFE_S);
	SSL_CTX_set_tlsext_servername_callback(ctx, recheck_peer);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, (void *)alpn);
	if (role == HG_TLS_SYNC_SERVER)
		SSL_CTX_set_client_hello_cb(ctx, want_alpn, NULL);
	return SSL_CTX_set_num_tickets(ctx, 1) && SSL_CTX_set_max_early_data(ctx, 0) &&
	       SSL_CTX_set_session_id_context(ctx, alpn + 1, alpn[0]);
}

static int set_up_client(SSL_CTX *ctx, enum hg_tls_role role)
{
	const unsigned char *alpn = role == HG_TLS_SYNC_CLIENT ? alpn_sync : alpn_http;

	/* The caller that wants to resume sets SSL_CTX_sess_set_new_cb() and keeps one session. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	return !SSL_CTX_set_alpn_protos(ctx, alpn, alpn[0] + 1u);
}

/* A provider that is preferred for its P-256 keys may not do key exchange with that curve. */
static int set_groups(SSL_CTX *ctx)
{
	if (SSL_CTX_set1_groups_list(ctx, "X25519:P-256"))
		return 1;
	ERR_clear_error();
	return key_properties && SSL_CTX_set1_groups_list(ctx, "X25519");
}

static int set_up(SSL_CTX *ctx, enum hg_tls_role role)
{
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
	       SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					     "TLS_CHACHA20_POLY1305_SHA256") &&
	       set_groups(ctx) &&
	       (is_server(role) ? set_up_server(ctx, role) : set_up_client(ctx, role));
}

static int load_own(SSL_CTX *ctx, const struct hg_tls_files *f, char *err, size_t err_size)
{
	EVP_PKEY *key = NULL;
	int rc;

	if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1)
		return file_error(err, err_size, f->cert, "cannot load certificate");
	rc = hg_tls_key_load(f->key, &key, err, err_size);
	if (rc)
		return rc;
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		rc = file_error(err, err_size, f->key,
				"private key is not that of the certificate");
	EVP_PKEY_free(key);
	return rc;
}

static int load_trust(SSL_CTX *ctx, enum hg_tls_role role, const struct hg_tls_files *f, char *err,
		      size_t err_size)
{
	X509_STORE *store;

	if (role == HG_TLS_SYNC_SERVER)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
				   verify_device);
	else if (role == HG_TLS_HTTP_SERVER)
		SSL_CTX_set_verify(ctx, f->ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify_peer);
	else
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER,
				   role == HG_TLS_SYNC_CLIENT ? verify_mirror : verify_peer);
	if (!f->ca) {
		if (is_server(role) || SSL_CTX_set_default_verify_paths(ctx))
			return 0;
		return file_error(err, err_size, "system CAs", "cannot load");
	}
	store = hg_tls_trust_load(f->ca, f->crl, err, err_size);
	if (!store)
		return -EINVAL;
	SSL_CTX_set_cert_store(ctx, store);
	return 0;
}

SSL_CTX *hg_tls_ctx_new(enum hg_tls_role role, const struct hg_tls_files *files, char *err,
			size_t err_size)
{
	const char *missing = !files->cert && role != HG_TLS_HTTP_CLIENT ? "certificate"
			      : files->cert && !files->key		 ? "private key"
			      : !files->ca && role <= HG_TLS_SYNC_CLIENT ? "CA"
			      : files->crl && !files->ca ? "CA for the revocation list"
							 : NULL;
	SSL_CTX *ctx;

	if (missing) {
		snprintf(err, err_size, "TLS needs a %s; name its file", missing);
		return NULL;
	}
	ctx = SSL_CTX_new_ex(role == HG_TLS_SYNC_SERVER ? hg_tls_lib() : NULL, key_properties,
			     is_server(role) ? TLS_server_method() : TLS_client_method());
	if (!ctx || !set_up(ctx, role)) {
		file_error(err, err_size, "TLS", "cannot set up OpenSSL");
		goto fail;
	}
	if (files->cert && load_own(ctx, files, err, err_size))
		goto fail;
	if (load_trust(ctx, role, files, err, err_size))
		goto fail;
	return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}

int hg_tls_trust_reload(SSL_CTX *ctx, const struct hg_tls_files *files, char *err, size_t err_size)
{
	X509_STORE *store;

	if (!files->ca)
		return 0;
	store = hg_tls_trust_load(files->ca, files->crl, err, err_size);
	if (!store)
		return -EINVAL;
	SSL_CTX_set_cert_store(ctx, store);
	return 0;
}

int hg_tls_set_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, host))
		return 0;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (!SSL_set1_host(ssl, host) || !SSL_set_tlsext_host_name(ssl, host))
		return -EINVAL;
	return 0;
}

void hg_tls_set_floor(SSL *ssl, time_t floor)
{
	X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), floor);
}

bool hg_uid_valid(const char *s, size_t len)
{
	static const char first[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	if (!len || len > HG_UID_MAX || !s[0] || !strchr(first, s[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!s[i] || (!strchr(first, s[i]) && !strchr("._-", s[i])))
			return false;
	return true;
}

int hg_tls_cert_uid(X509 *cert, char uid[static HG_UID_MAX + 1])
{
	const struct hg_slice urn = hg_slice_str(HG_UID_URN);
	struct hg_slice found = { NULL, 0 };
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int rc = -ENOENT;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		struct hg_slice text;

		if (name->type != GEN_URI)
			continue;
		text = hg_slice_of(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
				   (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier));
		if (text.len < urn.len || memcmp(text.ptr, urn.ptr, urn.len))
			continue;
		rc = rc == -ENOENT ? 0 : -EINVAL;
		found = hg_slice_of(text.ptr + urn.len, text.len - urn.len);
	}
	if (!rc && !hg_uid_valid((const char *)found.ptr, found.len))
		rc = -EINVAL;
	if (!rc) {
		memcpy(uid, found.ptr, found.len);
		uid[found.len] = '\0';
	}
	GENERAL_NAMES_free(names);
	return rc;
}
