/* SPDX-License-Identifier: MIT */
/*
 * The state of simulated devices: a directory with `devices` (a head and one record for each,
 * mapped into memory), `keys.pem`, `ca.crt` and `first.crt`. What a device must have durably before
 * it goes on is in its record before it goes on, so that a generator that was killed leaves devices
 * that a later one continues. (Killed, not a power cut: nothing is synced to the disk.)
 */
#ifndef TESTS_LOAD_STATE_H
#define TESTS_LOAD_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "../../lib/psk.h"
#include "../../lib/wire.h"

#define LOAD_DEVICES_MAX 1000000
#define LOAD_KEYS_MAX 4096
#define LOAD_PROPERTIES_MAX 5000
#define LOAD_JOURNAL_MAX 8 /* commands a device holds whose ends it has not reported */
#define LOAD_PREFIX_MAX 24
#define LOAD_UID_TEXT (LOAD_PREFIX_MAX + 12)
#define LOAD_CERT_MAX 576
#define LOAD_TICKET_MAX 1232
#define LOAD_TEXT_MAX 1000 /* bytes of a value */

struct load_record {
	uint64_t session; /* the last number taken */
	uint64_t seq;	  /* of its newest change */
	uint64_t acked, mirror_cursor, command_cursor;
	uint64_t journal[LOAD_JOURNAL_MAX]; /* numbers of commands; their ends are reported next */
	uint32_t run, made,
		done; /* in this run: sessions whose changes were made, and that ended well */
	uint16_t cert_len, ticket_len; /* 0: there is none */
	uint8_t n_journal, known;      /* known: mirror_epoch is set */
	uint8_t epoch[HG_EPOCH_LEN], mirror_epoch[HG_EPOCH_LEN];
	uint8_t cert[LOAD_CERT_MAX], ticket[LOAD_TICKET_MAX];
	uint8_t reserve[6];
	struct hg_psk psk; /* identity_len 0: there is none */
	uint8_t more[32];
};

_Static_assert(sizeof(struct load_record) == 2176, "of one size everywhere");

struct load_head {
	char magic[8];
	uint32_t devices, properties, keys;
	uint32_t run, run_open; /* the last run, and whether it was begun and not ended */
	char prefix[LOAD_PREFIX_MAX + 1];
};

struct load_state {
	const char *dir;
	int fd;
	struct load_head *head;
	struct load_record *records;
	size_t size;
	EVP_PKEY **keys; /* device i has keys[i % head->keys] */
	uint32_t text;	 /* values are numbers as text of so many digits; 0: integers */
	uint32_t rounds; /* of a session at least; 0: as many as it needs */
	bool want_psk;	 /* devices that have no pre-shared key ask for one */
	char error[512];
};

struct load_identities {
	const char *ca; /* directory of `heliograph-mirror ca init` */
	const char *prefix;
	uint32_t devices, properties, keys;
};

/* Opens a directory that has a state. Returns 0, or -1 with state->error. */
int load_state_open(struct load_state *s, const char *dir);

/*
 * Makes what is missing of directory, keys, records and certificates: a second call continues, or
 * adds devices. The state is open after it. Returns 0, or -1 with state->error.
 */
int load_state_make(struct load_state *s, const char *dir, const struct load_identities *want);

void load_state_close(struct load_state *s);

/* PREFIX-000017 */
void load_state_uid(const struct load_state *s, uint32_t i, char uid[static LOAD_UID_TEXT]);

/* Certificate of a device; the caller frees it. */
X509 *load_state_cert(const struct load_state *s, uint32_t i);

static inline EVP_PKEY *load_state_key(const struct load_state *s, uint32_t i)
{
	return s->keys[i % s->head->keys];
}

/* Replace it in one step as a killed process sees it; len 0 and NULL forget it. */
void load_record_ticket(struct load_record *r, const void *ticket, size_t len);
void load_record_psk(struct load_record *r, const struct hg_wire_psk *psk);

#endif
