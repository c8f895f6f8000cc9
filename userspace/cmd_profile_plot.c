// SPDX-License-Identifier: MIT
/*
 * `heliograph profile plot`: captures through a profile, drawn as windows over time beside their
 * bounds, with what the guard would have told.
 */
#include "cmd_profile_plot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd_profile.h"
#include "cmd_profile_capture.h"
#include "episodes.h"
#include "plot.h"

#define NAMES_MAX 16 /* of channels or features */
#define CHANNELS_DEFAULT 8

struct command {
	struct hg_cmd_capture capture;
	struct hg_compiled profile;
	struct hg_plot plot;
	struct hg_episodes episodes;
	__u64 packets[HG_CHANNELS_MAX];
	const char *out, *window;
	const char *channels[NAMES_MAX], *features[NAMES_MAX];
};

static void on_packet(void *ctx, const struct hg_replayer_packet *p)
{
	struct command *c = ctx;

	c->packets[p->channel] += p->counted;
}

static void on_second(void *ctx, const struct hg_replayer_second *s)
{
	hg_plot_second(&((struct command *)ctx)->plot, s);
}

static void on_alarm(void *ctx, const struct hg_replayer_alarm *a)
{
	hg_episodes_add(&((struct command *)ctx)->episodes, a);
}

static void on_session(void *ctx, unsigned int session)
{
	hg_episodes_end_session(&((struct command *)ctx)->episodes);
}

static int play(struct command *c, struct hg_replayer_options *o, const char *phase)
{
	char err[1024] = "out of memory";
	struct hg_replayer *r;
	int ret;

	hg_cmd_capture_options(&c->capture, &c->profile, o);
	o->ctx = c;
	r = hg_replayer_new(o);
	hg_cmd_capture_phase(&c->capture, phase);
	ret = r ? hg_replayer_run(r, c->capture.capture, err, sizeof(err)) : -ENOMEM;
	hg_cmd_capture_phase(&c->capture, NULL);
	hg_replayer_free(r);
	if (ret)
		fprintf(stderr, "heliograph: %s\n", err);
	return ret ? HG_EXIT_FAILED : 0;
}

static int add_panel(struct command *c, unsigned int channel, enum hg_profile_feature f)
{
	const struct hg_bounds *b = &c->profile.bounds[channel];
	unsigned int w = c->plot.window;
	const __u32 narrow[HG_ENVELOPE_FEATURES] = {
		[HG_ENVELOPE_PACKETS] = b->packets[w],
		[HG_ENVELOPE_FLOWS] = b->flows[w],
		[HG_ENVELOPE_FAILED] = b->failed[w],
		[HG_ENVELOPE_DESTINATIONS] = b->destinations[w],
		[HG_ENVELOPE_FRESH] = b->fresh[w],
		[HG_ENVELOPE_PORTS] = w == HG_WINDOW_MINUTE ? b->ports : HG_UNBOUNDED,
		[HG_ENVELOPE_SOURCES] = w == HG_WINDOW_MINUTE ? b->sources : HG_UNBOUNDED,
	};
	struct hg_plot_panel *p = &c->plot.panels[c->plot.n_panels];

	if (c->plot.n_panels == HG_PLOT_PANELS_MAX) {
		fprintf(stderr,
			"heliograph: more than %d panels; ask for fewer channels or "
			"features\n",
			HG_PLOT_PANELS_MAX);
		return HG_EXIT_USAGE;
	}
	c->plot.n_panels++;
	p->channel = channel;
	p->name = c->profile.channels[channel];
	p->feature = f;
	p->bound = narrow[f] == HG_UNBOUNDED ? HG_PROFILE_UNTESTED : narrow[f];
	if (f == HG_ENVELOPE_BYTES)
		p->bound = b->bytes[w];
	return 0;
}

static int find_feature(const char *name, enum hg_profile_feature *out)
{
	for (int f = 0; f < HG_ENVELOPE_SIZE_MIN; f++) {
		if (!strcmp(hg_profile_feature_name((enum hg_profile_feature)f), name)) {
			*out = (enum hg_profile_feature)f;
			return 0;
		}
	}
	fprintf(stderr, "heliograph: --feature %.40s: must be one of", name);
	for (int f = 0; f < HG_ENVELOPE_SIZE_MIN; f++)
		fprintf(stderr, " %s", hg_profile_feature_name((enum hg_profile_feature)f));
	fputs("\n", stderr);
	return -EINVAL;
}

static int find_channel(const struct command *c, const char *name, unsigned int *out)
{
	for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++) {
		if (c->profile.bounds[i].id && !strcmp(c->profile.channels[i], name)) {
			*out = i;
			return 0;
		}
	}
	fprintf(stderr,
		"heliograph: --channel %.40s: the profile has no such channel; see "
		"heliograph profile show\n",
		name);
	return -EINVAL;
}

/* Those that send most, and what is outside the profile if there is anything. */
static size_t busiest(const struct command *c, unsigned int *out)
{
	bool taken[HG_CHANNELS_MAX] = { false };
	size_t n = 0;

	while (n < CHANNELS_DEFAULT) {
		unsigned int best = HG_CHANNELS_MAX;

		for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++)
			if (!taken[i] && c->packets[i] &&
			    (best == HG_CHANNELS_MAX || c->packets[i] > c->packets[best]))
				best = i;
		if (best == HG_CHANNELS_MAX)
			break;
		taken[best] = true;
		out[n++] = best;
	}
	return n;
}

