/* SPDX-License-Identifier: MIT */
/*
 * Episodes of a replay: what began, lasted and ended, made of its alarms; and the plain words for
 * it.
 */
#ifndef HG_USERSPACE_EPISODES_H
#define HG_USERSPACE_EPISODES_H

#include <stdbool.h>
#include <stddef.h>
#include "replay.h"

#define HG_EPISODES_MAX 10000  /* kept; more are counted */
#define HG_EPISODE_TOLD_MAX 16 /* changes of class kept of each */

struct hg_episode_record {
	__u64 start_ns, end_ns; /* since 1970; end_ns 0: it lasted when the captures ended */
	__u64 last_ns;		/* of its last alarm but the end */
	__u64 hostile_ns;	/* when it was first told as hostile; 0: never */
	unsigned int session, channel;
	unsigned int alarms; /* told, without the end */
	unsigned int n_told;
	struct {
		__u64 time_ns;
		__u8 attack;
	} told[HG_EPISODE_TOLD_MAX]; /* when it was told as what; each change */
	struct hg_replayer_alarm first,
		worst; /* worst: of hostile ones, what was most over its bound */
};

struct hg_episodes {
	struct hg_episode_record *list; /* in order of their starts */
	size_t n, room;
	size_t left_out; /* beyond HG_EPISODES_MAX, or for want of memory */
	size_t hostile, drift;
	size_t open[HG_CHANNELS_MAX]; /* index + 1 of the episode that lasts; 0: none */
};

void hg_episodes_add(struct hg_episodes *e, const struct hg_replayer_alarm *a);
/* A session is over: what lasts stays without an end. */
void hg_episodes_end_session(struct hg_episodes *e);
void hg_episodes_exit(struct hg_episodes *e);

/* Drift is not hostile: the model does something that its profile lacks. */
bool hg_attack_is_hostile(unsigned int attack);
/* "horizontal scan", ...; never NULL. */
const char *hg_attack_text(unsigned int attack);
/* "a second", "a minute", "an hour" */
const char *hg_window_text(unsigned int window);

#define HG_REASON_TEXT 256
/* Why it was told: "opened 160 flows in a second; 4 are the most that is usual". */
const char *hg_event_reason(const struct hg_score_event *e, char out[static HG_REASON_TEXT]);

#define HG_TARGET_TEXT 96
/* "203.0.113.0/24 tcp 23" */
const char *hg_target_text(const struct hg_alarm_target *t, char out[static HG_TARGET_TEXT]);

#endif
