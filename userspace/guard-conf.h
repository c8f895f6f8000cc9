/* SPDX-License-Identifier: MIT */
/* From heliographd.conf to the guard: what agent and command line ask of it in the same words. */
#ifndef HG_USERSPACE_GUARD_CONF_H
#define HG_USERSPACE_GUARD_CONF_H

#include "agent-conf.h"
#include "guard.h"

/* Points into *conf, which must outlive *o. -EINVAL: an interface name is too long. */
int hg_guard_options_conf(struct hg_guard_options *o, const struct hg_agent_conf *conf, char *err,
			  size_t err_size);

/*
 * The peers that the file names by address: mirror, collector, name servers (those of `resolv_conf`
 * if the file names none) and time servers. Names are left to who can resolve them. Returns how
 * many of HG_PEERS_MAX were filled.
 */
size_t hg_guard_peers_conf(struct hg_peer peers[static HG_PEERS_MAX],
			   const struct hg_agent_conf *conf, const char *resolv_conf);

/* IPv4 as ::ffff:a.b.c.d. -EINVAL: not an address. */
int hg_addr_parse(const char *text, struct hg_addr *addr);
/* At least INET6_ADDRSTRLEN bytes. Returns buf. */
char *hg_addr_print(const struct hg_addr *addr, char *buf);

#endif
