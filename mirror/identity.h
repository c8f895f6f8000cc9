/* SPDX-License-Identifier: MIT */
/*
 * Who a device is by its handshake, and the pre-shared keys that it is given; lib/psk.h makes them.
 */
#ifndef HG_MIRROR_IDENTITY_H
#define HG_MIRROR_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include "../lib/psk.h"
#include "../lib/wire.h"
#include "conf.h"

struct hg_identity {
	char uid[HG_UID_MAX + 1];
	uint64_t cert_end_ms; /* Unix time at which its certificate ends; no key outlives it */
	bool resumed;	      /* by a key or a ticket: it has shown no certificate now */
	bool stale_key;	      /* its key was made with the previous secret */
};

/*
 * Called after the handshake. By the key if one was used, else by the certificate, shown or
 * remembered. Returns 0, or -ENOENT if that names no device.
 */
int hg_identity_of(const SSL *ssl, struct hg_identity *id);

/*
 * The key for an answer to a request with these flags: one if it is asked for or due, and this
 * mirror hands any out (what hg_psk_serve() was told of ssl's context). *psk keeps what *out points
 * to. Without one *out is all zero.
 */
void hg_identity_key(const SSL *ssl, const struct hg_identity *id,
		     const struct hg_mirror_conf *conf, uint32_t flags, struct hg_psk *psk,
		     struct hg_wire_psk *out);

#endif
