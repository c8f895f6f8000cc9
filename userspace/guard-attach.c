// SPDX-License-Identifier: MIT
/*
 * One guarded interface: XDP or tc ingress, and tc egress. Called by guard-bpf.c with the pins
 * locked.
 *
 * Every change goes to the undo list first, so that a failure on the third interface leaves the
 * first two as they were. Egress comes before ingress, or the device's next packet would open no
 * flow and its answer be dropped; what replaces a program stands before the old one goes.
 */
#include "guard-bpf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netlink/cache.h>
#include <netlink/route/classifier.h>
#include <netlink/socket.h>

#define FILTER_HANDLE 0x6867 /* "hg" */
#define FILTER_PRIORITY 1 /* before every other filter: nobody may pass a packet past the guard */

enum { UNDO_RECORD, UNDO_CLSACT, UNDO_TC, UNDO_LINK_MADE, UNDO_LINK_UPDATED, UNDO_LINK_DROPPED };

static struct hg_undo *undo_push(struct hg_attach_run *r, int kind, __u32 ifindex)
{
	struct hg_undo *u = &r->undo[r->n_undo++];

	*u = (struct hg_undo){ .kind = kind, .ifindex = ifindex, .fd = -1 };
	return u;
}

static __u32 prog_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) ? info.id : 0;
}

static bool prog_is_ours(__u32 id)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool ours;

	if (fd < 0)
		return false;
	ours = !bpf_obj_get_info_by_fd(fd, &info, &len) && !strncmp(info.name, "hg_tc_", 6);
	close(fd);
	return ours;
}

/* The program of the filter at our handle; 0: none. */
static __u32 tc_prog_id(__u32 ifindex, int point)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
			    .priority = FILTER_PRIORITY);

	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

static int tc_put(__u32 ifindex, int point, int fd, bool replace)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
			    .prog_fd = fd, .flags = replace ? BPF_TC_F_REPLACE : 0);

	return bpf_tc_attach(&hook, &opts);
}

static void tc_take(__u32 ifindex, int point)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
			    .priority = FILTER_PRIORITY);
	__u32 id = tc_prog_id(ifindex, point);

	if (id && prog_is_ours(id))
		bpf_tc_detach(&hook, &opts);
}

static int filters_at(struct nl_sock *sk, __u32 ifindex, __u32 parent)
{
	struct nl_cache *cache;
	int n;

	if (rtnl_cls_alloc_cache(sk, ifindex, parent, &cache))
		return -1;
	n = nl_cache_nitems(cache);
	nl_cache_free(cache);
	return n;
}

/* Removes the qdisc that we made, unless somebody has come to use it meanwhile. */
static void clsact_take(__u32 ifindex)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
			    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct nl_sock *sk = nl_socket_alloc();

	if (sk && !nl_connect(sk, NETLINK_ROUTE) &&
	    filters_at(sk, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) <= 0 &&
	    filters_at(sk, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)) <= 0)
		bpf_tc_hook_destroy(&hook);
	nl_socket_free(sk);
}

/* A link whose interface is gone reports ifindex 0. */
static int link_get(const struct hg_pins *p, __u32 ifindex, __u32 *id)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = hg_pins_link_get(p, ifindex);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.type != BPF_LINK_TYPE_XDP ||
	    info.xdp.ifindex != ifindex) {
		close(fd);
		return -ENODEV;
	}
	if (id)
		*id = info.prog_id;
	return fd;
}

static int link_make(const struct hg_pins *p, __u32 ifindex, int prog, int mode)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts,
			    .flags = mode == HG_GUARD_NATIVE ? XDP_FLAGS_DRV_MODE
							     : XDP_FLAGS_SKB_MODE);
	int fd = bpf_link_create(prog, ifindex, BPF_XDP, &opts);
	int ret;

	if (fd < 0)
		return -errno;
	ret = hg_pins_link_put(p, ifindex, fd);
	close(fd);
	return ret;
}

/* Detached at once: a link that only lost its pin leaves the interface some time later. */
static void link_take(const struct hg_pins *p, __u32 ifindex)
{
	int fd = hg_pins_link_get(p, ifindex);

	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	hg_pins_link_drop(p, ifindex);
}

