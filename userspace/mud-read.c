// SPDX-License-Identifier: MIT
/*
 * A MUD file: header, policies, and the access lists that these name, each entry of which
 * mud-ace.c reads. What RFC 8520 and 8519 demand is demanded, and a breach is named with its JSON
 * path; an unknown node is passed over, as RFC 8520, section 3.9, wants it, and noted.
 */
#include "mud-acl.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 24  /* RFC 8519 goes to 9; the rest is for extensions */
#define TEXT_MAX 4096 /* bytes of systeminfo and the like */
#define URL_MAX 1024
#define EXTENSION_NAME_MAX 40 /* RFC 8520 */
#define LISTS_MAX 64	      /* of one policy */
#define HEADER "$.ietf-mud:mud"

int hg_mud_fail(struct hg_mud *m, const char *fmt, ...)
{
	int n = snprintf(m->err, m->err_size, "%s: ", m->path);
	va_list ap;

	if (n >= 0 && (size_t)n < m->err_size) {
		va_start(ap, fmt);
		vsnprintf(m->err + n, m->err_size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

void hg_mud_note(struct hg_mud *m, const char *path, const char *fmt, ...)
{
	char text[HG_MUD_PATH_MAX + 512];
	size_t count = json_array_size(m->notes);
	va_list ap;
	int n;

	if (count > HG_MUD_NOTES_MAX)
		return;
	if (count == HG_MUD_NOTES_MAX) {
		json_array_append_new(m->notes, json_string("$: and more; this list is full"));
		return;
	}
	n = snprintf(text, sizeof(text), "%s: ", path);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	json_array_append_new(m->notes, json_string(text));
}

int hg_mud_check_size(struct hg_mud *m, const json_t *root, const char *what, size_t max)
{
	size_t size = json_dumpb(root, NULL, 0, HG_MUD_DUMP) + 1; /* and a newline */

	if (size <= max)
		return 0;
	hg_mud_leave(m, 0);
	hg_mud_enter(m, "$");
	return hg_mud_fail(m, "makes a %s of %zu bytes; at most %zu are taken", what, size, max);
}

size_t hg_mud_enter(struct hg_mud *m, const char *fmt, ...)
{
	size_t before = m->path_len, left = sizeof(m->path) - before;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(m->path + before, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		m->path_len += (size_t)n < left ? (size_t)n : left - 1;
	return before;
}

void hg_mud_leave(struct hg_mud *m, size_t before)
{
	m->path_len = before;
	m->path[before] = '\0';
}

int hg_mud_string(struct hg_mud *m, const json_t *o, const char *key, size_t max, bool needed,
		  const char **out)
{
	const json_t *v = json_object_get(o, key);
	size_t at;

	*out = json_string_value(v);
	if (!v && !needed)
		return 0;
	at = hg_mud_enter(m, ".%s", key);
	if (!v)
		return hg_mud_fail(m, "is missing");
	if (!*out || !json_string_length(v) || json_string_length(v) > max)
		return hg_mud_fail(m, "must be a string of 1 to %zu bytes", max);
	hg_mud_leave(m, at);
	return 0;
}

int hg_mud_integer(struct hg_mud *m, const json_t *o, const char *key, long min, long max,
		   bool needed, long *out)
{
	const json_t *v = json_object_get(o, key);
	size_t at;

	*out = -1;
	if (!v && !needed)
		return 0;
	at = hg_mud_enter(m, ".%s", key);
	if (!v)
		return hg_mud_fail(m, "is missing");
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return hg_mud_fail(m, "must be an integer from %ld to %ld", min, max);
	*out = (long)json_integer_value(v);
	hg_mud_leave(m, at);
	return 0;
}

int hg_mud_container(struct hg_mud *m, const json_t *o, const char *key, json_type type,
		     bool needed, const json_t **out)
{
	const json_t *v = json_object_get(o, key);
	size_t at;

	*out = v;
	if (!v && !needed)
		return 0;
	at = hg_mud_enter(m, ".%s", key);
	if (!v)
		return hg_mud_fail(m, "is missing");
	if (json_typeof(v) != type)
		return hg_mud_fail(m, "must be an %s", type == JSON_OBJECT ? "object" : "array");
	hg_mud_leave(m, at);
	return 0;
}

void hg_mud_widen(struct hg_mud *m, struct hg_mud_ace *a, const char *what)
{
	a->keep = true;
	hg_mud_note(m, m->path, "%s; the channel takes more", what);
}

void hg_mud_lose(struct hg_mud *m, struct hg_mud_ace *a, const char *what)
{
	a->keep = a->lost = true;
	hg_mud_note(m, m->path, "%s; no channel", what);
}

void hg_mud_say_once(struct hg_mud *m, enum hg_mud_said what, const char *text)
{
	if (!(m->said & what))
		hg_mud_note(m, m->path, "%s (told once)", text);
	m->said |= what;
}

static bool listed(const char *const *list, const char *key)
{
	while (*list && strcmp(*list, key))
		list++;
	return *list;
}

void hg_mud_pass_over(struct hg_mud *m, struct hg_mud_ace *a, const json_t *o,
		      const char *const *read, const char *const *others)
{
	const char *key;
	json_t *value;
	size_t at;

	json_object_foreach ((json_t *)o, key, value) {
		if (listed(read, key))
			continue;
		at = hg_mud_enter(m, ".%.60s", key);
		if (listed(others, key))
			hg_mud_widen(m, a, "a profile does not test this");
		else
			hg_mud_widen(m, a, "unknown node, passed over");
		hg_mud_leave(m, at);
	}
}

static bool digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return true;
}

/* nnXnn, both within their bounds */
static bool pair(const char *s, char between, int min, int max_a, int max_b)
{
	int a = (s[0] - '0') * 10 + s[1] - '0', b = (s[3] - '0') * 10 + s[4] - '0';

	return digits(s, 2) && s[2] == between && digits(s + 3, 2) && a >= min && a <= max_a &&
	       b >= min && b <= max_b;
}

/* 2018-09-30T16:51:45.044+10:00; strlen() of what is shorter ends each comparison. */
bool hg_mud_is_time(const char *s)
{
	if (strlen(s) < 20 || !digits(s, 4) || s[4] != '-' || !pair(s + 5, '-', 1, 12, 31) ||
	    s[10] != 'T' || !pair(s + 11, ':', 0, 23, 59) || s[16] != ':' || !digits(s + 17, 2))
		return false;
	s += 19;
	if (*s == '.') {
		if (!isdigit((unsigned char)*++s))
			return false;
		s += strspn(s, "0123456789");
	}
	if (!strcmp(s, "Z"))
		return true;
	return (*s == '+' || *s == '-') && strlen(s) == 6 && pair(s + 1, ':', 0, 23, 59);
}

int hg_mud_read_url(struct hg_mud *m, const char *url)
{
	size_t n;

	if (strncmp(url, "https://", 8))
		return hg_mud_fail(m, "must begin with https:// (RFC 8520)");
	for (const char *s = url; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f ||
		    strchr("\"<>\\^`{|}", *s))
			return hg_mud_fail(m, "has a byte that no URL has");
	n = strcspn(url + 8, "/?#");
	if (!n || n >= sizeof(m->authority))
		return hg_mud_fail(m, "must have a host of 1 to %zu bytes",
				   sizeof(m->authority) - 1);
	memcpy(m->authority, url + 8, n);
	m->authority[n] = '\0';
	return 0;
}

/* Arrays and objects around the innermost value. */
static unsigned int depth_of(const json_t *v)
{
	unsigned int most = 0, d;
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach ((json_t *)v, i, item) {
			d = depth_of(item);
			most = d > most ? d : most;
		}
		return most + 1;
	}
	if (!json_is_object(v))
		return 0;
	json_object_foreach ((json_t *)v, key, item) {
		d = depth_of(item);
		most = d > most ? d : most;
	}
	return most + 1;
}

static void note_unknown(struct hg_mud *m, const json_t *o, const char *const *known)
{
	const char *key;
	json_t *value;
	size_t i, at;

	json_object_foreach ((json_t *)o, key, value) {
		for (i = 0; known[i] && strcmp(known[i], key); i++)
			;
		if (known[i])
			continue;
		at = hg_mud_enter(m, ".%.60s", key);
		hg_mud_note(m, m->path, "unknown node, passed over");
		hg_mud_leave(m, at);
	}
}

static int read_extensions(struct hg_mud *m, bool *ours)
{
	const json_t *list, *v;
	size_t at;

	*ours = false;
	if (hg_mud_container(m, m->header, "extensions", JSON_ARRAY, false, &list))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		v = json_array_get(list, i);
		at = hg_mud_enter(m, ".extensions[%zu]", i);
		if (!json_is_string(v) || !json_string_length(v) ||
		    json_string_length(v) > EXTENSION_NAME_MAX)
			return hg_mud_fail(m, "must be a string of 1 to %d bytes",
					   EXTENSION_NAME_MAX);
		for (size_t j = 0; j < i; j++)
			if (json_equal(v, json_array_get(list, j)))
				return hg_mud_fail(m, "'%s' is there twice", json_string_value(v));
		if (!strcmp(json_string_value(v), HG_MUD_EXTENSION))
			*ours = true;
		else
			hg_mud_note(m, m->path, "unknown extension '%s', passed over",
				    json_string_value(v));
		hg_mud_leave(m, at);
	}
	return 0;
}

static int read_extension_node(struct hg_mud *m, const json_t *root, bool declared)
{
	const json_t *node;
	long version;
	size_t at;

	if (hg_mud_container(m, root, HG_MUD_EXTENSION_NODE, JSON_OBJECT, false, &node) || !node)
		return node ? -EINVAL : 0;
	at = hg_mud_enter(m, ".%s", HG_MUD_EXTENSION_NODE);
	if (!declared)
		return hg_mud_fail(m, "the extension '%s' is not in $.ietf-mud:mud.extensions",
				   HG_MUD_EXTENSION);
	if (hg_mud_integer(m, node, "version", HG_MUD_EXTENSION_VERSION, HG_MUD_EXTENSION_VERSION,
			   true, &version) ||
	    hg_mud_container(m, node, "profile", JSON_OBJECT, true, &m->extension))
		return -EINVAL;
	note_unknown(m, node, (const char *const[]){ "version", "profile", NULL });
	hg_mud_leave(m, at);
	return 0;
}

static int read_header(struct hg_mud *m)
{
	static const char *const texts[] = { "systeminfo",    "mfg-name",
					     "model-name",    "firmware-rev",
					     "software-rev",  "documentation",
					     "mud-signature", NULL };
	static const char *const known[] = { "mud-version",	 "mud-url",
					     "last-update",	 "mud-signature",
					     "is-supported",	 "systeminfo",
					     "mfg-name",	 "model-name",
					     "firmware-rev",	 "software-rev",
					     "documentation",	 "cache-validity",
					     "extensions",	 "from-device-policy",
					     "to-device-policy", NULL };
	const json_t *supported = json_object_get(m->header, "is-supported");
	const char *s;
	size_t at;
	long n;

	if (hg_mud_integer(m, m->header, "mud-version", 1, 1, true, &n) ||
	    hg_mud_string(m, m->header, "mud-url", URL_MAX, true, &s))
		return -EINVAL;
	at = hg_mud_enter(m, ".mud-url");
	if (hg_mud_read_url(m, s))
		return -EINVAL;
	hg_mud_leave(m, at);
	if (hg_mud_string(m, m->header, "last-update", 64, true, &s))
		return -EINVAL;
	at = hg_mud_enter(m, ".last-update");
	if (!hg_mud_is_time(s))
		return hg_mud_fail(m, "must be a date and time like 2024-03-01T12:00:00Z");
	hg_mud_leave(m, at);
	at = hg_mud_enter(m, ".is-supported");
	if (!json_is_boolean(supported))
		return hg_mud_fail(m, supported ? "must be true or false" : "is missing");
	hg_mud_leave(m, at);
	if (hg_mud_integer(m, m->header, "cache-validity", 1, 168, false, &n))
		return -EINVAL;
	for (size_t i = 0; texts[i]; i++)
		if (hg_mud_string(m, m->header, texts[i], TEXT_MAX, false, &s))
			return -EINVAL;
	note_unknown(m, m->header, known);
	return 0;
}

/* What the lists of the file are known by: index in $...acl, or -1. */
static int find_list(const json_t *lists, const char *name)
{
	for (size_t i = 0; i < json_array_size(lists); i++) {
		const char *s =
			json_string_value(json_object_get(json_array_get(lists, i), "name"));

		if (s && !strcmp(s, name))
			return (int)i;
	}
	return -1;
}

/* RFC 7951: an identity may carry its module's name. The drafts have names of their own. */
const char *hg_mud_type(struct hg_mud *m, const char *type)
{
	static const char *const types[] = { "ipv4-acl-type",
					     "ipv6-acl-type",
					     "eth-acl-type",
					     "mixed-eth-ipv4-acl-type",
					     "mixed-eth-ipv6-acl-type",
					     "mixed-eth-ipv4-ipv6-acl-type",
					     "ethernet-acl-type" };
	static const char module[] = "ietf-access-control-list:";

	if (!strncmp(type, module, sizeof(module) - 1))
		type += sizeof(module) - 1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i], type))
			return types[i];
	hg_mud_fail(m, "'%.60s' is no type of RFC 8519 like ipv4-acl-type", type);
	return NULL;
}

