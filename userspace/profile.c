// SPDX-License-Identifier: MIT
/*
 * Profile: the channels of a model and their envelopes, read once at start by the agent and by
 * tests. The reader is strict: what it does not know is an error with its JSON path, because a
 * channel that was misspelt would make a device alarm, or never alarm. The result is built aside
 * and copied out only if all of it is good.
 */
#include "profile.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENVELOPE_MAX                                                                               \
	1000000000 /* of any feature per second; far below HG_SCORE_CAP with any margin */
#define MARGIN_DEFAULT                                                                             \
	200 /* percent; twice the training maximum had no false windows on 31 models */
#define MARGIN_MIN 100
#define MARGIN_MAX 2000
#define PORTS_MAX 32   /* per channel */
#define REMOTES_MAX 32 /* per channel */

/*
 * Ten failures without an answer outside the profile, twenty inside it. A benign device's failures
 * are mixed with answers; a scanner's hardly ever (at most 1 in 5, Jung et al.).
 */
#define WALK_LIMIT 20
#define WALK_UP_OUTSIDE 2
#define WALK_UP_INSIDE 1
#define WALK_DOWN 1

/*
 * Per second, before the margin, where the profile does not say: a name lookup and one new
 * connection.
 */
static const struct hg_score_bounds outside_default = {
	.packets = 20, .bytes = 10000, .flows = 2, .failed = 2
};

struct reader {
	struct hg_profile p;
	uint64_t margin;
	char *err;
	size_t err_size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct reader *r, const char *path,
						      const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(r->err, r->err_size, "%s: ", path);

	if (n >= 0 && (size_t)n < r->err_size) {
		va_start(ap, fmt);
		vsnprintf(r->err + n, r->err_size - n, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

/* Every key of obj must be one of `known`, a NULL-terminated list. */
static int only_keys(struct reader *r, const char *path, const json_t *obj,
		     const char *const *known)
{
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(obj))
		return fail(r, path, "must be an object");
	json_object_foreach ((json_t *)obj, key, value) {
		for (i = 0; known[i] && strcmp(known[i], key); i++)
			;
		if (!known[i])
			return fail(r, path, "unknown key '%.40s'; see docs/profile.md", key);
	}
	return 0;
}

static int read_name(struct reader *r, const char *path, const json_t *v, char *out)
{
	const char *s = json_string_value(v);
	size_t i, n = s ? json_string_length(v) : 0;

	if (!n || n > HG_PROFILE_NAME_MAX)
		return fail(r, path, "must be a string of 1 to %d bytes", HG_PROFILE_NAME_MAX);
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("._-+", s[i]))
			return fail(r, path, "has a byte other than A-Z a-z 0-9 . _ - +");
	memcpy(out, s, n);
	out[n] = '\0';
	return 0;
}

static int read_count(struct reader *r, const char *path, const json_t *v, int64_t min, int64_t max,
		      uint64_t *out)
{
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return fail(r, path, "must be an integer from %lld to %lld", (long long)min,
			    (long long)max);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int read_envelope(struct reader *r, const char *path, const json_t *v,
			 struct hg_score_bounds *b)
{
	static const char *const keys[] = { "packets", "bytes", "flows", "failed", NULL };
	__u64 *const fields[] = { &b->packets, &b->bytes, &b->flows, &b->failed };
	char at[96];
	int err;

	err = only_keys(r, path, v, keys);
	for (size_t i = 0; !err && keys[i]; i++) {
		uint64_t n;

		snprintf(at, sizeof(at), "%s.%s", path, keys[i]);
		if (!json_object_get(v, keys[i]))
			return fail(r, at, "is missing");
		err = read_count(r, at, json_object_get(v, keys[i]), 0, ENVELOPE_MAX, &n);
		if (!err)
			*fields[i] = n;
	}
	return err;
}

static void apply_margin(const struct reader *r, struct hg_score_bounds *b)
{
	b->packets = b->packets * r->margin / 100;
	b->bytes = b->bytes * r->margin / 100;
	b->flows = b->flows * r->margin / 100;
	b->failed = b->failed * r->margin / 100;
}

static int read_proto(struct reader *r, const char *path, const json_t *v, __u8 *out)
{
	static const struct {
		const char *name;
		__u8 proto;
	} names[] = { { "any", 0 },
		      { "tcp", IPPROTO_TCP },
		      { "udp", IPPROTO_UDP },
		      { "icmp", IPPROTO_ICMP },
		      { "icmpv6", IPPROTO_ICMPV6 } };
	uint64_t n;

	for (size_t i = 0; json_is_string(v) && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i].name, json_string_value(v))) {
			*out = names[i].proto;
			return 0;
		}
	}
	if (!json_is_integer(v) || read_count(r, path, v, 1, 255, &n))
		return fail(r, path,
			    "must be tcp, udp, icmp, icmpv6, any, or an IP protocol number");
	*out = (__u8)n;
	return 0;
}

