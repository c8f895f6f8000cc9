// SPDX-License-Identifier: MIT
/*
 * MUD file to profile: one channel for each grant of the access lists, without envelopes, for a
 * MUD file has none. A file with our extension has the whole profile in it, which is taken if it
 * and the access lists grant the same. What no channel can say stands in `mud`, for export.
 */
#include "mud-acl.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "profile-text.h"
#include "profile.h"

/* What becomes a channel: a grant in the IP versions in which it is the same. */
struct unit {
	const struct hg_mud_grant *grant;
	struct hg_profile_remote remote;
	uint8_t families;
	bool answers;
	bool done; /* is in a channel */
	size_t order;
};

struct import {
	struct hg_mud m;
	struct hg_profile p;
	json_t *only[2]; /* names of channels that are for IPv4 only, for IPv6 only */
	size_t n_units;
	struct unit *units; /* room for two of each grant */
};

/* --- names */

static bool taken(const struct hg_profile *p, const char *name)
{
	if (!strcmp(name, "outside") || !strcmp(name, HG_MUD_DEFAULT_DNS) ||
	    !strcmp(name, HG_MUD_DEFAULT_NTP))
		return true;
	for (size_t i = 0; i < p->n_channels; i++)
		if (!strcmp(p->channels[i].name, name))
			return true;
	return false;
}

/* The entry's name without what says its direction, as RFC 8520's example has it. */
static void channel_name(const struct hg_profile *p, const char *ace,
			 char out[static HG_PROFILE_NAME_MAX + 1])
{
	char base[HG_MUD_NAME_MAX + 1], suffix[8];
	size_t n;

	snprintf(base, sizeof(base), "%s", ace);
	n = strlen(base);
	if (n > 6 && (!strcmp(base + n - 6, "-frdev") || !strcmp(base + n - 6, "-todev")))
		base[n - 6] = '\0';
	if (!hg_mud_clean_name(base, out))
		strcpy(out, "channel");
	n = strlen(out);
	for (unsigned int i = 2; taken(p, out); i++) {
		int len = snprintf(suffix, sizeof(suffix), "-%u", i);

		if (n + (size_t)len > HG_PROFILE_NAME_MAX)
			n = HG_PROFILE_NAME_MAX - (size_t)len;
		strcpy(out + n, suffix);
	}
}

static void take_name(struct import *im, const char *key, const char *text,
		      char out[static HG_PROFILE_NAME_MAX + 1])
{
	char path[64];

	if (!hg_mud_clean_name(text, out))
		strcpy(out, HG_MUD_UNKNOWN);
	snprintf(path, sizeof(path), "$.ietf-mud:mud.%s", key);
	if (strcmp(out, text))
		hg_mud_note(&im->m, path, "'%.60s' is no name of a profile, taken as '%s'", text,
			    out);
}

/* The first of these members that is there. */
static const char *first_of(const json_t *header, const char *a, const char *b, const char **key)
{
	*key = json_object_get(header, a) ? a : b;
	return json_string_value(json_object_get(header, *key));
}

static void set_names(struct import *im)
{
	const char *s, *key;

	s = first_of(im->m.header, "model-name", "systeminfo", &key);
	take_name(im, key, s ? s : HG_MUD_UNKNOWN, im->p.model);
	s = first_of(im->m.header, "firmware-rev", "software-rev", &key);
	take_name(im, key, s ? s : HG_MUD_UNKNOWN, im->p.firmware);
	s = json_string_value(json_object_get(im->m.header, "mfg-name"));
	if (s)
		take_name(im, "mfg-name", s, im->p.maker);
}

/* --- units */

/* The IP version that the channel has anyway; 0: both. */
static uint8_t implied(const struct hg_mud_grant *g, const struct hg_profile_remote *r)
{
	if (g->proto == IPPROTO_ICMP)
		return HG_MUD_V4;
	if (g->proto == IPPROTO_ICMPV6)
		return HG_MUD_V6;
	if (r->kind == HG_REMOTE_PREFIX)
		return strchr(g->remote, ':') ? HG_MUD_V6 : HG_MUD_V4;
	return HG_MUD_V4 | HG_MUD_V6;
}

static bool same_flows(const struct unit *a, const struct unit *b)
{
	return a->grant->opener == b->grant->opener && a->grant->proto == b->grant->proto &&
	       a->answers == b->answers && hg_mud_ports_equal(&a->grant->ports, &b->grant->ports);
}

