// SPDX-License-Identifier: MIT
/*
 * `heliograph profile show|check`: what stands in a profile, as a table for people or as JSON.
 */
#include "cmd_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/args.h"
#include "profile-compile.h"
#include "profile-text.h"

struct hg_profile *hg_cmd_profile_load(const char *path)
{
	struct hg_profile *p = malloc(sizeof(*p));
	char err[512];

	if (!p) {
		fprintf(stderr, "heliograph: out of memory\n");
		return NULL;
	}
	if (hg_profile_load(path, p, err, sizeof(err))) {
		fprintf(stderr, "heliograph: %s\n", err);
		free(p);
		return NULL;
	}
	return p;
}

static int print_json(const struct hg_profile *p)
{
	char *text = hg_profile_write(p);

	if (!text) {
		fprintf(stderr, "heliograph: out of memory\n");
		return HG_EXIT_FAILED;
	}
	fputs(text, stdout);
	free(text);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static void print_head(const struct hg_profile *p)
{
	char from[HG_TEXT_MAX] = "the beginning", until[HG_TEXT_MAX] = "its end";

	printf("model     %s, firmware %s%s%s\n", p->model, p->firmware, *p->maker ? ", by " : "",
	       p->maker);
	if (p->serial)
		printf("serial    %llu\n", (unsigned long long)p->serial);
	if (p->valid_from)
		hg_time_write(p->valid_from, from);
	if (p->valid_until)
		hg_time_write(p->valid_until, until);
	if (p->valid_from || p->valid_until)
		printf("valid     from %s to %s\n", from, until);
	printf("margin    %u %%\n", p->margin_percent);
}

/* An envelope's windows, each with its bounds: envelope times margin. */
static void print_envelope(const struct hg_profile_envelope *e)
{
	for (int w = 0; w < HG_WINDOWS; w++) {
		bool any = false;

		for (int f = 0; f < HG_ENVELOPE_FEATURES; f++) {
			if (e->most[w][f] == HG_PROFILE_UNTESTED)
				continue;
			if (!any)
				printf("  %4u s ", hg_profile_seconds(w));
			any = true;
			printf("  %s %llu", hg_profile_feature_name(f),
			       (unsigned long long)e->most[w][f]);
		}
		if (any)
			putchar('\n');
	}
}

static void print_channel(const struct hg_profile *p, const struct hg_profile_channel *ch)
{
	const char *proto = hg_proto_name(ch->proto);
	char text[HG_REMOTE_TEXT_MAX];

	printf("\n%s: ", ch->name);
	if (proto)
		printf("%s", proto);
	else
		printf("protocol %u", ch->proto);
	for (size_t i = 0; i < ch->n_ports; i++) {
		printf("%s%u", i ? "," : " ", ch->ports[i].min);
		if (ch->ports[i].max != ch->ports[i].min)
			printf("-%u", ch->ports[i].max);
	}
	printf(ch->remote_opens ? ", opened by" : " to");
	for (size_t i = 0; i < ch->n_remotes; i++)
		printf("%s %s", i ? "," : "", hg_remote_write(&p->remotes[ch->remotes + i], text));
	printf("%s\n", ch->no_answers ? "; no answers" : "");
	print_envelope(&ch->envelope);
	if (ch->walk.given)
		printf("  walk     limit %u, up %u, down %u\n", ch->walk.limit, ch->walk.up,
		       ch->walk.down);
	if (ch->sum_flows.given)
		printf("  sum      flows over %llu an hour, limit %llu\n",
		       (unsigned long long)ch->sum_flows.rate,
		       (unsigned long long)ch->sum_flows.limit);
	if (ch->sum_bytes.given)
		printf("  sum      bytes over %llu an hour, limit %llu\n",
		       (unsigned long long)ch->sum_bytes.rate,
		       (unsigned long long)ch->sum_bytes.limit);
}

static int profile_show(void *ctx, int argc, char **argv)
{
	struct hg_arg args[] = { { "json", NULL, 1, 0, 'j' }, { 0 } };
	const struct hg_cli *cli = ctx;
	struct hg_profile *p;
	int ret = HG_EXIT_OK;

	if (hg_args_take("heliograph", argc, argv, 1, 1, args) < 0)
		return HG_EXIT_USAGE;
	p = hg_cmd_profile_load(argv[1]);
	if (!p)
		return HG_EXIT_FAILED;
	if (cli->json || args[0].count) {
		ret = print_json(p);
	} else {
		print_head(p);
		printf("\noutside: all that no channel takes\n");
		print_envelope(&p->outside);
		for (size_t i = 0; i < p->n_channels; i++)
			print_channel(p, &p->channels[i]);
	}
	free(p);
	return fflush(stdout) ? HG_EXIT_FAILED : ret;
}

static int profile_check(void *ctx, int argc, char **argv)
{
	struct hg_profile *p;
	size_t rules = 0;

	if (hg_args_take("heliograph", argc, argv, 1, 1, NULL) < 0)
		return HG_EXIT_USAGE;
	p = hg_cmd_profile_load(argv[1]);
	if (!p)
		return HG_EXIT_FAILED;
	for (size_t i = 0; i < p->n_channels; i++)
		rules += hg_profile_rules(p, &p->channels[i]);
	printf("%s: good: %s %s, %zu channels, %zu rules of %d\n", argv[1], p->model, p->firmware,
	       p->n_channels, rules, HG_RULES_MAX);
	free(p);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

const struct hg_subcommand hg_profile_subcommands[] = {
	{ "profile show", "FILE [--json]", "what a traffic profile says", profile_show },
	{ "profile check", "FILE", "whether a traffic profile is good, and if not, why",
	  profile_check },
	{ 0 },
};
