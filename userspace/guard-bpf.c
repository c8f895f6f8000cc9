// SPDX-License-Identifier: MIT
/*
 * The BPF host of the guard: attach, adopt, open, detach. The agent and the command line call it
 * through hg_guard_bpf; guard-pins.c, guard-programs.c, guard-attach.c, guard-maps.c,
 * guard-events.c and guard-probe.c are its parts.
 *
 * attach() is one list of steps whatever is there already: load with the maps that fit, bring every
 * interface to these programs, write the configuration, start the timer, make the new pins the
 * pins. Where everything is the same nothing is touched; where a step fails the earlier ones are
 * undone.
 */
#include "guard-bpf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <sys/random.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/*
 * A guard that looks at these maps; the descriptors are duplicates. close_prog is -1 if the kernel
 * closes the seconds itself.
 */
static int guard_of(const struct hg_pins *p, const int maps[HG_MAPS], int close_prog,
		    struct hg_guard **guard)
{
	struct hg_guard *g = hg_guard_new(p->dir);

	if (!g)
		return -ENOMEM;
	for (int i = 0; i < HG_MAPS; i++) {
		g->maps[i] = fcntl(maps[i], F_DUPFD_CLOEXEC, 0);
		if (g->maps[i] < 0)
			goto failed;
	}
	g->state = fcntl(p->state, F_DUPFD_CLOEXEC, 0);
	if (g->state < 0)
		goto failed;
	if (close_prog >= 0) {
		g->close_prog = fcntl(close_prog, F_DUPFD_CLOEXEC, 0);
		if (g->close_prog < 0)
			goto failed;
	}
	*guard = g;
	return 0;
failed:
	hg_guard_free(g);
	return -EMFILE;
}

/* The program that closes a second, if the kernel has no timer for it; else -1. */
static int open_close_prog(const struct hg_pins *p)
{
	char path[PATH_MAX];

	hg_pins_path(p, path, "programs", hg_bpf_prog_names[HG_PROG_TIMER], "");
	if (!access(path, F_OK))
		return -1;
	return bpf_obj_get(hg_pins_path(p, path, "programs", hg_bpf_prog_names[HG_PROG_CLOSE], ""));
}

static int open_pins(const struct hg_pins *p, struct hg_guard **guard, struct hg_error *e)
{
	struct hg_guard_config c = { 0 };
	struct hg_guard *g = NULL;
	char path[PATH_MAX];
	int maps[HG_MAPS], close_prog, n, ret = 0;

	for (n = 0; n < HG_MAPS; n++) {
		hg_pins_path(p, path, "maps", hg_bpf_map_names[n], "");
		maps[n] = bpf_obj_get(path);
		if (maps[n] < 0) {
			ret = hg_error_set(e, -errno, "cannot open %s: %s; attach again", path,
					   strerror(errno));
			goto out;
		}
	}
	close_prog = open_close_prog(p);
	ret = guard_of(p, maps, close_prog, &g);
	if (close_prog >= 0)
		close(close_prog);
	if (!ret)
		ret = hg_maps_get_config(g, &c);
	if (!ret && c.abi != HG_GUARD_ABI)
		ret = hg_error_set(e, -EPROTO,
				   "the guard at %s speaks ABI %u, this program %u; attach again",
				   p->dir, c.abi, HG_GUARD_ABI);
	if (ret)
		hg_guard_free(g);
	else
		*guard = g;
out:
	while (n--)
		close(maps[n]);
	return ret;
}

/* Frees the slots of interfaces that have gone, so that the record never fills up. */
static void forget_gone(const struct hg_pins *p)
{
	struct hg_bpf_attachment a;

	for (__u32 slot = 0; slot < HG_GUARD_INTERFACES_MAX; slot++) {
		char name[IF_NAMESIZE];

		if (hg_pins_record_read(p, slot, &a) || !a.ifindex || !a.mode)
			continue;
		if (!hg_attachment_alive(p, &a) &&
		    (a.netns != hg_netns_self() || !if_indextoname(a.ifindex, name)))
			hg_attachment_remove(p, slot, NULL);
	}
}

/* A timer that has got new code goes on with that of the pinned program. */
static void put_back_timer(const struct hg_pins *p)
{
	int progs[HG_PROGS];
	char path[PATH_MAX];

	memset(progs, -1, sizeof(progs));
	hg_pins_path(p, path, "programs", hg_bpf_prog_names[HG_PROG_TIMER], "");
	progs[HG_PROG_TIMER] = bpf_obj_get(path);
	hg_programs_start(progs, NULL);
	if (progs[HG_PROG_TIMER] >= 0)
		close(progs[HG_PROG_TIMER]);
}

/* With the pins locked. What fails here leaves interfaces and pins as they were. */
static int attach_locked(struct hg_guard_options *o, struct hg_pins *p, struct hg_guard **guard,
			 struct hg_error *e)
{
	struct hg_bpf_programs b;
	struct hg_attach_run *r = calloc(1, sizeof(*r));
	struct hg_guard *g = NULL;
	int ret;

