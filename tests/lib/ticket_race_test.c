/* SPDX-License-Identifier: MIT */
/*
 * Two threads of a server resume one session at the same moment, as a device can make them: the
 * session is the same object in both. OpenSSL's allocations are slow here, so that the threads meet
 * in the middle of what they write there, and are counted: what one takes from the other is lost.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include <openssl/crypto.h>

#include "../../lib/tls.h"
#include "../tap.h"
#include "pki.h"

#define RACES 30
#define SLOW_NS 20000 /* and what the kernel adds */

static atomic_long allocated;
static _Thread_local bool slow;

static void wait_a_little(void)
{
	const struct timespec t = { .tv_nsec = SLOW_NS };

	if (slow)
		nanosleep(&t, NULL);
}

static void *count_malloc(size_t n, const char *file, int line)
{
	void *p = malloc(n);

	allocated += p != NULL;
	wait_a_little();
	return p;
}

static void *count_realloc(void *old, size_t n, const char *file, int line)
{
	void *p = realloc(old, n);

	allocated += p && !old;
	wait_a_little();
	return p;
}

static void count_free(void *p, const char *file, int line)
{
	allocated -= p != NULL;
	free(p);
}

static SSL_SESSION *ticket;

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(ticket);
	ticket = session;
	return 1;
}

struct connection {
	SSL *server, *client;
	int fd[2];
	pthread_barrier_t *start;
};

static void open_connection(struct connection *c, SSL_CTX *server, SSL_CTX *client)
{
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, c->fd);
	c->server = SSL_new(server);
	c->client = SSL_new(client);
	SSL_set_fd(c->server, c->fd[0]);
	SSL_set_fd(c->client, c->fd[1]);
	SSL_set_accept_state(c->server);
	SSL_set_connect_state(c->client);
	hg_tls_set_host(c->client, "mirror.test");
	if (ticket)
		SSL_set_session(c->client, ticket);
}

/* The rest of both handshakes, and the ticket. */
static bool finish(struct connection *c)
{
	char byte;
	int here = 0, there = 0;

	for (int i = 0; i < 20 && !(here == 1 && there == 1); i++) {
		there = SSL_do_handshake(c->client);
		here = SSL_do_handshake(c->server);
	}
	SSL_read(c->client, &byte, 1);
	return here == 1 && there == 1;
}

static void close_connection(struct connection *c)
{
	SSL_shutdown(c->client);
	SSL_shutdown(c->server);
	SSL_free(c->client);
	SSL_free(c->server);
	close(c->fd[0]);
	close(c->fd[1]);
}

static void *serve(void *arg)
{
	struct connection *c = arg;

	pthread_barrier_wait(c->start);
	slow = true;
	SSL_do_handshake(c->server);
	slow = false;
	OPENSSL_thread_stop();
	return NULL;
}

/* A session, and two that resume it. Returns how many did. */
static int race(SSL_CTX *server, SSL_CTX *client)
{
	struct connection first, both[2];
	pthread_barrier_t start;
	pthread_t threads[2];
	int resumed = 0;

	SSL_SESSION_free(ticket);
	ticket = NULL;
	open_connection(&first, server, client);
	finish(&first);
	close_connection(&first);
	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		open_connection(&both[i], server, client);
		both[i].start = &start;
		SSL_do_handshake(both[i].client);
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, serve, &both[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		resumed += finish(&both[i]) && SSL_session_reused(both[i].server);
		close_connection(&both[i]);
	}
	pthread_barrier_destroy(&start);
	SSL_CTX_flush_sessions(server, 0);
	return resumed;
}

static void check(SSL_CTX *server, SSL_CTX *client)
{
	int resumed = race(server, client); /* what OpenSSL keeps for itself is there then */
	long before = allocated;

	for (int i = 1; i < RACES; i++)
		resumed += race(server, client);
	is_int(resumed, 2 * RACES, "one ticket resumes on two threads at once");
	is_int(allocated - before, 0, "and nothing is lost between them");
}

int main(void)
{
	static char dir[] = "/tmp/hg-tls.XXXXXX";
	struct hg_tls_files files = { 0 };
	struct pki_cert ca, mirror, device;
	char err[256], *paths[5];
	SSL_CTX *server, *client;

	CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
	if (!mkdtemp(dir))
		return 1;
	ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	mirror = pki_make(&ca, &(struct pki_request){ .cn = "mirror",
						      .eku = "serverAuth",
						      .san = "DNS:mirror.test" });
	device = pki_make(&ca, &(struct pki_request){ .cn = "cam-0001",
						      .eku = "clientAuth",
						      .san = "URI:" HG_UID_URN "cam-0001" });
	paths[0] = pki_write_cert(dir, "ca.crt", ca.cert);
	paths[1] = pki_write_cert(dir, "mirror.crt", mirror.cert);
	paths[2] = pki_write_key(dir, "mirror.key", mirror.key, 0600);
	paths[3] = pki_write_cert(dir, "device.crt", device.cert);
	paths[4] = pki_write_key(dir, "device.key", device.key, 0600);
	files = (struct hg_tls_files){ paths[1], paths[2], paths[0], NULL };
	server = hg_tls_ctx_new(HG_TLS_SYNC_SERVER, &files, err, sizeof(err));
	files = (struct hg_tls_files){ paths[3], paths[4], paths[0], NULL };
	client = hg_tls_ctx_new(HG_TLS_SYNC_CLIENT, &files, err, sizeof(err));
	SSL_CTX_sess_set_new_cb(client, keep_ticket);
	check(server, client);
	SSL_SESSION_free(ticket);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	pki_free(&ca);
	pki_free(&mirror);
	pki_free(&device);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		unlink(paths[i]);
		free(paths[i]);
	}
	rmdir(dir);
	return tap_done();
}
