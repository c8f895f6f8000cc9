// SPDX-License-Identifier: MIT
/*
 * Rows and errors for a person at a terminal. Called by the subcommands of mirror and collector
 * that ask the database. Cells may hold what devices said of themselves, so no byte of them
 * reaches the terminal unjudged.
 */
#include "pg.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safe-text.h"

/* As it is printed, to be freed; row -1 is the column's name. */
static char *cell(const PGresult *res, int row, int column)
{
	const char *text = row < 0 ? PQfname(res, column) : PQgetvalue(res, row, column);
	size_t size = 4 * strlen(text) + 2;
	char *out = malloc(size);

	if (out)
		hg_safe_text(*text ? text : "-", out, size);
	return out;
}

/* Characters, each of which is taken to be one column wide. */
static int width_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((uint8_t)*text & 0xc0) != 0x80;
	return n;
}

static int widest(const PGresult *res, int column)
{
	int most = 0;

	for (int row = -1; row < PQntuples(res); row++) {
		char *text = cell(res, row, column);
		int n = text ? width_of(text) : 0;

		most = n > most ? n : most;
		free(text);
	}
	return most;
}

void hg_pg_complain(const char *program, const PGconn *pg, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (!text)
		fprintf(stderr, "%s: database: %s", program, PQerrorMessage(pg));
	else if (state && (!strcmp(state, "42883") || !strcmp(state, "42P01")))
		fprintf(stderr, "%s: %s; run \"%s migrate\"?\n", program, text, program);
	else
		fprintf(stderr, "%s: %s\n", program, text);
}

int hg_pg_print(const PGresult *res)
{
	int columns = PQnfields(res), ret, *width = calloc((size_t)columns + 1, sizeof(*width));

	for (int c = 0; width && c + 1 < columns; c++)
		width[c] = widest(res, c);
	for (int row = -1; width && row < PQntuples(res); row++) {
		for (int c = 0; c < columns; c++) {
			char *text = cell(res, row, c);
			int pad = text && c + 1 < columns ? width[c] - width_of(text) + 2 : 0;

			printf("%s%*s", text ? text : "?", pad, "");
			free(text);
		}
		putchar('\n');
	}
	ret = width ? 0 : -ENOMEM;
	free(width);
	return ret;
}
