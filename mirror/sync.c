// SPDX-License-Identifier: MIT
/*
 * The sessions of one loop: who may begin, deadlines, begin and end. One that finds the batcher
 * full waits for room, and hears BUSY only when its time is over.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include "../lib/log.h"

#define TICK_MS 100 /* how finely deadlines are kept */

/* Of each loop, under way or waiting, when no handshake begins any more; two are under way. */
#define BATCHES_AHEAD 4
#define AHEAD_UNBATCHED 64 /* the same where each request is committed by itself */
#define LATE_MS 15000	   /* of the 20 s that a device waits: section 10 of the protocol */
#define SLOW_MS 5000	   /* a handshake that takes so long keeps no others from beginning */

uint32_t hg_sync_wait_ms(const struct hg_sync *sync)
{
	return hg_pace_wait_ms(&sync->pace, (unsigned int)(hg_admit_waiting(sync->admit) +
							   hg_batch_busy(sync->batcher)));
}

/* An ask is answered: who waits for room goes on, and then who waits at the door. */
static void on_room(evutil_socket_t fd, short what, void *arg)
{
	struct hg_sync *sync = arg;
	struct session *s;

	while (!hg_batch_full(sync->batcher) && (s = TAILQ_FIRST(&sync->sessions[SESSION_QUEUED])))
		hg_session_go_on(s);
	hg_admit_go(sync->admit);
}

/*
 * A handshake whose request the database cannot take would only take time from it, and end in BUSY.
 * Some batches more than it works on keep it busy; those that shake hands will ask, too.
 */
static bool may_begin(void *ctx)
{
	const struct hg_sync *sync = ctx;
	size_t asking = atomic_load(&sync->shared->asking);

	return asking < sync->asking_max &&
	       asking + atomic_load(&sync->shared->shaking) <= sync->conf->database.queue / 4 * 3;
}

static void on_deadline(struct session *s)
{
	if (s->state == SESSION_HANDSHAKE && s->sync->timeout_ms[SESSION_SLOW]) {
		hg_session_set(s, SESSION_SLOW);
		return;
	}
	if (s->state == SESSION_QUEUED) {
		hg_session_refuse(s, HG_WIRE_BUSY, "too many devices at once", true);
		return;
	}
	if (s->state == SESSION_READING || s->state == SESSION_ANSWERING)
		hg_info("sync: %s too slowly: %s: %s",
			s->state == SESSION_READING ? "sends" : "reads", hg_session_name(s),
			hg_session_peer(s));
	hg_session_end(s);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_sync *sync = arg;
	uint64_t now = hg_pace_now_ms();

	for (int i = 0; i < SESSION_STATES; i++) {
		struct session *s;

		while (sync->timeout_ms[i] && (s = TAILQ_FIRST(&sync->sessions[i])) &&
		       s->deadline_ms <= now)
			on_deadline(s);
	}
}

static int open_parts(struct hg_sync *sync)
{
	const struct hg_mirror_conf *conf = sync->conf;
	const unsigned int loops = sync->shared->n_loops;
	const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	const struct hg_batch_options b = { .batch = (unsigned int)conf->sync.batch,
					    .connections = hg_pg_connections(sync->pg),
					    .queue_max =
						    (unsigned int)conf->database.queue / loops + 1,
					    .timeout_ms = (unsigned int)conf->database.timeout,
					    .object_max = conf->sync.object_max };
	const size_t ahead = b.batch > 1 ? (size_t)BATCHES_AHEAD * b.batch : AHEAD_UNBATCHED;
	const struct hg_admit_options a = { .fd = sync->shared->listener,
					    .late_ms = LATE_MS,
					    .pace = &sync->pace,
					    .may_begin = may_begin,
					    .open = &sync->shared->open,
					    .open_max = conf->sync.connections,
					    .silence_ms = conf->sync.handshake_timeout,
					    .begin = hg_session_begin,
					    .ctx = sync };

	sync->asking_max = loops * (ahead < b.queue_max / 2 ? ahead : b.queue_max / 2 + 1);
	sync->batcher = hg_batcher_new(sync->base, sync->pg, &b);
	sync->admit = hg_admit_new(sync->base, &a);
	sync->tick = event_new(sync->base, -1, EV_PERSIST, on_tick, sync);
	sync->room_again = event_new(sync->base, -1, 0, on_room, sync);
	return sync->batcher && sync->admit && sync->tick && sync->room_again &&
			       !event_add(sync->tick, &tick)
		       ? 0
		       : -ENOMEM;
}

struct hg_sync *hg_sync_new(struct event_base *base, struct hg_sync_shared *shared,
			    struct hg_pg *pg)
{
	const struct hg_mirror_conf *conf = shared->conf;
	struct hg_sync *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->base = base;
	sync->shared = shared;
	sync->conf = conf;
	sync->pg = pg;
	for (int i = 0; i < SESSION_STATES; i++)
		TAILQ_INIT(&sync->sessions[i]);
	sync->timeout_ms[SESSION_HANDSHAKE] = conf->sync.handshake_timeout;
	if (conf->sync.handshake_timeout > SLOW_MS) {
		sync->timeout_ms[SESSION_HANDSHAKE] = SLOW_MS;
		sync->timeout_ms[SESSION_SLOW] = conf->sync.handshake_timeout - SLOW_MS;
	}
	sync->timeout_ms[SESSION_IDLE] = conf->sync.idle_timeout;
	sync->timeout_ms[SESSION_QUEUED] = conf->database.timeout;
	sync->timeout_ms[SESSION_READING] = conf->sync.message_timeout;
	sync->timeout_ms[SESSION_ANSWERING] = conf->sync.message_timeout;
	sync->timeout_ms[SESSION_CLOSING] = conf->sync.message_timeout;
	if (open_parts(sync)) {
		hg_sync_free(sync);
		return NULL;
	}
	return sync;
}

static void end_all(struct hg_sync *sync, enum session_state state)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&sync->sessions[state])))
		hg_session_end(s);
}

void hg_sync_stop(struct hg_sync *sync)
{
	struct session *s;

	sync->stopping = true;
	if (sync->admit)
		hg_admit_stop(sync->admit);
	end_all(sync, SESSION_HANDSHAKE);
	end_all(sync, SESSION_SLOW);
	end_all(sync, SESSION_IDLE);
	end_all(sync, SESSION_READING);
	end_all(sync, SESSION_WAITING);
	end_all(sync, SESSION_QUEUED);
	while ((s = TAILQ_FIRST(&sync->sessions[SESSION_ANSWERING])))
		hg_session_set(s, SESSION_CLOSING);
}

void hg_sync_free(struct hg_sync *sync)
{
	if (!sync)
		return;
	hg_sync_stop(sync);
	hg_batcher_free(sync->batcher);
	end_all(sync, SESSION_ASKING);
	end_all(sync, SESSION_CLOSING);
	hg_admit_free(sync->admit);
	if (sync->tick)
		event_free(sync->tick);
	if (sync->room_again)
		event_free(sync->room_again);
	free(sync);
}
