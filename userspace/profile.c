// SPDX-License-Identifier: MIT
/*
 * Profile: its defaults, how one is built up, and its file forms. Read once at start by the agent,
 * and by the profile commands. The result is built aside and copied out only if all of it is good.
 */
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/cborjson.h"
#include "../lib/cose.h"

static const unsigned int seconds[HG_WINDOWS] = { 1, 60, 3600 };

#define ALL 7u				/* a set of windows */
#define MINUTE (1u << HG_WINDOW_MINUTE) /* what the guard counts in the middle one only */

/* The order in which an envelope is written. */
static const struct {
	const char *name;
	unsigned int windows;
} features[HG_ENVELOPE_FEATURES] = {
	[HG_ENVELOPE_PACKETS] = { "packets", ALL },
	[HG_ENVELOPE_BYTES] = { "bytes", ALL },
	[HG_ENVELOPE_FLOWS] = { "flows", ALL },
	[HG_ENVELOPE_FAILED] = { "failed", ALL },
	[HG_ENVELOPE_DESTINATIONS] = { "destinations", ALL },
	[HG_ENVELOPE_FRESH] = { "new_destinations", ALL },
	[HG_ENVELOPE_PORTS] = { "ports", MINUTE },
	[HG_ENVELOPE_SOURCES] = { "sources", MINUTE },
	[HG_ENVELOPE_SIZE_MIN] = { "size_min", MINUTE },
	[HG_ENVELOPE_SIZE_MAX] = { "size_max", MINUTE },
};

unsigned int hg_profile_seconds(enum hg_window_length w)
{
	return seconds[w];
}

const char *hg_profile_feature_name(enum hg_profile_feature f)
{
	return features[f].name;
}

bool hg_profile_has(enum hg_window_length w, enum hg_profile_feature f)
{
	return features[f].windows >> w & 1;
}

/* Envelopes are below 2^40, margins below 2^11. */
uint64_t hg_profile_bound(const struct hg_profile *p, enum hg_profile_feature f, uint64_t most)
{
	if (most == HG_PROFILE_UNTESTED || f == HG_ENVELOPE_SIZE_MIN || f == HG_ENVELOPE_SIZE_MAX)
		return most;
	return most * p->margin_percent / 100;
}

void hg_profile_envelope_init(struct hg_profile_envelope *e)
{
	memset(e, 0xff, sizeof(*e)); /* HG_PROFILE_UNTESTED */
}

void hg_profile_outside_init(struct hg_profile_envelope *e)
{
	uint64_t *second, *minute, *hour;

	hg_profile_envelope_init(e);
	second = e->most[HG_WINDOW_SECOND];
	minute = e->most[HG_WINDOW_MINUTE];
	hour = e->most[HG_WINDOW_HOUR];
	/*
	 * Before the margin. In a second a name lookup and one new connection; in a minute one that
	 * is used, and tried again; in an hour one each few minutes.
	 */
	second[HG_ENVELOPE_PACKETS] = 20;
	second[HG_ENVELOPE_BYTES] = 10000;
	second[HG_ENVELOPE_FLOWS] = 2;
	second[HG_ENVELOPE_FAILED] = 2;
	minute[HG_ENVELOPE_PACKETS] = 60;
	minute[HG_ENVELOPE_BYTES] = 30000;
	minute[HG_ENVELOPE_FLOWS] = 4;
	hour[HG_ENVELOPE_PACKETS] = 600;
	hour[HG_ENVELOPE_BYTES] = 300000;
	hour[HG_ENVELOPE_FLOWS] = 20;
}

void hg_profile_init(struct hg_profile *p)
{
	memset(p, 0, sizeof(*p));
	p->margin_percent = HG_PROFILE_MARGIN_DEFAULT;
	hg_profile_outside_init(&p->outside);
}

struct hg_profile_channel *hg_profile_add_channel(struct hg_profile *p, const char *name)
{
	struct hg_profile_channel *ch = &p->channels[p->n_channels];

	if (p->n_channels == HG_PROFILE_CHANNELS_MAX)
		return NULL;
	p->n_channels++;
	memset(ch, 0, sizeof(*ch));
	snprintf(ch->name, sizeof(ch->name), "%s", name);
	ch->remotes = (uint16_t)p->n_remotes;
	hg_profile_envelope_init(&ch->envelope);
	return ch;
}

struct hg_profile_remote *hg_profile_add_remote(struct hg_profile *p)
{
	struct hg_profile_channel *ch = &p->channels[p->n_channels - 1];
	struct hg_profile_remote *r = &p->remotes[p->n_remotes];

