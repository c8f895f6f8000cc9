// SPDX-License-Identifier: MIT
/*
 * A fast packet source for the flood and spray tests: frames with random addresses and ports, sent
 * through a packet socket with sendmmsg(). From outside it stands for a botnet, inside for malware
 * (the frames pass tc egress like everything the device sends).
 *
 * flood IFACE DST-MAC SRC-PREFIX DST-PREFIX COUNT [REPEAT [RATE [KINDS]]]
 *
 * Each of COUNT flows gets REPEAT equal packets; a prefix is ADDRESS/LEN and its other bits are
 * random. The first KINDS of these go round: UDP, TCP SYN, TCP ACK, ICMP echo. RATE is packets per
 * second, 0: no limit. Prints the number of packets sent and how many microseconds it took.
 */
#include "send.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FRAME 78 /* Ethernet, IPv6, TCP and some bytes */

struct prefix {
	uint8_t addr[16];
	unsigned int size; /* 4 or 16 bytes */
	unsigned int len;
};

static int prefix_parse(struct prefix *p, const char *text)
{
	char addr[INET6_ADDRSTRLEN];

	if (sscanf(text, "%45[0-9a-fA-F:.]/%u", addr, &p->len) != 2)
		return -EINVAL;
	p->size = strchr(addr, ':') ? 16 : 4;
	if (p->len > p->size * 8 ||
	    inet_pton(p->size == 16 ? AF_INET6 : AF_INET, addr, p->addr) != 1)
		return -EINVAL;
	return 0;
}

static void prefix_pick(const struct prefix *p, uint8_t *to)
{
	for (unsigned int i = 0; i < p->size; i++) {
		unsigned int bits = p->len > i * 8 ? p->len - i * 8 : 0;
		uint8_t mask = bits >= 8 ? 0 : 0xff >> bits;

		to[i] = (p->addr[i] & ~mask) | (send_random() >> 32 & mask);
	}
}

/* The transport header; returns its protocol and length. Checksums are right. */
static unsigned int fill_l4(uint8_t *l4, unsigned int kind, bool v6, unsigned int *len)
{
	uint64_t r = send_random();

	memset(l4, 0, 20);
	put16(l4, 1024 + (r & 0xffff) % 64512);
	put16(l4 + 2, 1 + (r >> 16 & 0xffff) % 65535);
	switch (kind) {
	case 0:
		*len = 12;
		put16(l4 + 4, *len);
		return IPPROTO_UDP;
	case 1:
	case 2:
		*len = 20;
		memcpy(l4 + 4, &r, 4);
		l4[12] = 0x50;
		l4[13] = kind == 1 ? 0x02 : 0x10;
		put16(l4 + 14, 1024);
		return IPPROTO_TCP;
	}
	*len = 16;
	memmove(l4 + 4, l4, 4);
	memset(l4, 0, 4);
	l4[0] = v6 ? 128 : 8;
	return v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

static size_t fill(uint8_t *frame, const uint8_t mac[6], const struct prefix *src,
		   const struct prefix *dst, unsigned int kind)
{
	bool v6 = src->size == 16;
	uint8_t *ip = frame + 14, *addr = ip + (v6 ? 8 : 12), *l4 = ip + (v6 ? 40 : 20);
	unsigned int len, proto = fill_l4(l4, kind, v6, &len), at;
	uint32_t sum;

	memcpy(frame, mac, 6);
	memcpy(frame + 6, "\2hglio", 6);
	put16(frame + 12, v6 ? 0x86dd : 0x800);
	memset(ip, 0, addr - ip);
	prefix_pick(src, addr);
	prefix_pick(dst, addr + src->size);
	if (v6) {
		ip[0] = 0x60;
		put16(ip + 4, len);
		ip[6] = proto;
		ip[7] = 64;
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 20 + len);
		ip[8] = 64;
		ip[9] = proto;
		put_sum(ip + 10, sum_add(0, ip, 20));
	}
	at = proto == IPPROTO_UDP ? 6 : proto == IPPROTO_TCP ? 16 : 2;
	sum = sum_add(0, l4, len);
	if (proto != IPPROTO_ICMP)
		sum = sum_add(sum, addr, 2 * src->size) + proto + len;
	put_sum(l4 + at, sum);
	return l4 + len - frame;
}

struct plan {
	uint64_t count;
	unsigned int repeat, kinds;
	double rate;
};

static uint64_t microseconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000000 + now.tv_nsec / 1000 - start->tv_nsec / 1000;
}

static int flood(int fd, const uint8_t mac[6], const struct prefix *src, const struct prefix *dst,
		 const struct plan *plan)
{
	static uint8_t frames[SEND_BATCH][FRAME];
	struct mmsghdr batch[SEND_BATCH] = { 0 };
	struct iovec iov[SEND_BATCH];
	struct timespec start;
	uint64_t sent = 0;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t flow = 0; !ret && flow < plan->count;) {
		unsigned int n = 0;

		for (; n < SEND_BATCH && flow < plan->count; n++, flow++) {
			iov[n].iov_base = frames[n];
			iov[n].iov_len = fill(frames[n], mac, src, dst, flow % plan->kinds);
			batch[n].msg_hdr.msg_iov = &iov[n];
			batch[n].msg_hdr.msg_iovlen = 1;
		}
		for (unsigned int i = 0; !ret && i < plan->repeat; i++)
			ret = send_all(fd, batch, n);
		sent += ret ? 0 : (uint64_t)n * plan->repeat;
		if (plan->rate > 0)
			send_pace(&start, sent, plan->rate);
	}
	printf("%llu %llu\n", (unsigned long long)sent,
	       (unsigned long long)microseconds_since(&start));
	return ret;
}

int main(int argc, char **argv)
{
	struct prefix src, dst;
	struct ether_addr *mac;
	struct plan plan = { .repeat = 1, .kinds = 4 };
	struct timespec now;
	int fd, ret;

	if (argc < 6 || !(mac = ether_aton(argv[2])) || prefix_parse(&src, argv[3]) ||
	    prefix_parse(&dst, argv[4]) || src.size != dst.size) {
		fprintf(stderr,
			"usage: flood IFACE DST-MAC SRC-PREFIX DST-PREFIX COUNT [REPEAT [RATE "
			"[KINDS]]]\n");
		return 2;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	send_seed((uint64_t)now.tv_sec << 32 ^ now.tv_nsec);
	fd = send_open(argv[1]);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	plan.count = strtoull(argv[5], NULL, 10);
	if (argc > 6)
		plan.repeat = strtoul(argv[6], NULL, 10);
	if (argc > 7)
		plan.rate = atof(argv[7]);
	if (argc > 8 && argv[8][0] >= '1' && argv[8][0] <= '4')
		plan.kinds = argv[8][0] - '0';
	ret = flood(fd, mac->ether_addr_octet, &src, &dst, &plan);
	if (ret)
		fprintf(stderr, "flood: %s\n", strerror(-ret));
	return ret ? 1 : 0;
}
