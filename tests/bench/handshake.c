/* SPDX-License-Identifier: MIT */
/*
 * The mirror's side of handshakes with the device's in memory, no sockets and no database: first
 * contact, by ticket, by pre-shared key. Beside it what the public-key operations in them cost
 * alone, which is as low as a handshake with OpenSSL's can get. Prints rows for tests/bench/run;
 * each is the best of HG_BENCH_REPEATS (30) times 100: the rest is what else the machine did.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/evp.h>
#include "../../lib/psk.h"
#include "../../lib/tls.h"
#include "../lib/pki.h"

#define COUNT 100
#define KIND_FIRST "first contact"
#define KIND_TICKET "by ticket"
#define KIND_KEY "by pre-shared key"

static char dir[] = "/tmp/hg-handshake.XXXXXX";
static SSL_CTX *server_ctx, *client_ctx;
static SSL_SESSION *ticket;
static struct hg_psk psk;
static unsigned int repeats = 30;
static char table[1024]; /* as in JSON */
static size_t table_len;

static void die(const char *what)
{
	fprintf(stderr, "handshake: %s\n", what);
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(ticket);
	ticket = session;
	return 1;
}

static SSL_CTX *context(enum hg_tls_role role, const struct pki_cert *c, const char *ca)
{
	struct hg_tls_files files = { .ca = ca };
	char *cert = pki_write_cert(dir, "own.crt", c->cert);
	char *key = pki_write_key(dir, "own.key", c->key, 0600), err[256];
	SSL_CTX *ctx;

	files.cert = cert;
	files.key = key;
	ctx = hg_tls_ctx_new(role, &files, err, sizeof(err));
	if (!ctx)
		die(err);
	unlink(cert);
	unlink(key);
	free(cert);
	free(key);
	return ctx;
}

static void set_up(void)
{
	struct pki_cert ca = pki_make(NULL, &(struct pki_request){ .cn = "CA" });
	struct pki_cert mirror = pki_make(&ca, &(struct pki_request){ .cn = "mirror",
								      .san = "DNS:mirror.test",
								      .eku = "serverAuth" });
	struct pki_cert device = pki_make(&ca, &(struct pki_request){ .cn = "d",
								      .san = "URI:" HG_UID_URN "d",
								      .eku = "clientAuth" });
	const uint64_t late = (uint64_t)(time(NULL) + 86400) * 1000;
	const struct hg_psk_claim claim = { .uid = "d", .not_after_ms = late, .cert_end_ms = late };
	char *ca_file = pki_write_cert(dir, "ca.crt", ca.cert), secret[64], err[256];
	struct hg_psk_keys *keys;

	server_ctx = context(HG_TLS_SYNC_SERVER, &mirror, ca_file);
	client_ctx = context(HG_TLS_SYNC_CLIENT, &device, ca_file);
	SSL_CTX_sess_set_new_cb(client_ctx, keep_ticket);
	snprintf(secret, sizeof(secret), "%s/psk.key", dir);
	if (hg_psk_secret_make(secret, err, sizeof(err)))
		die(err);
	keys = hg_psk_keys_load(secret, NULL, err, sizeof(err));
	if (!keys || hg_psk_serve(server_ctx, keys) || hg_psk_make(keys, &claim, &psk))
		die("no pre-shared key");
	unlink(secret);
	unlink(ca_file);
	free(ca_file);
	pki_free(&ca);
	pki_free(&mirror);
	pki_free(&device);
}

static SSL *client_new(const char *kind, BIO *in, BIO *out)
{
	SSL *ssl = SSL_new(client_ctx);

	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	hg_tls_set_host(ssl, "mirror.test");
	if (!strcmp(kind, KIND_TICKET) && ticket)
		SSL_set_session(ssl, ticket);
	if (!strcmp(kind, KIND_KEY) && hg_psk_offer(ssl, &psk))
		die("cannot offer a key");
	return ssl;
}

/* One session without requests; returns the time of the server's side. */
static double session(const char *kind)
{
	BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
	SSL *client, *server;
	char byte;
	double us = 0, begin;

	BIO_set_mem_eof_return(up, -1);
	BIO_set_mem_eof_return(down, -1);
	BIO_up_ref(up);
	BIO_up_ref(down);
	client = client_new(kind, down, up);
	SSL_do_handshake(client);
	begin = now_us();
	server = SSL_new(server_ctx);
	SSL_set_bio(server, up, down);
	SSL_set_read_ahead(server, 1);
	SSL_set_accept_state(server);
	SSL_do_handshake(server);
	us += now_us() - begin;
	if (SSL_do_handshake(client) != 1)
		die("the client's handshake failed");
	begin = now_us();
	if (SSL_do_handshake(server) != 1)
		die("the server's handshake failed");
	us += now_us() - begin;
	if (SSL_session_reused(server) != (strcmp(kind, KIND_FIRST) != 0))
		die("resumed or not, it is the other");
	SSL_read(client, &byte, 1); /* takes the ticket */
	begin = now_us();
	SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(server);
	us += now_us() - begin;
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(client);
	return us;
}

