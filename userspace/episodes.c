// SPDX-License-Identifier: MIT
/* Episodes and their words; filled by a replay, printed by `heliograph profile test`. */
#include "episodes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "profile-text.h"

/* How many times over its bound, compared crosswise. */
static bool is_worse(const struct hg_score_event *a, const struct hg_score_event *b)
{
	bool ha = hg_attack_is_hostile(a->attack), hb = hg_attack_is_hostile(b->attack);

	if (ha != hb)
		return ha;
	return (long double)a->value * (long double)(b->bound + 1) >
	       (long double)b->value * (long double)(a->bound + 1);
}

static struct hg_episode_record *new_episode(struct hg_episodes *e)
{
	struct hg_episode_record *list = e->list;
	size_t room = e->room ? e->room * 2 : 16;

	if (e->n == HG_EPISODES_MAX)
		return NULL;
	if (e->n == e->room) {
		list = realloc(e->list, room * sizeof(*list));
		if (!list)
			return NULL;
		e->list = list;
		e->room = room;
	}
	memset(&list[e->n], 0, sizeof(*list));
	return &list[e->n++];
}

static void note_told(struct hg_episode_record *p, const struct hg_replayer_alarm *a)
{
	if (p->n_told == HG_EPISODE_TOLD_MAX ||
	    (p->n_told && p->told[p->n_told - 1].attack == a->event.attack))
		return;
	p->told[p->n_told].time_ns = a->time_ns;
	p->told[p->n_told++].attack = a->event.attack;
}

static void note_hostile(struct hg_episodes *e, struct hg_episode_record *p,
			 const struct hg_replayer_alarm *a)
{
	if (p->hostile_ns || !hg_attack_is_hostile(a->event.attack))
		return;
	p->hostile_ns = a->time_ns;
	e->hostile++;
	e->drift -= p->alarms > 0;
}

static void begin_episode(struct hg_episodes *e, const struct hg_replayer_alarm *a)
{
	struct hg_episode_record *p = new_episode(e);

	e->open[a->channel] = 0;
	if (!p) {
		e->left_out++;
		return;
	}
	e->open[a->channel] = e->n;
	p->start_ns = p->last_ns = a->time_ns;
	p->session = a->session;
	p->channel = a->channel;
	p->first = p->worst = *a;
	e->drift += !hg_attack_is_hostile(a->event.attack);
	note_hostile(e, p, a);
	note_told(p, a);
	p->alarms = 1;
}

void hg_episodes_add(struct hg_episodes *e, const struct hg_replayer_alarm *a)
{
	struct hg_episode_record *p;

	if (a->event.news == HG_EPISODE_START) {
		begin_episode(e, a);
		return;
	}
	if (!e->open[a->channel])
		return;
	p = &e->list[e->open[a->channel] - 1];
	if (a->event.news == HG_EPISODE_END) {
		p->end_ns = a->time_ns;
		e->open[a->channel] = 0;
		return;
	}
	note_hostile(e, p, a);
	note_told(p, a);
	p->last_ns = a->time_ns;
	p->alarms++;
	if (is_worse(&a->event, &p->worst.event) ||
	    (a->n_targets > p->worst.n_targets && a->event.attack == p->worst.event.attack))
		p->worst = *a;
}

void hg_episodes_end_session(struct hg_episodes *e)
{
	memset(e->open, 0, sizeof(e->open));
}

void hg_episodes_exit(struct hg_episodes *e)
{
	free(e->list);
	*e = (struct hg_episodes){ 0 };
}

bool hg_attack_is_hostile(unsigned int attack)
{
	return attack != HG_ATTACK_NONE && attack != HG_ATTACK_DRIFT;
}

const char *hg_attack_text(unsigned int attack)
{
	static const char *const names[HG_ATTACK_MAX + 1] = {
		[HG_ATTACK_NONE] = "unusual traffic",
		[HG_ATTACK_HORIZONTAL_SCAN] = "horizontal scan",
		[HG_ATTACK_VERTICAL_SCAN] = "vertical scan",
		[HG_ATTACK_SYN_FLOOD] = "SYN flood",
		[HG_ATTACK_UDP_FLOOD] = "UDP flood",
		[HG_ATTACK_ACK_FLOOD] = "ACK flood",
		[HG_ATTACK_ICMP_FLOOD] = "ICMP flood",
		[HG_ATTACK_FLOOD] = "flood",
		[HG_ATTACK_BRUTE_FORCE] = "brute force",
		[HG_ATTACK_REFLECTION] = "reflection",
		[HG_ATTACK_BOT_CONTROL] = "bot control",
		[HG_ATTACK_EXFILTRATION] = "exfiltration",
		[HG_ATTACK_SPOOFED_SOURCE] = "spoofed source",
		[HG_ATTACK_DRIFT] = "drift",
	};

	return attack <= HG_ATTACK_MAX ? names[attack] : "attack of an unknown kind";
}

