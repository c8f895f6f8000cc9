/* SPDX-License-Identifier: MIT */
/*
 * The collector's datagrams: there and back, limits, forgery, every cut and flipped bit; the replay
 * window.
 */
#include "../../lib/alarm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "../../lib/cose.h"
#include "../tap.h"
#include "hex.h"
#include "pki.h"

static struct pki_cert ca, foreign_ca, device, collector;
static X509_STORE *trust;
static uint8_t buf[HG_ENROL_MAX];

static struct hg_alarm full_alarm(void)
{
	struct hg_alarm a = {
		.model = "camera-7",
		.firmware = "1.4.2",
		.counter = 4099,
		.episode = 4097,
		.time_ms = 1700000000000,
		.alarm_class = HG_ALARM_SCAN,
		.feature = HG_FEATURE_FAILED,
		.attack = HG_ATTACK_HORIZONTAL_SCAN,
		.window = 60,
		.channel = 3,
		.value = 250,
		.bound = 4,
		.self_family = 4,
		.n_targets = 3,
		.targets = { { .family = 4,
			       .prefix_len = 16,
			       .proto = 6,
			       .port = 23,
			       .packets = 1000 },
			     { .family = 6, .prefix_len = 128, .proto = 17, .packets = UINT32_MAX },
			     { .family = 4, .prefix_len = 0, .proto = 1 } },
	};

	strcpy(a.uid, "cam-0001");
	inet_pton(AF_INET, "192.168.1.20", a.self_addr);
	inet_pton(AF_INET, "198.51.0.0", a.targets[0].addr);
	inet_pton(AF_INET6, "2001:db8::1:0", a.targets[1].addr);
	return a;
}

static void test_alarm(void)
{
	struct hg_alarm in = full_alarm(), out;
	uint8_t key_id[HG_KEY_ID_LEN], want[HG_KEY_ID_LEN];
	long len = hg_alarm_sign(&in, device.cert, device.key, buf, sizeof(buf));

	ok(len > 0 && len <= HG_ALARM_MAX, "an alarm is signed (%ld bytes)", len);
	is_int(hg_datagram_peek(hg_slice_of(buf, (size_t)len), key_id), HG_DATAGRAM_ALARM,
	       "it says what it is");
	hg_key_id(device.cert, want);
	ok(!memcmp(key_id, want, sizeof(want)), "and which key signed it");
	is_int(hg_alarm_open(hg_slice_of(buf, (size_t)len), device.key, &out), 0, "it is opened");
	ok(!memcmp(&in.targets, &out.targets, sizeof(in.targets)), "its targets");
	ok(!strcmp(in.uid, out.uid) && !strcmp(in.model, out.model) &&
		   !strcmp(in.firmware, out.firmware),
	   "its names");
	ok(in.counter == out.counter && in.episode == out.episode && in.time_ms == out.time_ms &&
		   in.alarm_class == out.alarm_class && in.feature == out.feature &&
		   in.attack == out.attack && in.window == out.window &&
		   in.channel == out.channel && in.value == out.value && in.bound == out.bound,
	   "its numbers");
	ok(out.self_family == 4 && !memcmp(in.self_addr, out.self_addr, 16), "its own address");
	is_int(hg_alarm_open(hg_slice_of(buf, (size_t)len), collector.key, &out), -EKEYREJECTED,
	       "another's key does not open it");
	is_int(hg_alarm_sign(&in, device.cert, device.key, buf, (size_t)len - 1), -ENOSPC,
	       "it does not fit in less");
}

