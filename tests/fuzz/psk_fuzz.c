/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the identity of a pre-shared key: as they are, and as a mask over an identity that
 * the mirror made. Only that one itself opens.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/psk.h"

static struct hg_psk_keys *keys;
static struct hg_psk made;

static void set_up(void)
{
	struct hg_psk_claim claim = { "cam-0001", 4000000000000, 4000000000000, false };
	char dir[] = "/tmp/hg-psk-fuzz.XXXXXX", path[64], err[256];

	holds(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key", dir);
	holds(!hg_psk_secret_make(path, err, sizeof(err)));
	keys = hg_psk_keys_load(path, NULL, err, sizeof(err));
	holds(keys && !hg_psk_make(keys, &claim, &made));
	unlink(path);
	rmdir(dir);
}

/* Outputs are untouched unless it opens. */
static int open_identity(const uint8_t *data, size_t size)
{
	struct hg_psk_claim claim = { .uid = "?" };
	uint8_t key[HG_PSK_KEY_LEN] = "untouched";
	int ret = hg_psk_open(keys, hg_slice_of(data, size), 1, &claim, key);

	if (ret)
		holds(!strcmp(claim.uid, "?") && !strcmp((char *)key, "untouched"));
	else
		holds(!strcmp(claim.uid, "cam-0001") && !memcmp(key, made.key, sizeof(key)));
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t masked[HG_PSK_IDENTITY_MAX];
	bool same = true;

	if (!keys)
		set_up();
	holds(open_identity(data, size) == -ENOENT);
	memcpy(masked, made.identity, made.identity_len);
	for (size_t i = 0; i < size && i < made.identity_len; i++) {
		masked[i] ^= data[i];
		same &= !data[i];
	}
	holds(open_identity(masked, made.identity_len) == (same ? 0 : -ENOENT));
	return 0;
}
