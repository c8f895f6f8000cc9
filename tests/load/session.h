/* SPDX-License-Identifier: MIT */
/*
 * One session of one simulated device, by the rules of docs/sync-protocol.md and, on the wire, as
 * the agent does it: the request leaves with the last handshake flight, close_notify with the FIN,
 * the mirror's close_notify is not waited for. The store of the device is its record.
 */
#ifndef TESTS_LOAD_SESSION_H
#define TESTS_LOAD_SESSION_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include "state.h"

#define LOAD_ROUNDS_MAX 256 /* of a session */

enum load_end {
	LOAD_OK,
	LOAD_CONNECT,	  /* no TCP connection */
	LOAD_TLS,	  /* an alert, or bytes that are not TLS */
	LOAD_TURNED_AWAY, /* closed or reset in the handshake: so a mirror over its limit does it */
	LOAD_CLOSED,	  /* closed or reset later, without an answer */
	LOAD_TIMEOUT,
	LOAD_PROTOCOL, /* an answer that breaks the rules */
	LOAD_BUSY,
	LOAD_UNAVAILABLE,
	LOAD_REFUSED, /* any other status */
	LOAD_LOCAL,   /* this machine: descriptors, memory, addresses */
	LOAD_ENDS,
};

const char *load_end_name(enum load_end end);

/* Of events: a session that has begun goes on before another begins, as on a machine of its own. */
#define LOAD_FIRST_PRIORITY 0
#define LOAD_LAST_PRIORITY 1
#define LOAD_PRIORITIES 2
#define LOAD_LAST_BURST 16 /* of those that come last, before looking for others */

/* What all sessions share. */
struct load_peer {
	struct load_state *state;
	struct event_base *base;
	SSL_CTX *tls;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *name; /* that the mirror's certificate must have */
	bool spread;	  /* each device has an address of its own, 127.16.0.0 and on */
	bool full;	  /* neither tickets nor keys are offered */
	bool early;	  /* idle requests go as early data, where a key is offered */
	uint32_t connect_timeout_s, timeout_s; /* of each of connection and handshake; of all */
	LIST_HEAD(session_list, session) sessions;
};

struct load_traffic {
	uint64_t bytes_out, bytes_in, segments_out, segments_in;
};

struct load_outcome {
	enum load_end end;
	uint32_t rounds, changes, commands, interval_ms;
	bool resumed, by_psk; /* by_psk: which is also resumed */
	bool connected;	      /* by TCP */
	bool early;	      /* the request went as early data, and was taken */
	bool silent;	      /* the mirror said nothing at all */
	uint64_t us;	      /* from connect() to the end */
	struct load_traffic traffic;
	char text[96]; /* why it failed */
};

/* Tickets go to the records; certificate and key come from there when the mirror asks. */
void load_session_prepare(struct load_peer *peer);

/*
 * `done` is called by the loop, once, and the session is gone after it. Returns 0, or -1 without
 * memory.
 */
int load_session_start(struct load_peer *peer, uint32_t device,
		       void (*done)(void *ctx, const struct load_outcome *o), void *ctx);

/* Those that are open when a run is stopped end without a word, as when power fails. */
void load_session_end_all(struct load_peer *peer);

/* What the kernel counted for a TCP connection; unchanged if it does not say. */
void load_traffic_read(int fd, struct load_traffic *t);

uint64_t load_now_us(void);

#endif
