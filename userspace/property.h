/* SPDX-License-Identifier: MIT */
/*
 * Writes by the device's side: an application on the socket, or a "$set" command of the mirror.
 * Checked by the model, durable when these return 0, then told to watchers and to the sync.
 * -EINVAL, -ENOENT, -EPERM, -ENOSPC, -EDQUOT, -EIO with the reason in err.
 */
#ifndef HG_USERSPACE_PROPERTY_H
#define HG_USERSPACE_PROPERTY_H

#include <jansson.h>
#include <stddef.h>
#include "store.h"

struct hg_agent;

#define HG_PROPERTIES_PER_WRITE 64

/* Sets all members of the object `values` or none. `urgent`: start a session at once. */
int hg_property_write(struct hg_agent *agent, const json_t *values, bool urgent, size_t *changed,
		      char *err, size_t err_size);
/*
 * Adds to a property that the model makes a counter; *sum is its value then. The model is held
 * against that.
 */
int hg_property_add(struct hg_agent *agent, const char *name, int64_t delta, bool urgent,
		    int64_t *sum, char *err, size_t err_size);
int hg_property_remove(struct hg_agent *agent, const char *name, char *err, size_t err_size);

/* Logs values that lost against newer ones of the other side, and tells watchers of them. */
void hg_property_lost(struct hg_agent *agent, uint64_t after);

/* {"id", "name", "owner", "value" unless it was a removal, "time_ms"}; NULL if out of memory. */
json_t *hg_property_conflict_json(const struct hg_conflict *c);

/* The form in which applications see one; NULL if out of memory. */
json_t *hg_property_json(const struct hg_agent *agent, const struct hg_property *p);

/* True for 1..HG_WIRE_NAME_MAX bytes of [A-Za-z0-9._-], which need no quoting anywhere. */
bool hg_property_name_valid(const char *name);

#endif
