/* SPDX-License-Identifier: MIT */
/*
 * A configuration file against its table. inih reads lines that line_reader() hands it, one by
 * one, so that each error knows its line whatever inih was built with; what a line says lands in a
 * private `struct value` per row of the table. Only when the whole file is good and no required
 * key is missing are the values moved into the caller's struct.
 */
#include "conf.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 197   /* inih as commonly built has room for 200: with CR, LF and NUL */
#define LIST_MAX_DEFAULT 256 /* rows of a list whose table row says 0 */

struct value {
	int line; /* where it was set; 0: not yet */
	union {
		char *string;
		uint64_t number;
		bool flag;
		int index;
		struct hg_conf_list list;
	} is;
};

struct load {
	const struct hg_conf_key *keys;
	struct value *values;
	FILE *file;
	const char *name;
	char *line_buf;
	size_t line_size;
	int line;
	int failed; /* -errno of the first error; err holds its text */
	int failed_line;
	char *err;
	size_t err_size;
};

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

/* Levenshtein distance of short words; words over 31 bytes count as far away. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b), diagonal, above;

	if (n > 31 || strlen(a) > 31)
		return 32;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			above = row[j + 1];
			row[j + 1] = diagonal + (a[i] != b[j]);
			if (row[j + 1] > above + 1)
				row[j + 1] = above + 1;
			if (row[j + 1] > row[j] + 1)
				row[j + 1] = row[j] + 1;
			diagonal = above;
		}
	}
	return row[n];
}

void hg_nearest_add(struct hg_nearest *n, const char *word)
{
	size_t d = distance(n->wanted, word), limit = 1 + strlen(n->wanted) / 4;

	if (d <= limit && (!n->best || d < n->distance)) {
		n->best = word;
		n->distance = d;
	}
}

/* Keeps the first error; "FILE:LINE: [section] key: text". A line of 0 is not printed. */
__attribute__((format(printf, 5, 6))) static int fail(struct load *l, int line, const char *section,
						      const char *key, const char *fmt, ...)
{
	char text[512], where[32] = "";
	va_list ap;

	if (l->failed)
		return 0;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (line)
		snprintf(where, sizeof(where), ":%d", line);
	snprintf(l->err, l->err_size, "%s%s:%s%s%s%s%s%s %s", l->name, where, section ? " [" : "",
		 section ? section : "", section ? "]" : "", key ? " " : "", key ? key : "",
		 section || key ? ":" : "", text);
	l->failed = -EINVAL;
	l->failed_line = line;
	return 0;
}

/* fgets() for inih that counts and judges lines, and ends the file after the first error. */
static char *line_reader(char *out, int size, void *ctx)
{
	struct load *l = ctx;
	ssize_t len;
	char *s;

	if (l->failed)
		return NULL;
	errno = 0;
	len = getline(&l->line_buf, &l->line_size, l->file);
	if (len < 0) {
		if (ferror(l->file)) {
			l->failed = errno ? -errno : -EIO;
			snprintf(l->err, l->err_size, "%s: cannot read: %s", l->name,
				 strerror(-l->failed));
		}
		return NULL;
	}
	l->line++;
	s = l->line_buf;
	if (memchr(s, '\0', (size_t)len)) {
		fail(l, l->line, NULL, NULL, "contains a NUL byte; the file must be plain text");
		return NULL;
	}
	/* Without this inih could take an indented line for more of the value before it. */
	s += strspn(s, " \t");
	len = (ssize_t)strcspn(s, "\r\n");
	if (len > LINE_MAX_BYTES || len + 2 > size) {
		fail(l, l->line, NULL, NULL, "line has %zd bytes; at most %d are allowed", len,
		     LINE_MAX_BYTES);
		return NULL;
	}
	memcpy(out, s, (size_t)len);
	strcpy(out + len, "\n");
	return out;
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

static int set_number(struct load *l, const struct hg_conf_key *k, struct value *v,
		      const char *text)
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
		return fail(l, l->line, k->section, k->key, "\"%s\" is not %s", text,
			    forms[k->type]);
	if (rc || number < k->min || number > max) {
		put_number(low, sizeof(low), k->min, units_of(k->type));
		put_number(high, sizeof(high), max, units_of(k->type));
		return fail(l, l->line, k->section, k->key,
			    "%s is out of range; allowed is %s to %s", text, low, high);
	}
	v->is.number = number;
	return 1;
}

