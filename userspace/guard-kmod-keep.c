// SPDX-License-Identifier: MIT
/*
 * Heartbeat and lock of the module: what makes it speak, and stay, when the agent is silenced.
 * Called through hg_guard_module by userspace/heartbeat.c and `heliograph guard lock`.
 */
#include "guard-kmod.h"

#include <errno.h>
#include <netlink/genl/genl.h>

int hg_kmod_heartbeat(struct hg_guard *g, unsigned int timeout_s, const struct hg_guard_distress *d)
{
	struct nl_msg *m = hg_netlink_request(&g->netlink, HG_CMD_HEARTBEAT);
	struct hg_peer to = { 0 };

	if (d) {
		to.addr = d->to;
		to.port = d->port;
	}
	if (m && (nla_put_u32(m, HG_A_TIMEOUT, timeout_s) ||
		  (d && (nla_put(m, HG_A_DISTRESS, (int)d->length, d->datagram) ||
			 nla_put(m, HG_A_DISTRESS_TO, sizeof(to), &to))))) {
		nlmsg_free(m);
		m = NULL;
	}
	return hg_kmod_change(g, m);
}

int hg_kmod_lock(struct hg_guard *g, const __u8 key[static HG_KEY_LENGTH], __u64 after)
{
	struct nl_msg *m = hg_netlink_request(&g->netlink, HG_CMD_LOCK);

	if (m && (nla_put(m, HG_A_KEY, HG_KEY_LENGTH, key) ||
		  (after && nla_put_u64(m, HG_A_SEAL_AFTER, after)))) {
		nlmsg_free(m);
		m = NULL;
	}
	return hg_kmod_change(g, m);
}

int hg_kmod_unlock(struct hg_guard *g)
{
	return hg_kmod_change(g, hg_netlink_request(&g->netlink, HG_CMD_UNLOCK));
}
