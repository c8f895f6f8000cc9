/* SPDX-License-Identifier: MIT */
/* The devices of one loop that have a session or a request under way. */
#ifndef HG_MIRROR_SLOT_H
#define HG_MIRROR_SLOT_H

#include <stdbool.h>
#include <sys/queue.h>
#include "../lib/tls.h"

#define HG_SLOT_BUCKETS 4096

struct hg_sync;
struct session;

struct hg_slot {
	LIST_ENTRY(hg_slot) entry;
	struct hg_sync *sync;
	struct session *current; /* the newest; NULL: none */
	bool asking;		 /* a request is with the database */
	char uid[HG_UID_MAX + 1];
};

struct hg_slots {
	LIST_HEAD(hg_slot_list, hg_slot) buckets[HG_SLOT_BUCKETS];
};

/* Of a UID: the bucket is its remainder, what is above it chooses the loop. */
unsigned int hg_slot_hash(const char *uid);

/* The slot of a device, made if there is none. NULL when out of memory. */
struct hg_slot *hg_slot_get(struct hg_slots *slots, struct hg_sync *sync, const char *uid);

/* Frees the slot if nothing holds it. */
void hg_slot_put(struct hg_slot *slot);

#endif
