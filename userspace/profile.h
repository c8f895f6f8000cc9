/* SPDX-License-Identifier: MIT */
/*
 * A model's traffic profile as docs/profile.md has it: read from and written to JSON and CBOR.
 * profile-compile.h makes of it what the guard takes, profile-sign.h what makers distribute.
 *
 * A profile is one struct without pointers, about 100 KiB: keep it static or on the heap. Who makes
 * one himself begins with hg_profile_init(), fills channel after channel with the hg_profile_add_
 * functions, and proves it by reading back what hg_profile_write() gives.
 */
#ifndef HG_USERSPACE_PROFILE_H
#define HG_USERSPACE_PROFILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../include/uapi/heliograph.h"

#define HG_PROFILE_NAME_MAX 32	/* bytes of a model's, firmware's, maker's, channel's name */
#define HG_PROFILE_HOST_MAX 253 /* bytes of a DNS name or pattern */
#define HG_PROFILE_SIZE_MAX (256 << 10) /* bytes of a profile's file */
#define HG_PROFILE_CBOR_MAX (64 << 10)	/* bytes of its CBOR form, unsigned */
#define HG_PROFILE_SIGNED 0xd2		/* first byte of the signed form: CBOR tag 18 */
#define HG_PROFILE_CHANNELS_MAX (HG_CHANNELS_MAX - 1)
#define HG_PROFILE_PORTS_MAX 32	   /* ranges of a channel */
#define HG_PROFILE_REMOTES_MAX 32  /* of a channel */
#define HG_PROFILE_REMOTES_ALL 256 /* of all channels */
#define HG_PROFILE_SERIAL_MAX ((UINT64_C(1) << 53) - 1)

#define HG_PROFILE_MARGIN_MIN 100
#define HG_PROFILE_MARGIN_MAX 2000
/* Percent; twice the training maximum had no false windows on 31 models. */
#define HG_PROFILE_MARGIN_DEFAULT 200

/* Features of an envelope. */
enum hg_profile_feature {
	HG_ENVELOPE_PACKETS = 0,  /* sent */
	HG_ENVELOPE_BYTES,	  /* of IP, sent */
	HG_ENVELOPE_FLOWS,	  /* opened */
	HG_ENVELOPE_FAILED,	  /* openings that nobody answered in 4 s, or that were refused */
	HG_ENVELOPE_DESTINATIONS, /* distinct remote addresses opened */
	HG_ENVELOPE_FRESH,	  /* destinations opened, but not in this or the hour before */
	HG_ENVELOPE_PORTS,	  /* distinct remote ports opened */
	HG_ENVELOPE_SOURCES,	  /* distinct own addresses sent from */
	HG_ENVELOPE_SIZE_MIN,	  /* mean IP bytes of a packet sent; no margin is applied to it */
	HG_ENVELOPE_SIZE_MAX,	  /* likewise */
	HG_ENVELOPE_FEATURES,
};

#define HG_PROFILE_UNTESTED UINT64_MAX

/* The most that testing has seen (of HG_ENVELOPE_SIZE_MIN: the least), or HG_PROFILE_UNTESTED. */
struct hg_profile_envelope {
	uint64_t most[HG_WINDOWS][HG_ENVELOPE_FEATURES];
};

enum hg_profile_kind {
	HG_REMOTE_ANY = 0,
	HG_REMOTE_LOCAL,  /* link-local, private and group addresses */
	HG_REMOTE_PEER,	  /* the agent's peers of `role` */
	HG_REMOTE_PREFIX, /* addr/prefix_len */
	HG_REMOTE_NAME,	  /* what `host` resolves to */
};

struct hg_profile_remote {
	struct hg_addr addr;
	uint8_t kind;			    /* enum hg_profile_kind */
	uint8_t role;			    /* one of enum hg_peer_role */
	uint8_t prefix_len;		    /* of the 128-bit form: IPv4 /24 is 120 */
	char host[HG_PROFILE_HOST_MAX + 1]; /* lower case; "*.example.com": all below that */
};

struct hg_profile_ports {
	uint16_t min, max;
};

/* Failed openings step up, answered ones down; at limit it is a scan. */
struct hg_profile_walk {
	bool given; /* else the defaults of hg_profile_compile() */
	uint16_t limit, up, down;
};

/* What exceeds rate (in an hour) adds up; more than limit is too much. */
struct hg_profile_sum {
	bool given; /* else not tested */
	uint64_t rate, limit;
};

