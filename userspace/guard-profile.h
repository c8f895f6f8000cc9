/* SPDX-License-Identifier: MIT */
/* A profile for a guard that runs: the agent and `heliograph guard on` give it. */
#ifndef HG_USERSPACE_GUARD_PROFILE_H
#define HG_USERSPACE_GUARD_PROFILE_H

#include "guard.h"
#include "profile-compile.h"

/*
 * Compiles p; channels that the guard has already keep their numbers, and so score and counters.
 * -ENOMEM, or -errno of the guard's maps.
 */
int hg_guard_compile(const struct hg_guard_ops *ops, struct hg_guard *g, const struct hg_profile *p,
		     struct hg_compiled *out);

#endif
