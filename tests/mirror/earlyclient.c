// SPDX-License-Identifier: MIT
/*
 * earlyclient PORT BUNDLE CA IDENTITY KEY [MAX]: one session whose early data is what standard
 * input has; IDENTITY and KEY of the pre-shared key are in hexadecimal, MAX is how much early data
 * is said to be allowed. Prints "early: accepted", "early: rejected" or nothing, and "answer: HEX" or
 * "end: WHY" of what comes first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include "../../lib/psk.h"
#include "../../lib/tls.h"

#define INPUT_MAX 16384

static size_t unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	for (; n < size && sscanf(hex + 2 * n, "%2hhx", &out[n]) == 1; n++)
		;
	return n;
}

static int dial(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) ? -1 : fd;
}

static int fail(SSL *ssl, const char *what)
{
	char why[256];

	printf("end: %s: %s\n", what, hg_tls_error(ssl, why, sizeof(why)));
	return 0;
}

static int talk(SSL *ssl)
{
	static uint8_t input[INPUT_MAX], answer[INPUT_MAX];
	size_t n, len = fread(input, 1, sizeof(input), stdin);

	if (len && !SSL_write_early_data(ssl, input, len, &n))
		return fail(ssl, "writing");
	if (SSL_connect(ssl) != 1)
		return fail(ssl, "handshake");
	if (len)
		printf("early: %s\n", SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED
					      ? "accepted"
					      : "rejected");
	if (!SSL_read_ex(ssl, answer, sizeof(answer), &n))
		return fail(ssl, "reading");
	printf("answer: ");
	for (size_t i = 0; i < n; i++)
		printf("%02x", answer[i]);
	printf("\n");
	SSL_shutdown(ssl);
	return 0;
}

int main(int argc, char **argv)
{
	char cert[4096], key[4096], err[256];
	struct hg_tls_files files = { .cert = cert, .key = key, .ca = argc > 3 ? argv[3] : NULL };
	struct hg_psk psk = { 0 };
	SSL_CTX *ctx;
	SSL *ssl;
	int fd, rc;

	if (argc < 6)
		return 2;
	snprintf(cert, sizeof(cert), "%s/device.crt", argv[2]);
	snprintf(key, sizeof(key), "%s/device.key", argv[2]);
	psk.identity_len = unhex(argv[4], psk.identity, sizeof(psk.identity));
	unhex(argv[5], psk.key, sizeof(psk.key));
	ctx = hg_tls_ctx_new(HG_TLS_SYNC_CLIENT, &files, err, sizeof(err));
	fd = dial(argv[1]);
	if (!ctx || fd < 0) {
		fprintf(stderr, "earlyclient: %s\n", ctx ? "no connection" : err);
		return 1;
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	SSL_set_max_early_data(ssl, argc > 6 ? (uint32_t)atoi(argv[6]) : HG_PSK_EARLY_MAX);
	rc = hg_tls_set_host(ssl, "localhost") || hg_psk_offer(ssl, &psk) || talk(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return rc;
}
