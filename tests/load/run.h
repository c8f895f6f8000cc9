/* SPDX-License-Identifier: MIT */
/*
 * One run: which devices take part, when each wants to, who comes back later, and what was
 * measured.
 */
#ifndef TESTS_LOAD_RUN_H
#define TESTS_LOAD_RUN_H

#include <stdio.h>
#include <sys/types.h>
#include "session.h"

enum load_mode { LOAD_FIRST, LOAD_FULL, LOAD_IDLE, LOAD_CHANGES, LOAD_MODES };
enum load_arrival { LOAD_HERD, LOAD_RATE, LOAD_LOOP };

struct load_plan {
	enum load_mode mode;
	enum load_arrival arrival;
	uint32_t rate;	      /* RATE: devices per second */
	uint32_t limit;	      /* devices that take part at most; 0: all that can */
	uint32_t connections; /* open at once at most; in a LOOP so many are kept open */
	uint32_t sessions;    /* of each device */
	uint32_t changes;     /* made before each session */
	uint32_t deadline_s;  /* of all */
	uint32_t tries;	      /* of one session */
	uint32_t backoff_ms, backoff_max_ms;
	bool go_on;		/* the last run was not ended: with those that it left */
	pid_t server, database; /* whose CPU time is wanted; 0: nobody's */
	const char *curve;	/* file for how the run went, NULL: none */
};

#define LOAD_SAMPLES_MAX 20000000

struct load_sample {
	uint32_t *us;
	size_t n, room;
};

struct load_result {
	const struct load_plan *plan;
	uint32_t devices, took_part, level; /* all; in this run; of those, level at its end */
	uint64_t ok, resumed, by_psk, early, rounds, changes, commands, retries;
	uint64_t failed[LOAD_ENDS];
	uint32_t gave_up, unfinished, peak;
	char text[LOAD_ENDS][96]; /* the first of each kind */
	struct load_traffic traffic;
	struct load_sample latency; /* from wanted to level, tries and waiting included */
	struct load_sample session; /* from connect() to level, of good ones */
	double began;		    /* Unix time, s */
	double seconds, client_us;
	double server_us, database_us; /* < 0: not asked for, or not to be had */
	long rss_kib;
};

/* Returns 0, or -1 with a message in err. The result's samples are the caller's to free. */
int load_run(struct load_peer *peer, const struct load_plan *plan, struct load_result *r, char *err,
	     size_t size);
void load_result_free(struct load_result *r);

/* One line of JSON, and the same for people. */
void load_result_json(struct load_result *r, const struct load_peer *peer, FILE *to);
void load_result_table(struct load_result *r, const struct load_peer *peer, FILE *to);

const char *load_mode_name(enum load_mode mode);

#endif
