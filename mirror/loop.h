/* SPDX-License-Identifier: MIT */
/*
 * Event loops, the first in the main thread, each other in a thread of its own, with its own
 * connections to the database and its own sessions.
 */
#ifndef HG_MIRROR_LOOP_H
#define HG_MIRROR_LOOP_H

#include <stdbool.h>
#include <event2/event.h>
#include "../lib/pg.h"
#include "sync.h"

struct hg_loop;

/* The first loop has number 0. NULL when out of memory. Nothing runs yet. */
struct hg_loop *hg_loop_new(unsigned int number, const struct hg_pg_options *pg);

struct event_base *hg_loop_base(const struct hg_loop *l);
struct hg_pg *hg_loop_pg(const struct hg_loop *l);
struct hg_sync *hg_loop_sync(const struct hg_loop *l);

/* Opens its sessions. Returns 0 or -ENOMEM. */
int hg_loop_open(struct hg_loop *l, struct hg_sync_shared *shared);

/* Starts its thread, which takes no signals. Returns 0 or -errno. Not for the first loop. */
int hg_loop_start(struct hg_loop *l);

/*
 * From any thread: call(arg) is called by the loop's own, soon, in the order of posting; also if
 * the loop ends before. Returns 0 or -ENOMEM.
 */
int hg_loop_post(struct hg_loop *l, void (*call)(void *arg), void *arg);

/* From the main thread: hg_sync_stop() in the loop's own. */
void hg_loop_stop(struct hg_loop *l);

/* From the main thread: ends the loop's thread, if it has one, and waits for that. */
void hg_loop_join(struct hg_loop *l);

/* After all loops were joined: fails what is under way at the database, and ends its pool. */
void hg_loop_close(struct hg_loop *l);

/* Closes it, if that was not done yet, and frees it. NULL is allowed. */
void hg_loop_free(struct hg_loop *l);

#endif
