// SPDX-License-Identifier: MIT
/*
 * `heliograph profile test`: captures through a profile, and what the guard would have told of
 * them: episodes with reasons in plain words, how often they come, and, with labels, whether an
 * attack was seen and when.
 */
#include "cmd_profile_test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd_profile.h"
#include "cmd_profile_capture.h"
#include "episodes.h"
#include "labels.h"

#define SECOND 1000000000ull

struct test {
	struct hg_cmd_capture capture;
	struct hg_compiled profile;
	struct hg_episodes episodes;
	struct hg_labels labels;
	bool labelled;
	struct hg_replayer *replayer;
	__u64 sent, received;
	__u64 by_channel[HG_CHANNELS_MAX]; /* packets sent */
	__u64 flows[HG_CHANNELS_MAX];
	__u64 seconds, active_minutes;
	__u64 minute; /* the last active one */
	__u64 first_ns, last_ns;
	unsigned int sessions;
};

static void on_packet(void *ctx, const struct hg_replayer_packet *p)
{
	struct test *t = ctx;
	__u64 minute = p->capture->time_ns / (60 * SECOND);

	if (!t->first_ns)
		t->first_ns = p->capture->time_ns;
	t->last_ns = p->capture->time_ns;
	if (t->labelled)
		hg_labels_packet(&t->labels, p);
	if (!p->capture->out)
		t->received++;
	if (!p->capture->out || p->left_out)
		return;
	t->sent++;
	t->by_channel[p->channel] += p->counted;
	t->flows[p->channel] += p->opens;
	t->active_minutes += minute != t->minute;
	t->minute = minute;
}

static void on_alarm(void *ctx, const struct hg_replayer_alarm *a)
{
	struct test *t = ctx;

	hg_episodes_add(&t->episodes, a);
	if (t->labelled)
		hg_labels_alarm(&t->labels, a);
}

static void on_session(void *ctx, unsigned int session)
{
	struct test *t = ctx;

	hg_episodes_end_session(&t->episodes);
	t->seconds += (t->last_ns - t->first_ns) / SECOND + 1;
	t->first_ns = t->minute = 0;
	t->sessions++;
}

static double per(size_t n, double of)
{
	return of > 0 ? (double)n / of : 0;
}

static void print_span(__u64 seconds)
{
	if (seconds >= 2 * 86400)
		printf("%.1f days", (double)seconds / 86400);
	else if (seconds >= 2 * 3600)
		printf("%.1f hours", (double)seconds / 3600);
	else if (seconds >= 120)
		printf("%.1f minutes", (double)seconds / 60);
	else
		printf("%llu s", (unsigned long long)seconds);
}

static void print_files(const struct test *t)
{
	for (size_t i = 0; i < hg_capture_files(t->capture.capture); i++) {
		const struct hg_capture_info *f = hg_capture_file_info(t->capture.capture, i);
		char device[HG_CAPTURE_DEVICE_TEXT], from[HG_CMD_TIME_TEXT], to[HG_CMD_TIME_TEXT];

		if (f->empty)
			continue;
		printf("%s: device %s, %llu packets, %s to %s\n", f->name,
		       hg_capture_device_text(&f->device, device), (unsigned long long)f->packets,
		       hg_cmd_time(f->first_ns, from), hg_cmd_time(f->last_ns, to));
	}
	if (t->capture.peers.guessed)
		printf("name servers: nobody says which are the network's, so those that answered "
		       "most; see --dns\n");
}

static void print_targets(const struct hg_replayer_alarm *a)
{
	char text[HG_TARGET_TEXT];

	for (size_t i = 0; i < a->n_targets; i++)
		printf("%s%s", i ? ", " : "    to ", hg_target_text(&a->targets[i], text));
	if (a->n_targets)
		putchar('\n');
}

