/* SPDX-License-Identifier: MIT */
/* `heliograph guard ...`: ctx of the subcommands is a struct hg_agent_conf. */
#ifndef HG_USERSPACE_CMD_GUARD_H
#define HG_USERSPACE_CMD_GUARD_H

#include "../lib/conf.h"

extern const struct hg_subcommand hg_guard_subcommands[];

#endif
