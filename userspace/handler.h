/* SPDX-License-Identifier: MIT */
/*
 * One run of a command handler: a program in its own process group, input on its standard input,
 * result on its standard output, with limits on time, output, memory and files. No shell.
 */
#ifndef HG_USERSPACE_HANDLER_H
#define HG_USERSPACE_HANDLER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HG_HANDLER_DETAIL_MAX 256
#define HG_HANDLER_NAME_MAX 68 /* "set-" and the longest name of a property */

struct hg_handler_result {
	int exit_status; /* 0..255, or -signal */
	const char *output;
	size_t output_len;
	/* Text for people: why it was killed, or the end of its standard error; UTF-8, may be "".
	 */
	const char *detail;
	bool killed; /* by us: over a limit */
};

struct hg_handler_options {
	struct event_base *base;
	const char *dir, *name; /* DIR/NAME is run */
	const char *argument;
	const char *input; /* JSON text */
	const char *const *env;
	uint64_t time_limit_ms, kill_after_ms;
	uint64_t memory_max, files_max;
	uint64_t output_max;						 /* bytes */
	void (*done)(void *ctx, const struct hg_handler_result *result); /* frees the handler */
	void *ctx;
};

struct hg_handler;

/* True for 1..HG_HANDLER_NAME_MAX bytes of [A-Za-z0-9._-], the first of them no '.'. */
bool hg_handler_name_valid(const char *name);

/*
 * 0, or why DIR/NAME is not to be run: -ENOENT: there is none; -EACCES: not a regular executable
 * file, or somebody other than root and the agent's user can change it or the directory.
 */
int hg_handler_check(const char *dir, const char *name, char *err, size_t err_size);

/* Checks, then starts. Returns 0 or -errno with a message in err. */
int hg_handler_start(const struct hg_handler_options *options, struct hg_handler **handler,
		     char *err, size_t err_size);

/* Kills its process group and forgets it; done is not called. */
void hg_handler_free(struct hg_handler *h);

#endif
