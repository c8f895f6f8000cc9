// SPDX-License-Identifier: MIT
/*
 * Guard, profile, names, detector and alarm sender as one part of the agent. Peers are what the
 * configuration names by address, and what names resolve to as the agent learns it; the guard gets
 * them anew only when they differ. When a link changes, and every TICK_S, the guard's attachment is
 * looked at: an interface that came back, or whose programs somebody took away, is guarded again.
 * What becomes of an alarm is in watch-alarm.c.
 */
#include "watch-state.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent.h"
#include "alarm.h"
#include "answers.h"
#include "detect.h"
#include "guard-conf.h"
#include "guard-host.h"
#include "guard-profile.h"
#include "heartbeat.h"
#include "profile-compile.h"
#include "profile-sign.h"
#include "resolver.h"
#include "store.h"
#include "../lib/log.h"

#define TICK_S 10
#define COLLECTOR_KNOWN_S 600 /* then its name is resolved again */

static size_t add_peer(struct hg_peer *peers, size_t n, const struct sockaddr_storage *addr,
		       __u8 proto, __u8 role)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	struct hg_peer p = { .proto = proto, .role = role, .port = in4->sin_port };

	if (n == HG_PEERS_MAX)
		return n;
	if (addr->ss_family == AF_INET6) {
		memcpy(&p.addr, &in6->sin6_addr, sizeof(p.addr));
	} else {
		p.addr.a[2] = htonl(0xffff);
		p.addr.a[3] = in4->sin_addr.s_addr;
	}
	for (size_t i = 0; i < n; i++) {
		if (!memcmp(&peers[i], &p, sizeof(p)))
			return n;
	}
	peers[n] = p;
	return n + 1;
}

/* Gives the guard peers and rules if the peers changed, or anyway. */
static void update_peers(struct hg_watch *w, bool anyway)
{
	struct hg_peer peers[HG_PEERS_MAX] = { 0 };
	size_t n;
	int ret;

	if (!w->guard)
		return;
	n = hg_guard_peers_conf(peers, &w->agent->conf, "/etc/resolv.conf");
	for (size_t i = 0; i < w->n_mirror; i++)
		n = add_peer(peers, n, &w->mirror[i], IPPROTO_TCP, HG_PEER_MIRROR);
	if (w->n_collector)
		n = add_peer(peers, n, &w->collector, IPPROTO_UDP, HG_PEER_COLLECTOR);
	if (!anyway && n == w->n_peers && !memcmp(peers, w->peers, n * sizeof(*peers)))
		return;
	ret = w->host->set_profile(w->guard, peers, n, w->profile ? w->profile->rules : NULL,
				   w->profile ? w->profile->n_rules : 0,
				   w->profile ? w->profile->bounds : NULL);
	if (ret == -EACCES && w->locked)
		return;
	w->locked = ret == -EACCES;
	if (ret) {
		hg_error("guard: peers and profile not set: %s",
			 w->locked ? "it is locked, they stay as they are" : strerror(-ret));
		return;
	}
	memcpy(w->peers, peers, sizeof(peers));
	w->n_peers = n;
}

static int start_detector(struct hg_watch *w);

/* The guard that was there before, if any, is this one in an older form. */
static void take_guard(struct hg_watch *w, const struct hg_guard_ops *ops, struct hg_guard *g)
{
	if (ops->clock(g) == HG_CLOCK_AGENT &&
	    (!w->guard || w->host->clock(w->guard) != HG_CLOCK_AGENT))
		hg_warn("guard: this kernel takes no timer: what the device does is scored only "
			"while the agent runs");
	if (w->guard)
		w->host->close(w->guard);
	w->host = ops;
	w->guard = g;
	if (w->detect)
		hg_detect_set_guard(w->detect, ops, g);
	if (w->heartbeat)
		hg_heartbeat_set_guard(w->heartbeat, ops, g);
}

/* One that is locked is taken as it is: it guards. */
static int take_locked(struct hg_watch *w, struct hg_guard_options *o, struct hg_guard_pick *pick,
		       struct hg_guard **g, char *err, size_t err_size)
{
	char why[256] = "";
	int ret;

	if (w->guard)
		return -EACCES;
	ret = hg_guard_open(o->host, o->pin_dir, &pick->ops, g, why, sizeof(why));
	if (ret)
		return -EACCES;
	hg_warn("guard: %s; it stays as it is", err);
	snprintf(pick->why, sizeof(pick->why), "its guard is locked");
	o->n_interfaces = 0;
	return 0;
}

