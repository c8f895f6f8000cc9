// SPDX-License-Identifier: MIT
/*
 * What this kernel has for the BPF host. Called through hg_guard_bpf.probe by the choice of a host
 * and by `heliograph guard probe`. The programs are loaded and dropped again. Attaching is tried on
 * the loopback of a network namespace that lives only for this, so no interface in use is touched;
 * what a driver can do is asked of the kernel (6.3 and later), not tried.
 */
#include "guard-bpf.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/wait.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

/* Of linux/netdev.h, which is younger than the headers that we build with. */
enum { NETDEV_DEV_GET = 1, NETDEV_IFINDEX = 1, NETDEV_XDP_FEATURES = 3, NETDEV_ATTRS = 8 };
#define NETDEV_XDP_BASIC 1u

#define LOOPBACK 1 /* of any network namespace */

enum { TRIED_XDP = 1, TRIED_TC = 2, TRIED_NOTHING = 4 };

static void fail(struct hg_guard_report *r, int ret, const char *why)
{
	if (r->ret)
		return;
	r->ret = ret;
	snprintf(r->why, sizeof(r->why), "%s", why);
}

/* In a process of its own; the status says what could not be attached. */
static int try_attach(const int progs[HG_PROGS])
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = LOOPBACK, .attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = progs[HG_PROG_OUT]);
	int failed = 0;

	if (unshare(CLONE_NEWNET))
		return TRIED_NOTHING;
	if (bpf_xdp_attach(LOOPBACK, progs[HG_PROG_XDP], XDP_FLAGS_SKB_MODE, NULL))
		failed |= TRIED_XDP;
	if (bpf_tc_hook_create(&hook) || bpf_tc_attach(&hook, &opts))
		failed |= TRIED_TC;
	return failed;
}

static int tried(const int progs[HG_PROGS])
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(try_attach(progs));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return TRIED_NOTHING;
	return WEXITSTATUS(status);
}

static void look_at_attaching(struct hg_guard_report *r, const int progs[HG_PROGS])
{
	int failed = tried(progs);

	if (failed & TRIED_NOTHING) {
		hg_guard_fact(r, "attach", false, "not tried: no network namespace to try it in");
		return;
	}
	hg_guard_fact(r, "xdp generic", !(failed & TRIED_XDP), "%s",
		      failed & TRIED_XDP ? "this kernel has none; what comes in is seen at tc"
					 : "can be attached");
	hg_guard_fact(r, "tc", !(failed & TRIED_TC), "%s",
		      failed & TRIED_TC ? "no clsact or cls_bpf (NET_SCH_INGRESS, NET_CLS_BPF)"
					: "can be attached");
	if (failed & TRIED_TC)
		fail(r, -EOPNOTSUPP, "tc takes no programs here");
}

static int xdp_features(struct nl_msg *msg, void *ctx)
{
	struct nlattr *attrs[NETDEV_ATTRS + 1];
	int *basic = ctx;

	if (!genlmsg_parse(nlmsg_hdr(msg), 0, attrs, NETDEV_ATTRS, NULL) &&
	    attrs[NETDEV_XDP_FEATURES])
		*basic = !!(nla_get_u64(attrs[NETDEV_XDP_FEATURES]) & NETDEV_XDP_BASIC);
	return NL_OK;
}

/* 1: the driver runs XDP, 0: it does not, -1: the kernel does not tell. */
static int driver_has_xdp(unsigned int ifindex)
{
	struct nl_sock *sk = nl_socket_alloc();
	struct nl_msg *msg = nlmsg_alloc();
	int family, basic = -1;

	if (!sk || !msg || genl_connect(sk))
		goto out;
	family = genl_ctrl_resolve(sk, "netdev");
	if (family < 0 ||
	    !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, NETDEV_DEV_GET, 1) ||
	    nla_put_u32(msg, NETDEV_IFINDEX, ifindex))
		goto out;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, xdp_features, &basic);
	if (nl_send_auto(sk, msg) >= 0)
		nl_recvmsgs_default(sk);
out:
	nlmsg_free(msg);
	nl_socket_free(sk);
	return basic;
}

static void look_at_interface(struct hg_guard_report *r, const struct hg_guard_interface *i)
{
	unsigned int ifindex = if_nametoindex(i->name);
	char text[160] = "";
	struct hg_error e = { text, sizeof(text) };
	int l3 = ifindex ? hg_guard_link_type(i->name, &e) : 0, native;

	if (!ifindex) {
		hg_guard_fact(r, i->name, false, "does not exist now");
	} else if (l3 < 0) {
		hg_guard_fact(r, i->name, false, "%s", text);
	} else if (l3) {
		hg_guard_fact(r, i->name, true, "tc, for packets have no Ethernet header");
	} else if (i->wanted != HG_GUARD_AUTO) {
		hg_guard_fact(r, i->name, true, "%s, as [guard] mode asks",
			      hg_guard_mode_name(i->wanted));
	} else {
		native = driver_has_xdp(ifindex);
		hg_guard_fact(r, i->name, true, "%s",
			      native > 0    ? "native XDP: the driver has it"
			      : native == 0 ? "generic XDP: the driver has no XDP"
					    : "native XDP is tried first, then generic: this "
					      "kernel does not tell what the driver has");
	}
}

static void look_at_programs(const struct hg_guard_options *o, struct hg_guard_report *r)
{
	char text[256] = "";
	struct hg_error e = { text, sizeof(text) };
	struct hg_bpf_programs b;
	int ret = hg_programs_load(&b, o, NULL, &e);
	bool jit, timer;

	if (ret) {
		hg_guard_fact(r, "programs", false, "%s", text);
		fail(r, ret, text);
		return;
	}
	jit = hg_program_jited(b.progs[HG_PROG_XDP]);
	timer = b.progs[HG_PROG_TIMER] >= 0;
	hg_guard_fact(r, "programs", true, "this kernel takes %s", o->object);
	hg_guard_fact(r, "jit", jit, "%s",
		      jit ? "programs are compiled"
			  : "programs are interpreted, which costs several times as much; see "
			    "/proc/sys/net/core/bpf_jit_enable");
	hg_guard_fact(r, "timer", timer, "%s",
		      timer ? "seconds are scored in the kernel, with nobody running"
			    : "this kernel takes none: seconds are scored only while the agent "
			      "runs");
	look_at_attaching(r, b.progs);
	hg_programs_close(&b);
	r->whole = jit && timer;
	if (!r->ret)
		snprintf(r->why, sizeof(r->why), "%s",
			 r->whole ? "its programs are compiled and have their timer"
			 : timer  ? "its programs are interpreted"
				  : "its programs have no timer: scored only while the agent runs");
}

void hg_bpf_probe(const struct hg_guard_options *o, struct hg_guard_report *r)
{
	char text[256] = "";
	struct hg_error e = { text, sizeof(text) };
	int ret;

	look_at_programs(o, r);
	ret = hg_pins_check(o->pin_dir, &e);
	hg_guard_fact(r, "bpffs", !ret, "%s", ret ? text : o->pin_dir);
	if (ret)
		fail(r, ret, text);
	for (size_t i = 0; i < o->n_interfaces; i++)
		look_at_interface(r, &o->interfaces[i]);
}
