// SPDX-License-Identifier: MIT
/*
 * Profile to guard: called by the agent when it has read a profile, and by the profile commands.
 * Integers only; what is too large for a bound stays the largest bound that is still tested.
 */
#include "profile-compile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include "../lib/cborjson.h"

/* A channel's definition as CBOR: 32 remotes of 260 bytes, 32 ranges of 12, and keys. */
#define DEFINITION_MAX 12288

_Static_assert(HG_CHANNELS_MAX * sizeof(struct hg_bounds) + HG_RULES_MAX * sizeof(struct hg_rule) <=
		       16384,
	       "a profile takes at most 16 KiB of the guard");

/*
 * Ten failures without an answer outside the profile, twenty inside it. A benign device's failures
 * are mixed with answers; a scanner's hardly ever (at most 1 in 5, Jung et al.).
 */
#define WALK_LIMIT 20
#define WALK_UP_OUTSIDE 2
#define WALK_UP_INSIDE 1
#define WALK_DOWN 1

/*
 * Flows an hour outside the profile that are no news, and how many more add up to some: a beacon
 * each minute takes a quarter of an hour, one each five minutes two hours.
 */
#define OUTSIDE_RATE 6
#define OUTSIDE_LIMIT 12

__u64 hg_profile_id(const struct hg_profile *p, const struct hg_profile_channel *ch)
{
	static const char *const left_out[] = { "envelope", "answers", "walk", "sum" };
	json_t *o = hg_profile_channel_to_json(p, ch);
	uint8_t cbor[DEFINITION_MAX], hash[EVP_MAX_MD_SIZE];
	__u64 id = 0;
	long n;

	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		json_object_del(o, left_out[i]);
	n = o ? hg_cbor_from_json(o, cbor, sizeof(cbor)) : -1;
	json_decref(o);
	if (n < 0 || EVP_Digest(cbor, (size_t)n, hash, NULL, EVP_sha256(), NULL) != 1)
		return 0;
	for (size_t i = 0; i < sizeof(id); i++)
		id = id << 8 | hash[i];
	return id > HG_OUTSIDE_ID ? id : HG_OUTSIDE_ID + 1;
}

