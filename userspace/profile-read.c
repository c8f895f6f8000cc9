// SPDX-License-Identifier: MIT
/*
 * The reader of profiles: a JSON value to struct hg_profile. It is strict: what it does not know is
 * an error with its JSON path, because a channel that was misspelt would make a device alarm, or
 * never alarm.
 */
#include "profile.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/nearest.h"
#include "profile-text.h"

/* Of any feature, before the margin: far over what a device does, and no product overflows. */
#define BYTES_MAX INT64_C(1000000000000)
#define COUNT_MAX INT64_C(1000000000)
#define PACKET_MAX 65534 /* bytes; 0 and 65535 are "not tested" in the guard */

struct reader {
	struct hg_profile p;
	char path[128]; /* of the value that is looked at */
	size_t at;	/* its length */
	char *err;
	size_t err_size;
};

__attribute__((format(printf, 2, 3))) static int fail(struct reader *r, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(r->err, r->err_size, "%s: ", r->path);

	if (n >= 0 && (size_t)n < r->err_size) {
		va_start(ap, fmt);
		vsnprintf(r->err + n, r->err_size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

/* Goes to a member or element; returns where leave() takes the path back to. */
__attribute__((format(printf, 2, 3))) static size_t enter(struct reader *r, const char *fmt, ...)
{
	size_t was = r->at;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->path + was, sizeof(r->path) - was, fmt, ap);
	va_end(ap);
	r->at = was + strlen(r->path + was);
	return was;
}

static void leave(struct reader *r, size_t was)
{
	r->at = was;
	r->path[was] = '\0';
}

/* Every key of the object must be one of `known`, a NULL-terminated list. */
static int only_keys(struct reader *r, const json_t *obj, const char *const *known)
{
	struct hg_nearest near = { 0 };
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(obj))
		return fail(r, "must be an object");
	json_object_foreach ((json_t *)obj, key, value) {
		for (i = 0; known[i] && strcmp(known[i], key); i++)
			;
		if (known[i])
			continue;
		near.wanted = key;
		for (i = 0; known[i]; i++)
			hg_nearest_add(&near, known[i]);
		if (near.best)
			return fail(r, "unknown key '%.40s'; did you mean '%s'?", key, near.best);
		return fail(r, "unknown key '%.40s'; see docs/profile.md", key);
	}
	return 0;
}

static int read_name(struct reader *r, const json_t *obj, const char *key, char *out)
{
	const json_t *v = json_object_get(obj, key);
	const char *s = json_string_value(v);
	size_t i, n = s ? json_string_length(v) : 0, was = enter(r, ".%s", key);

	if (!v)
		return fail(r, "is missing");
	if (!n || n > HG_PROFILE_NAME_MAX)
		return fail(r, "must be a string of 1 to %d bytes", HG_PROFILE_NAME_MAX);
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("._-+", s[i]))
			return fail(r, "has a byte other than A-Z a-z 0-9 . _ - +");
	memcpy(out, s, n);
	out[n] = '\0';
	leave(r, was);
	return 0;
}

