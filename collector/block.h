/* SPDX-License-Identifier: MIT */
/*
 * Blocks: decisions as elements of nftables sets in one table of our own, in the network namespace
 * that the collector runs in.
 */
#ifndef HG_COLLECTOR_BLOCK_H
#define HG_COLLECTOR_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../lib/conf.h"
#include "net.h"

struct hg_block;

struct hg_block_decision {
	uint64_t id;
	struct hg_net line, target; /* of one family */
	uint8_t proto;
	uint16_t port;	  /* 0: all traffic to the target */
	uint64_t until_s; /* monotonic */
};

/*
 * Makes the table, or adopts what stands in it: elements stay until hg_block_apply() has been told
 * what is wanted. Traffic to `open` (addresses or prefixes) always passes. NULL with nftables'
 * message in err.
 */
struct hg_block *hg_block_new(const char *table, const struct hg_conf_list *open, uint64_t now_s,
			      char *err, size_t err_size);

/* The table and its elements, which end by themselves, stay. */
void hg_block_free(struct hg_block *b);

/* Removes the table of that name, if there is one. Returns 0 or -EIO with a message in err. */
int hg_block_remove(const char *table, char *err, size_t err_size);

/* Wants a decision (again, with a new end), or no longer. Returns 0 or -ENOMEM. */
int hg_block_want(struct hg_block *b, const struct hg_block_decision *d);
void hg_block_unwant(struct hg_block *b, uint64_t id);
void hg_block_unwant_all(struct hg_block *b);

/*
 * Applies the difference between wanted and running as one transaction. Decisions that another one
 * of the same line covers share its element. Returns 0, or -EIO with a message in err; what can be
 * applied then is, and all is tried again with the next call.
 */
int hg_block_apply(struct hg_block *b, uint64_t now_s, char *err, size_t err_size);

/*
 * Reads the counters; calls each(ctx, id, packets) for each wanted decision whose element has
 * stopped packets since the last call. Returns 0 or -EIO with a message in err.
 */
int hg_block_hits(struct hg_block *b, uint64_t now_s,
		  void (*each)(void *ctx, uint64_t id, uint64_t packets), void *ctx, char *err,
		  size_t err_size);

/* Number of elements that run. */
size_t hg_block_count(const struct hg_block *b);

#endif
