// SPDX-License-Identifier: MIT
/*
 * Hostile frames for the fuzz tests: what isic, tcpsic, udpsic, icmpsic and esic did, for IPv4 and
 * IPv6, and fragments and mutants. The same seed sends the same frames.
 *
 * sic IFACE DST-MAC DST-ADDR KIND COUNT SEED RATE [FLOW...]
 *
 * KIND is isic, tcpsic, udpsic, icmpsic, fragments, esic, mutants, or file:PATH: frames that
 * another program made, each behind two bytes of length (COUNT 0: all of them). FLOW is a flow of
 * the device that mutants pretend to belong to: tcp|udp,LOCAL-PORT,REMOTE-ADDR,REMOTE-PORT. RATE is
 * frames per second, 0: no limit. Prints the number of frames sent.
 */
#include "send.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hostile.h"

struct source {
	struct hostile_target target;
	enum hostile_kind kind;
	FILE *file; /* NULL: of that kind */
};

static int parse_address(uint8_t addr[16], unsigned int *size, const char *text)
{
	*size = strchr(text, ':') ? 16 : 4;
	return inet_pton(*size == 16 ? AF_INET6 : AF_INET, text, addr) == 1 ? 0 : -EINVAL;
}

static int parse_flow(struct hostile_target *t, const char *text)
{
	struct hostile_flow *f = &t->flows[t->n_flows];
	char proto[4], addr[INET6_ADDRSTRLEN];
	unsigned int size;

	if (t->n_flows == HOSTILE_FLOWS || sscanf(text, "%3[a-z],%hu,%45[0-9a-fA-F:.],%hu", proto,
						  &f->local_port, addr, &f->remote_port) != 4)
		return -EINVAL;
	f->proto = strcmp(proto, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	if (parse_address(f->remote, &size, addr) || size != t->size)
		return -EINVAL;
	t->n_flows++;
	return 0;
}

static int parse_kind(struct source *s, const char *text)
{
	if (!strncmp(text, "file:", 5)) {
		s->file = fopen(text + 5, "rb");
		return s->file ? 0 : -errno;
	}
	for (s->kind = 0; s->kind < HOSTILE_KINDS; s->kind++)
		if (!strcmp(hostile_names[s->kind], text))
			return 0;
	return -EINVAL;
}

/* The next frame; 0 at the end of a file. Frames of a file go to the target's MAC address. */
static size_t next_frame(struct source *s, uint8_t *frame)
{
	uint8_t head[2];
	size_t len;

	if (!s->file)
		return hostile_frame(frame, &s->target, s->kind);
	if (fread(head, 2, 1, s->file) != 1)
		return 0;
	len = head[0] << 8 | head[1];
	if (len < 14 || len > HOSTILE_FRAME || fread(frame, len, 1, s->file) != 1)
		return 0;
	memcpy(frame, s->target.dst_mac, 6);
	return len;
}

static int run(int fd, struct source *s, uint64_t count, double rate, uint64_t *sent)
{
	static uint8_t frames[SEND_BATCH][HOSTILE_FRAME];
	struct mmsghdr batch[SEND_BATCH] = { 0 };
	struct iovec iov[SEND_BATCH];
	struct timespec start;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!ret && (!count || *sent < count)) {
		unsigned int n = 0;

		for (; n < SEND_BATCH && (!count || *sent + n < count); n++) {
			iov[n].iov_base = frames[n];
			iov[n].iov_len = next_frame(s, frames[n]);
			if (!iov[n].iov_len)
				break;
			batch[n].msg_hdr.msg_iov = &iov[n];
			batch[n].msg_hdr.msg_iovlen = 1;
		}
		if (!n)
			break;
		ret = send_all(fd, batch, n);
		*sent += ret ? 0 : n;
		if (rate > 0)
			send_pace(&start, *sent, rate);
	}
	return ret;
}

int main(int argc, char **argv)
{
	struct source s = { .target.src_mac = "\2hglio" };
	struct ether_addr *mac;
	uint64_t sent = 0;
	int fd, ret;

	mac = argc >= 8 ? ether_aton(argv[2]) : NULL;
	if (!mac || parse_address(s.target.addr, &s.target.size, argv[3]) ||
	    parse_kind(&s, argv[4])) {
		fprintf(stderr,
			"usage: sic IFACE DST-MAC DST-ADDR KIND COUNT SEED RATE [FLOW...]\n");
		return 2;
	}
	memcpy(s.target.dst_mac, mac->ether_addr_octet, 6);
	for (int i = 8; i < argc; i++)
		if (parse_flow(&s.target, argv[i])) {
			fprintf(stderr, "sic: no flow: %s\n", argv[i]);
			return 2;
		}
	fd = send_open(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "sic: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	send_seed(strtoull(argv[6], NULL, 0));
	ret = run(fd, &s, strtoull(argv[5], NULL, 10), atof(argv[7]), &sent);
	printf("%llu\n", (unsigned long long)sent);
	if (ret)
		fprintf(stderr, "sic: %s\n", strerror(-ret));
	if (s.file)
		fclose(s.file);
	return ret ? 1 : 0;
}
