// SPDX-License-Identifier: MIT
/* Enrolment in bulk: arrays of names, serial numbers and dates, a part in each transaction. */
#include "enrol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <libpq-fe.h>
#include <openssl/bn.h>
#include "../../mirror/pki.h"

#define PART 1000

static const char add_sql[] = "SELECT admin_device_add(d, $4, s, to_timestamp(a))"
			      " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS t (d, s, a)"
			      " WHERE NOT EXISTS (SELECT FROM device_certificate c"
			      " WHERE c.device_id = t.d AND c.serial = t.s)";

struct arrays {
	FILE *f[3];
	char *text[3];
	size_t len[3];
};

static int arrays_add(struct arrays *a, const struct load_state *s, uint32_t i)
{
	char uid[LOAD_UID_TEXT];
	X509 *cert = load_state_cert(s, i);
	BIGNUM *n = cert ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL) : NULL;
	char *hex = n ? BN_bn2hex(n) : NULL;
	struct tm tm;
	int rc = -1;

	load_state_uid(s, i, uid);
	if (hex && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm)) {
		const char *comma = i % PART ? "," : "";

		fprintf(a->f[0], "%s%s", comma, uid);
		fprintf(a->f[1], "%s%s", comma, hex);
		fprintf(a->f[2], "%s%lld", comma, (long long)timegm(&tm));
		rc = 0;
	}
	OPENSSL_free(hex);
	BN_free(n);
	X509_free(cert);
	return rc;
}

/* Devices from `first` to before `end`. */
static int arrays_make(struct arrays *a, const struct load_state *s, uint32_t first, uint32_t end)
{
	int rc = 0;

	for (int k = 0; k < 3; k++) {
		a->f[k] = open_memstream(&a->text[k], &a->len[k]);
		if (!a->f[k])
			rc = -1;
		else
			fputc('{', a->f[k]);
	}
	for (uint32_t i = first; !rc && i < end; i++)
		rc = arrays_add(a, s, i);
	for (int k = 0; k < 3; k++) {
		if (!a->f[k])
			continue;
		fputc('}', a->f[k]);
		if (fclose(a->f[k]))
			rc = -1;
	}
	return rc;
}

static void arrays_free(struct arrays *a)
{
	for (int k = 0; k < 3; k++)
		free(a->text[k]);
}

static PGconn *open_database(const struct load_database *db, char *err, size_t size)
{
	PGconn *pg = PQconnectdb(db->conninfo);
	PGresult *res = NULL;
	bool good = PQstatus(pg) == CONNECTION_OK;

	if (good) {
		const char *value[] = { db->schema };

		res = PQexecParams(pg, "SELECT set_config('search_path', $1, false)", 1, NULL,
				   value, NULL, NULL, 0);
		good = PQresultStatus(res) == PGRES_TUPLES_OK;
	}
	PQclear(res);
	if (good)
		return pg;
	snprintf(err, size, "database: %s", PQerrorMessage(pg));
	PQfinish(pg);
	return NULL;
}

long load_enrol(const struct load_state *s, const struct load_database *db, char *err, size_t size)
{
	PGconn *pg = open_database(db, err, size);
	long total = 0;

	for (uint32_t i = 0; pg && total >= 0 && i < s->head->devices; i += PART) {
		uint32_t end = i + PART < s->head->devices ? i + PART : s->head->devices;
		struct arrays a = { 0 };
		PGresult *res = NULL;

		if (arrays_make(&a, s, i, end)) {
			snprintf(err, size, "cannot read the certificates from device %u on", i);
			total = -1;
		} else {
			const char *values[] = { a.text[0], a.text[1], a.text[2], db->model };

			res = PQexecParams(pg, add_sql, 4, NULL, values, NULL, NULL, 0);
			if (PQresultStatus(res) != PGRES_TUPLES_OK) {
				snprintf(err, size, "database: %s", PQerrorMessage(pg));
				total = -1;
			} else {
				total += PQntuples(res);
			}
		}
		PQclear(res);
		arrays_free(&a);
	}
	if (pg)
		PQfinish(pg);
	return pg ? total : -1;
}
