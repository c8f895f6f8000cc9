/* SPDX-License-Identifier: MIT */
/*
 * The IP part of the table of cases as real packets through the module's hooks: what comes is sent
 * at the other end of a veth pair, what the device sends leaves through a raw socket and the stack.
 * Counters, flows and windows must be native's after each packet.
 *
 *   n0 (namespace "net", packet socket)  <==veth==>  d0   the guard is here
 *
 * The device's address is on no interface, so nothing answers. The stack itself drops what is too
 * broken for it before any hook; such a packet may count for nothing. Time is real: a case begins
 * with a second, and its waits are waited for, up to WAIT_MAX. Argument: how the names of cases
 * begin, instead of all.
 */
#include "../tap.h"
#include "module.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define WAIT_MAX 700	  /* seconds that a case may wait */
#define ARRIVES_NS 200000 /* of patience with a packet that no counter shows, times TRIES */
#define TRIES 10

static struct wire {
	struct module *m;
	int peer, out4, out6;
	__u8 mac[6];
	__u64 counters[HG_REASON_MAX];
	time_t second; /* in which the case is */
	struct player *player;
	void (*begin)(struct player *p, const struct play_world *w);
	void (*configure)(struct player *p, const struct play_world *w);
} wire;

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static __u16 get16(const __u8 *p)
{
	return (__u16)(p[0] << 8 | p[1]);
}

/*
 * Whole plain IP packets. Of what is sent the stack writes the length itself, and the source if it
 * is 0.0.0.0, so what differs cannot be sent.
 */
static int takes(const struct frame *f)
{
	const __u8 *ip = f->data + FRAME_LINK;
	size_t length = f->length - FRAME_LINK;
	int v6 = f->data[12] == 0x86;

	if (f->segments > 1 || length < (v6 ? 40 : 20))
		return 0;
	return !f->out || v6 || (get16(ip + 2) == length && (get16(ip + 12) || get16(ip + 14)));
}

/* Until 20 ms after the beginning of a second: all that follows until the next wait is in it. */
static void sleep_until(time_t second)
{
	const struct timespec then = { second, 20000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL))
		;
	wire.second = second;
}

static void wire_begin(struct player *p, const struct play_world *w)
{
	struct timespec now;

	wire.begin(p, w);
	module_counters(wire.m, wire.counters);
	clock_gettime(CLOCK_MONOTONIC, &now);
	sleep_until(now.tv_sec + 1);
}

/* A gate that is open is so until a second of the kernel's clock, not of the table's. */
static void wire_configure(struct player *p, const struct play_world *w)
{
	struct play_world here = *w;

	if (here.config.open_until_s)
		here.config.open_until_s += (__u32)wire.second - w->now_s;
	wire.configure(p, &here);
}

static void wire_wait(struct player *p, unsigned int seconds)
{
	sleep_until(wire.second + seconds);
}

static void checksum(__u8 *ip)
{
	unsigned int n = (ip[0] & 15) * 4, sum = 0;

	ip[10] = ip[11] = 0;
	for (unsigned int i = 0; i + 1 < n; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	ip[10] = (__u8)(~sum >> 8);
	ip[11] = (__u8)~sum;
}

static void send_in(const struct frame *f)
{
	__u8 frame[FRAME_MAX];

	memcpy(frame, f->data, f->length);
	memcpy(frame, wire.mac, 6);
	if (frame[12] == 0x08 && (frame[FRAME_LINK] & 15) * 4u + FRAME_LINK <= f->length)
		checksum(frame + FRAME_LINK);
	if (send(wire.peer, frame, f->length, 0) != (ssize_t)f->length)
		die("send to the device");
}

/* EPERM: the guard did not let it out. */
static void send_out(const struct frame *f)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6,
				    .sin6_scope_id = if_nametoindex("d0") };
	const __u8 *ip = f->data + FRAME_LINK;
	int v6 = f->data[12] == 0x86;

	memcpy(&to4.sin_addr, ip + 16, 4);
	if (v6)
		memcpy(&to6.sin6_addr, ip + 24, 16);
	if (sendto(v6 ? wire.out6 : wire.out4, ip, f->length - FRAME_LINK, 0,
		   v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
		   v6 ? sizeof(to6) : sizeof(to4)) < 0 &&
	    errno != EPERM)
		die("send as the device");
}

