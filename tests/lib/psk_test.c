/* SPDX-License-Identifier: MIT */
/*
 * Pre-shared keys: what an identity hides and what it says, secrets and their change, and real
 * handshakes with them: who is let in, and that nobody speaks in another's name.
 */
#include "../../lib/psk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>

#include "../tap.h"
#include "pki.h"

#define NOW_S ((uint64_t)time(NULL))
#define HOUR_MS UINT64_C(3600000)

static char dir[] = "/tmp/hg-psk.XXXXXX";
static char err[256];
static char *ca_file, *mirror_crt, *mirror_key, *device_crt, *device_key;
static SSL_SESSION *ticket;

static const char *file(const char *name)
{
	static char path[4][128];
	static int i;

	snprintf(path[++i % 4], sizeof(path[0]), "%s/%s", dir, name);
	return path[i % 4];
}

static const char *secret_file(const char *name, const char *text, int mode)
{
	const char *path = file(name);
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, mode);
	return path;
}

static struct hg_psk_claim claim_of(const char *uid, int64_t from_now_ms)
{
	struct hg_psk_claim c = { .not_after_ms = NOW_S * 1000 + from_now_ms,
				  .cert_end_ms = NOW_S * 1000 + 100 * HOUR_MS };

	snprintf(c.uid, sizeof(c.uid), "%s", uid);
	return c;
}

static struct hg_slice id_of(const struct hg_psk *psk)
{
	return hg_slice_of(psk->identity, psk->identity_len);
}

static void test_secrets(void)
{
	struct hg_psk_keys *keys;
	struct stat st;

	is_int(hg_psk_secret_make(file("a"), err, sizeof(err)), 0, "a secret is made");
	ok(!stat(file("a"), &st) && (st.st_mode & 07777) == 0600 && st.st_size == 65,
	   "closed to others, 64 digits");
	is_int(hg_psk_secret_make(file("a"), err, sizeof(err)), -EEXIST, "not over another");
	ok(strstr(err, "/a: File exists"), "the message: %s", err);
	is_int(hg_psk_secret_make(file("b"), err, sizeof(err)), 0, "a second one");
	keys = hg_psk_keys_load(file("a"), file("b"), err, sizeof(err));
	ok(keys, "two generations");
	hg_psk_keys_free(keys);
	ok(!hg_psk_keys_load(file("none"), NULL, err, sizeof(err)) && strstr(err, "cannot open"),
	   "no file: %s", err);
	ok(!hg_psk_keys_load(secret_file("short", "0123456789012345678901234567890\n", 0600), NULL,
			     err, sizeof(err)) &&
		   strstr(err, "31 bytes"),
	   "31 bytes and a newline: %s", err);
	ok(!hg_psk_keys_load(secret_file("open", "01234567890123456789012345678901", 0640), NULL,
			     err, sizeof(err)) &&
		   strstr(err, "open to others (mode 0640)"),
	   "open to others: %s", err);
	ok(!hg_psk_keys_load(file("a"), file("none"), err, sizeof(err)), "no previous one: %s",
	   err);
}

static void test_identity(struct hg_psk_keys *a, struct hg_psk_keys *b, struct hg_psk_keys *both)
{
	struct hg_psk_claim c = claim_of("cam-0001", HOUR_MS), found = { 0 };
	struct hg_psk psk, again;
	uint8_t key[HG_PSK_KEY_LEN] = { 0 };
	size_t opened = 0;
	char longest[HG_UID_MAX + 1];

	is_int(hg_psk_make(a, &c, &psk), 0, "a key is made");
	is_int((long long)psk.identity_len, 55, "bytes of its identity");
	ok(psk.not_after_ms == c.not_after_ms, "and its end");
	ok(!memmem(psk.identity, psk.identity_len, "cam", 3), "the identity does not show the UID");
	is_int(hg_psk_open(a, id_of(&psk), NOW_S * 1000, &found, key), 0, "it is known again");
	is_str(found.uid, "cam-0001", "its UID");
	ok(!memcmp(key, psk.key, sizeof(key)), "its key");
	ok(found.not_after_ms == c.not_after_ms && found.cert_end_ms == c.cert_end_ms && !found.old,
	   "its dates");
	hg_psk_make(a, &c, &again);
	ok(memcmp(psk.identity + 1, again.identity + 1, 12) && memcmp(psk.key, again.key, 32),
	   "another time, another identity and key");
	is_int(hg_psk_open(a, id_of(&psk), c.not_after_ms, &found, key), -ESTALE, "it ends");
	is_int(hg_psk_open(b, id_of(&psk), NOW_S * 1000, &found, key), -ENOENT,
	       "another secret does not know it");
	is_int(hg_psk_open(both, id_of(&psk), NOW_S * 1000, &found, key), 0,
	       "a mirror that has it as the previous one does");
	ok(found.old && !memcmp(key, psk.key, sizeof(key)), "and sees that it is old");
	for (size_t bit = 0; bit < 8 * psk.identity_len; bit++) {
		again = psk;
		again.identity[bit / 8] ^= (uint8_t)(1u << bit % 8);
		opened += !hg_psk_open(both, id_of(&again), 0, &found, key);
	}
	is_int((long long)opened, 0, "no identity with a flipped bit is taken");
	for (size_t n = 0; n <= HG_PSK_IDENTITY_MAX; n++)
		if (n != psk.identity_len)
			opened += !hg_psk_open(a, hg_slice_of(psk.identity, n), 0, &found, key);
	is_int((long long)opened, 0, "nor one of another length");
	c.cert_end_ms = c.not_after_ms - 60000;
	hg_psk_make(a, &c, &psk);
	ok(psk.not_after_ms == c.cert_end_ms, "no key outlives the certificate");
	memset(longest, 'a', HG_UID_MAX);
	longest[HG_UID_MAX] = '\0';
	c = claim_of(longest, HOUR_MS);
	is_int(hg_psk_make(a, &c, &psk), 0, "the longest UID");
	is_int((long long)psk.identity_len, 103, "bytes of its identity");
	hg_psk_open(a, id_of(&psk), 0, &found, key);
	is_str(found.uid, longest, "is read back");
	c = claim_of("", HOUR_MS);
	is_int(hg_psk_make(a, &c, &psk), -EINVAL, "no key for nobody");
}

