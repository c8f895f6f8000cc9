// SPDX-License-Identifier: GPL-2.0
/*
 * The module: the family, the notifier, and a place for a guard in each network namespace. Nothing
 * is hooked before ATTACH. A guard ends with DETACH, with its namespace, or with the module, which
 * a locked guard holds.
 */
#include <linux/module.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "netlink.h"

static unsigned int net_id;

struct hg_net *hg_net_of(struct net *net)
{
	return net_generic(net, net_id);
}

static int __net_init net_init(struct net *net)
{
	struct hg_net *n = hg_net_of(net);

	mutex_init(&n->lock);
	n->changes = 1; /* a dump whose number is 0 is never compared */
	return 0;
}

static void __net_exit net_exit(struct net *net)
{
	struct hg_net *n = hg_net_of(net);

	mutex_lock(&n->lock);
	if (n->guard)
		hg_guard_free(n->guard);
	n->guard = NULL;
	mutex_unlock(&n->lock);
}

static struct pernet_operations net_operations = {
	.init = net_init,
	.exit = net_exit,
	.id = &net_id,
	.size = sizeof(struct hg_net),
};

static int __init heliograph_init(void)
{
	int ret = register_pernet_subsys(&net_operations);

	if (ret)
		return ret;
	ret = hg_interfaces_init();
	if (ret)
		goto no_notifier;
	ret = hg_netlink_init();
	if (ret)
		goto no_family;
	return 0;
no_family:
	hg_interfaces_exit();
no_notifier:
	unregister_pernet_subsys(&net_operations);
	return ret;
}

/* Names' addresses are freed by RCU, without code of ours. */
static void __exit heliograph_exit(void)
{
	hg_netlink_exit();
	hg_interfaces_exit();
	unregister_pernet_subsys(&net_operations);
}

module_init(heliograph_init);
module_exit(heliograph_exit);
MODULE_DESCRIPTION("Heliograph: a guard that lets in only what the device asked for");
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(HG_GENL_NAME);
