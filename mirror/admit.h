/* SPDX-License-Identifier: MIT */
/*
 * Who may begin a TLS handshake, and when. A connection that waits costs a descriptor and some
 * hundred bytes.
 */
#ifndef HG_MIRROR_ADMIT_H
#define HG_MIRROR_ADMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <event2/event.h>
#include "net.h"
#include "pace.h"

#define HG_LOOP_PRIORITIES 3 /* libevent's default is the middle one */
#define HG_PRIORITY_LAST 2

#define HG_ADMIT_LEAST 512 /* so many may wait at any rate, and before one is known */

struct hg_admit;

struct hg_admit_options {
	int fd; /* listening, non-blocking; several loops may have the same; not closed */
	atomic_size_t *open; /* connections of all loops; who closes one takes it off */
	size_t open_max;
	uint64_t silence_ms; /* until the first byte */
	/*
	 * Who has waited for longer, since we became slower or in the kernel's backlog, would give
	 * up in its handshake and is closed; who joins shall begin within two thirds of it.
	 */
	uint32_t late_ms;
	const struct hg_pace *pace; /* of this loop */
	/* Whether another handshake may begin; called often. Once it may again: hg_admit_go(). */
	bool (*may_begin)(void *ctx);
	/* Takes fd over. */
	void (*begin)(void *ctx, int fd, const struct hg_net_addr *peer,
		      const struct timespec *accepted);
	void *ctx;
};

/* base has HG_LOOP_PRIORITIES. NULL when out of memory. */
struct hg_admit *hg_admit_new(struct event_base *base, const struct hg_admit_options *o);

/* may_begin() may have changed its mind; looked at each 100 ms without this, too. */
void hg_admit_go(struct hg_admit *a);

/* Nobody comes in any more, and who waits is sent away. */
void hg_admit_stop(struct hg_admit *a);
void hg_admit_free(struct hg_admit *a);

/* Connections whose first bytes are here and whose turn is not. */
size_t hg_admit_waiting(const struct hg_admit *a);

#endif
