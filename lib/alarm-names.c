/* SPDX-License-Identifier: MIT */
/*
 * The words for what stands in an alarm as numbers: classes, features, attacks, windows. Whoever
 * prints or stores alarms takes them from here; docs/alarm-format.md lists them.
 */
#include "alarm.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const class_names[] = {
	[HG_ALARM_TEST] = "test",	  [HG_ALARM_SCAN] = "scan",
	[HG_ALARM_FLOOD] = "flood",	  [HG_ALARM_OUTSIDE] = "outside",
	[HG_ALARM_SILENCED] = "silenced", [HG_ALARM_ENDED] = "ended",
};

static const char *const feature_names[] = {
	[HG_FEATURE_PACKETS] = "packets",
	[HG_FEATURE_BYTES] = "bytes",
	[HG_FEATURE_FLOWS] = "flows",
	[HG_FEATURE_FAILED] = "failed",
	[HG_FEATURE_HEARTBEAT] = "heartbeat",
	[HG_FEATURE_DESTINATIONS] = "destinations",
	[HG_FEATURE_FRESH] = "new-destinations",
	[HG_FEATURE_PORTS] = "ports",
	[HG_FEATURE_SOURCES] = "sources",
	[HG_FEATURE_SIZE] = "size",
	[HG_FEATURE_WALK] = "walk",
	[HG_FEATURE_SUM_FLOWS] = "sum-of-flows",
	[HG_FEATURE_SUM_BYTES] = "sum-of-bytes",
};

static const char *const attack_names[] = {
	[HG_ATTACK_HORIZONTAL_SCAN] = "horizontal-scan",
	[HG_ATTACK_VERTICAL_SCAN] = "vertical-scan",
	[HG_ATTACK_SYN_FLOOD] = "syn-flood",
	[HG_ATTACK_UDP_FLOOD] = "udp-flood",
	[HG_ATTACK_ACK_FLOOD] = "ack-flood",
	[HG_ATTACK_ICMP_FLOOD] = "icmp-flood",
	[HG_ATTACK_FLOOD] = "flood",
	[HG_ATTACK_BRUTE_FORCE] = "brute-force",
	[HG_ATTACK_REFLECTION] = "reflection",
	[HG_ATTACK_BOT_CONTROL] = "bot-control",
	[HG_ATTACK_EXFILTRATION] = "exfiltration",
	[HG_ATTACK_SPOOFED_SOURCE] = "spoofed-source",
	[HG_ATTACK_DRIFT] = "drift",
};

static const uint8_t classes_of[] = {
	[HG_ATTACK_NONE] = HG_ALARM_FLOOD,	     [HG_ATTACK_HORIZONTAL_SCAN] = HG_ALARM_SCAN,
	[HG_ATTACK_VERTICAL_SCAN] = HG_ALARM_SCAN,   [HG_ATTACK_SYN_FLOOD] = HG_ALARM_FLOOD,
	[HG_ATTACK_UDP_FLOOD] = HG_ALARM_FLOOD,	     [HG_ATTACK_ACK_FLOOD] = HG_ALARM_FLOOD,
	[HG_ATTACK_ICMP_FLOOD] = HG_ALARM_FLOOD,     [HG_ATTACK_FLOOD] = HG_ALARM_FLOOD,
	[HG_ATTACK_BRUTE_FORCE] = HG_ALARM_SCAN,     [HG_ATTACK_REFLECTION] = HG_ALARM_FLOOD,
	[HG_ATTACK_BOT_CONTROL] = HG_ALARM_OUTSIDE,  [HG_ATTACK_EXFILTRATION] = HG_ALARM_FLOOD,
	[HG_ATTACK_SPOOFED_SOURCE] = HG_ALARM_FLOOD, [HG_ATTACK_DRIFT] = HG_ALARM_OUTSIDE,
};

_Static_assert(COUNT(feature_names) == HG_FEATURE_MAX + 1, "a name for each feature");
_Static_assert(COUNT(attack_names) == HG_ATTACK_MAX + 1, "a name for each attack");
_Static_assert(COUNT(classes_of) == HG_ATTACK_MAX + 1, "a class for each attack");

const char *hg_alarm_class_name(unsigned int alarm_class)
{
	return alarm_class < COUNT(class_names) ? class_names[alarm_class] : NULL;
}

const char *hg_alarm_feature_name(unsigned int feature)
{
	return feature < COUNT(feature_names) ? feature_names[feature] : NULL;
}

const char *hg_attack_name(unsigned int attack)
{
	return attack < COUNT(attack_names) ? attack_names[attack] : NULL;
}

uint8_t hg_attack_class(unsigned int attack)
{
	return classes_of[attack < COUNT(classes_of) ? attack : HG_ATTACK_NONE];
}

unsigned int hg_window_seconds(unsigned int window)
{
	static const unsigned int seconds[HG_WINDOWS] = {
		[HG_WINDOW_SECOND] = 1, [HG_WINDOW_MINUTE] = 60, [HG_WINDOW_HOUR] = 3600
	};

	return window < HG_WINDOWS ? seconds[window] : 0;
}
