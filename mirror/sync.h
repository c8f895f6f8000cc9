/* SPDX-License-Identifier: MIT */
/* The listener for devices. */
#ifndef HG_MIRROR_SYNC_H
#define HG_MIRROR_SYNC_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include "../lib/pg.h"
#include "conf.h"

struct hg_sync;

/* fd: a bound socket, taken over. NULL with errno. */
struct hg_sync *hg_sync_new(struct event_base *base, const struct hg_mirror_conf *conf,
			    struct hg_pg *pg, SSL_CTX *tls, evutil_socket_t fd);

/* No new session; idle ones end, requests under way are answered first. */
void hg_sync_stop(struct hg_sync *s);

/* Sessions open and requests under way. */
size_t hg_sync_busy(const struct hg_sync *s);

/* Called after the pool was freed. */
void hg_sync_free(struct hg_sync *s);

#endif
