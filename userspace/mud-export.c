// SPDX-License-Identifier: MIT
/*
 * Profile to MUD file. Each way to talk that a channel grants becomes an entry for the question and
 * one for the answer, in either IP version. A profile that was imported has kept the entries that
 * say more than a channel can: these are written as they were, as long as the channels that were
 * made of them are still there. The whole profile goes into the file as our extension.
 */
#include "mud-acl.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "profile-text.h"
#include "profile.h"

#define CACHE_VALIDITY 48 /* hours; RFC 8520's default */

struct unit {
	struct hg_mud_unit is;
	char remote[HG_REMOTE_TEXT_MAX];
	bool done; /* kept entries grant it */
};

/* A list in the making. */
struct list {
	const char *type;
	enum hg_mud_direction direction;
	json_t *aces;
	json_t *names; /* of entries: how many had this one */
};

#define LISTS_MAX 12 /* six types, two directions */

struct export
{
	struct hg_profile p;
	struct hg_mud m; /* of the kept entries */
	json_t *notes;
	const json_t *mud; /* what import kept; NULL: nothing */
	struct unit *units;
	size_t n_units;
	size_t n_lists;
	struct list lists[LISTS_MAX];
};

/* --- units */

static bool in_list(const json_t *mud, const char *key, const char *name)
{
	const json_t *list = json_object_get(mud, key);
	const char *s;

	for (size_t i = 0; i < json_array_size(list); i++) {
		s = json_string_value(json_array_get(list, i));
		if (s && !strcmp(s, name))
			return true;
	}
	return false;
}

static uint8_t families_of(const struct export *ex, const struct hg_profile_channel *ch,
			   const struct hg_profile_remote *r, const char *text)
{
	if (ch->proto == IPPROTO_ICMP || in_list(ex->mud, "ipv4", ch->name))
		return HG_MUD_V4;
	if (ch->proto == IPPROTO_ICMPV6 || in_list(ex->mud, "ipv6", ch->name))
		return HG_MUD_V6;
	if (r->kind == HG_REMOTE_PREFIX)
		return strchr(text, ':') ? HG_MUD_V6 : HG_MUD_V4;
	return HG_MUD_V4 | HG_MUD_V6;
}

/* What RFC 8520 permits by default needs no entry. */
static bool is_default(const struct export *ex, const struct hg_profile_channel *ch)
{
	const struct hg_profile_remote *r = &ex->p.remotes[ch->remotes];
	bool dns = !strcmp(ch->name, HG_MUD_DEFAULT_DNS);

	return (dns || !strcmp(ch->name, HG_MUD_DEFAULT_NTP)) && ch->proto == IPPROTO_UDP &&
	       !ch->remote_opens && !ch->no_answers && ch->n_remotes == 1 &&
	       r->kind == HG_REMOTE_PEER && r->role == (dns ? HG_PEER_DNS : HG_PEER_NTP) &&
	       ch->n_ports == 1 && ch->ports[0].min == ch->ports[0].max &&
	       ch->ports[0].min == (dns ? 53 : 123);
}

static void add_unit(struct export *ex, const struct hg_profile_channel *ch, const char *remote,
		     size_t range, bool v6)
{
	struct unit *u = &ex->units[ex->n_units++];

	snprintf(u->remote, sizeof(u->remote), "%s", remote);
	u->is = (struct hg_mud_unit){ .name = ch->name,
				      .remote = u->remote,
				      .v6 = v6,
				      .remote_opens = ch->remote_opens,
				      .answers = !ch->no_answers,
				      .proto = ch->proto };
	if (ch->n_ports) {
		u->is.port_min = ch->ports[range].min;
		u->is.port_max = ch->ports[range].max;
	}
}

