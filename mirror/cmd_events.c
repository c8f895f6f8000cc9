// SPDX-License-Identifier: MIT
/*
 * `events`: tails the outbox. Nothing is notified within a device's transaction, which would make
 * all of them wait for each other; so the table is asked again and again, seldom while it is quiet.
 */
#include "cmd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "args.h"
#include "db.h"

#define PAGE 1000	  /* rows of one question */
#define POLL_MIN_MS 100	  /* between two questions: this after news, */
#define POLL_MAX_MS 2000  /* and twice as long each time, up to this */
#define AWAY_MAX_MS 30000 /* the same while the database is away */
#define LIMIT_MAX 1000000000
#define CURSOR_MAX 128

struct tail {
	const struct hg_mirror_conf *conf;
	PGconn *pg;
	bool follow, any;
	long left; /* events; -1: no limit */
	char cursor[CURSOR_MAX];
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

static void wait_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	if (!stopped)
		nanosleep(&t, NULL); /* a signal ends it */
}

static int print_page(struct tail *t, const PGresult *res)
{
	int n = PQntuples(res);

	for (int i = 0; i < n; i++) {
		if (*PQgetvalue(res, i, 2) == 't')
			fprintf(stderr,
				"heliograph-mirror: events: some after %s were removed before they "
				"were read; raise [keep] outbox\n",
				t->cursor);
		if (printf("%s\n", PQgetvalue(res, i, 1)) < 0)
			break;
		snprintf(t->cursor, sizeof(t->cursor), "%s", PQgetvalue(res, i, 0));
		t->any = true;
	}
	if (t->left > 0)
		t->left -= n;
	if (fflush(stdout)) {
		perror("heliograph-mirror: events: standard output");
		return HG_EXIT_FAILED;
	}
	return HG_EXIT_OK;
}

/* One question. *n: how many rows came. HG_EXIT_UNAVAILABLE: the connection is gone. */
static int ask(struct tail *t, int *n)
{
	char limit[16];
	const char *params[] = { t->any ? t->cursor : NULL, limit };
	PGresult *res = NULL;
	int rc;

	*n = 0;
	if (!t->pg)
		t->pg = hg_db_open(t->conf);
	if (!t->pg)
		return HG_EXIT_UNAVAILABLE;
	snprintf(limit, sizeof(limit), "%ld", t->left >= 0 && t->left < PAGE ? t->left : PAGE);
	rc = hg_db_run(t->pg, &res, "SELECT cursor, event, missed FROM events($1, $2)", 2, params);
	if (!rc) {
		*n = PQntuples(res);
		rc = print_page(t, res);
		PQclear(res);
	} else if (rc == HG_EXIT_UNAVAILABLE) {
		PQfinish(t->pg);
		t->pg = NULL;
	}
	return rc;
}

static int tail(struct tail *t)
{
	long pause = 0;
	int n, rc;

	while (!stopped && t->left) {
		rc = ask(t, &n);
		if (rc && !(t->follow && rc == HG_EXIT_UNAVAILABLE))
			return rc;
		if (!rc && n == PAGE) {
			pause = 0;
			continue;
		}
		if (!t->follow)
			break;
		pause = n || !pause ? POLL_MIN_MS : pause * 2;
		if (pause > (rc ? AWAY_MAX_MS : POLL_MAX_MS))
			pause = rc ? AWAY_MAX_MS : POLL_MAX_MS;
		if (t->left)
			wait_ms(pause);
	}
	return HG_EXIT_OK;
}

int hg_cmd_events(void *ctx, int argc, char **argv)
{
	const char *after = NULL, *limit = NULL;
	struct hg_arg args[] = { { "follow", NULL, 1, 0, 0 },
				 { "after", &after, 1, 0, 0 },
				 { "limit", &limit, 1, 0, 0 },
				 { 0 } };
	const struct sigaction stop = { .sa_handler = on_signal }; /* no SA_RESTART */
	struct tail t = { .conf = ctx, .left = -1 };
	int rc = hg_args_parse(argc, argv, 0, args);
	char *end;

	if (rc)
		return rc;
	t.follow = args[0].count;
	if (limit) {
		t.left = strtol(limit, &end, 10);
		if (!*limit || *end || t.left < 1 || t.left > LIMIT_MAX) {
			fprintf(stderr, "heliograph-mirror: --limit: a number from 1 to %d\n",
				LIMIT_MAX);
			return HG_EXIT_USAGE;
		}
	}
	if (after) {
		if (strlen(after) >= sizeof(t.cursor)) {
			fprintf(stderr, "heliograph-mirror: --after: not a cursor: too long\n");
			return HG_EXIT_USAGE;
		}
		strcpy(t.cursor, after);
		t.any = true;
	}
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	rc = tail(&t);
	if (t.pg)
		PQfinish(t.pg);
	return rc;
}
