/* SPDX-License-Identifier: MIT */
/*
 * The times of a Thing Model, docs/thing-model.md: how often its devices synchronise, and within
 * what something is delivered.
 */
#ifndef HG_USERSPACE_MODEL_TIMES_H
#define HG_USERSPACE_MODEL_TIMES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include "interval.h"

/*
 * Seconds, or a text of ISO 8601 with weeks, days, hours, minutes and seconds ("PT10M"), in ms.
 * Returns 0, or -EINVAL: it is none, or longer than ten years.
 */
int hg_duration_parse(const json_t *value, uint64_t *ms);

/*
 * All times of the model. Returns 0, or -EINVAL with a message that names the place in err. `times`
 * counts what the mirror delivers only: actions, and properties that it owns.
 */
int hg_model_times_read(const json_t *root, struct hg_model_times *times, char *err,
			size_t err_size);

#endif
