/* SPDX-License-Identifier: MIT */
/* The words behind a subcommand: operands and "--name VALUE", also "--name=VALUE". */
#ifndef HG_MIRROR_ARGS_H
#define HG_MIRROR_ARGS_H

#include <stddef.h>

#define HG_ARGS_VALUES_MAX 64 /* of one option that repeats */

struct hg_arg {
	const char *name;    /* without dashes; NULL ends the table */
	const char **values; /* room for `max` */
	size_t max;	     /* 1: may be given once */
	size_t count;
};

/*
 * Sorts argv[1..] into operands (moved to argv[1..], exactly `operands` of them) and options.
 * Returns HG_EXIT_OK, or HG_EXIT_USAGE after printing what is wrong.
 */
int hg_args_parse(int argc, char **argv, int operands, struct hg_arg *args);

#endif
