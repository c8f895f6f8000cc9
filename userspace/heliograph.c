// SPDX-License-Identifier: MIT
/*
 * heliograph: the command line of the device. Reads the agent's configuration file and hands it to
 * the subcommand.
 */
#include <stdio.h>
#include "agent-conf.h"
#include "cmd_guard.h"

int main(int argc, char **argv)
{
	const struct hg_program program = {
		.name = "heliograph",
		.purpose = "look at the device's guard and change it",
		.default_conf = HG_AGENT_CONF,
		.subcommands = hg_guard_subcommands,
		.keys = hg_agent_conf_keys,
	};
	struct hg_agent_conf conf;
	const char *path;
	char err[512];
	int first, ret;

	first = hg_program_options(&program, argc, argv, NULL, NULL, &path);
	if (first < 0)
		return HG_EXIT_USAGE;
	if (hg_agent_conf_load(path, &conf, err, sizeof(err))) {
		fprintf(stderr, "heliograph: %s\n", err);
		return HG_EXIT_CONFIG;
	}
	ret = hg_program_run(&program, &conf, argc - first, argv + first);
	hg_agent_conf_free(&conf);
	return ret;
}
