/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What an excess looks like: rules that name an attack from the counts of the window in which it
 * showed, tried from top to bottom; docs/profile.md explains them to people. Whether there is an
 * excess was decided before (score.h); here also ends what is not hostile: drift.
 */
#ifndef HG_CORE_ATTACK_H
#define HG_CORE_ATTACK_H

#include "port.h"
#include "../include/uapi/heliograph.h"

#define HG_ATTACK_SOURCES 8u /* own addresses: a host has a few, IPv6 with privacy some more */
#define HG_ATTACK_MANY 8u    /* hosts or ports that make a scan */
#define HG_ATTACK_FEW 4u     /* a service that moved has a few addresses */
#define HG_ATTACK_LOGINS 4u  /* a person mistypes a password twice */

/* A minute that sends too much may be a person at the device; one after the other is not. */
#define HG_ATTACK_LASTING 60u

/*
 * More than this many times (log2) its bound, traffic that lasts longer than a second or lies
 * outside every channel is no novelty of the model's.
 */
#define HG_ATTACK_MILD_SHIFT 2

/* More than three quarters of all. */
static hg_inline int hg_attack_most(__u64 part, __u64 all)
{
	return part > all - (all >> 2);
}

static hg_inline int hg_attack_is_mild(const struct hg_score_event *e)
{
	return e->value <= e->bound << HG_ATTACK_MILD_SHIFT;
}

/* Outside every channel: more than a new server of the model's. */
static hg_inline int hg_attack_is_strange(const struct hg_score_event *e)
{
	return e->sample.unnamed || e->services > HG_ATTACK_FEW;
}

/* Openings, hardly any of which are answered (at most 1 in 5, Jung et al.): of what? */
static hg_inline __u8 hg_attack_probing(const struct hg_score_event *e)
{
	const struct hg_sample *s = &e->sample;
	int failing = e->feature == HG_FEATURE_FAILED || e->feature == HG_FEATURE_WALK;

	if (!failing && (s->packets > s->flows * 4 || s->answered > s->flows >> 2))
		return HG_ATTACK_NONE;
	if (e->destinations >= HG_ATTACK_MANY)
		return HG_ATTACK_HORIZONTAL_SCAN;
	if (e->ports >= HG_ATTACK_MANY)
		return HG_ATTACK_VERTICAL_SCAN;
	if (e->feature != HG_FEATURE_WALK) /* the walk is of new destinations, slowly */
		return HG_ATTACK_NONE;
	return e->ports > e->destinations ? HG_ATTACK_VERTICAL_SCAN : HG_ATTACK_HORIZONTAL_SCAN;
}

static hg_inline __u8 hg_attack_flood(const struct hg_sample *s)
{
	if (hg_attack_most(s->syn, s->packets))
		return HG_ATTACK_SYN_FLOOD;
	if (hg_attack_most(s->udp, s->packets))
		return HG_ATTACK_UDP_FLOOD;
	if (hg_attack_most(s->icmp, s->packets))
		return HG_ATTACK_ICMP_FLOOD;
	/* Segments that nobody answers belong to no connection. */
	if (hg_attack_most(s->tcp, s->packets))
		return HG_ATTACK_ACK_FLOOD;
	return HG_ATTACK_FLOOD;
}

/* Both sides talk. A model's own servers are known by name. */
static hg_inline __u8 hg_attack_talking(const struct hg_score_event *e, __u32 channel)
{
	const struct hg_sample *s = &e->sample;
	int large = s->bytes > s->packets * 512;

	if (large && (!channel || s->unnamed) && !hg_attack_is_mild(e))
		return HG_ATTACK_EXFILTRATION;
	if (e->feature == HG_FEATURE_FLOWS && !channel && !hg_attack_is_mild(e))
		return HG_ATTACK_FLOOD;
	if (!channel && hg_attack_is_strange(e))
		return large && s->unnamed ? HG_ATTACK_EXFILTRATION : HG_ATTACK_BOT_CONTROL;
	return HG_ATTACK_DRIFT;
}

static hg_inline __u8 hg_attack_of(const struct hg_score_event *e, __u32 channel)
{
	const struct hg_sample *s = &e->sample;
	__u8 attack;

	if (e->sources >= HG_ATTACK_SOURCES)
		return HG_ATTACK_SPOOFED_SOURCE;
	if (s->reflect && hg_attack_most(s->reflect, s->packets))
		return HG_ATTACK_REFLECTION;
	attack = hg_attack_probing(e);
	if (attack != HG_ATTACK_NONE)
		return attack;
	if (s->login >= HG_ATTACK_LOGINS && s->answered >= s->flows >> 1)
		return HG_ATTACK_BRUTE_FORCE;
	if (s->packets_in > s->packets >> 3)
		return hg_attack_talking(e, channel);
	if (hg_attack_is_mild(e) && !channel)
		return hg_attack_is_strange(e) ? HG_ATTACK_BOT_CONTROL : HG_ATTACK_DRIFT;
	if (hg_attack_is_mild(e) && e->window != HG_WINDOW_SECOND && e->lasts < HG_ATTACK_LASTING)
		return HG_ATTACK_DRIFT;
	return hg_attack_flood(s);
}

#endif