static void test_largest(void)
{
	struct hg_alarm a = full_alarm(), out;
	long len;

	memset(a.uid, 'u', HG_UID_MAX);
	memset(a.model, 'm', 32);
	memset(a.firmware, 'f', 32);
	a.counter = a.episode = a.time_ms = a.value = a.bound = INT64_MAX;
	a.alarm_class = HG_ALARM_FLOOD;
	a.attack = HG_ATTACK_MAX;
	a.window = 3600;
	a.channel = UINT16_MAX;
	a.self_family = 6;
	memset(a.self_addr, 0xff, 16);
	a.n_targets = HG_ALARM_TARGETS_MAX;
	for (size_t i = 0; i < HG_ALARM_TARGETS_MAX; i++) {
		a.targets[i] =
			(struct hg_alarm_target){ 6, 128, { 0 }, 255, UINT16_MAX, UINT32_MAX };
		memset(a.targets[i].addr, 0xff, 16);
	}
	len = hg_alarm_sign(&a, device.cert, device.key, buf, sizeof(buf));
	ok(len > 0 && len <= HG_ALARM_MAX, "the largest alarm there is has %ld bytes", len);
	is_int(hg_alarm_open(hg_slice_of(buf, (size_t)len), device.key, &out), 0, "it is opened");
	ok(!memcmp(a.targets, out.targets, sizeof(a.targets)), "its targets");
}

static void test_rules(void)
{
	struct hg_alarm a;

#define REFUSED(name, ...)                                                                         \
	do {                                                                                       \
		a = full_alarm();                                                                  \
		__VA_ARGS__;                                                                       \
		is_int(hg_alarm_sign(&a, device.cert, device.key, buf, sizeof(buf)), -EINVAL,      \
		       name);                                                                      \
	} while (0)
	REFUSED("no uid", a.uid[0] = '\0');
	REFUSED("a uid that is not one", strcpy(a.uid, "a b"));
	REFUSED("a model that never ends", memset(a.model, 'm', sizeof(a.model)));
	REFUSED("a model that is not UTF-8", strcpy(a.model, "\xff"));
	REFUSED("counter 0", a.counter = a.episode = 0);
	REFUSED("counter of 2^63", a.counter = 1ull << 63);
	REFUSED("episode 0", a.episode = 0);
	REFUSED("an episode of the future", a.episode = a.counter + 1);
	REFUSED("an unknown class", a.alarm_class = HG_ALARM_ENDED + 1);
	REFUSED("an unknown feature", a.feature = HG_FEATURE_MAX + 1);
	REFUSED("an unknown attack", a.attack = HG_ATTACK_MAX + 1);
	REFUSED("a window of two seconds", a.window = 2);
	REFUSED("an unknown family", a.self_family = 5);
	REFUSED("five targets", a.n_targets = 5);
	REFUSED("a target of no family", a.targets[0].family = 0);
	REFUSED("an IPv4 prefix of 33", a.targets[0].prefix_len = 33);
	REFUSED("host bits behind a prefix", a.targets[0].prefix_len = 8);
	REFUSED("a fifth byte of an IPv4 address", a.targets[2].addr[4] = 1);
#undef REFUSED
}

static void test_enrol(void)
{
	struct pki_cert stranger = pki_make(
		&foreign_ca, &(struct pki_request){ .cn = "cam-0001",
						    .san = "URI:urn:heliograph:device:cam-0001",
						    .eku = "clientAuth" });
	struct pki_cert server =
		pki_make(&ca, &(struct pki_request){ .cn = "cam-0001",
						     .san = "URI:urn:heliograph:device:cam-0001",
						     .eku = "serverAuth" });
	struct hg_alarm who;
	X509 *cert = NULL;
	long len = hg_enrol_sign("cam-0001", 4096, device.cert, device.key, buf, sizeof(buf));
	uint8_t key_id[HG_KEY_ID_LEN];

	ok(len > 0 && len <= HG_ENROL_MAX, "an enrolment is signed (%ld bytes)", len);
	is_int(hg_datagram_peek(hg_slice_of(buf, (size_t)len), key_id), HG_DATAGRAM_ENROL,
	       "it says what it is");
	is_int(hg_enrol_open(hg_slice_of(buf, (size_t)len), trust, &who, &cert), 0, "it is opened");
	is_str(who.uid, "cam-0001", "its uid");
	is_int((long long)who.counter, 4096, "its counter");
	ok(cert && !X509_cmp(cert, device.cert), "its certificate");
	X509_free(cert);
	len = hg_enrol_sign("cam-0002", 1, device.cert, device.key, buf, sizeof(buf));
	is_int(hg_enrol_open(hg_slice_of(buf, (size_t)len), trust, &who, &cert), -EKEYREJECTED,
	       "the uid of another");
	len = hg_enrol_sign("cam-0001", 1, device.cert, stranger.key, buf, sizeof(buf));
	is_int(hg_enrol_open(hg_slice_of(buf, (size_t)len), trust, &who, &cert), -EKEYREJECTED,
	       "the certificate of another");
	len = hg_enrol_sign("cam-0001", 1, stranger.cert, stranger.key, buf, sizeof(buf));
	is_int(hg_enrol_open(hg_slice_of(buf, (size_t)len), trust, &who, &cert), -EKEYREJECTED,
	       "a foreign authority");
	len = hg_enrol_sign("cam-0001", 1, server.cert, server.key, buf, sizeof(buf));
	is_int(hg_enrol_open(hg_slice_of(buf, (size_t)len), trust, &who, &cert), -EKEYREJECTED,
	       "a certificate of another purpose");
	is_int(hg_enrol_sign("no uid", 1, device.cert, device.key, buf, sizeof(buf)), -EINVAL,
	       "a malformed uid");
	pki_free(&stranger);
	pki_free(&server);
}

