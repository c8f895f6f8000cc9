// SPDX-License-Identifier: MIT
/*
 * The writer of profiles: one profile, one form. Keys stand in the order of docs/profile.md, what
 * is default is left out, and what fits on a line stands on one.
 */
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/cborjson.h"
#include "profile-text.h"

#define COLUMNS 100
#define INDENT 2

/* Sets a member; NULL stays NULL, and a value that could not be made makes it NULL. */
static json_t *with(json_t *object, const char *key, json_t *value)
{
	if (!object || json_object_set_new(object, key, value)) {
		if (!object)
			json_decref(value);
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *with_number(json_t *object, const char *key, uint64_t n)
{
	return with(object, key, json_integer((json_int_t)n));
}

static json_t *envelope_json(const struct hg_profile_envelope *e)
{
	json_t *all = json_object();
	char key[8];

	for (int w = 0; w < HG_WINDOWS; w++) {
		json_t *window = json_object();

		for (int f = 0; f < HG_ENVELOPE_FEATURES; f++)
			if (e->most[w][f] != HG_PROFILE_UNTESTED)
				window = with_number(window, hg_profile_feature_name(f),
						     e->most[w][f]);
		snprintf(key, sizeof(key), "%u", hg_profile_seconds(w));
		if (window && !json_object_size(window))
			json_decref(window);
		else
			all = with(all, key, window);
	}
	return all;
}

static json_t *append(json_t *array, json_t *value)
{
	if (!array || json_array_append_new(array, value)) {
		if (!array)
			json_decref(value);
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *ports_json(const struct hg_profile_channel *ch)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ch->n_ports; i++) {
		const struct hg_profile_ports *p = &ch->ports[i];

		list = append(list, p->min == p->max ? json_integer(p->min)
						     : json_sprintf("%u-%u", p->min, p->max));
	}
	return list;
}

static json_t *remotes_json(const struct hg_profile *p, const struct hg_profile_channel *ch)
{
	const struct hg_profile_remote *r = &p->remotes[ch->remotes];
	char text[HG_REMOTE_TEXT_MAX];
	json_t *list;

	if (ch->n_remotes == 1)
		return json_string(hg_remote_write(r, text));
	list = json_array();
	for (size_t i = 0; i < ch->n_remotes; i++)
		list = append(list, json_string(hg_remote_write(&r[i], text)));
	return list;
}

static json_t *sum_json(const struct hg_profile_sum *s)
{
	return with_number(with_number(json_object(), "rate", s->rate), "limit", s->limit);
}

static json_t *with_walk(json_t *o, const struct hg_profile_channel *ch)
{
	const struct hg_profile_walk *w = &ch->walk;
	json_t *sums;

	if (w->given)
		o = with(o, "walk",
			 with_number(with_number(with_number(json_object(), "limit", w->limit),
						 "up", w->up),
				     "down", w->down));
	if (!ch->sum_flows.given && !ch->sum_bytes.given)
		return o;
	sums = json_object();
	if (ch->sum_flows.given)
		sums = with(sums, "flows", sum_json(&ch->sum_flows));
	if (ch->sum_bytes.given)
		sums = with(sums, "bytes", sum_json(&ch->sum_bytes));
	return with(o, "sum", sums);
}

json_t *hg_profile_channel_to_json(const struct hg_profile *p, const struct hg_profile_channel *ch)
{
	const char *proto = hg_proto_name(ch->proto);
	json_t *o = with(json_object(), "name", json_string(ch->name));

	o = with(o, "proto", proto ? json_string(proto) : json_integer(ch->proto));
	if (ch->n_ports)
		o = with(o, "ports", ports_json(ch));
	o = with(o, "remote", remotes_json(p, ch));
	if (ch->remote_opens)
		o = with(o, "opener", json_string("remote"));
	o = with(o, "envelope", envelope_json(&ch->envelope));
	if (ch->no_answers)
		o = with(o, "answers", json_false());
	return with_walk(o, ch);
}

static json_t *with_time(json_t *o, const char *key, int64_t time)
{
	char text[HG_TEXT_MAX];

	return time ? with(o, key, json_string(hg_time_write(time, text))) : o;
}

json_t *hg_profile_to_json(const struct hg_profile *p)
{
	json_t *o = json_object(), *channels = json_array();
	struct hg_profile_envelope usual;

	hg_profile_outside_init(&usual);
	o = with(o, "model", json_string(p->model));
	o = with(o, "firmware", json_string(p->firmware));
	if (*p->maker)
		o = with(o, "maker", json_string(p->maker));
	if (p->serial)
		o = with_number(o, "serial", p->serial);
	o = with_time(o, "valid_from", p->valid_from);
	o = with_time(o, "valid_until", p->valid_until);
	if (p->margin_percent != HG_PROFILE_MARGIN_DEFAULT)
		o = with_number(o, "margin_percent", p->margin_percent);
	if (memcmp(&p->outside, &usual, sizeof(usual)))
		o = with(o, "outside", envelope_json(&p->outside));
	for (size_t i = 0; i < p->n_channels; i++)
		channels = append(channels, hg_profile_channel_to_json(p, &p->channels[i]));
	return with(o, "channels", channels);
}

/* A value on one line if it fits behind what stands there, else each member on its own. */
static bool print(FILE *f, const json_t *v, size_t depth, size_t column)
{
	char *flat = json_dumps(v, JSON_ENCODE_ANY);
	const json_t *member;
	const char *key;
	size_t n = 0, size = json_is_array(v) ? json_array_size(v) : json_object_size(v);
	bool good = flat;

	if (!flat || !size || column + strlen(flat) < COLUMNS) {
		good = flat && fputs(flat, f) >= 0;
		free(flat);
		return good;
	}
	free(flat);
	fputs(json_is_array(v) ? "[\n" : "{\n", f);
	if (json_is_array(v)) {
		for (; good && n < size; n++) {
			fprintf(f, "%*s", (int)(depth + INDENT), "");
			good = print(f, json_array_get(v, n), depth + INDENT, depth + INDENT + 1);
			fputs(n + 1 < size ? ",\n" : "\n", f);
		}
	} else {
		json_object_foreach ((json_t *)v, key, member) {
			int wide = fprintf(f, "%*s\"%s\": ", (int)(depth + INDENT), "", key);

			good = good && print(f, member, depth + INDENT, (size_t)wide + 1);
			fputs(++n < size ? ",\n" : "\n", f);
		}
	}
	return fprintf(f, "%*s%c", (int)depth, "", json_is_array(v) ? ']' : '}') > 0 && good;
}

char *hg_profile_write(const struct hg_profile *p)
{
	json_t *root = hg_profile_to_json(p);
	char *text = NULL;
	size_t size;
	FILE *f = root ? open_memstream(&text, &size) : NULL;
	bool good = f && print(f, root, 0, 0) && fputc('\n', f) != EOF;

	json_decref(root);
	if (f && fclose(f))
		good = false;
	if (good)
		return text;
	free(text);
	return NULL;
}

long hg_profile_encode(const struct hg_profile *p, void *buf, size_t size)
{
	json_t *root = hg_profile_to_json(p);
	long n = root ? hg_cbor_from_json(root, buf, size) : -ENOMEM;

	json_decref(root);
	return n;
}
