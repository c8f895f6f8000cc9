// SPDX-License-Identifier: MIT
/*
 * Requests and answers over one TCP connection, one at a time, for the benchmarks.
 *
 *   rr server PORT
 *   rr client ADDRESS PORT SECONDS
 *
 * The client prints {"requests": N, "seconds": S, "p50": T, "p99": T}, T in microseconds. A
 * connection that breaks or cannot be made is tried again until the time is over: under a flood
 * that is the result, too.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 64
#define SAMPLES (1 << 20)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int stream(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

/* Answers one connection after the other in a child each. */
static int serve(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = stream(), fd, one = 1;
	char buf[MESSAGE];
	ssize_t n;

	signal(SIGCHLD, SIG_IGN);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 64)) {
		perror("rr: listen");
		return 1;
	}
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (fork()) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			if (write(fd, buf, n) != n)
				break;
		_exit(0);
	}
	return 1;
}

static int ready(int fd, short events, double until)
{
	struct pollfd p = { .fd = fd, .events = events };
	double left = until - now();

	return left > 0 && poll(&p, 1, (int)(left * 1000) + 1) > 0;
}

static int dial(const struct sockaddr_in *a, double until)
{
	int fd = stream(), error = 0;
	socklen_t len = sizeof(error);
	struct timeval tv = { .tv_usec = 1000 };

	/* SO_SNDTIMEO bounds connect(); what has not ended by then goes on and is polled for. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!connect(fd, (const struct sockaddr *)a, sizeof(*a)))
		return fd;
	if (ready(fd, POLLOUT, until) && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) &&
	    !error)
		return fd;
	close(fd);
	return -1;
}

static int turn(int fd, double until)
{
	char buf[MESSAGE] = "request";
	size_t got = 0;
	ssize_t n;

	if (write(fd, buf, sizeof(buf)) != sizeof(buf))
		return -1;
	while (got < sizeof(buf)) {
		if (!ready(fd, POLLIN, until))
			return -1;
		n = read(fd, buf + got, sizeof(buf) - got);
		if (n <= 0)
			return -1;
		got += n;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static int ask(const char *host, int port, double seconds)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	float *us = calloc(SAMPLES, sizeof(*us));
	double start = now(), until = start + seconds;
	size_t n = 0;
	int fd = -1;

	if (!us || inet_pton(AF_INET, host, &a.sin_addr) != 1) {
		free(us);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	while (now() < until && n < SAMPLES) {
		double begin = now();

		if (fd < 0) {
			fd = dial(&a, until);
		} else if (turn(fd, until)) {
			close(fd);
			fd = -1;
		} else {
			us[n++] = (now() - begin) * 1e6;
		}
	}
	qsort(us, n, sizeof(*us), compare);
	printf("{\"requests\": %zu, \"seconds\": %.3f, \"p50\": %.1f, \"p99\": %.1f}\n", n,
	       now() - start, n ? us[n / 2] : 0, n ? us[n * 99 / 100] : 0);
	free(us);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "server"))
		return serve(atoi(argv[2]));
	if (argc == 5 && !strcmp(argv[1], "client"))
		return ask(argv[2], atoi(argv[3]), atof(argv[4]));
	fprintf(stderr, "usage: rr server PORT | rr client ADDRESS PORT SECONDS\n");
	return 2;
}