struct range {
	__u16 min, max;
};

/* 443, or "5000-5010" */
static int read_range(struct reader *r, const char *path, const json_t *v, struct range *out)
{
	unsigned long min, max;
	const char *s;
	char *end;

	if (json_is_integer(v)) {
		uint64_t n;

		if (read_count(r, path, v, 1, 65535, &n))
			return -EINVAL;
		*out = (struct range){ (__u16)n, (__u16)n };
		return 0;
	}
	s = json_string_value(v);
	if (!s || !isdigit((unsigned char)s[0]) || json_string_length(v) != strlen(s))
		goto bad;
	min = max = strtoul(s, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		max = strtoul(end + 1, &end, 10);
	if (*end || min < 1 || max > 65535 || min > max)
		goto bad;
	*out = (struct range){ (__u16)min, (__u16)max };
	return 0;
bad:
	return fail(r, path, "must be a port from 1 to 65535 or a range like \"5000-5010\"");
}

static int read_ports(struct reader *r, const char *path, const json_t *v, struct range *out,
		      size_t *n)
{
	char at[96];

	if (!v) {
		out[0] = (struct range){ 0, 65535 };
		*n = 1;
		return 0;
	}
	if (!json_is_array(v) || !json_array_size(v) || json_array_size(v) > PORTS_MAX)
		return fail(r, path,
			    "must be an array of 1 to %d ports or ranges; "
			    "leave it out for any port",
			    PORTS_MAX);
	for (size_t i = 0; i < json_array_size(v); i++) {
		snprintf(at, sizeof(at), "%s[%zu]", path, i);
		if (read_range(r, at, json_array_get(v, i), &out[i]))
			return -EINVAL;
	}
	*n = json_array_size(v);
	return 0;
}

/* "192.0.2.0/24", "2001:db8::1" */
static int read_prefix(const char *s, struct hg_rule *rule)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = strcspn(s, "/");
	unsigned long len;
	__u8 *a = (__u8 *)rule->addr.a;
	bool v4;
	char *end;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	v4 = !strchr(text, ':');
	memset(a, 0, 16);
	if (v4)
		a[10] = a[11] = 0xff;
	if (inet_pton(v4 ? AF_INET : AF_INET6, text, v4 ? a + 12 : a) != 1)
		return -EINVAL;
	len = v4 ? 32 : 128;
	if (s[n]) {
		unsigned long most = len;

		if (!isdigit((unsigned char)s[n + 1]))
			return -EINVAL;
		len = strtoul(s + n + 1, &end, 10);
		if (*end || len > most)
			return -EINVAL;
	}
	rule->prefix_len = (__u8)(v4 ? len + 96 : len);
	for (unsigned int bit = rule->prefix_len; bit < 128; bit++)
		if (a[bit / 8] & (0x80 >> bit % 8))
			return -ERANGE;
	rule->flags |= HG_RULE_PREFIX;
	return 0;
}

