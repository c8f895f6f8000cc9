// SPDX-License-Identifier: MIT
/*
 * Learning, in four readings of the captures: minutes (what stands out), endpoints (channels),
 * seconds by channel (envelopes), and the captures through the profile that was made of them, to
 * say whether it fits. What is to be skipped counts in none but the first.
 */
#include "learn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../core/port.h"

#define SECOND 1000000000ull

static void count_time(struct hg_learn *l, const struct hg_replayer_packet *p)
{
	if (!l->session_first_ns)
		l->session_first_ns = p->capture->time_ns;
	l->session_last_ns = p->capture->time_ns;
}

static void on_minute_packet(void *ctx, const struct hg_replayer_packet *p)
{
	struct hg_learn *l = ctx;
	__u64 minute = p->capture->time_ns / SECOND / 60;

	count_time(l, p);
	if (!p->capture->out || p->left_out)
		return;
	l->active_minutes += minute != l->minute;
	l->minute = minute;
}

static void on_minute(void *ctx, const struct hg_replayer_second *s)
{
	if (!s->channel) /* not what goes to groups: nobody answers that */
		hg_minutes_add(&((struct hg_learn *)ctx)->minutes, s);
}

static void on_minute_session(void *ctx, unsigned int session)
{
	struct hg_learn *l = ctx;

	l->seconds += (l->session_last_ns - l->session_first_ns) / SECOND + 1;
	l->session_first_ns = 0;
}

static void on_endpoint_packet(void *ctx, const struct hg_replayer_packet *p)
{
	struct hg_learn *l = ctx;

	if (!hg_spans_has(&l->skip, p->capture->time_ns / SECOND))
		hg_endpoints_packet(&l->endpoints, p, hg_replayer_names(l->replayer), l->peers);
}

static void on_meter_second(void *ctx, const struct hg_replayer_second *s)
{
	struct hg_learn *l = ctx;

	hg_meter_second(l->meter, s);
	hg_sums_second(l->sums, s);
}

static void on_meter_session(void *ctx, unsigned int session)
{
	hg_meter_session(((struct hg_learn *)ctx)->meter);
}

static void on_alarm(void *ctx, const struct hg_replayer_alarm *a)
{
	struct hg_learn *l = ctx;

	if (!hg_spans_has(&l->skip, a->time_ns / SECOND - 1))
		hg_episodes_add(&l->episodes, a);
}

static void on_episode_session(void *ctx, unsigned int session)
{
	hg_episodes_end_session(&((struct hg_learn *)ctx)->episodes);
}

/* Plays all captures once with the profile as it is by now. */
static int pass(struct hg_learn *l, const char *what, struct hg_replayer_options *o, char *err,
		size_t err_size)
{
	int ret = hg_profile_compile(&l->profile, NULL, &l->compiled);

	if (l->phase)
		l->phase(l->ctx, what);
	for (size_t i = 0; i < l->compiled.n_names; i++)
		l->patterns[i] = (struct hg_names_pattern){ l->compiled.names[i].host,
							    l->compiled.names[i].channels };
	o->rules = l->compiled.rules;
	o->n_rules = l->compiled.n_rules;
	o->bounds = l->compiled.bounds;
	o->patterns = l->patterns;
	o->n_patterns = l->compiled.n_names;
	o->peers = l->peers->list;
	o->n_peers = l->peers->n;
	o->policy = l->policy;
	o->ctx = l;
	l->replayer = ret ? NULL : hg_replayer_new(o);
	if (!l->replayer) {
		snprintf(err, err_size, "out of memory");
		return -ENOMEM;
	}
	ret = hg_replayer_run(l->replayer, l->capture, err, err_size);
	l->left_out = hg_replayer_left_out(l->replayer);
	hg_replayer_free(l->replayer);
	l->replayer = NULL;
	return ret;
}

