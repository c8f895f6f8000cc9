/* SPDX-License-Identifier: MIT */
/* `heliograph profile learn`; ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_PROFILE_LEARN_H
#define HG_USERSPACE_CMD_PROFILE_LEARN_H

/* Learned, but what looked like an attack was left out: to be looked at. */
#define HG_EXIT_LEFT_OUT 6

int hg_cmd_profile_learn(void *ctx, int argc, char **argv);

#endif
