/* SPDX-License-Identifier: MIT */
/* UDP sockets that answer from the address they were spoken to. */
#ifndef HG_COLLECTOR_UDP_H
#define HG_COLLECTOR_UDP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct hg_udp_peer {
	int fd;
	struct sockaddr_storage from;
	socklen_t from_len;
	/* The local address, for the answer; family 0: not known. */
	int family;
	union {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
	} local;
};

/* `address` NULL: all, by IPv6 and IPv4. Returns a descriptor or -errno. */
int hg_udp_listen(const char *address, uint16_t port);

/* Returns the datagram's length, which is more than size if it was cut, or -errno. */
ssize_t hg_udp_receive(int fd, void *buf, size_t size, struct hg_udp_peer *peer);

/* Best effort: an answer that is lost is asked for again. */
void hg_udp_answer(const struct hg_udp_peer *peer, const void *buf, size_t len);

#endif