/* A channel of groups, for the first reading. */
static void add_groups(struct hg_profile *p)
{
	static const struct hg_profile_remote groups[] = {
		{ .addr.a = { 0, 0, (__be32)HG_NET32(0xffff), (__be32)HG_NET32(0xe0000000) },
		  .kind = HG_REMOTE_PREFIX,
		  .prefix_len = 100 },
		{ .addr.a = { 0, 0, (__be32)HG_NET32(0xffff), (__be32)HG_NET32(0xffffffff) },
		  .kind = HG_REMOTE_PREFIX,
		  .prefix_len = 128 },
		{ .addr.a = { (__be32)HG_NET32(0xff000000), 0, 0, 0 },
		  .kind = HG_REMOTE_PREFIX,
		  .prefix_len = 8 },
	};
	struct hg_profile_channel *ch = hg_profile_add_channel(p, "groups");

	if (!ch)
		return;
	ch->no_answers = true;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		*hg_profile_add_remote(p) = groups[i];
}

static void take_attacks(struct hg_learn *l)
{
	hg_minutes_find(&l->minutes, &l->found);
	for (size_t i = 0; i < l->found.n && !l->accept; i++)
		if (l->found.list[i].attack)
			hg_spans_add(&l->skip, &l->found.list[i]);
}

static void set_envelopes(struct hg_learn *l)
{
	double hours = (double)l->seconds / 3600;
	struct hg_profile_envelope outside;

	for (size_t i = 0; i < l->profile.n_channels; i++) {
		struct hg_profile_channel *ch = &l->profile.channels[i];

		hg_meter_envelope(l->meter, (unsigned int)i + 1, hours, &ch->envelope);
		hg_sums_learn(l->sums, (unsigned int)i + 1, hours, &l->profile, ch);
		if (!ch->no_answers)
			hg_meter_size(l->meter, (unsigned int)i + 1, &ch->envelope);
	}
	/* What no channel takes has a default; only where more was seen is that not enough. */
	hg_meter_envelope(l->meter, 0, 0, &outside);
	for (int f = 0; f < HG_ENVELOPE_FEATURES; f++) {
		uint64_t *most = &l->profile.outside.most[HG_WINDOW_SECOND][f];

		if (*most != HG_PROFILE_UNTESTED && outside.most[HG_WINDOW_SECOND][f] > *most &&
		    hg_meter_most(l->meter, 0, HG_WINDOW_SECOND, (enum hg_profile_feature)f))
			*most = outside.most[HG_WINDOW_SECOND][f];
	}
}

int hg_learn_run(struct hg_learn *l, char *err, size_t err_size)
{
	struct hg_replayer_options minutes = { .packet = on_minute_packet,
					       .second = on_minute,
					       .session = on_minute_session };
	struct hg_replayer_options endpoints = { .packet = on_endpoint_packet };
	struct hg_replayer_options seconds = { .second = on_meter_second,
					       .session = on_meter_session };
	struct hg_replayer_options check = { .alarm = on_alarm, .session = on_episode_session };
	int ret;

	snprintf(err, err_size, "out of memory");
	l->meter = hg_meter_new(&l->skip);
	l->sums = hg_sums_new(&l->skip);
	if (!l->meter || !l->sums || hg_endpoints_init(&l->endpoints))
		return -ENOMEM;
	add_groups(&l->profile);
	ret = pass(l, "looking for what stands out", &minutes, err, err_size);
	l->profile.n_channels = l->profile.n_remotes = 0;
	if (ret)
		return ret;
	take_attacks(l);
	ret = pass(l, "looking for channels", &endpoints, err, err_size);
	if (!ret)
		ret = hg_channels_learn(&l->endpoints, &l->profile, l->about, &l->merged);
	if (!ret)
		ret = pass(l, "measuring envelopes", &seconds, err, err_size);
	if (ret)
		return ret;
	set_envelopes(l);
	return pass(l, "checking", &check, err, err_size);
}

void hg_learn_exit(struct hg_learn *l)
{
	hg_endpoints_exit(&l->endpoints);
	hg_minutes_exit(&l->minutes);
	hg_episodes_exit(&l->episodes);
	hg_meter_free(l->meter);
	l->meter = NULL;
	hg_sums_free(l->sums);
	l->sums = NULL;
}
