/* SPDX-License-Identifier: MIT */
/* The database as the subcommands use it: one connection, one statement after the other. */
#ifndef HG_MIRROR_DB_H
#define HG_MIRROR_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include "conf.h"

/* Connects and sets the schema. NULL after printing why (HG_EXIT_UNAVAILABLE). */
PGconn *hg_db_open(const struct hg_mirror_conf *conf);

/*
 * Runs one statement. Returns HG_EXIT_OK with *res (the caller clears it; may be NULL: not wanted),
 * or HG_EXIT_FAILED or HG_EXIT_UNAVAILABLE after printing why.
 */
int hg_db_run(PGconn *pg, PGresult **res, const char *sql, int n, const char *const *params);

/* Opens, runs one statement and, if asked, prints its rows. Returns an exit code. */
int hg_db_one(const struct hg_mirror_conf *conf, const char *sql, int n, const char *const *params,
	      bool print);

/* A PostgreSQL array of texts, to be freed; NULL when out of memory. */
char *hg_db_array(const char *const *items, size_t count);

#endif
