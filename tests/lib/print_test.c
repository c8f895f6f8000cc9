/* SPDX-License-Identifier: MIT */
/* Tables of rows: columns stand under their names, and no cell can speak to the terminal. */
#include "../../lib/pg.h"
#include "../../lib/safe-text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"

static PGresult *rows(const char *const *names, const char *const *cells, int columns, int n)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc desc[8] = { 0 };

	for (int c = 0; c < columns; c++)
		desc[c].name = (char *)names[c];
	PQsetResultAttrs(res, columns, desc);
	for (int i = 0; i < columns * n; i++)
		PQsetvalue(res, i / columns, i % columns, (char *)cells[i], (int)strlen(cells[i]));
	return res;
}

/* What hg_pg_print() writes, by way of a file in place of stdout. */
static const char *printed(PGresult *res)
{
	static char text[4096];
	int kept = dup(1);
	FILE *f = tmpfile();
	ssize_t n;

	fflush(stdout);
	dup2(fileno(f), 1);
	if (hg_pg_print(res))
		fputs("failed", stdout);
	fflush(stdout);
	dup2(kept, 1);
	close(kept);
	n = pread(fileno(f), text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	fclose(f);
	PQclear(res);
	return text;
}

static void test_table(void)
{
	const char *names[] = { "device", "n", "detail" };
	const char *cells[] = { "cam-1", "10000", "on", "a", "", "" };

	is_str(printed(rows(names, cells, 3, 2)),
	       "device  n      detail\ncam-1   10000  on\na       -      -\n",
	       "columns are aligned, and empty cells are a dash");
	is_str(printed(rows(names, cells, 3, 0)), "device  n  detail\n", "no rows: names only");
}

static void test_strangers(void)
{
	const char *names[] = { "model", "x" };
	const char *cells[] = {
		"\x1b[2J\x07", "1", "\xc3\xa9t\xc3\xa9", "2", "\xc2\2333m\xff", "3"
	};

	is_str(printed(rows(names, cells, 2, 3)),
	       "model           x\n"
	       "\\x1b[2J\\x07     1\n"
	       "\xc3\xa9t\xc3\xa9             2\n"
	       "\\xc2\\x9b3m\\xff  3\n",
	       "controls and bytes that are no text are written out, letters are not");
}

static void test_room(void)
{
	char out[8];

	hg_safe_text("abc\n", out, sizeof(out));
	is_str(out, "abc\\x0a", "what just fits is whole");
	hg_safe_text("abcd\n", out, sizeof(out));
	is_str(out, "abcd", "what does not ends before it");
	hg_safe_text("abcdef\xc3\xa9", out, sizeof(out));
	is_str(out, "abcdef", "and not inside a character");
}

int main(void)
{
	test_table();
	test_strangers();
	test_room();
	return tap_done();
}