static void add_channel(struct export *ex, size_t index)
{
	const struct hg_profile_channel *ch = &ex->p.channels[index];
	char text[HG_REMOTE_TEXT_MAX], path[64];

	for (size_t i = 0; i < ch->n_remotes; i++) {
		const struct hg_profile_remote *r = &ex->p.remotes[ch->remotes + i];
		uint8_t families;

		hg_remote_write(r, text);
		families = families_of(ex, ch, r, text);
		if (!hg_mud_can_name(text)) {
			snprintf(path, sizeof(path), "$.channels[%zu].remote", index);
			hg_mud_note(&ex->m, path,
				    "'%s' cannot be said in an access list; it is in the "
				    "extension only",
				    text);
			continue;
		}
		/* An entry without a network is the same, and what other tools write. */
		if (!strcmp(text, "0.0.0.0/0") || !strcmp(text, "::/0"))
			strcpy(text, "any");
		for (size_t range = 0; range < (ch->n_ports ? ch->n_ports : 1u); range++)
			for (int v6 = 0; v6 < 2; v6++)
				if (families & (v6 ? HG_MUD_V6 : HG_MUD_V4))
					add_unit(ex, ch, text, range, v6);
	}
}

static int add_units(struct export *ex)
{
	size_t most = 0;

	for (size_t i = 0; i < ex->p.n_channels; i++) {
		const struct hg_profile_channel *ch = &ex->p.channels[i];

		most += 2 * (size_t)ch->n_remotes * (ch->n_ports ? ch->n_ports : 1u);
	}
	ex->units = calloc(most + 1, sizeof(*ex->units));
	if (!ex->units)
		return hg_mud_fail(&ex->m, "out of memory");
	for (size_t i = 0; i < ex->p.n_channels; i++)
		if (!is_default(ex, &ex->p.channels[i]))
			add_channel(ex, i);
	return 0;
}

/* --- kept entries */

static int read_entry(struct export *ex, const json_t *v, int list)
{
	const char *direction, *type;
	const json_t *ace;
	size_t at;

	if (!json_is_object(v))
		return hg_mud_fail(&ex->m, "must be an object");
	if (hg_mud_string(&ex->m, v, "direction", 16, true, &direction) ||
	    hg_mud_string(&ex->m, v, "type", 128, true, &type) ||
	    hg_mud_container(&ex->m, v, "ace", JSON_OBJECT, true, &ace))
		return -1;
	at = hg_mud_enter(&ex->m, ".direction");
	if (strcmp(direction, "from-device") && strcmp(direction, "to-device"))
		return hg_mud_fail(&ex->m, "must be from-device or to-device");
	hg_mud_leave(&ex->m, at);
	hg_mud_enter(&ex->m, ".type");
	type = hg_mud_type(&ex->m, type);
	if (!type)
		return -1;
	hg_mud_leave(&ex->m, at);
	hg_mud_enter(&ex->m, ".ace");
	if (hg_mud_ace_read(&ex->m, ace, *direction == 'f' ? HG_MUD_FROM : HG_MUD_TO, type, list))
		return -1;
	hg_mud_leave(&ex->m, at);
	return 0;
}

/* What import has noted of these entries is not noted again. */
static int read_kept(struct export *ex)
{
	json_t *notes = ex->m.notes, *unused = json_array();
	const json_t *entries;
	int ret = -1;

	ex->m.notes = unused;
	hg_mud_enter(&ex->m, ".mud");
	if (hg_mud_container(&ex->m, ex->mud, "entries", JSON_ARRAY, false, &entries))
		goto out;
	for (size_t i = 0; i < json_array_size(entries); i++) {
		size_t at = hg_mud_enter(&ex->m, ".entries[%zu]", i);

		if (i == HG_MUD_ACES_MAX) {
			hg_mud_fail(&ex->m, "one entry too many; at most %d are taken",
				    HG_MUD_ACES_MAX);
			goto out;
		}
		if (read_entry(ex, json_array_get(entries, i), 0))
			goto out;
		hg_mud_leave(&ex->m, at);
	}
	hg_mud_grant_all(&ex->m);
	ret = 0;
out:
	ex->m.notes = notes;
	json_decref(unused);
	return ret;
}

static struct unit *find_unit(struct export *ex, const struct hg_mud_grant *g, const char *remote,
			      unsigned int range, bool v6)
{
	for (size_t i = 0; i < ex->n_units; i++) {
		const struct hg_mud_unit *u = &ex->units[i].is;

		if (u->v6 == v6 && u->proto == g->proto && !strcmp(u->remote, remote) &&
		    u->remote_opens == (g->opener == HG_MUD_REMOTE) &&
		    u->answers == hg_mud_answered(g, v6) &&
		    u->port_min == (g->ports.n ? g->ports.r[range].min : 0) &&
		    u->port_max == (g->ports.n ? g->ports.r[range].max : 0))
			return &ex->units[i];
	}
	return NULL;
}