static void print_episode(const struct test *t, const struct hg_episode_record *e)
{
	char time[HG_CMD_TIME_TEXT], reason[HG_REASON_TEXT];
	const struct hg_score_event *w = &e->worst.event;

	printf("\n%s %s: %s, channel %s\n", hg_cmd_time(e->start_ns, time),
	       e->hostile_ns ? "hostile" : "drift", hg_attack_text(w->attack),
	       t->profile.channels[e->channel]);
	printf("    %s\n", hg_event_reason(&e->first.event, reason));
	if (memcmp(&e->first.event, w, sizeof(*w)))
		printf("    at its worst: %s\n", hg_event_reason(w, reason));
	print_targets(&e->worst);
	if (!e->end_ns) {
		printf("    had not ended when the capture did");
	} else {
		printf("    lasted ");
		print_span((e->end_ns - e->start_ns) / SECOND);
	}
	printf(", told %u times\n", e->alarms);
}

static void print_labels(const struct hg_labels *l)
{
	char time[HG_CMD_TIME_TEXT];

	if (!l->attack) {
		printf("labels: no packet of an attack\n");
		return;
	}
	printf("attack: %llu packets from %s on; ", (unsigned long long)l->attack,
	       hg_cmd_time(l->first_ns, time));
	if (l->alarm_ns)
		printf("told as %s after %.1f s, %llu packets and %llu destinations\n",
		       hg_attack_text(l->alarm_attack),
		       (double)(l->alarm_ns - l->first_ns) / SECOND, (unsigned long long)l->before,
		       (unsigned long long)l->targets_before);
	else
		printf("never told\n");
	if (l->early)
		printf("false: %u hostile episodes before the attack\n", l->early);
}

static void print_sum(const struct test *t)
{
	double days = (double)t->seconds / 86400, minutes = (double)t->active_minutes;
	const struct hg_episodes *e = &t->episodes;
	__u64 left_out = hg_replayer_left_out(t->replayer);

	printf("\n%llu packets sent and %llu received in ", (unsigned long long)t->sent,
	       (unsigned long long)t->received);
	print_span(t->seconds);
	printf(", %llu active minutes", (unsigned long long)t->active_minutes);
	if (left_out)
		printf("; %llu answers to others left out", (unsigned long long)left_out);
	printf("\noutside the profile: %llu packets, %llu flows\n",
	       (unsigned long long)t->by_channel[0], (unsigned long long)t->flows[0]);
	printf("hostile: %zu episodes, %.3g a day, %.3g an active minute\n", e->hostile,
	       per(e->hostile, days), per(e->hostile, minutes));
	printf("drift: %zu episodes, %.3g a day, %.3g an active minute\n", e->drift,
	       per(e->drift, days), per(e->drift, minutes));
	if (e->left_out)
		printf("%zu episodes more are not listed\n", e->left_out);
	if (t->labelled)
		print_labels(&t->labels);
}

static json_t *json_time(__u64 ns)
{
	char text[HG_CMD_TIME_TEXT + 8];

	hg_cmd_time(ns, text);
	text[10] = 'T';
	snprintf(text + 19, sizeof(text) - 19, ".%03lluZ",
		 (unsigned long long)(ns % SECOND / 1000000));
	return json_string(text);
}

static json_t *json_targets(const struct hg_replayer_alarm *a)
{
	json_t *list = json_array();
	char text[HG_TARGET_TEXT];

	for (size_t i = 0; i < a->n_targets; i++)
		json_array_append_new(list, json_string(hg_target_text(&a->targets[i], text)));
	return list;
}

static json_t *json_told(const struct hg_episode_record *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->n_told; i++)
		json_array_append_new(list,
				      json_pack("{so ss}", "time", json_time(e->told[i].time_ns),
						"attack", hg_attack_text(e->told[i].attack)));
	return list;
}

