/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the netlink family share: netlink.c, attach.c, command.c, get.c, test.c. */
#ifndef HG_KMOD_NETLINK_H
#define HG_KMOD_NETLINK_H

#include <net/genetlink.h>
#include "guard.h"

/*
 * One command's work, with hg_net.lock. n->guard is not NULL unless the command may do without;
 * the reason for failure is in info->extack.
 */
int hg_command_attach(struct hg_net *n, struct genl_info *info); /* with rtnl, too */
int hg_command_detach(struct hg_net *n, struct genl_info *info);
int hg_command_set_policy(struct hg_net *n, struct genl_info *info);
int hg_command_set_profile(struct hg_net *n, struct genl_info *info);
int hg_command_set_bound(struct hg_net *n, struct genl_info *info);
int hg_command_rematch(struct hg_net *n, struct genl_info *info);
int hg_command_heartbeat(struct hg_net *n, struct genl_info *info);
int hg_command_gate(struct hg_net *n, struct genl_info *info);
int hg_command_lock(struct hg_net *n, struct genl_info *info);
int hg_command_unlock(struct hg_net *n, struct genl_info *info);
int hg_command_get(struct hg_net *n, struct genl_info *info);
int hg_command_get_counters(struct hg_net *n, struct genl_info *info);
#ifdef CONFIG_HELIOGRAPH_DEBUG
int hg_command_test(struct hg_net *n, struct genl_info *info);
int hg_command_test_close(struct hg_net *n, struct genl_info *info);
#endif

int hg_dump_bounds(struct sk_buff *msg, struct netlink_callback *cb);
int hg_dump_windows(struct sk_buff *msg, struct netlink_callback *cb);
int hg_dump_flows(struct sk_buff *msg, struct netlink_callback *cb);
int hg_dump_bound(struct sk_buff *msg, struct netlink_callback *cb);

/* The attribute HG_A_name, or NULL with the reason in extack. */
#define hg_netlink_want(info, name) hg_netlink_find(info, HG_A_##name, #name " is missing")
const struct nlattr *hg_netlink_find(struct genl_info *info, enum hg_attribute type,
				     const char *missing);
/* Begins a reply to info's command; end with genlmsg_end() and genlmsg_reply(). */
struct sk_buff *hg_netlink_reply(struct genl_info *info, void **head);

#endif
