// SPDX-License-Identifier: MIT
/*
 * `heliograph profile diff`: two profiles, say of two firmware versions. It compares their JSON
 * values: channels by name, remotes and ports as sets, all else member by member, and gathers what
 * differs as one list that is then printed.
 */
#include "cmd_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/args.h"

struct diff {
	json_t *path;	 /* of what is compared: array of keys and names */
	json_t *changes; /* array of {"path", "old", "new"}; what is not there is left out */
};

static void add(struct diff *d, const json_t *old, const json_t *new)
{
	json_t *change = json_pack("{s:o}", "path", json_copy(d->path));

	if (old)
		json_object_set(change, "old", (json_t *)old);
	if (new)
		json_object_set(change, "new", (json_t *)new);
	json_array_append_new(d->changes, change);
}

static void enter(struct diff *d, const char *key)
{
	json_array_append_new(d->path, json_string(key));
}

static void leave(struct diff *d)
{
	json_array_remove(d->path, json_array_size(d->path) - 1);
}

static bool has(const json_t *array, const json_t *value)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (json_equal(json_array_get(array, i), value))
			return true;
	return false;
}

/* One value, or the elements of an array, as a new array. */
static json_t *as_array(const json_t *v)
{
	json_t *array = json_is_array(v) ? json_copy((json_t *)v) : json_array();

	if (v && !json_is_array(v))
		json_array_append(array, (json_t *)v);
	return array;
}

static void compare_sets(struct diff *d, const json_t *a, const json_t *b)
{
	json_t *old = as_array(a), *new = as_array(b);

	for (size_t i = 0; i < json_array_size(old); i++)
		if (!has(new, json_array_get(old, i)))
			add(d, json_array_get(old, i), NULL);
	for (size_t i = 0; i < json_array_size(new); i++)
		if (!has(old, json_array_get(new, i)))
			add(d, NULL, json_array_get(new, i));
	json_decref(old);
	json_decref(new);
}

static void compare_members(struct diff *d, const json_t *a, const json_t *b);

/* Either may be NULL. */
static void compare(struct diff *d, const char *key, const json_t *a, const json_t *b)
{
	if (a && b && json_equal(a, b))
		return;
	enter(d, key);
	/* Without ports it is any port: that is no set of none. */
	if (!strcmp(key, "remote") || (!strcmp(key, "ports") && json_is_array(a) && b))
		compare_sets(d, a, b);
	else if (json_is_object(a) || json_is_object(b))
		compare_members(d, a, b);
	else
		add(d, a, b);
	leave(d);
}

static void compare_members(struct diff *d, const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)a, key, v)
		if (strcmp(key, "channels"))
			compare(d, key, v, json_object_get(b, key));
	json_object_foreach ((json_t *)b, key, v)
		if (strcmp(key, "channels") && !json_object_get(a, key))
			compare(d, key, NULL, v);
}

static const char *name_of(const json_t *channel)
{
	return json_string_value(json_object_get(channel, "name"));
}

static const json_t *find(const json_t *channels, const char *name)
{
	for (size_t i = 0; i < json_array_size(channels); i++)
		if (!strcmp(name_of(json_array_get(channels, i)), name))
			return json_array_get(channels, i);
	return NULL;
}

/* Names of the channels that both have, in the order of the first. */
static json_t *common(const json_t *a, const json_t *b)
{
	json_t *names = json_array();

	for (size_t i = 0; i < json_array_size(a); i++) {
		const char *name = name_of(json_array_get(a, i));

		if (find(b, name))
			json_array_append_new(names, json_string(name));
	}
	return names;
}

