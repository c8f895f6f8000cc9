/* SPDX-License-Identifier: MIT */
/*
 * The messages of synchronisation: encode and decode. docs/sync-protocol.md is the
 * specification (CDDL, state tables); this is its C form.
 *
 * One session is a TLS 1.3 connection opened by the device, on which it sends requests and the
 * mirror answers each with one response. A message is a frame: 32-bit big-endian length of what
 * follows, then one deterministic CBOR item (RFC 8949 section 4.2.1), at most HG_WIRE_MAX bytes.
 *
 * All 64-bit numbers stay below 2^63: databases keep them in signed columns.
 *
 * Both sides number their changes from 1 and never reuse a number within an epoch. A cursor says
 * "I hold everything up to this number durably". A receiver never acknowledges before its commit.
 */
#ifndef HG_LIB_WIRE_H
#define HG_LIB_WIRE_H

#include "slice.h"

#define HG_WIRE_VERSION 1
#define HG_WIRE_MAX (256 * 1024)	      /* bytes of one CBOR item on the wire */
#define HG_WIRE_CHANGES_MAX 256		      /* per message */
#define HG_WIRE_COMMANDS_MAX 64		      /* per message */
#define HG_WIRE_REPORTS_MAX 64		      /* per message */
#define HG_WIRE_NAME_MAX 64		      /* bytes of a property or action name */
#define HG_WIRE_VALUE_MAX (16 * 1024)	      /* bytes of one value as CBOR */
#define HG_WIRE_OBJECT_MAX (16 * 1024 * 1024) /* bytes of a value that travels in parts */
#define HG_WIRE_PART_MAX (96 * 1024)	      /* bytes of one part: two and more fit a message */
#define HG_WIRE_PARTIALS_MAX 2		      /* one of each kind */
#define HG_WIRE_UID_MAX 64
#define HG_WIRE_DETAIL_MAX 256 /* bytes of text for people */
#define HG_WIRE_CSR_MAX 2048   /* bytes of a certification request */
#define HG_WIRE_CHAIN_MAX 8192 /* bytes of certificates */
#define HG_WIRE_PSK_IDENTITY_MAX 128
#define HG_WIRE_PSK_KEY_LEN 32
/* For changes, commands and reports: 9216 is more than the rest. */
#define HG_WIRE_BUDGET (HG_WIRE_MAX - 9216)
#define HG_WIRE_KEY_FREE 64
#define HG_EPOCH_LEN 16

/* The life of a command; only device-side states travel in reports. */
enum hg_command_state {
	HG_COMMAND_QUEUED = 0,
	HG_COMMAND_LEASED = 1,	  /* in a response, not yet acknowledged */
	HG_COMMAND_RECEIVED = 2,  /* journalled on the device */
	HG_COMMAND_EXECUTING = 3, /* journalled as started */
	HG_COMMAND_DONE = 4,
	HG_COMMAND_FAILED = 5,
	HG_COMMAND_EXPIRED = 6,	  /* deliver_by or execute_within passed before it ran */
	HG_COMMAND_CANCELLED = 7, /* by the mirror, before it was leased */
	HG_COMMAND_UNKNOWN = 8,	  /* the device stopped while it ran; it is not run again */
};

/* Names as in the specification and the API ("queued", ...); NULL for an unknown number. */
const char *hg_command_state_name(unsigned int state);
/* Returns the state of a name, or -EINVAL. */
int hg_command_state_parse(const char *name);

enum hg_wire_status {
	HG_WIRE_OK = 0,
	HG_WIRE_BAD_MESSAGE = 1, /* not decodable, or a limit is broken */
	HG_WIRE_VERSION_UNSUPPORTED = 2,
	HG_WIRE_WRONG_UID = 3,	    /* uid is not the certificate's */
	HG_WIRE_UNKNOWN_DEVICE = 4, /* not enrolled, or retired */
	HG_WIRE_QUARANTINED = 5,    /* two live session counters were seen (clone) */
	HG_WIRE_BUSY = 6,	    /* admission control; try after interval_ms */
	HG_WIRE_UNAVAILABLE = 7,    /* database away; nothing of this request was kept */
	HG_WIRE_REFUSED = 8,	    /* for what the others do not name; see detail */
};