static int read_aces(struct hg_mud *m, const json_t *aces, enum hg_mud_direction direction,
		     const char *type, int list)
{
	const json_t *ace;
	const char *name;
	size_t first = m->n_aces, at;

	for (size_t i = 0; i < json_array_size(aces); i++) {
		ace = json_array_get(aces, i);
		at = hg_mud_enter(m, "[%zu]", i);
		if (!json_is_object(ace))
			return hg_mud_fail(m, "must be an object");
		if (m->n_aces == HG_MUD_ACES_MAX)
			return hg_mud_fail(m, "one entry too many; at most %d are taken",
					   HG_MUD_ACES_MAX);
		if (hg_mud_ace_read(m, ace, direction, type, list))
			return -EINVAL;
		name = m->aces[m->n_aces - 1].name;
		for (size_t j = first; j + 1 < m->n_aces; j++) {
			if (!strcmp(m->aces[j].name, name)) {
				hg_mud_enter(m, ".name");
				return hg_mud_fail(m, "'%s' is taken", name);
			}
		}
		hg_mud_leave(m, at);
	}
	return 0;
}

static int read_list(struct hg_mud *m, const json_t *acl, enum hg_mud_direction direction, int list)
{
	const char *type;
	const json_t *aces, *ace;
	size_t at;

	if (hg_mud_string(m, acl, "type", 128, true, &type))
		return -EINVAL;
	at = hg_mud_enter(m, ".type");
	type = hg_mud_type(m, type);
	if (!type)
		return -EINVAL;
	hg_mud_leave(m, at);
	if (hg_mud_container(m, acl, "aces", JSON_OBJECT, true, &aces))
		return -EINVAL;
	at = hg_mud_enter(m, ".aces");
	if (hg_mud_container(m, aces, "ace", JSON_ARRAY, true, &ace))
		return -EINVAL;
	hg_mud_enter(m, ".ace");
	if (read_aces(m, ace, direction, type, list))
		return -EINVAL;
	hg_mud_leave(m, at);
	note_unknown(m, acl, (const char *const[]){ "name", "type", "aces", NULL });
	return 0;
}

