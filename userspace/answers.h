/* SPDX-License-Identifier: MIT */
/*
 * The device's DNS answers as the agent uses them: what the guard tells of goes into the table of
 * names (names.h), and what that says of addresses goes into the guard's map. The table outlives
 * the agent in a file, for as long as the machine runs.
 */
#ifndef HG_USERSPACE_ANSWERS_H
#define HG_USERSPACE_ANSWERS_H

#include <jansson.h>
#include <stdint.h>
#include "guard.h"
#include "profile-compile.h"

struct hg_answers;

/*
 * Begins with what `file` (NULL: none is kept) holds of an agent before this one. now_s in all
 * calls: hg_uptime_ms() in seconds. NULL: no memory.
 */
struct hg_answers *hg_answers_new(const char *file, uint64_t now_s);
/* The file is brought up to date; the guard keeps what it has. */
void hg_answers_free(struct hg_answers *a);

/* The names of another profile; NULL: none. */
void hg_answers_set_profile(struct hg_answers *a, const struct hg_compiled *profile);
/* The guard was attached, maybe anew: its map is made what the table says. NULL: there is none. */
void hg_answers_set_guard(struct hg_answers *a, const struct hg_guard_ops *ops,
			  struct hg_guard *guard);

/* The guard tells of an answer. */
void hg_answers_take(struct hg_answers *a, const struct hg_answer_event *e, uint64_t now_s);
/* To be called every few seconds. */
void hg_answers_tick(struct hg_answers *a, uint64_t now_s);

/* A new object, or NULL. */
json_t *hg_answers_status(const struct hg_answers *a);

#endif
