/* SPDX-License-Identifier: MIT */
/*
 * One DNS message as the payload of a UDP datagram (RFC 1035): the question, and of an answer the
 * addresses that its question's name leads to. Nothing is allocated, nothing outside the message
 * is read, and names are only followed backwards, so that no message takes long (RFC 9267).
 */
#ifndef HG_USERSPACE_DNS_H
#define HG_USERSPACE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../include/uapi/heliograph.h"

#define HG_DNS_PORT 53
#define HG_DNS_NAME_MAX 253 /* bytes of a name as text: 255 on the wire, RFC 1035 2.3.4 */
#define HG_DNS_ADDRESSES_MAX 32
#define HG_DNS_CHAIN_MAX 16 /* names from the question's to the one that has the addresses */

/*
 * Seconds that an address is good for. An answer of a shorter life is used for the connection that
 * the device makes next, which may come after retries and a slow TLS library; a longer one is what
 * resolvers cut to, too (RFC 8767 section 4: days, not weeks).
 */
#define HG_DNS_TTL_MIN 60
#define HG_DNS_TTL_MAX 86400

struct hg_dns_question {
	uint16_t id;
	uint16_t type;			/* of the question: 1 A, 28 AAAA */
	char name[HG_DNS_NAME_MAX + 1]; /* lower case, a-z 0-9 - _ and dots, none at its end */
};

struct hg_dns_address {
	struct hg_addr addr;
	uint32_t ttl_s; /* least along the chain, HG_DNS_TTL_MIN..HG_DNS_TTL_MAX */
};

struct hg_dns_answer {
	struct hg_dns_question question;
	bool partial;	       /* truncated by its sender or by who copied it: what is there */
	unsigned int left_out; /* addresses beyond the room below */
	size_t n;	       /* may be 0: the name has no address of this type */
	struct hg_dns_address addresses[HG_DNS_ADDRESSES_MAX];
};

struct hg_dns_error {
	size_t at; /* byte of the message */
	const char *what;
};

/*
 * Both return 0; -ENOMSG: a message of another kind (a question or answer where the other was
 * asked for, an error, no or several questions, not of class IN, a name that no host has); or
 * -EBADMSG: it contradicts itself or breaks a limit. On failure only *e (may be NULL) is changed.
 * Only the header and the question, and the section of answers, are looked at.
 */
int hg_dns_question(const void *bytes, size_t len, struct hg_dns_question *out,
		    struct hg_dns_error *e);
/* `cut`: the message was longer, and only its first len bytes are here. */
int hg_dns_answer(const void *bytes, size_t len, bool cut, struct hg_dns_answer *out,
		  struct hg_dns_error *e);

#endif
