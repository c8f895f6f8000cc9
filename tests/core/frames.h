/* SPDX-License-Identifier: MIT */
/*
 * Frames from words, for tests. A frame is a line such as
 *
 *     ip4 tcp=S 4000 443            tag=7 ip6 frag mf id=9 udp 5000 53 data=32
 *     toobig quote udp 4000 53      pppoe ip4 ping 77
 *
 * Words stand in the order of the headers; key=value changes a field of the header before it. Ports
 * are written local, remote; addresses and ports are placed by direction. Lengths and next-header
 * numbers are filled in unless given. See frames.c for the words.
 */
#ifndef HG_TESTS_FRAMES_H
#define HG_TESTS_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include "../../include/uapi/heliograph.h"

#define FRAME_MAX 3072

struct frame {
	uint8_t room[2] __attribute__((aligned(4))); /* so that the network header is aligned */
	uint8_t data[FRAME_MAX];
	size_t length; /* bytes there are */
	size_t wire;   /* bytes on the wire */
	unsigned int segments;
	int out;
	int plain; /* no link header: what is judged begins 14 bytes later */
};

#define FRAME_LINK 14

/* Reads `words` into *f. Returns 0, or -EINVAL with the word in *bad. */
int frame_from_words(struct frame *f, int out, const char *words, const char **bad);

/* "D" the device, "M" the mirror, "N" the name server, "R", "X" others, or a literal address. */
int frame_address(const char *text, int v6, struct hg_addr *a);

#endif
