// SPDX-License-Identifier: GPL-2.0
/*
 * The commands ATTACH and DETACH. ATTACH is all or nothing: what it takes is checked before
 * anything changes, and what can fail comes before what packets see. All with hg_net.lock.
 */
#include "netlink.h"

#include <linux/mm.h>
#include <linux/slab.h>

static const u32 sizes_default[3] = { 256, 4096, 4096 };

static int take_config(struct hg_guard_config *c, struct genl_info *info)
{
	const struct nlattr *a = hg_netlink_want(info, CONFIG);

	if (!a)
		return -EINVAL;
	memcpy(c, nla_data(a), sizeof(*c));
	if (c->abi != HG_GUARD_ABI) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "CONFIG is of another ABI than this module");
		return -EPROTO;
	}
	if (c->policy > HG_POLICY_SEALED) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "CONFIG: there is no such policy");
		return -EINVAL;
	}
	if (c->flags & ~HG_GUARD_FLAGS) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "CONFIG: there is no such flag");
		return -EINVAL;
	}
	return 0;
}

static int take_trusted(struct hg_settings *s, struct genl_info *info)
{
	const struct nlattr *a = info->attrs[HG_A_TRUSTED];
	u32 i;

	s->config.n_trusted = 0;
	if (!a)
		return 0;
	if (nla_len(a) % sizeof(struct hg_prefix)) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "TRUSTED is no row of struct hg_prefix");
		return -EINVAL;
	}
	memcpy(s->trusted, nla_data(a), nla_len(a));
	s->config.n_trusted = nla_len(a) / sizeof(struct hg_prefix);
	for (i = 0; i < s->config.n_trusted; i++) {
		if (s->trusted[i].length > 128) {
			NL_SET_ERR_MSG_ATTR(info->extack, a, "TRUSTED: a prefix of over 128 bits");
			return -EINVAL;
		}
	}
	return 0;
}

static int take_sizes(u32 sizes[3], struct genl_info *info)
{
	const struct nlattr *a = info->attrs[HG_A_SIZES];
	int i;

	memcpy(sizes, a ? nla_data(a) : sizes_default, sizeof(sizes_default));
	for (i = 0; i < 3; i++) {
		if (sizes[i] < 1 || sizes[i] > HG_FLOWS_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, a, "SIZES: 1 to 1048576 flows a table");
			return -EINVAL;
		}
	}
	return 0;
}

static int take_interfaces(u32 ifindexes[HG_INTERFACES_MAX], u32 *n, struct genl_info *info)
{
	const struct nlattr *a = hg_netlink_want(info, IFINDEXES);

	if (!a)
		return -EINVAL;
	if (!nla_len(a) || nla_len(a) % sizeof(u32)) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "IFINDEXES: 1 to 16 numbers of 32 bits");
		return -EINVAL;
	}
	*n = nla_len(a) / sizeof(u32);
	memcpy(ifindexes, nla_data(a), nla_len(a));
	return 0;
}

/* A guard that guards, or NULL with *ret. */
static struct hg_guard *make(const struct hg_settings *s, struct genl_info *info,
			     const u32 *ifindexes, u32 count, int *ret)
{
	struct hg_guard *g;
	u32 sizes[3];

	*ret = take_sizes(sizes, info);
	if (*ret)
		return NULL;
	g = hg_guard_new(genl_info_net(info), s, sizes, info->extack);
	if (IS_ERR(g)) {
		*ret = PTR_ERR(g);
		return NULL;
	}
	*ret = hg_interfaces_set(g, ifindexes, count, info->extack);
	if (!*ret) {
		*ret = hg_hooks_attach(g);
		if (*ret)
			NL_SET_ERR_MSG(info->extack, "netfilter did not take the hooks");
	}
	if (*ret) {
		hg_guard_free(g);
		return NULL;
	}
	hg_clock_start(g);
	return g;
}

/* What the running guard keeps: its key, its profile, its generation. Takes s over. */
static int adopt(struct hg_net *n, struct hg_settings *s, struct genl_info *info,
		 const u32 *ifindexes, u32 count)
{
	const struct hg_settings *old = hg_settings_of(n->guard, n);
	int ret = hg_interfaces_set(n->guard, ifindexes, count, info->extack);

	if (ret) {
		kvfree(s);
		return ret;
	}
	s->config.seed = old->config.seed;
	s->config.generation = old->config.generation;
	s->config.n_peers = old->config.n_peers;
	s->config.n_rules = old->config.n_rules;
	memcpy(s->peers, old->peers, sizeof(s->peers));
	memcpy(s->rules, old->rules, sizeof(s->rules));
	memcpy(s->bounds, old->bounds, sizeof(s->bounds));
	hg_settings_put(n->guard, s);
	if (n->guard->clock.stands)
		hg_clock_start(n->guard);
	return 0;
}

int hg_command_attach(struct hg_net *n, struct genl_info *info)
{
	struct hg_settings *s = kvzalloc(sizeof(*s), GFP_KERNEL);
	u32 ifindexes[HG_INTERFACES_MAX], count;
	int ret;

	if (!s)
		return -ENOMEM;
	ret = take_config(&s->config, info);
	if (!ret)
		ret = take_trusted(s, info);
	if (!ret)
		ret = take_interfaces(ifindexes, &count, info);
	if (ret)
		goto out;
	s->config.n_peers = 0;
	s->config.n_rules = 0;
	s->config.generation = 0;
	if (n->guard)
		return adopt(n, s, info, ifindexes, count);
	n->guard = make(s, info, ifindexes, count, &ret);
	n->changes++;
out:
	kvfree(s);
	return ret;
}

int hg_command_detach(struct hg_net *n, struct genl_info *info)
{
	if (!n->guard) {
		NL_SET_ERR_MSG(info->extack, "no guard is attached in this network namespace");
		return -ENOENT;
	}
	hg_guard_free(n->guard);
	n->guard = NULL;
	n->changes++;
	return 0;
}
