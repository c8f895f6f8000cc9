// SPDX-License-Identifier: MIT
/*
 * `heliograph profile show|check`: what stands in a profile, as a table for people or in its
 * written form; and the table of the subcommands whose files begin with cmd_profile_.
 */
#include "cmd_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/args.h"
#include "profile-compile.h"
#include "profile-text.h"

int hg_cmd_no_memory(void)
{
	fprintf(stderr, "heliograph: out of memory\n");
	return HG_EXIT_FAILED;
}

struct hg_profile *hg_cmd_profile_load(const char *path)
{
	struct hg_profile *p = malloc(sizeof(*p));
	char err[512];

	if (!p) {
		hg_cmd_no_memory();
		return NULL;
	}
	if (hg_profile_load(path, p, err, sizeof(err))) {
		fprintf(stderr, "heliograph: %s\n", err);
		free(p);
		return NULL;
	}
	return p;
}

int hg_cmd_profile_print(const struct hg_profile *p)
{
	char *text = hg_profile_write(p);

	if (!text)
		return hg_cmd_no_memory();
	fputs(text, stdout);
	free(text);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

int hg_cmd_profile_json(json_t *json)
{
	if (!json)
		return hg_cmd_no_memory();
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static void print_head(const struct hg_profile *p)
{
	char from[HG_TEXT_MAX] = "any time", until[HG_TEXT_MAX] = "any time";

	printf("model     %s, firmware %s%s%s\n", p->model, p->firmware, *p->maker ? ", by " : "",
	       p->maker);
	printf("serial    %llu\n", (unsigned long long)p->serial);
	if (p->valid_from)
		hg_time_write(p->valid_from, from);
	if (p->valid_until)
		hg_time_write(p->valid_until, until);
	if (p->valid_from || p->valid_until)
		printf("valid     from %s to %s\n", from, until);
	printf("margin    %u %%: what testing saw/what is too much above it\n", p->margin_percent);
}

/* "seen/bound", or "-" where nothing is tested. */
static void cell(char *out, size_t size, const struct hg_profile *p, enum hg_profile_feature f,
		 uint64_t most)
{
	uint64_t bound = hg_profile_bound(p, f, most);

	if (most == HG_PROFILE_UNTESTED)
		snprintf(out, size, "-");
	else if (f == HG_ENVELOPE_SIZE_MIN || f == HG_ENVELOPE_SIZE_MAX)
		snprintf(out, size, "%llu", (unsigned long long)most);
	else
		snprintf(out, size, "%llu/%llu", (unsigned long long)most,
			 (unsigned long long)bound);
}

/* A column for each feature that some window tests, as wide as its widest cell. */
static void print_envelope(const struct hg_profile *p, const struct hg_profile_envelope *e)
{
	char text[HG_WINDOWS][HG_ENVELOPE_FEATURES][44];
	int width[HG_ENVELOPE_FEATURES] = { 0 };
	bool tested[HG_WINDOWS] = { false };

	for (int f = 0; f < HG_ENVELOPE_FEATURES; f++) {
		bool any = false;
		int wide = (int)strlen(hg_profile_feature_name(f));

		for (int w = 0; w < HG_WINDOWS; w++) {
			cell(text[w][f], sizeof(text[w][f]), p, f, e->most[w][f]);
			if (e->most[w][f] != HG_PROFILE_UNTESTED)
				any = tested[w] = true;
			if ((int)strlen(text[w][f]) > wide)
				wide = (int)strlen(text[w][f]);
		}
		width[f] = any ? wide + 2 : 0;
	}
	if (!tested[0] && !tested[1] && !tested[2]) {
		printf("  its amount is not tested\n");
		return;
	}
	printf("  %7s", "window");
	for (int f = 0; f < HG_ENVELOPE_FEATURES; f++)
		if (width[f])
			printf("%*s", width[f], hg_profile_feature_name(f));
	for (int w = 0; w < HG_WINDOWS; w++) {
		if (!tested[w])
			continue;
		printf("\n  %5u s", hg_profile_seconds(w));
		for (int f = 0; f < HG_ENVELOPE_FEATURES; f++)
			if (width[f])
				printf("%*s", width[f], text[w][f]);
	}
	putchar('\n');
}

static void print_sum(const char *what, const struct hg_profile_sum *s)
{
	if (s->given)
		printf("  sum: %s over %llu an hour add up, %llu are too much\n", what,
		       (unsigned long long)s->rate, (unsigned long long)s->limit);
}

static void print_channel(const struct hg_profile *p, const struct hg_profile_channel *ch)
{
	const char *proto = hg_proto_name(ch->proto);
	char text[HG_REMOTE_TEXT_MAX];

	printf("\n%s: ", ch->name);
	if (proto)
		printf("%s", ch->proto ? proto : "any protocol");
	else
		printf("protocol %u", ch->proto);
	for (size_t i = 0; i < ch->n_ports; i++) {
		printf("%s%u", i ? "," : " ", ch->ports[i].min);
		if (ch->ports[i].max != ch->ports[i].min)
			printf("-%u", ch->ports[i].max);
	}
	printf(ch->remote_opens ? " here, opened by" : " to");
	for (size_t i = 0; i < ch->n_remotes; i++)
		printf("%s %s", i ? "," : "", hg_remote_write(&p->remotes[ch->remotes + i], text));
	printf("%s\n", ch->no_answers ? "; no answers" : "");
	print_envelope(p, &ch->envelope);
	if (ch->walk.given)
		printf("  walk: up %u, down %u, limit %u\n", ch->walk.up, ch->walk.down,
		       ch->walk.limit);
	print_sum("flows", &ch->sum_flows);
	print_sum("bytes", &ch->sum_bytes);
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
		ret = hg_cmd_profile_print(p);
	} else {
		print_head(p);
		printf("\noutside: all that no channel takes\n");
		print_envelope(p, &p->outside);
		for (size_t i = 0; i < p->n_channels; i++)
			print_channel(p, &p->channels[i]);
	}
	free(p);
	return fflush(stdout) ? HG_EXIT_FAILED : ret;
}

/* What is allowed, but hardly meant. */
static void warn(const char *path, const struct hg_profile *p)
{
	for (size_t i = 0; i < p->n_channels; i++) {
		const struct hg_profile_channel *ch = &p->channels[i];

		for (size_t k = 0; k + 1 < ch->n_remotes; k++)
			if (p->remotes[ch->remotes + k].kind == HG_REMOTE_ANY)
				printf("%s: note: %s: remotes beside \"any\" change nothing\n",
				       path, ch->name);
	}
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
	warn(argv[1], p);
	printf("%s: good: %s %s, %zu channels, %zu rules of %d\n", argv[1], p->model, p->firmware,
	       p->n_channels, rules, HG_RULES_MAX);
	free(p);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

const struct hg_subcommand hg_profile_subcommands[] = {
	{ "profile show", "FILE [--json]", "what a traffic profile says", profile_show },
	{ "profile check", "FILE", "whether a traffic profile is good, and if not, why",
	  profile_check },
	{ "profile diff", "OLD NEW [--json]", "what has changed; status 1 if anything",
	  hg_cmd_profile_diff },
	{ "profile sign", "FILE -k KEY -c CERT [-o OUT]", "sign a profile with its maker's key",
	  hg_cmd_profile_sign },
	{ "profile verify", "FILE -m CERTS", "whether it is signed by one of these, and valid now",
	  hg_cmd_profile_verify },
	{ "profile compile", "FILE [--json]", "what the guard gets of it: rules, ids, names",
	  hg_cmd_profile_compile },
	{ 0 },
};
