/* SPDX-License-Identifier: MIT */
/* `heliograph guard probe`: ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_PROBE_H
#define HG_USERSPACE_CMD_PROBE_H

int hg_cmd_guard_probe(void *ctx, int argc, char **argv);

#endif
