/* SPDX-License-Identifier: MIT */
/*
 * Configuration files and command-line options, both as tables.
 *
 * A program describes its file as an array of struct hg_conf_key that ends with a row whose
 * `key` is NULL. Files are INI (inih): [section], key = value, ';' or '#' comments. An unknown
 * section or key, a key given twice (unless it is a list), or a value out of range is an error
 * that names file, line, key, what was wrong and what is allowed. Nothing is half-applied: the
 * caller's struct is changed only if the whole file is good.
 *
 * The same tables print --help and `--list-options` (one "section.key" or "-x"/"--long" per
 * line), by which a test holds man page and sample file against them.
 */
#ifndef HG_LIB_CONF_H
#define HG_LIB_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum hg_conf_type {
	HG_CONF_STRING,	  /* char *, owned; min..max is the length in bytes */
	HG_CONF_UINT,	  /* uint64_t, decimal, min..max; max 0: no upper bound */
	HG_CONF_DURATION, /* uint64_t in milliseconds; written 500ms, 30s, 5m, 2h, 1d */
	HG_CONF_SIZE,	  /* uint64_t in bytes; written 512, 64K, 8M, 1G (powers of 1024) */
	HG_CONF_BOOL,	  /* bool; yes/no, true/false, on/off */
	HG_CONF_ENUM,	  /* int; index into `names` */
	HG_CONF_LIST,	  /* struct hg_conf_list; the key may repeat; max = number of rows */
};

struct hg_conf_list {
	char **items;
	size_t count;
};

struct hg_conf_key {
	const char *section;
	const char *key;
	enum hg_conf_type type;
	size_t offset; /* offsetof() in the caller's struct */
	/* As it would be written in the file; NULL: required. "" is an absent string or list. */
	const char *fallback;
	uint64_t min, max;
	const char *const *names; /* HG_CONF_ENUM: NULL-terminated */
	const char *help;	  /* one line, no full stop */
};

/* What a program says when it ends. */
enum hg_exit {
	HG_EXIT_OK = 0,
	HG_EXIT_FAILED = 1,	 /* the operation was tried and failed */
	HG_EXIT_USAGE = 2,	 /* the command line is wrong */
	HG_EXIT_CONFIG = 3,	 /* the configuration file is wrong or unreadable */
	HG_EXIT_UNAVAILABLE = 4, /* agent, mirror or database cannot be reached */
	HG_EXIT_DENIED = 5,	 /* no permission */
};

/*
 * Fills `out` from the table's fallbacks and then from `path`; `path` NULL means fallbacks only.
 * Returns 0, or -EINVAL / -errno with a message "FILE:LINE: [section] key: what; what to do" in
 * err. On failure *out is untouched. Strings and lists that *out held before are not freed.
 */
int hg_conf_load(const struct hg_conf_key *keys, const char *path, void *out, char *err,
		 size_t err_size);

/* The same from an open file (NULL: fallbacks only) that messages call `name`. */
int hg_conf_read(const struct hg_conf_key *keys, FILE *file, const char *name, void *out, char *err,
		 size_t err_size);

/* Frees the strings and lists of `out` and zeroes those fields. */
void hg_conf_free(const struct hg_conf_key *keys, void *out);

/* One row of a program's command line. Ends with a row whose `name` is NULL. */
struct hg_opt {
	char letter;	  /* 0: none */
	const char *name; /* long name, without dashes */
	const char *arg;  /* name of its argument in the help text; NULL: a flag */
	const char *help;
};

/* A subcommand: "device add", ... `usage` is its arguments. Ends with `name` NULL. */
struct hg_subcommand {
	const char *name;
	const char *usage;
	const char *help;
	int (*run)(void *ctx, int argc, char **argv); /* argv[0] is the last word of `name` */
};

struct hg_program {
	const char *name;
	const char *purpose; /* one line */
	const char *default_conf;
	const struct hg_opt *opts; /* besides -c/--config, -h/--help, --version, --list-options */
	const struct hg_subcommand *subcommands; /* NULL: none */
	const struct hg_conf_key *keys;		 /* NULL: no configuration file */
};

/*
 * Parses options up to the first non-option word. --help, --version and --list-options print
 * and exit here. For each option calls set(ctx, opt, value). *conf_path is the file of -c or the
 * program's default. set() returns 0, or -errno when the value is wrong. Returns the index of the
 * first word, or -EINVAL after printing what is wrong (the caller exits with HG_EXIT_USAGE). Where
 * the program has subcommands the words must name one: a slip is told before a file is read.
 */
int hg_program_options(const struct hg_program *p, int argc, char **argv,
		       int (*set)(void *ctx, const struct hg_opt *opt, const char *value),
		       void *ctx, const char **conf_path);

/*
 * Finds the subcommand that argv names (the longest match) and returns what its run() returns. A
 * first argument --help prints its usage instead; no match prints what there is and returns
 * HG_EXIT_USAGE.
 */
int hg_program_run(const struct hg_program *p, void *ctx, int argc, char **argv);

#endif
