// SPDX-License-Identifier: MIT
/*
 * What this kernel has for the module host. Called through hg_guard_module.probe. A module that is
 * not loaded stays so, which is why its ABI is not known before.
 */
#include "guard-kmod.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static void fail(struct hg_guard_report *r, int ret, const char *why)
{
	if (r->ret)
		return;
	r->ret = ret;
	snprintf(r->why, sizeof(r->why), "%s", why);
}

static void take_abi(void *ctx, struct nlattr **attrs)
{
	*(__u32 *)ctx = hg_netlink_u32(attrs, HG_A_ABI, 0);
}

static void look_at_family(struct hg_guard_report *r)
{
	char text[256] = "";
	struct hg_error e = { text, sizeof(text) };
	struct hg_netlink n;
	__u32 abi = 0;
	int ret = hg_netlink_open(&n, false, &e);

	hg_guard_fact(r, "family", !ret, "%s", ret ? text : "generic netlink " HG_GENL_NAME);
	if (ret) {
		fail(r, ret, text);
		return;
	}
	ret = hg_netlink_call(&n, hg_netlink_request(&n, HG_CMD_GET), take_abi, &abi, &e);
	hg_netlink_close(&n);
	if (ret)
		hg_error_set(&e, ret, "the module does not answer: %s%s", strerror(-ret),
			     ret == -EPERM ? "; it needs CAP_NET_ADMIN" : "");
	else if (abi != HG_GUARD_ABI)
		ret = hg_error_set(&e, -EPROTO,
				   "the module speaks ABI %u, this program %u; both must be of one "
				   "release",
				   abi, HG_GUARD_ABI);
	else
		hg_error_set(&e, 0, "%u, as this program", abi);
	hg_guard_fact(r, "abi", !ret, "%s", text);
	if (ret)
		fail(r, ret, text);
}

static void look_at_interfaces(const struct hg_guard_options *o, struct hg_guard_report *r)
{
	for (size_t i = 0; i < o->n_interfaces; i++) {
		const char *name = o->interfaces[i].name;
		char text[160] = "";
		struct hg_error e = { text, sizeof(text) };

		if (!if_nametoindex(name))
			hg_guard_fact(r, name, false, "does not exist now");
		else if (hg_guard_link_type(name, &e) < 0)
			hg_guard_fact(r, name, false, "%s", text);
		else
			hg_guard_fact(r, name, true, "netfilter: IP packets, before conntrack");
	}
}

void hg_kmod_probe(const struct hg_guard_options *o, struct hg_guard_report *r)
{
	static const char *const states[] = {
		[HG_MODULE_NONE] = "this kernel has no module heliograph",
		[HG_MODULE_THERE] = "in /lib/modules, not loaded",
		[HG_MODULE_BUILTIN] = "built into this kernel",
		[HG_MODULE_LOADED] = "loaded",
	};
	enum hg_module_state state = hg_module_state();

	hg_guard_fact(r, "module", state != HG_MODULE_NONE, "%s", states[state]);
	if (state == HG_MODULE_THERE) {
		hg_guard_fact(r, "family", true, "comes with the module, which is loaded for it");
		hg_guard_fact(r, "abi", true, "known when it is loaded");
	} else {
		look_at_family(r);
	}
	look_at_interfaces(o, r);
	r->whole = !r->ret;
	if (!r->ret)
		snprintf(r->why, sizeof(r->why), "its module is %s",
			 state == HG_MODULE_THERE ? "in /lib/modules" : "there");
}