static void compare_channels(struct diff *d, const json_t *a, const json_t *b)
{
	json_t *old = common(a, b), *new = common(b, a);

	enter(d, "channels");
	for (size_t i = 0; i < json_array_size(a); i++) {
		const json_t *ch = json_array_get(a, i), *other = find(b, name_of(ch));

		enter(d, name_of(ch));
		if (other)
			compare_members(d, ch, other);
		else
			add(d, ch, NULL);
		leave(d);
	}
	for (size_t i = 0; i < json_array_size(b); i++) {
		const json_t *ch = json_array_get(b, i);

		enter(d, name_of(ch));
		if (!find(a, name_of(ch)))
			add(d, NULL, ch);
		leave(d);
	}
	leave(d);
	/* The first channel that fits has a flow: their order means something. */
	enter(d, "order");
	if (!json_equal(old, new))
		add(d, old, new);
	leave(d);
	json_decref(old);
	json_decref(new);
}

/* "channels web envelope 60 flows" as "web: 60 s flows". */
static void print_path(const json_t *path)
{
	size_t n = json_array_size(path), i = 0;
	const char *key = json_string_value(json_array_get(path, 0));

	if (!strcmp(key, "channels")) {
		printf("%s%s", json_string_value(json_array_get(path, 1)), n > 2 ? ":" : "");
		i = 2;
	}
	for (; i < n; i++) {
		key = json_string_value(json_array_get(path, i));
		if (strcmp(key, "envelope"))
			printf("%s%s%s", i ? " " : "", key,
			       strspn(key, "0123456789") == strlen(key) ? " s" : "");
	}
}

static void print_value(const json_t *v)
{
	char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;

	if (json_is_string(v))
		printf("%s", json_string_value(v));
	else
		printf("%s", text ? text : "not said");
	free(text);
}

static void print_change(const json_t *change)
{
	const json_t *path = json_object_get(change, "path");
	const json_t *old = json_object_get(change, "old"), *new = json_object_get(change, "new");
	const char *last = json_string_value(json_array_get(path, json_array_size(path) - 1));
	bool element = !strcmp(last, "remote") ||
		       (!strcmp(last, "ports") && !json_is_array(old) && !json_is_array(new));
	bool whole = json_is_object(old) || json_is_object(new) || (element && (!old || !new));

	printf("%c ", !whole || (old && new) ? '~' : old ? '-' : '+');
	print_path(path);
	printf(json_is_object(old) || json_is_object(new) ? ": channel " : ": ");
	if (!whole) {
		print_value(old);
		printf(" -> ");
		print_value(new);
	} else {
		print_value(old ? old : new);
	}
	putchar('\n');
}

static json_t *changes_of(const struct hg_profile *a, const struct hg_profile *b)
{
	struct diff d = { json_array(), json_array() };
	json_t *old = hg_profile_to_json(a), *new = hg_profile_to_json(b);

	if (old && new &&d.path && d.changes) {
		compare_members(&d, old, new);
		compare_channels(&d, json_object_get(old, "channels"),
				 json_object_get(new, "channels"));
	} else {
		json_decref(d.changes);
		d.changes = NULL;
	}
	json_decref(d.path);
	json_decref(old);
	json_decref(new);
	return d.changes;
}

int hg_cmd_profile_diff(void *ctx, int argc, char **argv)
{
	struct hg_arg args[] = { { "json", NULL, 1, 0, 'j' }, { 0 } };
	const struct hg_cli *cli = ctx;
	struct hg_profile *a, *b;
	json_t *changes = NULL;
	int ret = HG_EXIT_USAGE; /* as of diff(1): 0 the same, 1 not, 2 in trouble */

	if (hg_args_take("heliograph", argc, argv, 2, 2, args) < 0)
		return HG_EXIT_USAGE;
	a = hg_cmd_profile_load(argv[1]);
	b = a ? hg_cmd_profile_load(argv[2]) : NULL;
	if (b)
		changes = changes_of(a, b);
	free(a);
	free(b);
	if (!changes)
		return ret;
	ret = json_array_size(changes) ? 1 : HG_EXIT_OK;
	if (cli->json || args[0].count)
		return hg_cmd_profile_json(changes) ? HG_EXIT_USAGE : ret;
	for (size_t i = 0; i < json_array_size(changes); i++)
		print_change(json_array_get(changes, i));
	json_decref(changes);
	return fflush(stdout) ? HG_EXIT_USAGE : ret;
}
