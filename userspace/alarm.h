/* SPDX-License-Identifier: MIT */
/*
 * The sender of alarms: one UDP socket to the collector, a bounded queue, repeats until the
 * collector's signed answer.
 */
#ifndef HG_USERSPACE_ALARM_H
#define HG_USERSPACE_ALARM_H

#include <event2/event.h>
#include <sys/socket.h>
#include "../lib/alarm.h"

#define HG_ALARM_QUEUE_MAX 16

struct hg_alarm_sender;

struct hg_alarm_options {
	struct event_base *base;
	const char *uid, *model, *firmware; /* copied */
	const char *cert, *key;		    /* PEM files of the device */
	const char *collector_cert;	    /* PEM file; its key signs what the collector answers */

	/*
	 * The next number of this device, greater than all before, also after a power cut (the
	 * store reserves them in blocks). Returns 0 if there is none now.
	 */
	uint64_t (*next_counter)(void *ctx);
	/* Called once a statement was confirmed, or refused (-EKEYREJECTED). May be NULL. */
	void (*answered)(void *ctx, uint64_t counter, int result);
	void *ctx;
};

/* NULL with a message that names the file in err. Sends nothing before it has an address. */
struct hg_alarm_sender *hg_alarm_sender_new(const struct hg_alarm_options *options, char *err,
					    size_t err_size);
void hg_alarm_sender_free(struct hg_alarm_sender *s);

/*
 * The collector's address, at start and whenever it has changed. Enrols there, and sends what
 * waits. Returns 0 or -errno of the socket calls.
 */
int hg_alarm_sender_connect(struct hg_alarm_sender *s, const struct sockaddr *addr, socklen_t len);

/*
 * Sends `alarm` at once and repeats it until answered. uid, model, firmware, counter and time are
 * filled in here; episode 0 begins one and becomes the counter. *counter (may be NULL) is the
 * number it got. Of an episode only the newest statement waits; when the queue is full the
 * oldest one that waits is given up. -EAGAIN: no number to be had; -EINVAL: not encodable.
 */
int hg_alarm_sender_send(struct hg_alarm_sender *s, const struct hg_alarm *alarm,
			 uint64_t *counter);

/* Fits struct hg_detect_options.alarm; ctx is the sender. */
int hg_alarm_sender_state(void *ctx, const struct hg_alarm *alarm, uint64_t *episode);

/* A statement of class "test", for `heliograph alarm test`. */
int hg_alarm_sender_test(struct hg_alarm_sender *s, uint64_t *counter);

/*
 * Signs a statement of class "silenced" for somebody else to send when no heartbeat came for so
 * many seconds. Its number (*counter) is used up, whether it is ever sent or not. Returns the
 * datagram's length or -errno as hg_alarm_sender_send().
 */
long hg_alarm_sender_silenced(struct hg_alarm_sender *s, unsigned int timeout_s, void *datagram,
			      size_t size, uint64_t *counter);
/* The number taken last, for a statement of any kind. */
uint64_t hg_alarm_sender_newest(const struct hg_alarm_sender *s);

/*
 * Another certificate of this device, with its key, is in use from now on: it is enrolled. What
 * waits stays as it was signed, unless the collector does not know the old one. The same as before
 * is no change. Returns 0, or -EINVAL with a message in err: then the old one stays.
 */
int hg_alarm_sender_identity(struct hg_alarm_sender *s, const char *cert, const char *key,
			     char *err, size_t err_size);

struct hg_alarm_status {
	bool connected; /* has an address */
	bool enrolled;	/* the collector has answered an enrolment since start */
	size_t waiting;
	uint64_t sent, repeated, acknowledged, refused, given_up;
};

void hg_alarm_sender_status(const struct hg_alarm_sender *s, struct hg_alarm_status *out);

#endif