struct hg_profile_channel {
	char name[HG_PROFILE_NAME_MAX + 1];
	uint8_t proto;	   /* IPPROTO_*; 0: any */
	bool remote_opens; /* the remote opens its flows; `ports` are the device's */
	bool no_answers;   /* none are expected (groups, broadcasts) */
	uint8_t n_ports;   /* 0: any */
	uint8_t n_remotes; /* at least 1 */
	uint16_t remotes;  /* index of the first in struct hg_profile */
	struct hg_profile_ports ports[HG_PROFILE_PORTS_MAX];
	struct hg_profile_envelope envelope;
	struct hg_profile_walk walk;
	struct hg_profile_sum sum_flows, sum_bytes;
};

struct hg_profile {
	char model[HG_PROFILE_NAME_MAX + 1];
	char firmware[HG_PROFILE_NAME_MAX + 1];
	char maker[HG_PROFILE_NAME_MAX + 1]; /* empty: not said */
	uint64_t serial;		     /* grows with each issue for one model and firmware */
	int64_t valid_from, valid_until;     /* seconds since 1970; 0: no limit */
	uint32_t margin_percent;	     /* bounds are envelopes times this */
	struct hg_profile_envelope outside;  /* of all that no channel takes */
	size_t n_channels;
	size_t n_remotes;
	struct hg_profile_channel channels[HG_PROFILE_CHANNELS_MAX]; /* the first that fits wins */
	struct hg_profile_remote remotes[HG_PROFILE_REMOTES_ALL];    /* channel after channel */
};

/* An empty profile with all defaults; model and firmware are to be set. */
void hg_profile_init(struct hg_profile *p);

/* An envelope that tests nothing; that of what no channel takes, where the profile does not say. */
void hg_profile_envelope_init(struct hg_profile_envelope *e);
void hg_profile_outside_init(struct hg_profile_envelope *e);

/*
 * A new last channel that expects answers and tests nothing; or a remote or port range more for the
 * last channel. NULL: the limit is reached.
 */
struct hg_profile_channel *hg_profile_add_channel(struct hg_profile *p, const char *name);
struct hg_profile_remote *hg_profile_add_remote(struct hg_profile *p);
struct hg_profile_ports *hg_profile_add_ports(struct hg_profile *p, uint16_t min, uint16_t max);

/*
 * How many rules of the guard the channel takes: its remotes, all names of hosts counted as one,
 * times its ranges.
 */
size_t hg_profile_rules(const struct hg_profile *p, const struct hg_profile_channel *ch);

/* A window's length in seconds, a feature's name ("packets"), whether it is tested in a window. */
unsigned int hg_profile_seconds(enum hg_window_length w);
const char *hg_profile_feature_name(enum hg_profile_feature f);
bool hg_profile_has(enum hg_window_length w, enum hg_profile_feature f);

/* What the score holds a feature against: its envelope times the margin, rounded down. */
uint64_t hg_profile_bound(const struct hg_profile *p, enum hg_profile_feature f, uint64_t most);

/*
 * Reading. Return 0, or -errno with a message in err that names the JSON path
 * ("$.channels[2].ports[0]"), what was wrong and what is allowed. On failure *out is untouched.
 * -EINVAL or -EBADMSG: it is wrong. -EFBIG: it is too large. The CBOR form is that of the same
 * JSON value (lib/cborjson.h).
 */
int hg_profile_parse(const char *json, size_t len, struct hg_profile *out, char *err,
		     size_t err_size);
int hg_profile_decode(const void *cbor, size_t len, struct hg_profile *out, char *err,
		      size_t err_size);
int hg_profile_from_json(const json_t *root, struct hg_profile *out, char *err, size_t err_size);

/*
 * As these, in JSON or signed (profile-sign.h); of a signed one the signature is not looked at.
 * hg_profile_load() from a file that messages name.
 */
int hg_profile_read(const void *data, size_t len, struct hg_profile *out, char *err,
		    size_t err_size);
int hg_profile_load(const char *path, struct hg_profile *out, char *err, size_t err_size);

/* The whole file, free() it; for who looks at the signature. Returns 0 or -errno as above. */
int hg_profile_read_file(const char *path, uint8_t **data, size_t *len, char *err, size_t err_size);

/*
 * Writing: one profile has one form, in which all that is default is left out. A new reference,
 * or text that ends with a newline (free() it); NULL: no memory.
 */
json_t *hg_profile_to_json(const struct hg_profile *p);
json_t *hg_profile_channel_to_json(const struct hg_profile *p, const struct hg_profile_channel *ch);
char *hg_profile_write(const struct hg_profile *p);
/* Returns bytes written, -ENOSPC or -ENOMEM. */
long hg_profile_encode(const struct hg_profile *p, void *buf, size_t size);

#endif