/*
 * Whether the profile still has all that the grant gives; if so, and `take`, nothing else writes
 * it.
 */
static bool still_there(struct export *ex, const struct hg_mud_grant *g, bool take)
{
	struct hg_profile_remote r;
	char remote[HG_REMOTE_TEXT_MAX];

	hg_remote_read(g->remote, &r);
	hg_remote_write(&r, remote);
	for (int v6 = 0; v6 < 2; v6++) {
		for (unsigned int k = 0;
		     hg_mud_granted(g, v6) && k < (g->ports.n ? g->ports.n : 1u); k++) {
			struct unit *u = find_unit(ex, g, remote, k, v6);

			if (!u)
				return false;
			if (take)
				u->done = true;
		}
	}
	return true;
}

/* --- lists */

/* RFC 8519's types, where a file had a draft's or eth in a list that has none. */
static const char *type_of(const struct hg_mud_ace *a)
{
	const json_t *eth = json_object_get(json_object_get(a->node, "matches"), "eth");

	if (!strcmp(a->type, "ethernet-acl-type"))
		return "eth-acl-type";
	if (eth && !strcmp(a->type, "ipv4-acl-type"))
		return "mixed-eth-ipv4-acl-type";
	if (eth && !strcmp(a->type, "ipv6-acl-type"))
		return "mixed-eth-ipv6-acl-type";
	return a->type;
}

static struct list *list_of(struct export *ex, enum hg_mud_direction direction, const char *type)
{
	struct list *l;

	for (size_t i = 0; i < ex->n_lists; i++)
		if (ex->lists[i].direction == direction && !strcmp(ex->lists[i].type, type))
			return &ex->lists[i];
	l = &ex->lists[ex->n_lists++];
	*l = (struct list){
		.type = type, .direction = direction, .aces = json_array(), .names = json_object()
	};
	return l;
}

/* Names are unique in a list: "sync", "sync-2". */
static void append(struct list *l, json_t *ace)
{
	const char *base = json_string_value(json_object_get(ace, "name"));
	char name[HG_MUD_NAME_MAX + 1];
	unsigned int n = (unsigned int)json_integer_value(json_object_get(l->names, base));

	snprintf(name, sizeof(name), "%s", base);
	while (json_object_get(l->names, name))
		snprintf(name, sizeof(name), "%.*s-%u", HG_MUD_NAME_MAX - 11, base, ++n);
	json_object_set_new(l->names, base, json_integer(n ? n : 1));
	json_object_set_new(l->names, name, json_integer(1));
	if (strcmp(name, base))
		json_object_set_new(ace, "name", json_string(name));
	json_array_append_new(l->aces, ace);
}

static bool same_list(const struct hg_mud_ace *a, const struct hg_mud_ace *b)
{
	return a->direction == b->direction && !strcmp(type_of(a), type_of(b));
}

/* An entry that drops, and behind which no kept one of its list accepts, ends its list. */
static bool comes_last(const struct export *ex, size_t index)
{
	const struct hg_mud_ace *a = &ex->m.aces[index];

	for (size_t i = index + 1; i < ex->m.n_aces; i++)
		if (!ex->m.aces[i].drop && same_list(a, &ex->m.aces[i]))
			return false;
	return a->drop;
}

static void append_kept(struct export *ex, bool last)
{
	for (size_t i = 0; i < ex->m.n_aces; i++) {
		struct hg_mud_ace *a = &ex->m.aces[i];
		bool good = a->lost;

		if (comes_last(ex, i) != last)
			continue;
		for (int k = 0; k < 2 && a->grants[k] >= 0; k++)
			good |= still_there(ex, &ex->m.grants[a->grants[k]], false);
		if (good) {
			json_t *ace = json_deep_copy(a->node);

			hg_mud_tidy(ace);
			append(list_of(ex, a->direction, type_of(a)), ace);
		} else {
			hg_mud_note(&ex->m, a->path,
				    "'%s' is not written: its channel is no longer in the profile",
				    a->name);
		}
	}
}

