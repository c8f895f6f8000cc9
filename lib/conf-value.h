/* SPDX-License-Identifier: MIT */
/* One value of a configuration file, by the type that its row in the table says. */
#ifndef HG_LIB_CONF_VALUE_H
#define HG_LIB_CONF_VALUE_H

#include "conf.h"

union hg_conf_value {
	char *string;
	uint64_t number;
	bool flag;
	int index;
	struct hg_conf_list list;
};

/*
 * Sets *v (zero at first) from text; of a list, adds to it. Returns 0, or -EINVAL or -ENOMEM with
 * "what; what to do" in why and *v as it was.
 */
int hg_conf_value_set(const struct hg_conf_key *k, union hg_conf_value *v, const char *text,
		      char *why, size_t why_size);

/* Between *v and the field of the caller's struct. */
void hg_conf_value_store(const struct hg_conf_key *k, const union hg_conf_value *v, void *out);
void hg_conf_value_fetch(const struct hg_conf_key *k, const void *from, union hg_conf_value *v);

/* Frees what *v owns. */
void hg_conf_value_free(const struct hg_conf_key *k, union hg_conf_value *v);

#endif
