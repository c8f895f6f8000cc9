/* SPDX-License-Identifier: MIT */
/*
 * Values of a configuration file: from text, by the type and the limits of a row of the table. Used
 * by conf.c only, which adds the place to what is said here about the value.
 */
#include "conf-value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX_DEFAULT 256 /* rows of a list whose table row says 0 */

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest last: the way a number is written back looks for the largest that divides it. */
static const struct unit durations[] = {
	{ "ms", 1 },	  { "s", 1000 },     { "m", 60000 },
	{ "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};
static const struct unit sizes[] = {
	{ "", 1 }, { "K", 1u << 10 }, { "M", 1u << 20 }, { "G", 1u << 30 }, { NULL, 0 },
};
static const struct unit plain[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(enum hg_conf_type type)
{
	return type == HG_CONF_DURATION ? durations : type == HG_CONF_SIZE ? sizes : plain;
}

struct why {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, why->size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static void put_number(char *out, size_t size, uint64_t number, const struct unit *units)
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->name; u++)
		if (number && number % u->factor == 0)
			best = u;
	snprintf(out, size, "%llu%s", (unsigned long long)(number / best->factor), best->name);
}

/* Decimal digits, then one of the units. A zero needs none. */
static int parse_number(const char *text, const struct unit *units, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t n = 0;

	if (!digits)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
			return -ERANGE;
	for (const struct unit *u = units; u->name; u++) {
		if (strcmp(text + digits, u->name))
			continue;
		return __builtin_mul_overflow(n, u->factor, out) ? -ERANGE : 0;
	}
	if (n || text[digits])
		return -EINVAL;
	*out = 0;
	return 0;
}

static int set_number(const struct hg_conf_key *k, union hg_conf_value *v, const char *text,
		      struct why *why)
{
	static const char *const forms[] = {
		[HG_CONF_UINT] = "a number; write decimal digits only",
		[HG_CONF_DURATION] =
			"a duration; write a number with its unit: 500ms, 30s, 5m, 2h, 1d",
		[HG_CONF_SIZE] = "a size; write bytes, or a number with its unit: 64K, 8M, 1G",
	};
	uint64_t max = k->max ? k->max : UINT64_MAX, number = 0;
	int rc = parse_number(text, units_of(k->type), &number);
	char low[32], high[32];

	if (rc == -EINVAL)
		return refuse(why, "\"%.64s\" is not %s", text, forms[k->type]);
	if (rc || number < k->min || number > max) {
		put_number(low, sizeof(low), k->min, units_of(k->type));
		put_number(high, sizeof(high), max, units_of(k->type));
		return refuse(why, "%.64s is out of range; allowed is %s to %s", text, low, high);
	}
	v->number = number;
	return 0;
}

static int set_bool(const struct hg_conf_key *k, union hg_conf_value *v, const char *text,
		    struct why *why)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i])) {
			v->flag = i & 1;
			return 0;
		}
	}
	return refuse(why, "\"%.64s\" is not a switch; write yes or no", text);
}

static int set_enum(const struct hg_conf_key *k, union hg_conf_value *v, const char *text,
		    struct why *why)
{
	char all[256] = "";

	for (int i = 0; k->names[i]; i++) {
		if (!strcmp(text, k->names[i])) {
			v->index = i;
			return 0;
		}
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "",
			 k->names[i]);
	}
	return refuse(why, "\"%.64s\" is not known; write one of %s", text, all);
}

/* A text of the right length as a new string in *out; NULL for "" where that means absent. */
static int set_string(const struct hg_conf_key *k, char **out, const char *text, struct why *why)
{
	size_t len = strlen(text), max = k->type == HG_CONF_STRING && k->max ? k->max : SIZE_MAX;

	if (!len && k->fallback && !k->fallback[0])
		return 0;
	if (!len)
		return refuse(why, "is empty; give it a value");
	if (len > max || (k->type == HG_CONF_STRING && len < k->min))
		return refuse(why, "has %zu bytes; allowed is %llu to %zu", len,
			      (unsigned long long)k->min, max);
	*out = strdup(text);
	if (!*out)
		return -ENOMEM;
	return 0;
}

static int add_item(const struct hg_conf_key *k, union hg_conf_value *v, const char *text,
		    struct why *why)
{
	size_t max = k->max ? k->max : LIST_MAX_DEFAULT;
	char **items, *item = NULL;
	int rc;

	if (v->list.count >= max)
		return refuse(why, "given more than %zu times; remove some", max);
	rc = set_string(k, &item, text, why);
	if (rc || !item)
		return rc;
	items = realloc(v->list.items, (v->list.count + 1) * sizeof(*items));
	if (!items) {
		free(item);
		return -ENOMEM;
	}
	v->list.items = items;
	items[v->list.count++] = item;
	return 0;
}

int hg_conf_value_set(const struct hg_conf_key *k, union hg_conf_value *v, const char *text,
		      char *why_text, size_t why_size)
{
	struct why why = { why_text, why_size };

	switch (k->type) {
	case HG_CONF_STRING:
		return set_string(k, &v->string, text, &why);
	case HG_CONF_BOOL:
		return set_bool(k, v, text, &why);
	case HG_CONF_ENUM:
		return set_enum(k, v, text, &why);
	case HG_CONF_LIST:
		return add_item(k, v, text, &why);
	default:
		return set_number(k, v, text, &why);
	}
}

static size_t size_of(enum hg_conf_type type)
{
	switch (type) {
	case HG_CONF_STRING:
		return sizeof(char *);
	case HG_CONF_BOOL:
		return sizeof(bool);
	case HG_CONF_ENUM:
		return sizeof(int);
	case HG_CONF_LIST:
		return sizeof(struct hg_conf_list);
	default:
		return sizeof(uint64_t);
	}
}

void hg_conf_value_store(const struct hg_conf_key *k, const union hg_conf_value *v, void *out)
{
	memcpy((char *)out + k->offset, v, size_of(k->type));
}

void hg_conf_value_fetch(const struct hg_conf_key *k, const void *from, union hg_conf_value *v)
{
	memcpy(v, (const char *)from + k->offset, size_of(k->type));
}

void hg_conf_value_free(const struct hg_conf_key *k, union hg_conf_value *v)
{
	if (k->type == HG_CONF_STRING) {
		free(v->string);
	} else if (k->type == HG_CONF_LIST) {
		for (size_t i = 0; i < v->list.count; i++)
			free(v->list.items[i]);
		free(v->list.items);
	}
}
