/* SPDX-License-Identifier: MIT */
/*
 * Raw netlink: one socket for commands, one for events. An answer is a datagram of its own, so the
 * kernel takes a batch of commands in one message, and the answers are read one after the other.
 */
#include "genl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#define RECEIVE_ROOM (32 << 20) /* answers of a batch, events of a second: never lost */

struct genl {
	int fd, events;
	__u16 family;
	__u32 group;
	size_t n;
	struct nlmsghdr *last;
	char error[256];
	__u8 out[GENL_ROOM] __attribute__((aligned(8)));
	__u8 in[1 << 16] __attribute__((aligned(8)));
};

static _Noreturn void die(const char *what)
{
	printf("Bail out! netlink, %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static int open_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	int room = RECEIVE_ROOM, one = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	return fd;
}

static void begin(struct genl *g, __u16 type, __u8 command, __u16 flags)
{
	struct genlmsghdr *h;

	if (g->n + NLMSG_HDRLEN + GENL_HDRLEN > sizeof(g->out)) {
		errno = ENOBUFS;
		die("too many commands at once");
	}
	g->last = (struct nlmsghdr *)(g->out + g->n);
	*g->last = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
				      .nlmsg_type = type,
				      .nlmsg_flags = NLM_F_REQUEST | flags };
	h = NLMSG_DATA(g->last);
	*h = (struct genlmsghdr){ .cmd = command, .version = HG_GENL_VERSION };
	g->n += g->last->nlmsg_len;
}

void genl_begin(struct genl *g, __u8 command, __u16 flags)
{
	begin(g, g->family, command, flags);
}

void genl_put(struct genl *g, __u16 attribute, const void *data, size_t length)
{
	struct nlattr *a = (struct nlattr *)(g->out + g->n);
	size_t whole = NLA_HDRLEN + NLA_ALIGN(length);

	if (g->n + whole > sizeof(g->out)) {
		errno = ENOBUFS;
		die("too many commands at once");
	}
	memset(a, 0, whole);
	a->nla_type = attribute;
	a->nla_len = (__u16)(NLA_HDRLEN + length);
	if (length)
		memcpy((__u8 *)a + NLA_HDRLEN, data, length);
	g->n += whole;
	g->last->nlmsg_len += (__u32)whole;
}

void genl_put32(struct genl *g, __u16 attribute, __u32 value)
{
	genl_put(g, attribute, &value, sizeof(value));
}

size_t genl_waiting(const struct genl *g)
{
	return g->n;
}

static void send_all(struct genl *g)
{
	if (send(g->fd, g->out, g->n, 0) != (ssize_t)g->n)
		die("send");
	g->n = 0;
}

static struct nlmsghdr *receive(struct genl *g, int fd, int flags, size_t *left)
{
	ssize_t n = recv(fd, g->in, sizeof(g->in), flags | MSG_TRUNC);

	if (n < 0 && (flags & MSG_DONTWAIT) && errno == EAGAIN)
		return NULL;
	if (n < 0 && fd == g->events && errno == ENOBUFS)
		return NULL;
	if (n < 0)
		die("receive");
	if (n > (ssize_t)sizeof(g->in)) {
		errno = EMSGSIZE;
		die("receive");
	}
	*left = (size_t)n;
	return (struct nlmsghdr *)g->in;
}

static void parse(const void *at, size_t length, struct genl_answer *a)
{
	const struct nlattr *n = at;

	memset(a, 0, sizeof(*a));
	for (; length >= NLA_HDRLEN && n->nla_len >= NLA_HDRLEN && n->nla_len <= length;
	     n = (const struct nlattr *)((const __u8 *)n + NLA_ALIGN(n->nla_len))) {
		__u16 type = n->nla_type & NLA_TYPE_MASK;

		if (type <= HG_A_MAX) {
			a->at[type] = (const __u8 *)n + NLA_HDRLEN;
			a->length[type] = n->nla_len - NLA_HDRLEN;
		}
		if ((size_t)NLA_ALIGN(n->nla_len) >= length)
			break;
		length -= NLA_ALIGN(n->nla_len);
	}
}

/* What an error message says besides its number. */
static void take_error(struct genl *g, const struct nlmsghdr *m)
{
	const struct nlmsgerr *e = NLMSG_DATA(m);
	size_t at = sizeof(*e), end = m->nlmsg_len - NLMSG_HDRLEN;

	snprintf(g->error, sizeof(g->error), "%s", strerror(-e->error));
	if (!(m->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(m->nlmsg_flags & NLM_F_CAPPED))
		at += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *a = (const struct nlattr *)((const __u8 *)e + at);

		if (a->nla_len < NLA_HDRLEN || at + a->nla_len > end)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG)
			snprintf(g->error, sizeof(g->error), "%.*s", a->nla_len - NLA_HDRLEN,
				 (const char *)a + NLA_HDRLEN);
		at += NLA_ALIGN(a->nla_len);
	}
}

