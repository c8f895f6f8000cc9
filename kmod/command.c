// SPDX-License-Identifier: GPL-2.0
/*
 * The commands that change a running guard: policy, profile, names' addresses, heartbeat, lock. All
 * with hg_net.lock. Each checks all that it takes before it changes anything.
 */
#include "netlink.h"

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>

int hg_command_set_policy(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *name = info->attrs[HG_A_POLICY], *on = info->attrs[HG_A_FLAGS_ON];
	const struct nlattr *off = info->attrs[HG_A_FLAGS_OFF];
	struct hg_settings *s;

	if (on && nla_get_u32(on) & ~HG_GUARD_FLAGS) {
		NL_SET_ERR_MSG_ATTR(info->extack, on, "FLAGS_ON: there is no such flag");
		return -EINVAL;
	}
	s = hg_settings_copy(n->guard);
	if (!s)
		return -ENOMEM;
	if (name)
		s->config.policy = nla_get_u32(name);
	if (on)
		s->config.flags |= nla_get_u32(on);
	if (off)
		s->config.flags &= ~nla_get_u32(off);
	hg_settings_put(n->guard, s);
	return 0;
}

static int take_peers(struct hg_settings *s, struct genl_info *info)
{
	const struct nlattr *a = hg_netlink_want(info, PEERS);
	u32 i;

	if (!a)
		return -EINVAL;
	s->config.n_peers = nla_len(a) / sizeof(struct hg_peer);
	memcpy(s->peers, nla_data(a), nla_len(a));
	for (i = 0; i < s->config.n_peers; i++)
		if (!s->peers[i].role)
			break;
	if (i < s->config.n_peers || nla_len(a) % sizeof(struct hg_peer)) {
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "PEERS is no row of struct hg_peer with roles");
		return -EINVAL;
	}
	return 0;
}

static int take_rules(struct hg_settings *s, struct genl_info *info)
{
	const struct nlattr *a = hg_netlink_want(info, RULES);
	const struct hg_rule *r;
	u32 i;

	if (!a)
		return -EINVAL;
	if (nla_len(a) % sizeof(struct hg_rule)) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "RULES is no row of struct hg_rule");
		return -EINVAL;
	}
	s->config.n_rules = nla_len(a) / sizeof(struct hg_rule);
	memcpy(s->rules, nla_data(a), nla_len(a));
	for (i = 0; i < s->config.n_rules; i++) {
		r = &s->rules[i];
		if (!r->channel || r->channel >= HG_CHANNELS_MAX || r->prefix_len > 128) {
			NL_SET_ERR_MSG_ATTR(info->extack, a,
					    "RULES: channels are 1 to 63, prefixes up to 128 bits");
			return -EINVAL;
		}
	}
	return 0;
}

int hg_command_set_profile(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *bounds = info->attrs[HG_A_BOUNDS];
	struct hg_settings *s = hg_settings_copy(n->guard);
	int ret;

	if (!s)
		return -ENOMEM;
	ret = take_peers(s, info);
	if (!ret)
		ret = take_rules(s, info);
	if (ret) {
		kvfree(s);
		return ret;
	}
	memset(s->bounds, 0, sizeof(s->bounds));
	if (bounds)
		memcpy(s->bounds, nla_data(bounds), sizeof(s->bounds));
	s->config.generation++;
	hg_settings_put(n->guard, s);
	return 0;
}

int hg_command_set_bound(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *addr = hg_netlink_want(info, ADDR);
	const struct nlattr *bound = hg_netlink_want(info, BOUND);
	struct hg_bound b;
	struct hg_addr a;
	int ret;

	if (!addr || !bound)
		return -EINVAL;
	memcpy(&a, nla_data(addr), sizeof(a));
	memcpy(&b, nla_data(bound), sizeof(b));
	ret = hg_bound_set(n->guard, &a, &b);
	if (ret == -E2BIG)
		NL_SET_ERR_MSG_ATTR(info->extack, addr, "1024 addresses are known already");
	return ret;
}

int hg_command_rematch(struct hg_net *n, struct genl_info *info)
{
	struct hg_settings *s = hg_settings_copy(n->guard);

	if (!s)
		return -ENOMEM;
	s->config.generation++;
	hg_settings_put(n->guard, s);
	return 0;
}

/* Where the alarm goes, if the message says so. */
static int take_destination(struct hg_peer *to, struct genl_info *info)
{
	const struct nlattr *a = info->attrs[HG_A_DISTRESS_TO];

	if (!a)
		return 0;
	memcpy(to, nla_data(a), sizeof(*to));
	if (to->port && (to->addr.a[0] | to->addr.a[1] | to->addr.a[2] | to->addr.a[3]))
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, a, "DISTRESS_TO has no address or no port");
	return -EINVAL;
}

int hg_command_heartbeat(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *timeout = hg_netlink_want(info, TIMEOUT);
	const struct nlattr *data = info->attrs[HG_A_DISTRESS];
	struct hg_distress *d = &n->guard->distress;
	struct hg_peer to = { .addr = d->to, .port = d->port };
	u32 seconds;
	int ret;

	if (!timeout)
		return -EINVAL;
	seconds = nla_get_u32(timeout);
	ret = seconds ? 0 : hg_lock_check(n->guard, info);
	if (!ret)
		ret = take_destination(&to, info);
	if (ret)
		return ret;
	if (seconds && (data ? !nla_len(data) : !d->length)) {
		NL_SET_ERR_MSG(info->extack, "there is no DISTRESS to send");
		return -EINVAL;
	}
	if (seconds && !to.port) {
		NL_SET_ERR_MSG(info->extack, "there is no DISTRESS_TO");
		return -EINVAL;
	}
	hg_distress_stop(n->guard);
	d->to = to.addr;
	d->port = to.port;
	if (data) {
		d->length = nla_len(data);
		memcpy(d->data, nla_data(data), d->length);
	}
	if (seconds)
		hg_distress_start(n->guard, seconds);
	return 0;
}

int hg_command_gate(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *timeout = hg_netlink_want(info, TIMEOUT);
	struct hg_settings *s;
	u32 seconds;

	if (!timeout)
		return -EINVAL;
	seconds = nla_get_u32(timeout);
	s = hg_settings_copy(n->guard);
	if (!s)
		return -ENOMEM;
	s->config.open_until_s = seconds ? (u32)ktime_get_seconds() + seconds : 0;
	hg_settings_put(n->guard, s);
	return 0;
}

int hg_command_lock(struct hg_net *n, struct genl_info *info)
{
	const struct nlattr *key = hg_netlink_want(info, KEY);
	const struct nlattr *after = info->attrs[HG_A_SEAL_AFTER];

	if (!key)
		return -EINVAL;
	return hg_lock_close(n->guard, nla_data(key), after ? nla_get_u64(after) : 0, info->extack);
}

int hg_command_unlock(struct hg_net *n, struct genl_info *info)
{
	hg_lock_open(n->guard);
	return 0;
}