static int set_bool(struct load *l, const struct hg_conf_key *k, struct value *v, const char *text)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i])) {
			v->is.flag = i & 1;
			return 1;
		}
	}
	return fail(l, l->line, k->section, k->key, "\"%s\" is not a switch; write yes or no",
		    text);
}

static int set_enum(struct load *l, const struct hg_conf_key *k, struct value *v, const char *text)
{
	char all[256] = "";

	for (int i = 0; k->names[i]; i++) {
		if (!strcmp(text, k->names[i])) {
			v->is.index = i;
			return 1;
		}
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "",
			 k->names[i]);
	}
	return fail(l, l->line, k->section, k->key, "\"%s\" is not known; write one of %s", text,
		    all);
}

/* A text of the right length as a new string in *out; NULL for "" where that means absent. */
static int set_string(struct load *l, const struct hg_conf_key *k, char **out, const char *text)
{
	size_t len = strlen(text), max = k->type == HG_CONF_STRING && k->max ? k->max : SIZE_MAX;

	if (!len && k->fallback && !k->fallback[0])
		return 1;
	if (!len)
		return fail(l, l->line, k->section, k->key, "is empty; give it a value");
	if (len > max || (k->type == HG_CONF_STRING && len < k->min))
		return fail(l, l->line, k->section, k->key, "has %zu bytes; allowed is %llu to %zu",
			    len, (unsigned long long)k->min, max);
	*out = strdup(text);
	if (!*out)
		return fail(l, l->line, k->section, k->key, "out of memory");
	return 1;
}

static int add_item(struct load *l, const struct hg_conf_key *k, struct value *v, const char *text)
{
	size_t max = k->max ? k->max : LIST_MAX_DEFAULT;
	char **items, *item = NULL;

	if (v->is.list.count >= max)
		return fail(l, l->line, k->section, k->key,
			    "given more than %zu times; remove some", max);
	if (!set_string(l, k, &item, text))
		return 0;
	if (!item)
		return 1;
	items = realloc(v->is.list.items, (v->is.list.count + 1) * sizeof(*items));
	if (!items) {
		free(item);
		return fail(l, l->line, k->section, k->key, "out of memory");
	}
	v->is.list.items = items;
	items[v->is.list.count++] = item;
	return 1;
}

static int set_value(struct load *l, const struct hg_conf_key *k, struct value *v, const char *text)
{
	switch (k->type) {
	case HG_CONF_STRING:
		return set_string(l, k, &v->is.string, text);
	case HG_CONF_BOOL:
		return set_bool(l, k, v, text);
	case HG_CONF_ENUM:
		return set_enum(l, k, v, text);
	case HG_CONF_LIST:
		return add_item(l, k, v, text);
	default:
		return set_number(l, k, v, text);
	}
}

static int unknown_section(struct load *l, const char *section)
{
	struct hg_nearest near = { .wanted = section };
	const char *last = "";
	char all[256] = "";

	for (const struct hg_conf_key *k = l->keys; k->key; k++) {
		hg_nearest_add(&near, k->section);
		if (strcmp(k->section, last))
			snprintf(all + strlen(all), sizeof(all) - strlen(all), " [%s]", k->section);
		last = k->section;
	}
	if (!*section)
		return fail(l, l->line, NULL, NULL,
			    "stands before any section; start with one of%s", all);
	if (near.best)
		return fail(l, l->line, section, NULL, "no such section; did you mean [%s]?",
			    near.best);
	return fail(l, l->line, section, NULL, "no such section; there are%s", all);
}

