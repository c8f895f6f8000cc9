// SPDX-License-Identifier: MIT
/*
 * Hostile frames at a guarded interface, in a quiet namespace: what comes out of it is an answer.
 * What IP itself refuses does not reach the module, and IP counts it: the rest the module counts.
 */
#include "drill.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>

#include "../net/hostile.h"
#include "../net/send.h"

#define BATCH 256 /* frames between two looks for answers: fewer than a socket's queue holds */

/* Frames that v0 sent, as v1 gets them. */
static int watch_open(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = if_nametoindex("v1") };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), size = 16 << 20;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (!bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	close(fd);
	return -errno;
}

/*
 * What a device says by itself, or may say to whom the guard lets in: who has this address, who is
 * in this group.
 */
static bool is_chore(const uint8_t *f, size_t n)
{
	uint16_t type = n < 14 ? 0 : f[12] << 8 | f[13];
	const uint8_t *ip = f + 14, *icmp = ip + 40;

	if (type == ETHERTYPE_ARP)
		return true;
	if (type == ETHERTYPE_IP && n >= 34)
		return ip[9] == IPPROTO_IGMP;
	if (type != ETHERTYPE_IPV6 || n < 62)
		return false;
	if (ip[6] == IPPROTO_HOPOPTS)
		icmp += 8;
	else if (ip[6] != IPPROTO_ICMPV6)
		return false;
	return (icmp[0] >= 133 && icmp[0] <= 136) || icmp[0] == 143 || icmp[0] == 131 ||
	       icmp[0] == 132;
}

/* Answers since the last look; the first few are told. */
static unsigned int answers(int fd, bool tell)
{
	static uint8_t frame[2048];
	struct sockaddr_ll from;
	socklen_t length = sizeof(from);
	unsigned int found = 0;
	ssize_t n;

	while ((n = recvfrom(fd, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &length)) >= 0) {
		if (from.sll_pkttype == PACKET_OUTGOING || is_chore(frame, n))
			continue;
		if (found++ || !tell)
			continue;
		printf("# answer of %zd bytes:", n);
		for (ssize_t i = 12; i < n && i < 100; i++)
			printf(" %02x", frame[i]);
		printf("\n");
	}
	return found;
}

/* Of a file with names in one line and numbers in the next; 0 if it has no such name. */
static uint64_t number_in(const char *path, const char *table, const char *name)
{
	char names[4096], numbers[4096];
	uint64_t found = 0;
	FILE *f = fopen(path, "r");

	while (f && fgets(names, sizeof(names), f) && fgets(numbers, sizeof(numbers), f)) {
		char *a = names, *b = numbers, *word, *number;

		if (strncmp(names, table, strlen(table)))
			continue;
		while ((word = strsep(&a, " \n")) && (number = strsep(&b, " \n")))
			if (!strcmp(word, name))
				found = strtoull(number, NULL, 10);
	}
	if (f)
		fclose(f);
	return found;
}

/* Of IPv6 at v0 alone: v1 hears what v0 says for itself. */
static uint64_t number6(const char *name)
{
	char line[128], word[64];
	unsigned long long n, found = 0;
	FILE *f = fopen("/proc/net/dev_snmp6/v0", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %llu", word, &n) == 2 && !strcmp(word, name))
			found = n;
	if (f)
		fclose(f);
	return found;
}

/*
 * Packets that the module must have judged: what IP received, less what IP itself refused, and the
 * answers to what it refused too early.
 */
static uint64_t reached(void)
{
	return number_in("/proc/net/snmp", "Ip:", "InReceives") -
	       number_in("/proc/net/snmp", "Ip:", "InHdrErrors") -
	       number_in("/proc/net/snmp", "Ip:", "InDiscards") -
	       number_in("/proc/net/netstat", "IpExt:", "InTruncatedPkts") +
	       number6("Ip6InReceives") - number6("Ip6InHdrErrors") - number6("Ip6InDiscards") -
	       number6("Ip6InTruncatedPkts") + number6("Icmp6OutParmProblems");
}

static uint64_t judged(struct channel *c)
{
	uint64_t counters[HG_REASON_MAX] = { 0 }, sum = 0;

	if (channel_counters(c, counters))
		return 0;
	for (int i = 0; i < HG_REASON_MAX; i++)
		if (i != HG_PASS_OUT && i != HG_DROP_CONFINED && i != HG_DROP_POLICED)
			sum += counters[i];
	return sum;
}

/* Sends what is wanted and returns how much of it was answered. */
static unsigned int fire(int wire, int watch, int kind, FILE *file, unsigned long count)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	unsigned int found = 0;

	for (unsigned long sent = 0; sent < count; sent += BATCH) {
		unsigned int n = count - sent < BATCH ? count - sent : BATCH;

		if (file && !world_file(wire, file, n))
			break;
		if (!file)
			world_frames(wire, kind, n);
		nanosleep(&pause, NULL); /* softirqs on another processor */
		found += answers(watch, found < 3);
	}
	return found;
}

