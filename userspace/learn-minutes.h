/* SPDX-License-Identifier: MIT */
/*
 * Minutes of training captures, all traffic of the device together: which of them do not look like
 * the others, and which look like an attack. Spans of time that are not to be learned from.
 */
#ifndef HG_USERSPACE_LEARN_MINUTES_H
#define HG_USERSPACE_LEARN_MINUTES_H

#include <stdbool.h>
#include <stddef.h>
#include "replay.h"

#define HG_MINUTES_MAX (1u << 18) /* in which the device did something */
#define HG_SPANS_MAX 1024

struct hg_minute {
	__u64 minute; /* since 1970 */
	unsigned int session;
	__u32 destinations, ports; /* distinct */
	__u64 most_packets;	   /* in a second */
	struct hg_sample sum;
};

struct hg_minutes {
	struct hg_minute *list;
	size_t n, room;
	bool full; /* there were more, or no memory for them */
};

/* Seconds since 1970, both ends included; `why` is one of few constant texts. */
struct hg_span {
	__u64 from_s, to_s;
	const char *why;
	__u64 value, usual; /* of what `why` says; 0: it needs no number */
	bool attack;	    /* looks like one */
};

struct hg_spans {
	struct hg_span list[HG_SPANS_MAX];
	size_t n;
	size_t left_out; /* more than fit */
};

void hg_minutes_add(struct hg_minutes *m, const struct hg_replayer_second *s);
void hg_minutes_exit(struct hg_minutes *m);

/* Adds what stands out; spans of the same kind that touch are one. */
void hg_minutes_find(const struct hg_minutes *m, struct hg_spans *out);

void hg_spans_add(struct hg_spans *s, const struct hg_span *span);
/* Is the second in one of the spans? */
bool hg_spans_has(const struct hg_spans *s, __u64 second);

#endif
