/* SPDX-License-Identifier: MIT */
/*
 * drill: what hammers the module from inside a guest. Raw netlink and no library, so that messages
 * can be wrong in every way. What its parts share.
 */
#ifndef HG_TESTS_KMOD_DRILL_H
#define HG_TESTS_KMOD_DRILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/netlink.h>

#include "../../include/uapi/heliograph.h"

/* drill-netlink.c: one message at a time. */
struct message {
	union {
		struct nlmsghdr head;
		uint8_t bytes[80 * 1024];
	};
};

struct channel {
	int fd;
	uint16_t family;
	uint32_t seq;
	char sentence[160]; /* of the last refusal; "" if it had none */
};

/* What the kernel answered to GET. */
struct state {
	bool attached;
	uint32_t generation, memory, locked, left;
	uint32_t counts[3];
	uint64_t *counters; /* where those of GET_COUNTERS go, or NULL */
};

/* A socket in the namespace of the caller. Returns 0, or -ENOENT if the module is not there. */
int channel_open(struct channel *c);
void channel_close(struct channel *c);
void message_begin(struct message *m, uint16_t type, uint8_t command, uint16_t flags);
void message_put(struct message *m, uint16_t type, const void *data, size_t length);
/* Sends these bytes and reads all that comes; returns 0 or the refusal, -ETIMEDOUT if nothing. */
int channel_ask(struct channel *c, const void *bytes, size_t length);
/* channel_ask() whose send runs with the nth allocation failing; *left is what stayed of nth. */
int channel_ask_nth(struct channel *c, const struct message *m, unsigned int nth,
		    unsigned int *left);
int channel_get(struct channel *c, struct state *s);
int channel_counters(struct channel *c, uint64_t counters[HG_REASON_MAX]);

/* drill-seeds.c: good messages by name; what they say differs by what send_random() says. */
struct seed {
	const char *name;
	uint8_t command;
	uint16_t flags; /* NLM_F_DUMP or 0 */
	void (*fill)(struct message *m);
};

extern const struct seed seeds[];
extern const size_t n_seeds;
const struct seed *seed_find(const char *name);
void seed_message(struct message *m, const struct seed *s, uint16_t family);
/* Puts a good seal as the last attribute: by the key that the seed "lock" sets. */
void seed_seal(struct message *m, uint64_t counter);

/* drill-world.c: a namespace with an interface to guard, v0, whose other end is v1. */
int world_enter(void);
/* So many hostile frames of a kind (hostile.h; -1: of any) through fd, a socket at v1. */
void world_frames(int fd, int kind, unsigned int n);
/* As many of a file of frames, each behind two bytes of length; returns how many there were. */
unsigned int world_file(int fd, FILE *f, unsigned int n);
/* Frames at v0 and packets out of it, some hundred of each. */
void world_traffic(void);
/* Children that do so until the pid is killed. */
int world_traffic_start(void);
void world_traffic_stop(int pid);

/* drill-nth.c: runs one thing with its nth allocation failing, for n = 1, 2, ... */
int nth_arm(unsigned int nth);
/* What is left of nth; 0: an allocation failed. Disarms. */
unsigned int nth_left(void);
int drill_load_nth(int argc, char **argv);
int drill_command_nth(int argc, char **argv);

/* drill-fuzz.c, drill-packets.c, drill-churn.c */
int drill_fuzz(int argc, char **argv);
int drill_packets(int argc, char **argv);
int drill_load(int argc, char **argv);
int drill_namespaces(int argc, char **argv);

/* drill.c: modules by system call, without the retries of insmod. 0 or -errno. */
int module_load(const char *path);
int module_unload(void);

#endif
