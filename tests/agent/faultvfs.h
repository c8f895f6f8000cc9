/* SPDX-License-Identifier: MIT */
/*
 * An SQLite VFS for tests: what a disk may do to the files of one directory. It stands before the
 * system's own VFS and is registered as the default, so the program under test needs no hook.
 *
 * It counts operations (opening, writing, truncating, syncing, deleting) and keeps apart what is
 * durable from what was only written: a sync makes a file's content durable, a sync of the
 * directory (SQLite asks for it when it has made or deleted a journal) the names in it. From this
 * it makes the files that a power cut would leave: fault_survive(). Or it makes operations fail.
 */
#ifndef HG_TESTS_FAULTVFS_H
#define HG_TESTS_FAULTVFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What survives of the operations that no sync has made durable, the one under way among them. */
enum fault_survivor {
	FAULT_ALL,	    /* everything, as after SIGKILL */
	FAULT_BUT_LAST,	    /* all but the operation under way */
	FAULT_TORN,	    /* the first half of its 512-byte sectors, and all before it */
	FAULT_NONE,	    /* nothing */
	FAULT_ONLY_LAST,    /* only the operation under way */
	FAULT_BUT_FIRST,    /* all but the oldest */
	FAULT_JOURNAL_LOST, /* what was written to the journal is lost, the rest is there */
	FAULT_JOURNAL_ONLY, /* the other way round */
	FAULT_RANDOM,	    /* from here on: each 512-byte sector by itself, at random */
	FAULT_SURVIVORS = FAULT_RANDOM + 3
};

/* Lies that a test must notice: bits for `lies`. */
#define FAULT_LIE_JOURNAL 1 /* a sync of the journal does nothing */
#define FAULT_LIE_MAIN 2    /* a sync of the database does nothing */

#define FAULT_FILES 4

struct fault_pending;

struct fault_file {
	char name[32]; /* in the directory; empty: slot is free */
	bool named;    /* its name is durable */
	uint8_t *data; /* durable content */
	size_t len;
	size_t size_max; /* largest that the live file was */
};

struct fault_world {
	char dir[128];
	uint64_t ops, writes, bytes, syncs;
	struct fault_file files[FAULT_FILES];
	struct fault_pending *pending; /* in the order of time */
	size_t n_pending;
	unsigned int lies;
	/* Called at each operation before it is done; it counts as pending already. */
	void (*at_op)(void *ctx);
	void *ctx;
	uint64_t fail_at; /* the operation that fails, from 1; 0: none */
	bool fail_on;	  /* and all after it, until fail_at is 0 again */
	int fail_rc;	  /* SQLITE_IOERR or SQLITE_FULL */
	uint64_t failed;  /* how many did */
	struct fault_world *next;
};

/* Watches the files of `dir` from now on; what is there counts as durable. */
void fault_watch(struct fault_world *w, const char *dir);
void fault_unwatch(struct fault_world *w);

/*
 * Writes into the directory `to`, whose files are removed first, what a power cut now would leave.
 * Returns a number that is equal for equal content. `seed` is for FAULT_RANDOM.
 */
uint64_t fault_survive(struct fault_world *w, int survivor, const char *to, uint64_t seed);

#endif
