/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses on the event loop. The name servers of /etc/resolv.conf and the names of
 * /etc/hosts are read anew for each lookup, for a device's network changes.
 */
#ifndef HG_USERSPACE_RESOLVER_H
#define HG_USERSPACE_RESOLVER_H

#include <event2/event.h>
#include <stddef.h>
#include <sys/socket.h>

#define HG_ADDRESSES_MAX 8

struct hg_resolver;
struct hg_lookup;

struct hg_resolver *hg_resolver_new(struct event_base *base);
void hg_resolver_free(struct hg_resolver *r);

/* error NULL: n >= 1 addresses with the port set. Called from the loop, once. */
typedef void (*hg_lookup_done)(void *ctx, const char *error, const struct sockaddr_storage *addrs,
			       size_t n);

/* NULL if out of memory. The caller sets a time limit of his own. */
struct hg_lookup *hg_lookup_new(struct hg_resolver *r, const char *host, unsigned int port,
				hg_lookup_done done, void *ctx);
/* done is not called any more. Not to be called from or after done; NULL is allowed. */
void hg_lookup_cancel(struct hg_lookup *l);

#endif
