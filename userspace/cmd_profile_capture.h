/* SPDX-License-Identifier: MIT */
/* What `heliograph profile learn`, `test` and `plot` have in common: captures and their options. */
#ifndef HG_USERSPACE_CMD_PROFILE_CAPTURE_H
#define HG_USERSPACE_CMD_PROFILE_CAPTURE_H

#include "../lib/args.h"
#include "../lib/conf.h"
#include "capture-peers.h"
#include "profile-compile.h"
#include "replay.h"

#define HG_CMD_DNS_MAX 8
#define HG_CMD_TIME_TEXT 24

/* Values of the common options. */
struct hg_cmd_capture_values {
	const char *device, *policy, *dns[HG_CMD_DNS_MAX];
};

/* Rows of a table of options, and how many they are. */
#define HG_CMD_CAPTURE_ARGS(v)                                                                     \
	{ "device", &(v).device, 1, 0, 0 }, { "policy", &(v).policy, 1, 0, 0 },                    \
		{ "dns", (v).dns, HG_CMD_DNS_MAX, 0, 0 }, { "in-order", NULL, 1, 0, 0 },           \
	{                                                                                          \
		"progress", NULL, 1, 0, 0                                                          \
	}
#define HG_CMD_CAPTURE_ARGS_N 5
#define HG_CMD_CAPTURE_USAGE                                                                       \
	"[--device MAC|ADDRESS] [--policy NAME] [--dns ADDRESS]... [--in-order] [--progress]"

struct hg_cmd_capture {
	struct hg_capture *capture;
	struct hg_capture_peers peers;
	enum hg_policy policy;
	/* For the replayer's options. */
	struct hg_names_pattern patterns[HG_PROFILE_REMOTES_ALL];
	struct hg_capture_device device;
	bool quiet; /* no progress */
	bool tty;
	const char *phase; /* what goes on, for progress */
	unsigned int told; /* permille */
};

/*
 * Opens the captures and finds their peers. args: those that hg_args_take() has filled, the common
 * ones first. Returns 0, or HG_EXIT_* after saying what is wrong. Warnings go to standard error.
 */
int hg_cmd_capture_open(struct hg_cmd_capture *c, const char *const *files, size_t n,
			const struct hg_cmd_capture_values *v, const struct hg_arg *args);
void hg_cmd_capture_close(struct hg_cmd_capture *c);

/* learn, test, plot; ctx is a struct hg_cli. */
extern const struct hg_subcommand hg_capture_subcommands[];

/* What goes on from now on. NULL: nothing more, the line of progress ends. */
void hg_cmd_capture_phase(struct hg_cmd_capture *c, const char *phase);

/* Rules, bounds, names, peers and policy; the compiled profile must outlive the options. */
void hg_cmd_capture_options(struct hg_cmd_capture *c, const struct hg_compiled *profile,
			    struct hg_replayer_options *o);

/* "2026-03-08 15:22:15", UTC */
const char *hg_cmd_time(__u64 time_ns, char out[static HG_CMD_TIME_TEXT]);

#endif
