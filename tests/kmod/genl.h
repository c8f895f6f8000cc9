/* SPDX-License-Identifier: MIT */
/*
 * A small client of the module's netlink family, for tests: many commands in one message to the
 * kernel, whose answers come in order, and the events beside them. What fails ends the program.
 */
#ifndef HG_TESTS_GENL_H
#define HG_TESTS_GENL_H

#include <stddef.h>
#include "../../include/uapi/heliograph.h"

struct genl;

/* NULL with the reason in *why: no such family, or no right to it. */
struct genl *genl_open(const char **why);
void genl_close(struct genl *g);

/* A command, to which attributes are put; it waits until it is sent. */
void genl_begin(struct genl *g, __u8 command, __u16 flags);
void genl_put(struct genl *g, __u16 attribute, const void *data, size_t length);
void genl_put32(struct genl *g, __u16 attribute, __u32 value);

/* Bytes that wait. Whoever sends much does so before they are more than GENL_ROOM / 2. */
#define GENL_ROOM 196608
size_t genl_waiting(const struct genl *g);

/* Attributes of one answer: at[type] is NULL if it is not there. */
struct genl_answer {
	const void *at[HG_A_MAX + 1];
	size_t length[HG_A_MAX + 1];
};

typedef void (*genl_each)(void *ctx, const struct genl_answer *a);

/* Sends what waits and takes n answers. */
void genl_exchange(struct genl *g, size_t n, genl_each each, void *ctx);
/* Sends the one command that waits: 0 or -errno, and genl_error() says what the kernel did. */
int genl_call(struct genl *g);
/* Sends a command without attributes and takes all of its answers. 0 or -errno. */
int genl_dump(struct genl *g, __u8 command, genl_each each, void *ctx);
const char *genl_error(const struct genl *g);

/* Hears events from now on; takes those that have come. Returns how many, -1: some were lost. */
void genl_listen(struct genl *g);
int genl_events(struct genl *g, void (*each)(void *ctx, const void *event, size_t length),
		void *ctx);

#endif
