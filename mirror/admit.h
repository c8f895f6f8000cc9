/* SPDX-License-Identifier: MIT */
/*
 * Who may begin a TLS handshake, and when. A connection that waits costs a descriptor and some
 * hundred bytes.
 */
#ifndef HG_MIRROR_ADMIT_H
#define HG_MIRROR_ADMIT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <event2/event.h>
#include "net.h"

#define HG_LOOP_PRIORITIES 3 /* libevent's default is the middle one */
#define HG_PRIORITY_LAST 2

struct hg_admit;

struct hg_admit_options {
	int fd; /* listening, non-blocking; several loops may have the same; not closed */
	atomic_size_t *open; /* connections of all loops; who closes one takes it off */
	size_t open_max;
	uint64_t silence_ms; /* until the first byte */
	/* Takes fd over. */
	void (*begin)(void *ctx, int fd, const struct hg_net_addr *peer,
		      const struct timespec *accepted);
	void *ctx;
};

/* base has HG_LOOP_PRIORITIES. NULL when out of memory. */
struct hg_admit *hg_admit_new(struct event_base *base, const struct hg_admit_options *o);

/* Nobody comes in any more, and who waits is sent away. */
void hg_admit_stop(struct hg_admit *a);
void hg_admit_free(struct hg_admit *a);

/* Connections whose first bytes are here and whose turn is not. */
size_t hg_admit_waiting(const struct hg_admit *a);

#endif
