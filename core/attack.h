/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What an excess looks like: rules that name an attack from the counts of the window in which it
 * showed. They are tried from top to bottom; docs/profile.md explains them to people. They only
 * name: whether there is an alarm was decided before (score.h).
 */
#ifndef HG_CORE_ATTACK_H
#define HG_CORE_ATTACK_H

#include "port.h"
#include "../include/uapi/heliograph.h"

#define HG_ATTACK_SOURCES 8u /* own addresses: a host has a few, IPv6 with privacy some more */
#define HG_ATTACK_MANY 8u    /* hosts or ports that make a scan */
#define HG_ATTACK_FEW 4u     /* hosts that are "the same few" */

/* More than three quarters of all. */
static hg_inline int hg_attack_most(__u64 part, __u64 all)
{
	return part > all - (all >> 2);
}

static hg_inline int hg_attack_is_probing(const struct hg_score_event *e)
{
	const struct hg_sample *s = &e->sample;

	if (e->feature == HG_FEATURE_FLOWS || e->feature == HG_FEATURE_FAILED ||
	    e->feature == HG_FEATURE_WALK || e->feature == HG_FEATURE_FRESH ||
	    e->feature == HG_FEATURE_DESTINATIONS || e->feature == HG_FEATURE_PORTS)
		return 1;
	/* A few packets a flow: their number is the flows' number. */
	return s->flows && s->packets <= s->flows * 4;
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
	if (hg_attack_most(s->tcp, s->packets) && s->packets_in < s->packets >> 3)
		return HG_ATTACK_ACK_FLOOD;
	return HG_ATTACK_FLOOD;
}

/* Many openings: of what? */
static hg_inline __u8 hg_attack_openings(const struct hg_score_event *e)
{
	const struct hg_sample *s = &e->sample;

	if (e->destinations >= HG_ATTACK_MANY)
		return HG_ATTACK_HORIZONTAL_SCAN;
	if (e->ports >= HG_ATTACK_MANY)
		return HG_ATTACK_VERTICAL_SCAN;
	if (e->feature == HG_FEATURE_WALK) /* new destinations, slowly */
		return e->ports > e->destinations ? HG_ATTACK_VERTICAL_SCAN
						  : HG_ATTACK_HORIZONTAL_SCAN;
	/* The same few, again and again, and they answer: somebody tries passwords. */
	if (s->tcp && s->flows >= HG_ATTACK_MANY && s->answered >= s->flows >> 1)
		return HG_ATTACK_BRUTE_FORCE;
	return HG_ATTACK_NONE;
}

/* What is outside every channel and not an attack by its counts. */
static hg_inline __u8 hg_attack_outside(const struct hg_score_event *e)
{
	const struct hg_sample *s = &e->sample;

	/* Slow, lasting, answered, to hosts that no name led to: no new server looks like that. */
	if (s->unnamed && e->destinations <= HG_ATTACK_FEW)
		return HG_ATTACK_BOT_CONTROL;
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
	attack = hg_attack_is_probing(e) ? hg_attack_openings(e) : HG_ATTACK_NONE;
	if (attack)
		return attack;
	if (!channel && e->value <= e->bound << 2)
		return hg_attack_outside(e);
	/* Large packets of connections that are answered: data goes out. */
	if (s->bytes > s->packets * 512 && s->packets_in > s->packets >> 3)
		return HG_ATTACK_EXFILTRATION;
	return hg_attack_flood(s);
}

#endif