static int attach(struct hg_watch *w, char *err, size_t err_size)
{
	const struct hg_guard_ops *before = w->host;
	struct hg_guard_options o;
	struct hg_guard_pick pick;
	struct hg_guard *g;
	int ret = hg_guard_options_conf(&o, &w->agent->conf, err, err_size);

	if (!ret)
		ret = hg_guard_attach(&o, &pick, &g, err, err_size);
	if (ret == -EACCES)
		ret = take_locked(w, &o, &pick, &g, err, err_size);
	if (ret)
		return ret;
	ret = w->profile ? hg_guard_compile(pick.ops, g, w->source, w->profile) : 0;
	if (ret) {
		pick.ops->close(g);
		return ret;
	}
	if (w->answers)
		hg_answers_set_profile(w->answers, w->profile);
	take_guard(w, pick.ops, g);
	if (w->host != before)
		hg_info("guard: host %s: %s", w->host->name, pick.why);
	for (size_t i = 0; i < o.n_interfaces; i++)
		hg_info("guard: %s: %s, %s", o.interfaces[i].name, hg_policy_name(o.config.policy),
			hg_guard_mode_name(o.interfaces[i].got));
	update_peers(w, true);
	if (w->answers)
		hg_answers_set_guard(w->answers, w->host, g);
	return 0;
}

static bool is_in(const struct hg_guard_interface *list, size_t n, unsigned int ifindex)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].ifindex == ifindex && list[i].got != HG_GUARD_AUTO)
			return true;
	}
	return false;
}

/* Every name in the configuration is an interface that has its programs, and the timer runs. */
static bool is_attached(struct hg_watch *w)
{
	struct hg_guard_interface list[HG_GUARD_INTERFACES_MAX];
	const struct hg_conf_list *names = &w->agent->conf.guard.interfaces;
	size_t n = 0;

	if (!w->guard || w->host->interfaces(w->guard, list, &n) ||
	    w->host->clock(w->guard) == HG_CLOCK_STOPPED)
		return false;
	for (size_t i = 0; i < names->count; i++) {
		unsigned int ifindex = if_nametoindex(names->items[i]);

		if (!ifindex || !is_in(list, n, ifindex))
			return false;
	}
	return true;
}

static void keep_attached(struct hg_watch *w)
{
	char err[256] = "";

	if (!w->agent->conf.guard.interfaces.count || is_attached(w)) {
		w->guard_error[0] = '\0';
		return;
	}
	if (!attach(w, err, sizeof(err))) {
		w->guard_error[0] = '\0';
		/* It could not watch while there was no guard at all. */
		if (w->profile && !w->detect && start_detector(w))
			hg_error("guard: out of memory: traffic is not watched");
	} else if (strcmp(err, w->guard_error)) {
		snprintf(w->guard_error, sizeof(w->guard_error), "%s", err);
		hg_error("guard: not all interfaces are guarded: %s", err);
	}
}

static void on_collector(void *ctx, const char *error, const struct sockaddr_storage *addrs,
			 size_t n)
{
	struct hg_watch *w = ctx;
	int ret = -EADDRNOTAVAIL;

	w->lookup = NULL;
	if (error) {
		hg_warn("alarm: collector %s: %s", w->agent->conf.collector.host, error);
		return;
	}
	w->collector_known_ms = hg_uptime_ms();
	for (size_t i = 0; w->n_collector && i < n; i++)
		if (!memcmp(&w->collector, &addrs[i], sizeof(*addrs)))
			return;
	for (size_t i = 0; ret && i < n; i++) {
		w->collector = addrs[i];
		w->n_collector = 1;
		update_peers(w, false); /* first: its answers are to pass */
		ret = hg_alarm_sender_connect(w->sender, (const struct sockaddr *)&addrs[i],
					      addrs[i].ss_family == AF_INET6
						      ? sizeof(struct sockaddr_in6)
						      : sizeof(struct sockaddr_in));
	}
	if (!ret) {
		if (w->heartbeat)
			hg_heartbeat_set_collector(w->heartbeat, &w->collector);
		return;
	}
	hg_warn("alarm: collector %s: %s", w->agent->conf.collector.host, strerror(-ret));
	w->n_collector = 0;
	w->collector_known_ms = 0;
	update_peers(w, false);
}

/*
 * What is kept out between sessions, as the guard has it: one that is locked stays as it was made,
 * whatever the configuration says.
 */
