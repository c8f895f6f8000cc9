/* SPDX-License-Identifier: MIT */
/*
 * One session with the mirror, from the name's resolution to close_notify. Made by sync.c, which
 * decides when; message contents are in session-message.c.
 */
#ifndef HG_USERSPACE_SESSION_H
#define HG_USERSPACE_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include "../lib/wire.h"
#include "interval.h"
#include "store.h"

struct hg_agent;
struct hg_clock;
struct hg_credentials;

struct hg_session_result {
	enum hg_sync_failure failure;
	char text[256];	      /* for people: what was exchanged, or what failed */
	uint32_t interval_ms; /* the mirror's hint; 0: none */
	uint64_t number;      /* of the session */
	size_t rounds, sent, received, commands, reports;
	size_t parts; /* of values that are larger than a message, either way */
	bool resumed; /* TLS without a full handshake */
	bool by_key;  /* the pre-shared key did it */
	bool early;   /* the first request went as early data, and the mirror took it */
	bool renewed; /* another certificate is in use from the next session on */
};

struct hg_session_options {
	struct hg_agent *agent;
	SSL_CTX *tls;
	struct hg_credentials *credentials;
	struct hg_clock *clock; /* NULL: this device's own is right */
	/* Called once, from the loop; frees nothing. The session must then be freed. */
	void (*done)(void *ctx, const struct hg_session_result *result);
	void *ctx;
};

struct hg_session;

/* NULL if out of memory; everything else is said by done(). */
struct hg_session *hg_session_new(const struct hg_session_options *options);
void hg_session_free(struct hg_session *s);

/* A command has ended. True: the session takes its report along. */
bool hg_session_report(struct hg_session *s);

/* Contents of one request, and where they lie until it is answered. */
struct hg_session_message {
	struct hg_wire_request request;
	struct hg_wire_change changes[HG_WIRE_CHANGES_MAX];
	struct hg_wire_report reports[HG_WIRE_REPORTS_MAX];
	struct hg_store_told told[HG_WIRE_REPORTS_MAX];
	struct hg_wire_partial partial; /* what we hold of a change of the mirror */
	size_t spent;			/* of HG_WIRE_BUDGET */
	size_t used;			/* of bytes */
	bool cut;			/* there was more than fits */
	bool more;			/* of changes */
	size_t parts;			/* of values, 0 to 2 */
	size_t whole; /* changes, but for a part that is not the last of its value */
	bool heard;   /* a response of this session has said what the mirror holds: */
	struct hg_wire_partial held[HG_WIRE_PARTIALS_MAX];
	size_t n_held;
	struct hg_wire_report late; /* with a part, which goes last; late.seq 0: none */
	uint8_t bytes[HG_WIRE_MAX];
};

/* Takes note of what a response says that the mirror holds. Returns how many reports it answers. */
size_t hg_session_answered(struct hg_session_message *m, const struct hg_wire_response *r);

/* Gathers what there is to say. Returns 0 or -errno of the store. */
int hg_session_gather(struct hg_agent *agent, struct hg_session_message *m, uint64_t session,
		      uint32_t round);

#endif
