/* SPDX-License-Identifier: MIT */
/* What the collector's datagrams say, before and after COSE: docs/alarm-format.md section 1. */
#ifndef HG_LIB_ALARM_PAYLOAD_H
#define HG_LIB_ALARM_PAYLOAD_H

#include "alarm.h"

/* Of an enrolment, uid and counter of `a` count; of an ack, these and code. */
struct hg_alarm_payload {
	uint8_t type; /* enum hg_datagram */
	uint8_t code; /* enum hg_ack_code */
	struct hg_alarm a;
};

/* Returns the encoded length, -ENOSPC, or -EINVAL if a rule of the format is broken. */
long hg_alarm_payload_put(const struct hg_alarm_payload *p, void *buf, size_t size);

/* Returns 0, or -EBADMSG with *out untouched. */
int hg_alarm_payload_get(struct hg_slice in, struct hg_alarm_payload *out);

#endif
