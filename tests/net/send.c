// SPDX-License-Identifier: MIT
/* Random numbers, checksums and a packet socket for the packet sources of these tests. */
#include "send.h"

#include <errno.h>
#include <net/if.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>

static uint64_t state = 1;

void send_seed(uint64_t seed)
{
	state = seed ? seed : 1;
}

uint64_t send_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t n)
{
	for (; n > 1; n -= 2, p += 2)
		sum += p[0] << 8 | p[1];
	return n ? sum + (p[0] << 8) : sum;
}

void put16(uint8_t *p, unsigned int v)
{
	p[0] = v >> 8;
	p[1] = v;
}

void put_sum(uint8_t *p, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(p, sum == 0xffff ? sum : ~sum);
}

int send_open(const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name) };
	int fd, size = 8 << 20;

	if (!to.sll_ifindex)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (!bind(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

int send_all(int fd, struct mmsghdr *batch, unsigned int n)
{
	for (unsigned int done = 0; done < n;) {
		int sent = sendmmsg(fd, batch + done, n - done, 0);

		if (sent > 0)
			done += sent;
		else if (sent < 0 && errno != ENOBUFS && errno != EINTR)
			return -errno;
	}
	return 0;
}

void send_pace(const struct timespec *start, uint64_t sent, double rate)
{
	struct timespec until = *start;
	double s = sent / rate;

	until.tv_sec += (time_t)s;
	until.tv_nsec += (s - (time_t)s) * 1e9;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
