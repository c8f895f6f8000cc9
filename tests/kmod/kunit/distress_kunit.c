// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own alarm: sent when the heartbeat runs out, again after 1, 2, 4 seconds, and no
 * more when a heartbeat comes. A socket on the loopback listens; the guest has set it up.
 */
#include "suites.h"

#include <linux/in.h>
#include <linux/ktime.h>
#include <linux/net.h>
#include <net/sock.h>

#define LATE_MS 900 /* a busy emulator's */

static const char alarm[] = "the agent is silent";

/* A receiver on 127.0.0.1 and the port that it got. */
static struct socket *receiver(struct kunit *test, __be16 *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct socket *sock;

	KUNIT_ASSERT_EQ(test, sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &sock),
			0);
	KUNIT_ASSERT_EQ(test, kernel_bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	KUNIT_ASSERT_GT(test, kernel_getsockname(sock, (struct sockaddr *)&a), 0);
	*port = a.sin_port;
	return sock;
}

/* Milliseconds until a datagram came; -1: none within that many. */
static long receive(struct socket *sock, char *data, size_t n, int *length, u32 within_ms)
{
	struct kvec bytes = { .iov_base = data, .iov_len = n };
	struct msghdr msg = { 0 };
	u64 begin = ktime_get_ns();

	sock->sk->sk_rcvtimeo = msecs_to_jiffies(within_ms);
	*length = kernel_recvmsg(sock, &msg, &bytes, 1, n, 0);
	return *length < 0 ? -1 : (long)div_u64(ktime_get_ns() - begin, NSEC_PER_MSEC);
}

static void start(struct hg_guard *g, __be16 port, u32 seconds)
{
	struct hg_distress *d = &g->distress;

	mutex_lock(&hg_test_net.lock);
	hg_distress_stop(g);
	d->to = (struct hg_addr){ .a = { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) } };
	d->port = port;
	d->length = sizeof(alarm);
	memcpy(d->data, alarm, sizeof(alarm));
	if (seconds)
		hg_distress_start(g, seconds);
	mutex_unlock(&hg_test_net.lock);
}

static void distress_gaps_double(struct kunit *test)
{
	static const u32 gaps_s[] = { 1, 1, 2, 4 };
	struct hg_guard *g = hg_test_guard(test);
	char data[64];
	__be16 port;
	struct socket *sock = receiver(test, &port);
	int length;
	u32 i;

	start(g, port, 1);
	for (i = 0; i < ARRAY_SIZE(gaps_s); i++) {
		long ms = receive(sock, data, sizeof(data), &length,
				  gaps_s[i] * MSEC_PER_SEC + LATE_MS);

		KUNIT_EXPECT_EQ(test, length, (int)sizeof(alarm));
		KUNIT_EXPECT_EQ(test, memcmp(data, alarm, sizeof(alarm)), 0);
		KUNIT_EXPECT_GE(test, ms, (long)(gaps_s[i] * MSEC_PER_SEC) - LATE_MS);
	}
	start(g, port, 60); /* the agent is back */
	KUNIT_EXPECT_EQ(test, receive(sock, data, sizeof(data), &length, 1500), -1L);
	sock_release(sock);
	hg_test_guard_free(g);
}

static void distress_waits_for_heartbeats(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	char data[64];
	__be16 port;
	struct socket *sock = receiver(test, &port);
	int length;
	u32 i;

	for (i = 0; i < 4; i++) {
		start(g, port, 2);
		KUNIT_EXPECT_EQ(test, receive(sock, data, sizeof(data), &length, 700), -1L);
	}
	start(g, port, 0);
	KUNIT_EXPECT_EQ(test, receive(sock, data, sizeof(data), &length, 2500), -1L);
	KUNIT_EXPECT_FALSE(test, g->distress.expected);
	sock_release(sock);
	hg_test_guard_free(g);
}

static struct kunit_case cases[] = { KUNIT_CASE(distress_gaps_double),
				     KUNIT_CASE(distress_waits_for_heartbeats),
				     {} };

struct kunit_suite hg_distress_suite = { .name = "heliograph_distress", .test_cases = cases };
