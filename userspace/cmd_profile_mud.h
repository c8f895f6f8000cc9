/* SPDX-License-Identifier: MIT */
/* `heliograph profile import-mud` and `export-mud`: MUD files and profiles. */
#ifndef HG_USERSPACE_CMD_PROFILE_MUD_H
#define HG_USERSPACE_CMD_PROFILE_MUD_H

#include "../lib/conf.h"

extern const struct hg_subcommand hg_profile_mud_subcommands[];

#endif
