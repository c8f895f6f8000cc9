// SPDX-License-Identifier: MIT
/*
 * A network namespace of the caller's own: v0 (10.77.0.2, fd77::2) is to be guarded, v1 is its
 * other end. Frames are put into v1 and arrive at v0; packets to the neighbours 10.77.0.99 and
 * fd77::99 leave through v0.
 */
#include "drill.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "../net/hostile.h"
#include "../net/send.h"

static struct nlattr *nest(struct message *m, uint16_t type)
{
	struct nlattr *a = (struct nlattr *)(m->bytes + m->head.nlmsg_len);

	message_put(m, type, NULL, 0);
	return a;
}

static void nest_end(struct message *m, struct nlattr *a)
{
	a->nla_len = m->bytes + m->head.nlmsg_len - (uint8_t *)a;
}

static int route_ask(struct message *m)
{
	struct channel c = { .fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) };
	int ret;

	if (c.fd < 0)
		return -errno;
	ret = channel_ask(&c, m->bytes, m->head.nlmsg_len);
	channel_close(&c);
	return ret;
}

static void route_begin(struct message *m, uint16_t type, const void *fixed, size_t n)
{
	memset(m->bytes, 0, NLMSG_LENGTH(n));
	m->head.nlmsg_len = NLMSG_LENGTH(n);
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	memcpy(NLMSG_DATA(&m->head), fixed, n);
}

static int veth_add(void)
{
	const struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
	struct nlattr *info, *data, *peer;
	struct message m;

	route_begin(&m, RTM_NEWLINK, &fixed, sizeof(fixed));
	message_put(&m, IFLA_IFNAME, "v0", 3);
	info = nest(&m, IFLA_LINKINFO);
	message_put(&m, IFLA_INFO_KIND, "veth", 5);
	data = nest(&m, IFLA_INFO_DATA);
	peer = nest(&m, VETH_INFO_PEER);
	m.head.nlmsg_len += sizeof(fixed);
	memcpy((uint8_t *)peer + NLA_HDRLEN, &fixed, sizeof(fixed));
	message_put(&m, IFLA_IFNAME, "v1", 3);
	nest_end(&m, peer);
	nest_end(&m, data);
	nest_end(&m, info);
	return route_ask(&m);
}

static int address_add(int family, const char *text, unsigned int length)
{
	const struct ifaddrmsg fixed = { .ifa_family = family,
					 .ifa_prefixlen = length,
					 .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
					 .ifa_index = if_nametoindex("v0") };
	uint8_t addr[16];
	struct message m;

	inet_pton(family, text, addr);
	route_begin(&m, RTM_NEWADDR, &fixed, sizeof(fixed));
	message_put(&m, IFA_LOCAL, addr, family == AF_INET6 ? 16 : 4);
	message_put(&m, IFA_ADDRESS, addr, family == AF_INET6 ? 16 : 4);
	return route_ask(&m);
}

/* A neighbour that needs no question before a packet leaves. */
static int neighbour_add(int family, const char *text)
{
	const struct ndmsg fixed = { .ndm_family = family,
				     .ndm_ifindex = if_nametoindex("v0"),
				     .ndm_state = NUD_PERMANENT };
	uint8_t addr[16];
	struct message m;

	inet_pton(family, text, addr);
	route_begin(&m, RTM_NEWNEIGH, &fixed, sizeof(fixed));
	message_put(&m, NDA_DST, addr, family == AF_INET6 ? 16 : 4);
	message_put(&m, NDA_LLADDR, "\2drill", 6);
	return route_ask(&m);
}

/* Answers to strangers have a way: they leave by v0, or nobody would see that there are some. */
static int route_add(int family, const char *gateway)
{
	const struct rtmsg fixed = { .rtm_family = family,
				     .rtm_table = RT_TABLE_MAIN,
				     .rtm_protocol = RTPROT_STATIC,
				     .rtm_scope = RT_SCOPE_UNIVERSE,
				     .rtm_type = RTN_UNICAST };
	uint32_t index = if_nametoindex("v0");
	uint8_t addr[16];
	struct message m;

	inet_pton(family, gateway, addr);
	route_begin(&m, RTM_NEWROUTE, &fixed, sizeof(fixed));
	message_put(&m, RTA_GATEWAY, addr, family == AF_INET6 ? 16 : 4);
	message_put(&m, RTA_OIF, &index, sizeof(index));
	return route_ask(&m);
}

static int up(const char *name)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;

	strncpy(r.ifr_name, name, sizeof(r.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r))
		ret = -errno;
	r.ifr_flags |= IFF_UP;
	if (!ret && ioctl(fd, SIOCSIFFLAGS, &r))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

