// SPDX-License-Identifier: MIT
/*
 * What every host of the guard shares: the words for reasons, policies and modes, the values that a
 * guard has when nobody says otherwise, and what is checked of options before a kernel sees them.
 * The agent and the command line print and parse with it.
 */
#include "guard-common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <linux/if_arp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
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
	[HG_DROP_GATE] = "gate",
};

static const char *const policies[] = {
	[HG_POLICY_MONITOR] = "monitor",
	[HG_POLICY_INITIATED] = "initiated",
	[HG_POLICY_SEALED] = "sealed",
};

static const char *const hosts[] = {
	[HG_HOST_AUTO] = "auto",
	[HG_HOST_BPF] = "bpf",
	[HG_HOST_MODULE] = "module",
};

static const char *const modes[] = {
	[HG_GUARD_AUTO] = "auto", [HG_GUARD_NATIVE] = "native",	 [HG_GUARD_GENERIC] = "generic",
	[HG_GUARD_TC] = "tc",	  [HG_GUARD_HOOK] = "netfilter",
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

unsigned int hg_guard_gate_left(const struct hg_guard_config *config)
{
	struct timespec now;
	__s32 left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (__s32)(config->open_until_s - (__u32)now.tv_sec);
	return config->open_until_s && left > 0 ? (unsigned int)left : 0;
}

const char *hg_guard_gate_name(const struct hg_guard_config *config)
{
	if (!(config->flags & HG_GUARD_GATE))
		return "none";
	return hg_guard_gate_left(config) ? "open" : "shut";
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

const char *hg_guard_host_name(unsigned int host)
{
	return host < COUNT(hosts) ? hosts[host] : NULL;
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

int hg_error_set(struct hg_error *e, int ret, const char *fmt, ...)
{
	va_list ap;

	if (e && e->text && e->size) {
		va_start(ap, fmt);
		vsnprintf(e->text, e->size, fmt, ap);
		va_end(ap);
	}
	return ret;
}

void hg_guard_fact(struct hg_guard_report *r, const char *name, bool good, const char *fmt, ...)
{
	struct hg_guard_fact *f;
	va_list ap;

	if (r->n_facts == HG_GUARD_FACTS_MAX)
		return;
	f = &r->facts[r->n_facts++];
	f->good = good;
	snprintf(f->name, sizeof(f->name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

int hg_guard_options_check(const struct hg_guard_options *o, struct hg_error *e)
{
	if (!o->n_interfaces || o->n_interfaces > HG_GUARD_INTERFACES_MAX)
		return hg_error_set(e, -EINVAL, "%zu interfaces to guard; 1 to %d are possible",
				    o->n_interfaces, HG_GUARD_INTERFACES_MAX);
	if (!hg_policy_name(o->config.policy))
		return hg_error_set(e, -EINVAL, "policy %u does not exist", o->config.policy);
	if (!o->flows_kept || !o->flows_inside || !o->flows_outside)
		return hg_error_set(e, -EINVAL, "a flow table of size 0 can hold no flow");
	for (size_t i = 0; i < o->n_interfaces; i++) {
		if (o->interfaces[i].wanted > HG_GUARD_TC)
			return hg_error_set(e, -EINVAL, "mode %u does not exist",
					    o->interfaces[i].wanted);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(o->interfaces[i].name, o->interfaces[j].name))
				return hg_error_set(e, -EINVAL, "interface %s is named twice",
						    o->interfaces[i].name);
	}
	return 0;
}

int hg_guard_link_type(const char *name, struct hg_error *e)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ret = fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (ret)
		return hg_error_set(e, ret, "interface %s: %s", name, strerror(-ret));
	switch (ifr.ifr_hwaddr.sa_family) {
	case ARPHRD_ETHER:
		return 0;
	case ARPHRD_NONE: /* tun, WireGuard */
	case ARPHRD_PPP:
	case ARPHRD_RAWIP: /* wwan */
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return 1;
	case ARPHRD_LOOPBACK:
		return hg_error_set(e, -EINVAL,
				    "interface %s: the loopback is not guarded; leave it out",
				    name);
	}
	return hg_error_set(e, -EOPNOTSUPP,
			    "interface %s: link type %u is neither Ethernet nor plain IP", name,
			    ifr.ifr_hwaddr.sa_family);
}

int hg_prefix_parse(const char *text, struct hg_prefix *prefix)
{
	char addr[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long len;
	char *end;
	int v4;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	*prefix = (struct hg_prefix){ .addr.a[2] = htonl(0xffff) };
	v4 = inet_pton(AF_INET, addr, &prefix->addr.a[3]) == 1;
	if (!v4 && inet_pton(AF_INET6, addr, &prefix->addr) != 1)
		return -EINVAL;
	len = v4 ? 32 : 128;
	if (slash) {
		unsigned long max = len;

		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		len = strtoul(slash + 1, &end, 10);
		if (*end || len > max)
			return -EINVAL;
	}
	prefix->length = len + (v4 ? 96 : 0);
	/* The same prefix must be the same key whatever its host bits were. */
	for (unsigned int bit = prefix->length; bit < 128; bit++)
		prefix->addr.a[bit / 32] &= htonl(~(0x80000000u >> bit % 32));
	return 0;
}

struct hg_prefix *hg_guard_trusted(const struct hg_guard_options *o, int *ret, struct hg_error *e)
{
	struct hg_prefix *list = calloc(o->n_trusted + 1, sizeof(*list));

	*ret = list ? 0 : -ENOMEM;
	for (size_t i = 0; !*ret && i < o->n_trusted; i++) {
		*ret = hg_prefix_parse(o->trusted[i], &list[i]);
		if (*ret)
			hg_error_set(e, *ret,
				     "trusted: '%s' is not a prefix; write for example "
				     "192.168.7.0/24 or fd00:7::/64",
				     o->trusted[i]);
	}
	if (!*ret)
		return list;
	free(list);
	return NULL;
}

bool hg_event_whole(const struct hg_event *e, size_t size)
{
	const struct hg_answer_event *answer = (const void *)e;
	const size_t head = offsetof(struct hg_answer_event, data);

	if (size < sizeof(*e))
		return false;
	switch (e->type) {
	case HG_EVENT_FLOW:
		return size >= sizeof(struct hg_flow_event);
	case HG_EVENT_SCORE:
		return size >= sizeof(struct hg_score_event);
	case HG_EVENT_DISTRESS:
		return size >= sizeof(struct hg_distress_event);
	case HG_EVENT_ANSWER:
		return size >= head && size - head >= answer->length &&
		       answer->length <= HG_ANSWER_MAX;
	}
	return false;
}
