/* SPDX-License-Identifier: MIT */
/* Counts of datagrams by what became of them, kept in memory and added to the database. */
#ifndef HG_COLLECTOR_AUDIT_H
#define HG_COLLECTOR_AUDIT_H

#include "../lib/pg.h"

enum hg_audit_reason {
	HG_AUDIT_STORED,	/* an alarm, new */
	HG_AUDIT_DUPLICATE,	/* a repeat of a stored one */
	HG_AUDIT_ENROLLED,	/* a certificate, new or known */
	HG_AUDIT_OVERSIZED,	/* empty, or larger than its kind may be */
	HG_AUDIT_RATE,		/* the line sends too much */
	HG_AUDIT_MALFORMED,	/* not ours */
	HG_AUDIT_UNKNOWN,	/* key not enrolled */
	HG_AUDIT_REFUSED,	/* key expired or revoked */
	HG_AUDIT_SIGNATURE,	/* altered, or another's key */
	HG_AUDIT_UID,		/* signed by another device than it speaks of */
	HG_AUDIT_REPLAYED,	/* its counter is past */
	HG_AUDIT_ENROL_REFUSED, /* certificate not accepted */
	HG_AUDIT_BUSY,		/* a budget or a queue was full */
	HG_AUDIT_DATABASE,	/* not stored: the database did not answer */
	HG_AUDIT_MAX,
};

struct hg_audit;

struct hg_audit *hg_audit_new(void);
void hg_audit_free(struct hg_audit *a); /* after hg_pg_free(), which ends a flush */
void hg_audit_count(struct hg_audit *a, enum hg_audit_reason reason);

/* Adds what was counted since to the database; what could not be added is added next time. */
void hg_audit_flush(struct hg_audit *a, struct hg_pg *pg);

#endif
