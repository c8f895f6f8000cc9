// SPDX-License-Identifier: GPL-2.0
/*
 * Which interfaces are guarded. They are remembered by name: one that goes (a modem, a PPP link)
 * and comes again is guarded from its first packet, without the agent. Written with rtnl and
 * hg_net.lock, by ATTACH and by the notifier; the packet path reads the indexes without a lock.
 */
#include "guard.h"

#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

bool hg_interfaces_have(const struct hg_guard *g, int ifindex)
{
	u32 i, n = READ_ONCE(g->n_interfaces);

	for (i = 0; i < n; i++)
		if (READ_ONCE(g->interfaces[i].ifindex) == ifindex)
			return true;
	return false;
}

int hg_interfaces_set(struct hg_guard *g, const u32 *ifindexes, u32 n,
		      struct netlink_ext_ack *extack)
{
	struct hg_interface made[HG_INTERFACES_MAX] = { { 0 } };
	const struct net_device *dev;
	u32 i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < i; j++) {
			if (made[j].ifindex == ifindexes[i]) {
				NL_SET_ERR_MSG(extack, "an interface is named twice");
				return -EINVAL;
			}
		}
		dev = __dev_get_by_index(g->net, ifindexes[i]);
		if (!dev) {
			NL_SET_ERR_MSG(extack, "no interface has one of these indexes");
			return -ENODEV;
		}
		made[i].ifindex = dev->ifindex;
		strscpy(made[i].name, dev->name, IFNAMSIZ);
	}
	/* At no moment is an interface that stays unguarded: indexes are written one by one. */
	for (i = 0; i < n; i++) {
		WRITE_ONCE(g->interfaces[i].ifindex, made[i].ifindex);
		memcpy(g->interfaces[i].name, made[i].name, IFNAMSIZ);
	}
	WRITE_ONCE(g->n_interfaces, n);
	return 0;
}

static void interface_gone(struct hg_guard *g, int ifindex)
{
	u32 i;

	for (i = 0; i < g->n_interfaces; i++)
		if (g->interfaces[i].ifindex == ifindex)
			WRITE_ONCE(g->interfaces[i].ifindex, 0);
}

static void interface_came(struct hg_guard *g, const struct net_device *dev)
{
	u32 i;

	for (i = 0; i < g->n_interfaces; i++)
		if (!g->interfaces[i].ifindex && !strcmp(g->interfaces[i].name, dev->name))
			WRITE_ONCE(g->interfaces[i].ifindex, dev->ifindex);
}

/* One that is guarded stays so under its new name; else the name may be one that we wait for. */
static void interface_renamed(struct hg_guard *g, const struct net_device *dev)
{
	u32 i;

	for (i = 0; i < g->n_interfaces; i++) {
		if (g->interfaces[i].ifindex == dev->ifindex) {
			strscpy(g->interfaces[i].name, dev->name, IFNAMSIZ);
			return;
		}
	}
	interface_came(g, dev);
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
		interface_came(n->guard, dev);
	else if (event == NETDEV_UNREGISTER)
		interface_gone(n->guard, dev->ifindex);
	else
		interface_renamed(n->guard, dev);
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