static void add_unit(struct import *im, const struct hg_mud_grant *g, uint8_t families,
		     bool answers)
{
	struct unit *u = &im->units[im->n_units];

	*u = (struct unit){
		.grant = g, .families = families, .answers = answers, .order = im->n_units
	};
	hg_remote_read(g->remote, &u->remote);
	/* Of all IPv4 addresses a prefix says what no list of names can. */
	if (u->remote.kind == HG_REMOTE_ANY && families == HG_MUD_V4 &&
	    implied(g, &u->remote) != HG_MUD_V4)
		hg_remote_read("0.0.0.0/0", &u->remote);
	if (implied(g, &u->remote) == families)
		u->families = HG_MUD_V4 | HG_MUD_V6;
	for (size_t i = 0; i < im->n_units; i++)
		if (same_flows(&im->units[i], u) && im->units[i].families == u->families &&
		    !strcmp(im->units[i].grant->remote, g->remote))
			return;
	im->n_units++;
}

static void add_units(struct import *im)
{
	for (size_t i = 0; i < im->m.n_grants; i++) {
		const struct hg_mud_grant *g = &im->m.grants[i];
		bool v4 = hg_mud_granted(g, 0), v6 = hg_mud_granted(g, 1);

		if (v4 && v6 && hg_mud_answered(g, 0) == hg_mud_answered(g, 1)) {
			add_unit(im, g, HG_MUD_V4 | HG_MUD_V6, hg_mud_answered(g, 0));
			continue;
		}
		if (v4)
			add_unit(im, g, HG_MUD_V4, hg_mud_answered(g, 0));
		if (v6)
			add_unit(im, g, HG_MUD_V6, hg_mud_answered(g, 1));
	}
}

/* The first channel that fits takes a flow, so the narrow ones come first. */
static int width(const struct hg_profile_remote *r)
{
	switch (r->kind) {
	case HG_REMOTE_PREFIX:
		return r->prefix_len > 96 ? 128 - r->prefix_len : 512;
	case HG_REMOTE_NAME:
		return 256;
	case HG_REMOTE_PEER:
		return 257;
	case HG_REMOTE_LOCAL:
		return 258;
	default:
		return 513;
	}
}

static int compare(const void *a, const void *b)
{
	const struct unit *ua = a, *ub = b;
	int wide = width(&ua->remote) - width(&ub->remote);

	if (wide)
		return wide;
	if (!ua->grant->ports.n != !ub->grant->ports.n)
		return ua->grant->ports.n ? -1 : 1;
	return ua->order < ub->order ? -1 : 1;
}

/* --- channels */

static int no_channel(struct import *im, size_t wanted)
{
	hg_mud_leave(&im->m, 1);
	return hg_mud_fail(
		&im->m,
		"makes %zu channels, though those that differ in the remote only are put "
		"together; a profile has at most %d",
		wanted, HG_PROFILE_CHANNELS_MAX);
}

/* A channel of the unit, and if `put_together` of those after it that differ in the remote only. */
static int add_channel(struct import *im, size_t first, bool put_together)
{
	struct unit *u = &im->units[first];
	const struct hg_mud_ports *ports = &u->grant->ports;
	char name[HG_PROFILE_NAME_MAX + 1];
	struct hg_profile_channel *ch;

	channel_name(&im->p, u->grant->name, name);
	ch = hg_profile_add_channel(&im->p, name);
	if (!ch)
		return -E2BIG;
	ch->proto = u->grant->proto;
	ch->remote_opens = u->grant->opener == HG_MUD_REMOTE;
	ch->no_answers = !u->answers;
	for (unsigned int i = 0; i < ports->n; i++)
		hg_profile_add_ports(&im->p, ports->r[i].min, ports->r[i].max);
	for (size_t i = first; i < im->n_units; i++) {
		struct unit *v = &im->units[i];
		struct hg_profile_remote *r;

		if (v->done || (v != u && (!put_together || v->remote.kind != u->remote.kind ||
					   v->families != u->families || !same_flows(u, v))))
			continue;
		r = hg_profile_add_remote(&im->p);
		if (!r)
			break;
		*r = v->remote;
		v->done = true;
	}
	if (u->families != (HG_MUD_V4 | HG_MUD_V6))
		json_array_append_new(im->only[u->families == HG_MUD_V6], json_string(name));
	return 0;
}

static size_t count_channels(const struct import *im)
{
	size_t n = 0;

	for (size_t i = 0; i < im->n_units; i++) {
		size_t same = 0;

		for (size_t j = 0; j < i; j++)
			same += im->units[j].remote.kind == im->units[i].remote.kind &&
				im->units[j].families == im->units[i].families &&
				same_flows(&im->units[j], &im->units[i]);
		n += same % HG_PROFILE_REMOTES_MAX == 0;
	}
	return n;
}

