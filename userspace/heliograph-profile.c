// SPDX-License-Identifier: MIT
/*
 * heliograph-profile: `heliograph profile` for the machine on which a maker builds images. It has
 * no device around it, so it wants neither libbpf nor libnl nor inih, and no configuration file.
 */
#include <stdio.h>
#include <string.h>
#include "cmd_profile.h"
#include "cmd_profile_capture.h"
#include "cmd_profile_mud.h"

#define SUBCOMMANDS_MAX 32

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

/* The rows that `heliograph` calls "profile WORD", as "WORD". */
static void join(struct hg_subcommand *all, const struct hg_subcommand *more)
{
	static const char prefix[] = "profile ";
	size_t n = 0;

	while (all[n].name)
		n++;
	for (; more->name && n + 1 < SUBCOMMANDS_MAX; more++) {
		all[n] = *more;
		if (!strncmp(more->name, prefix, sizeof(prefix) - 1))
			all[n].name += sizeof(prefix) - 1;
		n++;
	}
}

int main(int argc, char **argv)
{
	struct hg_subcommand subcommands[SUBCOMMANDS_MAX] = { 0 };
	const struct hg_program program = {
		.name = "heliograph-profile",
		.purpose = "make, check, sign and compile traffic profiles",
		.opts = opts,
		.subcommands = subcommands,
	};
	struct hg_cli cli = { .json = false };
	const char *path = NULL;
	int first;

	join(subcommands, hg_profile_subcommands);
	join(subcommands, hg_capture_subcommands);
	join(subcommands, hg_profile_mud_subcommands);
	first = hg_program_options(&program, argc, argv, set_option, &cli, &path);
	if (first < 0)
		return HG_EXIT_USAGE;
	return hg_program_run(&program, &cli, argc - first, argv + first);
}
