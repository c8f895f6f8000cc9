// SPDX-License-Identifier: MIT
/*
 * The guard without the rest of the agent. Called by main.c when the agent cannot start: whatever
 * it lacks (a store, a certificate, a profile), the device is not to be open meanwhile.
 */
#include "watch.h"

#include <stdio.h>
#include <string.h>
#include "agent.h"
#include "guard-conf.h"
#include "guard-host.h"
#include "../lib/log.h"

/* A guard that runs has more than is put up here: at least the profile, if there is one. */
static bool runs(const struct hg_guard_options *o)
{
	const struct hg_guard_ops *ops;
	struct hg_guard *g;
	char err[256];

	if (hg_guard_open(o->host, o->pin_dir, &ops, &g, err, sizeof(err)))
		return false;
	ops->close(g);
	return true;
}

static int put_up(const struct hg_agent_conf *conf, struct hg_guard_options *o, char *err,
		  size_t err_size)
{
	struct hg_peer peers[HG_PEERS_MAX] = { 0 };
	size_t n = hg_guard_peers_conf(peers, conf, "/etc/resolv.conf");
	struct hg_guard_pick pick;
	struct hg_guard *g;
	int ret = hg_guard_attach(o, &pick, &g, err, err_size);

	if (ret)
		return ret;
	ret = pick.ops->set_profile(g, peers, n, NULL, 0, NULL);
	if (ret)
		snprintf(err, err_size, "its peers cannot be set: %s", strerror(-ret));
	pick.ops->close(g);
	return ret;
}

void hg_watch_leave_guard(const struct hg_agent *agent)
{
	const struct hg_agent_conf *conf = &agent->conf;
	struct hg_guard_options o;
	char err[256] = "";
	int ret;

	if (!conf->guard.interfaces.count)
		return;
	ret = hg_guard_options_conf(&o, conf, err, sizeof(err));
	if (!ret && runs(&o))
		return;
	if (!ret)
		ret = put_up(conf, &o, err, sizeof(err));
	if (ret)
		hg_error("guard: THIS DEVICE IS NOT GUARDED: %s", err[0] ? err : strerror(-ret));
	else
		hg_warn("guard: this device is guarded all the same, without a profile");
}