/* One channel: its main features; several: their packets. */
static int set_panels(struct command *c, size_t n_channels, size_t n_features)
{
	enum hg_profile_feature features[NAMES_MAX] = { HG_ENVELOPE_PACKETS, HG_ENVELOPE_BYTES,
							HG_ENVELOPE_FLOWS, HG_ENVELOPE_FAILED,
							HG_ENVELOPE_DESTINATIONS };
	unsigned int channels[NAMES_MAX];

	for (size_t i = 0; i < n_channels; i++)
		if (find_channel(c, c->channels[i], &channels[i]))
			return HG_EXIT_USAGE;
	for (size_t i = 0; i < n_features; i++)
		if (find_feature(c->features[i], &features[i]))
			return HG_EXIT_USAGE;
	if (!n_channels)
		n_channels = busiest(c, channels);
	if (!n_features)
		n_features = n_channels == 1 ? 5 : 2;
	for (size_t i = 0; i < n_channels; i++) {
		for (size_t k = 0; k < n_features; k++) {
			/* Of several channels: packets and flows. */
			bool few = n_channels > 1 && n_features == 2 && !c->features[0];
			int ret = add_panel(c, channels[i],
					    few && k ? HG_ENVELOPE_FLOWS : features[k]);

			if (ret)
				return ret;
		}
	}
	return 0;
}

static int set_window(struct command *c)
{
	static const char *const names[HG_WINDOWS] = { "1", "60", "3600" };

	c->plot.window = HG_WINDOW_MINUTE;
	for (unsigned int w = 0; c->window && w < HG_WINDOWS; w++) {
		if (!strcmp(c->window, names[w])) {
			c->plot.window = w;
			return 0;
		}
	}
	if (!c->window)
		return 0;
	fprintf(stderr, "heliograph: --window %.20s: must be 1, 60 or 3600 seconds\n", c->window);
	return HG_EXIT_USAGE;
}

static void set_times(struct command *c)
{
	const struct hg_capture *capture = c->capture.capture;

	c->plot.first_s = ~0ull;
	for (size_t i = 0; i < hg_capture_files(capture); i++) {
		const struct hg_capture_info *f = hg_capture_file_info(capture, i);

		if (f->empty)
			continue;
		if (f->first_ns / 1000000000 < c->plot.first_s)
			c->plot.first_s = f->first_ns / 1000000000;
		if (f->last_ns / 1000000000 > c->plot.last_s)
			c->plot.last_s = f->last_ns / 1000000000;
		if (!c->plot.what)
			c->plot.what = strrchr(f->name, '/') ? strrchr(f->name, '/') + 1 : f->name;
	}
	c->plot.model = c->profile.model;
}

static int write_plot(const struct command *c)
{
	FILE *f = fopen(c->out, "we");
	int bad;

	if (f) {
		hg_plot_write(&c->plot, &c->episodes, f);
		bad = ferror(f);
		if (!fclose(f) && !bad)
			return 0;
	}
	fprintf(stderr, "heliograph: %s: %s\n", c->out, strerror(errno));
	return HG_EXIT_FAILED;
}

static int load_profile(struct command *c, const char *path)
{
	struct hg_profile *p = hg_cmd_profile_load(path);
	int ret;

	if (!p)
		return HG_EXIT_FAILED;
	ret = hg_profile_compile(p, NULL, &c->profile);
	free(p);
	return ret ? hg_cmd_no_memory() : 0;
}

static int run(struct command *c, int n, char **argv, const struct hg_cmd_capture_values *v,
	       const struct hg_arg *args)
{
	struct hg_replayer_options look = { .packet = on_packet };
	struct hg_replayer_options draw = { .second = on_second,
					    .alarm = on_alarm,
					    .session = on_session };
	const struct hg_arg *own = args + HG_CMD_CAPTURE_ARGS_N;
	int ret = set_window(c);

	if (!c->out) {
		fprintf(stderr, "heliograph: profile plot: -o is missing: the picture's file\n");
		return HG_EXIT_USAGE;
	}
	if (!ret)
		ret = load_profile(c, argv[1]);
	if (!ret)
		ret = hg_cmd_capture_open(&c->capture, (const char *const *)argv + 2, (size_t)n - 1,
					  v, args);
	if (!ret && !own[1].count)
		ret = play(c, &look, "looking for channels");
	if (!ret)
		ret = set_panels(c, own[1].count, own[2].count);
	if (ret)
		return ret;
	set_times(c);
	ret = play(c, &draw, "drawing");
	hg_plot_end(&c->plot);
	return ret ? ret : write_plot(c);
}

int hg_cmd_profile_plot(void *ctx, int argc, char **argv)
{
	struct hg_cmd_capture_values v = { 0 };
	struct command *c = calloc(1, sizeof(*c));
	struct hg_arg args[] = { HG_CMD_CAPTURE_ARGS(v),
				 { "output", c ? &c->out : NULL, 1, 0, 'o' },
				 { "channel", c ? c->channels : NULL, NAMES_MAX, 0, 0 },
				 { "feature", c ? c->features : NULL, NAMES_MAX, 0, 0 },
				 { "window", c ? &c->window : NULL, 1, 0, 0 },
				 { 0 } };
	int n, ret;

	if (!c)
		return hg_cmd_no_memory();
	n = hg_args_take("heliograph", argc, argv, 2, HG_CAPTURE_FILES_MAX, args);
	ret = n < 0 ? HG_EXIT_USAGE : run(c, n, argv, &v, args);
	hg_episodes_exit(&c->episodes);
	hg_cmd_capture_close(&c->capture);
	free(c);
	return ret;
}
