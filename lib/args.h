/* SPDX-License-Identifier: MIT */
/* The words behind a subcommand: operands, flags, and options with a value. */
#ifndef HG_LIB_ARGS_H
#define HG_LIB_ARGS_H

#include <stddef.h>

#define HG_ARGS_VALUES_MAX 64 /* of one option that repeats */

/* "--name VALUE", "--name=VALUE", "-l VALUE"; without room for values a flag, "--name" or "-l". */
struct hg_arg {
	const char *name;    /* without dashes; NULL ends the table */
	const char **values; /* room for `max`; NULL: a flag */
	size_t max;	     /* 1: may be given once */
	size_t count;	     /* how often it was given */
	char letter;	     /* 0: none */
};

/*
 * Sorts argv[1..] into operands (moved to argv[1..], from `min` to `max` of them) and options; "--"
 * ends the options, "-" alone is an operand. Returns the number of operands, or -EINVAL after
 * printing what is wrong in the name of `program`.
 */
int hg_args_take(const char *program, int argc, char **argv, int min, int max, struct hg_arg *args);

#endif