const char *hg_wire_status_name(unsigned int status);

/*
 * A piece of a value of more than HG_WIRE_VALUE_MAX bytes. total is 0 where there is none; else it
 * is the value's size, up to HG_WIRE_OBJECT_MAX, and the bytes, 1 to HG_WIRE_PART_MAX, begin at
 * offset in its CBOR. A message has at most one part among its changes, and one among its reports:
 * the last of them.
 */
struct hg_wire_part {
	uint64_t total, offset;
	struct hg_slice bytes;
};

/* True for the part with which the value ends. */
static inline bool hg_wire_part_ends(const struct hg_wire_part *p)
{
	return p->total && p->offset + p->bytes.len == p->total;
}

enum hg_wire_kind { HG_WIRE_CHANGE = 0, HG_WIRE_REPORT = 1 };

/* What the sender of a message holds of a value that comes in parts: its first `have` bytes. */
struct hg_wire_partial {
	uint8_t kind; /* enum hg_wire_kind */
	uint64_t seq; /* of the change, or of the command reported on */
	uint64_t have;
};

/*
 * A property's new value, whole or a part of it; also the removal of one (value.len == 0 and no
 * part).
 */
struct hg_wire_change {
	uint64_t seq;		  /* sender's change number, ascending within a message, > 0 */
	struct hg_slice name;	  /* text, 1..HG_WIRE_NAME_MAX bytes */
	struct hg_slice value;	  /* one CBOR item of the JSON data model, or empty */
	uint64_t time_ms;	  /* when it was made, Unix ms by the maker's clock; 0 unknown */
	struct hg_wire_part part; /* then value is empty */
};

struct hg_wire_command {
	uint64_t seq; /* the mirror's command number for this device, ascending, > 0 */
	struct hg_slice action;
	struct hg_slice input;	    /* one CBOR item, or empty */
	uint32_t execute_within_ms; /* from receipt by the device; 0: no limit */
	bool repeatable;	    /* the model says that running it twice does no harm */
};

/*
 * What the device says of one command, in any order; resent until a response answered a request
 * with it.
 */
struct hg_wire_report {
	uint64_t seq;		  /* the command's */
	uint8_t state;		  /* RECEIVED, EXECUTING, DONE, FAILED, EXPIRED or UNKNOWN */
	int32_t exit_status;	  /* of the handler: 0..255, -signal, or 0 when it did not run */
	struct hg_slice output;	  /* one CBOR item, or empty */
	struct hg_slice detail;	  /* text for people, <= 256 bytes; may be empty */
	struct hg_wire_part part; /* of the output; then output is empty */
};

#define HG_REQUEST_FULL 1u /* device wants every mirror-owned property again (store lost) */
#define HG_REQUEST_KEY 2u  /* device wants a pre-shared key */
#define HG_REQUEST_MORE 4u /* device has changes that this request does not bring */

/* A key handed out for later handshakes; identity.len == 0: none. lib/psk.h makes them. */
struct hg_wire_psk {
	struct hg_slice identity; /* 1..HG_WIRE_PSK_IDENTITY_MAX bytes */
	struct hg_slice key;	  /* HG_WIRE_PSK_KEY_LEN bytes */
	uint64_t not_after_ms;	  /* Unix ms by the mirror's clock, > 0 */
};

