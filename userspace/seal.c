// SPDX-License-Identifier: MIT
/*
 * Seals as bytes and as text, for the command line. Nothing here is secret but the key, which is
 * read from a file each time and never printed.
 */
#include "seal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const char prefix[] = "heliograph seal";

static size_t put_be(__u8 *to, __u64 value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (__u8)(value >> 8 * (bytes - 1 - i));
	return bytes;
}

static size_t put(__u8 *to, __u64 value, size_t bytes, bool big_endian)
{
	for (size_t i = 0; !big_endian && i < bytes; i++)
		to[i] = (__u8)(value >> 8 * i);
	return big_endian ? put_be(to, value, bytes) : bytes;
}

int hg_seal_make(const __u8 key[static HG_KEY_LENGTH], __u64 counter, const struct hg_sealed *what,
		 struct hg_seal *seal)
{
	__u8 text[64];
	unsigned int length = 0;
	struct hg_seal s = { .counter = counter };
	size_t n = sizeof(prefix) - 1;

	memcpy(text, prefix, n);
	n += put_be(text + n, counter, 8);
	text[n++] = what->command;
	if (what->attribute) { /* struct nlattr and a __u32 */
		n += put(text + n, 4 + sizeof(__u32), 2, what->big_endian);
		n += put(text + n, what->attribute, 2, what->big_endian);
		n += put(text + n, what->value, sizeof(__u32), what->big_endian);
	}
	if (!HMAC(EVP_sha256(), key, HG_KEY_LENGTH, text, n, s.mac, &length) ||
	    length != sizeof(s.mac))
		return -EIO;
	*seal = s;
	return 0;
}

/* -EINVAL: not so many digits and nothing else. */
static int from_hex(const char *text, __u8 *to, size_t bytes)
{
	if (strspn(text, "0123456789abcdefABCDEF") != 2 * bytes || text[2 * bytes])
		return -EINVAL;
	for (size_t i = 0; i < bytes; i++) {
		const char two[] = { text[2 * i], text[2 * i + 1], '\0' };

		to[i] = (__u8)strtoul(two, NULL, 16);
	}
	return 0;
}

/* The first line, without its end. */
static int read_line(const char *path, char *line, size_t size, char *err, size_t err_size)
{
	bool is_file = strcmp(path, "-") != 0;
	FILE *f = is_file ? fopen(path, "re") : stdin;
	int ret = 0;

	if (!f || !fgets(line, (int)size, f)) {
		ret = f ? -EINVAL : -errno;
		snprintf(err, err_size, "%s: %s", path, f ? "is empty" : strerror(errno));
	}
	if (f && is_file)
		fclose(f);
	if (!ret)
		line[strcspn(line, "\r\n")] = '\0';
	return ret;
}

int hg_seal_key(const char *path, __u8 key[static HG_KEY_LENGTH], char *err, size_t err_size)
{
	char line[2 * HG_KEY_LENGTH + 4];
	int ret = read_line(path, line, sizeof(line), err, err_size);

	if (!ret && from_hex(line, key, HG_KEY_LENGTH)) {
		ret = -EINVAL;
		snprintf(err, err_size,
			 "%s: not a key of %d hexadecimal digits; openssl rand -hex %d makes one",
			 path, 2 * HG_KEY_LENGTH, HG_KEY_LENGTH);
	}
	OPENSSL_cleanse(line, sizeof(line));
	return ret;
}

void hg_seal_print(const struct hg_seal *seal, char text[static HG_SEAL_TEXT])
{
	int n = snprintf(text, HG_SEAL_TEXT, "%llu ", (unsigned long long)seal->counter);

	for (size_t i = 0; i < sizeof(seal->mac); i++)
		n += snprintf(text + n, (size_t)(HG_SEAL_TEXT - n), "%02x", seal->mac[i]);
}

int hg_seal_read(const char *path, struct hg_seal *seal, char *err, size_t err_size)
{
	char line[HG_SEAL_TEXT + 2], *end;
	struct hg_seal s = { 0 };
	int ret = read_line(path, line, sizeof(line), err, err_size);

	if (ret)
		return ret;
	errno = 0;
	s.counter = strtoull(line, &end, 10);
	if (errno || !s.counter || *line < '0' || *line > '9' || *end != ' ' ||
	    from_hex(end + 1, s.mac, sizeof(s.mac))) {
		snprintf(err, err_size, "%s: not a seal of 'heliograph guard seal'", path);
		return -EINVAL;
	}
	*seal = s;
	return 0;
}
