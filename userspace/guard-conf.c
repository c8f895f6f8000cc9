// SPDX-License-Identifier: MIT
/* Section [guard] of heliographd.conf as options and peers of the guard. */
#include "guard-conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define DNS_PORT 53
#define NTP_PORT 123

int hg_addr_parse(const char *text, struct hg_addr *addr)
{
	struct hg_addr a = { .a[2] = htonl(0xffff) };

	if (inet_pton(AF_INET, text, &a.a[3]) != 1 && inet_pton(AF_INET6, text, &a) != 1)
		return -EINVAL;
	*addr = a;
	return 0;
}

char *hg_addr_print(const struct hg_addr *addr, char *buf)
{
	const struct in6_addr *in6 = (const struct in6_addr *)addr;

	if (IN6_IS_ADDR_V4MAPPED(in6))
		inet_ntop(AF_INET, &addr->a[3], buf, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, in6, buf, INET6_ADDRSTRLEN);
	return buf;
}

/* Whole seconds, rounded up: a lifetime never becomes shorter than what was asked for. */
static __u32 seconds(uint64_t ms)
{
	return (ms + 999) / 1000;
}

int hg_guard_options_conf(struct hg_guard_options *o, const struct hg_agent_conf *conf, char *err,
			  size_t err_size)
{
	const struct hg_conf_list *names = &conf->guard.interfaces;
	struct hg_guard_options made;

	hg_guard_options_init(&made);
	made.host = conf->guard.host;
	made.pin_dir = conf->guard.pin_dir;
	made.object = conf->guard.object;
	for (size_t i = 0; i < names->count && i < HG_GUARD_INTERFACES_MAX; i++) {
		struct hg_guard_interface *g = &made.interfaces[made.n_interfaces++];

		if (strlen(names->items[i]) >= sizeof(g->name)) {
			snprintf(err, err_size, "[guard] interface: '%.64s' is too long for a name",
				 names->items[i]);
			return -EINVAL;
		}
		strcpy(g->name, names->items[i]);
		g->wanted = conf->guard.mode;
	}
	made.trusted = (const char *const *)conf->guard.trusted.items;
	made.n_trusted = conf->guard.trusted.count;
	made.flows_kept = conf->guard.flows_kept;
	made.flows_inside = conf->guard.flows_inside;
	made.flows_outside = conf->guard.flows_outside;
	made.config.policy = conf->guard.policy;
	made.config.flags = (conf->guard.confine ? HG_GUARD_CONFINE : 0) |
			    (conf->guard.police ? HG_GUARD_POLICE : 0) |
			    (conf->guard.gate ? HG_GUARD_GATE : 0) |
			    (conf->guard.gate == HG_GATE_SERVICES ? HG_GUARD_GATE_SERVICES : 0);
	made.config.udp_one_way_s = seconds(conf->guard.udp_one_way);
	made.config.udp_two_way_s = seconds(conf->guard.udp_two_way);
	made.config.tcp_opening_s = seconds(conf->guard.tcp_opening);
	made.config.tcp_established_s = seconds(conf->guard.tcp_established);
	made.config.tcp_closing_s = seconds(conf->guard.tcp_closing);
	made.config.icmp_s = seconds(conf->guard.icmp);
	made.config.other_s = seconds(conf->guard.other);
	made.config.config_rate = conf->guard.config_rate;
	*o = made;
	return 0;
}

static size_t peer_add(struct hg_peer *peers, size_t n, const char *host, unsigned int port,
		       __u8 proto, __u8 role)
{
	struct hg_peer p = { .port = htons(port), .proto = proto, .role = role };

	if (n == HG_PEERS_MAX || !host || hg_addr_parse(host, &p.addr))
		return n;
	peers[n] = p;
	return n + 1;
}

static size_t resolvers_add(struct hg_peer *peers, size_t n, const char *resolv_conf)
{
	FILE *f = fopen(resolv_conf, "re");
	char line[256], host[INET6_ADDRSTRLEN];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "nameserver %45s", host) == 1)
			n = peer_add(peers, n, host, DNS_PORT, 0, HG_PEER_DNS);
	if (f)
		fclose(f);
	return n;
}

size_t hg_guard_peers_conf(struct hg_peer peers[static HG_PEERS_MAX],
			   const struct hg_agent_conf *conf, const char *resolv_conf)
{
	size_t n = 0;

	n = peer_add(peers, n, conf->mirror.host, conf->mirror.port, IPPROTO_TCP, HG_PEER_MIRROR);
	n = peer_add(peers, n, conf->collector.host, conf->collector.port, IPPROTO_UDP,
		     HG_PEER_COLLECTOR);
	for (size_t i = 0; i < conf->guard.dns.count; i++)
		n = peer_add(peers, n, conf->guard.dns.items[i], DNS_PORT, 0, HG_PEER_DNS);
	if (!conf->guard.dns.count)
		n = resolvers_add(peers, n, resolv_conf);
	for (size_t i = 0; i < conf->guard.ntp.count; i++)
		n = peer_add(peers, n, conf->guard.ntp.items[i], NTP_PORT, IPPROTO_UDP,
			     HG_PEER_NTP);
	return n;
}
