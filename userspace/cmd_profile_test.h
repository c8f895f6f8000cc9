/* SPDX-License-Identifier: MIT */
/* `heliograph profile test`; ctx is a struct hg_cli. */
#ifndef HG_USERSPACE_CMD_PROFILE_TEST_H
#define HG_USERSPACE_CMD_PROFILE_TEST_H

int hg_cmd_profile_test(void *ctx, int argc, char **argv);

#endif