static void test_ack(void)
{
	struct hg_ack in = { "cam-0001", 4099, HG_ACK_REJECTED }, out;
	struct hg_alarm alarm;
	uint8_t key_id[HG_KEY_ID_LEN];
	long len = hg_ack_sign(&in, collector.key, buf, sizeof(buf));

	is_int(hg_datagram_peek(hg_slice_of(buf, (size_t)len), key_id), HG_DATAGRAM_ACK,
	       "an ack says what it is");
	is_int(hg_ack_open(hg_slice_of(buf, (size_t)len), collector.key, &out), 0, "it is opened");
	ok(!strcmp(out.uid, in.uid) && out.counter == in.counter && out.code == in.code,
	   "its fields");
	is_int(hg_ack_open(hg_slice_of(buf, (size_t)len), device.key, &out), -EKEYREJECTED,
	       "it is the collector's");
	is_int(hg_alarm_open(hg_slice_of(buf, (size_t)len), collector.key, &alarm), -EBADMSG,
	       "it is not an alarm");
	alarm = (struct hg_alarm){ .uid = "a", .counter = 1, .episode = 1 };
	len = hg_alarm_sign(&alarm, device.cert, device.key, buf, sizeof(buf));
	in = (struct hg_ack){ "a", 1, HG_ACK_REJECTED };
	ok(hg_ack_sign(&in, collector.key, buf, sizeof(buf)) <= len,
	   "it is not longer than the smallest alarm (%ld bytes)", len);
	in = (struct hg_ack){ "", 7, HG_ACK_ENROL };
	len = hg_ack_sign(&in, collector.key, buf, sizeof(buf));
	ok(len > 0 && !hg_ack_open(hg_slice_of(buf, (size_t)len), collector.key, &out) &&
		   !out.uid[0] && out.code == HG_ACK_ENROL,
	   "without a uid (%ld bytes)", len);
	in.code = HG_ACK_REJECTED + 1;
	is_int(hg_ack_sign(&in, collector.key, buf, sizeof(buf)), -EINVAL, "an unknown code");
}

/* A payload and headers as a device could sign them that does not keep to the format. */
static int open_crafted(const char *hex, bool named)
{
	uint8_t payload[HG_ENROL_MAX], key_id[HG_KEY_ID_LEN] = { 0 };
	struct hg_cose c = { .payload = { payload, hex_bytes(hex, payload) } };
	struct hg_alarm out;
	long len;

	if (named)
		c.x5t = hg_slice_of(key_id, sizeof(key_id));
	len = hg_cose_sign(&c, device.key, buf, sizeof(buf));
	return len < 0 ? (int)len : hg_alarm_open(hg_slice_of(buf, (size_t)len), device.key, &out);
}