/* What was counted since the last look: a reason, -1: nothing yet, HG_REASON_MAX: too much. */
static int counted(void)
{
	__u64 now[HG_REASON_MAX];
	int reason = -1;

	module_counters(wire.m, now);
	for (int i = 0; i < HG_REASON_MAX; i++) {
		if (now[i] == wire.counters[i])
			continue;
		reason = reason >= 0 || now[i] != wire.counters[i] + 1 ? HG_REASON_MAX : i;
	}
	memcpy(wire.counters, now, sizeof(now));
	return reason;
}

static int wire_run(struct player *p, const struct frame *f)
{
	const struct timespec moment = { 0, ARRIVES_NS };
	int reason;

	if (f->out)
		send_out(f);
	else
		send_in(f);
	reason = counted();
	for (int i = 0; reason < 0 && i < TRIES; i++) {
		nanosleep(&moment, NULL);
		reason = counted();
	}
	return reason;
}

/* A packet socket at the far end; its namespace is entered for that long. */
static int open_peer(void)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open("/run/netns/net", O_RDONLY | O_CLOEXEC);
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	int fd;

	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET))
		die("namespace net");
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	at.sll_ifindex = (int)if_nametoindex("n0");
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("n0");
	if (setns(here, CLONE_NEWNET))
		die("namespace");
	close(here);
	close(there);
	return fd;
}

static int open_raw(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "d0", 3) ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)))
		die("raw socket");
	return fd;
}

static void open_wire(void)
{
	struct ifreq r = { .ifr_name = "d0" };

	wire.peer = open_peer();
	wire.out4 = open_raw(AF_INET);
	wire.out6 = open_raw(AF_INET6);
	if (ioctl(wire.out4, SIOCGIFHWADDR, &r))
		die("d0");
	memcpy(wire.mac, r.ifr_hwaddr.sa_data, 6);
	wire.player = module_player(wire.m, 1);
	wire.begin = wire.player->begin;
	wire.configure = wire.player->configure;
	wire.player->name = "hooks";
	wire.player->in_segments = 0;
	wire.player->takes = takes;
	wire.player->begin = wire_begin;
	wire.player->configure = wire_configure;
	wire.player->wait = wire_wait;
	wire.player->run = wire_run;
}

/* Does the case wait too long, or go back in time? */
static int waits(const struct hg_case *c)
{
	const char *at = c->lines;

	while ((at = strstr(at, ". wait "))) {
		at += 7;
		if (atoi(at) < 0 || atoi(at) > WAIT_MAX)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct play_count n = { 0 };
	unsigned int played = 0, waiting = 0;
	const struct hg_case *c;
	const char *why = "";

	wire.m = module_new("d0", &why);
	if (!wire.m) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	open_wire();
	module_room(wire.m, 64);
	for (size_t i = 0; (c = play_case_at(i)); i++) {
		unsigned int skipped = n.skipped;
		int same;

		if (argc > 1 && strncmp(c->name, argv[1], strlen(argv[1])))
			continue;
		if (waits(c)) {
			waiting++;
			continue;
		}
		same = play_case(c, wire.player, &n);
		if (skipped != n.skipped)
			continue;
		ok(same, "hooks: %s", c->name);
		played++;
	}
	printf("# hooks: %u cases, %u packets judged alike; not of plain IP packets or of several "
	       "segments: %u; with long waits: %u\n",
	       played, n.packets, n.skipped, waiting);
	module_free(wire.m);
	return tap_done();
}
