/* SPDX-License-Identifier: MIT */
/*
 * Real handshakes over a socket pair: who is let in and who is not, on both sides; resumption, and
 * that it ends with the certificate; what is wrong with files.
 */
#include "../../lib/tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "../../lib/tls-lib.h"
#include "../tap.h"
#include "pki.h"

#define WITHOUT_DEFAULT "without-default" /* an argument: run_without_default() */
#define UID_URI "URI:" HG_UID_URN "cam-0001"

static char dir[] = "/tmp/hg-tls.XXXXXX";
static char *paths[64];
static size_t n_paths;
static struct pki_cert ca, foreign_ca, mirror_cert, device_cert;
static char *ca_file, *mirror_crt, *mirror_key, *device_crt, *device_key, *empty_crl, *device_crl;
static char err[256];
static SSL_SESSION *ticket; /* the newest that a client was given */

static char *keep(char *path)
{
	paths[n_paths++] = path;
	return path;
}

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(ticket);
	ticket = session;
	return 1;
}

static SSL_CTX *context(enum hg_tls_role role, const char *cert, const char *key, const char *crl)
{
	struct hg_tls_files files = { cert, key, ca_file, crl };
	SSL_CTX *ctx = hg_tls_ctx_new(role, &files, err, sizeof(err));

	if (!ctx)
		printf("Bail out! %s\n", err);
	else
		SSL_CTX_sess_set_new_cb(ctx, keep_ticket);
	return ctx;
}

static time_t client_floor; /* 0: none */

struct outcome {
	bool server, client; /* has its side got a byte of the other's through the handshake? */
	bool reused;
	char server_why[128], client_why[128];
	char uid[HG_UID_MAX + 1];
};

/* One step of one side: handshake, write a byte, read a byte. Returns true when it is over. */
static bool step(SSL *ssl, bool *wrote, bool *good, char *why, size_t size)
{
	char byte = 0;
	int rc = SSL_do_handshake(ssl);

	if (rc == 1 && !*wrote)
		*wrote = SSL_write(ssl, "x", 1) == 1;
	if (rc == 1)
		rc = SSL_read(ssl, &byte, 1);
	if (rc > 0) {
		*good = true;
		return true;
	}
	if (SSL_get_error(ssl, rc) == SSL_ERROR_WANT_READ)
		return false;
	hg_tls_error(ssl, why, size);
	return true;
}