static enum hg_gate gate_of(struct hg_watch *w)
{
	struct hg_guard_config c;

	if (!w->guard || w->host->get_config(w->guard, &c) || !(c.flags & HG_GUARD_GATE))
		return HG_GATE_NO;
	return c.flags & HG_GUARD_GATE_SERVICES ? HG_GATE_SERVICES : HG_GATE_STRICT;
}

static void find_collector(struct hg_watch *w)
{
	const struct hg_agent_conf *c = &w->agent->conf;

	if (!w->sender || w->lookup)
		return;
	if (w->collector_known_ms &&
	    hg_uptime_ms() - w->collector_known_ms < COLLECTOR_KNOWN_S * 1000)
		return;
	if (hg_uptime_ms() >= w->open_until_ms && gate_of(w) == HG_GATE_STRICT)
		return; /* no name server's answer would come in; the next session is soon enough */
	w->lookup = hg_lookup_new(w->agent->resolver, c->collector.host, c->collector.port,
				  on_collector, w);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_watch *w = ctx;

	keep_attached(w);
	update_peers(w, false);
	find_collector(w);
	if (w->answers)
		hg_answers_tick(w->answers, hg_uptime_ms() / 1000);
}

/* What changed does not matter: all interfaces are looked at. */
static void on_links(evutil_socket_t fd, short what, void *ctx)
{
	char buf[8192];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	keep_attached(ctx);
}

/* Without it an interface that comes back is guarded with the next tick only. */
static int follow_links(struct hg_watch *w)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	w->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (w->link_fd < 0 || bind(w->link_fd, (struct sockaddr *)&nl, sizeof(nl)))
		return -errno;
	w->links = event_new(w->agent->base, w->link_fd, EV_READ | EV_PERSIST, on_links, w);
	if (!w->links)
		return -ENOMEM;
	event_add(w->links, NULL);
	return 0;
}

static void on_dns_answer(void *ctx, const struct hg_answer_event *e)
{
	struct hg_watch *w = ctx;

	if (w->answers)
		hg_answers_take(w->answers, e, hg_uptime_ms() / 1000);
}

/* Before the guard: the names are to be there when it is given the profile. */
static int start_answers(struct hg_watch *w)
{
	char file[4096];
	int n = snprintf(file, sizeof(file), "%s.names", w->agent->conf.agent.socket);

	w->answers = hg_answers_new(n < (int)sizeof(file) ? file : NULL, hg_uptime_ms() / 1000);
	if (!w->answers)
		return -ENOMEM;
	hg_answers_set_profile(w->answers, w->profile);
	return 0;
}

static int start_detector(struct hg_watch *w)
{
	struct hg_detect_options o = {
		.base = w->agent->base,
		.ops = w->host,
		.guard = w->guard,
		.alarm = hg_watch_on_alarm,
		.answer = on_dns_answer,
		.ctx = w,
	};

	w->detect = hg_detect_new(&o);
	if (!w->detect)
		return -ENOMEM;
	hg_info("guard: traffic is watched by the profile of %s", w->profile->model);
	return 0;
}

/* Both hold traffic against a profile. */
static void check_profile(const struct hg_agent_conf *c)
{
	if (c->profile.file)
		return;
	if (c->guard.confine)
		hg_warn("guard: confine without [profile] file: only mirror, collector, name and "
			"time servers can be reached");
	if (c->guard.police)
		hg_warn("guard: police without [profile] file: there are no bounds to hold");
}

static int start_guard(struct hg_watch *w, char *err, size_t err_size)
{
	int ret = attach(w, err, err_size);

	if (!ret)
		return 0;
	if (w->agent->conf.guard.required) {
		char why[256];

		snprintf(why, sizeof(why), "%s", err[0] ? err : strerror(-ret));
		snprintf(err, err_size,
			 "guard: %s; the device would be open, so nothing is started "
			 "([guard] required = no runs without)",
			 why);
		return ret;
	}
	snprintf(w->guard_error, sizeof(w->guard_error), "%s", err);
	hg_error("guard: THIS DEVICE IS NOT GUARDED: %s; tried again every %d s", err, TICK_S);
	return 0;
}

