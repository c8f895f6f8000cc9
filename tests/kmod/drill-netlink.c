// SPDX-License-Identifier: MIT
/* One socket of generic netlink: messages out, refusals and their sentences in. */
#include "drill.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/genetlink.h>

#define ANSWER_MS 20000 /* an emulated debug kernel may take its time; a hang takes longer */

void message_begin(struct message *m, uint16_t type, uint8_t command, uint16_t flags)
{
	struct genlmsghdr *g = NLMSG_DATA(&m->head);

	memset(m->bytes, 0, NLMSG_LENGTH(GENL_HDRLEN));
	m->head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	g->cmd = command;
	g->version = HG_GENL_VERSION;
}

void message_put(struct message *m, uint16_t type, const void *data, size_t length)
{
	struct nlattr *a = (struct nlattr *)(m->bytes + m->head.nlmsg_len);

	memset(a, 0, NLA_HDRLEN + NLA_ALIGN(length));
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + length;
	if (length)
		memcpy((uint8_t *)a + NLA_HDRLEN, data, length);
	m->head.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(length);
}

/* The attribute of that type among n bytes, or NULL. */
static const struct nlattr *find(const void *from, size_t n, uint16_t type)
{
	const uint8_t *p = from;

	while (n >= NLA_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)p;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > n)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if (step > n)
			return NULL;
		p += step;
		n -= step;
	}
	return NULL;
}

static void take(const struct nlattr *a, void *to, size_t n)
{
	if (a && a->nla_len == NLA_HDRLEN + n)
		memcpy(to, (const uint8_t *)a + NLA_HDRLEN, n);
}

/*
 * The kernel's sentence, in an error or the end of a dump. Without NLM_F_CAPPED the message that an
 * error is about comes first.
 */
static void read_sentence(struct channel *c, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t at = NLMSG_LENGTH(h->nlmsg_type == NLMSG_DONE ? sizeof(int) : sizeof(*e));
	const struct nlattr *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (h->nlmsg_type == NLMSG_ERROR && !(h->nlmsg_flags & NLM_F_CAPPED) &&
	    e->msg.nlmsg_len >= NLMSG_HDRLEN)
		at += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (at > h->nlmsg_len)
		return;
	a = find((const uint8_t *)h + at, h->nlmsg_len - at, NLMSGERR_ATTR_MSG);
	if (a)
		snprintf(c->sentence, sizeof(c->sentence), "%.*s", a->nla_len - NLA_HDRLEN,
			 (const char *)a + NLA_HDRLEN);
}

static void read_state(const struct nlmsghdr *h, struct state *s)
{
	const uint8_t *from = (const uint8_t *)h + NLMSG_LENGTH(GENL_HDRLEN);
	size_t n = h->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN);
	const struct nlattr *a = find(from, n, HG_A_CONFIG);
	struct hg_guard_config config = { .abi = 0 };

	if (s->counters)
		take(find(from, n, HG_A_COUNTERS), s->counters,
		     HG_REASON_MAX * sizeof(*s->counters));
	if (h->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN) || !a)
		return;
	take(a, &config, sizeof(config));
	s->attached = true;
	s->generation = config.generation;
	take(find(from, n, HG_A_MEMORY), &s->memory, 4);
	take(find(from, n, HG_A_LOCKED), &s->locked, 4);
	take(find(from, n, HG_A_HEARTBEAT_LEFT), &s->left, 4);
	take(find(from, n, HG_A_COUNTS), s->counts, sizeof(s->counts));
}

/*
 * Reads until the kernel has said the last word to this message: an error, an acknowledgement or
 * the end of a dump. With timeout 0 it reads what is there already, and nothing is -EAGAIN.
 */
static int listen_to(struct channel *c, struct state *s, uint16_t *family, int timeout)
{
	static uint8_t answer[128 * 1024];

	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, timeout) == 0)
			return timeout ? -ETIMEDOUT : -EAGAIN;
		n = recv(c->fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			/* Both begin with an error number; an acknowledgement's is 0. */
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
				int error = *(const int *)NLMSG_DATA(h);

				if (error < 0)
					read_sentence(c, h);
				return error < 0 ? error : 0;
			}
			if (s)
				read_state(h, s);
			if (family)
				take(find((uint8_t *)h + NLMSG_LENGTH(GENL_HDRLEN),
					  h->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN),
					  CTRL_ATTR_FAMILY_ID),
				     family, 2);
		}
	}
}

/* What is still there of earlier questions does not belong to the next. */
static void drain(struct channel *c)
{
	static uint8_t rest[64 * 1024];

	while (recv(c->fd, rest, sizeof(rest), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
}

static int ask(struct channel *c, const void *bytes, size_t length, struct state *s,
	       uint16_t *family)
{
	drain(c);
	c->sentence[0] = 0;
	if (send(c->fd, bytes, length, 0) < 0)
		return -errno;
	return listen_to(c, s, family, ANSWER_MS);
}

int channel_ask(struct channel *c, const void *bytes, size_t length)
{
	return ask(c, bytes, length, NULL, NULL);
}

int channel_ask_nth(struct channel *c, const struct message *m, unsigned int nth,
		    unsigned int *left)
{
	int ret;

	drain(c);
	c->sentence[0] = 0;
	if (nth_arm(nth))
		return -errno;
	ret = send(c->fd, m->bytes, m->head.nlmsg_len, 0) < 0 ? -errno : 0;
	*left = nth_left();
	/* The kernel did all of it within send(); an answer that found no memory does not come. */
	return ret ? ret : listen_to(c, NULL, NULL, 0);
}

int channel_get(struct channel *c, struct state *s)
{
	struct message m;

	memset(s, 0, sizeof(*s));
	message_begin(&m, c->family, HG_CMD_GET, 0);
	return ask(c, m.bytes, m.head.nlmsg_len, s, NULL);
}

int channel_counters(struct channel *c, uint64_t counters[HG_REASON_MAX])
{
	struct state s = { .counters = counters };
	struct message m;

	message_begin(&m, c->family, HG_CMD_GET_COUNTERS, 0);
	return ask(c, m.bytes, m.head.nlmsg_len, &s, NULL);
}

int channel_open(struct channel *c)
{
	int on = 1, ret;
	struct message m;

	*c = (struct channel){ .fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC) };
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(c->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	message_begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	message_put(&m, CTRL_ATTR_FAMILY_NAME, HG_GENL_NAME, sizeof(HG_GENL_NAME));
	ret = ask(c, m.bytes, m.head.nlmsg_len, NULL, &c->family);
	if (!ret && !c->family)
		ret = -ENOENT;
	if (ret)
		channel_close(c);
	return ret;
}

void channel_close(struct channel *c)
{
	close(c->fd);
	c->fd = -1;
}
