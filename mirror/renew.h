/* SPDX-License-Identifier: MIT */
/*
 * A new certificate for a device that asks for one in a session (docs/sync-protocol.md, section
 * 2.2): signed, then recorded in the database, then handed out.
 */
#ifndef HG_MIRROR_RENEW_H
#define HG_MIRROR_RENEW_H

#include <libpq-fe.h>
#include "identity.h"
#include "pki.h"

#define HG_RENEWAL_SQL "SELECT device_renew($1, $2, to_timestamp($3::bigint))"
#define HG_RENEWAL_PARAMS 3

/* One request for a certificate, from its arrival to its answer. */
struct hg_renewal {
	uint8_t *frame; /* the request that it came in, without prefix */
	size_t frame_len;
	uint8_t *chain; /* DER; NULL: there is none, and detail says why */
	size_t chain_len;
	char serial[HG_SERIAL_TEXT], not_after[24];
	char detail[128]; /* for people */
};

/*
 * Checks the certification request `csr` of a session's device and signs a certificate for its key.
 * ca NULL: this mirror cannot. frame is copied. NULL when out of memory; a refusal is in detail.
 */
struct hg_renewal *hg_renewal_new(const struct hg_pki_ca *ca, const struct hg_mirror_conf *conf,
				  const struct hg_identity *id, struct hg_slice csr,
				  struct hg_slice frame);
void hg_renewal_free(struct hg_renewal *r);

/* Of HG_RENEWAL_SQL; valid as long as r and id. */
void hg_renewal_params(const struct hg_renewal *r, const struct hg_identity *id,
		       const char *values[static HG_RENEWAL_PARAMS]);

/* What the statement said: if it did not record the certificate, it is not handed out. */
void hg_renewal_recorded(struct hg_renewal *r, const struct hg_identity *id, const PGresult *res,
			 const char *error);

#endif
