// SPDX-License-Identifier: MIT
/* Which channel of a profile has which number in a guard; called before each set_profile(). */
#include "guard-profile.h"

int hg_guard_compile(const struct hg_guard_ops *ops, struct hg_guard *g, const struct hg_profile *p,
		     struct hg_compiled *out)
{
	struct hg_bounds bounds[HG_CHANNELS_MAX];
	__u64 ids[HG_CHANNELS_MAX];
	int ret = ops->get_bounds(g, bounds);

	for (int i = 0; !ret && i < HG_CHANNELS_MAX; i++)
		ids[i] = bounds[i].id;
	return ret ? ret : hg_profile_compile(p, ids, out);
}