static int attach(struct channel *c)
{
	const struct hg_guard_config config = { .abi = HG_GUARD_ABI,
						.policy = HG_POLICY_INITIATED,
						.udp_one_way_s = 30,
						.udp_two_way_s = 180,
						.tcp_opening_s = 30,
						.tcp_established_s = 7440,
						.tcp_closing_s = 10,
						.icmp_s = 30,
						.other_s = 60,
						.config_rate = 50 };
	uint32_t index = if_nametoindex("v0");
	struct message m;

	message_begin(&m, c->family, HG_CMD_ATTACH, 0);
	message_put(&m, HG_A_CONFIG, &config, sizeof(config));
	message_put(&m, HG_A_IFINDEXES, &index, sizeof(index));
	return channel_ask(c, m.bytes, m.head.nlmsg_len);
}

static int kind_run(struct channel *c, int wire, int watch, int kind, FILE *file,
		    unsigned long count)
{
	/* The other's stack sends a frame of its own now and then: if between two readings, then
	 * only one of them has it. So what arrived is read on both sides of what was judged.
	 */
	uint64_t first = reached(), before = judged(c), second = reached();
	unsigned int found = fire(wire, watch, kind, file, count);
	uint64_t third = reached(), met = judged(c) - before, fourth = reached();
	uint64_t arrived = third - second;
	bool good = !found && met && met >= arrived && met <= fourth - first;

	printf("%sok - packets: %lu of %s, %llu reached the module, %llu counted, %u answered\n",
	       good ? "" : "not ", count, file ? "those of a file" : hostile_names[kind],
	       (unsigned long long)arrived, (unsigned long long)met, found);
	fflush(stdout);
	return good ? 0 : 1;
}

/* SEED COUNT [FILE]: so many of each kind; and up to so many frames of a file. */
int drill_packets(int argc, char **argv)
{
	FILE *file = argc > 2 ? fopen(argv[2], "rb") : NULL;
	int wire, watch, bad, ret;
	unsigned long count;
	struct channel c;

	if (argc < 2 || argc > 3 || (argc == 3 && !file))
		return 2;
	send_seed(strtoull(argv[0], NULL, 0));
	count = strtoul(argv[1], NULL, 10);
	ret = world_enter();
	if (!ret)
		ret = channel_open(&c);
	wire = send_open("v1");
	watch = watch_open();
	if (ret || wire < 0 || watch < 0) {
		printf("not ok - packets: a namespace for them: %s\n", strerror(-ret));
		return 1;
	}
	bad = fire(wire, watch, HOSTILE_TCP, NULL, BATCH) == 0; /* it shows that answers are seen */
	printf("%sok - packets: without a guard they are answered\n", bad ? "not " : "");
	ret = attach(&c);
	if (ret)
		printf("# attach: %s: %s\n", strerror(-ret), c.sentence);
	for (int kind = 0; !ret && kind < HOSTILE_MUTANT; kind++)
		bad |= kind_run(&c, wire, watch, kind, NULL, count);
	if (!ret && file)
		bad |= kind_run(&c, wire, watch, 0, file, count);
	if (file)
		fclose(file);
	return bad || ret;
}
