/* SPDX-License-Identifier: MIT */
/*
 * Commands of the mirror: taken from the journal, run by handlers in [device] commands_dir, ended
 * in the journal. docs/commands.md says what a handler sees.
 */
#ifndef HG_USERSPACE_COMMAND_H
#define HG_USERSPACE_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct hg_agent;
struct hg_commands;

/* NULL with a message in err. Nothing runs before hg_commands_look(). */
struct hg_commands *hg_commands_new(struct hg_agent *agent, char *err, size_t err_size);
/* Kills what runs; at the next start those commands are unknown, or run again if repeatable. */
void hg_commands_free(struct hg_commands *c);

/* There may be something in the journal. */
void hg_commands_look(struct hg_commands *c);

/* True while something runs that may end within this session, or waits to run. */
bool hg_commands_busy(const struct hg_commands *c);

/* For `status`; a new object. */
json_t *hg_commands_status(const struct hg_commands *c);

#endif
