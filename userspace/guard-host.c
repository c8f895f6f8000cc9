// SPDX-License-Identifier: MIT
/*
 * The choice of the guard's host, for watch.c and cmd_guard.c. Nothing is kept here: the kernel is
 * asked each time, so a module that is loaded later is found, and a guard that was left by another
 * process goes on with the host that it has.
 */
#include "guard-host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "guard-common.h"

const struct hg_guard_ops *const hg_guard_hosts[HG_HOSTS_MAX + 1] = {
	[HG_HOST_BPF - 1] = &hg_guard_bpf,
	[HG_HOST_MODULE - 1] = &hg_guard_module,
};

/* What to say when no host of several has a guard; with one, it says so itself, and names it. */
static void none_runs(char *err, size_t err_size, const char *pin_dir)
{
	snprintf(err, err_size, "no guard runs here: none is pinned in %s, and no module guards",
		 pin_dir);
}

static const struct hg_guard_ops *host_of(int wanted)
{
	return wanted == HG_HOST_AUTO ? NULL : hg_guard_hosts[wanted - 1];
}

void hg_guard_look(const struct hg_guard_options *o,
		   struct hg_guard_report reports[static HG_HOSTS_MAX])
{
	for (int i = 0; hg_guard_hosts[i]; i++) {
		reports[i] = (struct hg_guard_report){ 0 };
		hg_guard_hosts[i]->probe(o, &reports[i]);
	}
}

/* Whether the host has a guard here, be it one that only another version can open. */
static bool runs(const struct hg_guard_ops *ops, const char *pin_dir)
{
	struct hg_guard *g = NULL;
	int ret = ops->open(pin_dir, &g, NULL, 0);

	if (!ret)
		ops->close(g);
	return !ret || ret == -EPROTO || ret == -EEXIST;
}

static int picked(struct hg_guard_pick *p, const struct hg_guard_ops *ops, const char *why)
{
	p->ops = ops;
	snprintf(p->why, sizeof(p->why), "%s", why);
	return 0;
}

/* The first that has all; else the last that can guard: it lacks least. */
static int pick_best(const struct hg_guard_report *r, struct hg_guard_pick *p, struct hg_error *e)
{
	char why[2 * sizeof(r->why) + 64] = "";
	int ret = 0;

	for (int i = 0; hg_guard_hosts[i]; i++)
		if (!r[i].ret && r[i].whole)
			return picked(p, hg_guard_hosts[i], r[i].why);
	for (int i = 0; hg_guard_hosts[i]; i++)
		if (!r[i].ret)
			return picked(p, hg_guard_hosts[i], r[i].why);
	for (int i = 0; hg_guard_hosts[i]; i++) {
		size_t at = strlen(why);

		snprintf(why + at, sizeof(why) - at, "%s%s: %s", i ? "; " : "",
			 hg_guard_hosts[i]->name, r[i].why);
		if (!ret || r[i].ret == -EPERM)
			ret = r[i].ret;
	}
	return hg_error_set(e, ret, "%s", why);
}

int hg_guard_pick(const struct hg_guard_options *o, const struct hg_guard_report *reports,
		  struct hg_guard_pick *pick, char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_guard_report *own;
	int ret;

	if (o->host != HG_HOST_AUTO)
		return picked(pick, host_of(o->host), "[guard] host asks for it");
	for (size_t i = 0; i < o->n_interfaces; i++)
		if (o->interfaces[i].wanted != HG_GUARD_AUTO)
			return picked(pick, &hg_guard_bpf, "[guard] mode asks for it");
	for (int i = 0; hg_guard_hosts[i]; i++)
		if (runs(hg_guard_hosts[i], o->pin_dir))
			return picked(pick, hg_guard_hosts[i], "its guard runs already");
	if (reports)
		return pick_best(reports, pick, &e);
	own = calloc(HG_HOSTS_MAX, sizeof(*own));
	if (!own)
		return -ENOMEM;
	hg_guard_look(o, own);
	ret = pick_best(own, pick, &e);
	free(own);
	return ret;
}

/* Two guards in a row are safe, but what one lets in the other may drop. */
static int end_others(const struct hg_guard_ops *ops, const char *pin_dir, struct hg_error *e)
{
	for (int i = 0; hg_guard_hosts[i]; i++) {
		char why[200] = "";
		int ret;

		if (hg_guard_hosts[i] == ops)
			continue;
		ret = hg_guard_hosts[i]->detach(pin_dir, NULL, why, sizeof(why));
		if (ret && runs(hg_guard_hosts[i], pin_dir))
			return hg_error_set(e, -EBUSY, "the guard of host %s cannot be ended: %s",
					    hg_guard_hosts[i]->name, *why ? why : strerror(-ret));
	}
	return 0;
}

/* A module that is in /lib/modules may not be loadable, or be of another release. */
static int attach_other(struct hg_guard_options *o, struct hg_guard_pick *pick, struct hg_guard **g,
			char *err, size_t err_size)
{
	char why[200] = "";
	int ret = hg_guard_bpf.attach(o, g, why, sizeof(why));

	if (ret)
		return ret;
	pick->ops = &hg_guard_bpf;
	snprintf(pick->why, sizeof(pick->why), "no module: %s", err);
	*err = '\0';
	return 0;
}

int hg_guard_attach(struct hg_guard_options *o, struct hg_guard_pick *pick, struct hg_guard **g,
		    char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_guard *made = NULL;
	int ret = hg_guard_pick(o, NULL, pick, err, err_size);
	bool ran = !ret && runs(pick->ops, o->pin_dir);

	if (!ret)
		ret = pick->ops->attach(o, &made, err, err_size);
	if ((ret == -ENOENT || ret == -EPROTO) && o->host == HG_HOST_AUTO &&
	    pick->ops == &hg_guard_module && !attach_other(o, pick, &made, err, err_size))
		ret = 0;
	if (!ret)
		ret = end_others(pick->ops, o->pin_dir, &e);
	if (!ret) {
		*g = made;
	} else if (made) {
		pick->ops->close(made);
		if (!ran)
			pick->ops->detach(o->pin_dir, NULL, NULL, 0);
	}
	return ret;
}

int hg_guard_open(int host, const char *pin_dir, const struct hg_guard_ops **ops,
		  struct hg_guard **g, char *err, size_t err_size)
{
	int ret = -ENOENT;

	if (host != HG_HOST_AUTO) {
		*ops = host_of(host);
		return (*ops)->open(pin_dir, g, err, err_size);
	}
	for (int i = 0; ret == -ENOENT && hg_guard_hosts[i]; i++) {
		ret = hg_guard_hosts[i]->open(pin_dir, g, err, err_size);
		if (ret != -ENOENT)
			*ops = hg_guard_hosts[i];
	}
	if (ret == -ENOENT)
		none_runs(err, err_size, pin_dir);
	return ret;
}

int hg_guard_detach(int host, const char *pin_dir, const struct hg_seal *seal, char *err,
		    size_t err_size)
{
	int ret = -ENOENT;

	if (host != HG_HOST_AUTO)
		return host_of(host)->detach(pin_dir, seal, err, err_size);
	for (int i = 0; hg_guard_hosts[i]; i++) {
		char why[256] = "";
		int one = hg_guard_hosts[i]->detach(pin_dir, seal, why, sizeof(why));

		if (one == -ENOENT && ret != -ENOENT)
			continue;
		if (ret == -ENOENT || one)
			ret = one;
		if (one)
			snprintf(err, err_size, "%s", why);
	}
	if (ret == -ENOENT)
		none_runs(err, err_size, pin_dir);
	return ret;
}