static bool is_in(const __u64 *ids, size_t n, __u64 id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* The number of a channel that stays, if nobody has taken it yet; else 0. */
static __u8 number_of(const __u64 *old, __u64 id, const bool *taken)
{
	for (unsigned int c = 1; old && c < HG_CHANNELS_MAX; c++)
		if (old[c] == id && !taken[c])
			return (__u8)c;
	return 0;
}

/* A number that was free before, or else any that is free now. */
static __u8 free_number(const __u64 *old, const bool *taken)
{
	unsigned int any = 0;

	for (unsigned int c = HG_CHANNELS_MAX - 1; c; c--) {
		if (taken[c])
			continue;
		if (!any || !old || !old[c] || old[any])
			any = c;
	}
	return (__u8)any;
}

static int place(const struct hg_profile *p, const __u64 *old, __u64 *ids, __u8 *number)
{
	bool taken[HG_CHANNELS_MAX] = { true };

	for (size_t i = 0; i < p->n_channels; i++) {
		ids[i] = hg_profile_id(p, &p->channels[i]);
		if (!ids[i])
			return -ENOMEM;
		number[i] = is_in(ids, i, ids[i]) ? 0 : number_of(old, ids[i], taken);
		taken[number[i]] = true;
	}
	for (size_t i = 0; i < p->n_channels; i++) {
		if (number[i])
			continue;
		number[i] = free_number(old, taken);
		taken[number[i]] = true;
	}
	return 0;
}

int hg_profile_place(const struct hg_profile *p, const __u64 *old,
		     __u8 number[static HG_PROFILE_CHANNELS_MAX])
{
	__u64 ids[HG_PROFILE_CHANNELS_MAX];

	return place(p, old, ids, number);
}

static void add_name(struct hg_compiled *out, const char *host, __u8 channel)
{
	struct hg_compiled_name *n = out->names;

	while (n < &out->names[out->n_names] && strcmp(n->host, host))
		n++;
	if (n == &out->names[out->n_names]) {
		out->n_names++;
		strcpy(n->host, host);
	}
	n->channels |= 1ull << channel;
}

static void add_rules(struct hg_compiled *out, const struct hg_profile_channel *ch,
		      const struct hg_rule *remote)
{
	for (size_t i = 0; i < (ch->n_ports ? ch->n_ports : 1u); i++) {
		struct hg_rule *rule = &out->rules[out->n_rules++];

		*rule = *remote;
		rule->port_min = ch->n_ports ? ch->ports[i].min : 0;
		rule->port_max = ch->n_ports ? ch->ports[i].max : 65535;
	}
}

/* The names of a channel share one rule, for the guard knows of an address only whose it is. */
static void compile_remotes(struct hg_compiled *out, const struct hg_profile *p,
			    const struct hg_profile_channel *ch, __u8 number)
{
	bool named = false;

	for (size_t i = 0; i < ch->n_remotes; i++) {
		const struct hg_profile_remote *r = &p->remotes[ch->remotes + i];
		struct hg_rule rule = { .channel = number, .proto = ch->proto };
		__u8 theirs = ch->remote_opens ? HG_RULE_THEIRS : 0;

		rule.addr = r->addr;
		rule.prefix_len = r->prefix_len;
		rule.peer_roles = r->role;
		if (r->kind == HG_REMOTE_LOCAL)
			rule.flags = HG_RULE_LOCAL;
		else if (r->kind == HG_REMOTE_PREFIX)
			rule.flags = HG_RULE_PREFIX;
		else if (r->kind == HG_REMOTE_NAME)
			rule.flags = HG_RULE_BOUND;
		rule.flags |= theirs;
		if (r->kind == HG_REMOTE_NAME)
			add_name(out, r->host, number);
		if (r->kind != HG_REMOTE_NAME || !named)
			add_rules(out, ch, &rule);
		named = named || r->kind == HG_REMOTE_NAME;
	}
}

/* What is tested stays so: the largest bound is one below "not tested". */
static __u32 narrow(__u64 n)
{
	if (n == HG_PROFILE_UNTESTED)
		return HG_UNBOUNDED;
	return n < HG_UNBOUNDED ? (__u32)n : HG_UNBOUNDED - 1;
}

/* All bounds of one window; those of HG_PROFILE_UNTESTED stay so. */
static void with_margin(const struct hg_profile *p, const uint64_t *most,
			uint64_t bound[static HG_ENVELOPE_FEATURES])
{
	for (int f = 0; f < HG_ENVELOPE_FEATURES; f++)
		bound[f] = hg_profile_bound(p, f, most[f]);
}

static void compile_minute(const uint64_t *bound, struct hg_bounds *b)
{
	b->ports = narrow(bound[HG_ENVELOPE_PORTS]);
	b->sources = narrow(bound[HG_ENVELOPE_SOURCES]);
	b->size_min = 0;
	if (bound[HG_ENVELOPE_SIZE_MIN] != HG_PROFILE_UNTESTED)
		b->size_min = (__u16)bound[HG_ENVELOPE_SIZE_MIN];
	b->size_max = 65535;
	if (bound[HG_ENVELOPE_SIZE_MAX] != HG_PROFILE_UNTESTED)
		b->size_max = (__u16)bound[HG_ENVELOPE_SIZE_MAX];
}

static void compile_bounds(const struct hg_profile *p, const struct hg_profile_envelope *e,
			   struct hg_bounds *b)
{
	uint64_t bound[HG_ENVELOPE_FEATURES];

	for (int w = 0; w < HG_WINDOWS; w++) {
		with_margin(p, e->most[w], bound);
		b->bytes[w] = bound[HG_ENVELOPE_BYTES];
		b->packets[w] = narrow(bound[HG_ENVELOPE_PACKETS]);
		b->flows[w] = narrow(bound[HG_ENVELOPE_FLOWS]);
		b->failed[w] = narrow(bound[HG_ENVELOPE_FAILED]);
		b->destinations[w] = narrow(bound[HG_ENVELOPE_DESTINATIONS]);
		b->fresh[w] = narrow(bound[HG_ENVELOPE_FRESH]);
		if (w == HG_WINDOW_MINUTE)
			compile_minute(bound, b);
	}
	b->sum_flows_limit = HG_UNBOUNDED;
	b->sum_bytes_limit = HG_UNBOUNDED_BYTES;
	b->walk_limit = WALK_LIMIT;
	b->walk_up = WALK_UP_INSIDE;
	b->walk_down = WALK_DOWN;
}

static void compile_tests(const struct hg_profile_channel *ch, struct hg_bounds *b)
{
	if (ch->no_answers)
		b->walk_limit = 0;
	if (ch->walk.given) {
		b->walk_limit = ch->walk.limit;
		b->walk_up = ch->walk.up;
		b->walk_down = ch->walk.down;
	}
	if (ch->sum_flows.given) {
		b->sum_flows_rate = narrow(ch->sum_flows.rate);
		b->sum_flows_limit = narrow(ch->sum_flows.limit);
	}
	if (ch->sum_bytes.given) {
		b->sum_bytes_rate = ch->sum_bytes.rate;
		b->sum_bytes_limit = ch->sum_bytes.limit;
	}
}

int hg_profile_compile(const struct hg_profile *p, const __u64 *old, struct hg_compiled *out)
{
	__u64 ids[HG_PROFILE_CHANNELS_MAX];
	__u8 number[HG_PROFILE_CHANNELS_MAX];
	int ret = place(p, old, ids, number);

	if (ret)
		return ret;
	memset(out, 0, sizeof(*out));
	strcpy(out->model, p->model);
	strcpy(out->firmware, p->firmware);
	strcpy(out->channels[0], "outside");
	compile_bounds(p, &p->outside, &out->bounds[0]);
	out->bounds[0].id = HG_OUTSIDE_ID;
	out->bounds[0].walk_up = WALK_UP_OUTSIDE;
	out->bounds[0].sum_flows_rate = OUTSIDE_RATE;
	out->bounds[0].sum_flows_limit = OUTSIDE_LIMIT;
	for (size_t i = 0; i < p->n_channels; i++) {
		const struct hg_profile_channel *ch = &p->channels[i];

		struct hg_bounds *b = &out->bounds[number[i]];

		strcpy(out->channels[number[i]], ch->name);
		compile_bounds(p, &ch->envelope, b);
		compile_tests(ch, b);
		b->id = ids[i];
		compile_remotes(out, p, ch, number[i]);
	}
	return 0;
}

size_t hg_compiled_patterns(const struct hg_compiled *c,
			    struct hg_names_pattern out[static HG_PROFILE_REMOTES_ALL])
{
	for (size_t i = 0; i < c->n_names; i++)
		out[i] = (struct hg_names_pattern){ c->names[i].host, c->names[i].channels };
	return c->n_names;
}
