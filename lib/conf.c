/* SPDX-License-Identifier: MIT */
/*
 * A configuration file against its table. inih reads lines that line_reader() hands it, one by
 * one, so that each error knows its line whatever inih was built with; what a line says lands in a
 * private slot per row of the table. Only when the whole file is good and no required
 * key is missing are the values moved into the caller's struct.
 */
#include "conf.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf-value.h"
#include "nearest.h"

#define LINE_SIZE 2048 /* of a line with its newline and NUL: room for a long conninfo */

/*
 * Debian's inih lets its user choose; where it does not, lines have the 200 bytes it was built
 * with.
 */
extern int ini_max_line __attribute__((weak));

/* What a row of the table has got so far. */
struct slot {
	int line; /* where it was set; 0: not yet */
	union hg_conf_value value;
};

struct load {
	const struct hg_conf_key *keys;
	struct slot *slots;
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
	if (len + 2 > size) {
		fail(l, l->line, NULL, NULL, "line has %zd bytes; at most %d are allowed", len,
		     size - 2);
		return NULL;
	}
	memcpy(out, s, (size_t)len);
	strcpy(out + len, "\n");
	return out;
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

static int set(struct load *l, const struct hg_conf_key *k, const char *text)
{
	char why[384] = "out of memory";

	if (!hg_conf_value_set(k, &l->slots[k - l->keys].value, text, why, sizeof(why)))
		return 1;
	return fail(l, l->line, k->section, k->key, "%s", why);
}

/* inih's handler: 1 is good, 0 an error. */
static int handle(void *ctx, const char *section, const char *key, const char *text)
{
	struct load *l = ctx;

	if (l->failed)
		return 0;
	for (const struct hg_conf_key *k = l->keys; k->key; k++) {
		struct slot *slot = &l->slots[k - l->keys];

		if (strcmp(k->key, key) || strcmp(k->section, section))
			continue;
		if (slot->line && k->type != HG_CONF_LIST)
			return fail(l, l->line, section, key,
				    "given again, first on line %d; remove one", slot->line);
		slot->line = l->line;
		return set(l, k, text);
	}
	return unknown_key(l, section, key);
}

/* What the file did not say. A fallback goes the same way as a text of the file. */
static void fill(struct load *l)
{
	l->line = 0;
	for (const struct hg_conf_key *k = l->keys; k->key && !l->failed; k++) {
		if (l->slots[k - l->keys].line)
			continue;
		if (!k->fallback)
			fail(l, 0, k->section, k->key, "is required; add it");
		else
			set(l, k, k->fallback);
	}
}

static void parse(struct load *l)
{
	int bad;

	if (&ini_max_line)
		ini_max_line = LINE_SIZE;
	bad = ini_parse_stream(line_reader, l, (ini_handler)handle, l);
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
	l.slots = calloc(n + 1, sizeof(*l.slots));
	if (!l.slots) {
		snprintf(err, err_size, "%s: out of memory", name);
		return -ENOMEM;
	}
	if (file)
		parse(&l);
	fill(&l);
	for (size_t i = 0; i < n; i++) {
		if (!l.failed)
			hg_conf_value_store(&keys[i], &l.slots[i].value, out);
		else
			hg_conf_value_free(&keys[i], &l.slots[i].value);
	}
	free(l.slots);
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
		union hg_conf_value v;

		if (k->type != HG_CONF_STRING && k->type != HG_CONF_LIST)
			continue;
		hg_conf_value_fetch(k, out, &v);
		hg_conf_value_free(k, &v);
		memset(&v, 0, sizeof(v));
		hg_conf_value_store(k, &v, out);
	}
}