static void test_crafted(void)
{
	char big[2 * HG_ALARM_MAX + 64] = "a5 0002 016161 0201 0501 1840 5901a0";

	is_int(open_crafted("a4 0002 016161 0201 0501", true), 0, "the smallest alarm");
	is_int(open_crafted("a4 0002 016161 0201 0501", false), -EBADMSG,
	       "without the name of its key");
	is_int(open_crafted("a5 0002 016161 0201 0400 0501", true), -EBADMSG,
	       "with a zero that is not left out");
	is_int(open_crafted("a5 0002 016161 0201 0501 0e01", true), -EBADMSG,
	       "with a field of an ack");
	is_int(open_crafted("a6 0002 016161 0201 0501 0f0d 10190e10", true), 0,
	       "with the last attack there is, in an hour");
	is_int(open_crafted("a5 0002 016161 0201 0501 0f0e", true), -EBADMSG,
	       "with an attack that is none");
	is_int(open_crafted("a5 0002 016161 0201 0501 1002", true), -EBADMSG,
	       "with a window of two seconds");
	is_int(open_crafted("a5 0002 016161 0201 0501 1101", true), -EBADMSG,
	       "with an unknown field");
	is_int(open_crafted("a5 0002 016161 0201 0501 184001", true), 0,
	       "with a field of a later version");
	is_int(open_crafted("a3 0002 016161 0201", true), -EBADMSG, "without its episode");
	is_int(open_crafted("a4 0002 016161 0201 0501 00", true), -EBADMSG,
	       "with a byte behind it");
	is_int(open_crafted("a5 0002 016161 0201 0501 0d81 84 d83482 10 42c633 06 17 01", true), 0,
	       "a prefix");
	is_int(open_crafted("a5 0002 016161 0201 0501 0d81 84 d83482 10 42c600 06 17 01", true),
	       -EBADMSG, "with a trailing zero byte");
	is_int(open_crafted("a5 0002 016161 0201 0501 0d81 84 d83482 08 42c633 06 17 01", true),
	       -EBADMSG, "with bits behind it");
	is_int(open_crafted("a5 0002 016161 0201 0501 0d81 84 d83482 10 42c633 190100 17 01", true),
	       -EBADMSG, "with a protocol over 255");
	is_int(open_crafted("a5 0002 016161 0201 0501 0c d834 43c0a801", true), -EBADMSG,
	       "an address of three bytes");
	is_int(open_crafted("a5 0002 016161 0201 0501 0c d835 44c0a80101", true), -EBADMSG,
	       "an address of an unknown family");
	for (int i = 0; i < 0x1a0; i++)
		strcat(big, "00");
	is_int(open_crafted(big, true), -EBADMSG, "an alarm over its size");
}

/* In memory of exactly its size: nothing that is cut or changed by a bit is ever opened. */
static void test_damage(void)
{
	struct hg_alarm a = full_alarm(), out = { .counter = 77 };
	size_t n = (size_t)hg_alarm_sign(&a, device.cert, device.key, buf, sizeof(buf)), opened = 0;

	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *piece = malloc(cut ? cut : 1);

		memcpy(piece, buf, cut);
		opened += !hg_alarm_open(hg_slice_of(piece, cut), device.key, &out);
		free(piece);
	}
	is_int((long long)opened, 0, "cut anywhere it is not opened");
	for (size_t bit = 0; bit < 8 * n; bit++) {
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		opened += !hg_alarm_open(hg_slice_of(buf, n), device.key, &out);
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	is_int((long long)opened, 0, "with any bit flipped it is not opened");
	is_int((long long)out.counter, 77, "and the caller's alarm is untouched");
	ok(!hg_alarm_open(hg_slice_of(buf, n), device.key, &out) && out.counter == a.counter,
	   "undamaged it is");
}

