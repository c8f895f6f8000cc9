// SPDX-License-Identifier: MIT
/*
 * The captures of a command: opened with its options, their peers found, warnings and progress
 * printed to standard error. Progress is for a terminal, or for who asks.
 */
#include "cmd_profile_capture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cmd_profile_learn.h"
#include "cmd_profile_plot.h"
#include "cmd_profile_test.h"
#include "guard.h"

#define TOLD_TTY 10   /* permille between two lines on a terminal */
#define TOLD_FILE 100 /* elsewhere */

static void on_progress(void *ctx, unsigned int permille)
{
	struct hg_cmd_capture *c = ctx;

	if (c->quiet || permille < c->told)
		return;
	c->told = permille + (c->tty ? TOLD_TTY : TOLD_FILE);
	fprintf(stderr, c->tty ? "\r%s: %u %% " : "heliograph: %s: %u %%\n", c->phase,
		permille / 10);
}

static void on_warning(void *ctx, const char *text)
{
	struct hg_cmd_capture *c = ctx;

	fprintf(stderr, "%sheliograph: %s\n", c->tty && !c->quiet ? "\r" : "", text);
}

void hg_cmd_capture_phase(struct hg_cmd_capture *c, const char *phase)
{
	if (!c->quiet && c->tty)
		fprintf(stderr, "\r%*s\r", 60, "");
	c->phase = phase;
	c->told = 0;
	if (phase)
		on_progress(c, 0);
}

static int add_dns(struct hg_cmd_capture *c, const struct hg_cmd_capture_values *v, size_t n)
{
	struct hg_capture_peers *p = &c->peers;
	struct hg_capture_device d;
	char err[256];
	size_t kept = 0;

	if (!n)
		return 0;
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].role != HG_PEER_DNS)
			p->list[kept++] = p->list[i];
	p->n = kept;
	p->guessed = false;
	for (size_t i = 0; i < n; i++) {
		if (hg_capture_device_parse(v->dns[i], &d, err, sizeof(err)) || d.has_mac) {
			fprintf(stderr, "heliograph: --dns %.60s: must be an IP address\n",
				v->dns[i]);
			return -EINVAL;
		}
		for (size_t k = 0; k < d.n_addrs; k++)
			hg_capture_peers_add(p, &d.addrs[k], 0, HG_DNS_PORT, HG_PEER_DNS);
	}
	return 0;
}

static int parse_values(struct hg_cmd_capture *c, const struct hg_cmd_capture_values *v)
{
	char err[256];
	int policy = v->policy ? hg_policy_parse(v->policy) : HG_POLICY_INITIATED;

	if (policy < 0) {
		fprintf(stderr,
			"heliograph: --policy %.60s: must be monitor, initiated or sealed\n",
			v->policy);
		return -EINVAL;
	}
	c->policy = (enum hg_policy)policy;
	if (v->device && hg_capture_device_parse(v->device, &c->device, err, sizeof(err))) {
		fprintf(stderr, "heliograph: --%s\n", err);
		return -EINVAL;
	}
	return 0;
}

int hg_cmd_capture_open(struct hg_cmd_capture *c, const char *const *files, size_t n,
			const struct hg_cmd_capture_values *v, const struct hg_arg *args)
{
	struct hg_capture_options o = {
		.files = files,
		.n_files = n,
		.as_given = args[3].count > 0,
		.warn = on_warning,
		.progress = on_progress,
		.ctx = c,
	};
	char err[1400];
	int ret;

	memset(c, 0, sizeof(*c));
	c->tty = isatty(STDERR_FILENO);
	c->quiet = !c->tty && !args[4].count;
	if (parse_values(c, v))
		return HG_EXIT_USAGE;
	if (v->device)
		o.device = &c->device;
	hg_cmd_capture_phase(c, "looking through captures");
	c->capture = hg_capture_new(&o, err, sizeof(err));
	ret = c->capture ? hg_capture_peers_find(c->capture, &c->peers, err, sizeof(err)) : -1;
	hg_cmd_capture_phase(c, NULL);
	if (ret) {
		fprintf(stderr, "heliograph: %s\n", err);
		hg_cmd_capture_close(c);
		return HG_EXIT_FAILED;
	}
	if (!add_dns(c, v, args[2].count))
		return 0;
	hg_cmd_capture_close(c);
	return HG_EXIT_USAGE;
}

void hg_cmd_capture_close(struct hg_cmd_capture *c)
{
	hg_capture_free(c->capture);
	c->capture = NULL;
}

void hg_cmd_capture_options(struct hg_cmd_capture *c, const struct hg_compiled *profile,
			    struct hg_replayer_options *o)
{
	for (size_t i = 0; i < profile->n_names; i++)
		c->patterns[i] = (struct hg_names_pattern){ profile->names[i].host,
							    profile->names[i].channels };
	o->rules = profile->rules;
	o->n_rules = profile->n_rules;
	o->bounds = profile->bounds;
	o->patterns = c->patterns;
	o->n_patterns = profile->n_names;
	o->peers = c->peers.list;
	o->n_peers = c->peers.n;
	o->policy = c->policy;
}

const char *hg_cmd_time(__u64 time_ns, char out[static HG_CMD_TIME_TEXT])
{
	time_t s = (time_t)(time_ns / 1000000000);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(out, HG_CMD_TIME_TEXT, "%Y-%m-%d %H:%M:%S", &tm))
		strcpy(out, "?");
	return out;
}

const struct hg_subcommand hg_capture_subcommands[] = {
	{ "profile learn",
	  "CAPTURE... [-o OUT] [--model NAME] [--firmware NAME] [--maker NAME] "
	  "[--exclude FROM/TO]... [--accept] " HG_CMD_CAPTURE_USAGE,
	  "make a profile of captures", hg_cmd_profile_learn },
	{ "profile test", "PROFILE CAPTURE... [--labels FILE] [--json] " HG_CMD_CAPTURE_USAGE,
	  "what the guard would tell of captures", hg_cmd_profile_test },
	{ "profile plot",
	  "PROFILE CAPTURE... -o OUT [--channel NAME]... [--feature NAME]... [--window SECONDS] " HG_CMD_CAPTURE_USAGE,
	  "draw captures beside a profile's bounds", hg_cmd_profile_plot },
	{ 0 },
};
