/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a datagram, signed with a key that nobody has: it may be well-formed, but is never
 * opened.
 */
#include "fuzz.h"

#include "../../lib/alarm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *key;
	static X509_STORE *trust;
	struct hg_slice in = hg_slice_of(data, size);
	uint8_t key_id[HG_KEY_ID_LEN];
	struct hg_alarm alarm;
	struct hg_ack ack;
	X509 *cert = NULL;
	int type;

	if (!key) {
		key = EVP_EC_gen("P-256");
		trust = X509_STORE_new();
	}
	type = hg_datagram_peek(in, key_id);
	if (type < 0)
		return 0;
	holds(type >= HG_DATAGRAM_ENROL && type <= HG_DATAGRAM_ACK);
	holds(size <= (type == HG_DATAGRAM_ENROL ? HG_ENROL_MAX : HG_ALARM_MAX));
	holds(hg_alarm_open(in, key, &alarm));
	holds(hg_ack_open(in, key, &ack));
	holds(hg_enrol_open(in, trust, &alarm, &cert) && !cert);
	return 0;
}
