// SPDX-License-Identifier: MIT
/*
 * Writes captures byte by byte, not with the library that reads them. Frames are Ethernet; other
 * link types are made of them when they are added.
 */
#include "pcapgen.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static uint32_t swap32(const struct gen *g, uint32_t v)
{
	return g->flags & GEN_SWAPPED ? __builtin_bswap32(v) : v;
}

static uint16_t swap16(const struct gen *g, uint16_t v)
{
	return g->flags & GEN_SWAPPED ? __builtin_bswap16(v) : v;
}

static void put32(struct gen *g, uint32_t v)
{
	v = swap32(g, v);
	fwrite(&v, sizeof(v), 1, g->stream);
}

static void put16(struct gen *g, uint16_t v)
{
	v = swap16(g, v);
	fwrite(&v, sizeof(v), 1, g->stream);
}

void gen_bytes(struct gen *g, const void *bytes, size_t n)
{
	fwrite(bytes, 1, n, g->stream);
}

void gen_interface(struct gen *g, int link)
{
	put32(g, 1);
	put32(g, 20);
	put16(g, (uint16_t)link);
	put16(g, 0);
	put32(g, 0);
	put32(g, 20);
}

void gen_begin(struct gen *g, int link, int flags)
{
	*g = (struct gen){ .link = link, .flags = flags };
	g->stream = open_memstream(&g->data, &g->size);
	if (!g->stream)
		abort();
	if (flags & GEN_PCAPNG) {
		put32(g, 0x0a0d0d0a);
		put32(g, 28);
		put32(g, 0x1a2b3c4d);
		put16(g, 1);
		put16(g, 0);
		put32(g, ~0u);
		put32(g, ~0u);
		put32(g, 28);
		gen_interface(g, link);
		return;
	}
	put32(g, flags & GEN_NANO ? 0xa1b23c4d : 0xa1b2c3d4);
	put16(g, 2);
	put16(g, 4);
	put32(g, 0);
	put32(g, 0);
	put32(g, 65535);
	put32(g, (uint32_t)link);
}

static void record_ng(struct gen *g, int interface, double time, const void *bytes, size_t caplen,
		      size_t wire)
{
	static const char zeros[4];
	uint64_t us = (uint64_t)(time * 1e6 + 0.5);
	size_t pad = -caplen & 3;

	put32(g, 6);
	put32(g, (uint32_t)(32 + caplen + pad));
	put32(g, (uint32_t)interface);
	put32(g, (uint32_t)(us >> 32));
	put32(g, (uint32_t)us);
	put32(g, (uint32_t)caplen);
	put32(g, (uint32_t)wire);
	gen_bytes(g, bytes, caplen);
	gen_bytes(g, zeros, pad);
	put32(g, (uint32_t)(32 + caplen + pad));
}

void gen_record(struct gen *g, int interface, double time, const void *bytes, size_t caplen,
		size_t wire)
{
	uint64_t ns = (uint64_t)(time * 1e9 + 0.5);

	if (g->flags & GEN_PCAPNG) {
		record_ng(g, interface, time, bytes, caplen, wire);
		return;
	}
	put32(g, (uint32_t)(ns / 1000000000));
	put32(g, (uint32_t)(ns % 1000000000 / (g->flags & GEN_NANO ? 1 : 1000)));
	put32(g, (uint32_t)caplen);
	put32(g, (uint32_t)wire);
	gen_bytes(g, bytes, caplen);
}

void gen_end(struct gen *g)
{
	fclose(g->stream);
	g->stream = NULL;
}

void gen_free(struct gen *g)
{
	if (g->stream)
		fclose(g->stream);
	free(g->data);
	*g = (struct gen){ 0 };
}

static void mac_of(const char *text, uint8_t *out)
{
	unsigned int m[6] = { 0 };

	sscanf(text, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]);
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t)m[i];
}

static void set16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Link and IP header for n bytes of `proto`; returns where these go. */
static uint8_t *headers(struct gen_frame *f, const struct gen_host *from, const struct gen_host *to,
			uint8_t proto, size_t n)
{
	int v6 = strchr(from->addr, ':') != NULL;
	uint8_t *ip = f->bytes + 14;

	memset(f, 0, sizeof(*f));
	mac_of(to->mac, f->bytes);
	mac_of(from->mac, f->bytes + 6);
	set16(f->bytes + 12, v6 ? 0x86dd : 0x0800);
	f->length = 14 + (v6 ? 40 : 20) + n;
	if (f->length > GEN_FRAME_MAX)
		abort();
	if (v6) {
		ip[0] = 0x60;
		set16(ip + 4, n);
		ip[6] = proto;
		ip[7] = 64;
		inet_pton(AF_INET6, from->addr, ip + 8);
		inet_pton(AF_INET6, to->addr, ip + 24);
		return ip + 40;
	}
	ip[0] = 0x45;
	set16(ip + 2, 20 + n);
	ip[8] = 64;
	ip[9] = proto;
	inet_pton(AF_INET, from->addr, ip + 12);
	inet_pton(AF_INET, to->addr, ip + 16);
	return ip + 20;
}

void gen_udp(struct gen_frame *f, const struct gen_host *from, uint16_t sport,
	     const struct gen_host *to, uint16_t dport, const void *payload, size_t n)
{
	uint8_t *udp = headers(f, from, to, 17, 8 + n);

	set16(udp, sport);
	set16(udp + 2, dport);
	set16(udp + 4, 8 + n);
	if (payload)
		memcpy(udp + 8, payload, n);
}

void gen_tcp(struct gen_frame *f, const struct gen_host *from, uint16_t sport,
	     const struct gen_host *to, uint16_t dport, int flags, size_t n)
{
	uint8_t *tcp = headers(f, from, to, 6, 20 + n);

	set16(tcp, sport);
	set16(tcp + 2, dport);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)flags;
}

void gen_add(struct gen *g, double time, const struct gen_frame *f)
{
	uint8_t other[GEN_FRAME_MAX + 20] = { 0 };
	size_t header = g->link == GEN_SLL ? 16 : g->link == GEN_SLL2 ? 20 : 0;
	uint8_t type = f->bytes[0] & 1 ? 2 : 0;

	if (g->link == GEN_ETHERNET) {
		gen_record(g, 0, time, f->bytes, f->length, f->length);
		return;
	}
	if (g->link == GEN_SLL) {
		other[1] = type;
		other[3] = 1; /* ARPHRD_ETHER */
		other[5] = 6;
		memcpy(other + 6, f->bytes + 6, 6);
		memcpy(other + 14, f->bytes + 12, 2);
	} else if (g->link == GEN_SLL2) {
		memcpy(other, f->bytes + 12, 2);
		other[7] = 3; /* interface */
		other[9] = 1;
		other[10] = type;
		other[11] = 6;
		memcpy(other + 12, f->bytes + 6, 6);
	}
	memcpy(other + header, f->bytes + 14, f->length - 14);
	gen_record(g, 0, time, other, header + f->length - 14, header + f->length - 14);
}
