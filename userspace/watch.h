/* SPDX-License-Identifier: MIT */
/*
 * The whistle-blower's side of the agent: the guard on the interfaces, the profile, the detector
 * that reads the guard's windows, the sender of alarms; and the addresses that all of these need.
 */
#ifndef HG_USERSPACE_WATCH_H
#define HG_USERSPACE_WATCH_H

#include <jansson.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct hg_agent;
struct hg_watch;

/*
 * Attaches or adopts the guard of [guard], starts detector and sender. Returns 0 and *w (NULL if
 * nothing of it is configured), or -errno with a message in err: with [guard] required the agent
 * must not run then.
 */
int hg_watch_new(struct hg_agent *agent, struct hg_watch **w, char *err, size_t err_size);

/*
 * The agent cannot start: puts up the guard of [guard] all the same, without a profile, and leaves
 * it in the kernel. One that runs stays as it is. What comes of it is logged.
 */
void hg_watch_leave_guard(const struct hg_agent *agent);

/* The guard stays in the kernel. */
void hg_watch_free(struct hg_watch *w);

/* The mirror's addresses as just resolved; must be called before connecting to them. */
void hg_watch_mirror(struct hg_watch *w, const struct sockaddr_storage *addrs, size_t n);

/*
 * Opens the gate for so many ms; whatever is left of an earlier call ends with it. Nothing is done
 * if there is no guard, or it has no gate.
 */
void hg_watch_gate(struct hg_watch *w, uint64_t ms);

/* Certificate and key of the device were read anew or replaced: alarms are signed with them. */
void hg_watch_identity(struct hg_watch *w);

/* Sends a test alarm; *counter is its number. -ENOTCONN: no collector is configured. */
int hg_watch_alarm_test(struct hg_watch *w, uint64_t *counter, char *err, size_t err_size);

/* For `status` and `guard.status`: new objects; w may be NULL. */
json_t *hg_watch_guard_status(struct hg_watch *w);
json_t *hg_watch_alarm_status(struct hg_watch *w);

#endif
