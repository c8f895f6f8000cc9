// SPDX-License-Identifier: MIT
/*
 * heliograph: the command line of the device. Reads the agent's configuration file and hands it to
 * the subcommand; those that begin with `profile` are for makers, too, and do without it.
 */
#include <stdio.h>
#include <string.h>
#include "agent-conf.h"
#include "cmd_agent.h"
#include "cmd_guard.h"
#include "cmd_profile.h"
#include "cmd_profile_capture.h"
#include "cmd_profile_mud.h"

#define SUBCOMMANDS_MAX 48

static const struct hg_opt opts[] = {
	{ 'j', "json", NULL, "print JSON" },
	{ 0 },
};

static int set_option(void *ctx, const struct hg_opt *opt, const char *value)
{
	struct hg_cli *cli = ctx;

	cli->json = true; /* the only one */
	return 0;
}

/* All tables as one. */
static void join(struct hg_subcommand *all, const struct hg_subcommand *more)
{
	size_t n = 0;

	while (all[n].name)
		n++;
	for (; more->name && n + 1 < SUBCOMMANDS_MAX; more++)
		all[n++] = *more;
}

/* What is done on other machines than the device, which have no file of its. */
static bool is_for_makers(int argc, char **argv)
{
	return !strcmp(argv[0], "profile") ||
	       (argc > 1 && !strcmp(argv[0], "guard") && !strcmp(argv[1], "seal"));
}

int main(int argc, char **argv)
{
	struct hg_subcommand subcommands[SUBCOMMANDS_MAX] = { 0 };
	const struct hg_program program = {
		.name = "heliograph",
		.purpose = "look at the device's agent and guard, and tell them what to do",
		.default_conf = HG_AGENT_CONF,
		.opts = opts,
		.subcommands = subcommands,
		.keys = hg_agent_conf_keys,
	};
	struct hg_cli cli = { .json = false };
	const char *path;
	char err[512];
	int first, ret;

	join(subcommands, hg_agent_subcommands);
	join(subcommands, hg_guard_subcommands);
	join(subcommands, hg_profile_subcommands);
	join(subcommands, hg_capture_subcommands);
	join(subcommands, hg_profile_mud_subcommands);
	first = hg_program_options(&program, argc, argv, set_option, &cli, &path);
	if (first < 0)
		return HG_EXIT_USAGE;
	if (path == program.default_conf && is_for_makers(argc - first, argv + first))
		path = NULL;
	if (hg_agent_conf_load(path, &cli.conf, err, sizeof(err))) {
		fprintf(stderr, "heliograph: %s\n", err);
		return HG_EXIT_CONFIG;
	}
	ret = hg_program_run(&program, &cli, argc - first, argv + first);
	hg_agent_conf_free(&cli.conf);
	return ret;
}
