/* SPDX-License-Identifier: MIT */
/*
 * A program's command line against its tables: options, subcommands, --help. getopt_long() is not
 * used: it would need the table twice (short and long), and its messages do not say what to do.
 * Help and lists go to stdout, complaints to stderr.
 */
#include "conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"

enum common { OPT_CONFIG, OPT_HELP, OPT_VERSION, OPT_LIST, OPT_END };

/* What every program has. A program without a configuration file does not have the first. */
static const struct hg_opt common_opts[] = {
	[OPT_CONFIG] = { 'c', "config", "FILE", "configuration file" },
	[OPT_HELP] = { 'h', "help", NULL, "print this text and exit" },
	[OPT_VERSION] = { 0, "version", NULL, "print the version and exit" },
	[OPT_LIST] = { 0, "list-options", NULL,
		       "print every option and configuration key and exit" },
	[OPT_END] = { 0, NULL, NULL, NULL },
};

/* The i-th option of a program, its own first; NULL after the last. */
static const struct hg_opt *option_at(const struct hg_program *p, size_t i)
{
	size_t own = 0;

	while (p->opts && p->opts[own].name)
		own++;
	if (i < own)
		return &p->opts[i];
	i = i - own + (p->keys ? OPT_CONFIG : OPT_HELP);
	return i < OPT_END ? &common_opts[i] : NULL;
}

static const char *usage_of(const struct hg_subcommand *s)
{
	return s->usage ? s->usage : "";
}

static void print_help(const struct hg_program *p, FILE *to)
{
	const struct hg_opt *o;
	char left[64];

	fprintf(to, "%s - %s\nUsage: %s [OPTION]...%s\n\nOptions:\n", p->name, p->purpose, p->name,
		p->subcommands ? " COMMAND" : "");
	for (size_t i = 0; (o = option_at(p, i)); i++) {
		snprintf(left, sizeof(left), "%c%c%s --%s %s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
			 o->arg ? o->arg : "");
		fprintf(to, "  %-30s %s\n", left, o->help);
		if (o == &common_opts[OPT_CONFIG] && p->default_conf)
			fprintf(to, "  %-30s (default %s)\n", "", p->default_conf);
	}
	if (p->subcommands)
		fprintf(to, "\nCommands:\n");
	for (const struct hg_subcommand *s = p->subcommands; s && s->name; s++) {
		int n = fprintf(to, "  %s%s%s", s->name, usage_of(s)[0] ? " " : "", usage_of(s));

		fprintf(to, n > 32 ? "\n%*s%s\n" : "%*s%s\n", n > 32 ? 33 : 33 - n, "", s->help);
	}
	if (p->keys)
		fprintf(to, "\nConfiguration keys:\n");
	for (const struct hg_conf_key *k = p->keys; k && k->key; k++) {
		snprintf(left, sizeof(left), "[%s] %s", k->section, k->key);
		fprintf(to, "  %-30s %s", left, k->help ? k->help : "");
		if (!k->fallback)
			fprintf(to, " (required)");
		else if (*k->fallback)
			fprintf(to, " (default %s)", k->fallback);
		fprintf(to, "\n");
	}
}

static void print_list(const struct hg_program *p)
{
	const struct hg_opt *o;

	for (size_t i = 0; (o = option_at(p, i)); i++) {
		if (o->letter)
			printf("-%c\n", o->letter);
		printf("--%s\n", o->name);
	}
	for (const struct hg_conf_key *k = p->keys; k && k->key; k++)
		printf("%s.%s\n", k->section, k->key);
}

__attribute__((format(printf, 2, 3))) static int complain(const struct hg_program *p,
							  const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", p->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see %s --help\n", p->name);
	return -EINVAL;
}

static const struct hg_opt *find_long(const struct hg_program *p, const char *name, size_t len)
{
	const struct hg_opt *o;

	for (size_t i = 0; (o = option_at(p, i)); i++)
		if (!strncmp(o->name, name, len) && !o->name[len])
			return o;
	return NULL;
}

static const struct hg_opt *find_short(const struct hg_program *p, char letter)
{
	const struct hg_opt *o;

	for (size_t i = 0; (o = option_at(p, i)); i++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static int unknown_long(const struct hg_program *p, const char *name, size_t len)
{
	char word[32];
	struct hg_nearest near = { .wanted = word };
	const struct hg_opt *o;

	snprintf(word, sizeof(word), "%.*s", (int)len, name);
	for (size_t i = 0; (o = option_at(p, i)); i++)
		hg_nearest_add(&near, o->name);
	if (near.best)
		return complain(p, "--%s: no such option; did you mean --%s?", word, near.best);
	return complain(p, "--%s: no such option", word);
}

struct parse {
	const struct hg_program *program;
	int (*set)(void *ctx, const struct hg_opt *opt, const char *value);
	void *ctx;
	const char **conf_path;
};

static int apply(const struct parse *ps, const struct hg_opt *o, const char *value)
{
	const struct hg_program *p = ps->program;

	if (o->arg && !value)
		return complain(p, "--%s wants an argument: %s", o->name, o->arg);
	if (!o->arg && value)
		return complain(p, "--%s takes no argument", o->name);
	if (o == &common_opts[OPT_CONFIG]) {
		*ps->conf_path = value;
		return 0;
	}
	if (o == &common_opts[OPT_HELP])
		print_help(p, stdout);
	else if (o == &common_opts[OPT_VERSION])
		printf("%s %s\n", p->name, HG_VERSION);
	else if (o == &common_opts[OPT_LIST])
		print_list(p);
	else if (!ps->set(ps->ctx, o, value))
		return 0;
	else
		return complain(p, "--%s: \"%s\" is not a valid %s", o->name, value ? value : "",
				o->arg ? o->arg : "option here");
	exit(fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK);
}

/*
 * Letters behind one dash; the first that wants an argument takes the rest of the word or the next
 * word.
 */
static int parse_short(const struct parse *ps, const char *word, const char *next, int *used)
{
	for (const char *s = word + 1; *s; s++) {
		const struct hg_opt *o = find_short(ps->program, *s);
		const char *value = NULL;
		int rc;

		if (!o)
			return complain(ps->program, "-%c: no such option", *s);
		if (o->arg) {
			value = s[1] ? s + 1 : next;
			*used += !s[1];
		}
		rc = apply(ps, o, value);
		if (rc || o->arg)
			return rc;
	}
	return 0;
}

static int parse_long(const struct parse *ps, const char *word, const char *next, int *used)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct hg_opt *o = find_long(ps->program, name, len);

	if (!o)
		return unknown_long(ps->program, name, len);
	if (equals)
		return apply(ps, o, equals + 1);
	if (!o->arg)
		return apply(ps, o, NULL);
	*used += 1;
	return apply(ps, o, next);
}

/* How many words of argv a subcommand's name takes; 0 if they differ. */
static int match(const char *name, int argc, char **argv)
{
	int n = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (n == argc || strlen(argv[n]) != len || memcmp(argv[n], name, len))
			return 0;
		n++;
		name += len;
		name += *name == ' ';
	}
	return n;
}

