// SPDX-License-Identifier: MIT
/*
 * Random messages at the family: good ones, good ones with something wrong, and noise, in any
 * order, with packets in between. Each round lives in a network namespace of its own, and ends with
 * it, whatever state the guard is in. That the kernel says nothing of it is for its log to tell;
 * here it must answer each message, and GET after all.
 */
#include "drill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/genetlink.h>

#include "../net/send.h"

#define BARE NLMSG_LENGTH(GENL_HDRLEN)
#define FUZZ_TRAFFIC 64 /* one in so many messages is packets instead */

struct results {
	unsigned long asked, done, refused, mute; /* refused without a sentence, by the module */
};

static uint32_t below(uint32_t n)
{
	return (send_random() >> 32) % n;
}

static uint16_t edge(void)
{
	static const uint16_t edges[] = {
		0, 1, 3, 4, 5, 8, 20, 72, 0x7fff, 0x8000, 0xfffc, 0xffff
	};

	return edges[below(sizeof(edges) / sizeof(*edges))];
}

/* An attribute of the message, or NULL if it has none. */
static struct nlattr *pick(struct message *m)
{
	struct nlattr *found = NULL;
	size_t at = BARE, n = 0;

	while (at + NLA_HDRLEN <= m->head.nlmsg_len) {
		struct nlattr *a = (struct nlattr *)(m->bytes + at);

		if (a->nla_len < NLA_HDRLEN)
			break;
		if (!below(++n))
			found = a;
		at += NLA_ALIGN(a->nla_len);
	}
	return found;
}

/* Some attribute of some other good message, added. */
static void graft(struct message *m, uint16_t family)
{
	static struct message other;
	struct nlattr *a;

	seed_message(&other, &seeds[below(n_seeds)], family);
	a = pick(&other);
	if (a && m->head.nlmsg_len + NLA_ALIGN(a->nla_len) < sizeof(m->bytes) / 2)
		message_put(m, a->nla_type, (uint8_t *)a + NLA_HDRLEN, a->nla_len - NLA_HDRLEN);
}

static void put_noise(struct message *m)
{
	uint8_t noise[256];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = send_random() >> 40;
	message_put(m, below(4) ? below(HG_A_MAX + 4) : edge(), noise, below(sizeof(noise)));
}

/* One thing wrong. */
static void mutate(struct message *m, uint16_t family)
{
	struct genlmsghdr *g = NLMSG_DATA(&m->head);
	struct nlattr *a = pick(m);
	uint8_t *data = a ? (uint8_t *)a + NLA_HDRLEN : NULL;
	uint32_t n = a && a->nla_len > NLA_HDRLEN ? a->nla_len - NLA_HDRLEN : 0;

	switch (below(12)) {
	case 0:
		g->cmd = below(HG_CMD_MAX + 4);
		break;
	case 1:
		m->head.nlmsg_flags ^= 1 << below(16);
		m->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
		break;
	case 2:
		if (a)
			a->nla_len = below(2) ? a->nla_len + below(9) - 4 : edge();
		break;
	case 3:
		if (a)
			a->nla_type = below(2) ? below(HG_A_MAX + 4) : a->nla_type ^ NLA_F_NESTED;
		break;
	case 4:
		graft(m, family);
		break;
	case 5:
		put_noise(m);
		break;
	case 6:
		if (m->head.nlmsg_len > BARE)
			m->head.nlmsg_len -= below(m->head.nlmsg_len - BARE + 1);
		break;
	case 7:
		g->version = below(256);
		g->reserved = below(4) ? 0 : below(65536);
		break;
	default: /* mostly what the attributes say */
		if (!n)
			break;
		if (below(2))
			data[below(n)] = below(2) ? below(256) : 0xff * below(2);
		else
			memset(data + below(n), 0xff * below(2), 1);
	}
}

static void make(struct message *m, uint16_t family)
{
	uint32_t kind = below(100);

	if (kind < 5) {
		message_begin(m, family, below(HG_CMD_MAX + 4), below(2) ? NLM_F_DUMP : 0);
		for (uint32_t i = below(6); i; i--)
			put_noise(m);
		return;
	}
	/* What ends a guard comes less often than what it is there for. */
	do
		seed_message(m, &seeds[below(n_seeds)], family);
	while (below(8) && (((struct genlmsghdr *)NLMSG_DATA(&m->head))->cmd == HG_CMD_DETACH ||
			    ((struct genlmsghdr *)NLMSG_DATA(&m->head))->cmd == HG_CMD_LOCK));
	if (kind < 75)
		for (uint32_t i = 1 + below(3); i; i--)
			mutate(m, family);
	if (below(20) == 0)
		seed_seal(m, below(2) ? send_random() : UINT64_MAX - below(1000));
}

