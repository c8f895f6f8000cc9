/* SPDX-License-Identifier: MIT */
/*
 * Rows for the devices of a state: by admin_device_add(), which `heliograph-mirror device add`
 * calls too, but 1,000 in one transaction. That command would need a process, a key and two files
 * synced to the disk for each.
 */
#ifndef TESTS_LOAD_ENROL_H
#define TESTS_LOAD_ENROL_H

#include "state.h"

struct load_database {
	const char *conninfo, *schema, *model;
};

/*
 * Enrols those that are not yet. Returns how many that were, or -1 with a message in err.
 */
long load_enrol(const struct load_state *s, const struct load_database *db, char *err, size_t size);

#endif
