// SPDX-License-Identifier: MIT
/*
 * Audit: two rows of numbers, counted and on their way to the database. At most one flush is under
 * way. If its fate is unknown the numbers are added again: a count may be too high after the
 * database was cut off, never too low.
 */
#include "audit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[HG_AUDIT_MAX] = {
	[HG_AUDIT_STORED] = "stored",	    [HG_AUDIT_DUPLICATE] = "duplicate",
	[HG_AUDIT_ENROLLED] = "enrolled",   [HG_AUDIT_OVERSIZED] = "oversized",
	[HG_AUDIT_RATE] = "rate",	    [HG_AUDIT_MALFORMED] = "malformed",
	[HG_AUDIT_UNKNOWN] = "unknown-key", [HG_AUDIT_REFUSED] = "refused-key",
	[HG_AUDIT_SIGNATURE] = "signature", [HG_AUDIT_UID] = "other-uid",
	[HG_AUDIT_REPLAYED] = "replayed",   [HG_AUDIT_ENROL_REFUSED] = "enrol-refused",
	[HG_AUDIT_BUSY] = "busy",	    [HG_AUDIT_DATABASE] = "database",
};

struct hg_audit {
	bool flushing;
	uint64_t counted[HG_AUDIT_MAX], sent[HG_AUDIT_MAX];
};

struct hg_audit *hg_audit_new(void)
{
	return calloc(1, sizeof(struct hg_audit));
}

void hg_audit_free(struct hg_audit *a)
{
	free(a);
}

void hg_audit_count(struct hg_audit *a, enum hg_audit_reason reason)
{
	a->counted[reason]++;
}

static void on_flushed(void *ctx, const PGresult *res, const char *error)
{
	struct hg_audit *a = ctx;

	a->flushing = false;
	for (size_t i = 0; error && i < HG_AUDIT_MAX; i++)
		a->counted[i] += a->sent[i];
}

void hg_audit_flush(struct hg_audit *a, struct hg_pg *pg)
{
	char reasons[HG_AUDIT_MAX * 16 + 3] = "{", counts[HG_AUDIT_MAX * 22 + 3] = "{";
	const char *values[] = { reasons, counts };
	bool some = false;

	if (a->flushing)
		return;
	for (size_t i = 0; i < HG_AUDIT_MAX; i++) {
		char n[24];

		if (!a->counted[i])
			continue;
		snprintf(n, sizeof(n), "%s%llu", some ? "," : "",
			 (unsigned long long)a->counted[i]);
		strcat(counts, n);
		if (some)
			strcat(reasons, ",");
		strcat(reasons, names[i]);
		some = true;
	}
	if (!some)
		return;
	strcat(reasons, "}");
	strcat(counts, "}");
	if (hg_pg_query(pg, "SELECT hg_audit_add($1, $2)", 2, values, on_flushed, a))
		return;
	a->flushing = true;
	memcpy(a->sent, a->counted, sizeof(a->sent));
	memset(a->counted, 0, sizeof(a->counted));
}
