/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a profile in JSON, in CBOR (a map is its first byte) or signed: refused with a
 * message and nothing changed, or written to a form that is read to the same again, and compiled to
 * rules and bounds that hold together.
 */
#include "fuzz.h"

#include <string.h>

#include "../../userspace/profile-compile.h"
#include "../../userspace/profile-sign.h"

static struct hg_profile p, again;
static struct hg_compiled compiled;

/* Written and read it is the same, and it has only one form. */
static void forms(void)
{
	static uint8_t cbor[HG_PROFILE_CBOR_MAX];
	char *text = hg_profile_write(&p), *twice, err[256];
	long n = hg_profile_encode(&p, cbor, sizeof(cbor));

	holds(text);
	if (strlen(text) <= HG_PROFILE_SIZE_MAX) {
		holds(!hg_profile_read(text, strlen(text), &again, err, sizeof(err)));
		holds(!memcmp(&p, &again, sizeof(p)));
		twice = hg_profile_write(&again);
		holds(twice && !strcmp(text, twice));
		free(twice);
	}
	free(text);
	if (n < 0)
		return;
	holds(!hg_profile_decode(cbor, (size_t)n, &again, err, sizeof(err)));
	holds(!memcmp(&p, &again, sizeof(p)));
}

static void guard(void)
{
	__u8 number[HG_PROFILE_CHANNELS_MAX];
	__u64 ids[HG_CHANNELS_MAX];
	size_t channels = 0, rules = 0;

	holds(!hg_profile_compile(&p, NULL, &compiled));
	for (size_t i = 0; i < HG_CHANNELS_MAX; i++) {
		ids[i] = compiled.bounds[i].id;
		channels += ids[i] != 0;
	}
	holds(channels == p.n_channels + 1 && ids[0] == HG_OUTSIDE_ID);
	for (size_t i = 0; i < p.n_channels; i++)
		rules += hg_profile_rules(&p, &p.channels[i]);
	holds(compiled.n_rules == rules && rules <= HG_RULES_MAX);
	for (size_t i = 0; i < rules; i++) {
		const struct hg_rule *r = &compiled.rules[i];

		holds(r->channel && r->channel < HG_CHANNELS_MAX && ids[r->channel]);
		holds(r->port_min <= r->port_max && r->prefix_len <= 128);
	}
	for (size_t i = 0; i < compiled.n_names; i++) {
		holds(hg_names_pattern_ok(compiled.names[i].host));
		holds(compiled.names[i].channels && !(compiled.names[i].channels & 1));
	}
	/* The same profile again changes no number. */
	holds(!hg_profile_place(&p, ids, number));
	for (size_t i = 0; i < p.n_channels; i++)
		holds(!strcmp(compiled.channels[number[i]], p.channels[i].name));
}

/* Of what is signed the certificate inside is looked at; its signature is hardly ever good. */
static void signature(const uint8_t *data, size_t size)
{
	char err[512] = "", signer[64];
	int ret = hg_profile_open(data, size, NULL, &again, err, sizeof(err));

	hg_profile_signer(data, size, signer, sizeof(signer));
	holds(strlen(signer) < sizeof(signer));
	holds(ret ? ret < 0 && *err : !memcmp(&p, &again, sizeof(p)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[256] = "";
	int ret;

	memset(&p, 0x55, sizeof(p));
	if (size && data[0] >> 5 == 5)
		ret = hg_profile_decode(data, size, &p, err, sizeof(err));
	else
		ret = hg_profile_read(data, size, &p, err, sizeof(err));
	if (ret) {
		holds(strlen(err) > 5 && ret < 0 && p.model[0] == 0x55);
		holds(*err == '$' || !strncmp(err, "line ", 5) || !strncmp(err, "profile", 7));
		return 0;
	}
	holds(!*err);
	if (data[0] == HG_PROFILE_SIGNED)
		signature(data, size);
	forms();
	guard();
	return 0;
}
