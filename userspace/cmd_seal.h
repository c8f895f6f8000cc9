/* SPDX-License-Identifier: MIT */
/* `heliograph guard seal|lock|unlock`; ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_SEAL_H
#define HG_USERSPACE_CMD_SEAL_H

int hg_cmd_guard_seal(void *ctx, int argc, char **argv);
int hg_cmd_guard_lock(void *ctx, int argc, char **argv);
int hg_cmd_guard_unlock(void *ctx, int argc, char **argv);

#endif
