// SPDX-License-Identifier: MIT
/* Addresses, listening sockets and reasons. Called by serve.c and both listeners. */
#include "net.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/random.h>

void hg_net_peer(const struct sockaddr *addr, int len, char out[static HG_PEER_TEXT])
{
	char host[48], port[8];

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(out, HG_PEER_TEXT, "?");
	else
		snprintf(out, HG_PEER_TEXT, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int bind_listen(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1,
	    off = 0, r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, HG_NET_BACKLOG)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

evutil_socket_t hg_net_listen(const char *where, char *err, size_t err_size)
{
	const char *colon = strrchr(where, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *ai;
	char host[64] = "";
	size_t n;
	int fd;

	if (!colon || !colon[1] || (size_t)(colon - where) >= sizeof(host)) {
		snprintf(err, err_size, "%s: write address:port or [address]:port", where);
		return -EINVAL;
	}
	n = colon - where;
	memcpy(host, where, n);
	host[n] = '\0';
	if (n > 1 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove(host, host + 1, n - 1);
	}
	if (getaddrinfo(*host ? host : NULL, colon + 1, &hints, &ai)) {
		snprintf(err, err_size, "%s: not a numeric address and port", where);
		return -EINVAL;
	}
	fd = bind_listen(ai);
	freeaddrinfo(ai);
	if (fd < 0)
		snprintf(err, err_size, "%s: %s", where, strerror(-fd));
	return fd;
}

const char *hg_net_tls_reason(const SSL *ssl, unsigned long code, char *buf, size_t size)
{
	const char *reason = ERR_reason_error_string(code);
	long verify = SSL_get_verify_result(ssl);

	snprintf(buf, size, "%s%s%s", reason ? reason : "TLS error",
		 verify == X509_V_OK ? "" : ": ",
		 verify == X509_V_OK ? "" : X509_verify_cert_error_string(verify));
	return buf;
}

uint32_t hg_net_random(void)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		return 0x80000000u;
	return r;
}
