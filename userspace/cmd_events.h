/* SPDX-License-Identifier: MIT */
/* `heliograph guard events`; ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_EVENTS_H
#define HG_USERSPACE_CMD_EVENTS_H

#include "cmd_agent.h"

int hg_cmd_guard_events(void *ctx, int argc, char **argv);

#endif
