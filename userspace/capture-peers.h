/* SPDX-License-Identifier: MIT */
/*
 * The peers that a device had while it was captured, which its configuration would have named: the
 * name servers and time servers that its network gave it.
 */
#ifndef HG_USERSPACE_CAPTURE_PEERS_H
#define HG_USERSPACE_CAPTURE_PEERS_H

#include "capture.h"

struct hg_capture_peers {
	struct hg_peer list[HG_PEERS_MAX];
	size_t n;
	bool guessed; /* no network's word about name servers: those that answered most */
};

/*
 * Reads the capture once: what DHCP, DHCPv6 and router advertisements told the device, and local
 * addresses that answered its DNS questions; without any of these up to three others that did.
 * Returns 0, or -errno with a message.
 */
int hg_capture_peers_find(struct hg_capture *c, struct hg_capture_peers *out, char *err,
			  size_t err_size);

/* Adds a peer if it is not there; one too many is left out. proto 0 and port 0: any. */
void hg_capture_peers_add(struct hg_capture_peers *p, const struct hg_addr *addr, __u8 proto,
			  __u16 port, enum hg_peer_role role);
/* The roles that the address has. */
__u8 hg_capture_peers_roles(const struct hg_capture_peers *p, const struct hg_addr *addr);

#endif
