// SPDX-License-Identifier: MIT
/*
 * `heliograph profile compile`: what the guard gets of a profile, to see why a flow is in a
 * channel: numbers and ids of channels, rules in the order in which they are tried, names.
 */
#include "cmd_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/args.h"
#include "profile-compile.h"
#include "profile-text.h"

static const size_t guard_bytes = sizeof(((struct hg_compiled *)0)->bounds) +
				  sizeof(((struct hg_compiled *)0)->rules);

/* The remote of a rule as a profile would say it. */
static const char *remote_text(const struct hg_rule *r, char out[static HG_REMOTE_TEXT_MAX])
{
	struct hg_profile_remote remote = { .addr = r->addr,
					    .role = r->peer_roles,
					    .prefix_len = r->prefix_len };

	if (r->flags & HG_RULE_BOUND)
		return "its names";
	if (r->flags & HG_RULE_LOCAL)
		remote.kind = HG_REMOTE_LOCAL;
	else if (r->flags & HG_RULE_PREFIX)
		remote.kind = HG_REMOTE_PREFIX;
	else if (r->peer_roles)
		remote.kind = HG_REMOTE_PEER;
	return hg_remote_write(&remote, out);
}

static void print(const struct hg_compiled *c)
{
	size_t channels = 0;

	for (size_t i = 0; i < HG_CHANNELS_MAX; i++)
		channels += c->bounds[i].id != 0;
	printf("%zu channels of %d, %zu rules of %d, %zu names; %zu bytes in the guard\n\n",
	       channels, HG_CHANNELS_MAX, c->n_rules, HG_RULES_MAX, c->n_names, guard_bytes);
	printf("%7s  %-16s  %s\n", "channel", "id", "name");
	for (size_t i = 0; i < HG_CHANNELS_MAX; i++)
		if (c->bounds[i].id)
			printf("%7zu  %016llx  %s\n", i, (unsigned long long)c->bounds[i].id,
			       c->channels[i]);
	printf("\n%4s  %7s  %5s  %-11s  %s\n", "rule", "channel", "proto", "ports", "remote");
	for (size_t i = 0; i < c->n_rules; i++) {
		const struct hg_rule *r = &c->rules[i];
		char ports[16], remote[HG_REMOTE_TEXT_MAX];

		snprintf(ports, sizeof(ports), "%u-%u", r->port_min, r->port_max);
		printf("%4zu  %7u  %5u  %-11s  %s%s\n", i, r->channel, r->proto, ports,
		       remote_text(r, remote),
		       r->flags & HG_RULE_THEIRS ? ", who opens; ports are the device's" : "");
	}
	if (c->n_names)
		printf("\n%-18s  %s\n", "channels (bits)", "name");
	for (size_t i = 0; i < c->n_names; i++)
		printf("%#018llx  %s\n", (unsigned long long)c->names[i].channels,
		       c->names[i].host);
}

static json_t *json_of(const struct hg_compiled *c)
{
	json_t *channels = json_array(), *rules = json_array(), *names = json_array();
	char text[HG_REMOTE_TEXT_MAX];

	for (size_t i = 0; i < HG_CHANNELS_MAX; i++) {
		const struct hg_bounds *b = &c->bounds[i];

		if (!b->id)
			continue;
		snprintf(text, sizeof(text), "%016llx", (unsigned long long)b->id);
		json_array_append_new(channels,
				      json_pack("{s:I, s:s, s:s}", "channel", (json_int_t)i, "id",
						text, "name", c->channels[i]));
	}
	for (size_t i = 0; i < c->n_rules; i++) {
		const struct hg_rule *r = &c->rules[i];

		json_array_append_new(
			rules, json_pack("{s:i, s:i, s:i, s:i, s:s, s:s}", "channel", r->channel,
					 "proto", r->proto, "port_min", r->port_min, "port_max",
					 r->port_max, "remote", remote_text(r, text), "opener",
					 r->flags & HG_RULE_THEIRS ? "remote" : "device"));
	}
	for (size_t i = 0; i < c->n_names; i++) {
		json_t *list = json_array();

		for (unsigned int b = 0; b < HG_CHANNELS_MAX; b++)
			if (c->names[i].channels >> b & 1)
				json_array_append_new(list, json_integer(b));
		json_array_append_new(names, json_pack("{s:s, s:o}", "name", c->names[i].host,
						       "channels", list));
	}
	return json_pack("{s:o, s:o, s:o, s:I}", "channels", channels, "rules", rules, "names",
			 names, "bytes", (json_int_t)guard_bytes);
}

int hg_cmd_profile_compile(void *ctx, int argc, char **argv)
{
	struct hg_arg args[] = { { "json", NULL, 1, 0, 'j' }, { 0 } };
	const struct hg_cli *cli = ctx;
	struct hg_compiled *c = NULL;
	struct hg_profile *p;
	int ret = HG_EXIT_FAILED;

	if (hg_args_take("heliograph", argc, argv, 1, 1, args) < 0)
		return HG_EXIT_USAGE;
	p = hg_cmd_profile_load(argv[1]);
	if (!p)
		return ret;
	c = malloc(sizeof(*c));
	if (!c || hg_profile_compile(p, NULL, c)) {
		ret = hg_cmd_no_memory();
	} else if (cli->json || args[0].count) {
		ret = hg_cmd_profile_json(json_of(c));
	} else {
		print(c);
		ret = fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
	}
	free(c);
	free(p);
	return ret;
}