	if (!r)
		return -ENOMEM;
	hg_pins_sweep(p);
	forget_gone(p);
	ret = hg_programs_load(&b, o, p, e);
	if (ret)
		goto out;
	r->pins = p;
	r->programs = &b;
	r->error = e;
	ret = b.fresh_maps ? hg_maps_configure(b.maps, o, true, e) : 0;
	for (size_t i = 0; !ret && i < o->n_interfaces; i++)
		ret = hg_attachment_make(r, &o->interfaces[i]);
	if (!ret && !b.fresh_maps)
		ret = hg_maps_configure(b.maps, o, false, e);
	if (!ret)
		ret = guard_of(p, b.maps, b.progs[HG_PROG_TIMER] < 0 ? b.progs[HG_PROG_CLOSE] : -1,
			       &g);
	if (!ret)
		ret = hg_programs_start(b.progs, e);
	if (!ret)
		ret = hg_pins_commit(p, b.digest, e);
	if (ret) {
		hg_guard_free(g);
		hg_attachment_undo(r);
		put_back_timer(p);
	} else {
		hg_attachment_settle(r, o);
		if (b.progs[HG_PROG_TIMER] < 0)
			hg_pins_timer_drop(p);
		*guard = g;
	}
	hg_attach_run_close(r);
	hg_programs_close(&b);
out:
	if (ret)
		hg_pins_sweep(p);
	free(r);
	return ret;
}

static int attach(struct hg_guard_options *o, struct hg_guard **guard, char *err, size_t err_size)
{
	struct hg_guard_options made = *o;
	struct hg_error e = { err, err_size };
	struct hg_pins p;
	int ret = hg_guard_options_check(o, &e);

	if (ret)
		return ret;
	if (!made.config.seed && getrandom(&made.config.seed, sizeof(made.config.seed), 0) < 0)
		return hg_error_set(&e, -errno, "no random numbers: %s", strerror(errno));
	ret = hg_pins_lock(&p, o->pin_dir, true, &e);
	if (ret)
		return ret;
	ret = attach_locked(&made, &p, guard, &e);
	if (ret && p.made)
		hg_pins_remove(&p, NULL);
	hg_pins_unlock(&p);
	if (!ret)
		*o = made;
	return ret;
}

static int open_pinned(const char *pin_dir, struct hg_guard **guard, char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_pins p;
	int ret;

	hg_libbpf_reset();
	ret = hg_pins_lock(&p, pin_dir, false, &e);
	if (ret)
		return ret;
	ret = open_pins(&p, guard, &e);
	hg_pins_unlock(&p);
	return ret;
}

/* It is never locked, so a seal is more than it asks for. */
static int detach(const char *pin_dir, const struct hg_seal *seal, char *err, size_t err_size)
{
	struct hg_error e = { err, err_size };
	struct hg_pins p;
	int ret;

	hg_libbpf_reset();
	ret = hg_pins_lock(&p, pin_dir, false, &e);
	if (ret)
		return ret;
	for (__u32 slot = 0; !ret && slot < HG_GUARD_INTERFACES_MAX; slot++)
		ret = hg_attachment_remove(&p, slot, &e);
	if (!ret)
		hg_pins_timer_drop(&p);
	if (!ret)
		ret = hg_pins_remove(&p, &e);
	hg_pins_unlock(&p);
	return ret;
}

static int interfaces(struct hg_guard *g, struct hg_guard_interface *list, size_t *n)
{
	struct hg_pins p = { .lock = -1, .state = g->state };
	struct hg_bpf_attachment a;
	size_t count = 0;

	snprintf(p.dir, sizeof(p.dir), "%s", g->pin_dir);
	for (__u32 slot = 0; slot < HG_GUARD_INTERFACES_MAX; slot++) {
		struct hg_guard_interface *i = &list[count];
		int ret = hg_pins_record_read(&p, slot, &a);

		if (ret)
			return ret;
		if (!a.ifindex)
			continue;
		*i = (struct hg_guard_interface){ .wanted = a.mode, .ifindex = a.ifindex };
		memcpy(i->name, a.name, sizeof(i->name));
		if (a.netns == hg_netns_self() && !if_indextoname(a.ifindex, i->name)) {
			memcpy(i->name, a.name, sizeof(i->name));
			i->ifindex = 0;
		}
		if (i->ifindex && hg_attachment_alive(&p, &a))
			i->got = a.mode;
		count++;
	}
	*n = count;
	return 0;
}

const struct hg_guard_ops hg_guard_bpf = {
	.name = "bpf",
	.probe = hg_bpf_probe,
	.attach = attach,
	.open = open_pinned,
	.close = hg_guard_free,
	.detach = detach,
	.interfaces = interfaces,
	.get_config = hg_maps_get_config,
	.set_policy = hg_maps_set_policy,
	.set_flag = hg_maps_set_flag,
	.gate = hg_maps_gate,
	.set_profile = hg_maps_set_profile,
	.counters = hg_maps_counters,
	.windows = hg_maps_windows,
	.flows = hg_maps_flows,
	.flow_counts = hg_maps_flow_counts,
	.flow_sizes = hg_maps_flow_sizes,
	.get_bounds = hg_maps_get_bounds,
	.clock = hg_events_clock,
	.close_seconds = hg_events_close_seconds,
	.event_fd = hg_events_fd,
	.events = hg_events_read,
	.set_bound = hg_maps_set_bound,
	.bound = hg_maps_bound,
	.rematch = hg_maps_rematch,
};