struct hg_wire_request {
	struct hg_slice uid;
	struct hg_slice epoch;	      /* HG_EPOCH_LEN bytes, random, made with the device's store */
	uint64_t session;	      /* this device's session counter, grows with every session */
	uint32_t round;		      /* request number within the session, from 0 */
	uint32_t flags;		      /* HG_REQUEST_* */
	struct hg_slice mirror_epoch; /* last seen; empty at first contact */
	uint64_t mirror_cursor;	      /* mirror changes applied durably up to here */
	uint64_t command_cursor;      /* commands journalled durably up to here */
	uint64_t time_ms;	      /* device's clock */
	struct hg_wire_change *changes; /* device-owned properties */
	size_t n_changes;
	struct hg_wire_report *reports;
	size_t n_reports;
	struct hg_wire_partial *partials; /* of the mirror's change; kinds ascend */
	size_t n_partials;
	struct hg_slice csr; /* PKCS#10 in DER, wants a certificate; or empty */
};

#define HG_RESPONSE_MORE 1u /* there is more for the device: ask again in this session */
#define HG_RESPONSE_FULL 2u /* mirror wants every device-owned property again */

struct hg_wire_response {
	uint32_t status; /* enum hg_wire_status; not OK: only detail and interval_ms count */
	struct hg_slice detail;
	struct hg_slice mirror_epoch; /* HG_EPOCH_LEN bytes; changes when the mirror lost data */
	uint32_t flags;
	uint64_t device_cursor; /* device changes held durably up to here */
	uint64_t time_ms;	/* mirror's clock, Unix ms */
	uint32_t interval_ms;	/* hint for the next session; 0: none */
	struct hg_wire_change *changes;
	size_t n_changes;
	struct hg_wire_command *commands;
	size_t n_commands;
	struct hg_wire_partial *partials; /* of the device's change and report; kinds ascend */
	size_t n_partials;
	struct hg_wire_psk psk;
	struct hg_slice chain; /* certificates in DER, leaf first, one behind the other; or empty */
};

/*
 * Encode one frame, length prefix included, into buf. Returns its length, -ENOSPC if it does not
 * fit in size or HG_WIRE_MAX, -EINVAL if the message breaks a rule above. Values are taken as they
 * are: they come from hg_cbor_from_json() or from a decoded message.
 */
long hg_wire_put_request(const struct hg_wire_request *r, void *buf, size_t size);
long hg_wire_put_response(const struct hg_wire_response *r, void *buf, size_t size);

/*
 * Encoded bytes of one element. A message fits if its elements together take at most
 * HG_WIRE_BUDGET: the sender stops before it is spent, and (a mirror) sets HG_RESPONSE_MORE.
 */
size_t hg_wire_change_size(const struct hg_wire_change *c);
size_t hg_wire_command_size(const struct hg_wire_command *c);
size_t hg_wire_report_size(const struct hg_wire_report *r);

/*
 * Bytes of the frame that starts at buf, prefix included: 0 if fewer than 4 bytes are there,
 * -EMSGSIZE if it is empty or over the limit.
 */
long hg_wire_frame_len(const void *buf, size_t len);

/*
 * Decode one CBOR item (without length prefix). Slices point into `in`. Arrays are taken from
 * `room`, which the caller keeps as long as the message; its contents are this function's. Strict:
 * what is not deterministic, unknown keys below HG_WIRE_KEY_FREE, wrong types, broken limits and
 * trailing bytes are -EBADMSG, with the place in *at (offset in `in`); another version is
 * -EPROTONOSUPPORT. Keys from HG_WIRE_KEY_FREE on are skipped: later minor versions use them. *out
 * is untouched on failure.
 */
struct hg_wire_room {
	struct hg_wire_change changes[HG_WIRE_CHANGES_MAX];
	struct hg_wire_command commands[HG_WIRE_COMMANDS_MAX];
	struct hg_wire_report reports[HG_WIRE_REPORTS_MAX];
	struct hg_wire_partial partials[HG_WIRE_PARTIALS_MAX];
};

int hg_wire_get_request(struct hg_slice in, struct hg_wire_room *room, struct hg_wire_request *out,
			size_t *at);
int hg_wire_get_response(struct hg_slice in, struct hg_wire_room *room,
			 struct hg_wire_response *out, size_t *at);

#endif