static json_t *json_episode(const struct test *t, const struct hg_episode_record *e)
{
	static const int windows[HG_WINDOWS] = { 1, 60, 3600 };
	const struct hg_score_event *w = &e->worst.event;
	char reason[HG_REASON_TEXT], worst[HG_REASON_TEXT];
	json_t *o = json_pack(
		"{so so so ss ss sb ss si sI sI ss ss si so so}", "start", json_time(e->start_ns),
		"end", e->end_ns ? json_time(e->end_ns) : json_null(), "hostile_since",
		e->hostile_ns ? json_time(e->hostile_ns) : json_null(), "channel",
		t->profile.channels[e->channel], "attack", hg_attack_text(w->attack), "hostile",
		e->hostile_ns != 0, "feature", hg_alarm_feature_name(w->feature), "window",
		w->window < HG_WINDOWS ? windows[w->window] : 0, "value", (json_int_t)w->value,
		"bound", (json_int_t)w->bound, "reason", hg_event_reason(&e->first.event, reason),
		"worst", hg_event_reason(w, worst), "alarms", (int)e->alarms, "told", json_told(e),
		"targets", json_targets(&e->worst));

	return o;
}

static json_t *json_files(const struct test *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < hg_capture_files(t->capture.capture); i++) {
		const struct hg_capture_info *f = hg_capture_file_info(t->capture.capture, i);
		char device[HG_CAPTURE_DEVICE_TEXT];

		if (f->empty)
			continue;
		json_array_append_new(list, json_pack("{ss ss sI so so}", "file", f->name, "device",
						      hg_capture_device_text(&f->device, device),
						      "packets", (json_int_t)f->packets, "first",
						      json_time(f->first_ns), "last",
						      json_time(f->last_ns)));
	}
	return list;
}

static json_t *json_labels(const struct hg_labels *l)
{
	json_t *o = json_pack("{sI sI}", "attack_packets", (json_int_t)l->attack, "early",
			      (json_int_t)l->early);

	if (l->attack)
		json_object_set_new(o, "first", json_time(l->first_ns));
	if (!l->alarm_ns)
		return o;
	json_object_set_new(o, "told_as", json_string(hg_attack_text(l->alarm_attack)));
	json_object_set_new(o, "delay_s", json_real((double)(l->alarm_ns - l->first_ns) / SECOND));
	json_object_set_new(o, "packets_before", json_integer((json_int_t)l->before));
	json_object_set_new(o, "destinations_before", json_integer((json_int_t)l->targets_before));
	return o;
}

static int print_json(const struct test *t)
{
	double days = (double)t->seconds / 86400, minutes = (double)t->active_minutes;
	const struct hg_episodes *e = &t->episodes;
	json_t *list = json_array(), *o;

	for (size_t i = 0; i < e->n; i++)
		json_array_append_new(list, json_episode(t, &e->list[i]));
	o = json_pack("{so sI sI sI sI sI si sI sI so sI sI sf sf sf sf}", "captures",
		      json_files(t), "sent", (json_int_t)t->sent, "received",
		      (json_int_t)t->received, "left_out",
		      (json_int_t)hg_replayer_left_out(t->replayer), "outside_packets",
		      (json_int_t)t->by_channel[0], "outside_flows", (json_int_t)t->flows[0],
		      "sessions", (int)t->sessions, "seconds", (json_int_t)t->seconds,
		      "active_minutes", (json_int_t)t->active_minutes, "episodes", list, "hostile",
		      (json_int_t)e->hostile, "drift", (json_int_t)e->drift, "hostile_per_day",
		      per(e->hostile, days), "hostile_per_active_minute", per(e->hostile, minutes),
		      "drift_per_day", per(e->drift, days), "drift_per_active_minute",
		      per(e->drift, minutes));
	if (!o)
		return hg_cmd_no_memory();
	if (e->left_out)
		json_object_set_new(o, "episodes_left_out", json_integer((json_int_t)e->left_out));
	if (t->labelled)
		json_object_set_new(o, "labels", json_labels(&t->labels));
	return hg_cmd_profile_json(o);
}

