// SPDX-License-Identifier: MIT
/*
 * Signed profiles: whose signature is taken and whose is not, that nothing of one can be changed,
 * and when it is valid. The clock is given, except to hg_profile_accept().
 */
#include "../tap.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/pem.h>
#include "../../userspace/profile-sign.h"
#include "../lib/pki.h"

static struct hg_profile p, q;
static uint8_t signed_form[HG_PROFILE_SIGNED_MAX];
static char dir[] = "/tmp/hg-profile-XXXXXX", err[512];
static struct pki_cert ca, other_ca, maker, device, stranger, expired;

static char *in_dir(const char *name)
{
	static char path[2][64];
	static int which;

	which = !which;
	snprintf(path[which], sizeof(path[which]), "%s/%s", dir, name);
	return path[which];
}

static void put(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(in_dir(name), "w");

	if (!f || fwrite(data, 1, len, f) != len || fclose(f))
		printf("Bail out! cannot write %s\n", name);
}

static size_t sign(const struct pki_cert *by)
{
	long n = hg_profile_sign(&p, by->cert, by->key, signed_form, sizeof(signed_form));

	ok(n > 0, "signed, %ld bytes", n);
	return n > 0 ? (size_t)n : 0;
}

static int open_by(const char *pem, size_t len)
{
	struct hg_profile_trust *t = pem ? hg_profile_trust_load(in_dir(pem), err, sizeof(err))
					 : NULL;
	int ret = -ENOKEY;

	err[0] = '\0';
	if (t || !pem)
		ret = hg_profile_open(signed_form, len, t, &q, err, sizeof(err));
	hg_profile_trust_free(t);
	return ret;
}

