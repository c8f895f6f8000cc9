// SPDX-License-Identifier: MIT
/*
 * The probes of hg-guest (guest.c): what nmap sends to find a host and its ports, for IPv4 and
 * IPv6, and a count of every packet that the device sends meanwhile, but neighbour discovery and
 * its own UDP flow.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, MINE = 40999, SHOWN = 5 };

static const uint16_t ports[] = { 1, 21, 22, 23, 80, 443, 554, 1900, 5353, 8080, 8443, 49152 };

struct prober {
	int family, link, udp, tcp, icmp, other;
	uint8_t source[16], device[16];
	size_t size; /* of an address */
	struct sockaddr_storage to, flow;
	socklen_t to_len, flow_len;
	uint16_t flow_port;
	int sent, seen;
};

static uint16_t checksum(const struct prober *p, const uint8_t *data, size_t len, int proto)
{
	uint32_t sum = proto + len;

	for (size_t i = 0; i < p->size; i += 2)
		sum += (p->source[i] << 8 | p->source[i + 1]) +
		       (p->device[i] << 8 | p->device[i + 1]);
	for (size_t i = 0; i < len; i += 2)
		sum += data[i] << 8 | (i + 1 < len ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static int sock(int family, int kind, int proto)
{
	int fd = socket(family, kind, proto);

	if (fd < 0)
		die("socket");
	return fd;
}

/* One packet of the device, from its IP header on: is it an answer? */
static void look(struct prober *p, const uint8_t *d, size_t n)
{
	size_t head = p->size == 4 ? 20 : 40;
	const uint8_t *from = d + (p->size == 4 ? 12 : 8);
	int proto = n > head ? d[p->size == 4 ? 9 : 6] : 0;

	if (n <= head || d[0] >> 4 != (p->size == 4 ? 4 : 6) || memcmp(from, p->device, p->size))
		return;
	if (memcmp(from + p->size, p->source, p->size))
		return; /* on its way to somebody else */
	if (proto == IPPROTO_UDP && n > head + 3 &&
	    (d[head + 2] << 8 | d[head + 3]) == p->flow_port)
		return;
	if (proto == IPPROTO_ICMPV6 && d[head] >= 130 && d[head] <= 143)
		return; /* MLD, neighbour discovery */
	if (proto == 0 || proto == IPPROTO_IGMP)
		return; /* MLD behind a hop-by-hop header; IGMP */
	if (p->seen++ < SHOWN)
		printf("answer: IPv%d protocol %d, %zu bytes, first %02x%02x%02x%02x\n",
		       p->size == 4 ? 4 : 6, proto, n, d[head], d[head + 1], d[head + 2],
		       d[head + 3]);
}

static void drain(struct prober *p, int ms)
{
	struct pollfd fd = { p->link, POLLIN, 0 };
	uint8_t data[2048];

	while (poll(&fd, 1, ms) > 0) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(p->link, data, sizeof(data), 0, (void *)&from, &len);

		if (n > 0 && from.sll_pkttype != PACKET_OUTGOING)
			look(p, data, n);
	}
}

static void out(struct prober *p, int fd, const void *data, size_t len)
{
	/* A closed port may have been told to this socket: an answer, and it was counted. */
	if (sendto(fd, data, len, 0, (void *)&p->to, p->to_len) < 0 && errno != ECONNREFUSED)
		die("probe");
	p->sent++;
	drain(p, 0);
}

static void tcp(struct prober *p, uint16_t port, uint8_t flags)
{
	uint8_t d[20] = { MINE >> 8, MINE & 255, port >> 8, port & 255, 1, 2, 3, 4 };
	uint16_t sum;

	d[12] = 5 << 4;
	d[13] = flags;
	d[14] = 4;
	sum = checksum(p, d, sizeof(d), IPPROTO_TCP);
	d[16] = sum >> 8;
	d[17] = sum & 255;
	out(p, p->tcp, d, sizeof(d));
}

static void icmp(struct prober *p, uint8_t type, size_t len)
{
	uint8_t d[64] = { type, 0, 0, 0, 0x12, 0x34, 0, 1 };
	uint32_t sum = 0;

	if (p->size == 4) { /* the kernel fills in that of ICMPv6 */
		for (size_t i = 0; i < len; i += 2)
			sum += d[i] << 8 | d[i + 1];
		sum = (sum & 0xffff) + (sum >> 16);
		d[2] = ~sum >> 8;
		d[3] = ~sum & 255;
	}
	out(p, p->icmp, d, len);
}

static void probes(struct prober *p)
{
	/* SYN, FIN, none, FIN+PSH+URG, ACK, SYN+ACK, FIN+ACK: nmap's -sS -sF -sN -sX -sA -sM. */
	static const uint8_t flags[] = { 0x02, 0x01, 0x00, 0x29, 0x10, 0x12, 0x11 };
	int udp = sock(p->family, SOCK_DGRAM, 0);

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		for (size_t f = 0; f < sizeof(flags); f++)
			tcp(p, ports[i], flags[f]);
		if (p->size == 4)
			((struct sockaddr_in *)&p->to)->sin_port = htons(ports[i]);
		else
			((struct sockaddr_in6 *)&p->to)->sin6_port = htons(ports[i]);
		out(p, udp, "probe", 5);
		if (p->size == 4)
			((struct sockaddr_in *)&p->to)->sin_port = 0;
		else
			((struct sockaddr_in6 *)&p->to)->sin6_port = 0;
	}
	icmp(p, p->size == 4 ? 8 : 128, 64);
	if (p->size == 4) {
		icmp(p, 13, 20); /* timestamp */
		icmp(p, 17, 12); /* address mask */
	}
	out(p, p->other, "probe of a protocol", 20);
	close(udp);
}