/* The lists of the file by themselves: names there are, and none twice. */
static int check_lists(struct hg_mud *m, const json_t *lists)
{
	const char *name;
	size_t at;

	for (size_t i = 0; i < json_array_size(lists); i++) {
		at = hg_mud_enter(m, "[%zu]", i);
		if (!json_is_object(json_array_get(lists, i)))
			return hg_mud_fail(m, "must be an object");
		if (hg_mud_string(m, json_array_get(lists, i), "name", HG_MUD_NAME_MAX, true,
				  &name))
			return -EINVAL;
		if (find_list(lists, name) != (int)i) {
			hg_mud_enter(m, ".name");
			return hg_mud_fail(m, "'%s' is taken", name);
		}
		hg_mud_leave(m, at);
	}
	return 0;
}

struct lists {
	const json_t *acl;
	char path[HG_MUD_PATH_MAX];
	bool used[256];
};

/* One policy; an entry of access-list is the name of a list. */
static int read_policy(struct hg_mud *m, struct lists *l, enum hg_mud_direction direction,
		       const char *key)
{
	const json_t *policy, *o = NULL, *names = NULL, *v;
	const char *name;
	size_t before;
	int list;

	if (hg_mud_container(m, m->header, key, JSON_OBJECT, false, &policy) || !policy)
		return policy ? -EINVAL : 0;
	before = hg_mud_enter(m, ".%s", key);
	note_unknown(m, policy, (const char *const[]){ "access-lists", NULL });
	if (hg_mud_container(m, policy, "access-lists", JSON_OBJECT, false, &o))
		return -EINVAL;
	hg_mud_enter(m, ".access-lists");
	if (hg_mud_container(m, o, "access-list", JSON_ARRAY, false, &names))
		return -EINVAL;
	hg_mud_enter(m, ".access-list");
	if (json_array_size(names) > LISTS_MAX)
		return hg_mud_fail(m, "must be an array of at most %d", LISTS_MAX);
	for (size_t i = 0; i < json_array_size(names); i++) {
		v = json_array_get(names, i);
		hg_mud_enter(m, "[%zu]", i);
		if (!json_is_object(v))
			return hg_mud_fail(m, "must be an object");
		if (hg_mud_string(m, v, "name", HG_MUD_NAME_MAX, true, &name))
			return -EINVAL;
		hg_mud_enter(m, ".name");
		list = find_list(l->acl, name);
		if (list < 0)
			return hg_mud_fail(m, "names ACL '%s' that is not defined", name);
		if (find_list(names, name) != (int)i)
			return hg_mud_fail(m, "'%s' is there twice", name);
		l->used[list] = true;
		hg_mud_leave(m, 0);
		hg_mud_enter(m, "%s[%d]", l->path, list);
		if (read_list(m, json_array_get(l->acl, (size_t)list), direction, list))
			return -EINVAL;
		hg_mud_leave(m, 0);
		hg_mud_enter(m, HEADER ".%s.access-lists.access-list", key);
	}
	hg_mud_leave(m, before);
	return 0;
}