static int read_remote(struct reader *r, const char *path, const json_t *v, struct hg_rule *rule)
{
	static const struct {
		const char *name;
		__u8 role;
	} roles[] = { { "mirror", HG_PEER_MIRROR },
		      { "collector", HG_PEER_COLLECTOR },
		      { "dns", HG_PEER_DNS },
		      { "ntp", HG_PEER_NTP },
		      { "dhcp", HG_PEER_DHCP } };
	const char *s = json_string_value(v);
	int err;

	if (!s)
		return fail(r, path, "must be a string");
	if (!strcmp(s, "any"))
		return 0;
	if (!strcmp(s, "local")) {
		rule->flags |= HG_RULE_LOCAL;
		return 0;
	}
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (!strcmp(roles[i].name, s)) {
			rule->peer_roles = roles[i].role;
			return 0;
		}
	}
	err = read_prefix(s, rule);
	if (err == -ERANGE)
		return fail(r, path, "'%s' has host bits set; write the network's address", s);
	if (err)
		return fail(r, path,
			    "'%.60s' is not any, local, mirror, collector, dns, ntp, dhcp, "
			    "nor an address or prefix",
			    s);
	return 0;
}

static int add_rules(struct reader *r, const char *path, const struct hg_rule *remote,
		     const struct range *ports, size_t n_ports)
{
	for (size_t i = 0; i < n_ports; i++) {
		struct hg_rule *rule = &r->p.rules[r->p.n_rules];

		if (r->p.n_rules == HG_RULES_MAX)
			return fail(r, path,
				    "one rule too many: ports times remotes of all channels "
				    "may make %d",
				    HG_RULES_MAX);
		*rule = *remote;
		rule->port_min = ports[i].min;
		rule->port_max = ports[i].max;
		r->p.n_rules++;
	}
	return 0;
}

static int read_remotes(struct reader *r, const char *channel, const json_t *v,
			const struct hg_rule *base, const struct range *ports, size_t n_ports)
{
	size_t n = json_is_array(v) ? json_array_size(v) : 1;
	char at[96];

	snprintf(at, sizeof(at), "%s.remote", channel);
	if (!v)
		return fail(r, at, "is missing; \"any\" allows every remote");
	if (!n || n > REMOTES_MAX)
		return fail(r, at, "must be one remote or an array of 1 to %d", REMOTES_MAX);
	for (size_t i = 0; i < n; i++) {
		struct hg_rule rule = *base;

		if (json_is_array(v))
			snprintf(at, sizeof(at), "%s.remote[%zu]", channel, i);
		if (read_remote(r, at, json_is_array(v) ? json_array_get(v, i) : v, &rule) ||
		    add_rules(r, at, &rule, ports, n_ports))
			return -EINVAL;
	}
	return 0;
}

static int read_channel(struct reader *r, size_t index, const json_t *v)
{
	static const char *const keys[] = { "name",	"proto",   "ports", "remote",
					    "envelope", "answers", NULL };
	struct hg_profile_channel *ch = &r->p.channels[r->p.n_channels];
	struct hg_rule base = { .channel = (__u16)r->p.n_channels };
	struct range ports[PORTS_MAX];
	const json_t *answers;
	char path[40], at[64];
	size_t n_ports = 0;

	snprintf(path, sizeof(path), "$.channels[%zu]", index);
	if (only_keys(r, path, v, keys))
		return -EINVAL;
	snprintf(at, sizeof(at), "%s.name", path);
	if (read_name(r, at, json_object_get(v, "name"), ch->name))
		return -EINVAL;
	for (size_t i = 0; i < r->p.n_channels; i++)
		if (!strcmp(r->p.channels[i].name, ch->name))
			return fail(r, at, "'%s' is taken", ch->name);
	snprintf(at, sizeof(at), "%s.proto", path);
	if (read_proto(r, at, json_object_get(v, "proto"), &base.proto))
		return -EINVAL;
	snprintf(at, sizeof(at), "%s.ports", path);
	if (json_object_get(v, "ports") && base.proto != IPPROTO_TCP && base.proto != IPPROTO_UDP)
		return fail(r, at, "only tcp and udp have ports");
	if (read_ports(r, at, json_object_get(v, "ports"), ports, &n_ports) ||
	    read_remotes(r, path, json_object_get(v, "remote"), &base, ports, n_ports))
		return -EINVAL;
	snprintf(at, sizeof(at), "%s.envelope", path);
	if (!json_object_get(v, "envelope"))
		return fail(r, at, "is missing");
	if (read_envelope(r, at, json_object_get(v, "envelope"), &ch->bounds))
		return -EINVAL;
	apply_margin(r, &ch->bounds);
	answers = json_object_get(v, "answers");
	snprintf(at, sizeof(at), "%s.answers", path);
	if (answers && !json_is_boolean(answers))
		return fail(r, at, "must be true or false");
	ch->bounds.walk_limit = json_is_false(answers) ? 0 : WALK_LIMIT;
	ch->bounds.walk_up = WALK_UP_INSIDE;
	ch->bounds.walk_down = WALK_DOWN;
	r->p.n_channels++;
	return 0;
}

