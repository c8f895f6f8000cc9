// SPDX-License-Identifier: MIT
/*
 * hg-guest: what a test needs inside a guest that has busybox only; static, no library.
 *
 *   netns NAME                 makes a network namespace, /run/netns/NAME, with lo up
 *   in NAME CMD ARG..          runs a command in it ("-": here)
 *   veth IF NS IF NS           makes a pair, each end in its namespace
 *   serve PORT                 TCP and UDP, both families, answers everybody; in the background
 *   echo ADDR PORT             opens a UDP flow to there and returns what comes on it; background
 *   probe IF SRC DST PORT      from outside: waits for that flow on PORT, probes the device as
 *                              nmap does, and prints "probed N answered M"
 *   scan COUNT RATE            SYNs to random addresses, as a bot looks for others
 *
 * A negative needs no waiting: after the probes a datagram goes over the device's own flow, and
 * when it is back every answer that there was has come, too.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void die(const char *what)
{
	fprintf(stderr, "hg-guest: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int ns_open(const char *name)
{
	char path[256] = "/proc/self/ns/net";
	int fd;

	if (strcmp(name, "-"))
		snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static int netns(const char *name)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_CREAT | O_EXCL | O_RDONLY, 0444);
	if (fd < 0)
		die(path);
	close(fd);
	if (unshare(CLONE_NEWNET))
		die("unshare");
	if (mount("/proc/self/ns/net", path, "none", MS_BIND, NULL))
		die("mount");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo))
		die("lo");
	return 0;
}

static char message[1024];
static struct nlmsghdr *const head = (void *)message;

static void *put(int type, const void *data, size_t len)
{
	struct nlattr *a = (void *)(message + NLMSG_ALIGN(head->nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + NLA_ALIGN(a->nla_len);
	return a;
}

static void end(struct nlattr *nest)
{
	nest->nla_len = message + head->nlmsg_len - (char *)nest;
}

static int veth(char **v)
{
	int one = ns_open(v[1]), other = ns_open(v[3]), fd;
	struct nlattr *info, *data, *peer;
	struct ifinfomsg zero = { 0 };
	char answer[4096];
	struct nlmsghdr *reply = (void *)answer;

	head->nlmsg_type = RTM_NEWLINK;
	head->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	head->nlmsg_len = NLMSG_LENGTH(sizeof(zero));
	put(IFLA_IFNAME, v[0], strlen(v[0]) + 1);
	put(IFLA_NET_NS_FD, &one, 4);
	info = put(IFLA_LINKINFO, NULL, 0);
	put(IFLA_INFO_KIND, "veth", 5);
	data = put(IFLA_INFO_DATA, NULL, 0);
	peer = put(VETH_INFO_PEER, &zero, sizeof(zero));
	put(IFLA_IFNAME, v[2], strlen(v[2]) + 1);
	put(IFLA_NET_NS_FD, &other, 4);
	end(peer);
	end(data);
	end(info);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0 || send(fd, message, head->nlmsg_len, 0) < 0 ||
	    recv(fd, answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		die("netlink");
	errno = reply->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(reply))->error
						 : EPROTO;
	if (errno)
		die("veth");
	return 0;
}

static int listener(int kind, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int on = 1, fd = socket(AF_INET6, kind, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (void *)&a, sizeof(a)) || (kind == SOCK_STREAM && listen(fd, 16)))
		die("listen");
	return fd;
}

/* Returns in the child only; the parent ends well, and what was prepared is there. */
static void background(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		exit(0);
	setsid();
}

static void answer(int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char data[2048];
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, (void *)&from, &len);

	if (n >= 0 && sendto(fd, data, n, 0, (void *)&from, len) < 0)
		perror("hg-guest: answer");
}

static _Noreturn void serve(int port)
{
	int tcp = listener(SOCK_STREAM, port), udp = listener(SOCK_DGRAM, port);
	struct pollfd p[2] = { { tcp, POLLIN, 0 }, { udp, POLLIN, 0 } };

	background();
	for (;;) {
		if (poll(p, 2, -1) < 0)
			die("poll");
		if (p[0].revents)
			close(accept(tcp, NULL, NULL));
		if (p[1].revents)
			answer(udp);
	}
}

static _Noreturn void echo(const char *address, int port)
{
	int v6 = strchr(address, ':') != NULL, fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(v6 ? AF_INET6 : AF_INET, address,
		      v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1)
		die(address);
	if (connect(fd, v6 ? (void *)&a6 : (void *)&a4, v6 ? sizeof(a6) : sizeof(a4)))
		die("connect");
	background();
	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };

		/* Until the other side is there, and it knows the flow. */
		if (send(fd, "open", 4, 0) < 0 && errno != ECONNREFUSED)
			die("send");
		while (poll(&p, 1, 1000) > 0) {
			char data[64];
			ssize_t n = recv(fd, data, sizeof(data), 0);

			if (n > 0 && send(fd, data, n, 0) < 0)
				break;
		}
	}
}

int main(int c, char **v)
{
	signal(SIGPIPE, SIG_IGN);
	if (c == 3 && !strcmp(v[1], "netns"))
		return netns(v[2]);
	if (c >= 4 && !strcmp(v[1], "in")) {
		if (setns(ns_open(v[2]), CLONE_NEWNET))
			die("setns");
		execvp(v[3], v + 3);
		die(v[3]);
	}
	if (c == 6 && !strcmp(v[1], "veth"))
		return veth(v + 2);
	if (c == 3 && !strcmp(v[1], "serve"))
		serve(atoi(v[2]));
	if (c == 4 && !strcmp(v[1], "echo"))
		echo(v[2], atoi(v[3]));
	if (c == 6 && !strcmp(v[1], "probe"))
		return probe(v[2], v[3], v[4], atoi(v[5]));
	if (c == 4 && !strcmp(v[1], "scan"))
		return scan(atoi(v[2]), atoi(v[3]));
	fprintf(stderr, "hg-guest: netns|in|veth|serve|echo|probe|scan; see guest.c\n");
	return 2;
}
