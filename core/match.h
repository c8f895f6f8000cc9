/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The match of a new flow: which peer its remote is, and which channel of the profile it is in.
 * Done once per flow and generation; the host walks its tables of peers and rules and asks here
 * about each.
 */
#ifndef HG_CORE_MATCH_H
#define HG_CORE_MATCH_H

#include "addr.h"
#include "packet.h"

static hg_inline int hg_peer_matches(const struct hg_peer *peer, const struct hg_flow_key *k)
{
	return hg_addr_equal(&peer->addr, &k->remote) &&
	       (!peer->proto || peer->proto == k->proto) &&
	       (!peer->port || peer->port == k->remote_port);
}

/*
 * `roles` and `channels` are of the flow's remote: what peer it is, and which channels its names
 * are of. `theirs`: the remote may have begun the flow. Ports count where the protocol has them.
 */
static hg_inline int hg_rule_matches(const struct hg_rule *r, const struct hg_flow_key *k,
				     __u8 roles, __u64 channels, int theirs)
{
	int served = r->flags & HG_RULE_THEIRS;
	__u16 port = HG_NET16(served ? k->local_port : k->remote_port);

	if ((r->proto && r->proto != k->proto) || (served && !theirs))
		return 0;
	if ((k->proto == HG_IP_TCP || k->proto == HG_IP_UDP) &&
	    (port < r->port_min || port > r->port_max))
		return 0;
	if (r->peer_roles && !(r->peer_roles & roles))
		return 0;
	if (r->flags & HG_RULE_BOUND && !(channels >> (r->channel & (HG_CHANNELS_MAX - 1)) & 1))
		return 0;
	if (r->flags & HG_RULE_LOCAL && !hg_addr_is_local(&k->remote))
		return 0;
	return !(r->flags & HG_RULE_PREFIX) ||
	       hg_addr_in_prefix(&k->remote, &r->addr, r->prefix_len);
}

#endif