static int append_unit(struct export *ex, const struct unit *u)
{
	static const enum hg_mud_direction directions[] = { HG_MUD_FROM, HG_MUD_TO };

	for (int i = 0; i < 2; i++) {
		bool question = (directions[i] == HG_MUD_TO) == u->is.remote_opens;
		json_t *ace;

		if (!question && !u->is.answers)
			continue;
		ace = hg_mud_entry(&u->is, directions[i], u->is.name, ex->m.authority);
		if (!ace)
			return hg_mud_fail(&ex->m, "out of memory");
		append(list_of(ex, directions[i], u->is.v6 ? "ipv6-acl-type" : "ipv4-acl-type"),
		       ace);
	}
	return 0;
}

static int make_lists(struct export *ex)
{
	size_t wanted = ex->m.n_aces;

	for (size_t i = 0; i < ex->m.n_grants; i++)
		if (still_there(ex, &ex->m.grants[i], false))
			still_there(ex, &ex->m.grants[i], true);
	for (size_t i = 0; i < ex->n_units; i++)
		wanted += ex->units[i].done ? 0 : 1 + ex->units[i].is.answers;
	hg_mud_leave(&ex->m, 1);
	if (wanted > HG_MUD_ACES_MAX)
		return hg_mud_fail(&ex->m,
				   "makes %zu entries of access lists; at most %d are written",
				   wanted, HG_MUD_ACES_MAX);
	append_kept(ex, false);
	for (size_t i = 0; i < ex->n_units; i++)
		if (!ex->units[i].done && append_unit(ex, &ex->units[i]))
			return -1;
	append_kept(ex, true);
	return 0;
}

/* --- the file */

static const json_t *kept(const struct export *ex, const char *key)
{
	return json_object_get(json_object_get(ex->mud, "header"), key);
}

/*
 * What the profile says counts; but where import had to change a letter, and the profile still says
 * what it made of it, the file gets what it had.
 */
static void set_name(const struct export *ex, json_t *header, const char *key, const char *value)
{
	const char *was = json_string_value(kept(ex, key));
	char name[HG_PROFILE_NAME_MAX + 1];

	if (was && hg_mud_clean_name(was, name) && !strcmp(name, value))
		value = was;
	if (*value && strcmp(value, HG_MUD_UNKNOWN))
		json_object_set_new(header, key, json_string(value));
}

static json_t *make_policy(const struct export *ex, enum hg_mud_direction direction, json_t *acls)
{
	json_t *names = json_array(), *name;

	for (size_t i = 0; i < ex->n_lists; i++) {
		const struct list *l = &ex->lists[i];

		if (l->direction != direction)
			continue;
		name = json_sprintf("%s-%.*s-%s", ex->p.model,
				    (int)(strlen(l->type) - strlen("-acl-type")), l->type,
				    direction == HG_MUD_FROM ? "from" : "to");
		json_array_append_new(names, json_pack("{s:O}", "name", name));
		json_array_append_new(acls, json_pack("{s:o, s:s, s:{s:O}}", "name", name, "type",
						      l->type, "aces", "ace", l->aces));
	}
	return json_pack("{s:{s:o}}", "access-lists", "access-list", names);
}