static int load_labels(struct test *t, const char *path, size_t n_files)
{
	const struct hg_capture_info *f = hg_capture_file_info(t->capture.capture, 0);
	char err[512];

	if (n_files != 1) {
		fprintf(stderr, "heliograph: --labels: are of one capture, not of %zu\n", n_files);
		return HG_EXIT_USAGE;
	}
	if (hg_labels_load(&t->labels, path, err, sizeof(err))) {
		fprintf(stderr, "heliograph: %s\n", err);
		return HG_EXIT_FAILED;
	}
	t->labelled = true;
	if (t->labels.n == f->packets + f->others)
		return 0;
	fprintf(stderr, "heliograph: %s: %llu labels for %llu packets of %s\n", path,
		(unsigned long long)t->labels.n, (unsigned long long)(f->packets + f->others),
		f->name);
	return HG_EXIT_FAILED;
}

static int play(struct test *t)
{
	struct hg_replayer_options o = {
		.packet = on_packet,
		.alarm = on_alarm,
		.session = on_session,
		.ctx = t,
	};
	char err[1024] = "out of memory";

	hg_cmd_capture_options(&t->capture, &t->profile, &o);
	t->replayer = hg_replayer_new(&o);
	hg_cmd_capture_phase(&t->capture, "testing");
	if (t->replayer && !hg_replayer_run(t->replayer, t->capture.capture, err, sizeof(err))) {
		hg_cmd_capture_phase(&t->capture, NULL);
		return 0;
	}
	hg_cmd_capture_phase(&t->capture, NULL);
	fprintf(stderr, "heliograph: %s\n", err);
	return HG_EXIT_FAILED;
}

/* Benign captures are good without a hostile episode; labelled ones if only the attack was told. */
static bool is_good(const struct test *t)
{
	if (!t->labelled || !t->labels.attack)
		return !t->episodes.hostile;
	return t->labels.alarm_ns && !t->labels.early;
}

static int report(const struct test *t, bool json)
{
	if (json && print_json(t))
		return HG_EXIT_FAILED;
	if (!json) {
		print_files(t);
		for (size_t i = 0; i < t->episodes.n; i++)
			print_episode(t, &t->episodes.list[i]);
		print_sum(t);
	}
	return fflush(stdout) || !is_good(t) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static int load_profile(struct test *t, const char *path)
{
	struct hg_profile *p = hg_cmd_profile_load(path);
	int ret;

	if (!p)
		return HG_EXIT_FAILED;
	ret = hg_profile_compile(p, NULL, &t->profile);
	free(p);
	return ret ? hg_cmd_no_memory() : 0;
}

static int run(struct test *t, int n, char **argv, const struct hg_cmd_capture_values *v,
	       const struct hg_arg *args)
{
	const struct hg_arg *own = args + HG_CMD_CAPTURE_ARGS_N;
	const char *const *files = (const char *const *)argv + 2;
	int ret = load_profile(t, argv[1]);

	if (!ret)
		ret = hg_cmd_capture_open(&t->capture, files, (size_t)n - 1, v, args);
	if (!ret && own[0].count)
		ret = load_labels(t, own[0].values[0], (size_t)n - 1);
	return ret ? ret : play(t);
}

int hg_cmd_profile_test(void *ctx, int argc, char **argv)
{
	const struct hg_cli *cli = ctx;
	struct hg_cmd_capture_values v = { 0 };
	const char *labels = NULL;
	struct hg_arg args[] = { HG_CMD_CAPTURE_ARGS(v),
				 { "labels", &labels, 1, 0, 0 },
				 { "json", NULL, 1, 0, 'j' },
				 { 0 } };
	struct test *t = calloc(1, sizeof(*t));
	int n, ret;

	if (!t)
		return hg_cmd_no_memory();
	n = hg_args_take("heliograph", argc, argv, 2, HG_CAPTURE_FILES_MAX, args);
	ret = n < 0 ? HG_EXIT_USAGE : run(t, n, argv, &v, args);
	if (!ret)
		ret = report(t, cli->json || args[HG_CMD_CAPTURE_ARGS_N + 1].count);
	hg_replayer_free(t->replayer);
	hg_episodes_exit(&t->episodes);
	hg_labels_exit(&t->labels);
	hg_cmd_capture_close(&t->capture);
	free(t);
	return ret;
}