static double best_session(const char *kind)
{
	double best = 0;

	for (unsigned int r = 0; r < repeats; r++) {
		double us = 0;

		for (int i = 0; i < COUNT; i++)
			us += session(kind);
		if (!r || us < best)
			best = us;
	}
	return best / COUNT;
}

struct keys {
	EVP_PKEY *own, *peer, *ec;
	uint8_t hash[32], sig[80];
	size_t sig_len;
};

static bool make_share(struct keys *k)
{
	EVP_PKEY *share = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");

	EVP_PKEY_free(share);
	return share;
}

static bool agree(struct keys *k)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->own, NULL);
	uint8_t out[32];
	size_t len = sizeof(out);
	bool good = EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, k->peer) > 0 &&
		    EVP_PKEY_derive(ctx, out, &len) > 0;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static bool sign(struct keys *k)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->ec, NULL);
	bool good;

	k->sig_len = sizeof(k->sig);
	good = EVP_PKEY_sign_init(ctx) > 0 &&
	       EVP_PKEY_sign(ctx, k->sig, &k->sig_len, k->hash, sizeof(k->hash)) > 0;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

static bool verify(struct keys *k)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->ec, NULL);
	bool good = EVP_PKEY_verify_init(ctx) > 0 &&
		    EVP_PKEY_verify(ctx, k->sig, k->sig_len, k->hash, sizeof(k->hash)) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static double best_of(bool (*operation)(struct keys *k), struct keys *k)
{
	double best = 0;

	for (unsigned int r = 0; r < repeats; r++) {
		double begin = now_us(), us;

		for (int i = 0; i < COUNT; i++)
			if (!operation(k))
				die("a public-key operation failed");
		us = now_us() - begin;
		if (!r || us < best)
			best = us;
	}
	return best / COUNT;
}

/* A row, and its line of the table. */
static void tell(const char *who, double us, double floor)
{
	table_len += (size_t)snprintf(table + table_len, sizeof(table) - table_len,
				      "| %s | %.0f | %.0f | %.2f |\\n", who, us, floor, us / floor);
	printf("{\"what\": \"handshake in memory, mirror's side\", \"who\": \"%s\", \"value\": "
	       "%.1f, \"unit\": \"us\", \"ratio\": %.2f, \"to\": \"its public-key operations\"}\n",
	       who, us, us / floor);
}

static double operation(const char *who, double us)
{
	printf("{\"what\": \"public-key operation\", \"who\": \"%s\", \"value\": %.1f, \"unit\": "
	       "\"us\"}\n",
	       who, us);
	return us;
}

int main(void)
{
	const char *wanted = getenv("HG_BENCH_REPEATS");
	struct keys k = { .own = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
			  .peer = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
			  .ec = EVP_EC_gen("P-256") };
	double key_us, secret_us, share, sign_us, verify_us;

	if (wanted)
		repeats = (unsigned int)strtoul(wanted, NULL, 10);
	if (!mkdtemp(dir) || !repeats)
		die("no directory, or no repeats");
	set_up();
	key_us = operation("X25519, a key", best_of(make_share, &k));
	secret_us = operation("X25519, the secret", best_of(agree, &k));
	share = key_us + secret_us;
	sign_us = operation("ECDSA P-256, sign", best_of(sign, &k));
	verify_us = operation("ECDSA P-256, verify", best_of(verify, &k));
	tell(KIND_FIRST, best_session(KIND_FIRST), share + sign_us + 2 * verify_us);
	tell(KIND_TICKET, best_session(KIND_TICKET), share);
	tell(KIND_KEY, best_session(KIND_KEY), share);
	printf("{\"table\": \"handshake\", \"text\": \"| handshake | mirror's side, µs | its public-key "
	       "operations, µs | × |\\n|---|---|---|---|\\n%s\\nX25519: a key %.0f µs, the secret %.0f; "
	       "ECDSA P-256: sign %.0f, verify %.0f. Best of %u hundreds.\\n\"}\n",
	       table, key_us, secret_us, sign_us, verify_us, repeats);
	rmdir(dir);
	return 0;
}
