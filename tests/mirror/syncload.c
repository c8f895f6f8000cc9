// SPDX-License-Identifier: MIT
/*
 * Load for tests/bench/sync.bench: syncload PORT CA SECONDS full|resumed BUNDLE... runs one thread
 * per device bundle, each of which opens idle sessions one after the other, as the agent does: one
 * request, one response, close_notify. Prints {"syncs": N, "resumed": N, "seconds": S}.
 */
#include "../../lib/tls.h"
#include "../../lib/wire.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <openssl/err.h>
#include "../tap.h"

struct device {
	pthread_t thread;
	const char *bundle;
	SSL_CTX *ctx;
	SSL_SESSION *ticket;
	char uid[HG_UID_MAX + 1];
	uint8_t epoch[HG_EPOCH_LEN], mirror_epoch[HG_EPOCH_LEN];
	bool known; /* mirror_epoch is set */
	uint64_t session, syncs, resumed;
	const char *failure;
};

static int port, seconds;
static bool resume;
static const char *ca;
static struct timespec end;

static bool over(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct device *d = SSL_get_app_data(ssl);

	SSL_SESSION_free(d->ticket);
	d->ticket = ticket;
	return 1;
}

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool exchange(struct device *d, SSL *ssl)
{
	static __thread uint8_t buf[4096];
	static __thread struct hg_wire_room room;
	struct hg_wire_request r = { .uid = hg_slice_str(d->uid),
				     .epoch = hg_slice_of(d->epoch, HG_EPOCH_LEN),
				     .session = d->session,
				     .time_ms = (uint64_t)time(NULL) * 1000,
				     .mirror_epoch = hg_slice_of(d->mirror_epoch,
								 d->known ? HG_EPOCH_LEN : 0) };
	long n = hg_wire_put_request(&r, buf, sizeof(buf)), have = 0, need = 0;
	struct hg_wire_response answer;
	int off = 0;
	size_t at;

	if (n < 0 || SSL_write(ssl, buf, (int)n) != n ||
	    setsockopt(SSL_get_fd(ssl), IPPROTO_TCP, TCP_CORK, &off, sizeof(off)))
		return false;
	while (!need || have < need) {
		int got = SSL_read(ssl, buf + have, (int)(sizeof(buf) - have));

		if (got <= 0)
			return false;
		have += got;
		need = hg_wire_frame_len(buf, have);
		if (need < 0 || need > (long)sizeof(buf))
			return false;
	}
	if (hg_wire_get_response(hg_slice_of(buf + 4, need - 4), &room, &answer, &at) ||
	    answer.status != HG_WIRE_OK)
		return false;
	memcpy(d->mirror_epoch, answer.mirror_epoch.ptr, HG_EPOCH_LEN);
	d->known = true;
	return true;
}

/* Our last handshake flight leaves together with the request, as the agent does it. */
static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
		       void *ctx)
{
	int on = 1;

	if (!sent && type == SSL3_RT_HANDSHAKE && len &&
	    *(const uint8_t *)data == SSL3_MT_SERVER_HELLO)
		setsockopt(SSL_get_fd(ssl), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static const char *one_sync(struct device *d)
{
	const char *failure = NULL;
	SSL *ssl = SSL_new(d->ctx);
	int fd = dial();

	d->session++;
	if (!ssl || fd < 0)
		failure = "cannot connect";
	else if (!SSL_set_fd(ssl, fd) || hg_tls_set_host(ssl, "localhost") ||
		 !SSL_set_app_data(ssl, d) ||
		 (resume && d->ticket && !SSL_set_session(ssl, d->ticket)))
		failure = "cannot set up";
	else {
		SSL_set_msg_callback(ssl, on_message);
		if (SSL_connect(ssl) != 1)
			failure = "handshake";
		else if (!exchange(d, ssl))
			failure = "exchange";
		else if (SSL_session_reused(ssl))
			d->resumed++;
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
	return failure;
}

static void *run(void *arg)
{
	struct device *d = arg;
	char cert[512], key[512], err[256];
	struct hg_tls_files files = { cert, key, ca, NULL };
	const char *slash = strrchr(d->bundle, '/');

	snprintf(cert, sizeof(cert), "%s/device.crt", d->bundle);
	snprintf(key, sizeof(key), "%s/device.key", d->bundle);
	snprintf(d->uid, sizeof(d->uid), "%s", slash ? slash + 1 : d->bundle);
	d->ctx = hg_tls_ctx_new(HG_TLS_SYNC_CLIENT, &files, err, sizeof(err));
	if (!d->ctx || getrandom(d->epoch, sizeof(d->epoch), 0) != sizeof(d->epoch)) {
		d->failure = "cannot set up TLS";
		return NULL;
	}
	SSL_CTX_sess_set_new_cb(d->ctx, on_ticket);
	while (!over() && !d->failure) {
		d->failure = one_sync(d);
		d->syncs += !d->failure;
	}
	SSL_SESSION_free(d->ticket);
	SSL_CTX_free(d->ctx);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc - 5;
	struct device *devices;
	uint64_t syncs = 0, resumed = 0;

	if (n < 1)
		return 2;
	port = atoi(argv[1]);
	ca = argv[2];
	seconds = atoi(argv[3]);
	resume = !strcmp(argv[4], "resumed");
	devices = calloc(n, sizeof(*devices));
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (int i = 0; i < n; i++) {
		devices[i].bundle = argv[5 + i];
		pthread_create(&devices[i].thread, NULL, run, &devices[i]);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(devices[i].thread, NULL);
		if (devices[i].failure) {
			fprintf(stderr, "syncload: %s: %s\n", devices[i].bundle,
				devices[i].failure);
			ERR_print_errors_fp(stderr);
			return 1;
		}
		syncs += devices[i].syncs;
		resumed += devices[i].resumed;
	}
	printf("{\"syncs\": %llu, \"resumed\": %llu, \"seconds\": %d}\n", (unsigned long long)syncs,
	       (unsigned long long)resumed, seconds);
	free(devices);
	return 0;
}
