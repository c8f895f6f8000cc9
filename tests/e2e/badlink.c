// SPDX-License-Identifier: MIT
/*
 * Bad links for the fault campaign: each is a cable between two network interfaces, on which frames
 * are lost, doubled, delayed and reordered. What netem does, for kernels that are built without it,
 * and with a seed: the n-th frame of a link has the same fate in each run. A link begins perfect.
 *
 *	badlink SEED IF IF [IF IF ...]
 *
 * Standard input has one command a line, each answered by "ok" or by "error: ...":
 *	N loss=% double=% late=% delay=ms jitter=ms
 *		the N-th link, from 0, from now on; what is not named is 0. Late frames wait twice
 *		as long as others, so that those that follow overtake them
 *	N hole=frames,ms	so many frames pass yet, then none until the time is over
 *	N count			answers "ok PASSED LOST DOUBLED LATE" of both directions
 * It ends with its input. Frames that wait are bounded: what comes beyond is lost.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define LINKS_MAX 16
#define FRAME_MAX 2048 /* interfaces of 1,500 bytes without offloads */
#define WAITING_MAX 1024

struct frame {
	uint64_t due_us; /* 0: this place is free */
	uint64_t number; /* those due together leave in the order in which they came */
	int fd;
	size_t len;
	uint8_t bytes[FRAME_MAX];
};

struct link {
	int fd[2];
	uint64_t random;
	unsigned int loss, twice, late, delay_ms, jitter_ms;
	bool holed;
	unsigned long pass_yet; /* before the hole begins */
	uint64_t hole_us, hole_until_us;
	unsigned long passed, lost, doubled, reordered;
};

static struct link links[LINKS_MAX];
static size_t n_links;
static struct frame waiting[WAITING_MAX];
static uint64_t frames;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

