// SPDX-License-Identifier: MIT
/*
 * `heliograph profile learn`: captures of release testing to a profile, with a table of what was
 * found for the person who has to believe it. The table goes to standard output if the profile goes
 * to a file, else to standard error.
 */
#include "cmd_profile_learn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd_profile.h"
#include "cmd_profile_capture.h"
#include "learn.h"
#include "profile-text.h"

#define EXCLUDES_MAX 64
#define LISTED 20 /* spans, hosts of a channel */

struct command {
	struct hg_cmd_capture capture;
	struct hg_learn learn;
	const char *out, *model, *firmware, *maker;
	const char *excludes[EXCLUDES_MAX];
	FILE *report;
};

static void on_phase(void *ctx, const char *what)
{
	hg_cmd_capture_phase(ctx, what);
}

/* FROM/TO, two RFC 3339 times. */
static int add_exclude(struct command *c, const char *text)
{
	const char *slash = strchr(text, '/');
	struct hg_span s = { .why = "given with --exclude" };
	char from[64];
	int64_t a = -1, b = -1;

	if (slash && (size_t)(slash - text) < sizeof(from)) {
		memcpy(from, text, (size_t)(slash - text));
		from[slash - text] = '\0';
		a = hg_time_read(from);
		b = hg_time_read(slash + 1);
	}
	if (a < 0 || b < a) {
		fprintf(stderr,
			"heliograph: --exclude %.60s: must be two times with a slash between, like "
			"2026-03-12T06:49:00Z/2026-03-12T07:10:00Z\n",
			text);
		return -EINVAL;
	}
	s.from_s = (__u64)a;
	s.to_s = (__u64)b;
	/* Not joined with a neighbour, as spans that were found are. */
	c->learn.skip.list[c->learn.skip.n++] = s;
	return 0;
}

static void print_files(const struct command *c)
{
	const struct hg_learn *l = &c->learn;
	char device[HG_CAPTURE_DEVICE_TEXT], from[HG_CMD_TIME_TEXT], to[HG_CMD_TIME_TEXT];

	for (size_t i = 0; i < hg_capture_files(l->capture); i++) {
		const struct hg_capture_info *f = hg_capture_file_info(l->capture, i);

		if (!f->empty)
			fprintf(c->report, "%s: device %s, %llu packets, %s to %s\n", f->name,
				hg_capture_device_text(&f->device, device),
				(unsigned long long)f->packets, hg_cmd_time(f->first_ns, from),
				hg_cmd_time(f->last_ns, to));
	}
	fprintf(c->report, "%.1f hours, %llu active minutes, %zu units", (double)l->seconds / 3600,
		(unsigned long long)l->active_minutes, hg_capture_units(l->capture));
	if (l->left_out)
		fprintf(c->report, "; %llu answers to flows of others left out",
			(unsigned long long)l->left_out);
	fprintf(c->report, "\n");
	if (c->capture.peers.guessed)
		fprintf(c->report, "name servers: nobody says which are the network's, so those "
				   "that answered most; see --dns\n");
}

/* What is rare may be a test of somebody's, or missing next time. */
static const char *rare(const struct hg_learn *l, const struct hg_learned_channel *a)
{
	if (l->seconds >= 2 * 86400 && a->days == 1)
		return "one day only";
	if (l->seconds >= 2 * 3600 && a->hours == 1)
		return "one hour only";
	return "";
}

static void print_remotes(const struct command *c, const struct hg_profile_channel *ch)
{
	const struct hg_profile *p = &c->learn.profile;
	char text[HG_REMOTE_TEXT_MAX];

	for (size_t i = 0; i < ch->n_remotes && i < 3; i++)
		fprintf(c->report, " %s", hg_remote_write(&p->remotes[ch->remotes + i], text));
	if (ch->n_remotes > 3)
		fprintf(c->report, " and %d more", ch->n_remotes - 3);
}