static void test_keys(void)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct hg_alarm a = full_alarm(), out;
	long len;

	is_int(hg_alarm_sign(&a, device.cert, p384, buf, sizeof(buf)), -EINVAL,
	       "a key of P-384 does not sign");
	is_int(hg_alarm_sign(&a, device.cert, ed, buf, sizeof(buf)), -EINVAL, "nor one of Ed25519");
	len = hg_alarm_sign(&a, device.cert, device.key, buf, sizeof(buf));
	is_int(hg_alarm_open(hg_slice_of(buf, (size_t)len), p384, &out), -EKEYREJECTED,
	       "nor does it verify");
	is_int(hg_alarm_open(hg_slice_of(buf, (size_t)len), NULL, &out), -EKEYREJECTED,
	       "nor does no key");
	EVP_PKEY_free(p384);
	EVP_PKEY_free(ed);
}

static void test_replay(void)
{
	struct hg_replay w = { 0 };

	ok(!hg_replay_accept(&w, 0), "counter 0 never");
	ok(hg_replay_accept(&w, 1), "the first");
	ok(!hg_replay_accept(&w, 1), "not twice");
	ok(hg_replay_accept(&w, 100), "a jump");
	ok(hg_replay_accept(&w, 99) && hg_replay_accept(&w, 37), "late, within 64");
	ok(!hg_replay_accept(&w, 36), "too late");
	ok(!hg_replay_accept(&w, 99) && !hg_replay_accept(&w, 37) && !hg_replay_accept(&w, 100),
	   "none of them twice");
	ok(hg_replay_accept(&w, 101) && !hg_replay_accept(&w, 37) && hg_replay_accept(&w, 38),
	   "the window moves");
	ok(hg_replay_accept(&w, 165) && hg_replay_accept(&w, 164) && hg_replay_accept(&w, 102),
	   "by a whole window at once");
	ok(hg_replay_accept(&w, UINT64_MAX) && !hg_replay_accept(&w, UINT64_MAX) &&
		   !hg_replay_accept(&w, 101),
	   "to the end of numbers");
}

static void test_names(void)
{
	is_str(hg_alarm_class_name(HG_ALARM_OUTSIDE), "outside", "name of a class");
	is_str(hg_alarm_class_name(HG_ALARM_ENDED + 1), NULL, "none beyond the last");
	is_str(hg_alarm_feature_name(HG_FEATURE_FAILED), "failed", "name of a feature");
	is_str(hg_alarm_feature_name(0), NULL, "feature 0 has none");
	is_str(hg_alarm_feature_name(HG_FEATURE_MAX + 1), NULL, "none beyond the last");
	is_str(hg_attack_name(HG_ATTACK_BOT_CONTROL), "bot-control", "name of an attack");
	is_str(hg_attack_name(HG_ATTACK_NONE), NULL, "no attack has none");
	is_str(hg_attack_name(HG_ATTACK_MAX + 1), NULL, "nor is there one beyond the last");
	for (unsigned int i = 1; i <= HG_ATTACK_MAX; i++)
		ok(hg_attack_name(i) && hg_attack_class(i) >= HG_ALARM_SCAN &&
			   hg_attack_class(i) <= HG_ALARM_OUTSIDE,
		   "attack %u: %s is of class %s", i, hg_attack_name(i),
		   hg_alarm_class_name(hg_attack_class(i)));
}

int main(void)
{
	ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	foreign_ca = pki_make(NULL, &(struct pki_request){ .cn = "Test CA" });
	device = pki_make(&ca, &(struct pki_request){ .cn = "cam-0001",
						      .san = "URI:urn:heliograph:device:cam-0001",
						      .eku = "clientAuth" });
	collector = pki_make(&ca, &(struct pki_request){ .cn = "collector", .eku = "serverAuth" });
	trust = X509_STORE_new();
	X509_STORE_add_cert(trust, ca.cert);
	test_alarm();
	test_largest();
	test_rules();
	test_enrol();
	test_ack();
	test_crafted();
	test_damage();
	test_keys();
	test_replay();
	test_names();
	X509_STORE_free(trust);
	pki_free(&ca);
	pki_free(&foreign_ca);
	pki_free(&device);
	pki_free(&collector);
	return tap_done();
}
