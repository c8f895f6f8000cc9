// SPDX-License-Identifier: MIT
/* Which host guards, by what each of them found in a kernel; no guard runs here. */
#include "../tap.h"
#include <errno.h>
#include <stdlib.h>
#include "../../userspace/guard-host.h"

static struct hg_guard_options options;
static char err[600];

static struct hg_guard_report report(int ret, bool whole, const char *why)
{
	struct hg_guard_report r = { .ret = ret, .whole = whole };

	snprintf(r.why, sizeof(r.why), "%s", why);
	return r;
}

/* The chosen host's name, or "none". */
static const char *chosen(struct hg_guard_report bpf, struct hg_guard_report module)
{
	static struct hg_guard_report reports[HG_HOSTS_MAX];
	static struct hg_guard_pick pick;

	reports[HG_HOST_BPF - 1] = bpf;
	reports[HG_HOST_MODULE - 1] = module;
	err[0] = '\0';
	if (hg_guard_pick(&options, reports, &pick, err, sizeof(err)))
		return "none";
	return pick.ops->name;
}

int main(void)
{
	const struct hg_guard_report whole = report(0, true, "has all"),
				     less = report(0, false, "has no timer"),
				     not = report(-EOPNOTSUPP, false, "has nothing"),
				     denied = report(-EPERM, false, "may not");

	hg_guard_options_init(&options);
	options.pin_dir = "/nonexistent/heliograph";
	is_str(chosen(whole, whole), "bpf", "both have all: BPF");
	is_str(chosen(less, whole), "module", "BPF lacks something: the module");
	is_str(chosen(not, whole), "module", "no BPF: the module");
	is_str(chosen(less, not ), "bpf", "no module: BPF with less");
	is_str(chosen(whole, not ), "bpf", "no module: BPF");
	is_str(chosen(not, denied), "none", "none can");
	ok(strstr(err, "bpf: has nothing") && strstr(err, "module: may not"),
	   "both reasons are said");
	options.interfaces[0].wanted = HG_GUARD_GENERIC;
	options.n_interfaces = 1;
	is_str(chosen(less, whole), "bpf", "a mode of BPF asks for BPF");
	options.host = HG_HOST_MODULE;
	is_str(chosen(whole, not ), "module", "the host that was asked for, whatever it finds");
	options.host = HG_HOST_BPF;
	is_str(chosen(not, whole), "bpf", "so for BPF");
	for (int i = HG_HOST_AUTO + 1; hg_guard_host_name(i); i++)
		is_str(hg_guard_host_name(i), hg_guard_hosts[i - 1]->name, "hosts are in order");
	return tap_done();
}