struct outcome {
	bool server, client, psk, client_psk, reused, cert, ticket;
	char uid[HG_UID_MAX + 1], server_why[128], client_why[128];
};

static bool step(SSL *ssl, bool *wrote, bool *good, char *why, size_t size)
{
	char byte;
	int rc = SSL_do_handshake(ssl);

	if (rc == 1 && !*wrote)
		*wrote = SSL_write(ssl, "x", 1) == 1;
	if (rc == 1)
		rc = SSL_read(ssl, &byte, 1);
	*good = rc > 0;
	if (rc > 0 || SSL_get_error(ssl, rc) == SSL_ERROR_WANT_READ)
		return rc > 0;
	hg_tls_error(ssl, why, size);
	return true;
}

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(ticket);
	ticket = session;
	return 1;
}

static struct outcome shake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, const struct hg_psk *psk)
{
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	bool server_wrote = false, client_wrote = false, server_over = false, client_over = false;
	struct outcome o = { 0 };
	int fd[2];

	SSL_SESSION_free(ticket);
	ticket = NULL;
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
	SSL_set_fd(server, fd[0]);
	SSL_set_fd(client, fd[1]);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	hg_tls_set_host(client, "mirror.test");
	if (psk)
		hg_psk_offer(client, psk);
	for (int i = 0; i < 50 && !(server_over && client_over); i++) {
		if (!client_over)
			client_over = step(client, &client_wrote, &o.client, o.client_why,
					   sizeof(o.client_why));
		if (!server_over)
			server_over = step(server, &server_wrote, &o.server, o.server_why,
					   sizeof(o.server_why));
		if (server_over && !o.server)
			shutdown(fd[0], SHUT_WR);
		if (client_over && !o.client)
			shutdown(fd[1], SHUT_WR);
	}
	o.reused = SSL_session_reused(server);
	o.psk = o.server && hg_psk_session(server);
	o.client_psk = hg_psk_used(client);
	o.cert = SSL_get0_peer_certificate(server);
	o.ticket = ticket;
	if (o.psk)
		snprintf(o.uid, sizeof(o.uid), "%s", hg_psk_session(server)->uid);
	SSL_free(server);
	SSL_free(client);
	close(fd[0]);
	close(fd[1]);
	return o;
}

static SSL_CTX *context(enum hg_tls_role role, const struct hg_psk_keys *keys)
{
	bool server = role == HG_TLS_SYNC_SERVER;
	struct hg_tls_files files = { server ? mirror_crt : device_crt,
				      server ? mirror_key : device_key, ca_file, NULL };
	SSL_CTX *ctx = hg_tls_ctx_new(role, &files, err, sizeof(err));

	if (!ctx)
		printf("Bail out! %s\n", err);
	else if (keys)
		hg_psk_serve(ctx, keys);
	else
		SSL_CTX_sess_set_new_cb(ctx, keep_ticket);
	return ctx;
}

