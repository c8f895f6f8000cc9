/* SPDX-License-Identifier: MIT */
/* Small things about sockets that both listeners need. */
#ifndef HG_MIRROR_NET_H
#define HG_MIRROR_NET_H

#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#define HG_PEER_TEXT 64
#define HG_NET_BACKLOG                                                                             \
	4096 /* after a power cut all come at once; the kernel caps it at somaxconn */

struct hg_net_addr {
	struct sockaddr_in6 storage; /* or a sockaddr_in */
	socklen_t len;
};

/* "address:port" of a peer. */
void hg_net_peer(const struct sockaddr *addr, int len, char out[static HG_PEER_TEXT]);

/*
 * A listening socket, non-blocking, for "address:port", "[address]:port" or "[::]:port" (then IPv4
 * as well). Returns it, or -errno with a message in err.
 */
evutil_socket_t hg_net_listen(const char *where, char *err, size_t err_size);

/* Why TLS failed, from an error code that libevent kept; the peer's certificate is named if it was
 * that. */
const char *hg_net_tls_reason(const SSL *ssl, unsigned long code, char *buf, size_t size);

uint32_t hg_net_random(void);

#endif
