// SPDX-License-Identifier: MIT
/*
 * What every host of the guard shares: the words for reasons, policies and modes, and the values a
 * guard has when nobody says otherwise. The agent and the command line print and parse with it.
 */
#include "guard.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const reasons[HG_REASON_MAX] = {
	[HG_PASS_FLOW] = "flow",
	[HG_PASS_RELATED] = "related",
	[HG_PASS_FRAGMENT] = "fragment",
	[HG_PASS_ARP] = "arp",
	[HG_PASS_ND] = "nd",
	[HG_PASS_DHCP] = "dhcp",
	[HG_PASS_MULTICAST] = "multicast",
	[HG_PASS_TRUSTED] = "trusted",
	[HG_PASS_LINK] = "link",
	[HG_PASS_OUT] = "out",
	[HG_DROP_NO_FLOW] = "no-flow",
	[HG_DROP_STATE] = "state",
	[HG_DROP_ICMP] = "icmp",
	[HG_DROP_FRAGMENT] = "stray-fragment",
	[HG_DROP_PROTO] = "protocol",
	[HG_DROP_RATE] = "rate",
	[HG_DROP_MALFORMED] = "malformed",
	[HG_DROP_TRUNCATED] = "truncated",
	[HG_DROP_LINK] = "ethertype",
	[HG_DROP_CONFINED] = "confined",
	[HG_DROP_POLICED] = "policed",
};

static const char *const policies[] = {
	[HG_POLICY_MONITOR] = "monitor",
	[HG_POLICY_INITIATED] = "initiated",
	[HG_POLICY_SEALED] = "sealed",
};

static const char *const modes[] = {
	[HG_GUARD_AUTO] = "auto",
	[HG_GUARD_NATIVE] = "native",
	[HG_GUARD_GENERIC] = "generic",
	[HG_GUARD_TC] = "tc",
};

static const char *const clocks[] = {
	[HG_CLOCK_KERNEL] = "kernel",
	[HG_CLOCK_STOPPED] = "stopped",
	[HG_CLOCK_AGENT] = "agent",
};

const char *hg_reason_name(unsigned int reason)
{
	return reason < COUNT(reasons) ? reasons[reason] : NULL;
}

const char *hg_policy_name(unsigned int policy)
{
	return policy < COUNT(policies) ? policies[policy] : NULL;
}

int hg_policy_parse(const char *name)
{
	for (size_t i = 0; i < COUNT(policies); i++)
		if (!strcmp(name, policies[i]))
			return i;
	return -EINVAL;
}

const char *hg_guard_mode_name(unsigned int mode)
{
	return mode < COUNT(modes) ? modes[mode] : NULL;
}

const char *hg_guard_clock_name(unsigned int clock)
{
	return clock < COUNT(clocks) ? clocks[clock] : NULL;
}

void hg_guard_options_init(struct hg_guard_options *o)
{
	*o = (struct hg_guard_options){
		.pin_dir = "/sys/fs/bpf/heliograph",
		.object = HG_BPFDIR "/heliograph.bpf.o",
		.config = {
			.policy = HG_POLICY_INITIATED,
			.udp_one_way_s = 30,	   /* RFC 4787 leaves one-way open; conntrack's */
			.udp_two_way_s = 180,	   /* RFC 4787 REQ-5: two minutes at least */
			.tcp_opening_s = 60,
			.tcp_established_s = 7500, /* RFC 5382 REQ-5: at least 2 h 4 min */
			.tcp_closing_s = 30,
			.icmp_s = 30,
			.other_s = 600,
			.config_rate = 50,
		},
		.flows_kept = 256,
		.flows_inside = 4096,
		.flows_outside = 4096,
	};
	/* Never blocks at the time a daemon starts; if it fails, seed 0 is replaced by attach(). */
	if (getrandom(&o->config.seed, sizeof(o->config.seed), GRND_NONBLOCK) < 0)
		o->config.seed = 0;
}
