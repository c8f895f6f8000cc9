/* SPDX-License-Identifier: MIT */
/*
 * The datagrams between a device and the access operator's collector: encode, sign, verify,
 * decode. docs/alarm-format.md is the specification.
 *
 * Each datagram is one COSE_Sign1 (RFC 9052) signed with ES256 by the sender's certificate key.
 *   enrol  device -> collector  its certificate (x5chain, RFC 9360), once; at most 1232 bytes
 *   alarm  device -> collector  one statement about itself; at most HG_ALARM_MAX bytes; names its
 *                               key by x5t (RFC 9360: SHA-256 of the certificate, first 8 bytes)
 *   ack    collector -> device  answers either; signed with the collector's certificate key
 * A collector that does not know an alarm's key answers with an ack of code HG_ACK_ENROL.
 */
#ifndef HG_LIB_ALARM_H
#define HG_LIB_ALARM_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include "../include/uapi/heliograph.h"
#include "slice.h"
#include "tls.h"

#define HG_ALARM_MAX 512
#define HG_ENROL_MAX 1232
#define HG_ALARM_PORT 4647 /* default UDP port of the collector */
#define HG_ALARM_TARGETS_MAX 4
#define HG_KEY_ID_LEN 8

enum hg_alarm_class {
	HG_ALARM_TEST = 0,     /* asked for by a person; never leads to an incident */
	HG_ALARM_SCAN = 1,     /* many openings, many of them fail */
	HG_ALARM_FLOOD = 2,    /* far more packets or bytes than the envelope */
	HG_ALARM_OUTSIDE = 3,  /* traffic outside every channel of the profile */
	HG_ALARM_SILENCED = 4, /* the agent's heartbeat stopped */
	HG_ALARM_ENDED = 5,    /* the episode that `episode` names is over */
};

/* Words for these, for enum hg_feature and enum hg_attack; NULL if there is none. */
const char *hg_alarm_class_name(unsigned int alarm_class);
const char *hg_alarm_feature_name(unsigned int feature);
const char *hg_attack_name(unsigned int attack);

/* The class that alarms of this attack have; of one that nobody knows: flood. */
uint8_t hg_attack_class(unsigned int attack);

/* 1, 60, 3600 for enum hg_window_length; 0 for others. */
unsigned int hg_window_seconds(unsigned int window);

struct hg_alarm_target {
	uint8_t family;	    /* 4 or 6 */
	uint8_t prefix_len; /* 0..32 or 0..128 */
	uint8_t addr[16];   /* network order, host bits zero; IPv4 in the first 4 */
	uint8_t proto;	    /* IP protocol number */
	uint16_t port;	    /* remote port, host order; 0: any */
	uint32_t packets;   /* in the window, saturating */
};

struct hg_alarm {
	char uid[HG_UID_MAX + 1];
	char model[33];
	char firmware[33];
	uint64_t counter;      /* grows with every datagram that is not a repeat; never reused */
	uint64_t episode;      /* counter of the first alarm of this episode */
	uint64_t time_ms;      /* device's clock, Unix ms */
	uint8_t alarm_class;   /* enum hg_alarm_class */
	uint8_t feature;       /* enum hg_feature */
	uint8_t attack;	       /* enum hg_attack; 0: not said */
	uint16_t window;       /* of the feature: 1, 60 or 3600 seconds; 0: not said */
	uint16_t channel;      /* of the profile; 0: outside it */
	uint64_t value, bound; /* of the feature, and the bound that it broke */
	uint8_t self_family;   /* device's own address as it sees it; 0: unknown */
	uint8_t self_addr[16];
	uint8_t n_targets;
	struct hg_alarm_target targets[HG_ALARM_TARGETS_MAX];
};

enum hg_ack_code {
	HG_ACK_STORED = 0,
	HG_ACK_ENROL = 1,    /* key unknown: send enrol, then the alarm again */
	HG_ACK_REJECTED = 2, /* certificate not accepted, or replay window passed it by */
};

struct hg_ack {
	char uid[HG_UID_MAX + 1]; /* of the device it answers; empty with HG_ACK_ENROL */
	uint64_t counter;	  /* of the datagram it answers */
	uint8_t code;
};

enum hg_datagram { HG_DATAGRAM_ENROL = 1, HG_DATAGRAM_ALARM = 2, HG_DATAGRAM_ACK = 3 };

/*
 * Encode and sign. Return the datagram's length, -EINVAL if the struct breaks a rule above, -ENOSPC
 * if it would not fit, -EIO if signing failed.
 */
long hg_enrol_sign(const char *uid, uint64_t counter, X509 *cert, EVP_PKEY *key, void *buf,
		   size_t size);
long hg_alarm_sign(const struct hg_alarm *alarm, X509 *cert, EVP_PKEY *key, void *buf, size_t size);
long hg_ack_sign(const struct hg_ack *ack, EVP_PKEY *key, void *buf, size_t size);

/*
 * Says what a datagram claims to be, before any signature is checked: its enum hg_datagram and, for
 * an alarm, the key id. -EBADMSG if it is not one of ours.
 */
int hg_datagram_peek(struct hg_slice in, uint8_t key_id[static HG_KEY_ID_LEN]);

/* The counter it claims, as unchecked: for the answer to an alarm of unknown key. 0: not ours. */
uint64_t hg_datagram_counter(struct hg_slice in);

/*
 * Verify and decode; outputs are untouched unless both are good. -EBADMSG: malformed or not
 * deterministic; -EKEYREJECTED: signature or certificate wrong. The caller holds the alarm's UID
 * against that of the key, and its counter against the replay window. enrol: *cert is a new
 * reference; it was checked against `trust` (CRLs included), names clientAuth and the UID; of *who,
 * uid and counter are set.
 */
int hg_enrol_open(struct hg_slice in, X509_STORE *trust, struct hg_alarm *who, X509 **cert);
int hg_alarm_open(struct hg_slice in, EVP_PKEY *key, struct hg_alarm *out);
int hg_ack_open(struct hg_slice in, EVP_PKEY *key, struct hg_ack *out);

/* First HG_KEY_ID_LEN bytes of SHA-256 over the DER certificate. Returns 0 or -EIO. */
int hg_key_id(X509 *cert, uint8_t key_id[static HG_KEY_ID_LEN]);

/*
 * Replay window over 64-bit counters: accepts each number once, within the last 64.
 * All-zero is the empty window; counters start at 1.
 */
struct hg_replay {
	uint64_t top;
	uint64_t seen; /* bit i: top - i was accepted */
};

/* Returns true and marks it, or false: seen before or too old. */
bool hg_replay_accept(struct hg_replay *w, uint64_t counter);

#endif
