/* SPDX-License-Identifier: MIT */
/*
 * What the guard and the detector take of a profile: rules in the order in which they are tried,
 * bounds (envelopes times the margin), and the names of hosts whose addresses are to be bound to
 * channels. Channels have the guard's numbers here, 0 is what no channel takes.
 */
#ifndef HG_USERSPACE_PROFILE_COMPILE_H
#define HG_USERSPACE_PROFILE_COMPILE_H

#include "names.h"
#include "profile.h"

/* A name or pattern, "*.example.com", and the set of channels that have it as a remote. */
struct hg_compiled_name {
	char host[HG_PROFILE_HOST_MAX + 1];
	__u64 channels; /* bit c: channel c */
};

struct hg_compiled {
	char model[HG_PROFILE_NAME_MAX + 1];
	char firmware[HG_PROFILE_NAME_MAX + 1];
	size_t n_rules;
	size_t n_names;
	struct hg_rule rules[HG_RULES_MAX];
	struct hg_bounds bounds[HG_CHANNELS_MAX]; /* id 0: there is no such channel */
	char channels[HG_CHANNELS_MAX][HG_PROFILE_NAME_MAX + 1]; /* their names */
	struct hg_compiled_name names[HG_PROFILE_REMOTES_ALL];
};

/*
 * A channel's id: the first 8 bytes, big endian, of the SHA-256 of the deterministic CBOR form of
 * the channel without envelope, answers, walk and sum. Never 0 nor HG_OUTSIDE_ID. 0: no memory.
 */
__u64 hg_profile_id(const struct hg_profile *p, const struct hg_profile_channel *ch);

#define HG_OUTSIDE_ID 1 /* of channel 0 */

/*
 * Gives each channel of the profile a number from 1 on: that which its id has in `old` (by number,
 * 0: free; NULL: nothing is there yet), so that its counters go on; the others get numbers that
 * were free, and then those of channels that are gone. -ENOMEM or 0.
 */
int hg_profile_place(const struct hg_profile *p, const __u64 *old,
		     __u8 number[static HG_PROFILE_CHANNELS_MAX]);

/* The names as the table of names takes them; they point into c. Returns how many there are. */
size_t hg_compiled_patterns(const struct hg_compiled *c,
			    struct hg_names_pattern out[static HG_PROFILE_REMOTES_ALL]);

/* Compiles with channels placed against `old`. -ENOMEM or 0. */
int hg_profile_compile(const struct hg_profile *p, const __u64 *old, struct hg_compiled *out);

#endif