	if (p->n_remotes == HG_PROFILE_REMOTES_ALL || ch->n_remotes == HG_PROFILE_REMOTES_MAX)
		return NULL;
	p->n_remotes++;
	ch->n_remotes++;
	memset(r, 0, sizeof(*r));
	return r;
}

struct hg_profile_ports *hg_profile_add_ports(struct hg_profile *p, uint16_t min, uint16_t max)
{
	struct hg_profile_channel *ch = &p->channels[p->n_channels - 1];
	struct hg_profile_ports *range = &ch->ports[ch->n_ports];

	if (ch->n_ports == HG_PROFILE_PORTS_MAX)
		return NULL;
	ch->n_ports++;
	*range = (struct hg_profile_ports){ min, max };
	return range;
}

size_t hg_profile_rules(const struct hg_profile *p, const struct hg_profile_channel *ch)
{
	size_t remotes = 0, names = 0;

	for (size_t i = 0; i < ch->n_remotes; i++) {
		if (p->remotes[ch->remotes + i].kind == HG_REMOTE_NAME)
			names = 1;
		else
			remotes++;
	}
	return (remotes + names) * (ch->n_ports ? ch->n_ports : 1);
}

int hg_profile_parse(const char *json, size_t len, struct hg_profile *out, char *err,
		     size_t err_size)
{
	json_error_t where;
	json_t *root;
	int ret;

	if (len > HG_PROFILE_SIZE_MAX) {
		snprintf(err, err_size, "profile: larger than %d bytes", HG_PROFILE_SIZE_MAX);
		return -EFBIG;
	}
	root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);
	if (!root) {
		snprintf(err, err_size, "line %d column %d: not JSON: %s", where.line, where.column,
			 where.text);
		return -EINVAL;
	}
	ret = hg_profile_from_json(root, out, err, err_size);
	json_decref(root);
	return ret;
}

int hg_profile_decode(const void *cbor, size_t len, struct hg_profile *out, char *err,
		      size_t err_size)
{
	json_t *root;
	int ret;

	if (len > HG_PROFILE_CBOR_MAX) {
		snprintf(err, err_size, "profile: CBOR form larger than %d bytes",
			 HG_PROFILE_CBOR_MAX);
		return -EFBIG;
	}
	root = hg_json_from_cbor(hg_slice_of(cbor, len));
	if (!root) {
		ret = errno == ENOMEM ? -ENOMEM : -EINVAL;
		snprintf(err, err_size, "profile: %s",
			 ret == -ENOMEM ? "out of memory"
					: "not deterministic CBOR of JSON values");
		return ret;
	}
	ret = hg_profile_from_json(root, out, err, err_size);
	json_decref(root);
	return ret;
}

int hg_profile_read_file(const char *path, uint8_t **data, size_t *len, char *err, size_t err_size)
{
	FILE *f = fopen(path, "re");
	uint8_t *text = f ? malloc(HG_PROFILE_SIZE_MAX + 1) : NULL;
	int ret = f ? -ENOMEM : -errno;

	if (text) {
		*len = fread(text, 1, HG_PROFILE_SIZE_MAX + 1, f);
		ret = ferror(f) ? -EIO : *len > HG_PROFILE_SIZE_MAX ? -EFBIG : 0;
	}
	if (ret == -EFBIG)
		snprintf(err, err_size, "%s: larger than %d bytes", path, HG_PROFILE_SIZE_MAX);
	else if (ret)
		snprintf(err, err_size, "%s: cannot be read: %s", path, strerror(-ret));
	if (f)
		fclose(f);
	if (ret)
		free(text);
	else
		*data = text;
	return ret;
}

int hg_profile_read(const void *data, size_t len, struct hg_profile *out, char *err,
		    size_t err_size)
{
	struct hg_cose c;

	if (!len || *(const uint8_t *)data != HG_PROFILE_SIGNED)
		return hg_profile_parse(data, len, out, err, err_size);
	if (!hg_cose_parse(hg_slice_of(data, len), &c))
		return hg_profile_decode(c.payload.ptr, c.payload.len, out, err, err_size);
	snprintf(err, err_size, "profile: begins as a signed one, but is none");
	return -EBADMSG;
}

int hg_profile_load(const char *path, struct hg_profile *out, char *err, size_t err_size)
{
	char what[400];
	uint8_t *data = NULL;
	size_t len = 0;
	int ret = hg_profile_read_file(path, &data, &len, err, err_size);

	if (ret)
		return ret;
	ret = hg_profile_read(data, len, out, what, sizeof(what));
	if (ret)
		snprintf(err, err_size, "%s: %s", path, what);
	free(data);
	return ret;
}
