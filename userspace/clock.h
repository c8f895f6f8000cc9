/* SPDX-License-Identifier: MIT */
/*
 * What the device knows of the time without trusting its own clock, which may have begun in 1970: a
 * floor that the time cannot lie before. It is the date of the program, or what its mirrors have
 * said for a whole day.
 */
#ifndef HG_USERSPACE_CLOCK_H
#define HG_USERSPACE_CLOCK_H

#include <stdint.h>

#define HG_CLOCK_TOLERANCE_MS (24 * 3600 * UINT64_C(1000))

struct hg_clock {
	const char *dir;   /* of the file */
	uint64_t floor_ms; /* Unix time */
	/* A time that a mirror said, and our uptime then; it becomes the floor a day later. */
	uint64_t said_ms, said_at_ms; /* 0: none */
};

/* Reads the file of dir, which must stay. */
void hg_clock_init(struct hg_clock *c, const char *dir);

/*
 * A mirror that has authenticated itself says its time; uptime_ms is a clock that never jumps.
 * Returns 0, or -ERANGE if that time lies before the floor by more than HG_CLOCK_TOLERANCE_MS. The
 * floor follows, and is written, when it has grown by a day and this was so for a day: a mirror
 * whose clock runs wild for hours must not make its devices refuse it for years.
 */
int hg_clock_hear(struct hg_clock *c, uint64_t mirror_ms, uint64_t uptime_ms);

#endif