static void print_channels(const struct command *c)
{
	const struct hg_learn *l = &c->learn;

	fprintf(c->report, "\n%-32s %6s %7s %8s %6s %5s %5s  %s\n", "channel", "hosts", "flows",
		"answered", "pkts/s", "hours", "days", "remotes");
	for (size_t i = 0; i < l->profile.n_channels; i++) {
		const struct hg_profile_channel *ch = &l->profile.channels[i];
		const struct hg_learned_channel *a = &l->about[i];

		fprintf(c->report, "%-32s %6u %7llu %8llu %6llu %5u %5u ", ch->name, a->endpoints,
			(unsigned long long)a->flows, (unsigned long long)a->answered,
			(unsigned long long)hg_meter_most(l->meter, (unsigned int)i + 1,
							  HG_WINDOW_SECOND, HG_ENVELOPE_PACKETS),
			a->hours, a->days);
		print_remotes(c, ch);
		if (*rare(l, a))
			fprintf(c->report, "  (%s)", rare(l, a));
		fprintf(c->report, "\n");
	}
	if (l->merged)
		fprintf(c->report,
			"%u rare channels were put together, for a profile has room for %d channels "
			"and 128 rules\n",
			l->merged, HG_PROFILE_CHANNELS_MAX);
	if (l->seconds < 3 * 3600)
		fprintf(c->report, "less than 3 hours: nothing is said about an hour\n");
}

static unsigned int print_spans(const struct command *c)
{
	const struct hg_learn *l = &c->learn;
	char from[HG_CMD_TIME_TEXT], to[HG_CMD_TIME_TEXT];
	unsigned int attacks = 0;

	for (size_t i = 0; i < l->found.n; i++) {
		const struct hg_span *s = &l->found.list[i];

		attacks += s->attack;
		if (i == 0)
			fprintf(c->report, "\nstands out:\n");
		if (i == LISTED)
			fprintf(c->report, "  and %zu more\n", l->found.n - LISTED);
		if (i >= LISTED)
			continue;
		fprintf(c->report, "  %s to %s: %llu %s", hg_cmd_time(s->from_s * 1000000000, from),
			hg_cmd_time(s->to_s * 1000000000, to) + 11, (unsigned long long)s->value,
			s->why);
		if (s->usual)
			fprintf(c->report, " (usual: %llu)", (unsigned long long)s->usual);
		if (s->attack)
			fprintf(c->report, l->accept ? "; looks like an attack, and was learned"
						     : "; looks like an attack, and was left out");
		fprintf(c->report, "\n");
	}
	if (attacks && !l->accept)
		fprintf(c->report, "learn from it all the same with --accept\n");
	return l->accept ? 0 : attacks;
}

static void print_check(const struct command *c)
{
	const struct hg_episodes *e = &c->learn.episodes;
	char reason[HG_REASON_TEXT], time[HG_CMD_TIME_TEXT];

	fprintf(c->report, "\nchecked with the captures themselves: %zu hostile, %zu drift\n",
		e->hostile, e->drift);
	for (size_t i = 0; i < e->n && i < LISTED; i++)
		fprintf(c->report, "  %s %s, channel %s: %s\n",
			hg_cmd_time(e->list[i].start_ns, time),
			hg_attack_text(e->list[i].worst.event.attack),
			c->learn.compiled.channels[e->list[i].channel],
			hg_event_reason(&e->list[i].worst.event, reason));
	if (c->learn.endpoints.left_out)
		fprintf(c->report,
			"%llu flows to more hosts than are looked at (%d) were not "
			"learned\n",
			(unsigned long long)c->learn.endpoints.left_out, HG_ENDPOINTS_MAX);
	if (c->learn.minutes.full)
		fprintf(c->report,
			"only the first %u active minutes were looked through for what "
			"stands out\n",
			HG_MINUTES_MAX);
}

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	int ret = -1;

	if (f) {
		ret = fputs(text, f) < 0 ? -1 : 0;
		if (fclose(f))
			ret = -1;
	}
	return ret;
}

static int write_profile(const struct command *c)
{
	char *text = hg_profile_write(&c->learn.profile);
	int ret;

	if (!text)
		return hg_cmd_no_memory();
	if (c->out)
		ret = write_file(c->out, text);
	else
		ret = fputs(text, stdout) < 0 || fflush(stdout) ? -1 : 0;
	free(text);
	if (!ret)
		return 0;
	fprintf(stderr, "heliograph: %s: %s\n", c->out ? c->out : "standard output",
		strerror(errno));
	return HG_EXIT_FAILED;
}

