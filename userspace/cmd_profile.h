/* SPDX-License-Identifier: MIT */
/*
 * Subcommands of heliograph that work on profiles. They need neither agent nor guard nor
 * configuration file. Other tables of `profile` commands stand beside this one in heliograph.c.
 */
#ifndef HG_USERSPACE_CMD_PROFILE_H
#define HG_USERSPACE_CMD_PROFILE_H

#include "cmd_agent.h"
#include "profile.h"

extern const struct hg_subcommand hg_profile_subcommands[];

/*
 * For all of them. hg_cmd_profile_load() reads a profile of any form; NULL after saying what is
 * wrong. The caller frees it.
 */
struct hg_profile *hg_cmd_profile_load(const char *path);

#endif