static int read_outside(struct reader *r, const json_t *v)
{
	struct hg_profile_channel *ch = &r->p.channels[0];

	strcpy(ch->name, "outside");
	ch->bounds = outside_default;
	if (v && read_envelope(r, "$.outside", v, &ch->bounds))
		return -EINVAL;
	apply_margin(r, &ch->bounds);
	ch->bounds.walk_limit = WALK_LIMIT;
	ch->bounds.walk_up = WALK_UP_OUTSIDE;
	ch->bounds.walk_down = WALK_DOWN;
	r->p.n_channels = 1;
	return 0;
}

static int read_profile(struct reader *r, const json_t *root)
{
	static const char *const keys[] = { "model",   "firmware", "margin_percent",
					    "outside", "channels", NULL };
	const json_t *list, *margin;

	if (only_keys(r, "$", root, keys) ||
	    read_name(r, "$.model", json_object_get(root, "model"), r->p.model) ||
	    read_name(r, "$.firmware", json_object_get(root, "firmware"), r->p.firmware))
		return -EINVAL;
	margin = json_object_get(root, "margin_percent");
	r->margin = MARGIN_DEFAULT;
	if (margin && read_count(r, "$.margin_percent", margin, MARGIN_MIN, MARGIN_MAX, &r->margin))
		return -EINVAL;
	if (read_outside(r, json_object_get(root, "outside")))
		return -EINVAL;
	list = json_object_get(root, "channels");
	if (!json_is_array(list))
		return fail(r, "$.channels", "must be an array");
	if (json_array_size(list) > HG_CHANNELS_MAX - 1)
		return fail(r, "$.channels", "has %zu channels; at most %d are allowed",
			    json_array_size(list), HG_CHANNELS_MAX - 1);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (read_channel(r, i, json_array_get(list, i)))
			return -EINVAL;
	return 0;
}

int hg_profile_parse(const char *json, size_t len, struct hg_profile *out, char *err,
		     size_t err_size)
{
	struct reader *r;
	json_error_t where;
	json_t *root;
	int ret;

	if (len > HG_PROFILE_SIZE_MAX) {
		snprintf(err, err_size, "profile: larger than %d bytes", HG_PROFILE_SIZE_MAX);
		return -EFBIG;
	}
	root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);
	if (!root) {
		snprintf(err, err_size, "line %d column %d: not JSON: %s", where.line, where.column,
			 where.text);
		return -EINVAL;
	}
	r = calloc(1, sizeof(*r));
	ret = -ENOMEM;
	if (!r) {
		snprintf(err, err_size, "profile: out of memory");
		goto out_root;
	}
	r->err = err;
	r->err_size = err_size;
	ret = read_profile(r, root);
	if (!ret)
		*out = r->p;
	free(r);
out_root:
	json_decref(root);
	return ret;
}

int hg_profile_load(const char *path, struct hg_profile *out, char *err, size_t err_size)
{
	char *text, what[256];
	FILE *f;
	size_t n;
	int ret;

	f = fopen(path, "re");
	if (!f) {
		ret = -errno;
		snprintf(err, err_size, "%s: %s", path, strerror(-ret));
		return ret;
	}
	text = malloc(HG_PROFILE_SIZE_MAX + 1);
	ret = -ENOMEM;
	if (!text) {
		snprintf(err, err_size, "%s: out of memory", path);
		goto out_file;
	}
	n = fread(text, 1, HG_PROFILE_SIZE_MAX + 1, f);
	ret = ferror(f) ? -EIO : hg_profile_parse(text, n, out, what, sizeof(what));
	if (ret == -EIO)
		snprintf(err, err_size, "%s: cannot be read", path);
	else if (ret)
		snprintf(err, err_size, "%s: %s", path, what);
	free(text);
out_file:
	fclose(f);
	return ret;
}
