// SPDX-License-Identifier: MIT
/* Options of subcommands. lib/program.c has parsed those of the program before. */
#include "args.h"

#include <stdio.h>
#include <string.h>
#include "../lib/conf.h"

static int complain(const char *word, const char *what)
{
	fprintf(stderr, "heliograph-mirror: %s: %s; see heliograph-mirror --help\n", word, what);
	return HG_EXIT_USAGE;
}

/* Takes the option at argv[*i], moves *i to its last word. */
static int take(struct hg_arg *args, int argc, char **argv, int *i)
{
	const char *word = argv[*i] + 2, *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	struct hg_arg *a = args;

	while (a && a->name && (strncmp(a->name, word, len) || a->name[len]))
		a++;
	if (!a || !a->name)
		return complain(argv[*i], "no such option");
	if (a->count == a->max)
		return complain(argv[*i], a->max == 1 ? "given twice" : "given too often");
	if (!equals && *i + 1 == argc)
		return complain(argv[*i], "wants a value");
	a->values[a->count++] = equals ? equals + 1 : argv[++*i];
	return HG_EXIT_OK;
}

int hg_args_parse(int argc, char **argv, int operands, struct hg_arg *args)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--", 2)) {
			int rc = take(args, argc, argv, &i);

			if (rc)
				return rc;
		} else if (n == operands) {
			return complain(argv[i], "one word too many");
		} else {
			argv[++n] = argv[i];
		}
	}
	return n == operands ? HG_EXIT_OK : complain(argv[0], "an argument is missing");
}
