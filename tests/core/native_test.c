// SPDX-License-Identifier: MIT
/*
 * The tables of the host in user space against a plain list that does the same slowly: what was
 * looked at longest ago makes room, the kept table gives up nothing.
 */
#define HG_NATIVE_FLOWS 8
#include "../tap.h"

#include <stdlib.h>
#include "../../userspace/host-native.h"

#define KEYS 24
#define ROUNDS 20000

static struct hg_host host;
static struct {
	int key, value;
} list[HG_NATIVE_FLOWS + 1]; /* the newest first */
static int n_list;

static struct hg_flow_key key_of(int i)
{
	struct hg_flow_key k = { .proto = 17, .local_port = (__be16)i };

	return k;
}

/* Moves the entry to the front; -1: it is not there. */
static int list_find(int key)
{
	for (int i = 0; i < n_list; i++) {
		int value = list[i].value;

		if (list[i].key != key)
			continue;
		memmove(&list[1], &list[0], (size_t)i * sizeof(list[0]));
		list[0].key = key;
		list[0].value = value;
		return value;
	}
	return -1;
}

static void list_add(int key, int value)
{
	if (list_find(key) < 0) {
		memmove(&list[1], &list[0], (size_t)n_list * sizeof(list[0]));
		n_list += n_list < HG_NATIVE_FLOWS;
	}
	list[0].key = key;
	list[0].value = value;
}

static void list_remove(int key)
{
	if (list_find(key) >= 0)
		memmove(&list[0], &list[1], (size_t)--n_list * sizeof(list[0]));
}

static int same(void)
{
	const struct hg_native_table *t = &host.flows[HG_TABLE_INSIDE];
	__u32 at = t->newest;

	if ((int)t->n != n_list)
		return 0;
	for (int i = 0; i < n_list; i++, at = t->entries[at].older)
		if (!at || t->entries[at].key.local_port != list[i].key ||
		    t->entries[at].flow.opened_s != (__u32)list[i].value)
			return 0;
	return !at;
}

static void test_inside(void)
{
	unsigned int seed = 1, differ = 0, found = 0, gone = 0;

	for (int i = 0; i < ROUNDS; i++) {
		int key = rand_r(&seed) % KEYS, what = rand_r(&seed) % 4;
		struct hg_flow f = { .opened_s = (__u32)i };
		struct hg_flow_key k = key_of(key);
		struct hg_flow *got;

		if (what == 0) {
			hg_host_flow_remove(&host, HG_TABLE_INSIDE, &k);
			list_remove(key);
		} else if (what == 1) {
			got = hg_host_flow(&host, HG_TABLE_INSIDE, &k);
			differ += (got ? (int)got->opened_s : -1) != list_find(key);
			found += got != NULL;
			gone += !got;
		} else {
			hg_host_flow_add(&host, HG_TABLE_INSIDE, &k, &f);
			list_add(key, i);
		}
		differ += !same();
	}
	ok(!differ, "%d random steps: the same entries in the same order", ROUNDS);
	ok(found > ROUNDS / 20 && gone > ROUNDS / 20, "%u were found, %u not", found, gone);
}

static void test_kept(void)
{
	struct hg_flow f = { 0 };
	struct hg_flow_key k;
	int full = 0;

	for (int i = 0; i < HG_NATIVE_FLOWS + 2; i++) {
		k = key_of(i);
		full += hg_native_add(&host.flows[HG_TABLE_KEPT], &k, HG_NATIVE_FLOWS, 0) == NULL;
	}
	is_int(full, 2, "a full table that gives up nothing takes nothing");
	k = key_of(0);
	ok(hg_host_flow(&host, HG_TABLE_KEPT, &k), "its first entry is there");
	is_int(hg_host_flow_add(&host, HG_TABLE_KEPT, &k, &f), 0, "and can be changed");
}

int main(void)
{
	test_inside();
	test_kept();
	return tap_done();
}
