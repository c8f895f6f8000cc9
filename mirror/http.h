/* SPDX-License-Identifier: MIT */
/* The listener for applications: HTTPS. */
#ifndef HG_MIRROR_HTTP_H
#define HG_MIRROR_HTTP_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include "../lib/pg.h"
#include "conf.h"

struct hg_http;

/* fd: a bound socket, taken over. NULL with errno. */
struct hg_http *hg_http_new(struct event_base *base, const struct hg_mirror_conf *conf,
			    struct hg_pg *pg, SSL_CTX *tls, evutil_socket_t fd);

/* No new connection; requests under way are answered. */
void hg_http_stop(struct hg_http *h);

/* Requests under way. */
size_t hg_http_busy(const struct hg_http *h);

/* Called after the pool was freed. */
void hg_http_free(struct hg_http *h);

#endif