/* Does a process or a name in /run/netns still hold the namespace? */
static bool netns_held(const char *dir, const char *tail, __u64 inode)
{
	char path[PATH_MAX];
	struct dirent *d;
	struct stat st;
	DIR *list = opendir(dir);
	bool held = false;

	while (list && !held && (d = readdir(list))) {
		snprintf(path, sizeof(path), "%s/%s%s", dir, d->d_name, tail);
		held = d->d_name[0] != '.' && !stat(path, &st) && st.st_ino == inode;
	}
	if (list)
		closedir(list);
	return held;
}

static bool elsewhere(const struct hg_pins *p, const struct hg_bpf_attachment *a)
{
	int fd;

	if (a->netns == hg_netns_self())
		return false;
	if (a->mode == HG_GUARD_TC)
		return netns_held("/run/netns", "", a->netns) ||
		       netns_held("/proc", "/ns/net", a->netns);
	fd = link_get(p, a->ifindex, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool hg_attachment_alive(const struct hg_pins *p, const struct hg_bpf_attachment *a)
{
	int fd;

	if (a->netns != hg_netns_self())
		return elsewhere(p, a);
	if (!prog_is_ours(tc_prog_id(a->ifindex, BPF_TC_EGRESS)))
		return false;
	if (a->mode == HG_GUARD_TC)
		return prog_is_ours(tc_prog_id(a->ifindex, BPF_TC_INGRESS));
	fd = link_get(p, a->ifindex, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int hg_attachment_remove(const struct hg_pins *p, __u32 slot, struct hg_error *e)
{
	struct hg_bpf_attachment a;
	int ret = hg_pins_record_read(p, slot, &a);

	if (ret || !a.ifindex)
		return ret;
	if (elsewhere(p, &a))
		return hg_error_set(e, -EXDEV,
				    "%s is guarded in another network namespace (inode %llu); run "
				    "this there",
				    a.name, (unsigned long long)a.netns);
	link_take(p, a.ifindex);
	if (a.netns == hg_netns_self()) {
		tc_take(a.ifindex, BPF_TC_INGRESS);
		tc_take(a.ifindex, BPF_TC_EGRESS);
		if (a.flags & HG_ATTACHMENT_CLSACT)
			clsact_take(a.ifindex);
	}
	a = (struct hg_bpf_attachment){ 0 };
	return hg_pins_record_write(p, slot, &a);
}

/* The record of the interface, or a free one. */
static int find_slot(struct hg_attach_run *r, __u32 ifindex, struct hg_bpf_attachment *a)
{
	struct hg_bpf_attachment b;
	__u64 netns = hg_netns_self();
	int free_slot = -ENOSPC;

	for (__u32 i = 0; i < HG_GUARD_INTERFACES_MAX; i++) {
		if (hg_pins_record_read(r->pins, i, &b))
			return -EIO;
		if (b.ifindex == ifindex && b.netns == netns) {
			*a = b;
			return i;
		}
		if (b.ifindex && elsewhere(r->pins, &b))
			return hg_error_set(
				r->error, -EXDEV,
				"%s guards %s in another network namespace; use another "
				"pin_dir here",
				r->pins->dir, b.name);
		if (!b.ifindex && free_slot < 0)
			free_slot = i;
	}
	*a = (struct hg_bpf_attachment){ 0 };
	return free_slot;
}

static int clsact_make(struct hg_attach_run *r, __u32 slot, struct hg_bpf_attachment *a)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = a->ifindex,
			    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	__u32 was = a->flags;
	int ret;

	/* Recorded before it is made: who dies in between leaves a qdisc that detach removes. */
	a->flags |= HG_ATTACHMENT_CLSACT;
	ret = hg_pins_record_write(r->pins, slot, a);
	if (ret)
		return ret;
	ret = bpf_tc_hook_create(&hook);
	if (!ret) {
		undo_push(r, UNDO_CLSACT, a->ifindex);
		return 0;
	}
	a->flags = was;
	if (ret != -EEXIST)
		return ret;
	return hg_pins_record_write(r->pins, slot, a);
}

static int tc_set(struct hg_attach_run *r, __u32 slot, struct hg_bpf_attachment *a, int point,
		  int prog)
{
	const char *way = point == BPF_TC_EGRESS ? "egress" : "ingress";
	__u32 id = tc_prog_id(a->ifindex, point);
	struct hg_undo *u;
	int old = -1, ret;

	if (id && id == prog_id(prog))
		return 0;
	if (id && !prog_is_ours(id))
		return hg_error_set(r->error, -EEXIST,
				    "interface %s: a tc %s filter of somebody else has handle 0x%x",
				    a->name, way, FILTER_HANDLE);
	if (id) {
		old = bpf_prog_get_fd_by_id(id);
	} else {
		ret = clsact_make(r, slot, a);
		if (ret)
			return hg_error_set(r->error, ret, "interface %s: cannot add clsact: %s",
					    a->name, strerror(-ret));
	}
	ret = tc_put(a->ifindex, point, prog, id);
	if (ret) {
		if (old >= 0)
			close(old);
		return hg_error_set(r->error, ret, "interface %s: cannot attach to tc %s: %s",
				    a->name, way, strerror(-ret));
	}
	u = undo_push(r, UNDO_TC, a->ifindex);
	u->point = point;
	u->fd = old;
	return 0;
}

static int link_update(struct hg_attach_run *r, __u32 ifindex, int link, __u32 id, int prog)
{
	struct hg_undo *u;
	int old;

	if (id == prog_id(prog))
		return 0;
	old = bpf_prog_get_fd_by_id(id);
	if (bpf_link_update(link, prog, NULL)) {
		int ret = -errno;

		if (old >= 0)
			close(old);
		return ret;
	}
	u = undo_push(r, UNDO_LINK_UPDATED, ifindex);
	u->fd = old;
	return 0;
}

/*
 * XDP in one mode. The two modes exclude each other, so tc guards while one makes room for the
 * other.
 */
static int xdp_set(struct hg_attach_run *r, __u32 slot, struct hg_bpf_attachment *a, int mode)
{
	const int *progs = r->programs->progs;
	struct hg_undo *u;
	__u32 id = 0;
	int link = link_get(r->pins, a->ifindex, &id);
	int ret;

	if (link >= 0 && (int)a->mode == mode) {
		ret = link_update(r, a->ifindex, link, id, progs[HG_PROG_XDP]);
		close(link);
		return ret;
	}
	if (link >= 0) {
		close(link);
		ret = tc_set(r, slot, a, BPF_TC_INGRESS, progs[HG_PROG_IN]);
		if (ret)
			return ret;
		u = undo_push(r, UNDO_LINK_DROPPED, a->ifindex);
		u->fd = bpf_prog_get_fd_by_id(id);
		u->mode = a->mode;
	}
	link_take(r->pins, a->ifindex);
	ret = link_make(r->pins, a->ifindex, progs[HG_PROG_XDP], mode);
	if (ret)
		return ret;
	undo_push(r, UNDO_LINK_MADE, a->ifindex);
	return 0;
}

static int ingress_set(struct hg_attach_run *r, __u32 slot, struct hg_bpf_attachment *a, int mode,
		       bool l3)
{
	const int *progs = r->programs->progs;
	int ret;

	if (mode == HG_GUARD_TC)
		return tc_set(r, slot, a, BPF_TC_INGRESS, progs[l3 ? HG_PROG_IN_L3 : HG_PROG_IN]);
	ret = xdp_set(r, slot, a, mode);
	if (!ret)
		return 0;
	if (ret == -EBUSY || ret == -EEXIST)
		return hg_error_set(r->error, ret,
				    "interface %s: another XDP program is attached to it", a->name);
	return hg_error_set(r->error, ret, "interface %s: no %s XDP here: %s", a->name,
			    hg_guard_mode_name(mode), strerror(-ret));
}

/* Native, generic, tc in this order; what is there already comes first. */
static int ingress_auto(struct hg_attach_run *r, __u32 slot, struct hg_bpf_attachment *a, bool l3)
{
	int ret = -EOPNOTSUPP;

	if (a->mode && !(l3 && a->mode != HG_GUARD_TC) && !ingress_set(r, slot, a, a->mode, l3))
		return a->mode;
	for (int mode = l3 ? HG_GUARD_TC : HG_GUARD_NATIVE; mode <= HG_GUARD_TC; mode++) {
		ret = ingress_set(r, slot, a, mode, l3);
		if (!ret)
			return mode;
	}
	return ret;
}

int hg_attachment_make(struct hg_attach_run *r, struct hg_guard_interface *i)
{
	const int *progs = r->programs->progs;
	struct hg_bpf_attachment a = { 0 };
	unsigned int ifindex = if_nametoindex(i->name);
	struct hg_undo *u;
	int slot, mode, ret, l3;

	if (!ifindex)
		return hg_error_set(r->error, -ENODEV,
				    "interface %s does not exist; attach again when it has come",
				    i->name);
	l3 = hg_guard_link_type(i->name, r->error);
	if (l3 < 0)
		return l3;
	if (l3 && i->wanted != HG_GUARD_AUTO && i->wanted != HG_GUARD_TC)
		return hg_error_set(r->error, -EINVAL,
				    "interface %s has no Ethernet header: mode must be tc or auto",
				    i->name);
	slot = find_slot(r, ifindex, &a);
	if (slot < 0)
		return slot;
	u = undo_push(r, UNDO_RECORD, ifindex);
	u->slot = slot;
	u->record = a;
	a.netns = hg_netns_self();
	a.ifindex = ifindex;
	memcpy(a.name, i->name, sizeof(a.name));
	ret = tc_set(r, slot, &a, BPF_TC_EGRESS, progs[l3 ? HG_PROG_OUT_L3 : HG_PROG_OUT]);
	if (ret)
		return ret;
	if (i->wanted == HG_GUARD_AUTO) {
		mode = ingress_auto(r, slot, &a, l3);
	} else {
		mode = ingress_set(r, slot, &a, i->wanted, l3);
		mode = mode ? mode : (int)i->wanted;
	}
	if (mode < 0)
		return mode;
	a.mode = mode;
	ret = hg_pins_record_write(r->pins, slot, &a);
	if (ret)
		return hg_error_set(r->error, ret, "interface %s: cannot record it", i->name);
	i->got = mode;
	i->ifindex = ifindex;
	return 0;
}

static bool is_wanted(const struct hg_guard_options *o, __u32 ifindex)
{
	for (size_t i = 0; i < o->n_interfaces; i++)
		if (o->interfaces[i].ifindex == ifindex)
			return true;
	return false;
}

void hg_attachment_settle(struct hg_attach_run *r, const struct hg_guard_options *o)
{
	struct hg_bpf_attachment a = { 0 };

	for (__u32 slot = 0; slot < HG_GUARD_INTERFACES_MAX; slot++) {
		if (hg_pins_record_read(r->pins, slot, &a) || !a.ifindex)
			continue;
		if (!is_wanted(o, a.ifindex))
			hg_attachment_remove(r->pins, slot, NULL);
		else if (a.mode == HG_GUARD_TC)
			link_take(r->pins, a.ifindex);
		else
			tc_take(a.ifindex, BPF_TC_INGRESS);
	}
}

static void undo_one(struct hg_attach_run *r, struct hg_undo *u)
{
	int link;

	switch (u->kind) {
	case UNDO_RECORD:
		hg_pins_record_write(r->pins, u->slot, &u->record);
		break;
	case UNDO_CLSACT:
		clsact_take(u->ifindex);
		break;
	case UNDO_TC:
		if (u->fd >= 0)
			tc_put(u->ifindex, u->point, u->fd, true);
		else
			tc_take(u->ifindex, u->point);
		break;
	case UNDO_LINK_MADE:
		link_take(r->pins, u->ifindex);
		break;
	case UNDO_LINK_UPDATED:
		link = hg_pins_link_get(r->pins, u->ifindex);
		if (link >= 0) {
			bpf_link_update(link, u->fd, NULL);
			close(link);
		}
		break;
	case UNDO_LINK_DROPPED:
		link_make(r->pins, u->ifindex, u->fd, u->mode);
		break;
	}
}

void hg_attachment_undo(struct hg_attach_run *r)
{
	for (size_t i = r->n_undo; i--;)
		undo_one(r, &r->undo[i]);
}

void hg_attach_run_close(struct hg_attach_run *r)
{
	for (size_t i = 0; i < r->n_undo; i++)
		if (r->undo[i].fd >= 0)
			close(r->undo[i].fd);
	r->n_undo = 0;
}
