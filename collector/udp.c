// SPDX-License-Identifier: MIT
/*
 * UDP: a device's socket is connected, so it drops an answer that comes from another address of
 * ours. The kernel tells where a datagram was sent to, and the answer leaves from there.
 */
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUFFER (4 << 20) /* some 6,000 alarms; the kernel doubles it, and each takes 1,280 bytes */

static int make_address(const char *text, uint16_t port, struct sockaddr_storage *ss,
			socklen_t *len)
{
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_in *in = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (!text || inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*len = sizeof(*in6);
		return 0;
	}
	if (inet_pton(AF_INET, text, &in->sin_addr) != 1)
		return -EINVAL;
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	*len = sizeof(*in);
	return 0;
}

int hg_udp_listen(const char *address, uint16_t port)
{
	int fd, err, on = 1, off = 0, size = BUFFER;
	struct sockaddr_storage ss;
	socklen_t len;

	err = make_address(address, port, &ss, &len);
	if (err)
		return err;
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && !address)
		return hg_udp_listen("0.0.0.0", port);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (ss.ss_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, address ? &on : &off, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	}
	if (bind(fd, (struct sockaddr *)&ss, len)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void read_local(struct msghdr *m, struct hg_udp_peer *peer)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&peer->local.v4, CMSG_DATA(c), sizeof(peer->local.v4));
			peer->local.v4.ipi_ifindex = 0;
			peer->local.v4.ipi_spec_dst = peer->local.v4.ipi_addr;
			peer->family = AF_INET;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&peer->local.v6, CMSG_DATA(c), sizeof(peer->local.v6));
			if (!IN6_IS_ADDR_LINKLOCAL(&peer->local.v6.ipi6_addr))
				peer->local.v6.ipi6_ifindex = 0;
			peer->family = AF_INET6;
		}
	}
}

ssize_t hg_udp_receive(int fd, void *buf, size_t size, struct hg_udp_peer *peer)
{
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
		     CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct iovec iov = { buf, size };
	struct msghdr m = { .msg_name = &peer->from,
			    .msg_namelen = sizeof(peer->from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return -errno;
	peer->fd = fd;
	peer->from_len = m.msg_namelen;
	peer->family = 0;
	read_local(&m, peer);
	return n;
}

void hg_udp_answer(const struct hg_udp_peer *peer, const void *buf, size_t len)
{
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec iov = { (void *)buf, len };
	struct msghdr m = { .msg_name = (void *)&peer->from,
			    .msg_namelen = peer->from_len,
			    .msg_iov = &iov,
			    .msg_iovlen = 1 };
	size_t n = peer->family == AF_INET ? sizeof(peer->local.v4) : sizeof(peer->local.v6);
	struct cmsghdr *c;

	if (peer->family) {
		memset(control, 0, sizeof(control));
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(n);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = peer->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
		c->cmsg_type = peer->family == AF_INET ? IP_PKTINFO : IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(n);
		memcpy(CMSG_DATA(c), &peer->local, n);
	}
	sendmsg(peer->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}
