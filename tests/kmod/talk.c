/* SPDX-License-Identifier: MIT */
/*
 * A device that talks to its mirror, for benchmarks: over one connection that stays, and over new
 * ones.
 *
 *   talk serve PORT             echoes, to all who connect
 *   talk ADDRESS PORT FILE      a line each 50 ms until FILE is there; then says how many came
 *                               back, how many not, and the same of new connections; makes
 *                               FILE.asked after each line
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#define CLIENTS 64
#define PATIENCE_S 3 /* for one answer: a SYN is sent again after one second */

static int serve(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct pollfd fds[CLIENTS] = { { .fd = socket(AF_INET, SOCK_STREAM, 0),
					 .events = POLLIN } };
	int n = 1, one = 1;
	char buffer[64];

	setsockopt(fds[0].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fds[0].fd, (struct sockaddr *)&at, sizeof(at)) || listen(fds[0].fd, CLIENTS))
		return 1;
	for (;;) {
		poll(fds, (nfds_t)n, -1);
		for (int i = n - 1; i > 0; i--) {
			ssize_t got = fds[i].revents ? read(fds[i].fd, buffer, sizeof(buffer)) : 1;

			if (fds[i].revents && got > 0 && write(fds[i].fd, buffer, (size_t)got) > 0)
				continue;
			if (!fds[i].revents)
				continue;
			close(fds[i].fd);
			fds[i] = fds[--n];
		}
		if (fds[0].revents && n < CLIENTS)
			fds[n++] = (struct pollfd){ .fd = accept(fds[0].fd, NULL, NULL),
						    .events = POLLIN };
	}
}

static int dial(const char *address, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int ask(int fd)
{
	char line[] = "are you there?\n", back[sizeof(line)];

	return fd >= 0 && write(fd, line, sizeof(line)) == (ssize_t)sizeof(line) &&
	       recv(fd, back, sizeof(back), MSG_WAITALL) == (ssize_t)sizeof(back);
}

int main(int argc, char **argv)
{
	unsigned int came = 0, lost = 0, opened = 0, refused = 0;
	int stays, fresh, port;
	char asked[256];

	if (argc == 3)
		return serve(atoi(argv[2]));
	if (argc != 4)
		return 2;
	port = atoi(argv[2]);
	snprintf(asked, sizeof(asked), "%s.asked", argv[3]);
	stays = dial(argv[1], port);
	while (access(argv[3], F_OK)) {
		*(ask(stays) ? &came : &lost) += 1;
		fresh = dial(argv[1], port);
		*(ask(fresh) ? &opened : &refused) += 1;
		if (fresh >= 0)
			close(fresh);
		close(open(asked, O_CREAT | O_WRONLY, 0600));
		usleep(50000);
	}
	printf("%u %u %u %u\n", came, lost, opened, refused);
	return 0;
}
