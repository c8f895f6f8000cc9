/* SPDX-License-Identifier: MIT */
/*
 * The Thing Model (WoT TD 1.1) of this device, as far as the agent needs it: which property is
 * whose, and what a value must look like. The mirror checks by the same file.
 *
 * Understood in data schemas: type, const, enum, minimum, maximum, exclusiveMinimum,
 * exclusiveMaximum, minLength, maxLength, minItems, maxItems, items, properties, required.
 * Ours, in a property: "hg:owner": "device" or "mirror" (without it a readOnly property is the
 * device's and any other the mirror's), or instead "hg:merge": "newest" or "counter" (both sides
 * write it), "hg:urgent": true (a change starts a session at once), "hg:deliverWithin". At the top
 * and in actions: times, see model-times.h.
 */
#ifndef HG_USERSPACE_MODEL_H
#define HG_USERSPACE_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store.h"

struct hg_model;
struct hg_model_times;

/* NULL with a message that names the file and the place in err. */
struct hg_model *hg_model_load(const char *path, char *err, size_t err_size);
void hg_model_free(struct hg_model *m);

/* The model's title, or "". */
const char *hg_model_title(const struct hg_model *m);

/*
 * May the device set property `name` to `value` (NULL: remove it)? -ENOENT: the model has no such
 * property; -EPERM: it is the mirror's; -EINVAL: the value does not fit. The reason is in err.
 */
int hg_model_check(const struct hg_model *m, const char *name, const json_t *value, char *err,
		   size_t err_size);

/* HG_MERGE_NONE for a property that the model does not have. */
enum hg_merge hg_model_rule(const struct hg_model *m, const char *name);

/* Of a property's data schema: is it the device's? */
bool hg_model_is_ours(const json_t *schema);

/* In how many ms a change of our property is to be told; UINT64_MAX: the model does not say. */
uint64_t hg_model_tell_within(const struct hg_model *m, const char *name);

const struct hg_model_times *hg_model_times(const struct hg_model *m);

#endif