/* Whether an entry takes away, or a channel grants, what RFC 8520 grants by default. */
static bool default_decided(const struct import *im, const char *remote, uint16_t port)
{
	for (size_t i = 0; i < im->m.n_aces; i++) {
		const struct hg_mud_ace *a = &im->m.aces[i];
		bool in = !a->far.n;

		for (unsigned int k = 0; k < a->far.n; k++)
			in |= port >= a->far.r[k].min && port <= a->far.r[k].max;
		if ((!a->lost || a->drop) && a->direction == HG_MUD_FROM && in &&
		    (!a->proto || a->proto == IPPROTO_UDP) &&
		    (!strcmp(a->remote, remote) || !strcmp(a->remote, "any")))
			return true;
	}
	return false;
}

static int add_default(struct import *im, const char *name, const char *remote, uint16_t port)
{
	struct hg_profile_channel *ch;

	if (default_decided(im, remote, port))
		return 0;
	ch = hg_profile_add_channel(&im->p, name);
	if (!ch)
		return -E2BIG;
	ch->proto = IPPROTO_UDP;
	hg_profile_add_ports(&im->p, port, port);
	hg_remote_read(remote, hg_profile_add_remote(&im->p));
	hg_mud_note(&im->m, "$", "channel '%s' is what RFC 8520 permits by default", name);
	return 0;
}

static int add_channels(struct import *im)
{
	size_t defaults = !default_decided(im, "dns", 53) + !default_decided(im, "ntp", 123);
	bool put_together = im->n_units + defaults > HG_PROFILE_CHANNELS_MAX;
	size_t wanted = put_together ? count_channels(im) + defaults : 0;
	size_t remotes = im->n_units + defaults;

	qsort(im->units, im->n_units, sizeof(im->units[0]), compare);
	if (wanted > HG_PROFILE_CHANNELS_MAX)
		return no_channel(im, wanted);
	if (remotes > HG_PROFILE_REMOTES_ALL) {
		hg_mud_leave(&im->m, 1);
		return hg_mud_fail(&im->m, "has %zu remotes; a profile has at most %d", remotes,
				   HG_PROFILE_REMOTES_ALL);
	}
	if (put_together)
		hg_mud_note(&im->m, "$",
			    "%zu ways to talk are too many channels: those that differ in the "
			    "remote only are put together",
			    remotes);
	for (size_t i = 0; i < im->n_units; i++)
		if (!im->units[i].done && add_channel(im, i, put_together))
			return no_channel(im, remotes);
	if (add_default(im, HG_MUD_DEFAULT_DNS, "dns", 53) ||
	    add_default(im, HG_MUD_DEFAULT_NTP, "ntp", 123))
		return no_channel(im, remotes);
	return 0;
}

/* --- what channels cannot say */

static json_t *kept_entries(const struct import *im)
{
	json_t *list = json_array();

	for (size_t i = 0; i < im->m.n_aces; i++) {
		const struct hg_mud_ace *a = &im->m.aces[i];

		if (a->keep)
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:O}", "direction",
							a->direction == HG_MUD_FROM ? "from-device"
										    : "to-device",
							"type", a->type, "ace", a->node));
	}
	return list;
}

/* Of the header what export cannot make anew. */
static json_t *kept_header(const struct import *im)
{
	static const char *const keys[] = { "mud-url",	    "cache-validity", "is-supported",
					    "systeminfo",   "mfg-name",	      "model-name",
					    "firmware-rev", "software-rev",   "documentation" };
	json_t *header = json_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_object_get(im->m.header, keys[i]))
			json_object_set(header, keys[i], json_object_get(im->m.header, keys[i]));
	return header;
}

static void set_member(json_t *o, const char *key, json_t *list)
{
	if (json_array_size(list))
		json_object_set_new(o, key, list);
	else
		json_decref(list);
}

static json_t *finish(struct import *im)
{
	json_t *root = hg_profile_to_json(&im->p), *mud = json_object();
	struct hg_profile *again = malloc(sizeof(*again));

	json_object_set_new(mud, "header", kept_header(im));
	set_member(mud, "entries", kept_entries(im));
	set_member(mud, "ipv4", json_incref(im->only[0]));
	set_member(mud, "ipv6", json_incref(im->only[1]));
	if (!root || !again || json_object_set_new(root, "mud", mud)) {
		snprintf(im->m.err, im->m.err_size, "out of memory");
	} else if (!hg_profile_from_json(root, again, im->m.err, im->m.err_size)) {
		free(again);
		return root;
	}
	free(again);
	json_decref(root);
	return NULL;
}