/* Steele and Vigna's splitmix64: any seed will do. */
static uint64_t draw(struct link *l)
{
	uint64_t z = l->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool chance(struct link *l, unsigned int percent)
{
	return draw(l) % 100 < percent;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	int fd, one = 1;

	at.sll_ifindex = all.mr_ifindex = (int)if_nametoindex(name);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || !at.sll_ifindex ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		fprintf(stderr, "badlink: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return fd;
}

/* True if a hole takes this frame. */
static bool in_hole(struct link *l)
{
	if (!l->holed)
		return false;
	if (l->pass_yet) {
		l->pass_yet--;
		return false;
	}
	if (!l->hole_until_us)
		l->hole_until_us = now_us() + l->hole_us;
	l->holed = now_us() < l->hole_until_us;
	return l->holed;
}

static void keep(struct link *l, int to, const uint8_t *bytes, size_t len, uint64_t delay_us)
{
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct frame *f = &waiting[i];

		if (f->due_us)
			continue;
		*f = (struct frame){
			.due_us = now_us() + delay_us, .number = frames++, .fd = to, .len = len
		};
		memcpy(f->bytes, bytes, len);
		return;
	}
	l->lost++;
}

/* Every frame draws as often as every other, so that a fate does not depend on the fates before. */
static void take(struct link *l, int to, const uint8_t *bytes, size_t len)
{
	bool lost = chance(l, l->loss), twice = chance(l, l->twice), late = chance(l, l->late);
	uint64_t jitter_us = draw(l) % (l->jitter_ms * UINT64_C(1000) + 1);
	uint64_t delay_us = l->delay_ms * UINT64_C(1000) + jitter_us;

	if (in_hole(l) || lost) {
		l->lost++;
		return;
	}
	l->passed++;
	l->doubled += twice;
	l->reordered += late;
	for (int copies = twice ? 2 : 1; copies > 0; copies--)
		keep(l, to, bytes, len, late ? 2 * delay_us : delay_us);
}

static void receive(struct link *l, int side)
{
	uint8_t bytes[FRAME_MAX];
	ssize_t len;

	/* Errors are the interface going down; it comes again. */
	while ((len = recv(l->fd[side], bytes, sizeof(bytes), MSG_TRUNC)) > 0) {
		if ((size_t)len > sizeof(bytes))
			l->lost++;
		else
			take(l, l->fd[!side], bytes, (size_t)len);
	}
}

/* Sends what is due, oldest first; returns the milliseconds until the next, or -1. */
static int send_due(void)
{
	for (;;) {
		struct frame *first = NULL;
		uint64_t now = now_us();

		for (struct frame *f = waiting; f < waiting + WAITING_MAX; f++) {
			if (f->due_us &&
			    (!first || f->due_us < first->due_us ||
			     (f->due_us == first->due_us && f->number < first->number)))
				first = f;
		}
		if (!first)
			return -1;
		if (first->due_us > now)
			return (int)((first->due_us - now) / 1000) + 1;
		send(first->fd, first->bytes, first->len,
		     0); /* an interface that is down loses it */
		first->due_us = 0;
	}
}

static bool set(struct link *l, const char *word)
{
	unsigned int a, b;

	if (sscanf(word, "loss=%u", &a) == 1 && a <= 100)
		l->loss = a;
	else if (sscanf(word, "double=%u", &a) == 1 && a <= 100)
		l->twice = a;
	else if (sscanf(word, "late=%u", &a) == 1 && a <= 100)
		l->late = a;
	else if (sscanf(word, "delay=%u", &a) == 1 && a <= 10000)
		l->delay_ms = a;
	else if (sscanf(word, "jitter=%u", &a) == 1 && a <= 10000)
		l->jitter_ms = a;
	else if (sscanf(word, "hole=%u,%u", &a, &b) == 2) {
		l->holed = true;
		l->pass_yet = a;
		l->hole_us = b * UINT64_C(1000);
		l->hole_until_us = 0;
	} else
		return false;
	return true;
}

static void command(char *line)
{
	char *end, *rest, *word;
	unsigned long n = strtoul(line, &end, 10);
	struct link *l = &links[n];

	if (end == line || n >= n_links) {
		puts("error: no such link");
		return;
	}
	word = strtok_r(end, " ", &rest);
	if (word && !strcmp(word, "count")) {
		printf("ok %lu %lu %lu %lu\n", l->passed, l->lost, l->doubled, l->reordered);
		return;
	}
	if (!word || strncmp(word, "hole=", 5) != 0)
		l->loss = l->twice = l->late = l->delay_ms = l->jitter_ms = 0;
	for (; word; word = strtok_r(NULL, " ", &rest)) {
		if (!set(l, word)) {
			printf("error: cannot read '%s'\n", word);
			return;
		}
	}
	puts("ok");
}

/* False when the input has ended. */
static bool read_commands(void)
{
	static char text[4096];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof(text) - 1 - len);
	char *line = text, *end;

	if (n <= 0)
		return false;
	len += (size_t)n;
	text[len] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		command(line);
		line = end + 1;
	}
	fflush(stdout);
	len -= (size_t)(line - text);
	memmove(text, line, len + 1);
	return len < sizeof(text) - 1;
}

int main(int argc, char **argv)
{
	struct pollfd fds[2 * LINKS_MAX + 1];

	if (argc < 4 || argc % 2 || (argc - 2) / 2 > LINKS_MAX) {
		fputs("usage: badlink SEED IF IF [IF IF ...]\n", stderr);
		return 2;
	}
	n_links = (size_t)(argc - 2) / 2;
	for (size_t i = 0; i < 2 * n_links; i++) {
		struct link *l = &links[i / 2];

		l->random = strtoull(argv[1], NULL, 10) * LINKS_MAX + i / 2;
		l->fd[i % 2] = open_interface(argv[2 + i]);
		fds[i] = (struct pollfd){ .fd = l->fd[i % 2], .events = POLLIN };
	}
	fds[2 * n_links] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	for (;;) {
		if (poll(fds, 2 * n_links + 1, send_due()) < 0 && errno != EINTR)
			return 1;
		for (size_t i = 0; i < 2 * n_links; i++) {
			if (fds[i].revents)
				receive(&links[i / 2], (int)(i % 2));
		}
		if (fds[2 * n_links].revents && !read_commands())
			return 0;
	}
}
