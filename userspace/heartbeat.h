/* SPDX-License-Identifier: MIT */
/*
 * The agent's sign of life to the guard in the kernel. With it lies a signed alarm of class
 * "silenced", which the kernel sends to the collector by itself when the sign fails to come.
 */
#ifndef HG_USERSPACE_HEARTBEAT_H
#define HG_USERSPACE_HEARTBEAT_H

#include <event2/event.h>
#include <jansson.h>
#include <sys/socket.h>
#include "alarm.h"
#include "guard.h"

struct hg_heartbeat;

/* timeout_s 0: none is kept, and one that another agent left with a guard is ended. */
struct hg_heartbeat *hg_heartbeat_new(struct event_base *base, struct hg_alarm_sender *sender,
				      unsigned int timeout_s);
/* The operator stops the agent: the kernel is told to expect no more. */
void hg_heartbeat_free(struct hg_heartbeat *h);

/* The guard was attached, maybe anew; it must live until the next call or the end. */
void hg_heartbeat_set_guard(struct hg_heartbeat *h, const struct hg_guard_ops *ops,
			    struct hg_guard *guard);
/* Where the collector is, as the sender was told. */
void hg_heartbeat_set_collector(struct hg_heartbeat *h, const struct sockaddr_storage *addr);

/* The sender signs with another certificate: so is the alarm that lies with the guard. */
void hg_heartbeat_sign_anew(struct hg_heartbeat *h);

/* A new object: whether it is kept, and if not, why. */
json_t *hg_heartbeat_status(const struct hg_heartbeat *h);

#endif
