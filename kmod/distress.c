// SPDX-License-Identifier: GPL-2.0
/*
 * The alarm that the agent has left with the kernel, for the case that somebody silences the agent.
 * Each heartbeat puts the work off; when none comes in time the work sends the datagram, again and
 * again with growing gaps until a heartbeat comes. What is written here is written with hg_net.lock
 * and while the work is cancelled.
 *
 * The socket lives as long as one datagram, so that it never holds the namespace.
 */
#include "guard.h"

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ktime.h>
#include <linux/net.h>
#include <net/sock.h>
#include "../core/addr.h"

#define HG_DISTRESS_GAP_MAX 300u /* seconds */

static int send_to(struct net *net, int family, struct sockaddr *to, int length, const void *data,
		   size_t n)
{
	struct kvec bytes = { .iov_base = (void *)data, .iov_len = n };
	struct msghdr msg = {
		.msg_name = to,
		.msg_namelen = length,
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
	};
	struct socket *sock;
	int ret;

	ret = sock_create_kern(net, family, SOCK_DGRAM, IPPROTO_UDP, &sock);
	if (ret)
		return ret;
	sock->sk->sk_priority = 6; /* TC_PRIO_INTERACTIVE, as the agent's own alarms */
	ret = kernel_sendmsg(sock, &msg, &bytes, 1, n);
	sock_release(sock);
	return ret < 0 ? ret : 0;
}

static int send(struct hg_guard *g)
{
	const struct hg_distress *d = &g->distress;
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = d->port };
	struct sockaddr_in to4 = {
		.sin_family = AF_INET,
		.sin_port = d->port,
		.sin_addr.s_addr = d->to.a[3],
	};

	if (hg_addr_is_ipv4(&d->to))
		return send_to(g->net, AF_INET, (struct sockaddr *)&to4, sizeof(to4), d->data,
			       d->length);
	memcpy(&to6.sin6_addr, &d->to, sizeof(to6.sin6_addr));
	return send_to(g->net, AF_INET6, (struct sockaddr *)&to6, sizeof(to6), d->data, d->length);
}

/* Seconds until the next one after this many. */
static u32 gap(u32 times)
{
	return times < 9 ? min_t(u32, 1u << times, HG_DISTRESS_GAP_MAX) : HG_DISTRESS_GAP_MAX;
}

static void on_silence(struct work_struct *work)
{
	struct hg_distress *d = container_of(to_delayed_work(work), struct hg_distress, work);
	struct hg_guard *g = container_of(d, struct hg_guard, distress);
	struct hg_distress_event e = {
		.head.type = HG_EVENT_DISTRESS,
		.head.length = sizeof(e),
		.to = d->to,
		.port = d->port,
		.next_s = gap(d->times),
		.error = d->length ? send(g) : -ENODATA,
	};

	e.times = ++d->times;
	e.head.time_ns = ktime_get_ns();
	schedule_delayed_work(&d->work, e.next_s * HZ);
	hg_event_send(g, &e, sizeof(e));
}

void hg_distress_init(struct hg_guard *g)
{
	INIT_DELAYED_WORK(&g->distress.work, on_silence);
}

/* No heartbeat is expected any more. */
void hg_distress_stop(struct hg_guard *g)
{
	cancel_delayed_work_sync(&g->distress.work);
	g->distress.expected = false;
	g->distress.times = 0;
}

/* A heartbeat is expected within so many seconds. Called after hg_distress_stop(). */
void hg_distress_start(struct hg_guard *g, u32 seconds)
{
	g->distress.expected = true;
	g->distress.due_s = ktime_get_seconds() + seconds;
	schedule_delayed_work(&g->distress.work, seconds * HZ);
}
