/* SPDX-License-Identifier: MIT */
/* `heliograph profile plot`; ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_PROFILE_PLOT_H
#define HG_USERSPACE_CMD_PROFILE_PLOT_H

int hg_cmd_profile_plot(void *ctx, int argc, char **argv);

#endif