static json_t *make_header(const struct export *ex, const struct hg_mud_export_options *o,
			   const char *url, json_t *acls)
{
	const json_t *validity = kept(ex, "cache-validity"), *supported = kept(ex, "is-supported");
	static const char *const others[] = { "software-rev", "documentation" };
	json_t *h = json_pack("{s:i, s:s, s:s}", "mud-version", 1, "mud-url", url, "last-update",
			      o->last_update);
	const json_t *info = kept(ex, "systeminfo");

	json_object_set_new(h, "cache-validity",
			    validity ? json_copy((json_t *)validity)
				     : json_integer(CACHE_VALIDITY));
	json_object_set_new(h, "is-supported",
			    supported ? json_copy((json_t *)supported) : json_true());
	json_object_set_new(h, "systeminfo",
			    info ? json_copy((json_t *)info) : json_string(ex->p.model));
	set_name(ex, h, "mfg-name", ex->p.maker);
	set_name(ex, h, "model-name", ex->p.model);
	set_name(ex, h, "firmware-rev", ex->p.firmware);
	for (size_t i = 0; i < 2; i++)
		if (kept(ex, others[i]))
			json_object_set(h, others[i], (json_t *)kept(ex, others[i]));
	if (!o->plain)
		json_object_set_new(h, "extensions", json_pack("[s]", HG_MUD_EXTENSION));
	json_object_set_new(h, "from-device-policy", make_policy(ex, HG_MUD_FROM, acls));
	json_object_set_new(h, "to-device-policy", make_policy(ex, HG_MUD_TO, acls));
	return h;
}

static json_t *make_file(struct export *ex, const json_t *profile,
			 const struct hg_mud_export_options *o, const char *url)
{
	json_t *acls = json_array(), *header = make_header(ex, o, url, acls), *root, *unused;
	struct hg_mud *again = calloc(1, sizeof(*again));

	root = json_pack("{s:o, s:{s:o}}", "ietf-mud:mud", header, HG_MUD_ACLS, "acl", acls);
	if (!o->plain)
		json_object_set_new(root, HG_MUD_EXTENSION_NODE,
				    json_pack("{s:i, s:O}", "version", HG_MUD_EXTENSION_VERSION,
					      "profile", profile));
	unused = json_array();
	if (!again || !root) {
		hg_mud_fail(&ex->m, "out of memory");
		goto bad;
	}
	/* Our own reader judges what kept text has made of the file. */
	again->err = ex->m.err;
	again->err_size = ex->m.err_size;
	again->notes = unused;
	if (hg_mud_check_size(&ex->m, root, "MUD file", HG_MUD_SIZE_MAX) ||
	    hg_mud_read(again, root))
		goto bad;
	goto out;
bad:
	json_decref(root);
	root = NULL;
out:
	json_decref(unused);
	free(again);
	return root;
}

/* Of the command line, or of the file that the profile was imported from. */
static const char *find_url(struct export *ex, const struct hg_mud_export_options *o)
{
	const json_t *header = NULL;
	const char *url;
	size_t at = hg_mud_enter(&ex->m, ".mud");

	if (ex->mud && hg_mud_container(&ex->m, ex->mud, "header", JSON_OBJECT, false, &header))
		return NULL;
	hg_mud_enter(&ex->m, ".header.mud-url");
	url = o->url ? o->url : json_string_value(json_object_get(header, "mud-url"));
	if (!url) {
		hg_mud_fail(&ex->m, "is missing; give one with --mud-url");
		return NULL;
	}
	if (hg_mud_read_url(&ex->m, url))
		return NULL;
	hg_mud_leave(&ex->m, at);
	return url;
}

static json_t *export(struct export *ex, const json_t *profile,
		      const struct hg_mud_export_options *o)
{
	const char *url;

	hg_mud_enter(&ex->m, "$");
	if (hg_profile_from_json(profile, &ex->p, ex->m.err, ex->m.err_size) ||
	    hg_mud_container(&ex->m, profile, "mud", JSON_OBJECT, false, &ex->mud))
		return NULL;
	url = find_url(ex, o);
	if (!url || (ex->mud && read_kept(ex)))
		return NULL;
	hg_mud_leave(&ex->m, 1);
	if (add_units(ex) || make_lists(ex))
		return NULL;
	return make_file(ex, profile, o, url);
}

json_t *hg_mud_export(const json_t *profile, const struct hg_mud_export_options *o, json_t *notes,
		      char *err, size_t err_size)
{
	struct export *ex = calloc(1, sizeof(*ex));
	json_t *root;

	if (!ex) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	ex->m.err = err;
	ex->m.err_size = err_size;
	ex->m.notes = notes;
	root = export(ex, profile, o);
	for (size_t i = 0; i < ex->n_lists; i++) {
		json_decref(ex->lists[i].aces);
		json_decref(ex->lists[i].names);
	}
	free(ex->units);
	free(ex);
	return root;
}