/* $.ietf-access-control-list:acls, or what the drafts and the tools after them call it. */
static int find_lists(struct hg_mud *m, const json_t *root, struct lists *l)
{
	const char *key = HG_MUD_ACLS;
	const json_t *o;
	size_t at;

	if (!json_object_get(root, key) && json_object_get(root, HG_MUD_ACLS_DRAFT)) {
		key = HG_MUD_ACLS_DRAFT;
		hg_mud_note(m, "$." HG_MUD_ACLS_DRAFT, "name of a draft, taken for acls");
	} else if (json_object_get(root, HG_MUD_ACLS_DRAFT)) {
		hg_mud_enter(m, ".%s", HG_MUD_ACLS_DRAFT);
		return hg_mud_fail(m, "stands beside %s; one of them is too many", HG_MUD_ACLS);
	}
	if (hg_mud_container(m, root, key, JSON_OBJECT, true, &o))
		return -EINVAL;
	at = hg_mud_enter(m, ".%s", key);
	if (hg_mud_container(m, o, "acl", JSON_ARRAY, true, &l->acl))
		return -EINVAL;
	note_unknown(m, o, (const char *const[]){ "acl", NULL });
	hg_mud_enter(m, ".acl");
	if (json_array_size(l->acl) > sizeof(l->used))
		return hg_mud_fail(m, "must be an array of at most %zu", sizeof(l->used));
	snprintf(l->path, sizeof(l->path), "%s", m->path);
	if (check_lists(m, l->acl))
		return -EINVAL;
	hg_mud_leave(m, at);
	return 0;
}