static json_t *import_lists(struct import *im)
{
	json_t *root = NULL;

	hg_mud_grant_all(&im->m);
	im->units = calloc(2 * im->m.n_grants + 1, sizeof(*im->units));
	if (!im->units) {
		snprintf(im->m.err, im->m.err_size, "out of memory");
		return NULL;
	}
	add_units(im);
	set_names(im);
	im->only[0] = json_array();
	im->only[1] = json_array();
	if (!add_channels(im))
		root = finish(im);
	json_decref(im->only[0]);
	json_decref(im->only[1]);
	return root;
}

/* --- our extension */

/* The first key of a that b does not have. */
static const char *missing(json_t *a, const json_t *b, const char **name)
{
	const char *key;
	json_t *value;

	json_object_foreach (a, key, value) {
		*name = json_string_value(value);
		if (!json_object_get(b, key))
			return key;
	}
	return NULL;
}

static int check_same(struct import *im, const json_t *root, const json_t *profile)
{
	const struct hg_mud_export_options o = {
		.url = json_string_value(json_object_get(im->m.header, "mud-url")),
		.last_update = "1970-01-01T00:00:00Z",
	};
	json_t *notes = json_array(), *lists = hg_mud_entries(root), *ours = NULL;
	const char *name = NULL;
	json_t *again;
	char err[256];
	int ret = -EINVAL;

	hg_mud_leave(&im->m, 1);
	hg_mud_enter(&im->m, ".%s.profile", HG_MUD_EXTENSION_NODE);
	again = hg_mud_export(profile, &o, notes, err, sizeof(err));
	if (!again) {
		hg_mud_fail(&im->m, "%s", err);
		goto out;
	}
	ours = hg_mud_entries(again);
	if (missing(lists, ours, &name))
		hg_mud_fail(&im->m, "does not grant what '%s' of the access lists grants", name);
	else if (missing(ours, lists, &name))
		hg_mud_fail(&im->m, "grants '%s', which the access lists do not grant", name);
	else
		ret = 0;
out:
	json_decref(again);
	json_decref(ours);
	json_decref(lists);
	json_decref(notes);
	return ret;
}

/* What the lists cannot say to a profile they need not, then. */
static void forget_notes(json_t *notes)
{
	static const char lists[] = "$.ietf-access-control-list";

	for (size_t i = json_array_size(notes); i-- > 0;)
		if (!strncmp(json_string_value(json_array_get(notes, i)), lists, strlen(lists)))
			json_array_remove(notes, i);
}

static json_t *import_extension(struct import *im, const json_t *root)
{
	char err[512];

	hg_mud_leave(&im->m, 1);
	hg_mud_enter(&im->m, ".%s.profile", HG_MUD_EXTENSION_NODE);
	if (hg_profile_from_json(im->m.extension, &im->p, err, sizeof(err))) {
		/* "$.channels[1]" is inside the extension here. */
		snprintf(im->m.err, im->m.err_size, "%s%s", im->m.path, err + (err[0] == '$'));
		return NULL;
	}
	if (check_same(im, root, im->m.extension))
		return NULL;
	forget_notes(im->m.notes);
	return json_deep_copy(im->m.extension);
}

/* --- both */

static json_t *import(struct import *im, const json_t *root, const struct hg_mud_import_options *o)
{
	json_t *profile;

	hg_profile_init(&im->p);
	if (hg_mud_read(&im->m, root))
		return NULL;
	profile = im->m.extension && !o->lists_only ? import_extension(im, root) : import_lists(im);
	if (profile && o->model)
		json_object_set_new(profile, "model", json_string(o->model));
	if (profile && o->firmware)
		json_object_set_new(profile, "firmware", json_string(o->firmware));
	if (profile && (hg_profile_from_json(profile, &im->p, im->m.err, im->m.err_size) ||
			hg_mud_check_size(&im->m, profile, "profile", HG_PROFILE_SIZE_MAX))) {
		json_decref(profile);
		return NULL;
	}
	return profile;
}

json_t *hg_mud_import(const char *text, size_t len, const struct hg_mud_import_options *o,
		      json_t *notes, char *err, size_t err_size)
{
	json_t *root, *profile = NULL;
	struct import *im;
	json_error_t where;

	if (len > HG_MUD_SIZE_MAX) {
		snprintf(err, err_size, "larger than %d bytes", HG_MUD_SIZE_MAX);
		return NULL;
	}
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	im = calloc(1, sizeof(*im));
	if (!root) {
		snprintf(err, err_size, "line %d column %d: not JSON: %s", where.line, where.column,
			 where.text);
	} else if (!im) {
		snprintf(err, err_size, "out of memory");
	} else {
		im->m.err = err;
		im->m.err_size = err_size;
		im->m.notes = notes;
		profile = import(im, root, o);
	}
	if (im)
		free(im->units);
	free(im);
	json_decref(root);
	return profile;
}
