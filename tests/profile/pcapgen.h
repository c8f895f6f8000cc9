/* SPDX-License-Identifier: MIT */
/* Captures made in memory, for tests: pcap in its variants, pcapng, and the frames in them. */
#ifndef HG_TESTS_PCAPGEN_H
#define HG_TESTS_PCAPGEN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { GEN_ETHERNET = 1, GEN_RAW = 101, GEN_SLL = 113, GEN_SLL2 = 276, GEN_WLAN = 105 };
enum { GEN_NANO = 1, GEN_SWAPPED = 2, GEN_PCAPNG = 4 };
enum { GEN_FIN = 1, GEN_SYN = 2, GEN_RST = 4, GEN_ACK = 16 };

#define GEN_FRAME_MAX 2048

struct gen {
	FILE *stream;
	char *data; /* after gen_end() */
	size_t size;
	int link, flags;
};

struct gen_host {
	const char *mac;  /* "00:53:00:00:00:01" */
	const char *addr; /* IPv4 or IPv6 */
};

struct gen_frame {
	uint8_t bytes[GEN_FRAME_MAX];
	size_t length;
};

/* Begins a capture; of pcapng the first interface is there. */
void gen_begin(struct gen *g, int link, int flags);
/* pcapng: a further interface; times are microseconds, as of the first. */
void gen_interface(struct gen *g, int link);
/* caplen bytes of `bytes` are kept, `wire` is told. */
void gen_record(struct gen *g, int interface, double time, const void *bytes, size_t caplen,
		size_t wire);
void gen_bytes(struct gen *g, const void *bytes, size_t n); /* as they are */
void gen_end(struct gen *g);
void gen_free(struct gen *g);

/* Ethernet frames; payload NULL: zeros. */
void gen_udp(struct gen_frame *f, const struct gen_host *from, uint16_t sport,
	     const struct gen_host *to, uint16_t dport, const void *payload, size_t n);
void gen_tcp(struct gen_frame *f, const struct gen_host *from, uint16_t sport,
	     const struct gen_host *to, uint16_t dport, int flags, size_t n);

/* A frame as a record, in the capture's link type (that of its first interface). */
void gen_add(struct gen *g, double time, const struct gen_frame *f);

#endif
