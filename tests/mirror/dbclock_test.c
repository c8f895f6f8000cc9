/* SPDX-License-Identifier: MIT */
/* What the database's answers tell of its clock. */
#include "../../mirror/dbclock.h"

#include <stdlib.h>
#include <time.h>

#include "../tap.h"

#define DB INT64_C(1800000000000) /* the database's clock at our 0 */

/* An answer that was made at our `made` and came `way` later. */
static void hear(struct hg_dbclock *c, uint64_t made, uint64_t way)
{
	hg_dbclock_heard(c, made + way, DB + made);
}

int main(void)
{
	struct hg_dbclock c = { 0 };
	struct timespec now;
	int64_t here;

	clock_gettime(CLOCK_MONOTONIC, &now);
	here = hg_dbclock_of(&c, (uint64_t)now.tv_sec * 1000);
	ok(llabs(here / 1000 - time(NULL)) <= 2, "without an answer it is this host's clock");
	hear(&c, 1000, 40);
	is_int(hg_dbclock_of(&c, 1040), DB + 1001,
	       "what came with an answer is no later than that");
	hear(&c, 1100, 5);
	is_int(hg_dbclock_of(&c, 2000), DB + 2000 - 5 + 1, "a faster answer tells more");
	hear(&c, 1200, 700);
	is_int(hg_dbclock_of(&c, 2000), DB + 2000 - 5 + 1, "a slower one nothing");
	hear(&c, 32000, 9);
	is_int(hg_dbclock_of(&c, 2000), DB + 2000 - 5 + 1,
	       "the best of the span before still counts");
	hear(&c, 63000, 9);
	is_int(hg_dbclock_of(&c, 2000), DB + 2000 - 9 + 1, "of an earlier one no more");
	hg_dbclock_heard(&c, 63100, DB);
	hg_dbclock_heard(&c, 94000, DB + 30900);
	hg_dbclock_heard(&c, 125000, DB + 61900);
	is_int(hg_dbclock_of(&c, 125000), DB + 61901,
	       "a clock that was put back is believed after two");
	hg_dbclock_heard(&c, 999000, DB + 1);
	is_int(hg_dbclock_of(&c, 999000), DB + 2, "or at once after a pause");
	return tap_done();
}
