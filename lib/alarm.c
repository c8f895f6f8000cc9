/* SPDX-License-Identifier: MIT */
/*
 * The collector's datagrams: payloads (alarm-payload.c) signed by COSE (cose.c). Used by the
 * device's alarm sender and by the collector.
 *
 * Opening hands nothing out unless form and signature were good. Who may say what of whom (the UID
 * of a key, the replay window) is the caller's to check.
 */
#include "alarm.h"

#include <errno.h>
#include <openssl/err.h>

#include "alarm-payload.h"
#include "cose.h"

_Static_assert(HG_KEY_ID_LEN == HG_COSE_X5T_LEN, "a key id is an x5t");

static long put_signed(const struct hg_alarm_payload *p, struct hg_cose *c, EVP_PKEY *key,
		       void *buf, size_t size)
{
	uint8_t payload[HG_ALARM_MAX];
	long len = hg_alarm_payload_put(p, payload, sizeof(payload));

	if (len < 0)
		return len;
	c->payload = hg_slice_of(payload, (size_t)len);
	return hg_cose_sign(c, key, buf, size);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

long hg_enrol_sign(const char *uid, uint64_t counter, X509 *cert, EVP_PKEY *key, void *buf,
		   size_t size)
{
	struct hg_alarm_payload p = { .type = HG_DATAGRAM_ENROL, .a = { .counter = counter } };
	struct hg_cose c = { 0 };
	uint8_t *der = NULL;
	int der_len;
	long rc;

	if (!hg_uid_valid(uid, strlen(uid)))
		return -EINVAL;
	strcpy(p.a.uid, uid);
	der_len = i2d_X509(cert, &der);
	if (der_len <= 0)
		return -EIO;
	c.x5chain = hg_slice_of(der, (size_t)der_len);
	rc = put_signed(&p, &c, key, buf, smaller(size, HG_ENROL_MAX));
	OPENSSL_free(der);
	return rc;
}

long hg_alarm_sign(const struct hg_alarm *alarm, X509 *cert, EVP_PKEY *key, void *buf, size_t size)
{
	struct hg_alarm_payload p = { .type = HG_DATAGRAM_ALARM, .a = *alarm };
	uint8_t key_id[HG_KEY_ID_LEN];
	struct hg_cose c = { .x5t = { key_id, sizeof(key_id) } };
	int rc = hg_key_id(cert, key_id);

	return rc ? rc : put_signed(&p, &c, key, buf, smaller(size, HG_ALARM_MAX));
}

long hg_ack_sign(const struct hg_ack *ack, EVP_PKEY *key, void *buf, size_t size)
{
	struct hg_alarm_payload p = { .type = HG_DATAGRAM_ACK,
				      .code = ack->code,
				      .a = { .counter = ack->counter } };
	struct hg_cose c = { 0 };

	memcpy(p.a.uid, ack->uid, sizeof(p.a.uid));
	return put_signed(&p, &c, key, buf, size);
}

/* Takes a datagram apart; its headers must be those of its type. */
static int parse(struct hg_slice in, struct hg_cose *c, struct hg_alarm_payload *p)
{
	if (in.len > HG_ENROL_MAX || hg_cose_parse(in, c) || hg_alarm_payload_get(c->payload, p))
		return -EBADMSG;
	if (!c->x5chain.len != (p->type != HG_DATAGRAM_ENROL) ||
	    !c->x5t.len != (p->type != HG_DATAGRAM_ALARM) ||
	    in.len > (p->type == HG_DATAGRAM_ENROL ? HG_ENROL_MAX : HG_ALARM_MAX))
		return -EBADMSG;
	return 0;
}

int hg_datagram_peek(struct hg_slice in, uint8_t key_id[static HG_KEY_ID_LEN])
{
	struct hg_alarm_payload p;
	struct hg_cose c;

	if (parse(in, &c, &p))
		return -EBADMSG;
	if (c.x5t.len)
		memcpy(key_id, c.x5t.ptr, HG_KEY_ID_LEN);
	return p.type;
}

uint64_t hg_datagram_counter(struct hg_slice in)
{
	struct hg_alarm_payload p;
	struct hg_cose c;

	return parse(in, &c, &p) ? 0 : p.a.counter;
}

/* A datagram of one type, signed with key. */
static int open_signed(struct hg_slice in, EVP_PKEY *key, enum hg_datagram type,
		       struct hg_alarm_payload *p)
{
	struct hg_cose c;

	if (parse(in, &c, p) || p->type != type)
		return -EBADMSG;
	return hg_cose_verify(&c, key);
}

int hg_enrol_open(struct hg_slice in, X509_STORE *trust, struct hg_alarm *who, X509 **cert)
{
	char uid[HG_UID_MAX + 1];
	const uint8_t *der;
	struct hg_cose c;
	struct hg_alarm_payload p;
	X509 *leaf;
	int rc = -EKEYREJECTED;

	if (parse(in, &c, &p) || p.type != HG_DATAGRAM_ENROL)
		return -EBADMSG;
	der = c.x5chain.ptr;
	leaf = d2i_X509(NULL, &der, (long)c.x5chain.len);
	if (!leaf || der != c.x5chain.ptr + c.x5chain.len)
		rc = -EBADMSG;
	else if (!hg_cose_verify(&c, X509_get0_pubkey(leaf)) && !hg_tls_cert_uid(leaf, uid) &&
		 !strcmp(uid, p.a.uid) && hg_tls_client_check(trust, leaf, NULL) == X509_V_OK)
		rc = 0;
	ERR_clear_error();
	if (rc) {
		X509_free(leaf);
		return rc;
	}
	*who = p.a;
	*cert = leaf;
	return 0;
}

int hg_alarm_open(struct hg_slice in, EVP_PKEY *key, struct hg_alarm *out)
{
	struct hg_alarm_payload p;
	int rc = open_signed(in, key, HG_DATAGRAM_ALARM, &p);

	if (!rc)
		*out = p.a;
	return rc;
}

int hg_ack_open(struct hg_slice in, EVP_PKEY *key, struct hg_ack *out)
{
	struct hg_alarm_payload p;
	int rc = open_signed(in, key, HG_DATAGRAM_ACK, &p);

	if (rc)
		return rc;
	memcpy(out->uid, p.a.uid, sizeof(out->uid));
	out->counter = p.a.counter;
	out->code = p.code;
	return 0;
}

int hg_key_id(X509 *cert, uint8_t key_id[static HG_KEY_ID_LEN])
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (!X509_digest(cert, EVP_sha256(), digest, NULL))
		return -EIO;
	memcpy(key_id, digest, HG_KEY_ID_LEN);
	return 0;
}

bool hg_replay_accept(struct hg_replay *w, uint64_t counter)
{
	uint64_t step;

	if (counter > w->top) {
		step = counter - w->top;
		w->seen = step < 64 ? w->seen << step : 0;
		w->seen |= 1;
		w->top = counter;
		return true;
	}
	step = w->top - counter;
	if (!counter || step >= 64 || w->seen >> step & 1)
		return false;
	w->seen |= 1ull << step;
	return true;
}
