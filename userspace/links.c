// SPDX-License-Identifier: MIT
/*
 * Links between sessions. Called by sync.c alone. What the kernel tells of links, addresses and
 * routes is only a reason to look: each look reads all of it, so nothing depends on an event that
 * was lost. Always true: while nobody waits and none is due to go down, nothing changes a link.
 */
#include "links.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <event2/event.h>
#include <linux/if_addr.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>
#include "../lib/conf.h"
#include "../lib/log.h"

#define LOOK_MS 1000 /* also without an event: an address ends being tentative without one */

struct hg_links {
	const struct hg_conf_list *names;
	struct nl_sock *requests, *events;
	struct event *readable, *look, *late, *down;
	void (*done)(void *ctx, const char *missing); /* NULL: nobody waits */
	void *ctx;
	char missing[128]; /* what the last look found missing */
};

static void event_in(struct event *e, uint64_t ms)
{
	event_add(e, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

/* 0 if the link is as wanted now; -errno. */
static int set_link(struct hg_links *l, const char *name, bool up)
{
	struct rtnl_link *have = NULL, *want = rtnl_link_alloc();
	int ret = want ? rtnl_link_get_kernel(l->requests, 0, name, &have) : -NLE_NOMEM;

	if (!ret && !(rtnl_link_get_flags(have) & IFF_UP) == up) {
		if (up)
			rtnl_link_set_flags(want, IFF_UP);
		else
			rtnl_link_unset_flags(want, IFF_UP);
		ret = rtnl_link_change(l->requests, have, want, 0);
	}
	if (ret)
		hg_warn("links: %s: cannot be taken %s: %s", name, up ? "up" : "down",
			nl_geterror(ret));
	rtnl_link_put(have);
	rtnl_link_put(want);
	return ret;
}

static void set_links(struct hg_links *l, bool up)
{
	for (size_t i = 0; i < l->names->count; i++)
		set_link(l, l->names->items[i], up);
}

static bool has_carrier(struct hg_links *l, const char *name)
{
	struct rtnl_link *link = NULL;
	bool has = !rtnl_link_get_kernel(l->requests, 0, name, &link) &&
		   (rtnl_link_get_flags(link) & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);

	rtnl_link_put(link);
	return has;
}

struct search {
	int ifindex, family;
	bool found;
};

static void look_address(struct nl_object *o, void *ctx)
{
	struct rtnl_addr *a = (struct rtnl_addr *)o;
	struct search *s = ctx;

	s->found |= rtnl_addr_get_ifindex(a) == s->ifindex &&
		    rtnl_addr_get_family(a) == s->family &&
		    rtnl_addr_get_scope(a) == RT_SCOPE_UNIVERSE &&
		    !(rtnl_addr_get_flags(a) & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
}

static void look_hop(struct rtnl_nexthop *hop, void *ctx)
{
	struct search *s = ctx;

	s->found |= rtnl_route_nh_get_ifindex(hop) == s->ifindex;
}

static void look_route(struct nl_object *o, void *ctx)
{
	struct rtnl_route *r = (struct rtnl_route *)o;
	struct nl_addr *to = rtnl_route_get_dst(r);

	if (rtnl_route_get_type(r) == RTN_UNICAST && (!to || !nl_addr_get_prefixlen(to)))
		rtnl_route_foreach_nexthop(r, look_hop, ctx);
}

static bool has_address(struct hg_links *l, struct search *s)
{
	struct nl_cache *cache;

	s->found = false;
	if (rtnl_addr_alloc_cache(l->requests, &cache))
		return false;
	nl_cache_foreach(cache, look_address, s);
	nl_cache_free(cache);
	return s->found;
}

static bool has_route(struct hg_links *l, struct search *s)
{
	struct nl_cache *cache;

	s->found = false;
	if (rtnl_route_alloc_cache(l->requests, s->family, 0, &cache))
		return false;
	nl_cache_foreach(cache, look_route, s);
	nl_cache_free(cache);
	return s->found;
}

/* How far the link is, 0..3; 3: it can be used. One family is enough, but it must have both. */
static int progress(struct hg_links *l, const char *name)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct search s = { .ifindex = (int)if_nametoindex(name) };
	int best = 1;

	if (!s.ifindex || !has_carrier(l, name))
		return 0;
	for (int i = 0; i < 2 && best < 3; i++) {
		s.family = families[i];
		if (has_address(l, &s))
			best = has_route(l, &s) ? 3 : 2;
	}
	return best;
}

static bool is_ready(struct hg_links *l)
{
	static const char *const lacks[] = { "no carrier", "no address", "no default route" };
	int best = -1, got;

	for (size_t i = 0; i < l->names->count && best < 3; i++) {
		got = progress(l, l->names->items[i]);
		if (got <= best)
			continue;
		best = got;
		if (best < 3)
			snprintf(l->missing, sizeof(l->missing), "%s: %s", l->names->items[i],
				 lacks[best]);
	}
	return best == 3;
}

static void tell(struct hg_links *l, const char *missing)
{
	void (*done)(void *ctx, const char *missing) = l->done;

	l->done = NULL;
	event_del(l->look);
	event_del(l->late);
	done(l->ctx, missing);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_links *l = ctx;

	if (!l->done)
		return;
	if (is_ready(l))
		tell(l, NULL);
	else
		event_in(l->look, LOOK_MS);
}

static void on_late(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_links *l = ctx;

	if (l->done)
		tell(l, is_ready(l) ? NULL : l->missing);
}

static void on_down(evutil_socket_t fd, short what, void *ctx)
{
	set_links(ctx, false);
}

/* What they say is not looked at. */
static void on_events(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_links *l = ctx;
	char buf[8192];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		errno = 0;
	if (l->done)
		event_in(l->look, 0);
}

static int open_sockets(struct hg_links *l)
{
	int ret;

	l->requests = nl_socket_alloc();
	l->events = nl_socket_alloc();
	if (!l->requests || !l->events)
		return -NLE_NOMEM;
	ret = nl_connect(l->requests, NETLINK_ROUTE);
	if (!ret)
		ret = nl_connect(l->events, NETLINK_ROUTE);
	if (!ret)
		ret = nl_socket_add_memberships(l->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
						RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
						RTNLGRP_IPV6_ROUTE, 0);
	return ret ? ret : nl_socket_set_nonblocking(l->events);
}

struct hg_links *hg_links_new(struct event_base *base, const struct hg_conf_list *names, char *err,
			      size_t err_size)
{
	struct hg_links *l = calloc(1, sizeof(*l));
	int ret = l ? open_sockets(l) : -NLE_NOMEM;

	if (!ret) {
		l->names = names;
		l->readable = event_new(base, nl_socket_get_fd(l->events), EV_READ | EV_PERSIST,
					on_events, l);
		l->look = event_new(base, -1, 0, on_look, l);
		l->late = event_new(base, -1, 0, on_late, l);
		l->down = event_new(base, -1, 0, on_down, l);
		if (!l->readable || !l->look || !l->late || !l->down)
			ret = -NLE_NOMEM;
	}
	if (ret) {
		snprintf(err, err_size, "links: %s", nl_geterror(ret));
		hg_links_free(l);
		return NULL;
	}
	event_add(l->readable, NULL);
	set_links(l, true);
	return l;
}

void hg_links_free(struct hg_links *l)
{
	struct event *events[4];

	if (!l)
		return;
	events[0] = l->readable, events[1] = l->look, events[2] = l->late, events[3] = l->down;
	for (int i = 0; i < 4; i++)
		if (events[i])
			event_free(events[i]);
	if (l->names)
		set_links(l, true);
	nl_socket_free(l->requests);
	nl_socket_free(l->events);
	free(l);
}

void hg_links_up(struct hg_links *l, uint64_t timeout_ms,
		 void (*done)(void *ctx, const char *missing), void *ctx)
{
	event_del(l->down);
	l->done = done;
	l->ctx = ctx;
	set_links(l, true);
	event_in(l->look, 0);
	event_in(l->late, timeout_ms);
}

void hg_links_down(struct hg_links *l, uint64_t in_ms)
{
	l->done = NULL;
	event_del(l->look);
	event_del(l->late);
	event_in(l->down, in_ms);
}