static void make(void)
{
	static const char text[] =
		"{\"model\":\"m\",\"firmware\":\"1\",\"serial\":7,\"channels\":[{\"name\":\"a\","
		"\"proto\":\"tcp\",\"remote\":\"any\",\"envelope\":{\"1\":{\"packets\":1}}}]}";
	FILE *f;

	if (!mkdtemp(dir) || hg_profile_parse(text, strlen(text), &p, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	ca = pki_make(NULL, &(struct pki_request){ .cn = "Authority" });
	other_ca = pki_make(NULL, &(struct pki_request){ .cn = "Other" });
	maker = pki_make(&ca, &(struct pki_request){ .cn = "Maker", .eku = "codeSigning" });
	expired = pki_make(&ca, &(struct pki_request){ .cn = "Maker before",
						       .eku = "codeSigning",
						       .from_s = -7200,
						       .to_s = -3600 });
	device = pki_make(&ca, &(struct pki_request){ .cn = "Device", .eku = "clientAuth" });
	stranger = pki_make(&other_ca,
			    &(struct pki_request){ .cn = "Stranger", .eku = "codeSigning" });
	free(pki_write_cert(dir, "ca.pem", ca.cert));
	free(pki_write_cert(dir, "maker.pem", maker.cert));
	free(pki_write_cert(dir, "device.pem", device.cert));
	free(pki_write_cert(dir, "stranger.pem", stranger.cert));
	free(pki_write_key(dir, "private.pem", maker.key, 0600));
	f = fopen(in_dir("maker.pub"), "w");
	if (!f || !PEM_write_PUBKEY(f, maker.key) || fclose(f))
		printf("Bail out! maker.pub\n");
	f = fopen(in_dir("both.pem"), "w");
	if (!f || !PEM_write_X509(f, stranger.cert) || !PEM_write_PUBKEY(f, device.key) ||
	    fclose(f))
		printf("Bail out! both.pem\n");
	f = fopen(in_dir("many.pem"), "w");
	for (int i = 0; f && i < HG_TRUST_MAX + 1; i++)
		PEM_write_PUBKEY(f, maker.key);
	if (!f || fclose(f))
		printf("Bail out! many.pem\n");
	put("empty.pem", "", 0);
}

static void whose(void)
{
	size_t n = sign(&maker);
	char signer[100];

	ok(!open_by("ca.pem", n), "the authority's makers are trusted %s", err);
	ok(!memcmp(&p, &q, sizeof(p)), "and the profile is the same");
	ok(!open_by("maker.pem", n), "a maker's certificate stands for itself %s", err);
	ok(!open_by("maker.pub", n), "and so does a key %s", err);
	hg_profile_signer(signed_form, n, signer, sizeof(signer));
	is_str(signer, "/CN=Maker", "who signed it");
	is_int(open_by("stranger.pem", n), -EKEYREJECTED, "not signed by this certificate");
	ok(strstr(err, "/CN=Maker"), "said so: %s", err);
	is_int(open_by("both.pem", n), -EKEYREJECTED, "nor by any of these");
	is_int(open_by("missing.pem", n), -ENOKEY, "no file of makers");
	is_int(open_by("empty.pem", n), -ENOKEY, "an empty one");
	is_int(open_by("private.pem", n), -ENOKEY, "one with a private key");
	is_int(open_by("many.pem", n), -ENOKEY, "one with too many keys");
	ok(!open_by(NULL, n), "without trust the certificate inside counts");
	n = sign(&device);
	is_int(open_by("ca.pem", n), -EKEYREJECTED, "a device of the same authority is no maker");
	ok(!open_by("device.pem", n), "unless it was named itself");
	ok(!open_by("both.pem", n), "or its key was");
	n = sign(&expired);
	ok(!open_by("ca.pem", n), "dates of certificates do not count %s", err);
	n = sign(&stranger);
	is_int(open_by("ca.pem", n), -EKEYREJECTED, "another authority's maker");
}

/* Another header than hg_profile_sign() writes; the payload and signature are good. */
static long headers(struct hg_slice x5chain, struct hg_slice x5t, EVP_PKEY *key)
{
	uint8_t cbor[512];
	struct hg_cose c = { .x5chain = x5chain, .x5t = x5t };
	long n = hg_profile_encode(&p, cbor, sizeof(cbor));

	c.payload = hg_slice_of(cbor, (size_t)n);
	return hg_cose_sign(&c, key, signed_form, sizeof(signed_form));
}

static void named(void)
{
	const struct hg_slice none = { NULL, 0 };
	uint8_t hash[32], *der = NULL;
	int len = i2d_X509(maker.cert, &der);
	long n;

	X509_digest(maker.cert, EVP_sha256(), hash, NULL);
	n = headers(none, hg_slice_of(hash, HG_COSE_X5T_LEN), maker.key);
	ok(!open_by("maker.pem", (size_t)n), "a certificate named by its hash %s", err);
	is_int(open_by("ca.pem", (size_t)n), -EKEYREJECTED, "is not known to an authority");
	hash[0] ^= 1;
	n = headers(none, hg_slice_of(hash, HG_COSE_X5T_LEN), maker.key);
	is_int(open_by("maker.pem", (size_t)n), -EKEYREJECTED, "named by another hash");
	n = headers(none, none, maker.key);
	ok(!open_by("maker.pub", (size_t)n), "no name of the key at all %s", err);
	n = headers(hg_slice_of(der, (size_t)len), none, stranger.key);
	is_int(open_by("ca.pem", (size_t)n), -EKEYREJECTED, "a certificate with another's key");
	is_int(open_by(NULL, (size_t)n), -EKEYREJECTED, "without trust, too");
	n = headers(hg_slice_of(der, (size_t)len - 1), none, maker.key);
	is_int(open_by("maker.pub", (size_t)n), -EKEYREJECTED, "half a certificate");
	OPENSSL_free(der);
}

static void changed(void)
{
	size_t n = sign(&maker), opened = 0;
	struct hg_profile_trust *t = hg_profile_trust_load(in_dir("ca.pem"), err, sizeof(err));

	memset(&q, 0x55, sizeof(q));
	for (size_t i = 0; i < n; i++) {
		signed_form[i] ^= 1;
		opened += !hg_profile_open(signed_form, n, t, &q, err, sizeof(err));
		signed_form[i] ^= 1;
	}
	is_int((long long)opened, 0, "no byte of it can be changed");
	ok(q.model[0] == 0x55, "and nothing is taken of what was");
	for (size_t i = 0; i < n; i++)
		opened += !hg_profile_open(signed_form, i, t, &q, err, sizeof(err));
	is_int((long long)opened, 0, "nor left out at its end");
	ok(!hg_profile_open(signed_form, n, t, &q, err, sizeof(err)), "as it was it is good");
	is_int(hg_profile_sign(&p, maker.cert, device.key, signed_form, sizeof(signed_form)),
	       -EINVAL, "a key that is not the certificate's");
	is_int(hg_profile_sign(&p, maker.cert, maker.key, signed_form, 100), -ENOSPC, "no room");
	hg_profile_trust_free(t);
}

/* Channels with all features, and `names` of the longest names each. */
static void fill(int names)
{

	hg_profile_init(&p);
	strcpy(p.model, "m");
	strcpy(p.firmware, "1");
	for (int i = 0; i < HG_PROFILE_CHANNELS_MAX; i++) {
		struct hg_profile_channel *ch;
		char name[HG_PROFILE_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%032d", i);
		ch = hg_profile_add_channel(&p, name);
		ch->proto = 6;
		for (int k = 0; k < names; k++) {
			struct hg_profile_remote *r = hg_profile_add_remote(&p);

			r->kind = HG_REMOTE_NAME;
			for (int b = 0; b < HG_PROFILE_HOST_MAX; b++)
				r->host[b] = b % 64 == 63 ? '.' : 'a';
			snprintf(r->host, 8, "%02d-%d", i, k);
			r->host[4] = 'x';
		}
		hg_profile_add_ports(&p, 60000, 65535);
		hg_profile_add_ports(&p, 50000, 55535);
		for (int w = 0; w < HG_WINDOWS; w++)
			for (int f = 0; f < HG_ENVELOPE_FEATURES; f++)
				if (hg_profile_has(w, f))
					ch->envelope.most[w][f] = f >= HG_ENVELOPE_SIZE_MIN
									  ? 60000
									  : 1000000000;
	}
}

static void large(void)
{
	size_t n;

	fill(1);
	n = sign(&maker);
	ok(!open_by("ca.pem", n), "63 channels that test everything, with long names %s", err);
	ok(!memcmp(&p, &q, sizeof(p)), "are the same");
	fill(4);
	is_int(hg_profile_sign(&p, maker.cert, maker.key, signed_form, sizeof(signed_form)),
	       -ENOSPC, "four times as many names are too much");
}

static void valid(void)
{
	static const struct {
		int64_t from, until, now;
		bool good;
	} cases[] = {
		{ 0, 0, 1800000000, true },
		{ 1800000000, 0, 1800000000, true },
		{ 1800000000, 0, 1799999999, false },
		{ 0, 1800000000, 1800000000, true },
		{ 0, 1800000000, 1800000001, false },
		{ 1800000000, 1800000001, 0, true },
		{ 1800000000, 1800000001, HG_CLOCK_SET - 1, true },
		{ 1800000000, 1800000001, HG_CLOCK_SET, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p.valid_from = cases[i].from;
		p.valid_until = cases[i].until;
		err[0] = '\0';
		is_int(hg_profile_valid(&p, cases[i].now, err, sizeof(err)),
		       cases[i].good ? 0 : -EKEYEXPIRED, *err ? err : "valid");
	}
	p.valid_from = p.valid_until = 0;
}

static int accept_as(const char *name, const char *pem)
{
	char path[64];

	snprintf(path, sizeof(path), "%s", in_dir(name));
	err[0] = '\0';
	return hg_profile_accept(path, pem ? in_dir(pem) : NULL, &q, err, sizeof(err));
}

static void accepted(void)
{
	char *text;
	size_t n;

	p.n_channels = 1;
	p.n_remotes = 1;
	p.channels[0].n_remotes = 1;
	text = hg_profile_write(&p);
	put("plain.json", text, strlen(text));
	n = sign(&maker);
	put("signed.cose", signed_form, n);
	put("cut.cose", signed_form, n - 1);
	ok(!accept_as("plain.json", NULL), "plain, and nobody wants it signed %s", err);
	is_int(accept_as("plain.json", "ca.pem"), -EKEYREJECTED, "plain, where a maker is wanted");
	ok(strstr(err, "plain.json: is not signed"), "said so: %s", err);
	ok(!accept_as("signed.cose", NULL), "signed, and nobody wants it %s", err);
	ok(!accept_as("signed.cose", "ca.pem"), "signed by the maker %s", err);
	is_int(accept_as("signed.cose", "stranger.pem"), -EKEYREJECTED, "signed by another");
	is_int(accept_as("signed.cose", "missing.pem"), -EINVAL, "no file of makers");
	ok(strstr(err, "missing.pem"), "said so: %s", err);
	is_int(accept_as("cut.cose", NULL), -EBADMSG, "half of one");
	is_int(accept_as("missing.json", NULL), -ENOENT, "no profile");
	ok(!hg_profile_load(in_dir("signed.cose"), &q, err, sizeof(err)) && q.n_channels == 1,
	   "a command reads the signed form %s", err);
	is_int(hg_profile_load(in_dir("cut.cose"), &q, err, sizeof(err)), -EBADMSG,
	       "but not half of it");
	p.valid_until = 1600000000;
	put("old.cose", signed_form, sign(&maker));
	is_int(accept_as("old.cose", "ca.pem"), -EKEYEXPIRED, "past its time");
	free(text);
}

static void clean(void)
{
	static const char *const files[] = { "ca.pem",	     "maker.pem",   "device.pem",
					     "stranger.pem", "private.pem", "maker.pub",
					     "both.pem",     "many.pem",    "empty.pem",
					     "plain.json",   "cut.cose",    "signed.cose",
					     "old.cose" };
	struct pki_cert *all[] = { &ca, &other_ca, &maker, &device, &stranger, &expired };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(in_dir(files[i]));
	ok(!rmdir(dir), "all files are gone");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		pki_free(all[i]);
}

/* For the fuzzer: the written, the CBOR and the signed form of a profile with all there is. */
static int print_seeds(void)
{
	static const char text[] =
		"{\"model\":\"m\",\"firmware\":\"1\",\"maker\":\"x\",\"serial\":7,"
		"\"valid_from\":\"2026-01-01T00:00:00Z\",\"valid_until\":\"2027-01-01T00:00:00Z\","
		"\"margin_percent\":150,\"outside\":{\"60\":{\"flows\":1}},\"channels\":[{\"name\":"
		"\"a\",\"proto\":\"tcp\",\"ports\":[1,\"2-3\"],\"remote\":[\"any\",\"local\",\"dns\","
		"\"192.0.2.0/24\",\"2001:db8::1\",\"name:*.a.example\"],\"opener\":\"remote\","
		"\"envelope\":{\"1\":{\"packets\":1},\"60\":{\"size_min\":40,\"size_max\":99},"
		"\"3600\":{\"new_destinations\":3}},\"answers\":false,\"walk\":{\"limit\":1,\"up\":1,"
		"\"down\":1},\"sum\":{\"flows\":{\"rate\":1,\"limit\":2},\"bytes\":{\"rate\":3,"
		"\"limit\":4}}}]}";
	uint8_t cbor[2048];
	long n, m;

	if (hg_profile_parse(text, strlen(text), &p, err, sizeof(err)))
		return 1;
	maker = pki_make(NULL, &(struct pki_request){ .cn = "Maker" });
	n = hg_profile_encode(&p, cbor, sizeof(cbor));
	m = hg_profile_sign(&p, maker.cert, maker.key, signed_form, sizeof(signed_form));
	for (size_t i = 0; text[i]; i++)
		printf("%02x", (unsigned char)text[i]);
	putchar('\n');
	for (long i = 0; i < n; i++)
		printf("%02x", cbor[i]);
	putchar('\n');
	for (long i = 0; i < m; i++)
		printf("%02x", signed_form[i]);
	putchar('\n');
	pki_free(&maker);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "seeds"))
		return print_seeds();
	make();
	whose();
	named();
	changed();
	large();
	valid();
	accepted();
	clean();
	return tap_done();
}
