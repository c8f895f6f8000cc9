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

/* For all of them: the profile of any form; NULL after saying what is wrong. free() it. */
struct hg_profile *hg_cmd_profile_load(const char *path);

/*
 * Prints to stdout, and says how the program is to end. hg_cmd_profile_json() takes its reference;
 * NULL is "out of memory".
 */
int hg_cmd_profile_print(const struct hg_profile *p);
int hg_cmd_profile_json(json_t *json);
int hg_cmd_no_memory(void);

/* Rows of the table that have files of their own; ctx is a struct hg_cli. */
int hg_cmd_profile_diff(void *ctx, int argc, char **argv);
int hg_cmd_profile_sign(void *ctx, int argc, char **argv);
int hg_cmd_profile_verify(void *ctx, int argc, char **argv);
int hg_cmd_profile_compile(void *ctx, int argc, char **argv);

#endif
