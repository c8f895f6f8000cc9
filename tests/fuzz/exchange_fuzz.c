/* SPDX-License-Identifier: MIT */
/*
 * What the mirror makes of a request before the database judges it: any bytes as a request, parts
 * split off and joined with what is held (a text as long as the offset), and all of it as the text
 * of parameters, which must be JSON, alone and in the arrays of a batch.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <jansson.h>

#include "../../mirror/exchange.h"
#include "../../mirror/pace.h"

#define HELD_MAX 200000
#define OBJECT_MAX 300000

/* For answers, which are not made here. */
uint32_t hg_pace_answered_ms(uint32_t interval_ms, uint32_t wait_ms)
{
	return 0;
}

/* A row of HG_LARGE_SQL: what a last part of 3 bytes completes to a text. */
static PGresult *row_before(const struct hg_large_params *p)
{
	PGresAttDesc columns[2] = { { .name = (char *)"a" }, { .name = (char *)"b" } };
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	PQsetResultAttrs(res, 2, columns);
	for (int i = 0; i < 2; i++) {
		const char *have = p->values[5 + 3 * i];
		long n = have ? atol(have) : 0;
		char head[16];
		char *hex = n > 0 && n < HELD_MAX ? malloc(2 * (size_t)n + 3) : NULL;

		if (hex) {
			memcpy(hex, "\\x", 2);
			for (long at = 0; at < n; at++)
				memcpy(hex + 2 + 2 * at, "61", 2);
			hex[2 + 2 * n] = '\0';
			snprintf(head, sizeof(head), "79%04lx", n & 0xffff);
			memcpy(hex + 2, head, n < 3 ? 2 * (size_t)n : 6);
		}
		PQsetvalue(res, 0, i, hex, hex ? (int)strlen(hex) : -1);
		free(hex);
	}
	return res;
}

static void check_json(const char *text)
{
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;

	holds(!text || json_is_array(json));
	json_decref(json);
}

static void check_params(const struct hg_wire_request *r, const struct hg_large *large)
{
	static struct hg_exchange_arrays arrays;
	const char *values[HG_EXCHANGE_PARAMS];
	struct hg_exchange_params p;

	holds(!hg_exchange_params(r, large, &p));
	check_json(p.values[8]);
	check_json(p.values[9]);
	check_json(p.held);
	check_json(p.parts);
	holds(p.alone || (!p.held && !p.parts));
	hg_exchange_arrays_begin(&arrays);
	hg_exchange_arrays_add(&arrays, &p);
	hg_exchange_arrays_add(&arrays, &p);
	holds(!hg_exchange_arrays_end(&arrays, values));
	for (int i = 0; i < HG_EXCHANGE_PARAMS; i++)
		holds(values[i][0] == '{' && values[i][strlen(values[i]) - 1] == '}');
	hg_exchange_params_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hg_wire_room room;
	struct hg_wire_request r;
	struct hg_large_params before;
	struct hg_large large;
	PGresult *res = NULL;
	size_t at = 0, n;

	if (hg_wire_get_request(hg_slice_of(data, size), &room, &r, &at))
		return 0;
	n = r.n_changes + r.n_reports;
	if (hg_large_before(&r, &before)) {
		holds(hg_large_size(&r));
		res = row_before(&before);
	}
	holds(!hg_large_split(&r, res, OBJECT_MAX, &large));
	holds(r.n_changes + r.n_reports <= n && n <= r.n_changes + r.n_reports + 2);
	for (size_t i = 0; i < r.n_changes; i++)
		holds(!r.changes[i].part.total && r.changes[i].value.len <= OBJECT_MAX);
	for (size_t i = 0; i < r.n_reports; i++)
		holds(!r.reports[i].part.total && r.reports[i].output.len <= OBJECT_MAX);
	check_params(&r, &large);
	hg_large_free(&large);
	PQclear(res);
	return 0;
}
