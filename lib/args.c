/* SPDX-License-Identifier: MIT */
/* Options of subcommands. program.c has parsed those of the program before. */
#include "args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int complain(const char *program, const char *word, const char *what)
{
	fprintf(stderr, "%s: %s: %s; see %s --help\n", program, word, what, program);
	return -EINVAL;
}

static bool is_named(const struct hg_arg *a, const char *word, size_t len)
{
	if (word[1] != '-')
		return a->letter && word[1] == a->letter && !word[2];
	return strlen(a->name) == len - 2 && !memcmp(a->name, word + 2, len - 2);
}

/* Takes the option at argv[*i], moves *i to its last word. */
static int take(const char *program, struct hg_arg *args, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *equals = word[1] == '-' ? strchr(word, '=') : NULL;
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	struct hg_arg *a = args;

	while (a && a->name && !is_named(a, word, len))
		a++;
	if (!a || !a->name)
		return complain(program, word, "no such option");
	if (a->count == a->max)
		return complain(program, word, a->max == 1 ? "given twice" : "given too often");
	if (!a->values && equals)
		return complain(program, word, "takes no value");
	if (a->values && !equals && *i + 1 == argc)
		return complain(program, word, "wants a value");
	if (a->values)
		a->values[a->count] = equals ? equals + 1 : argv[++*i];
	a->count++;
	return 0;
}

int hg_args_take(const char *program, int argc, char **argv, int min, int max, struct hg_arg *args)
{
	bool options = true;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		if (options && !strcmp(argv[i], "--")) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			int rc = take(program, args, argc, argv, &i);

			if (rc)
				return rc;
		} else if (n == max) {
			return complain(program, argv[i], "one word too many");
		} else {
			argv[++n] = argv[i];
		}
	}
	return n >= min ? n : complain(program, argv[0], "an argument is missing");
}
