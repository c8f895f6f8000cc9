/* SPDX-License-Identifier: MIT */
/*
 * A model's traffic profile: JSON (docs/profile.md) to the guard's rules and the score's bounds.
 */
#ifndef HG_USERSPACE_PROFILE_H
#define HG_USERSPACE_PROFILE_H

#include <stddef.h>
#include "../include/uapi/heliograph.h"
#include "../core/second.h"

#define HG_PROFILE_NAME_MAX 32
#define HG_PROFILE_SIZE_MAX (256 * 1024) /* bytes of a profile's file */

struct hg_profile_channel {
	char name[HG_PROFILE_NAME_MAX + 1];
	struct hg_score_bounds bounds;
};

struct hg_profile {
	char model[HG_PROFILE_NAME_MAX + 1];
	char firmware[HG_PROFILE_NAME_MAX + 1];
	size_t n_channels; /* channel 0, "outside", included */
	size_t n_rules;
	struct hg_profile_channel channels[HG_CHANNELS_MAX];
	struct hg_rule rules[HG_RULES_MAX]; /* in the order in which the guard must try them */
};

/*
 * Return 0, or -errno with a message in err that names the file or "profile", the JSON path
 * ("$.channels[2].ports[0]"), what was wrong and what is allowed. On failure *out is untouched.
 */
int hg_profile_load(const char *path, struct hg_profile *out, char *err, size_t err_size);
int hg_profile_parse(const char *json, size_t len, struct hg_profile *out, char *err,
		     size_t err_size);

#endif
