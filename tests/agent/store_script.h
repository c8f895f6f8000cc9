/* SPDX-License-Identifier: MIT */
/* A store's life as a list of steps, for tests that let each step be hit by a fault. */
#ifndef HG_TESTS_STORE_SCRIPT_H
#define HG_TESTS_STORE_SCRIPT_H

#include <stddef.h>
#include "../../userspace/store.h"

struct life {
	char dir[128];
	struct hg_store *s;		 /* NULL: could not be opened */
	uint64_t given[HG_COUNTERS];	 /* the last number that was given out */
	unsigned int taken[HG_COUNTERS]; /* how many were */
	bool sync_off, split; /* planted: no durable writes; a transaction made in two halves */
};

struct step {
	const char *name;
	int (*run)(struct life *l); /* as the store's functions */
};

/* Steps, of which the first opens the store, and each may be tried again after a failure. */
struct script {
	const char *name;
	const struct step *steps;
	size_t len;
	const char *file; /* SQL that makes the file that is there before; NULL: none is */
};

extern const struct script store_life;	  /* all that a store does */
extern const struct script store_older[]; /* opening a file of each earlier schema */
extern const size_t store_n_older;

/* Makes DIR/store.db from SQL. */
void store_make_file(const char *dir, const char *sql);

/* Opens it (again). */
int life_open(struct life *l);
void life_close(struct life *l);

/* Whether the store does not know if its last transaction is durable. */
bool life_in_doubt(const struct life *l);

/* Whether epoch and cursors in memory are those of the file. */
bool life_level(const struct life *l);

/*
 * All rows of DIR/store.db as text, in a fixed order, without what differs from life to life (the
 * epoch, times); long values by their checksum. The caller frees it. It begins with what PRAGMA
 * integrity_check says.
 */
char *store_dump(const char *dir);

#endif