static int read_count(struct reader *r, const json_t *v, int64_t min, int64_t max, uint64_t *out)
{
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return fail(r, "%s an integer from %lld to %lld",
			    v ? "must be" : "is missing; it is", (long long)min, (long long)max);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

/* A member that must be there. */
static int read_member(struct reader *r, const json_t *obj, const char *key, int64_t min,
		       int64_t max, uint64_t *out)
{
	size_t was = enter(r, ".%s", key);
	int ret = read_count(r, json_object_get(obj, key), min, max, out);

	if (!ret)
		leave(r, was);
	return ret;
}

static int64_t feature_min(enum hg_profile_feature f)
{
	return f == HG_ENVELOPE_SIZE_MIN || f == HG_ENVELOPE_SIZE_MAX;
}

static int64_t feature_max(enum hg_profile_feature f)
{
	if (f == HG_ENVELOPE_BYTES)
		return BYTES_MAX;
	return f == HG_ENVELOPE_SIZE_MIN || f == HG_ENVELOPE_SIZE_MAX ? PACKET_MAX : COUNT_MAX;
}

/* One window of an envelope. */
static int read_window(struct reader *r, const json_t *v, enum hg_window_length w, uint64_t *most)
{
	const char *keys[HG_ENVELOPE_FEATURES + 1] = { NULL };

	for (int f = 0; f < HG_ENVELOPE_FEATURES; f++)
		keys[f] = hg_profile_feature_name(f);
	if (only_keys(r, v, keys))
		return -EINVAL;
	for (int f = 0; f < HG_ENVELOPE_FEATURES; f++) {
		if (!json_object_get(v, keys[f]))
			continue;
		if (!hg_profile_has(w, f))
			return fail(r, "'%s' is only tested in the window \"60\"", keys[f]);
		if (read_member(r, v, keys[f], feature_min(f), feature_max(f), &most[f]))
			return -EINVAL;
	}
	if (most[HG_ENVELOPE_SIZE_MIN] != HG_PROFILE_UNTESTED &&
	    most[HG_ENVELOPE_SIZE_MIN] > most[HG_ENVELOPE_SIZE_MAX])
		return fail(r, "size_min is over size_max");
	return 0;
}

static int read_envelope(struct reader *r, const json_t *v, const char *key,
			 struct hg_profile_envelope *e)
{
	static const char *const keys[] = { "1", "60", "3600", NULL };
	size_t was = enter(r, ".%s", key);

	if (!v)
		return fail(r, "is missing; {} tests nothing");
	if (only_keys(r, v, keys))
		return -EINVAL;
	hg_profile_envelope_init(e);
	for (int w = 0; w < HG_WINDOWS; w++) {
		const json_t *window = json_object_get(v, keys[w]);
		size_t outer = enter(r, ".%s", keys[w]);

		if (window && read_window(r, window, w, e->most[w]))
			return -EINVAL;
		leave(r, outer);
	}
	leave(r, was);
	return 0;
}

static int read_proto(struct reader *r, const json_t *v, struct hg_profile_channel *ch)
{
	int proto = json_is_string(v) ? hg_proto_read(json_string_value(v)) : -1;

	if (json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= 255)
		proto = (int)json_integer_value(v);
	if (proto < 0)
		return fail(r, "must be tcp, udp, icmp, icmpv6, any, or a number from 1 to 255");
	ch->proto = (uint8_t)proto;
	return 0;
}

/* 443, or "5000-5010" */
static int read_range(struct reader *r, const json_t *v, struct hg_profile_ports *out)
{
	json_int_t n = json_integer_value(v);

	if (json_is_integer(v) && n >= 1 && n <= 65535) {
		*out = (struct hg_profile_ports){ (uint16_t)n, (uint16_t)n };
		return 0;
	}
	if (json_is_string(v) && !hg_ports_read(json_string_value(v), out))
		return 0;
	return fail(r, "must be a port from 1 to 65535 or a range like \"5000-5010\"");
}

static int read_ports(struct reader *r, const json_t *v, struct hg_profile_channel *ch)
{
	if (!v)
		return 0;
	if (ch->proto != IPPROTO_TCP && ch->proto != IPPROTO_UDP)
		return fail(r, "only tcp and udp have ports");
	if (!json_is_array(v) || !json_array_size(v) || json_array_size(v) > HG_PROFILE_PORTS_MAX)
		return fail(
			r, "must be an array of 1 to %d ports or ranges; leave it out for any port",
			HG_PROFILE_PORTS_MAX);
	for (size_t i = 0; i < json_array_size(v); i++) {
		size_t was = enter(r, "[%zu]", i);

		if (read_range(r, json_array_get(v, i), &ch->ports[i]))
			return -EINVAL;
		leave(r, was);
	}
	ch->n_ports = (uint8_t)json_array_size(v);
	return 0;
}

/* A remote of the last channel, and room for its rules. */
static int read_remote(struct reader *r, const json_t *v)
{
	const char *s = json_string_value(v);
	struct hg_profile_remote remote, *added;
	size_t rules = 0;
	int err;

	if (!s)
		return fail(r, "must be a string");
	err = hg_remote_read(s, &remote);
	if (err == -ERANGE)
		return fail(r, "'%.60s' has host bits set; write the network's address", s);
	if (err && !strncmp(s, "name:", 5))
		return fail(r, "'%.60s' is not name: and a DNS name, or \"*.\" and a DNS name", s);
	if (err)
		return fail(r,
			    "'%.60s' is not any, local, mirror, collector, dns, ntp, dhcp, "
			    "name:HOST, nor an address or prefix",
			    s);
	added = hg_profile_add_remote(&r->p);
	if (!added)
		return fail(r, "one remote too many: all channels together may have %d",
			    HG_PROFILE_REMOTES_ALL);
	*added = remote;
	for (size_t i = 0; i < r->p.n_channels; i++)
		rules += hg_profile_rules(&r->p, &r->p.channels[i]);
	if (rules > HG_RULES_MAX)
		return fail(r,
			    "one rule too many: ports times remotes of all channels may make %d "
			    "(the names of a channel count as one remote)",
			    HG_RULES_MAX);
	return 0;
}

static int read_remotes(struct reader *r, const json_t *v)
{
	size_t n = json_is_array(v) ? json_array_size(v) : 1;

	if (!v)
		return fail(r, "is missing; \"any\" allows every remote");
	if (!n || n > HG_PROFILE_REMOTES_MAX)
		return fail(r, "must be one remote or an array of 1 to %d", HG_PROFILE_REMOTES_MAX);
	if (!json_is_array(v))
		return read_remote(r, v);
	for (size_t i = 0; i < n; i++) {
		size_t was = enter(r, "[%zu]", i);

		if (read_remote(r, json_array_get(v, i)))
			return -EINVAL;
		leave(r, was);
	}
	return 0;
}

static int read_opener(struct reader *r, const json_t *v, struct hg_profile_channel *ch)
{
	const char *s = json_string_value(v);

	if (v && (!s || (strcmp(s, "device") && strcmp(s, "remote"))))
		return fail(r, "must be \"device\" or \"remote\"");
	ch->remote_opens = v && !strcmp(s, "remote");
	return 0;
}

static int read_walk(struct reader *r, const json_t *v, struct hg_profile_walk *walk)
{
	static const char *const keys[] = { "limit", "up", "down", NULL };
	uint64_t limit, up, down;

	if (!v)
		return 0;
	if (only_keys(r, v, keys) || read_member(r, v, "limit", 0, 10000, &limit) ||
	    read_member(r, v, "up", 1, 1000, &up) || read_member(r, v, "down", 0, 1000, &down))
		return -EINVAL;
	*walk = (struct hg_profile_walk){ true, (uint16_t)limit, (uint16_t)up, (uint16_t)down };
	return 0;
}

static int read_sum(struct reader *r, const json_t *sums, const char *key, int64_t max,
		    struct hg_profile_sum *sum)
{
	static const char *const keys[] = { "rate", "limit", NULL };
	const json_t *v = json_object_get(sums, key);
	size_t was = enter(r, ".%s", key);

	if (v && (only_keys(r, v, keys) || read_member(r, v, "rate", 0, max, &sum->rate) ||
		  read_member(r, v, "limit", 0, max, &sum->limit)))
		return -EINVAL;
	sum->given = v;
	leave(r, was);
	return 0;
}

static int read_sums(struct reader *r, const json_t *v, struct hg_profile_channel *ch)
{
	static const char *const keys[] = { "flows", "bytes", NULL };

	if (!v)
		return 0;
	if (only_keys(r, v, keys) || read_sum(r, v, "flows", COUNT_MAX, &ch->sum_flows))
		return -EINVAL;
	return read_sum(r, v, "bytes", BYTES_MAX, &ch->sum_bytes);
}

static int read_answers(struct reader *r, const json_t *v, struct hg_profile_channel *ch)
{
	if (v && !json_is_boolean(v))
		return fail(r, "must be true or false");
	ch->no_answers = json_is_false(v);
	return 0;
}

static int read_channel_name(struct reader *r, const json_t *v, struct hg_profile_channel *ch)
{
	char name[HG_PROFILE_NAME_MAX + 1];

	if (read_name(r, v, "name", name))
		return -EINVAL;
	enter(r, ".name");
	if (!strcmp(name, "outside"))
		return fail(r, "'outside' is what no channel takes; choose another name");
	for (const struct hg_profile_channel *c = r->p.channels; c < ch; c++)
		if (!strcmp(c->name, name))
			return fail(r, "'%s' is taken", name);
	strcpy(ch->name, name);
	return 0;
}

/* What follows the name, each with its own place. */
static int read_part(struct reader *r, const char *key, const json_t *v,
		     struct hg_profile_channel *ch)
{
	if (!strcmp(key, "proto"))
		return read_proto(r, v, ch);
	if (!strcmp(key, "ports"))
		return read_ports(r, v, ch);
	if (!strcmp(key, "remote"))
		return read_remotes(r, v);
	if (!strcmp(key, "opener"))
		return read_opener(r, v, ch);
	if (!strcmp(key, "answers"))
		return read_answers(r, v, ch);
	if (!strcmp(key, "walk"))
		return read_walk(r, v, &ch->walk);
	return read_sums(r, v, ch);
}

static int read_channel(struct reader *r, const json_t *v)
{
	static const char *const keys[] = { "name",	"proto",   "ports", "remote", "opener",
					    "envelope", "answers", "walk",  "sum",    NULL };
	struct hg_profile_channel *ch = hg_profile_add_channel(&r->p, "");
	size_t was = r->at;

	if (only_keys(r, v, keys) || read_channel_name(r, v, ch))
		return -EINVAL;
	leave(r, was);
	for (size_t i = 1; keys[i]; i++) {
		if (!strcmp(keys[i], "envelope")) {
			if (read_envelope(r, json_object_get(v, keys[i]), keys[i], &ch->envelope))
				return -EINVAL;
			continue;
		}
		enter(r, ".%s", keys[i]);
		if (read_part(r, keys[i], json_object_get(v, keys[i]), ch))
			return -EINVAL;
		leave(r, was);
	}
	return 0;
}

static int read_channels(struct reader *r, const json_t *list)
{
	size_t was = enter(r, ".channels");

	if (!json_is_array(list))
		return fail(r, "%s an array", list ? "must be" : "is missing; it is");
	if (json_array_size(list) > HG_PROFILE_CHANNELS_MAX)
		return fail(r, "has %zu channels; at most %d are allowed", json_array_size(list),
			    HG_PROFILE_CHANNELS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		size_t outer = enter(r, "[%zu]", i);

		if (read_channel(r, json_array_get(list, i)))
			return -EINVAL;
		leave(r, outer);
	}
	leave(r, was);
	return 0;
}

static int read_time(struct reader *r, const json_t *root, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(root, key);
	size_t was = enter(r, ".%s", key);
	int64_t t = json_is_string(v) ? hg_time_read(json_string_value(v)) : -1;

	if (v && t < 0)
		return fail(r, "must be a date and time like \"2030-12-31T23:59:59Z\"");
	if (v)
		*out = t;
	leave(r, was);
	return 0;
}

static int read_head(struct reader *r, const json_t *root)
{
	struct hg_profile *p = &r->p;
	uint64_t margin = p->margin_percent;

	if (read_name(r, root, "model", p->model) || read_name(r, root, "firmware", p->firmware) ||
	    (json_object_get(root, "maker") && read_name(r, root, "maker", p->maker)) ||
	    (json_object_get(root, "serial") &&
	     read_member(r, root, "serial", 0, HG_PROFILE_SERIAL_MAX, &p->serial)) ||
	    read_time(r, root, "valid_from", &p->valid_from) ||
	    read_time(r, root, "valid_until", &p->valid_until) ||
	    (json_object_get(root, "margin_percent") &&
	     read_member(r, root, "margin_percent", HG_PROFILE_MARGIN_MIN, HG_PROFILE_MARGIN_MAX,
			 &margin)))
		return -EINVAL;
	p->margin_percent = (uint32_t)margin;
	if (p->valid_until && p->valid_until <= p->valid_from) {
		enter(r, ".valid_until");
		return fail(r, "is not after valid_from");
	}
	return 0;
}

static int read_profile(struct reader *r, const json_t *root)
{
	static const char *const keys[] = {
		"model",	  "firmware", "maker",	  "serial", "valid_from", "valid_until",
		"margin_percent", "outside",  "channels", "mud",    NULL
	};
	const json_t *outside = json_object_get(root, "outside"),
		     *mud = json_object_get(root, "mud");

	/* What `heliograph profile export-mud` takes over; mud-export.c reads it. */
	if (mud && !json_is_object(mud)) {
		enter(r, ".mud");
		return fail(r, "must be an object");
	}
	if (only_keys(r, root, keys) || read_head(r, root) ||
	    (outside && read_envelope(r, outside, "outside", &r->p.outside)))
		return -EINVAL;
	return read_channels(r, json_object_get(root, "channels"));
}

int hg_profile_from_json(const json_t *root, struct hg_profile *out, char *err, size_t err_size)
{
	struct reader *r = calloc(1, sizeof(*r));
	int ret;

	if (!r) {
		snprintf(err, err_size, "profile: out of memory");
		return -ENOMEM;
	}
	r->err = err;
	r->err_size = err_size;
	hg_profile_init(&r->p);
	enter(r, "$");
	ret = read_profile(r, root);
	if (!ret)
		*out = r->p;
	free(r);
	return ret;
}
