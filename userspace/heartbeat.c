// SPDX-License-Identifier: MIT
/*
 * Heartbeat: renews the guard's three times as often as it runs out, for watch.c. The alarm that
 * lies with it has a number of its own, taken when it is signed and given to nothing else; so the
 * alarm is made anew when the kernel may have sent it, and when so many younger statements were
 * sent that the collector's replay window would pass it by.
 *
 * It carries no time: what was true when it was signed says nothing of when it is sent.
 */
#include "heartbeat.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/log.h"

#define YOUNGER_MAX 32 /* half of the window, see struct hg_replay */

struct hg_heartbeat {
	struct hg_alarm_sender *sender;
	unsigned int timeout_s;
	struct event *timer;
	const struct hg_guard_ops *ops;
	struct hg_guard *guard; /* NULL: none */
	struct hg_guard_distress distress;
	uint64_t counter; /* of the datagram in it; 0: none yet */
	int error;	  /* of the last beat; 1: none yet */
};

static bool run_out(const struct hg_heartbeat *h)
{
	struct hg_guard_keeping k;

	return h->ops->keeping && !h->ops->keeping(h->guard, &k) && k.heartbeat_left == 0;
}

static int sign(struct hg_heartbeat *h)
{
	long n = hg_alarm_sender_silenced(h->sender, h->timeout_s, h->distress.datagram,
					  sizeof(h->distress.datagram), &h->counter);

	if (n < 0)
		return (int)n;
	h->distress.length = (size_t)n;
	return 0;
}

static int beat(struct hg_heartbeat *h)
{
	int ret = 0;

	if (run_out(h)) {
		if (h->counter)
			hg_warn("heartbeat: it came too late; the kernel has told the collector "
				"that the agent is silent");
		h->counter = 0;
	}
	if (!h->counter || hg_alarm_sender_newest(h->sender) - h->counter > YOUNGER_MAX)
		ret = sign(h);
	return ret ? ret : h->ops->heartbeat(h->guard, h->timeout_s, &h->distress);
}

static bool can_beat(const struct hg_heartbeat *h)
{
	return h->guard && h->ops->heartbeat && h->timeout_s && h->distress.port;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_heartbeat *h = ctx;
	int ret;

	if (!can_beat(h))
		return;
	ret = beat(h);
	if (ret && ret != h->error)
		hg_error("heartbeat: the guard does not take it: %s; if the agent is silenced "
			 "nobody will be told",
			 strerror(-ret));
	else if (!ret && h->error < 0)
		hg_info("heartbeat: the guard takes it again");
	h->error = ret;
}

struct hg_heartbeat *hg_heartbeat_new(struct event_base *base, struct hg_alarm_sender *sender,
				      unsigned int timeout_s)
{
	struct hg_heartbeat *h = calloc(1, sizeof(*h));
	struct timeval gap = { timeout_s / 3, timeout_s % 3 * 333333 };

	if (!h)
		return NULL;
	h->sender = sender;
	h->timeout_s = sender ? timeout_s : 0;
	h->error = 1;
	if (!h->timeout_s)
		return h;
	h->timer = event_new(base, -1, EV_PERSIST, on_timer, h);
	if (h->timer && !event_add(h->timer, &gap))
		return h;
	hg_heartbeat_free(h);
	return NULL;
}

/* -ENODEV: there is no guard any more that could expect one. */
static void stop(struct hg_heartbeat *h)
{
	struct hg_guard_keeping k;
	int ret;

	if (!h->guard || !h->ops->heartbeat || h->ops->keeping(h->guard, &k) ||
	    k.heartbeat_left < 0)
		return;
	ret = h->ops->heartbeat(h->guard, 0, NULL);
	if (ret == -EACCES)
		hg_warn("heartbeat: the guard is locked: in %d s the kernel will tell the "
			"collector that the agent is silent",
			k.heartbeat_left);
	else if (ret)
		hg_warn("heartbeat: cannot be ended: %s", strerror(-ret));
}

void hg_heartbeat_free(struct hg_heartbeat *h)
{
	if (!h)
		return;
	stop(h);
	if (h->timer)
		event_free(h->timer);
	free(h);
}

void hg_heartbeat_set_guard(struct hg_heartbeat *h, const struct hg_guard_ops *ops,
			    struct hg_guard *guard)
{
	h->ops = ops;
	h->guard = guard;
	if (!h->timeout_s)
		stop(h);
	on_timer(-1, 0, h);
}

void hg_heartbeat_set_collector(struct hg_heartbeat *h, const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	struct hg_addr to = { .a[2] = htonl(0xffff), .a[3] = in4->sin_addr.s_addr };

	if (addr->ss_family == AF_INET6)
		memcpy(&to, &in6->sin6_addr, sizeof(to));
	h->distress.to = to;
	h->distress.port = in4->sin_port; /* at the same place in both */
	on_timer(-1, 0, h);
}

void hg_heartbeat_sign_anew(struct hg_heartbeat *h)
{
	h->counter = 0;
	on_timer(-1, 0, h);
}

json_t *hg_heartbeat_status(const struct hg_heartbeat *h)
{
	struct hg_guard_keeping k;
	const char *why = "";

	if (!h || !h->timeout_s)
		why = "not configured";
	else if (!h->guard)
		why = "there is no guard";
	else if (!h->ops->heartbeat)
		why = "a guard of this host cannot send by itself";
	else if (!h->distress.port)
		why = "the collector's address is not known yet";
	else if (h->error || h->ops->keeping(h->guard, &k) || k.heartbeat_left < 0)
		why = "the guard does not take it";
	return json_pack("{s:b, s:i, s:s}", "kept", !*why, "timeout", h ? (int)h->timeout_s : 0,
			 "why", why);
}