/* Who has opened its flow to us: its address and port, from now on. */
static void meet(struct prober *p)
{
	char data[64];
	struct pollfd fd = { p->udp, POLLIN, 0 };

	p->flow_len = sizeof(p->flow);
	if (poll(&fd, 1, PATIENCE_MS) != 1 ||
	    recvfrom(p->udp, data, sizeof(data), 0, (void *)&p->flow, &p->flow_len) < 0)
		die("the device opened no flow");
}

/* True when what was sent over the device's flow now has come back. */
static int fence(struct prober *p)
{
	char token[32], data[64];
	struct pollfd fd = { p->udp, POLLIN, 0 };
	int len = snprintf(token, sizeof(token), "fence %d", rand());

	for (int tries = 0; tries < 20; tries++) {
		if (sendto(p->udp, token, len, 0, (void *)&p->flow, p->flow_len) < 0)
			die("fence");
		while (poll(&fd, 1, 3000) > 0) {
			ssize_t n = recv(p->udp, data, sizeof(data), 0);

			drain(p, 0);
			if (n == len && !memcmp(data, token, len)) {
				drain(p, 200);
				return 1;
			}
		}
	}
	return 0;
}

static void prepare(struct prober *p, const char *interface, const char *source, const char *device,
		    int port)
{
	struct sockaddr_ll link = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int v6 = strchr(device, ':') != NULL;

	p->family = v6 ? AF_INET6 : AF_INET;
	p->size = v6 ? 16 : 4;
	p->flow_port = port;
	if (inet_pton(p->family, source, p->source) != 1 ||
	    inet_pton(p->family, device, p->device) != 1)
		die("addresses");
	link.sll_ifindex = if_nametoindex(interface);
	p->link = sock(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
	if (bind(p->link, (void *)&link, sizeof(link)))
		die(interface);
	p->udp = sock(p->family, SOCK_DGRAM, 0);
	if (v6 ? bind(p->udp, (void *)&a6, sizeof(a6)) : bind(p->udp, (void *)&a4, sizeof(a4)))
		die("bind");
	p->tcp = sock(p->family, SOCK_RAW, IPPROTO_TCP);
	p->icmp = sock(p->family, SOCK_RAW, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	p->other = sock(p->family, SOCK_RAW, 253); /* RFC 3692: for experiments */
	a6.sin6_port = a4.sin_port = 0;
	memcpy(v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr, p->device, p->size);
	p->to_len = v6 ? sizeof(a6) : sizeof(a4);
	memcpy(&p->to, v6 ? (void *)&a6 : (void *)&a4, p->to_len);
}

int probe(const char *interface, const char *source, const char *device, int port)
{
	struct prober p = { 0 };

	srand(getpid() ^ time(NULL));
	prepare(&p, interface, source, device, port);
	meet(&p);
	if (!fence(&p)) {
		printf("the device's own flow does not work\n");
		return 1;
	}
	probes(&p);
	if (!fence(&p)) {
		printf("the device's own flow has stopped\n");
		return 1;
	}
	printf("probed %d answered %d\n", p.sent, p.seen);
	return 0;
}

int scan(int count, int rate)
{
	struct timespec gap = { 0, 1000000000L / (rate > 1 ? rate : 2) };
	int fd = sock(AF_INET, SOCK_RAW, IPPROTO_TCP);
	uint8_t d[20] = { 0, 0, 0, 23, 0, 0, 0, 1 };

	srand(getpid() ^ time(NULL));
	d[12] = 5 << 4;
	d[13] = 2;
	d[14] = 255;
	for (int i = 0; i < count; i++) {
		struct sockaddr_in to = { .sin_family = AF_INET };
		uint16_t port = 1024 + i % 60000;

		d[0] = port >> 8;
		d[1] = port & 255;
		/* RFC 2544's network of benchmarks: nobody's. */
		to.sin_addr.s_addr = htonl(0xc6120000 | (rand() & 0x1ffff));
		if (sendto(fd, d, sizeof(d), 0, (void *)&to, sizeof(to)) < 0 && errno != ENOBUFS)
			die("scan");
		nanosleep(&gap, NULL);
	}
	return 0;
}
