// SPDX-License-Identifier: MIT
/* Seals: the bytes that they are over, made here as the kernel sees them; and their text. */
#include "../tap.h"
#include <stdlib.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "../../userspace/seal.h"

static const __u8 key[HG_KEY_LENGTH] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
static char path[] = "/tmp/hg-seal-XXXXXX";

static bool is_mac_of(const struct hg_seal *s, const void *text, size_t n)
{
	__u8 mac[32];

	HMAC(EVP_sha256(), key, sizeof(key), text, n, mac, NULL);
	return !memcmp(mac, s->mac, sizeof(mac));
}

static void bytes(void)
{
	static const char bare[] = "heliograph seal\0\0\1\2\3\4\5\6\x03";
	static const char little[] = "heliograph seal\0\0\1\2\3\4\5\6\x04\x08\0\x0c\0\2\0\0\0";
	static const char big[] = "heliograph seal\0\0\1\2\3\4\5\6\x04\0\x08\0\x0c\0\0\0\2";
	struct hg_sealed what = { .command = HG_CMD_DETACH };
	const __u64 counter = 0x010203040506;
	struct hg_seal s = { 0 };

	ok(!hg_seal_make(key, counter, &what, &s) && s.counter == counter &&
		   is_mac_of(&s, bare, sizeof(bare) - 1),
	   "over label, counter and command");
	what = (struct hg_sealed){ HG_CMD_SET_POLICY, HG_A_POLICY, HG_POLICY_SEALED, false };
	ok(!hg_seal_make(key, counter, &what, &s) && is_mac_of(&s, little, sizeof(little) - 1),
	   "and the attribute as it stands in the message");
	what.big_endian = true;
	ok(!hg_seal_make(key, counter, &what, &s) && is_mac_of(&s, big, sizeof(big) - 1),
	   "in the byte order of the device");
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static void text(void)
{
	struct hg_sealed what = { .command = HG_CMD_UNLOCK };
	struct hg_seal s, got = { 0 };
	char line[HG_SEAL_TEXT], err[200] = "";
	__u8 k[HG_KEY_LENGTH];

	hg_seal_make(key, ~0ull, &what, &s);
	hg_seal_print(&s, line);
	put(line);
	ok(!hg_seal_read(path, &got, err, sizeof(err)) && !memcmp(&got, &s, sizeof(s)),
	   "what is printed is read back");
	line[strlen(line) - 1] = '\0';
	put(line);
	ok(hg_seal_read(path, &got, err, sizeof(err)) && strstr(err, path), "a short one is not");
	put("0 0000000000000000000000000000000000000000000000000000000000000000\n");
	ok(hg_seal_read(path, &got, err, sizeof(err)) != 0, "nor one with counter 0");
	put("");
	ok(hg_seal_read(path, &got, err, sizeof(err)) != 0, "nor an empty file");
	put("00ff000000000000000000000000000000000000000000000000000000000001\n");
	ok(!hg_seal_key(path, k, err, sizeof(err)) && k[1] == 0xff && k[31] == 1, "a key is read");
	put("00ff\n");
	ok(hg_seal_key(path, k, err, sizeof(err)) && strstr(err, "64"), "a short key is refused");
}

int main(void)
{
	if (close(mkstemp(path)))
		return 1;
	bytes();
	text();
	unlink(path);
	return tap_done();
}