int hg_mud_read(struct hg_mud *m, const json_t *root)
{
	struct lists l = { 0 };
	bool ours;
	size_t at;

	hg_mud_enter(m, "$");
	if (!json_is_object(root))
		return hg_mud_fail(m, "must be an object");
	if (depth_of(root) > DEPTH_MAX)
		return hg_mud_fail(m, "is nested deeper than %d", DEPTH_MAX);
	if (hg_mud_container(m, root, "ietf-mud:mud", JSON_OBJECT, true, &m->header))
		return -EINVAL;
	at = hg_mud_enter(m, ".ietf-mud:mud");
	if (read_header(m) || read_extensions(m, &ours))
		return -EINVAL;
	hg_mud_leave(m, at);
	if (find_lists(m, root, &l))
		return -EINVAL;
	hg_mud_enter(m, ".ietf-mud:mud");
	if (read_policy(m, &l, HG_MUD_FROM, "from-device-policy") ||
	    read_policy(m, &l, HG_MUD_TO, "to-device-policy"))
		return -EINVAL;
	hg_mud_leave(m, at);
	for (size_t i = 0; i < json_array_size(l.acl); i++) {
		if (l.used[i])
			continue;
		hg_mud_enter(m, "%s[%zu]", l.path + 1, i);
		hg_mud_note(m, m->path, "no policy names this list, passed over");
		hg_mud_leave(m, at);
	}
	note_unknown(m, root,
		     (const char *const[]){ "ietf-mud:mud", HG_MUD_ACLS, HG_MUD_ACLS_DRAFT,
					    HG_MUD_EXTENSION_NODE, NULL });
	return read_extension_node(m, root, ours);
}
