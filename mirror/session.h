/* SPDX-License-Identifier: MIT */
/*
 * One session of a device, and the loop's share of them. Known to session.c (connection, handshake,
 * frames), session-ask.c (requests and what the database says) and sync.c (the loop) only.
 */
#ifndef HG_MIRROR_SESSION_H
#define HG_MIRROR_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <sys/queue.h>
#include "admit.h"
#include "batch.h"
#include "early.h"
#include "exchange.h"
#include "identity.h"
#include "inbox.h"
#include "net.h"
#include "pace.h"
#include "renew.h"
#include "slot.h"
#include "stream.h"
#include "sync.h"

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_SLOW,	/* a handshake that takes long, see sync.c */
	SESSION_MOVING, /* between two loops, in no list */
	SESSION_IDLE,	/* no byte of the next request is here */
	SESSION_READING,
	SESSION_WAITING, /* a request is here; the device's last one is still under way */
	SESSION_QUEUED,	 /* a request is here; the batcher has no room for it */
	SESSION_ASKING,
	SESSION_ANSWERING,
	SESSION_CLOSING, /* as ANSWERING, and the end after it */
	SESSION_STATES
};

struct session {
	TAILQ_ENTRY(session) entry;
	struct hg_sync *sync;
	struct hg_stream stream;
	enum session_state state;
	uint64_t deadline_ms;
	struct hg_slot *slot;
	unsigned int rounds;
	uint32_t flags; /* of the last request */
	struct hg_identity identity;
	struct hg_early *early; /* of the handshake: whether it can be answered already is asked */
	bool early_asked;
	bool told; /* the first request was answered early; it is yet to be recorded */
	struct hg_renewal *renewal; /* of the request under way; NULL: it wants no certificate */
	bool certified;		    /* a certificate was asked for: once in a session */
	struct timespec accepted;
	struct hg_net_addr peer;
	struct hg_inbox in;
};

TAILQ_HEAD(session_list, session);

struct hg_sync {
	struct hg_sync_shared *shared;
	const struct hg_mirror_conf *conf;
	struct event_base *base;
	struct event *tick, *room_again;
	struct hg_pg *pg;
	struct hg_batcher *batcher;
	struct hg_admit *admit;
	struct hg_pace pace;
	size_t asking_max; /* of all loops, see may_begin() */
	struct session_list sessions[SESSION_STATES];
	uint64_t timeout_ms[SESSION_STATES]; /* 0: none; the batcher keeps these deadlines */
	struct hg_slots slots;
	bool stopping, away; /* away: it was logged that the database does not answer */
	struct hg_wire_room room;
	uint8_t out[HG_WIRE_MAX + 4], scratch[HG_INBOX_READ];
};

/* A connection has its turn: its session begins with the handshake. As hg_admit_options.begin. */
void hg_session_begin(void *ctx, int fd, const struct hg_net_addr *peer,
		      const struct timespec *accepted);

/* The only way to another state: into its list, with its time. */
void hg_session_set(struct session *s, enum session_state state);

/* Closes and frees; an ask that is under way goes on without it. */
void hg_session_end(struct session *s);

/* Looks at what has arrived, if the session may take a request. s may be gone afterwards. */
void hg_session_go_on(struct session *s);

/* A whole frame without its prefix: to the database, or refused. s may be gone afterwards. */
void hg_session_request(struct session *s, struct hg_slice in);

/* One write per answer; len < 0: there is none. last: and the end. s may be gone afterwards. */
void hg_session_answer(struct session *s, const void *frame, long len, bool last);
void hg_session_refuse(struct session *s, uint32_t status, const char *detail, bool last);

/* For the log; the peer's text is good until the next call in this thread. */
const char *hg_session_name(const struct session *s);
const char *hg_session_peer(const struct session *s);

/* How long who comes now waits. */
uint32_t hg_sync_wait_ms(const struct hg_sync *sync);

#endif