/* Is this a refusal of the module, that owes its reason? Others come from the family's core. */
static bool owes_sentence(const struct message *m, int ret)
{
	const struct genlmsghdr *g = NLMSG_DATA(&m->head);

	return ret && g->cmd > HG_CMD_UNSPEC && g->cmd <= HG_CMD_MAX && ret != -EOPNOTSUPP &&
	       ret != -ENOMEM && ret != -ENOBUFS && ret != -ETIMEDOUT;
}

static int ask(struct channel *c, struct message *m, struct results *r)
{
	int ret = channel_ask(c, m->bytes, m->head.nlmsg_len);

	r->asked++;
	if (ret == -ETIMEDOUT) {
		printf("# no answer to command %u\n",
		       ((struct genlmsghdr *)NLMSG_DATA(&m->head))->cmd);
		return -1;
	}
	if (ret)
		r->refused++;
	else
		r->done++;
	if (owes_sentence(m, ret) && !c->sentence[0]) {
		if (!r->mute++)
			printf("# command %u refused without a sentence: %s\n",
			       ((struct genlmsghdr *)NLMSG_DATA(&m->head))->cmd, strerror(-ret));
	}
	return 0;
}

/* With `packets` another process sends some all the time, else only between two messages. */
static int fuzz_round(unsigned long messages, bool packets, struct results *r)
{
	static struct message m;
	struct channel c;
	struct state s;
	int ret = world_enter(), pid = 0;

	if (!ret)
		ret = channel_open(&c);
	if (ret) {
		printf("# world: %s\n", strerror(-ret));
		return 1;
	}
	seed_message(&m, seed_find("attach"), c.family);
	ret = channel_ask(&c, m.bytes, m.head.nlmsg_len);
	if (ret)
		printf("# attach: %s: %s\n", strerror(-ret), c.sentence);
	if (packets)
		pid = world_traffic_start();
	for (unsigned long i = 0; !ret && i < messages; i++) {
		if (!packets && !below(FUZZ_TRAFFIC))
			world_traffic();
		make(&m, c.family);
		ret = ask(&c, &m, r);
	}
	world_traffic_stop(pid);
	if (!ret && channel_get(&c, &s)) {
		printf("# GET is not answered any more\n");
		ret = 1;
	}
	return ret;
}

/* SEED ROUNDS MESSAGES: so many messages in each of so many namespaces. */
int drill_fuzz(int argc, char **argv)
{
	unsigned long rounds, messages, bad = 0;
	struct results all = { 0 };
	uint64_t seed;

	if (argc != 3)
		return 2;
	seed = strtoull(argv[0], NULL, 0);
	rounds = strtoul(argv[1], NULL, 10);
	messages = strtoul(argv[2], NULL, 10);
	for (unsigned long i = 0; i < rounds && !bad; i++) {
		struct results r = { 0 };
		int pipes[2], pid, status = 1;

		if (pipe(pipes) || (pid = fork()) < 0)
			return 1;
		if (!pid) {
			send_seed(seed + i);
			status = fuzz_round(messages, i % 2, &r);
			fflush(stdout);
			if (write(pipes[1], &r, sizeof(r)) != sizeof(r))
				status = 1;
			_exit(!!status);
		}
		close(pipes[1]);
		if (read(pipes[0], &r, sizeof(r)) != sizeof(r))
			bad = 1;
		close(pipes[0]);
		waitpid(pid, &status, 0);
		bad |= status != 0;
		if (bad)
			printf("# round %lu, seed %llu, status %d\n", i,
			       (unsigned long long)(seed + i), status);
		all.asked += r.asked;
		all.done += r.done;
		all.refused += r.refused;
		all.mute += r.mute;
	}
	printf("%sok - fuzz: %lu messages, %lu done, %lu refused, %lu of those without a sentence\n",
	       bad || !all.done || !all.refused ? "not " : "", all.asked, all.done, all.refused,
	       all.mute);
	return bad || !all.done || !all.refused;
}