/* Where a maker signs, nobody is to put an older profile in place of a newer one. */
static int take_serial(struct hg_watch *w, const struct hg_profile *p, char *err, size_t err_size)
{
	uint64_t last = 0;
	int ret;

	if (!w->agent->conf.profile.maker)
		return 0;
	ret = hg_store_profile(w->agent->store, p->model, p->firmware, p->serial, &last);
	if (ret == -ESTALE) {
		snprintf(err, err_size,
			 "%s: has serial %llu, and %llu was used before for %s %s; issue it anew "
			 "with a higher one",
			 w->agent->conf.profile.file, (unsigned long long)p->serial,
			 (unsigned long long)last, p->model, p->firmware);
		return -EKEYREJECTED;
	}
	if (ret)
		hg_warn("profile: its serial is not kept: %s", hg_store_error(w->agent->store));
	return 0;
}

/* A profile out of its time is no reason to leave the device without guard and mirror. */
static int load_profile(struct hg_watch *w, char *err, size_t err_size)
{
	const struct hg_agent_conf *c = &w->agent->conf;
	int ret = -ENOMEM;

	w->source = calloc(1, sizeof(*w->source));
	w->profile = calloc(1, sizeof(*w->profile));
	if (w->source && w->profile)
		ret = hg_profile_accept(c->profile.file, c->profile.maker, w->source, err,
					err_size);
	if (!ret)
		ret = take_serial(w, w->source, err, err_size);
	if (!ret)
		ret = hg_profile_compile(w->source, NULL, w->profile);
	if (ret == -EKEYEXPIRED) {
		hg_error("profile: %s; traffic is not watched", err);
		free(w->profile);
		w->profile = NULL;
		ret = 0;
	}
	return ret;
}

int hg_watch_new(struct hg_agent *agent, struct hg_watch **out, char *err, size_t err_size)
{
	const struct hg_agent_conf *c = &agent->conf;
	struct hg_watch *w;
	int ret = 0;

	if (!c->guard.interfaces.count && !c->collector.host) {
		hg_warn("guard: no [guard] interface is configured: this device is not guarded");
		return 0;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->agent = agent;
	w->link_fd = -1;
	w->tick = event_new(agent->base, -1, EV_PERSIST, on_tick, w);
	if (!w->tick)
		ret = -ENOMEM;
	if (!ret && c->profile.file)
		ret = load_profile(w, err, err_size);
	if (!ret && c->guard.interfaces.count)
		ret = follow_links(w);
	if (!ret && c->guard.interfaces.count && w->profile)
		ret = start_answers(w);
	if (!ret && c->guard.interfaces.count) {
		check_profile(c);
		ret = start_guard(w, err, err_size);
	}
	if (!ret && c->collector.host)
		ret = hg_watch_start_sender(w, err, err_size);
	if (!ret && c->guard.interfaces.count)
		ret = hg_watch_start_heartbeat(w);
	if (!ret && w->profile && w->guard)
		ret = start_detector(w);
	if (ret) {
		hg_watch_free(w);
		return ret;
	}
	event_add(w->tick, &(struct timeval){ TICK_S, 0 });
	find_collector(w);
	*out = w;
	return 0;
}

void hg_watch_free(struct hg_watch *w)
{
	if (!w)
		return;
	hg_lookup_cancel(w->lookup);
	hg_detect_free(w->detect);
	hg_answers_free(w->answers);
	hg_heartbeat_free(w->heartbeat);
	hg_alarm_sender_free(w->sender);
	if (w->tick)
		event_free(w->tick);
	if (w->links)
		event_free(w->links);
	if (w->link_fd >= 0)
		close(w->link_fd);
	if (w->guard)
		w->host->close(w->guard);
	free(w->source);
	free(w->profile);
	free(w);
}

void hg_watch_mirror(struct hg_watch *w, const struct sockaddr_storage *addrs, size_t n)
{
	w->n_mirror = n < HG_ADDRESSES_MAX ? n : HG_ADDRESSES_MAX;
	memcpy(w->mirror, addrs, w->n_mirror * sizeof(*addrs));
	update_peers(w, false);
}

void hg_watch_gate(struct hg_watch *w, uint64_t ms)
{
	uint64_t s = (ms + 999) / 1000 + 1; /* it counts whole seconds, and one has begun */
	int ret;

	if (gate_of(w) == HG_GATE_NO)
		return;
	ret = w->host->gate(w->guard, s < HG_HEARTBEAT_MAX ? s : HG_HEARTBEAT_MAX);
	if (ret)
		hg_warn("guard: the gate is as it was: %s", strerror(-ret));
	w->open_until_ms = hg_uptime_ms() + ms;
	find_collector(w);
}
