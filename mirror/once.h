/* SPDX-License-Identifier: MIT */
/*
 * Early data of one first flight is taken once by a process (RFC 8446 section 8): which flights
 * there were is remembered by the client's random, which the binder of the key covers.
 */
#ifndef HG_MIRROR_ONCE_H
#define HG_MIRROR_ONCE_H

#include <stdbool.h>
#include <openssl/ssl.h>

#define HG_ONCE_FLIGHTS 65536 /* remembered; about the oldest go first */

struct hg_once;

/* NULL when out of memory. */
struct hg_once *hg_once_new(void);
/* After ctx. NULL is allowed. */
void hg_once_free(struct hg_once *once);

/* ctx takes no early data a second time: the handshake goes on without. */
void hg_once_serve(SSL_CTX *ctx, struct hg_once *once);

/* True if this random (SSL3_RANDOM_SIZE bytes) is new; it is remembered. By any thread. */
bool hg_once_first(struct hg_once *once, const unsigned char *random);

#endif
