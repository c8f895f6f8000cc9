// SPDX-License-Identifier: MIT
/* Takes one element out of OpenSSL's encoding of a session. Called by session.c for each ticket. */
#include "ticket.h"

#include <string.h>
#include <openssl/asn1.h>

#define PEER 3		 /* [3] of SSL_SESSION, the peer's certificate */
#define ENCODED_MAX 4096 /* with it */

/* Writes the elements of in[0..len) but one. Returns their length, or 0 if it is no such thing. */
static size_t copy_others(const uint8_t *in, size_t len, uint8_t *out)
{
	const uint8_t *end = in + len;
	size_t n = 0;

	while (in < end) {
		const uint8_t *begin = in;
		int tag, class;
		long size;

		if (ASN1_get_object(&in, &size, &tag, &class, end - in) & 0x80)
			return 0;
		in += size;
		if (class == V_ASN1_CONTEXT_SPECIFIC && tag == PEER)
			continue;
		memcpy(out + n, begin, in - begin);
		n += in - begin;
	}
	return n;
}

size_t load_ticket_pack(const SSL_SESSION *session, uint8_t *out, size_t size)
{
	uint8_t whole[ENCODED_MAX], others[ENCODED_MAX], *to = whole;
	const uint8_t *in = whole;
	int len = i2d_SSL_SESSION(session, NULL), tag, class;
	size_t n, all;
	long content;

	if (len <= 0 || len > ENCODED_MAX)
		return 0;
	i2d_SSL_SESSION(session, &to);
	if (ASN1_get_object(&in, &content, &tag, &class, len) & 0x80)
		return 0;
	n = copy_others(in, content, others);
	all = (size_t)ASN1_object_size(1, (int)n, V_ASN1_SEQUENCE);
	if (!n || all > size)
		return 0;
	to = out;
	ASN1_put_object(&to, 1, (int)n, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	memcpy(to, others, n);
	return all;
}
