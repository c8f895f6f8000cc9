// SPDX-License-Identifier: MIT
/* Slots, found by UID. Used by session.c and session-ask.c, within one loop. */
#include "slot.h"

#include <stdlib.h>
#include <string.h>

unsigned int hg_slot_hash(const char *uid)
{
	unsigned int h = 5381;

	for (const char *c = uid; *c; c++)
		h = h * 33 + (unsigned char)*c;
	return h;
}

struct hg_slot *hg_slot_get(struct hg_slots *slots, struct hg_sync *sync, const char *uid)
{
	struct hg_slot_list *list = &slots->buckets[hg_slot_hash(uid) % HG_SLOT_BUCKETS];
	struct hg_slot *slot;

	LIST_FOREACH (slot, list, entry)
		if (!strcmp(slot->uid, uid))
			return slot;
	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return NULL;
	slot->sync = sync;
	strcpy(slot->uid, uid);
	LIST_INSERT_HEAD(list, slot, entry);
	return slot;
}

void hg_slot_put(struct hg_slot *slot)
{
	if (slot->current || slot->asking)
		return;
	LIST_REMOVE(slot, entry);
	free(slot);
}