static struct outcome shake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, const char *host,
			    SSL_SESSION *resume)
{
	struct outcome o = { 0 };
	bool server_wrote = false, client_wrote = false, server_over = false, client_over = false;
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	int fd[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
	SSL_set_fd(server, fd[0]);
	SSL_set_fd(client, fd[1]);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	hg_tls_set_host(client, host);
	if (client_floor)
		hg_tls_set_floor(client, client_floor);
	if (resume)
		SSL_set_session(client, resume);
	for (int i = 0; i < 50 && !(server_over && client_over); i++) {
		if (!client_over)
			client_over = step(client, &client_wrote, &o.client, o.client_why,
					   sizeof(o.client_why));
		if (!server_over)
			server_over = step(server, &server_wrote, &o.server, o.server_why,
					   sizeof(o.server_why));
		/* A side that gave up has closed; its alert is read first. */
		if (server_over && !o.server)
			shutdown(fd[0], SHUT_WR);
		if (client_over && !o.client)
			shutdown(fd[1], SHUT_WR);
	}
	o.reused = SSL_session_reused(server);
	if (o.server && SSL_get0_peer_certificate(server))
		hg_tls_cert_uid(SSL_get0_peer_certificate(server), o.uid);
	SSL_shutdown(client);
	SSL_shutdown(server);
	SSL_free(server);
	SSL_free(client);
	close(fd[0]);
	close(fd[1]);
	return o;
}

static void test_good(void)
{
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, empty_crl);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, empty_crl);
	struct outcome o = shake(server, client, "mirror.test", NULL);
	size_t len = 0;

	ok(o.server && o.client, "device and mirror understand each other%s%s", o.server_why,
	   o.client_why);
	is_str(o.uid, "cam-0001", "the mirror knows who it is");
	ok(!o.reused && ticket, "the device has got a ticket");
	SSL_SESSION_get0_ticket(ticket, NULL, &len);
	is_int((long long)len, 32, "which is a number: the mirror keeps the session");
	o = shake(server, client, "mirror.test", ticket);
	ok(o.server && o.client && o.reused, "it resumes%s%s", o.server_why, o.client_why);
	is_str(o.uid, "cam-0001", "and is still known");
	o = shake(server, client, "other.test", NULL);
	ok(!o.client, "a mirror of another name is refused: %s", o.client_why);
	ok(strstr(o.client_why, "hostname mismatch"), "the message says why");
	o = shake(server, client, "127.0.0.1", NULL);
	ok(o.server && o.client, "a mirror known by its address");
	o = shake(server, client, "127.0.0.2", NULL);
	ok(!o.client, "not by another's: %s", o.client_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

static void refuse_mirror(const char *name, const char *host, const char *why)
{
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, NULL);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, NULL);
	struct outcome o = shake(server, client, host, NULL);

	ok(!o.client && strstr(o.client_why, why), "%s: %s", name, o.client_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* The device's certificate is made as `r` says; the mirror must refuse it, naming `why`. */
static void refuse_device(const char *name, const struct pki_cert *issuer,
			  const struct pki_request *r, const char *why)
{
	struct pki_cert c = pki_make(issuer, r);
	char *crt = keep(pki_write_cert(dir, "bad.crt", c.cert));
	char *key = keep(pki_write_key(dir, "bad.key", c.key, 0600));
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, empty_crl);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, crt, key, empty_crl);
	struct outcome o = shake(server, client, "mirror.test", NULL);

	ok(!o.server && !o.client, "%s is refused", name);
	ok(strstr(o.server_why, why), "the mirror says: %s", o.server_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	pki_free(&c);
}

static void test_devices(void)
{
	refuse_device("a device of a foreign CA", &foreign_ca,
		      &(struct pki_request){ .cn = "x", .san = UID_URI, .eku = "clientAuth" },
		      "certificate verify failed");
	refuse_device("an expired certificate", &ca,
		      &(struct pki_request){ .cn = "x",
					     .san = UID_URI,
					     .eku = "clientAuth",
					     .from_s = -7200,
					     .to_s = -3600 },
		      "expired");
	refuse_device("a certificate that is not valid yet", &ca,
		      &(struct pki_request){ .cn = "x",
					     .san = UID_URI,
					     .eku = "clientAuth",
					     .from_s = 3600,
					     .to_s = 7200 },
		      "not yet valid");
	refuse_device("a server's certificate", &ca,
		      &(struct pki_request){ .cn = "x", .san = UID_URI, .eku = "serverAuth" },
		      "purpose");
	refuse_device("a certificate without purpose", &ca,
		      &(struct pki_request){ .cn = "x", .san = UID_URI }, "purpose");
}

static void test_keys(void)
{
	const struct {
		const char *name;
		EVP_PKEY *key;
	} keys[] = {
		{ "P-384", EVP_EC_gen("P-384") },
		{ "RSA", EVP_RSA_gen(2048) },
		{ "Ed25519", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") },
	};
	const struct pki_request r = { .cn = "x", .san = UID_URI, .eku = "clientAuth" };
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, empty_crl);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct pki_cert c = pki_make_for(&ca, &r, keys[i].key);
		char *crt = keep(pki_write_cert(dir, "key.crt", c.cert));
		char *key = keep(pki_write_key(dir, "key.key", c.key, 0600));
		SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, crt, key, NULL);
		struct outcome o = shake(server, client, "mirror.test", NULL);

		ok(o.server && o.client, "a device with a key of %s%s", keys[i].name, o.server_why);
		SSL_CTX_free(client);
		pki_free(&c);
	}
	SSL_CTX_free(server);
}

static int foreign_begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
			 const OSSL_DISPATCH **out, void **ctx)
{
	static const OSSL_DISPATCH none[] = { { 0, NULL } };

	*out = none;
	return 1;
}

