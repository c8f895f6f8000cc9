/* SPDX-License-Identifier: MIT */
/* What the packet sources of these tests share: random numbers, checksums, a packet socket. */
#ifndef HG_TESTS_NET_SEND_H
#define HG_TESTS_NET_SEND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct sockaddr_ll;
struct timespec;

#define SEND_BATCH 64

/* xorshift64*: the same numbers for the same seed, 0 is taken as 1. */
void send_seed(uint64_t seed);
uint64_t send_random(void);

void put16(uint8_t *p, unsigned int v);
uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t n);
/* Writes the checksum of what was added up, never as zero. */
void put_sum(uint8_t *p, uint32_t sum);

/* A socket that sends whole frames through that interface; -1 and errno if there is none. */
int send_open(const char *name);
/* Sends all of them, waiting where the interface is busy. Returns 0 or -errno. */
int send_all(int fd, struct mmsghdr *batch, unsigned int n);
/* Sleeps when ahead of the rate, packets per second. */
void send_pace(const struct timespec *start, uint64_t sent, double rate);

#endif