/* One answer. 1, 0 at the end of a dump or for an acknowledgement, or -errno. */
static int answer(struct genl *g, const struct nlmsghdr *m, genl_each each, void *ctx)
{
	const struct nlmsgerr *e = NLMSG_DATA(m);
	struct genl_answer a;

	if (m->nlmsg_type == NLMSG_DONE)
		return *(const int *)NLMSG_DATA(m);
	if (m->nlmsg_type == NLMSG_ERROR) {
		if (e->error)
			take_error(g, m);
		return e->error;
	}
	parse((const __u8 *)NLMSG_DATA(m) + GENL_HDRLEN, m->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN,
	      &a);
	if (each)
		each(ctx, &a);
	return 1;
}

void genl_exchange(struct genl *g, size_t n, genl_each each, void *ctx)
{
	send_all(g);
	while (n) {
		size_t left = 0;
		struct nlmsghdr *m = receive(g, g->fd, 0, &left);

		for (; NLMSG_OK(m, left) && n; m = NLMSG_NEXT(m, left), n--) {
			int got = answer(g, m, each, ctx);

			if (got == 1)
				continue;
			errno = got ? -got : EPROTO;
			die(got ? g->error : "no answer");
		}
	}
}

/* Sends, and takes answers until the end of them. */
static int finish(struct genl *g, genl_each each, void *ctx)
{
	send_all(g);
	for (;;) {
		size_t left = 0;
		struct nlmsghdr *m = receive(g, g->fd, 0, &left);

		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
			int got = answer(g, m, each, ctx);

			if (got != 1)
				return got;
		}
	}
}

int genl_call(struct genl *g)
{
	g->last->nlmsg_flags |= NLM_F_ACK;
	return finish(g, NULL, NULL);
}

int genl_dump(struct genl *g, __u8 command, genl_each each, void *ctx)
{
	genl_begin(g, command, NLM_F_DUMP);
	return finish(g, each, ctx);
}

const char *genl_error(const struct genl *g)
{
	return g->error;
}

static const void *attribute(const void *at, size_t length, __u16 type, size_t *size)
{
	const struct nlattr *n = at;

	while (length >= NLA_HDRLEN && n->nla_len >= NLA_HDRLEN && n->nla_len <= length) {
		size_t step = NLA_ALIGN(n->nla_len);

		if ((n->nla_type & NLA_TYPE_MASK) == type) {
			*size = n->nla_len - NLA_HDRLEN;
			return (const __u8 *)n + NLA_HDRLEN;
		}
		if (step >= length)
			break;
		length -= step;
		n = (const struct nlattr *)((const __u8 *)n + step);
	}
	return NULL;
}

/* Number of the family and of its group, from the kernel's answer. The family has one group. */
static void take_family(struct genl *g, const struct nlmsghdr *m)
{
	const __u8 *at = (const __u8 *)NLMSG_DATA(m) + GENL_HDRLEN;
	size_t length = m->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, n, k;
	const __u16 *id = attribute(at, length, CTRL_ATTR_FAMILY_ID, &n);
	const void *groups = attribute(at, length, CTRL_ATTR_MCAST_GROUPS, &n), *group;
	const __u32 *number;

	g->family = id ? *id : 0;
	group = groups ? attribute(groups, n, 1, &k) : NULL;
	number = group ? attribute(group, k, CTRL_ATTR_MCAST_GRP_ID, &n) : NULL;
	g->group = number ? *number : 0;
}

static int find_family(struct genl *g)
{
	int done = 0, error = 0;

	begin(g, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	genl_put(g, CTRL_ATTR_FAMILY_NAME, HG_GENL_NAME, sizeof(HG_GENL_NAME));
	send_all(g);
	while (!done) {
		size_t left = 0;
		struct nlmsghdr *m = receive(g, g->fd, 0, &left);

		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
			done = m->nlmsg_type == NLMSG_ERROR;
			if (done)
				error = ((struct nlmsgerr *)NLMSG_DATA(m))->error;
			else
				take_family(g, m);
		}
	}
	return error ? error : g->family && g->group ? 0 : -ENOENT;
}

struct genl *genl_open(const char **why)
{
	struct genl *g = calloc(1, sizeof(*g));

	if (!g) {
		*why = strerror(ENOMEM);
		return NULL;
	}
	g->events = -1;
	g->fd = open_socket();
	if (!find_family(g))
		return g;
	*why = "the kernel has no family " HG_GENL_NAME "; load heliograph.ko";
	genl_close(g);
	return NULL;
}

void genl_close(struct genl *g)
{
	if (!g)
		return;
	close(g->fd);
	if (g->events >= 0)
		close(g->events);
	free(g);
}

void genl_listen(struct genl *g)
{
	g->events = open_socket();
	if (setsockopt(g->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &g->group, sizeof(g->group)))
		die("join events");
}

int genl_events(struct genl *g, void (*each)(void *ctx, const void *event, size_t length),
		void *ctx)
{
	struct genl_answer a;
	struct nlmsghdr *m;
	size_t left;
	int n = 0;

	for (errno = 0; (m = receive(g, g->events, MSG_DONTWAIT, &left)); errno = 0)
		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left), n++) {
			parse((const __u8 *)NLMSG_DATA(m) + GENL_HDRLEN,
			      m->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, &a);
			if (a.at[HG_A_EVENT])
				each(ctx, a.at[HG_A_EVENT], a.length[HG_A_EVENT]);
		}
	return errno == ENOBUFS ? -1 : n;
}
