// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family; its contract is at the head of include/uapi/heliograph.h. Every
 * command comes through run(), which takes the namespace's lock, asks for the guard and for the
 * seal, and calls the command's function.
 *
 * GENL_ADMIN_PERM and not GENL_UNS_ADMIN_PERM: on most systems anybody can make a user namespace
 * and be root in it, and would then have the guard's memory and code at hand.
 */
#include "netlink.h"

#include <linux/module.h>
#include <linux/rtnetlink.h>
#include "compat.h"

#define COMMAND_BARE 1	 /* needs no guard */
#define COMMAND_SEALED 2 /* needs a seal while the guard is locked */
#define COMMAND_RTNL 4	 /* runs with rtnl, taken first */

struct command {
	int (*run)(struct hg_net *n, struct genl_info *info);
	u8 flags;
};

static const struct command commands[HG_CMD_MAX + 1] = {
	[HG_CMD_GET] = { hg_command_get, COMMAND_BARE },
	[HG_CMD_ATTACH] = { hg_command_attach, COMMAND_BARE | COMMAND_SEALED | COMMAND_RTNL },
	[HG_CMD_DETACH] = { hg_command_detach, COMMAND_BARE | COMMAND_SEALED },
	[HG_CMD_SET_POLICY] = { hg_command_set_policy, COMMAND_SEALED },
	[HG_CMD_SET_PROFILE] = { hg_command_set_profile, COMMAND_SEALED },
	[HG_CMD_GET_COUNTERS] = { hg_command_get_counters },
	[HG_CMD_SET_BOUND] = { hg_command_set_bound },
	[HG_CMD_REMATCH] = { hg_command_rematch },
	[HG_CMD_HEARTBEAT] = { hg_command_heartbeat },
	[HG_CMD_GATE] = { hg_command_gate },
	[HG_CMD_LOCK] = { hg_command_lock, COMMAND_SEALED },
	[HG_CMD_UNLOCK] = { hg_command_unlock, COMMAND_SEALED },
#ifdef CONFIG_HELIOGRAPH_DEBUG
	[HG_CMD_TEST] = { hg_command_test },
	[HG_CMD_TEST_CLOSE] = { hg_command_test_close },
#endif
};

static int run_locked(const struct command *c, struct hg_net *n, struct genl_info *info)
{
	int ret = 0;

	if (!n->guard && !(c->flags & COMMAND_BARE)) {
		NL_SET_ERR_MSG(info->extack, "no guard is attached in this network namespace");
		return -ENODEV;
	}
	if (n->guard && c->flags & COMMAND_SEALED)
		ret = hg_lock_check(n->guard, info);
	return ret ? ret : c->run(n, info);
}

static int run(struct sk_buff *skb, struct genl_info *info)
{
	const struct command *c = &commands[info->genlhdr->cmd];
	struct hg_net *n = hg_net_of(genl_info_net(info));
	int ret;

	if (c->flags & COMMAND_RTNL)
		rtnl_lock();
	mutex_lock(&n->lock);
	ret = run_locked(c, n, info);
	mutex_unlock(&n->lock);
	if (c->flags & COMMAND_RTNL)
		rtnl_unlock();
	return ret;
}

const struct nlattr *hg_netlink_find(struct genl_info *info, enum hg_attribute type,
				     const char *missing)
{
	if (!info->attrs[type] && info->extack)
		info->extack->_msg = missing;
	return info->attrs[type];
}

struct sk_buff *hg_netlink_reply(struct genl_info *info, void **head)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!msg)
		return NULL;
	*head = genlmsg_put_reply(msg, info, &hg_family, 0, info->genlhdr->cmd);
	if (*head)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

#define UP_TO(bytes)                                                                               \
	{                                                                                          \
		.type = NLA_BINARY, .len = (bytes)                                                 \
	}

