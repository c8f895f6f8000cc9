// SPDX-License-Identifier: MIT
/*
 * `heliograph profile import-mud` and `export-mud`. What the other form cannot say is told on
 * standard error, a line for each; the result goes to standard output or the file of -o, and only
 * if all of it is good.
 */
#include "cmd_profile_mud.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../lib/args.h"
#include "cmd_profile.h"
#include "mud.h"
#include "profile-text.h"

/* A whole file, or NULL after saying why. */
static char *read_file(const char *path, size_t max, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = malloc(max + 1);
	bool good = false;

	if (!f) {
		fprintf(stderr, "heliograph: %s: %s\n", path, strerror(errno));
	} else if (!text) {
		fprintf(stderr, "heliograph: out of memory\n");
	} else {
		*len = fread(text, 1, max + 1, f);
		good = !ferror(f) && *len <= max;
		if (!good)
			fprintf(stderr, "heliograph: %s: %s\n", path,
				*len > max ? "larger than any such file may be" : strerror(errno));
	}
	if (f)
		fclose(f);
	if (good)
		return text;
	free(text);
	return NULL;
}

static int write_file(const char *path, const json_t *root)
{
	FILE *f = path ? fopen(path, "we") : stdout;
	bool good;

	if (!f) {
		fprintf(stderr, "heliograph: %s: %s\n", path, strerror(errno));
		return HG_EXIT_FAILED;
	}
	good = !json_dumpf(root, f, HG_MUD_DUMP) && fputc('\n', f) != EOF && !fflush(f);
	if (path && fclose(f))
		good = false;
	if (good)
		return HG_EXIT_OK;
	fprintf(stderr, "heliograph: %s: %s\n", path ? path : "standard output", strerror(errno));
	if (path)
		unlink(path); /* half a file must not be taken for a whole one */
	return HG_EXIT_FAILED;
}

static void tell(const json_t *notes)
{
	const json_t *note;
	size_t i;

	json_array_foreach ((json_t *)notes, i, note)
		fprintf(stderr, "heliograph: note: %s\n", json_string_value(note));
}

/* Writes the result of either way, or says what is wrong with the file. */
static int finish(const char *file, const char *out, json_t *result, json_t *notes, const char *err)
{
	int ret = HG_EXIT_FAILED;

	if (result) {
		tell(notes);
		ret = write_file(out, result);
	} else {
		fprintf(stderr, "heliograph: %s: %s\n", file, err);
	}
	json_decref(result);
	json_decref(notes);
	return ret;
}

static int import_mud(void *ctx, int argc, char **argv)
{
	const char *out = NULL, *model = NULL, *firmware = NULL;
	struct hg_arg args[] = { { "out", &out, 1, 0, 'o' },
				 { "model", &model, 1, 0, 0 },
				 { "firmware", &firmware, 1, 0, 0 },
				 { "lists", NULL, 1, 0, 0 },
				 { 0 } };
	struct hg_mud_import_options o;
	json_t *notes, *profile;
	char err[1024] = "", *text;
	size_t len;

	if (hg_args_take("heliograph", argc, argv, 1, 1, args) < 0)
		return HG_EXIT_USAGE;
	text = read_file(argv[1], HG_MUD_SIZE_MAX, &len);
	if (!text)
		return HG_EXIT_FAILED;
	o = (struct hg_mud_import_options){ model, firmware, args[3].count };
	notes = json_array();
	profile = hg_mud_import(text, len, &o, notes, err, sizeof(err));
	free(text);
	return finish(argv[1], out, profile, notes, err);
}

/* A profile as JSON, with what import has put beside the channels; NULL after saying why. */
static json_t *load(const char *path)
{
	json_error_t where;
	json_t *root = NULL;
	struct hg_profile *p;
	char *text;
	size_t len;

	text = read_file(path, HG_PROFILE_SIZE_MAX, &len);
	if (!text)
		return NULL;
	text[len] = '\0'; /* read_file() has room for it */
	if (text[strspn(text, " \t\r\n")] == '{') {
		root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
		if (!root)
			fprintf(stderr, "heliograph: %s: line %d column %d: not JSON: %s\n", path,
				where.line, where.column, where.text);
	} else {
		p = hg_cmd_profile_load(path);
		root = p ? hg_profile_to_json(p) : NULL;
		if (p && !root)
			hg_cmd_no_memory();
		free(p);
	}
	free(text);
	return root;
}

static int export_mud(void *ctx, int argc, char **argv)
{
	const char *out = NULL, *url = NULL;
	struct hg_arg args[] = { { "out", &out, 1, 0, 'o' },
				 { "mud-url", &url, 1, 0, 0 },
				 { "plain", NULL, 1, 0, 0 },
				 { 0 } };
	struct hg_mud_export_options o;
	json_t *profile, *notes, *root;
	char err[1024] = "", now[HG_TEXT_MAX];
	int ret;

	if (hg_args_take("heliograph", argc, argv, 1, 1, args) < 0)
		return HG_EXIT_USAGE;
	profile = load(argv[1]);
	if (!profile)
		return HG_EXIT_FAILED;
	o = (struct hg_mud_export_options){ url, hg_time_write(time(NULL), now), args[2].count };
	notes = json_array();
	root = hg_mud_export(profile, &o, notes, err, sizeof(err));
	ret = finish(argv[1], out, root, notes, err);
	json_decref(profile);
	return ret;
}

const struct hg_subcommand hg_profile_mud_subcommands[] = {
	{ "profile import-mud", "FILE [-o OUT] [--model NAME] [--firmware NAME] [--lists]",
	  "make a traffic profile of a MUD file (RFC 8520)", import_mud },
	{ "profile export-mud", "FILE [-o OUT] [--mud-url URL] [--plain]",
	  "make a MUD file of a traffic profile", export_mud },
	{ 0 },
};
