/* SPDX-License-Identifier: MIT */
/* Subcommands of heliograph that ask the running agent; ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_AGENT_H
#define HG_USERSPACE_CMD_AGENT_H

#include "agent-conf.h"

/* What all subcommands get. */
struct hg_cli {
	struct hg_agent_conf conf; /* first: `heliograph guard` takes this for its ctx */
	bool json;
};

extern const struct hg_subcommand hg_agent_subcommands[];

#endif