static const struct nla_policy policy[HG_A_MAX + 1] = {
	[HG_A_CONFIG] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_guard_config)),
	[HG_A_SIZES] = NLA_POLICY_EXACT_LEN(3 * sizeof(u32)),
	[HG_A_IFINDEXES] = UP_TO(HG_INTERFACES_MAX * sizeof(u32)),
	[HG_A_TRUSTED] = UP_TO(HG_TRUSTED_MAX * sizeof(struct hg_prefix)),
	[HG_A_POLICY] = NLA_POLICY_MAX(NLA_U32, HG_POLICY_SEALED),
	[HG_A_FLAGS_ON] = { .type = NLA_U32 },
	[HG_A_FLAGS_OFF] = { .type = NLA_U32 },
	[HG_A_PEERS] = UP_TO(HG_PEERS_MAX * sizeof(struct hg_peer)),
	[HG_A_RULES] = UP_TO(HG_RULES_MAX * sizeof(struct hg_rule)),
	[HG_A_BOUNDS] = NLA_POLICY_EXACT_LEN(HG_CHANNELS_MAX * sizeof(struct hg_bounds)),
	[HG_A_ADDR] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_addr)),
	[HG_A_BOUND] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_bound)),
	[HG_A_TIMEOUT] = NLA_POLICY_MAX(NLA_U32, HG_HEARTBEAT_MAX),
	[HG_A_DISTRESS] = UP_TO(HG_DISTRESS_MAX),
	[HG_A_DISTRESS_TO] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_peer)),
	[HG_A_KEY] = NLA_POLICY_EXACT_LEN(HG_KEY_LENGTH),
	[HG_A_SEAL_AFTER] = { .type = NLA_U64 },
	[HG_A_SEAL] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_seal)),
	[HG_A_DIRECTION] = NLA_POLICY_MAX(NLA_U32, 1),
	[HG_A_LINK] = NLA_POLICY_MAX(NLA_U32, 1),
	[HG_A_FRAME] = UP_TO(U16_MAX),
	[HG_A_NOW] = { .type = NLA_U32 },
	[HG_A_SEGMENTS] = NLA_POLICY_RANGE(NLA_U32, 1, S16_MAX),
	[HG_A_LINEAR] = { .type = NLA_U32 },
	[HG_A_SECONDS] = { .type = NLA_U32 },
	[HG_A_CHANNEL] = NLA_POLICY_MAX(NLA_U32, HG_CHANNELS_MAX - 1),
	[HG_A_WINDOW] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_window)),
	[HG_A_SPOTS] = NLA_POLICY_EXACT_LEN(sizeof(struct hg_spots)),
};

#define COMMAND(name)                                                                              \
	{                                                                                          \
		.cmd = (name), .doit = run, .flags = GENL_ADMIN_PERM                               \
	}
#define DUMP(name, function)                                                                       \
	{                                                                                          \
		.cmd = (name), .dumpit = (function), .flags = GENL_ADMIN_PERM                      \
	}

static const struct genl_small_ops operations[] = {
	COMMAND(HG_CMD_GET),
	COMMAND(HG_CMD_ATTACH),
	COMMAND(HG_CMD_DETACH),
	COMMAND(HG_CMD_SET_POLICY),
	COMMAND(HG_CMD_SET_PROFILE),
	DUMP(HG_CMD_GET_BOUNDS, hg_dump_bounds),
	COMMAND(HG_CMD_GET_COUNTERS),
	DUMP(HG_CMD_GET_WINDOWS, hg_dump_windows),
	DUMP(HG_CMD_GET_FLOWS, hg_dump_flows),
	COMMAND(HG_CMD_SET_BOUND),
	DUMP(HG_CMD_GET_BOUND, hg_dump_bound),
	COMMAND(HG_CMD_REMATCH),
	COMMAND(HG_CMD_HEARTBEAT),
	COMMAND(HG_CMD_GATE),
	COMMAND(HG_CMD_LOCK),
	COMMAND(HG_CMD_UNLOCK),
#ifdef CONFIG_HELIOGRAPH_DEBUG
	COMMAND(HG_CMD_TEST),
	COMMAND(HG_CMD_TEST_CLOSE),
#endif
};

static const struct genl_multicast_group groups[] = {
	{ .name = HG_GENL_EVENTS, HG_GENL_EVENTS_FLAGS },
};

struct genl_family hg_family __ro_after_init = { .name = HG_GENL_NAME,
						 .version = HG_GENL_VERSION,
						 .maxattr = HG_A_MAX,
						 .policy = policy,
						 .netnsok = true,
						 .parallel_ops =
							 true, /* our own lock is per namespace */
						 .module = THIS_MODULE,
						 .small_ops = operations,
						 .n_small_ops = ARRAY_SIZE(operations),
						 .mcgrps = groups,
						 .n_mcgrps = ARRAY_SIZE(groups),
						 HG_GENL_STRICT };

int __init hg_netlink_init(void)
{
	return genl_register_family(&hg_family);
}

void hg_netlink_exit(void)
{
	genl_unregister_family(&hg_family);
}