static int unknown_key(struct load *l, const char *section, const char *key)
{
	struct hg_nearest near = { .wanted = key };
	char all[512] = "";

	for (const struct hg_conf_key *k = l->keys; k->key; k++) {
		if (strcmp(k->section, section))
			continue;
		hg_nearest_add(&near, k->key);
		snprintf(all + strlen(all), sizeof(all) - strlen(all), " %s", k->key);
	}
	if (!all[0])
		return unknown_section(l, section);
	if (near.best)
		return fail(l, l->line, section, key, "no such key; did you mean %s?", near.best);
	return fail(l, l->line, section, key, "no such key; [%s] has%s", section, all);
}

/* inih's handler: 1 is good, 0 an error. */
static int handle(void *ctx, const char *section, const char *key, const char *text)
{
	struct load *l = ctx;

	if (l->failed)
		return 0;
	for (const struct hg_conf_key *k = l->keys; k->key; k++) {
		struct value *v = &l->values[k - l->keys];

		if (strcmp(k->key, key) || strcmp(k->section, section))
			continue;
		if (v->line && k->type != HG_CONF_LIST)
			return fail(l, l->line, section, key,
				    "given again, first on line %d; remove one", v->line);
		v->line = l->line;
		return set_value(l, k, v, text);
	}
	return unknown_key(l, section, key);
}

/* What the file did not say. A fallback goes the same way as a text of the file. */
static void fill(struct load *l)
{
	l->line = 0;
	for (const struct hg_conf_key *k = l->keys; k->key && !l->failed; k++) {
		struct value *v = &l->values[k - l->keys];

		if (v->line)
			continue;
		if (!k->fallback)
			fail(l, 0, k->section, k->key, "is required; add it");
		else
			set_value(l, k, v, k->fallback);
	}
}

static void free_value(const struct hg_conf_key *k, struct value *v)
{
	if (k->type == HG_CONF_STRING) {
		free(v->is.string);
	} else if (k->type == HG_CONF_LIST) {
		for (size_t i = 0; i < v->is.list.count; i++)
			free(v->is.list.items[i]);
		free(v->is.list.items);
	}
}

static size_t value_size(enum hg_conf_type type)
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

static void parse(struct load *l)
{
	int bad = ini_parse_stream(line_reader, l, (ini_handler)handle, l);

	if (bad < 0)
		fail(l, 0, NULL, NULL, "out of memory");
	if (bad > 0 && (!l->failed || bad < l->failed_line)) { /* inih goes on after a bad line */
		l->failed = 0;
		fail(l, bad, NULL, NULL,
		     "is neither \"key = value\" nor \"[section]\"; correct it");
	}
}

int hg_conf_read(const struct hg_conf_key *keys, FILE *file, const char *name, void *out, char *err,
		 size_t err_size)
{
	struct load l = {
		.keys = keys, .file = file, .name = name, .err = err, .err_size = err_size
	};
	size_t n = 0;

	while (keys[n].key)
		n++;
	l.values = calloc(n + 1, sizeof(*l.values));
	if (!l.values)
		return -ENOMEM;
	if (file)
		parse(&l);
	fill(&l);
	for (size_t i = 0; i < n; i++) {
		if (!l.failed)
			memcpy((char *)out + keys[i].offset, &l.values[i].is,
			       value_size(keys[i].type));
		else
			free_value(&keys[i], &l.values[i]);
	}
	free(l.values);
	free(l.line_buf);
	return l.failed;
}

int hg_conf_load(const struct hg_conf_key *keys, const char *path, void *out, char *err,
		 size_t err_size)
{
	FILE *file = NULL;
	int rc;

	if (path) {
		file = fopen(path, "re");
		if (!file) {
			rc = -errno;
			snprintf(err, err_size, "%s: cannot open: %s", path, strerror(-rc));
			return rc;
		}
	}
	rc = hg_conf_read(keys, file, path ? path : "configuration", out, err, err_size);
	if (file)
		fclose(file);
	return rc;
}

void hg_conf_free(const struct hg_conf_key *keys, void *out)
{
	for (const struct hg_conf_key *k = keys; k->key; k++) {
		struct value v = { 0 };

		if (k->type != HG_CONF_STRING && k->type != HG_CONF_LIST)
			continue;
		memcpy(&v.is, (char *)out + k->offset, value_size(k->type));
		free_value(k, &v);
		memset((char *)out + k->offset, 0, value_size(k->type));
	}
}