/* Where the machine loads no default provider, as one with FIPS: exit status 0 if all is well. */
static int without_default(void)
{
	OSSL_PROVIDER *own = OSSL_PROVIDER_load(NULL, "base");
	bool wrong = !own || hg_tls_lib() || OSSL_PROVIDER_available(NULL, "default");

	OSSL_PROVIDER_unload(own);
	return wrong;
}

/* In a process that has not used OpenSSL yet. */
static int run_without_default(void)
{
	int status = 1;
	pid_t child = fork();

	if (!child) {
		execl("/proc/self/exe", "tls_test", WITHOUT_DEFAULT, NULL);
		_exit(127);
	}
	waitpid(child, &status, 0);
	return status;
}

/* Before anything else asks for it: it is made once. */
static void test_lib(void)
{
	EVP_MD *md;
	int status = 1;
	pid_t child = fork();

	if (!child)
		_exit(!OSSL_PROVIDER_add_builtin(NULL, "foreign", foreign_begin) ||
		      !OSSL_PROVIDER_load(NULL, "foreign") || hg_tls_lib());
	waitpid(child, &status, 0);
	is_int(status, 0, "beside a foreign provider OpenSSL's own context is taken");
	is_int(run_without_default(), 0, "and what is not loaded stays so");
	ok(hg_tls_lib(), "else there is one for handshakes");
	md = EVP_MD_fetch(hg_tls_lib(), "SHA256", NULL);
	ok(md, "that knows what they need");
	EVP_MD_free(md);
	md = EVP_MD_fetch(hg_tls_lib(), "MD5", NULL);
	ok(!md, "and not what they do not");
	EVP_MD_free(md);
	ERR_clear_error();
}

static void test_revoked(void)
{
	struct hg_tls_files revoked = { mirror_crt, mirror_key, ca_file, device_crl };
	struct hg_tls_files broken = { mirror_crt, mirror_key, ca_file, mirror_key };
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, empty_crl);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, NULL);
	struct outcome o;
	long kept;

	shake(server, client, "mirror.test", NULL);
	o = shake(server, client, "mirror.test", ticket);
	ok(o.server && o.reused, "a device resumes");
	is_int(hg_tls_trust_reload(server, &broken, err, sizeof(err)), -22,
	       "a broken CRL is not taken");
	ok(strstr(err, "mirror.key: cannot load revocation list"), "the message: %s", err);
	o = shake(server, client, "mirror.test", ticket);
	ok(o.server && o.reused, "and changes nothing");
	kept = SSL_CTX_sess_number(server);
	is_int(hg_tls_trust_reload(server, &revoked, err, sizeof(err)), 0, "the device is revoked");
	o = shake(server, client, "mirror.test", ticket);
	ok(!o.server && !o.client, "it does not resume");
	ok(strstr(o.server_why, "revoked"), "the mirror says: %s", o.server_why);
	is_int(SSL_CTX_sess_number(server), kept - 1, "the mirror forgets the session");
	ok(strstr(o.client_why, "revoked"), "the device hears: %s", o.client_why);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.server && !o.client && strstr(o.server_why, "revoked"), "nor starts anew: %s",
	   o.server_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* With a parameter that would refuse every certificate, if one were verified. */
static struct outcome resume_unverified(SSL_CTX *server, SSL_CTX *client)
{
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(SSL_CTX_get_cert_store(server));
	struct outcome o;

	X509_VERIFY_PARAM_set_time(param, 1);
	o = shake(server, client, "mirror.test", ticket);
	X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_USE_CHECK_TIME);
	return o;
}

/*
 * What was verified in a handshake, or when a session was resumed after a reload, is believed until
 * the certificate ends.
 */
