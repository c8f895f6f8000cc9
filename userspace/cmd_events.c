// SPDX-License-Identifier: MIT
/*
 * `heliograph guard events`: what the guard tells, as it comes; for people who watch a device that
 * has no agent, and for tests. The guard's ring has one reader, so this one does not run beside an
 * agent that scores.
 */
#include "cmd_events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../lib/alarm.h"
#include "../lib/args.h"
#include "guard-conf.h"
#include "guard-host.h"

static const char *const news[] = { "none", "start", "more", "end" };

struct events {
	bool json;
	unsigned long left; /* to print */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Never NULL, for printing. */
static const char *word(const char *name)
{
	return name ? name : "?";
}

static double seconds(const struct hg_event *e)
{
	return (double)e->time_ns / 1e9;
}

static void print_json(json_t *o)
{
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static json_t *head_json(const struct hg_event *e, const char *event)
{
	return json_pack("{s:f, s:s, s:i}", "time", seconds(e), "event", event, "channel",
			 e->channel);
}

static void print_flow(const struct hg_flow_event *e, bool json)
{
	char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];
	json_t *o;

	hg_addr_print(&e->key.local, local);
	hg_addr_print(&e->key.remote, remote);
	if (!json) {
		printf("%.3f flow channel %u: protocol %u, %s %u > %s %u\n", seconds(&e->head),
		       e->head.channel, e->key.proto, local, ntohs(e->key.local_port), remote,
		       ntohs(e->key.remote_port));
		return;
	}
	o = head_json(&e->head, "flow");
	json_object_update_new(o, json_pack("{s:i, s:s, s:i, s:s, s:i}", "proto", e->key.proto,
					    "local", local, "local_port", ntohs(e->key.local_port),
					    "remote", remote, "remote_port",
					    ntohs(e->key.remote_port)));
	print_json(o);
}

static json_t *sample_json(const struct hg_sample *s)
{
	const struct {
		const char *name;
		__u64 value;
	} counts[] = { { "packets", s->packets },   { "bytes", s->bytes },
		       { "flows", s->flows },	    { "failed", s->failed },
		       { "fresh", s->fresh },	    { "answered", s->answered },
		       { "unnamed", s->unnamed },   { "packets_in", s->packets_in },
		       { "bytes_in", s->bytes_in }, { "tcp", s->tcp },
		       { "syn", s->syn },	    { "udp", s->udp },
		       { "icmp", s->icmp },	    { "reflect", s->reflect } };
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].value));
	return o;
}

static void print_score(const struct hg_score_event *e, bool json)
{
	const char *what = e->news < sizeof(news) / sizeof(news[0]) ? news[e->news] : "?";
	const char *attack = word(hg_attack_name(e->attack));
	const char *feature = word(hg_alarm_feature_name(e->feature));
	unsigned int window = hg_window_seconds(e->window);
	json_t *o;

	if (json) {
		o = head_json(&e->head, "score");
		json_object_update_new(
			o, json_pack("{s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:o}", "news",
				     what, "attack", attack, "feature", feature, "value",
				     (json_int_t)e->value, "bound", (json_int_t)e->bound, "window",
				     window, "destinations", e->destinations, "ports", e->ports,
				     "sources", e->sources, "sample", sample_json(&e->sample)));
		print_json(o);
	} else if (e->news == HG_EPISODE_END) {
		printf("%.3f score channel %u: end of %s\n", seconds(&e->head), e->head.channel,
		       attack);
	} else {
		printf("%.3f score channel %u: %s of %s: %s %llu, bound %llu, in %u s; "
		       "%u destinations, %u ports\n",
		       seconds(&e->head), e->head.channel, what, attack, feature,
		       (unsigned long long)e->value, (unsigned long long)e->bound, window,
		       e->destinations, e->ports);
	}
}

static void print_distress(const struct hg_distress_event *e, bool json)
{
	char to[INET6_ADDRSTRLEN];
	json_t *o;

	hg_addr_print(&e->to, to);
	if (!json) {
		printf("%.3f distress: the agent is silent: datagram %u to %s %u: %s\n",
		       seconds(&e->head), e->times, to, ntohs(e->port),
		       e->error ? strerror(-e->error) : "sent");
		return;
	}
	o = head_json(&e->head, "distress");
	json_object_update_new(o, json_pack("{s:s, s:i, s:i, s:i, s:i}", "to", to, "port",
					    ntohs(e->port), "times", e->times, "error", e->error,
					    "next", e->next_s));
	print_json(o);
}

