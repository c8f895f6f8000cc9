// SPDX-License-Identifier: GPL-2.0
/*
 * Which interfaces are guarded. They are remembered by name: one that goes (a modem, a PPP link)
 * and comes again is guarded from its first packet, without the agent. Written with rtnl and
 * hg_net.lock, by ATTACH and by the notifier; the packet path reads the indexes without a lock.
 */
#include "guard.h"

#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

bool hg_interfaces_have(const struct hg_guard *g, int ifindex)
{
	const struct hg_interfaces *l;
	bool have = false;
	u32 i;

	rcu_read_lock();
	l = rcu_dereference(g->interfaces);
	for (i = 0; !have && i < l->n; i++)
		have = READ_ONCE(l->at[i].ifindex) == ifindex;
	rcu_read_unlock();
	return have;
}

static struct hg_interfaces *list_of(const struct hg_guard *g)
{
	return rcu_dereference_protected(g->interfaces, hg_guard_is_locked(g));
}

const struct hg_interfaces *hg_interfaces_of(const struct hg_guard *g)
{
	return list_of(g);
}

static int fill(struct hg_interfaces *l, const struct hg_guard *g, const u32 *ifindexes, u32 n,
		struct netlink_ext_ack *extack)
{
	const struct net_device *dev;
	u32 i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < i; j++) {
			if (l->at[j].ifindex == ifindexes[i]) {
				NL_SET_ERR_MSG(extack, "an interface is named twice");
				return -EINVAL;
			}
		}
		dev = __dev_get_by_index(g->net, ifindexes[i]);
		if (!dev) {
			NL_SET_ERR_MSG(extack, "no interface has one of these indexes");
			return -ENODEV;
		}
		l->at[i].ifindex = dev->ifindex;
		strscpy(l->at[i].name, dev->name, IFNAMSIZ);
	}
	l->n = n;
	return 0;
}

/* At no moment is an interface that stays unguarded: a packet sees the old list or the new one. */
int hg_interfaces_set(struct hg_guard *g, const u32 *ifindexes, u32 n,
		      struct netlink_ext_ack *extack)
{
	struct hg_interfaces *l = kzalloc(sizeof(*l), GFP_KERNEL), *old;
	int ret;

	if (!l)
		return -ENOMEM;
	ret = fill(l, g, ifindexes, n, extack);
	if (ret) {
		kfree(l);
		return ret;
	}
	old = rcu_replace_pointer(g->interfaces, l, hg_guard_is_locked(g));
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

static void interface_gone(struct hg_interfaces *l, int ifindex)
{
	u32 i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].ifindex == ifindex)
			WRITE_ONCE(l->at[i].ifindex, 0);
}

static void interface_came(struct hg_interfaces *l, const struct net_device *dev)
{
	u32 i;

	for (i = 0; i < l->n; i++)
		if (!l->at[i].ifindex && !strcmp(l->at[i].name, dev->name))
			WRITE_ONCE(l->at[i].ifindex, dev->ifindex);
}

/* One that is guarded stays so under its new name; else the name may be one that we wait for. */
static void interface_renamed(struct hg_interfaces *l, const struct net_device *dev)
{
	u32 i;

	for (i = 0; i < l->n; i++) {
		if (l->at[i].ifindex == dev->ifindex) {
			strscpy(l->at[i].name, dev->name, IFNAMSIZ);
			return;
		}
	}
	interface_came(l, dev);
}

static int on_netdev(struct notifier_block *nb, unsigned long event, void *ptr)
{
	const struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct hg_net *n = hg_net_of(dev_net(dev));

	if (event != NETDEV_REGISTER && event != NETDEV_UNREGISTER && event != NETDEV_CHANGENAME)
		return NOTIFY_DONE;
	mutex_lock(&n->lock);
	if (!n->guard)
		goto out;
	if (event == NETDEV_REGISTER)
		interface_came(list_of(n->guard), dev);
	else if (event == NETDEV_UNREGISTER)
		interface_gone(list_of(n->guard), dev->ifindex);
	else
		interface_renamed(list_of(n->guard), dev);
out:
	mutex_unlock(&n->lock);
	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = on_netdev };

int hg_interfaces_init(void)
{
	return register_netdevice_notifier(&notifier);
}

void hg_interfaces_exit(void)
{
	unregister_netdevice_notifier(&notifier);
}