static void test_expires_between(void)
{
	const time_t end = time(NULL) + 3;
	struct hg_tls_files same = { mirror_crt, mirror_key, ca_file, NULL };
	const struct timespec tenth = { .tv_nsec = 100000000 };
	struct pki_cert c = pki_make(
		&ca,
		&(struct pki_request){
			.cn = "x", .san = UID_URI, .eku = "clientAuth", .from_s = -60, .to_s = 2 });
	char *crt = keep(pki_write_cert(dir, "short.crt", c.cert));
	char *key = keep(pki_write_key(dir, "short.key", c.key, 0600));
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, NULL);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, crt, key, NULL);
	struct outcome o;
	bool resumed = true;

	shake(server, client, "mirror.test", NULL);
	for (int i = 0; i < 3 && resumed; i++) {
		o = resume_unverified(server, client);
		resumed = o.server && o.reused;
	}
	ok(resumed, "a session is resumed three times%s", o.server_why);
	hg_tls_trust_reload(server, &same, err, sizeof(err));
	o = resume_unverified(server, client);
	ok(!o.server, "after a reload it is verified: %s", o.server_why);
	shake(server, client, "mirror.test", NULL);
	hg_tls_trust_reload(server, &same, err, sizeof(err));
	o = shake(server, client, "mirror.test", ticket);
	ok(o.server && o.reused, "found good%s", o.server_why);
	o = resume_unverified(server, client);
	ok(o.server && o.reused, "and believed again%s", o.server_why);
	while (time(NULL) <= end)
		nanosleep(&tenth, NULL);
	o = shake(server, client, "mirror.test", ticket);
	ok(!o.server && strstr(o.server_why, "expired"), "then its certificate ends: %s",
	   o.server_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	pki_free(&c);
}

/* A device without a clock: the mirror's certificate lasts from `from_s` to `to_s` from now. */
static void floor_case(const char *name, long from_s, long to_s, long floor_s, const char *why)
{
	struct pki_cert c = pki_make(&ca, &(struct pki_request){ .cn = "mirror",
								 .san = "DNS:mirror.test",
								 .eku = "serverAuth",
								 .from_s = from_s,
								 .to_s = to_s });
	char *crt = keep(pki_write_cert(dir, "odd.crt", c.cert));
	char *key = keep(pki_write_key(dir, "odd.key", c.key, 0600));
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, crt, key, NULL);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, NULL);
	struct outcome o;

	client_floor = time(NULL) + floor_s;
	o = shake(server, client, "mirror.test", NULL);
	client_floor = 0;
	ok(why ? !o.client && strstr(o.client_why, why) : o.client, "%s: %s", name, o.client_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	pki_free(&c);
}

static void test_floor(void)
{
	const long year = 365 * 86400;

	floor_case("without a floor a certificate of the future", year, 2 * year, -time(NULL),
		   "not yet valid");
	floor_case("with one", year, 2 * year, -year, NULL);
	floor_case("a certificate that is valid, by a floor years ago", -3600, year, -5 * year,
		   NULL);
	floor_case("one that ended, but after the floor", -2 * year, -year, -year - 3600, NULL);
	floor_case("one that ended before the floor", -2 * year, -year, -year + 3600, "expired");
	client_floor = 1;
	refuse_mirror("a mirror of another name, by any floor", "other.test", "hostname mismatch");
	client_floor = 0;
}

static void test_no_certificate(void)
{
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, NULL);
	SSL_CTX *client = context(HG_TLS_HTTP_CLIENT, NULL, NULL, NULL);
	struct outcome o;

	SSL_CTX_set_alpn_protos(client, (const unsigned char *)"\x11" HG_ALPN_SYNC, 18);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.server && strstr(o.server_why, "peer did not return a certificate"),
	   "a device without certificate is refused: %s", o.server_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

static void test_protocols(void)
{
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, NULL);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, NULL);
	SSL_CTX *http = context(HG_TLS_HTTP_SERVER, mirror_crt, mirror_key, NULL);
	struct outcome o;

	SSL_CTX_set_alpn_protos(client, (const unsigned char *)"\x08http/1.1", 9);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.server && !o.client && strstr(o.client_why, "no application protocol"),
	   "another ALPN is refused: %s", o.client_why);
	SSL_CTX_set_alpn_protos(client, NULL, 0);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.server && !o.client && strstr(o.client_why, "no application protocol"),
	   "no ALPN is refused: %s", o.client_why);
	o = shake(http, client, "mirror.test", NULL);
	ok(!o.client && strstr(o.client_why, "application verification failure"),
	   "a device refuses a server that did not choose ours: %s", o.client_why);
	SSL_CTX_set_alpn_protos(client, (const unsigned char *)"\x11" HG_ALPN_SYNC, 18);
	SSL_CTX_set_min_proto_version(client, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.server && !o.client && strstr(o.server_why, "unsupported protocol"),
	   "TLS 1.2 is refused: %s", o.server_why);
	SSL_CTX_free(http);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* A device takes no mirror that only has a device's certificate, and no revoked one. */
