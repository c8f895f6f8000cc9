/* SPDX-License-Identifier: MIT */
/*
 * heliographd: what its parts share. main.c makes and frees them in order; each part holds a
 * pointer to this and knows the others by their headers only.
 */
#ifndef HG_USERSPACE_AGENT_H
#define HG_USERSPACE_AGENT_H

#include <event2/event.h>
#include <stdint.h>
#include "../lib/tls.h"
#include "agent-conf.h"

struct hg_agent {
	struct event_base *base;
	struct hg_agent_conf conf;
	char uid[HG_UID_MAX + 1]; /* of the certificate; empty without one */
	uint64_t started_ms;	  /* hg_uptime_ms() */

	struct hg_resolver *resolver;
	struct hg_model *model; /* NULL: none configured */
	struct hg_store *store;
	struct hg_watch *watch;	    /* guard, detector and alarms; NULL: nothing configured */
	struct hg_renewal *renewal; /* NULL: no mirror configured */
	struct hg_sync *sync;	    /* NULL: no mirror configured */
	struct hg_commands *commands;
	struct hg_socket *socket;
};

/* Unix time in ms. */
uint64_t hg_now_ms(void);
/* Milliseconds of a clock that never jumps and counts suspended time. */
uint64_t hg_uptime_ms(void);

#endif