int world_enter(void)
{
	int ret;

	if (unshare(CLONE_NEWNET))
		return -errno;
	ret = up("lo");
	if (!ret)
		ret = veth_add();
	if (!ret)
		ret = up("v0");
	if (!ret)
		ret = up("v1");
	if (!ret)
		ret = address_add(AF_INET, "10.77.0.2", 24);
	if (!ret)
		ret = address_add(AF_INET6, "fd77::2", 64);
	if (!ret)
		ret = neighbour_add(AF_INET, "10.77.0.99");
	if (!ret)
		ret = neighbour_add(AF_INET6, "fd77::99");
	if (!ret)
		ret = route_add(AF_INET, "10.77.0.99");
	if (!ret)
		ret = route_add(AF_INET6, "fd77::99");
	return ret;
}

/* v0's own address: frames for another would not come to the stack. */
static void mac_of(uint8_t mac[6])
{
	struct ifreq r = { .ifr_name = "v0" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !ioctl(fd, SIOCGIFHWADDR, &r))
		memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	if (fd >= 0)
		close(fd);
}

void world_frames(int fd, int kind, unsigned int n)
{
	static uint8_t frame[HOSTILE_FRAME];
	struct hostile_target t = { .src_mac = "\2drill", .n_flows = 1 };

	mac_of(t.dst_mac);
	for (unsigned int i = 0; i < n; i++) {
		bool v6 = send_random() >> 63;

		t.size = v6 ? 16 : 4;
		inet_pton(v6 ? AF_INET6 : AF_INET, v6 ? "fd77::2" : "10.77.0.2", t.addr);
		inet_pton(v6 ? AF_INET6 : AF_INET, v6 ? "fd77::99" : "10.77.0.99",
			  t.flows[0].remote);
		t.flows[0].proto = IPPROTO_UDP;
		t.flows[0].local_port = 5000;
		t.flows[0].remote_port = send_random() >> 50;
		send(fd, frame,
		     hostile_frame(frame, &t,
				   kind < 0 ? (int)((send_random() >> 32) % HOSTILE_KINDS) : kind),
		     0);
	}
}

unsigned int world_file(int fd, FILE *f, unsigned int n)
{
	static uint8_t frame[HOSTILE_FRAME];
	unsigned int sent = 0;
	uint8_t head[2];

	for (; sent < n && fread(head, 2, 1, f) == 1; sent++) {
		size_t length = head[0] << 8 | head[1];

		if (length < 14 || length > sizeof(frame) || fread(frame, length, 1, f) != 1)
			break;
		mac_of(frame);
		send(fd, frame, length, 0);
	}
	return sent;
}

static void traffic_out(int v4, int v6, unsigned int n)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };

	inet_pton(AF_INET, "10.77.0.99", &to4.sin_addr);
	inet_pton(AF_INET6, "fd77::99", &to6.sin6_addr);
	for (unsigned int i = 0; i < n; i++) {
		to4.sin_port = to6.sin6_port = htons(send_random() >> 50);
		sendto(v4, "out", 3, MSG_DONTWAIT, (struct sockaddr *)&to4, sizeof(to4));
		sendto(v6, "out", 3, MSG_DONTWAIT, (struct sockaddr *)&to6, sizeof(to6));
	}
}

/* From port 5000, as the mutants believe; -1: nothing is sent. */
static int bound_socket(int family)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(5000) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(5000) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, ret;

	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		ret = bind(fd, (struct sockaddr *)&a6, sizeof(a6));
	} else {
		ret = bind(fd, (struct sockaddr *)&a4, sizeof(a4));
	}
	if (!ret)
		return fd;
	perror("drill: port 5000");
	if (fd >= 0)
		close(fd);
	return -1;
}

static void traffic(int v4, int v6, int wire)
{
	traffic_out(v4, v6, 50);
	world_frames(wire, -1, 200);
}

void world_traffic(void)
{
	int v4 = bound_socket(AF_INET), v6 = bound_socket(AF_INET6), wire = send_open("v1");

	traffic(v4, v6, wire);
	close(v4);
	close(v6);
	close(wire);
}

/* The child, who says by a byte through fd that it sends, and ends with its parent. */
static void traffic_forever(int fd)
{
	int v4 = bound_socket(AF_INET), v6 = bound_socket(AF_INET6), wire = send_open("v1");

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It takes the time that the others wait, not theirs: there may be one processor. */
	if (nice(19) < 0)
		perror("drill: nice");
	if (write(fd, "", 1) != 1) /* the parent has gone before it could be told of */
		_exit(1);
	for (;;)
		traffic(v4, v6, wire);
}

int world_traffic_start(void)
{
	int ends[2], pid;
	char byte;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_IGN);
		close(ends[0]);
		traffic_forever(ends[1]);
	}
	close(ends[1]);
	if (pid > 0 && read(ends[0], &byte, 1) != 1)
		perror("drill: no traffic");
	close(ends[0]);
	return pid;
}

void world_traffic_stop(int pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
