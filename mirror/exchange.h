/* SPDX-License-Identifier: MIT */
/* One request of a device as parameters of the SQL function sync(), and its row as a response. */
#ifndef HG_MIRROR_EXCHANGE_H
#define HG_MIRROR_EXCHANGE_H

#include <jansson.h>
#include <libpq-fe.h>
#include "../lib/tls.h"
#include "../lib/wire.h"

#define HG_EXCHANGE_SQL "SELECT * FROM sync($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
#define HG_EXCHANGE_PARAMS 11

struct hg_exchange_params {
	const char *values[HG_EXCHANGE_PARAMS];
	char uid[HG_UID_MAX + 1], epoch[2 * HG_EPOCH_LEN + 3], mirror_epoch[2 * HG_EPOCH_LEN + 3];
	char numbers[6][24];
	char *changes, *reports;
};

/* age_ms: of the connection. Returns 0 or -ENOMEM; either way hg_exchange_params_free() is due. */
int hg_exchange_params(const struct hg_wire_request *r, uint32_t age_ms,
		       struct hg_exchange_params *p);
void hg_exchange_params_free(struct hg_exchange_params *p);

/*
 * Encodes the row that HG_EXCHANGE_SQL returned as a frame into buf of HG_WIRE_MAX + 4 bytes.
 * Returns its length, or -EBADMSG if the row is not what it should be. *status is the response's.
 */
long hg_exchange_response(const PGresult *res, void *buf, uint32_t *status);

/* A frame that says a status only. */
long hg_exchange_refusal(uint32_t status, const char *detail, uint32_t interval_ms, void *buf);

/* JSON as text, reals in the shortest form that reads back the same. NULL when out of memory. */
char *hg_json_text(const json_t *value);

#endif