/* The names must be good before hours of captures are read. */
static int set_names(struct command *c)
{
	struct hg_profile *p = &c->learn.profile;
	char err[256], *text;
	int ret;

	hg_profile_init(p);
	snprintf(p->model, sizeof(p->model), "%s", c->model ? c->model : "unnamed");
	snprintf(p->firmware, sizeof(p->firmware), "%s", c->firmware ? c->firmware : "unknown");
	snprintf(p->maker, sizeof(p->maker), "%s", c->maker ? c->maker : "");
	text = hg_profile_write(p);
	if (!text)
		return hg_cmd_no_memory();
	ret = hg_profile_parse(text, strlen(text), p, err, sizeof(err));
	free(text);
	if (!ret && (!c->model || strlen(c->model) <= HG_PROFILE_NAME_MAX) &&
	    (!c->firmware || strlen(c->firmware) <= HG_PROFILE_NAME_MAX) &&
	    (!c->maker || strlen(c->maker) <= HG_PROFILE_NAME_MAX))
		return 0;
	fprintf(stderr,
		"heliograph: --model, --firmware, --maker: must be 1 to %d of A-Z a-z 0-9 "
		". _ - +\n",
		HG_PROFILE_NAME_MAX);
	return HG_EXIT_USAGE;
}

static int learn(struct command *c)
{
	struct hg_learn *l = &c->learn;
	unsigned int attacks;
	char err[1024];
	int ret;

	l->capture = c->capture.capture;
	l->peers = &c->capture.peers;
	l->policy = c->capture.policy;
	l->phase = on_phase;
	l->ctx = &c->capture;
	ret = hg_learn_run(l, err, sizeof(err));
	hg_cmd_capture_phase(&c->capture, NULL);
	if (ret) {
		fprintf(stderr, "heliograph: %s\n", err);
		return HG_EXIT_FAILED;
	}
	if (!l->profile.n_channels) {
		fprintf(stderr, "heliograph: the device opens no flow in these captures%s\n",
			l->found.n ? " but what looks like an attack; see --accept" : "");
		return HG_EXIT_FAILED;
	}
	print_files(c);
	print_channels(c);
	attacks = print_spans(c);
	print_check(c);
	ret = write_profile(c);
	return ret ? ret : attacks ? HG_EXIT_LEFT_OUT : HG_EXIT_OK;
}

static int run(struct command *c, int n, char **argv, const struct hg_cmd_capture_values *v,
	       const struct hg_arg *args)
{
	const struct hg_arg *own = args + HG_CMD_CAPTURE_ARGS_N;
	int ret = set_names(c);

	for (size_t i = 0; !ret && i < own[0].count; i++)
		ret = add_exclude(c, c->excludes[i]) ? HG_EXIT_USAGE : 0;
	c->learn.accept = own[1].count > 0;
	c->report = c->out ? stdout : stderr;
	if (!ret)
		ret = hg_cmd_capture_open(&c->capture, (const char *const *)argv + 1, (size_t)n, v,
					  args);
	return ret ? ret : learn(c);
}

int hg_cmd_profile_learn(void *ctx, int argc, char **argv)
{
	struct hg_cmd_capture_values v = { 0 };
	struct command *c = calloc(1, sizeof(*c));
	struct hg_arg args[] = { HG_CMD_CAPTURE_ARGS(v),
				 { "exclude", c ? c->excludes : NULL, EXCLUDES_MAX, 0, 0 },
				 { "accept", NULL, 1, 0, 0 },
				 { "output", c ? &c->out : NULL, 1, 0, 'o' },
				 { "model", c ? &c->model : NULL, 1, 0, 0 },
				 { "firmware", c ? &c->firmware : NULL, 1, 0, 0 },
				 { "maker", c ? &c->maker : NULL, 1, 0, 0 },
				 { 0 } };
	int n, ret;

	if (!c)
		return hg_cmd_no_memory();
	n = hg_args_take("heliograph", argc, argv, 1, HG_CAPTURE_FILES_MAX, args);
	ret = n < 0 ? HG_EXIT_USAGE : run(c, n, argv, &v, args);
	hg_learn_exit(&c->learn);
	hg_cmd_capture_close(&c->capture);
	free(c);
	return ret;
}