const char *hg_window_text(unsigned int window)
{
	static const char *const names[HG_WINDOWS] = { "a second", "a minute", "an hour" };

	return window < HG_WINDOWS ? names[window] : "a while";
}

/* What was done so often; NULL: the feature is not a count of a window. */
static const char *of_feature(unsigned int feature, const char **what)
{
	static const struct {
		const char *before, *what;
	} words[HG_FEATURE_MAX + 1] = {
		[HG_FEATURE_PACKETS] = { "sent", "packets" },
		[HG_FEATURE_BYTES] = { "sent", "bytes" },
		[HG_FEATURE_FLOWS] = { "opened", "flows" },
		[HG_FEATURE_FAILED] = { "failed to open", "flows (no answer, or refused)" },
		[HG_FEATURE_DESTINATIONS] = { "opened flows to", "hosts" },
		[HG_FEATURE_FRESH] = { "opened flows to", "services not used lately" },
		[HG_FEATURE_PORTS] = { "opened flows to", "ports" },
		[HG_FEATURE_SOURCES] = { "opened flows from", "own addresses" },
	};

	if (feature > HG_FEATURE_MAX)
		return NULL;
	*what = words[feature].what;
	return words[feature].before;
}

/* The mean is value by packets where it was too large, bound by packets where it was too small. */
static void size_reason(const struct hg_score_event *e, char *out)
{
	unsigned long long packets = e->sample.packets ? e->sample.packets : 1;
	bool large = e->value == e->sample.bytes;

	snprintf(out, HG_REASON_TEXT,
		 "packets of a minute had %llu bytes on the average; %llu is the %s that is usual",
		 (unsigned long long)e->sample.bytes / packets,
		 (unsigned long long)(large ? e->bound : e->value) / packets,
		 large ? "most" : "least");
}

const char *hg_event_reason(const struct hg_score_event *e, char out[static HG_REASON_TEXT])
{
	unsigned long long value = e->value, bound = e->bound;
	const char *what, *before = of_feature(e->feature, &what);

	if (before) {
		snprintf(out, HG_REASON_TEXT, "%s %llu %s in %s; at most %llu are usual", before,
			 value, what, hg_window_text(e->window), bound);
	} else if (e->feature == HG_FEATURE_WALK) {
		snprintf(out, HG_REASON_TEXT,
			 "openings to new destinations failed again and again, hardly any was "
			 "answered (walk at %llu, limit %llu)",
			 value, bound + 1);
	} else if (e->feature == HG_FEATURE_SIZE) {
		size_reason(e, out);
	} else if (e->feature == HG_FEATURE_SUM_FLOWS || e->feature == HG_FEATURE_SUM_BYTES) {
		snprintf(out, HG_REASON_TEXT,
			 "over a long time, %s %llu %s more than usual; at most %llu are",
			 e->feature == HG_FEATURE_SUM_FLOWS ? "opened" : "sent", value / 60,
			 e->feature == HG_FEATURE_SUM_FLOWS ? "flows" : "bytes", bound / 60);
	} else {
		snprintf(out, HG_REASON_TEXT, "feature %u is %llu; at most %llu is usual",
			 e->feature, value, bound);
	}
	return out;
}

const char *hg_target_text(const struct hg_alarm_target *t, char out[static HG_TARGET_TEXT])
{
	const char *proto = hg_proto_name(t->proto);
	char addr[INET6_ADDRSTRLEN], name[16], port[16] = "";

	if (!inet_ntop(t->family == 6 ? AF_INET6 : AF_INET, t->addr, addr, sizeof(addr)))
		strcpy(addr, "?");
	snprintf(name, sizeof(name), "protocol %u", t->proto);
	if (t->port)
		snprintf(port, sizeof(port), " %u", t->port);
	if (t->prefix_len == (t->family == 6 ? 128 : 32))
		snprintf(out, HG_TARGET_TEXT, "%s %s%s", addr, proto ? proto : name, port);
	else
		snprintf(out, HG_TARGET_TEXT, "%s/%u %s%s", addr, t->prefix_len,
			 proto ? proto : name, port);
	return out;
}