/* "no such command", with the nearest, or with those that begin with the same word. */
static int unknown_command(const struct hg_program *p, int argc, char **argv)
{
	char word[64] = "", same[256] = "";
	struct hg_nearest near = { .wanted = word };
	size_t len;

	if (!argc) {
		complain(p, "wants a command");
		print_help(p, stderr);
		return HG_EXIT_USAGE;
	}
	len = strlen(argv[0]);
	snprintf(word, sizeof(word), "%s%s%s", argv[0], argc > 1 ? " " : "",
		 argc > 1 ? argv[1] : "");
	for (const struct hg_subcommand *s = p->subcommands; s && s->name; s++) {
		hg_nearest_add(&near, s->name);
		if (!strncmp(s->name, argv[0], len) && s->name[len] == ' ')
			snprintf(same + strlen(same), sizeof(same) - strlen(same), "%s%s",
				 *same ? ", " : "", s->name);
	}
	if (!near.best && !*same && argc > 1) {
		word[len < sizeof(word) ? len : sizeof(word) - 1] = '\0';
		for (const struct hg_subcommand *s = p->subcommands; s && s->name; s++)
			hg_nearest_add(&near, s->name);
	}
	if (near.best)
		complain(p, "%s: no such command; did you mean \"%s\"?", word, near.best);
	else if (*same)
		complain(p, "%s: no such command; there are: %s", word, same);
	else
		complain(p, "%s: no such command", word);
	return HG_EXIT_USAGE;
}

/* The longest match among the subcommands, or NULL; *words is how long it is. */
static const struct hg_subcommand *find_command(const struct hg_program *p, int argc, char **argv,
						int *words)
{
	const struct hg_subcommand *best = NULL;

	*words = 0;
	for (const struct hg_subcommand *s = p->subcommands; s && s->name; s++) {
		int n = match(s->name, argc, argv);

		if (n > *words) {
			best = s;
			*words = n;
		}
	}
	return best;
}

static bool wants_help(int words, int argc, char **argv)
{
	return words < argc && (!strcmp(argv[words], "--help") || !strcmp(argv[words], "-h"));
}

static void print_command_help(const struct hg_program *p, const struct hg_subcommand *s)
{
	printf("Usage: %s %s %s\n%s\n", p->name, s->name, usage_of(s), s->help);
	exit(fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK);
}

int hg_program_options(const struct hg_program *p, int argc, char **argv,
		       int (*set)(void *ctx, const struct hg_opt *opt, const char *value),
		       void *ctx, const char **conf_path)
{
	const char *path = p->default_conf;
	const struct parse ps = { p, set, ctx, &path };
	const struct hg_subcommand *found;
	int i = 1, rc, words;

	while (i < argc && argv[i][0] == '-' && argv[i][1]) {
		const char *word = argv[i++], *next = i < argc ? argv[i] : NULL;

		if (!strcmp(word, "--"))
			break;
		rc = word[1] == '-' ? parse_long(&ps, word, next, &i)
				    : parse_short(&ps, word, next, &i);
		if (rc)
			return rc;
	}
	if (p->subcommands) {
		found = find_command(p, argc - i, argv + i, &words);
		if (!found) {
			unknown_command(p, argc - i, argv + i);
			return -EINVAL;
		}
		if (wants_help(words, argc - i, argv + i))
			print_command_help(p, found);
	}
	if (conf_path)
		*conf_path = path;
	return i;
}

int hg_program_run(const struct hg_program *p, void *ctx, int argc, char **argv)
{
	int words, rc;
	const struct hg_subcommand *found = find_command(p, argc, argv, &words);

	if (!found)
		return unknown_command(p, argc, argv);
	if (wants_help(words, argc, argv))
		print_command_help(p, found);
	rc = found->run(ctx, argc - words + 1, argv + words - 1);
	/* Who asked for output and did not get it must not read success. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "%s: %s: cannot write to standard output: %s\n", p->name,
			found->name, strerror(errno));
		rc = rc ? rc : HG_EXIT_FAILED;
	}
	return rc;
}
