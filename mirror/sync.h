/* SPDX-License-Identifier: MIT */
/* The sessions of devices at one loop. */
#ifndef HG_MIRROR_SYNC_H
#define HG_MIRROR_SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include "../lib/pg.h"
#include "conf.h"
#include "pki.h"

struct hg_loop;
struct hg_sync;

/* What the loops of one process have in common. */
struct hg_sync_shared {
	const struct hg_mirror_conf *conf;
	SSL_CTX *tls;
	const struct hg_pki_ca *ca; /* NULL: certificates are not renewed */
	pthread_rwlock_t tls_lock;  /* held for reading in handshakes, to change tls for writing */
	int listener;		    /* a listening socket, not closed here */
	struct hg_loop *const *loops;
	unsigned int n_loops;
	atomic_size_t open;    /* connections */
	atomic_size_t asking;  /* requests under way */
	atomic_size_t shaking; /* handshakes under way, but for slow ones */
};

/* base has HG_LOOP_PRIORITIES. NULL when out of memory. */
struct hg_sync *hg_sync_new(struct event_base *base, struct hg_sync_shared *shared,
			    struct hg_pg *pg);

/* No new session; idle ones end, requests under way are answered first. */
void hg_sync_stop(struct hg_sync *s);

/* Called after the pool was freed. */
void hg_sync_free(struct hg_sync *s);

#endif
