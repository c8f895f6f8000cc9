// SPDX-License-Identifier: MIT
/* Times of a Thing Model: read and judged once, when model.c loads the file. */
#include "model-times.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"

#define DURATION_MAX_MS (UINT64_C(3650) * 24 * 3600 * 1000)

/* The units of ISO 8601 that always have one length, in their order; `time`: those after the T. */
static const struct unit {
	char letter;
	bool time;
	uint64_t ms;
} units[] = {
	{ 'W', false, UINT64_C(7) * 24 * 3600 * 1000 },
	{ 'D', false, UINT64_C(24) * 3600 * 1000 },
	{ 'H', true, UINT64_C(3600) * 1000 },
	{ 'M', true, UINT64_C(60) * 1000 },
	{ 'S', true, UINT64_C(1000) },
};

/* One "10M" of the text: which unit, and how long in ms; decimals are of seconds only. */
static const struct unit *take_part(const char **s, bool time, double *ms)
{
	size_t n = strspn(*s, "0123456789"), all = strspn(*s, "0123456789.");
	char *end;

	if (!n || n > 10)
		return NULL;
	*ms = strtod(*s, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].time != time || units[i].letter != (*s)[all])
			continue;
		if (end != *s + all || (all != n && units[i].letter != 'S'))
			return NULL;
		*ms *= (double)units[i].ms;
		*s = end + 1;
		return &units[i];
	}
	return NULL;
}

static int parse_text(const char *s, double *ms)
{
	const struct unit *last = NULL, *unit;
	bool time = false, any = false;
	double part;

	if (*s++ != 'P')
		return -EINVAL;
	*ms = 0;
	while (*s) {
		if (*s == 'T' && !time && s[1]) {
			time = true;
			s++;
		}
		unit = take_part(&s, time, &part);
		if (!unit || (last && unit <= last))
			return -EINVAL;
		*ms += part;
		last = unit;
		any = true;
	}
	return any ? 0 : -EINVAL;
}

int hg_duration_parse(const json_t *value, uint64_t *ms)
{
	double d = -1;

	if (json_is_number(value))
		d = json_number_value(value) * 1000;
	else if (!json_is_string(value) || parse_text(json_string_value(value), &d))
		return -EINVAL;
	if (!(d >= 0 && d <= (double)DURATION_MAX_MS))
		return -EINVAL;
	*ms = (uint64_t)(d + 0.5);
	return 0;
}

static int take(const json_t *of, const char *place, const char *term, uint64_t *ms, char *err,
		size_t err_size)
{
	const json_t *value = json_object_get(of, term);

	if (!value || !hg_duration_parse(value, ms))
		return 0;
	snprintf(err, err_size, "%s/%s: is not a duration; write seconds or \"PT10M\"", place,
		 term);
	return -EINVAL;
}

/* The shortest hg:deliverWithin of the mirror's part of `kind` goes to *within. */
static int take_within(const json_t *root, const char *kind, uint64_t *within, char *err,
		       size_t err_size)
{
	bool properties = !strcmp(kind, "properties");
	const char *name;
	char place[128];
	json_t *thing;

	json_object_foreach ((json_t *)json_object_get(root, kind), name, thing) {
		uint64_t ms = 0;
		int ret;

		snprintf(place, sizeof(place), "/%s/%.64s", kind, name);
		ret = take(thing, place, "hg:deliverWithin", &ms, err, err_size);
		if (ret)
			return ret;
		if (ms && (!*within || ms < *within) && !(properties && hg_model_is_ours(thing)))
			*within = ms;
	}
	return 0;
}

int hg_model_times_read(const json_t *root, struct hg_model_times *times, char *err,
			size_t err_size)
{
	struct hg_model_times t = { 0 };
	int ret = take(root, "", "hg:interval", &t.interval, err, err_size);

	if (!ret)
		ret = take(root, "", "hg:intervalMin", &t.min, err, err_size);
	if (!ret)
		ret = take(root, "", "hg:intervalMax", &t.max, err, err_size);
	if (!ret)
		ret = take(root, "", "hg:intervalIdle", &t.idle, err, err_size);
	if (!ret)
		ret = take_within(root, "actions", &t.within, err, err_size);
	if (!ret)
		ret = take_within(root, "properties", &t.within, err, err_size);
	if (!ret && t.min && t.max && t.min > t.max) {
		snprintf(err, err_size, "/hg:intervalMin: is over hg:intervalMax; lower it");
		ret = -EINVAL;
	}
	if (!ret)
		*times = t;
	return ret;
}
