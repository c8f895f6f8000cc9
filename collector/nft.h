/* SPDX-License-Identifier: MIT */
/*
 * nftables as the blocks need it: one table of family inet with four sets (hosts and ports, IPv4
 * and IPv6) whose elements drop what is forwarded from a line to a target, each with timeout and
 * counter.
 */
#ifndef HG_COLLECTOR_NFT_H
#define HG_COLLECTOR_NFT_H

#include <stddef.h>
#include <stdint.h>
#include "../lib/conf.h"
#include "net.h"

struct hg_element {
	struct hg_net line, target; /* of one family */
	uint8_t proto;
	uint16_t port;	  /* 0: all traffic to the target */
	uint64_t until_s; /* by the caller's clock */
	uint64_t packets; /* its counter when last read */
};

/* Order by set, then line, then target, a network before what it covers; ends do not matter. */
int hg_element_compare(const void *a, const void *b);

struct hg_elements {
	struct hg_element *e;
	size_t n, room;
};

/* `e` may not point into the list. Returns 0 or -ENOMEM. */
int hg_elements_push(struct hg_elements *l, const struct hg_element *e);

struct hg_nft;

/* Does nothing in the kernel yet. NULL: out of memory. */
struct hg_nft *hg_nft_new(const char *table, const struct hg_conf_list *open);
void hg_nft_free(struct hg_nft *n); /* table and elements stay */

/*
 * The following return 0, or -EIO with nftables' message in err. make: the table, or what is
 * missing of it; elements stay, rules are written anew. read: all elements, in order. remove: the
 * table.
 */
int hg_nft_make(struct hg_nft *n, char *err, size_t err_size);
int hg_nft_read(struct hg_nft *n, uint64_t now_s, struct hg_elements *out, char *err,
		size_t err_size);
int hg_nft_remove(struct hg_nft *n, char *err, size_t err_size);

/* Note a change; commit makes all that were noted in one transaction, or none. */
void hg_nft_note_renew(struct hg_nft *n); /* table and rules, without elements */
void hg_nft_note_delete(struct hg_nft *n, const struct hg_element *e);
void hg_nft_note_add(struct hg_nft *n, const struct hg_element *e, uint64_t now_s);
int hg_nft_commit(struct hg_nft *n, char *err, size_t err_size);

#endif
