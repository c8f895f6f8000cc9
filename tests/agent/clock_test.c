/* SPDX-License-Identifier: MIT */
/* The floor of known time: what raises it, how slowly, and what is refused by it. */
#include "../../userspace/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../userspace/state-file.h"
#include "../tap.h"

#define HOUR UINT64_C(3600000)
#define DAY (24 * HOUR)
#define NOW UINT64_C(1900000000000) /* 2030 */

static char dir[] = "/tmp/hg-clock.XXXXXX";

static struct hg_clock fresh(const char *text)
{
	struct hg_clock c;

	if (text)
		hg_state_write(dir, "clock", text, strlen(text));
	else
		hg_state_remove(dir, "clock");
	hg_clock_init(&c, dir);
	return c;
}

static void test_file(uint64_t built)
{
	ok(built > 1700000000000 && built < NOW, "without a file it is the program's date");
	ok(fresh("1900000000000\n").floor_ms == NOW, "a file says more");
	ok(fresh("1000000000000\n").floor_ms == built, "one that says less does not count");
	ok(fresh("").floor_ms == built, "nor an empty one");
	ok(fresh("what?\n").floor_ms == built, "nor words");
	ok(fresh("99999999999999999999999\n").floor_ms == built, "nor a number out of range");
}

static void test_growth(uint64_t built)
{
	struct hg_clock c = fresh(NULL), again;
	char text[32] = "";

	is_int(hg_clock_hear(&c, NOW, HOUR), 0, "a mirror says a time years later");
	ok(c.floor_ms == built, "which is not believed at once");
	for (uint64_t h = 1; h < 24; h++)
		hg_clock_hear(&c, NOW + h * HOUR, HOUR + h * HOUR);
	ok(c.floor_ms == built && !hg_state_read(dir, "clock", text, sizeof(text)),
	   "nor within a day");
	hg_clock_hear(&c, NOW + DAY, HOUR + DAY);
	ok(c.floor_ms == NOW, "after a day it is");
	hg_clock_init(&again, dir);
	ok(again.floor_ms == NOW, "and was written");
	hg_state_remove(dir, "clock");
	for (uint64_t h = 1; h < 24; h++)
		hg_clock_hear(&c, NOW + DAY + h * HOUR, HOUR + DAY + h * HOUR);
	is_int((long long)hg_state_read(dir, "clock", text, sizeof(text)), 0,
	       "not again within the next day");
}

static void test_wild(uint64_t built)
{
	struct hg_clock c = fresh(NULL);

	for (uint64_t h = 0; h < 100; h++) /* a clock that runs 2 % fast */
		hg_clock_hear(&c, NOW + h * HOUR + h * HOUR / 50, h * HOUR);
	ok(c.floor_ms == built, "a clock that runs wild raises nothing");
	hg_clock_hear(&c, NOW + 100 * DAY, 200 * HOUR);
	hg_clock_hear(&c, NOW, 201 * HOUR);
	hg_clock_hear(&c, NOW + 25 * HOUR, 226 * HOUR);
	ok(c.floor_ms == NOW, "a clock that was wrong for an hour is forgotten");
	c = fresh(NULL);
	hg_clock_hear(&c, NOW, HOUR);
	hg_clock_hear(&c, built + HOUR, 2 * HOUR);
	hg_clock_hear(&c, NOW + DAY, HOUR + DAY);
	ok(c.floor_ms == built, "also when it was put right between");
}

static void test_rollback(void)
{
	struct hg_clock c = fresh("1900000000000\n");

	is_int(hg_clock_hear(&c, NOW - DAY, HOUR), 0, "a day before the floor is tolerated");
	is_int(hg_clock_hear(&c, NOW - DAY - 1, HOUR), -ERANGE, "more is not");
	is_int(hg_clock_hear(&c, 1, HOUR), -ERANGE, "1970 is not");
	ok(c.floor_ms == NOW, "the floor stays");
	is_int(hg_clock_hear(&c, INT64_MAX, HOUR), 0, "the end of time is not refused");
	is_int(hg_clock_hear(&c, INT64_MAX, HOUR + 2 * DAY), 0, "nor a clock that stands there");
	ok(c.floor_ms == NOW, "nor believed");
}

int main(void)
{
	uint64_t built;

	if (!mkdtemp(dir))
		return 1;
	built = fresh(NULL).floor_ms;
	test_file(built);
	test_growth(built);
	test_wild(built);
	test_rollback();
	hg_state_remove(dir, "clock");
	is_int(rmdir(dir), 0, "nothing is left beside the file");
	return tap_done();
}
