/* SPDX-License-Identifier: MIT */
/* One request of a device as parameters of the SQL function sync(), and its row as a response. */
#ifndef HG_MIRROR_EXCHANGE_H
#define HG_MIRROR_EXCHANGE_H

#include <stdbool.h>
#include <jansson.h>
#include <libpq-fe.h>
#include "../lib/tls.h"
#include "../lib/wire.h"
#include "large.h"

#define HG_EXCHANGE_SQL "SELECT * FROM sync($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, sync_age($11))"
/* The same with what hg_large_split() says: those go by themselves. */
#define HG_EXCHANGE_LARGE_SQL                                                                      \
	"SELECT * FROM sync($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, sync_age($11), $12, $13)"
#define HG_EXCHANGE_LARGE_PARAMS 13
/* The same of many: each parameter is an array; the last column is the place of the request. */
#define HG_EXCHANGE_BATCH_SQL                                                                      \
	"SELECT (b.reply).*, b.n FROM sync_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) b"
/* A batch of one, with the parameters of HG_EXCHANGE_SQL. */
#define HG_EXCHANGE_ONE_SQL                                                                        \
	"SELECT r.*, 1 AS n FROM sync_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) r"
#define HG_EXCHANGE_PARAMS 11 /* when its connection was accepted is the last of these */

/*
 * The mirror continues its numbers above a device's cursors, see sync_begin(): one that lies must
 * leave room to count on, and to leap (admin_restored()).
 */
#define HG_EXCHANGE_CURSOR_MAX (UINT64_C(1) << 62)

struct hg_exchange_params {
	const char *values[HG_EXCHANGE_LARGE_PARAMS]; /* may point into this: it cannot be moved */
	bool alone;				      /* all of them are wanted */
	char uid[HG_UID_MAX + 1], epoch[2 * HG_EPOCH_LEN + 3], mirror_epoch[2 * HG_EPOCH_LEN + 3];
	char numbers[5][24], accepted[24];
	char *changes, *reports, *held, *parts;
};

/*
 * large: of hg_large_split(). Everything is copied. Returns 0 or -ENOMEM; either way
 * hg_exchange_params_free() is due. hg_exchange_set_accepted() is due before it is sent.
 */
int hg_exchange_params(const struct hg_wire_request *r, const struct hg_large *large,
		       struct hg_exchange_params *p);
void hg_exchange_params_free(struct hg_exchange_params *p);

/* When its connection was accepted, by the database's clock, ms since 1970; see dbclock.h. */
void hg_exchange_set_accepted(struct hg_exchange_params *p, int64_t ms);

/* Parameters of many requests as arrays; memory is kept from one use to the next. */
struct hg_exchange_arrays {
	struct hg_exchange_column {
		char *text;
		size_t len, size;
	} columns[HG_EXCHANGE_PARAMS];
	bool lost; /* out of memory */
};

void hg_exchange_arrays_begin(struct hg_exchange_arrays *a);
void hg_exchange_arrays_add(struct hg_exchange_arrays *a, const struct hg_exchange_params *p);
/* Returns 0 with values that hold until the next begin, or -ENOMEM. */
int hg_exchange_arrays_end(struct hg_exchange_arrays *a, const char *values[HG_EXCHANGE_PARAMS]);
void hg_exchange_arrays_free(struct hg_exchange_arrays *a);

/* What a batch did with this row's request. */
enum hg_exchange_kept {
	HG_EXCHANGE_KEPT,
	HG_EXCHANGE_HELD,   /* nothing: somebody holds the device's row */
	HG_EXCHANGE_FAILED, /* nothing: an error was raised; it is to be asked by itself */
};

enum hg_exchange_kept hg_exchange_kept(const PGresult *res, int row);

/* The database's time in an answer, ms since 1970; 0: it says none. */
uint64_t hg_exchange_time(const PGresult *res, int row);

/* What an answer brings beside the database's row. */
struct hg_exchange_grant {
	struct hg_wire_psk psk;
	struct hg_slice chain; /* a new certificate; or empty */
	const char *detail;    /* for people, if the row says nothing; NULL: none */
};

/* The status of a row that was kept. */
uint32_t hg_exchange_status(const PGresult *res, int row);

/*
 * Encodes a row that one of the statements returned as a frame into buf of HG_WIRE_MAX + 4 bytes.
 * Returns its length, or -EBADMSG if the row is not what it should be. *status is the response's;
 * if it is OK, grant goes along. wait_ms: how long who comes now waits, for the hint.
 */
long hg_exchange_response(const PGresult *res, int row, uint32_t wait_ms,
			  const struct hg_exchange_grant *grant, void *buf, uint32_t *status);

/* A frame that says a status only. */
long hg_exchange_refusal(uint32_t status, const char *detail, uint32_t interval_ms, void *buf);

/* JSON as text, reals in the shortest form that reads back the same. NULL when out of memory. */
char *hg_json_text(const json_t *value);

#endif