static void test_mirrors(void)
{
	X509_CRL *crl = pki_crl(&ca, mirror_cert.cert);
	char *crl_file = keep(pki_write_crl(dir, "mirror.crl", crl));
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, device_crt, device_key, NULL);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, NULL);
	struct outcome o = shake(server, client, "mirror.test", NULL);

	ok(!o.client && strstr(o.client_why, "purpose"), "a device is not a mirror: %s",
	   o.client_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	server = context(HG_TLS_SYNC_SERVER, mirror_crt, mirror_key, NULL);
	client = context(HG_TLS_SYNC_CLIENT, device_crt, device_key, crl_file);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.client && strstr(o.client_why, "revoked"), "nor is a revoked mirror: %s",
	   o.client_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	X509_CRL_free(crl);
}

static void test_http(void)
{
	SSL_CTX *server, *client = context(HG_TLS_HTTP_CLIENT, NULL, NULL, NULL);
	struct hg_tls_files files = { mirror_crt, mirror_key, NULL, NULL };
	struct outcome o;

	server = hg_tls_ctx_new(HG_TLS_HTTP_SERVER, &files, err, sizeof(err));
	o = shake(server, client, "mirror.test", NULL);
	ok(o.server && o.client, "HTTPS without a client's certificate%s%s", o.server_why,
	   o.client_why);
	SSL_CTX_set_alpn_protos(client, NULL, 0);
	o = shake(server, client, "mirror.test", NULL);
	ok(o.server && o.client, "and without ALPN%s%s", o.server_why, o.client_why);
	SSL_CTX_set_alpn_protos(client, (const unsigned char *)"\x02h2", 3);
	o = shake(server, client, "mirror.test", NULL);
	ok(!o.server && !o.client, "but not HTTP/2 alone: %s", o.client_why);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

static void refuse_files(const char *name, enum hg_tls_role role, struct hg_tls_files files,
			 const char *want)
{
	SSL_CTX *ctx = hg_tls_ctx_new(role, &files, err, sizeof(err));

	ok(!ctx && strstr(err, want), "%s: %s", name, err);
	SSL_CTX_free(ctx);
}

static void test_files(void)
{
	char *open_key = keep(pki_write_key(dir, "open.key", device_cert.key, 0640));
	char *no_key = keep(pki_write_cert(dir, "no.key", device_cert.cert));
	char *locked_key;
	FILE *file;

	chmod(no_key, 0600);
	locked_key = keep(pki_write_key(dir, "locked.key", device_cert.key, 0600));
	file = fopen(locked_key, "w");
	PEM_write_PrivateKey(file, device_cert.key, EVP_aes_128_cbc(), (unsigned char *)"secret", 6,
			     NULL, NULL);
	fclose(file);

	refuse_files("a key that others may read", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ device_crt, open_key, ca_file, NULL },
		     "open.key: private key is open to others (mode 0640); chmod 600 it");
	refuse_files("no key file", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ device_crt, "/nonexistent/key", ca_file, NULL },
		     "/nonexistent/key: cannot open private key: No such file or directory");
	refuse_files("no certificate file", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ "/nonexistent/crt", device_key, ca_file, NULL },
		     "/nonexistent/crt: cannot load certificate: No such file or directory");
	refuse_files("no CA file", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ device_crt, device_key, "/nonexistent/ca", NULL },
		     "/nonexistent/ca: cannot load CA certificates");
	refuse_files("another's key", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ device_crt, mirror_key, ca_file, NULL },
		     "mirror.key: private key is not that of the certificate");
	refuse_files("a certificate as key", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ device_crt, no_key, ca_file, NULL },
		     "no.key: not a PEM private key");
	refuse_files("a key with a password", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ device_crt, locked_key, ca_file, NULL },
		     "locked.key: not a PEM private key without password");
	refuse_files("a key as CRL", HG_TLS_SYNC_SERVER,
		     (struct hg_tls_files){ mirror_crt, mirror_key, ca_file, device_key },
		     "device.key: cannot load revocation list");
	refuse_files("no CA for sync", HG_TLS_SYNC_SERVER,
		     (struct hg_tls_files){ mirror_crt, mirror_key, NULL, NULL }, "TLS needs a CA");
	refuse_files("no certificate for sync", HG_TLS_SYNC_CLIENT,
		     (struct hg_tls_files){ NULL, NULL, ca_file, NULL }, "TLS needs a certificate");
}

