/* SPDX-License-Identifier: MIT */
/*
 * The database's clock as far as its answers tell: times of this process in terms of that clock,
 * never later than they were. So a request that lay somewhere on its way can be dated.
 */
#ifndef HG_MIRROR_DBCLOCK_H
#define HG_MIRROR_DBCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct hg_dbclock {
	int64_t ahead[2];  /* ms before our clock, the best of this span and of the one before */
	uint64_t began_ms; /* of this span */
	bool known;
};

/* An answer has come at now_ms of CLOCK_MONOTONIC that was made at db_ms, since 1970. */
void hg_dbclock_heard(struct hg_dbclock *c, uint64_t now_ms, uint64_t db_ms);

/* When then_ms of CLOCK_MONOTONIC was: ms since 1970; by this host's clock before any answer. */
int64_t hg_dbclock_of(const struct hg_dbclock *c, uint64_t then_ms);

#endif
