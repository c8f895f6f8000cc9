// SPDX-License-Identifier: GPL-2.0
/* The module of the suites, and the namespace's place that they share. */
#include "suites.h"

#include <linux/err.h>
#include <linux/module.h>
#include <linux/netlink.h>

struct hg_net hg_test_net = { .lock = __MUTEX_INITIALIZER(hg_test_net.lock) };

struct hg_net *hg_net_of(struct net *net)
{
	return &hg_test_net;
}

struct hg_guard *hg_test_guard(struct kunit *test)
{
	static struct hg_settings settings;
	const u32 sizes[3] = { 4, 8, 8 };
	struct netlink_ext_ack extack = { 0 };
	struct hg_guard *g;

	settings.config.abi = HG_GUARD_ABI;
	mutex_lock(&hg_test_net.lock);
	g = hg_guard_new(&init_net, &settings, sizes, &extack);
	mutex_unlock(&hg_test_net.lock);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, g);
	return g;
}

void hg_test_guard_free(struct hg_guard *g)
{
	mutex_lock(&hg_test_net.lock);
	hg_guard_free(g);
	mutex_unlock(&hg_test_net.lock);
}

kunit_test_suites(&hg_table_suite, &hg_lock_suite, &hg_guard_suite, &hg_distress_suite);
MODULE_DESCRIPTION("Heliograph: suites of the guard's parts");
MODULE_LICENSE("GPL");