static void print_event(void *ctx, const struct hg_event *e)
{
	struct events *out = ctx;

	if (!out->left)
		return;
	out->left--;
	if (e->type == HG_EVENT_FLOW)
		print_flow((const struct hg_flow_event *)e, out->json);
	else if (e->type == HG_EVENT_SCORE)
		print_score((const struct hg_score_event *)e, out->json);
	else if (e->type == HG_EVENT_DISTRESS)
		print_distress((const struct hg_distress_event *)e, out->json);
	else if (out->json)
		print_json(head_json(e, "other"));
	else
		printf("%.3f event of type %u\n", seconds(e), e->type);
}

static void tell_lost(const struct hg_guard_ops *host, struct hg_guard *g, __u64 *told)
{
	__u64 lost = host->events_lost ? host->events_lost(g) : 0;

	if (lost != *told)
		fprintf(stderr, "heliograph: guard events: events were lost: they came faster than "
				"they were read\n");
	*told = lost;
}

/* Until enough were printed, or for so many milliseconds (-1: for ever). */
static int follow(const struct hg_guard_ops *host, struct hg_guard *g, struct events *out,
		  int64_t ms)
{
	struct pollfd fd = { .fd = host->event_fd(g), .events = POLLIN };
	int64_t end = now_ms() + ms;
	__u64 lost = 0;
	int ret = fd.fd < 0 ? fd.fd : 0;

	while (!ret && out->left) {
		int64_t left = ms < 0 ? 60000 : end - now_ms();

		ret = host->events(g, print_event, out);
		tell_lost(host, g, &lost);
		if (fflush(stdout))
			ret = -EIO;
		if (ret || !out->left || left <= 0)
			break;
		if (poll(&fd, 1, left < 60000 ? (int)left : 60000) < 0 && errno != EINTR)
			ret = -errno;
	}
	return ret;
}

static int usage(void)
{
	fprintf(stderr, "heliograph: usage: heliograph guard events [--json] [--count N] "
			"[--time SECONDS]\n");
	return HG_EXIT_USAGE;
}

static int whole(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno || *out > max ? -EINVAL : 0;
}

int hg_cmd_guard_events(void *ctx, int argc, char **argv)
{
	const struct hg_cli *cli = ctx;
	const char *count = NULL, *time_s = NULL;
	struct hg_arg args[] = { { .name = "json", .max = 1 },
				 { .name = "count", .letter = 'n', .values = &count, .max = 1 },
				 { .name = "time", .letter = 't', .values = &time_s, .max = 1 },
				 { 0 } };
	struct events out = { .left = ULONG_MAX };
	const struct hg_guard_ops *host = NULL;
	struct hg_guard *g = NULL;
	unsigned long wait_s = 0;
	char err[512] = "";
	int ret;

	if (hg_args_take("heliograph", argc, argv, 0, 0, args) < 0)
		return HG_EXIT_USAGE;
	if ((count && whole(count, ULONG_MAX, &out.left)) ||
	    (time_s && whole(time_s, 1000000000, &wait_s)))
		return usage();
	out.json = cli->json || args[0].count;
	ret = hg_guard_open(cli->conf.guard.host, cli->conf.guard.pin_dir, &host, &g, err,
			    sizeof(err));
	if (!ret) {
		ret = follow(host, g, &out, time_s ? (int64_t)wait_s * 1000 : -1);
		host->close(g);
	}
	if (!ret)
		return HG_EXIT_OK;
	if (ret == -EBUSY)
		snprintf(err, sizeof(err),
			 "another process reads them, most likely the agent; its log has them");
	fprintf(stderr, "heliograph: guard events: %s\n", *err ? err : strerror(-ret));
	if (ret == -ENOENT)
		return HG_EXIT_UNAVAILABLE;
	return ret == -EPERM || ret == -EACCES ? HG_EXIT_DENIED : HG_EXIT_FAILED;
}