static void test_handshakes(struct hg_psk_keys *a, struct hg_psk_keys *b)
{
	SSL_CTX *server = context(HG_TLS_SYNC_SERVER, a), *other = context(HG_TLS_SYNC_SERVER, b);
	SSL_CTX *client = context(HG_TLS_SYNC_CLIENT, NULL), *none;
	struct hg_psk_claim c = claim_of("cam-0001", HOUR_MS);
	struct hg_tls_files nobody = { .ca = ca_file };
	struct hg_psk psk, bad;
	struct outcome o;

	hg_psk_make(a, &c, &psk);
	o = shake(server, client, NULL);
	ok(o.server && o.client && !o.psk && o.cert && o.ticket,
	   "without a key certificates are shown, and a ticket is given");
	o = shake(server, client, &psk);
	ok(o.server && o.client && o.psk && o.client_psk && !o.cert, "with a key none are: %s%s",
	   o.server_why, o.client_why);
	is_str(o.uid, "cam-0001", "the mirror knows who it is");
	ok(!o.ticket, "and gives no ticket");
	o = shake(other, client, &psk);
	ok(o.server && o.client && !o.psk && !o.client_psk && o.cert,
	   "a mirror that does not know the identity takes the certificate at once");
	c = claim_of("cam-0001", -HOUR_MS);
	hg_psk_make(a, &c, &bad);
	o = shake(server, client, &bad);
	ok(o.server && o.client && !o.psk && o.cert, "and so it does when the key has ended");
	bad = psk;
	bad.key[0] ^= 1;
	o = shake(server, client, &bad);
	ok(!o.server && !o.client && !o.psk, "a wrong binder is refused");
	ok(strstr(o.server_why, "binder does not verify"), "the mirror says: %s", o.server_why);
	ok(strstr(o.client_why, "alert"), "the device hears: %s", o.client_why);
	bad = psk;
	bad.identity[20] ^= 1;
	o = shake(server, client, &bad);
	ok(o.server && o.client && !o.psk && o.cert, "an altered identity is unknown");
	SSL_CTX_set_ciphersuites(client, "TLS_AES_256_GCM_SHA384");
	o = shake(server, client, &psk);
	ok(o.server && o.client && !o.psk && o.cert, "a suite with another hash: certificates");
	SSL_CTX_set_ciphersuites(client, "TLS_CHACHA20_POLY1305_SHA256");
	o = shake(server, client, &psk);
	ok(o.server && o.client && o.psk, "another suite with SHA-256: the key%s%s", o.server_why,
	   o.client_why);
	SSL_CTX_set_ciphersuites(client, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set1_groups_list(client, "P-384:P-256"); /* the server asks for another hello */
	o = shake(server, client, &psk);
	ok(o.server && o.client && o.psk, "after a second hello too%s%s", o.server_why,
	   o.client_why);
	none = hg_tls_ctx_new(HG_TLS_HTTP_CLIENT, &nobody, err, sizeof(err));
	SSL_CTX_set_alpn_protos(none, (const unsigned char *)"\x11" HG_ALPN_SYNC, 18);
	SSL_CTX_set_ciphersuites(none, "TLS_AES_256_GCM_SHA384");
	o = shake(server, none, &psk);
	ok(!o.server && !o.psk, "naming another's identity is no way around a certificate: %s",
	   o.server_why);
	SSL_CTX_free(none);
	SSL_CTX_free(server);
	SSL_CTX_free(other);
	SSL_CTX_free(client);
}

int main(void)
{
	struct pki_cert ca, mirror, device;
	struct hg_psk_keys *a, *b, *both;
	static const char *const files[] = { "a",     "b",     "short", "open", "ca.crt",
					     "m.crt", "m.key", "d.crt", "d.key" };

	if (!mkdtemp(dir))
		return 1;
	ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	mirror = pki_make(&ca, &(struct pki_request){
				       .cn = "m", .san = "DNS:mirror.test", .eku = "serverAuth" });
	device = pki_make(&ca, &(struct pki_request){ .cn = "d",
						      .san = "URI:" HG_UID_URN "cam-0001",
						      .eku = "clientAuth" });
	ca_file = pki_write_cert(dir, "ca.crt", ca.cert);
	mirror_crt = pki_write_cert(dir, "m.crt", mirror.cert);
	mirror_key = pki_write_key(dir, "m.key", mirror.key, 0600);
	device_crt = pki_write_cert(dir, "d.crt", device.cert);
	device_key = pki_write_key(dir, "d.key", device.key, 0600);
	test_secrets();
	a = hg_psk_keys_load(file("a"), NULL, err, sizeof(err));
	b = hg_psk_keys_load(file("b"), NULL, err, sizeof(err));
	both = hg_psk_keys_load(file("b"), file("a"), err, sizeof(err));
	if (a && b && both) {
		test_identity(a, b, both);
		test_handshakes(a, b);
	}
	ok(a && b && both, "the secrets were there: %s", err);
	hg_psk_keys_free(a);
	hg_psk_keys_free(b);
	hg_psk_keys_free(both);
	SSL_SESSION_free(ticket);
	pki_free(&ca);
	pki_free(&mirror);
	pki_free(&device);
	free(ca_file);
	free(mirror_crt);
	free(mirror_key);
	free(device_crt);
	free(device_key);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(file(files[i]));
	is_int(rmdir(dir), 0, "nothing is left behind");
	return tap_done();
}