static void uid_of(const char *name, const char *san, int want)
{
	struct pki_cert c = pki_make(&ca, &(struct pki_request){ .cn = "x", .san = san });
	char uid[HG_UID_MAX + 1] = "before";

	is_int(hg_tls_cert_uid(c.cert, uid), want, name);
	if (want)
		is_str(uid, "before", "and nothing is written");
	pki_free(&c);
}

static void test_uid(void)
{
	char longest[128] = "URI:" HG_UID_URN;

	uid_of("no SAN at all", NULL, -2);
	uid_of("a SAN of another kind", "DNS:" HG_UID_URN "a,URI:https://example.org/", -2);
	uid_of("among others", "DNS:a.test,URI:https://example.org/," UID_URI, 0);
	uid_of("two of them", UID_URI "," UID_URI, -22);
	uid_of("an empty one", "URI:" HG_UID_URN, -22);
	uid_of("one with a slash", UID_URI "/x", -22);
	uid_of("one that begins with a dot", "URI:" HG_UID_URN ".a", -22);
	memset(longest + strlen(longest), 'a', HG_UID_MAX);
	uid_of("the longest", longest, 0);
	strcat(longest, "a");
	uid_of("one byte more", longest, -22);
	ok(!hg_uid_valid("a\0b", 3) && !hg_uid_valid("", 0) && hg_uid_valid("a.b_c-D9", 8),
	   "hg_uid_valid()");
}

int main(int argc, char **argv)
{
	X509_CRL *none, *device;

	if (argc > 1 && !strcmp(argv[1], WITHOUT_DEFAULT))
		return without_default();
	if (!mkdtemp(dir))
		return 1;
	ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	foreign_ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	mirror_cert = pki_make(&ca, &(struct pki_request){ .cn = "mirror",
							   .eku = "serverAuth",
							   .san = "DNS:mirror.test,IP:127.0.0.1" });
	device_cert = pki_make(&ca, &(struct pki_request){ .cn = "cam-0001",
							   .san = UID_URI,
							   .eku = "clientAuth" });
	none = pki_crl(&ca, NULL);
	device = pki_crl(&ca, device_cert.cert);
	ca_file = keep(pki_write_cert(dir, "ca.crt", ca.cert));
	mirror_crt = keep(pki_write_cert(dir, "mirror.crt", mirror_cert.cert));
	mirror_key = keep(pki_write_key(dir, "mirror.key", mirror_cert.key, 0600));
	device_crt = keep(pki_write_cert(dir, "device.crt", device_cert.cert));
	device_key = keep(pki_write_key(dir, "device.key", device_cert.key, 0600));
	empty_crl = keep(pki_write_crl(dir, "empty.crl", none));
	device_crl = keep(pki_write_crl(dir, "device.crl", device));
	test_lib();
	test_good();
	test_devices();
	test_keys();
	test_revoked();
	test_expires_between();
	test_floor();
	test_no_certificate();
	test_protocols();
	test_mirrors();
	test_http();
	test_files();
	test_uid();
	SSL_SESSION_free(ticket);
	X509_CRL_free(none);
	X509_CRL_free(device);
	pki_free(&ca);
	pki_free(&foreign_ca);
	pki_free(&mirror_cert);
	pki_free(&device_cert);
	for (size_t i = 0; i < n_paths; i++) {
		unlink(paths[i]);
		free(paths[i]);
	}
	rmdir(dir);
	return tap_done();
}
