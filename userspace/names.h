/* SPDX-License-Identifier: MIT */
/*
 * What the device's own DNS answers have said: which addresses have which names, for how long, and
 * in which channels of the profile that puts them. The guard has the result as its map `bound`.
 *
 * Names outside the profile are kept too: an address that some answer has named is what a new
 * server of the maker's looks like, one that none has named is what a bot connects to.
 */
#ifndef HG_USERSPACE_NAMES_H
#define HG_USERSPACE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dns.h"

/* Pairs of a name and an address that a device's table holds; it uses a few dozen. */
#define HG_NAMES_LIMIT 1024

/*
 * Seconds for which an address stays bound after its last answer's life, or after the last flow
 * that hg_names_use() told of: as long as a flow without traffic may live (RFC 5382 REQ-5). In
 * captures of sixteen models no device opened a flow more than a minute after its answer's life.
 */
#define HG_NAMES_GRACE 7440

/* "host.example.com": this name; "*.example.com": every name below it, not itself. */
struct hg_names_pattern {
	const char *name;
	__u64 channels; /* bits */
};

struct hg_names_stats {
	size_t pairs, limit;
	uint64_t answers;
	uint64_t evicted; /* pairs that had to make room before their time */
	uint64_t refused; /* new pairs that found none: all the others are the profile's */
	uint64_t ignored; /* addresses that no server has: 0.0.0.0, loopback, multicast */
};

struct hg_names;

/* An address is bound otherwise than before; without channels and flags: not at all any more. */
typedef void (*hg_names_changed)(void *ctx, const struct hg_addr *addr,
				 const struct hg_bound *bound);

/* limit: HG_DNS_ADDRESSES_MAX or more. NULL with errno. changed may be NULL. */
struct hg_names *hg_names_new(size_t limit, hg_names_changed changed, void *ctx);
void hg_names_free(struct hg_names *n);

/* True for what a pattern may be: 1..253 bytes a-z A-Z 0-9 - _ in labels of 1..63. */
bool hg_names_pattern_ok(const char *name);

/*
 * Another profile's patterns; they are copied, and what is known is judged by them anew. Returns
 * how many addresses gained a channel, or -errno with nothing changed (-EINVAL: not a pattern).
 */
int hg_names_set(struct hg_names *n, const struct hg_names_pattern *patterns, size_t count);

/*
 * The device got this answer. now_s is monotonic and the same clock in all calls. Returns how many
 * addresses gained a channel: if any did, flows must be matched again.
 */
int hg_names_answer(struct hg_names *n, const struct hg_dns_answer *answer, uint64_t now_s);

/* One pair, good until expires_s: what hg_names_each() told an earlier table. */
int hg_names_put(struct hg_names *n, const char *name, const struct hg_addr *addr,
		 uint64_t expires_s);

/* A flow with this address is alive: what binds it stays for another grace time. */
void hg_names_use(struct hg_names *n, const struct hg_addr *addr, uint64_t now_s);
/* True if hg_names_expire() would unbind an address of the profile: flows are to be told first. */
bool hg_names_is_due(const struct hg_names *n, uint64_t now_s);
/* Forgets what is past its life and grace. */
void hg_names_expire(struct hg_names *n, uint64_t now_s);

/* What the address is bound to; all zero: no answer has named it. */
struct hg_bound hg_names_bound(const struct hg_names *n, const struct hg_addr *addr);
/* A name of the address, one of the profile's before others; NULL: none. Good until a change. */
const char *hg_names_name(const struct hg_names *n, const struct hg_addr *addr);
/* Every pair. */
void hg_names_each(const struct hg_names *n,
		   void (*each)(void *ctx, const char *name, const struct hg_addr *addr,
				uint64_t expires_s, __u64 channels),
		   void *ctx);
void hg_names_stats(const struct hg_names *n, struct hg_names_stats *stats);

#endif
