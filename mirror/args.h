/* SPDX-License-Identifier: MIT */
/* The words behind a subcommand of the mirror. */
#ifndef HG_MIRROR_ARGS_H
#define HG_MIRROR_ARGS_H

#include "../lib/args.h"
#include "../lib/conf.h"

/* As hg_args_take() with exactly `operands`. Returns HG_EXIT_OK or HG_EXIT_USAGE. */
static inline int hg_args_parse(int argc, char **argv, int operands, struct hg_arg *args)
{
	int n = hg_args_take("heliograph-mirror", argc, argv, operands, operands, args);

	return n < 0 ? HG_EXIT_USAGE : HG_EXIT_OK;
}

#endif
