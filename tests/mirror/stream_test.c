/* SPDX-License-Identifier: MIT */
/*
 * A stream under a peer that sends what is no data, without end: one call reads a bounded part of
 * it, so that the loop's other sessions have their turn, and the stream is as good as before.
 */
#include "../../mirror/stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../lib/pki.h"
#include "../tap.h"

#define UPDATES 20000  /* new keys, 27 bytes each */
#define READ_MAX 65536 /* of one call; OpenSSL reads a record's buffer at a time */

static void on_io(evutil_socket_t fd, short what, void *arg)
{
}

/* Two ends of a TCP connection to oneself, with room for all that is sent. */
static void connect_both(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), room = 4 << 20;

	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	ok(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listener, 1) == 0 &&
		   getsockname(listener, (struct sockaddr *)&a, &len) == 0,
	   "a listener");
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	is_int(connect(fd[1], (struct sockaddr *)&a, sizeof(a)), 0, "a connection");
	fd[0] = accept(listener, NULL, NULL);
	close(listener);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
}

/* What the client has to say goes through memory, so that it leaves when the test wants it. */
static void client_flush(SSL *client, int fd)
{
	char *data;
	long len = BIO_get_mem_data(SSL_get_wbio(client), &data), at = 0;
	ssize_t n;

	while (at < len && (n = send(fd, data + at, (size_t)(len - at), 0)) > 0)
		at += n;
	is_int(at, len, "the client's bytes fit into the socket");
	(void)BIO_reset(SSL_get_wbio(client));
}

static int pending(int fd)
{
	int n = 0;

	ioctl(fd, FIONREAD, &n);
	return n;
}

static void wait_for_bytes(int fd, int want)
{
	for (int i = 0; i < 5000 && pending(fd) < want; i++)
		usleep(1000);
}

/* Returns the client; its hellos go through the socket at once. */
static SSL *shake(struct hg_stream *st, SSL_CTX *ctx, int fd)
{
	SSL *client = SSL_new(ctx);
	int here = 0, there = 0;

	SSL_set_rfd(client, fd);
	SSL_set0_wbio(client, BIO_new(BIO_s_mem()));
	SSL_set_connect_state(client);
	for (int i = 0; i < 5000 && !(here == 1 && there == 1); i++) {
		char *data;
		long len;

		there = there == 1 ? 1 : SSL_do_handshake(client);
		len = BIO_get_mem_data(SSL_get_wbio(client), &data);
		if (len > 0 && send(fd, data, (size_t)len, 0) == len)
			(void)BIO_reset(SSL_get_wbio(client));
		here = here == 1 ? 1 : hg_stream_handshake(st);
		hg_stream_flush(st);
		usleep(1000);
	}
	ok(here == 1 && there == 1, "a handshake");
	return client;
}

static void check_updates(struct hg_stream *st, SSL *client, int fd)
{
	int before, calls = 0;
	char buf[64] = "";

	for (int i = 0; i < UPDATES; i++) {
		SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED);
		SSL_do_handshake(client);
	}
	SSL_write(client, "hello", 5);
	before = (int)BIO_get_mem_data(SSL_get_wbio(client), NULL);
	client_flush(client, fd);
	wait_for_bytes(st->fd, before);
	is_int(pending(st->fd), before, "wait to be read");
	is_int(hg_stream_read(st, buf, sizeof(buf)), 0, "new keys without end are no data");
	ok(before - pending(st->fd) <= READ_MAX, "one call reads %d bytes of %d",
	   before - pending(st->fd), before);
	while (calls++ < UPDATES && !*buf && hg_stream_read(st, buf, sizeof(buf)) >= 0)
		;
	is_str(buf, "hello", "and the data behind them comes");
	ok(!st->failed, "over a stream that is still good");
}

int main(void)
{
	struct pki_cert ca = pki_make(NULL, &(struct pki_request){ .cn = "CA" });
	struct pki_cert cert = pki_make(&ca, &(struct pki_request){ .cn = "mirror" });
	SSL_CTX *server_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
	struct event_base *base = event_base_new();
	struct hg_stream st;
	SSL *client;
	int fd[2];

	SSL_CTX_use_certificate(server_ctx, cert.cert);
	SSL_CTX_use_PrivateKey(server_ctx, cert.key);
	SSL_CTX_set_verify(client_ctx, SSL_VERIFY_NONE, NULL);
	connect_both(fd);
	hg_stream_init(&st, base, fd[0], on_io, NULL);
	is_int(hg_stream_begin(&st, server_ctx, false), 0, "a stream begins");
	client = shake(&st, client_ctx, fd[1]);
	check_updates(&st, client, fd[1]);
	hg_stream_close(&st);
	SSL_free(client);
	close(fd[1]);
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	event_base_free(base);
	pki_free(&cert);
	pki_free(&ca);
	return tap_done();
}
