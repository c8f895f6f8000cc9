/* SPDX-License-Identifier: MIT */
/*
 * The test vectors of docs/sync-protocol.md ("vectors sync") and docs/alarm-format.md ("vectors
 * alarm"): a line with a name, then lines of hex. Names that begin with "bad-" must be refused by a
 * decoder; this one is tried before they are printed. `vectors open` reads the alarm vectors from
 * standard input and opens them: old datagrams must stay readable. `vectors judge` says of messages
 * whether they are any. The keys are for nothing else.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/pem.h>

#include "../../lib/alarm.h"
#include "../../lib/cborjson.h"
#include "../../lib/wire.h"
#include "hex.h"
#include "pki.h"

#define TIME_MS 1763762400000 /* 2025-11-21T22:00:00Z */
#define HEX "0123456789abcdef"
#define NO_PART                                                                                    \
	{                                                                                          \
		0                                                                                  \
	}
#define WIDTH 32 /* bytes of hex in a line */

static const char device_key_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIXObCsYj8GSF3xGL\n"
	"hYHN2XlxYiZO6oxn7t+d4x7RM4ChRANCAAT03TNxOAMRp8Z90qOV4FQlfrP8KyyQ\n"
	"33dQngJ9aOPvCPIWrR6K8L6EwU7g5CikWpR7VA8MXDcXcEdsEoyNmyQt\n"
	"-----END PRIVATE KEY-----\n";
static const char collector_key_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgptGcCfN2qXZLh4b7\n"
	"lgAWZG1vMO8aGaUToN8aEFpDWxqhRANCAAQF8JLYrEkvdiuC2C9ieGYxQadyO/P5\n"
	"tuHKBB8f3tkJMUtsxRxPXrx9QI/645C/5/D145YtJU4IbJlpW7Oto1RC\n"
	"-----END PRIVATE KEY-----\n";

static uint8_t frame[HG_WIRE_MAX + 4];
static uint8_t values[4096];
static size_t values_used;
static int failed;

static void print(const char *name, struct hg_slice bytes)
{
	printf("%s\n", name);
	for (size_t i = 0; i < bytes.len; i++)
		printf("%s%02x%s", i % WIDTH ? "" : "  ", bytes.ptr[i],
		       i % WIDTH == WIDTH - 1 || i == bytes.len - 1 ? "\n" : "");
}

static struct hg_slice value(const char *json)
{
	json_t *parsed = json_loads(json, JSON_DECODE_ANY, NULL);
	long n = hg_cbor_from_json(parsed, values + values_used, sizeof(values) - values_used);
	struct hg_slice s = hg_slice_of(values + values_used, (size_t)n);

	json_decref(parsed);
	values_used += (size_t)n;
	return s;
}

static struct hg_slice text(const char *s)
{
	return hg_slice_str(s);
}

static void print_request(const char *name, const struct hg_wire_request *r)
{
	long n = hg_wire_put_request(r, frame, sizeof(frame));

	failed |= n < 0;
	if (n > 0)
		print(name, hg_slice_of(frame + 4, (size_t)n - 4));
}

static void print_response(const char *name, const struct hg_wire_response *r)
{
	long n = hg_wire_put_response(r, frame, sizeof(frame));

	failed |= n < 0;
	if (n > 0)
		print(name, hg_slice_of(frame + 4, (size_t)n - 4));
}

static void print_bad(const char *name, const char *hex)
{
	static struct hg_wire_room room;
	struct hg_wire_request r;
	size_t n = hex_bytes(hex, frame), at = 0;

	failed |= hg_wire_get_request(hg_slice_of(frame, n), &room, &r, &at) != -EBADMSG;
	print(name, hg_slice_of(frame, n));
}

static void bad_vectors(void)
{
	print_bad("bad-long-number",
		  "a4 00 01 01 61 61 02 50 000102030405060708090a0b0c0d0e0f 03 1805");
	print_bad("bad-key-order",
		  "a4 00 01 02 50 000102030405060708090a0b0c0d0e0f 01 61 61 03 01");
	print_bad("bad-key-twice",
		  "a5 00 01 01 61 61 02 50 000102030405060708090a0b0c0d0e0f 03 01 03 01");
	print_bad("bad-indefinite",
		  "bf 00 01 01 61 61 02 50 000102030405060708090a0b0c0d0e0f 03 01 ff");
	print_bad("bad-trailing-byte",
		  "a4 00 01 01 61 61 02 50 000102030405060708090a0b0c0d0e0f 03 01 00");
}

/* Identity and key are the mirror's affair; these are two hashes. */
static void key_vectors(struct hg_wire_request *q, struct hg_slice mirror_epoch)
{
	uint8_t identity[32], key[HG_WIRE_PSK_KEY_LEN];
	struct hg_wire_response a = { .mirror_epoch = mirror_epoch,
				      .time_ms = TIME_MS + 10,
				      .psk = { hg_slice_of(identity, sizeof(identity)),
					       hg_slice_of(key, sizeof(key)),
					       TIME_MS + 7776000000 } };

	EVP_Digest("identity", 8, identity, NULL, EVP_sha256(), NULL);
	EVP_Digest("key", 3, key, NULL, EVP_sha256(), NULL);
	q->flags = HG_REQUEST_KEY;
	print_request("request-key", q);
	print_response("response-key", &a);
}

static void sync_vectors(void)
{
	static const uint8_t device_epoch[] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17";
	static const uint8_t mirror_epoch[] =
		"\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff";
	struct hg_wire_change up[] = {
		{ 5, text("temperature"), value("21.5"), TIME_MS - 1000, NO_PART },
		{ 6, text("door"), value("{\"open\": true, \"by\": [\"key\", 7]}"), TIME_MS - 500,
		  NO_PART },
		{ 7, text("alias"), { NULL, 0 }, 0, NO_PART },
	};
	struct hg_wire_change down[] = { { 3, text("interval"), value("60"), TIME_MS, NO_PART } };
	struct hg_wire_change large = { .seq = 8,
					.name = text("picture"),
					.time_ms = TIME_MS,
					.part = { 40000, 20000, text("abc") } };
	struct hg_wire_partial held = { HG_WIRE_CHANGE, 5, 98304 };
	struct hg_wire_command commands[] = {
		{ 8, text("reboot"), { NULL, 0 }, 60000, false },
		{ 9, text("$set"), value("{\"name\": \"alias\", \"value\": \"hall\"}"), 0, true },
	};
	struct hg_wire_report reports[] = {
		{ 9, HG_COMMAND_DONE, 0, { NULL, 0 }, { NULL, 0 }, NO_PART },
		{ 8, HG_COMMAND_FAILED, -15, { NULL, 0 }, text("over its time limit"), NO_PART },
	};
	struct hg_wire_request q = { .uid = text("cam-0001"),
				     .epoch = hg_slice_of(device_epoch, HG_EPOCH_LEN),
				     .session = 1,
				     .flags = HG_REQUEST_FULL,
				     .time_ms = TIME_MS };
	struct hg_wire_response a = { .mirror_epoch = hg_slice_of(mirror_epoch, HG_EPOCH_LEN),
				      .time_ms = TIME_MS + 10,
				      .interval_ms = 900000 };

	print_request("request-first-contact", &q);
	a.changes = down;
	a.n_changes = 1;
	print_response("response-first-contact", &a);
	q.flags = 0;
	q.session = 42;
	q.mirror_epoch = a.mirror_epoch;
	q.mirror_cursor = 3;
	q.command_cursor = 7;
	print_request("request-idle", &q);
	a.n_changes = 0;
	a.device_cursor = 4;
	print_response("response-idle", &a);
	q.changes = up;
	q.n_changes = 3;
	print_request("request-changes", &q);
	a.flags = HG_RESPONSE_MORE;
	a.device_cursor = 7;
	a.commands = commands;
	a.n_commands = 2;
	print_response("response-commands", &a);
	q.changes = &large;
	q.n_changes = 1;
	q.round = 1;
	q.mirror_cursor = 4;
	q.partials = &held;
	q.n_partials = 1;
	print_request("request-part", &q);
	q.mirror_cursor = 3;
	q.n_partials = 0;
	a.n_commands = 0;
	held.seq = 8;
	held.have = 20003;
	a.partials = &held;
	a.n_partials = 1;
	print_response("response-partial", &a);
	a.n_partials = 0;
	q.n_changes = 0;
	q.round = 1;
	q.command_cursor = 9;
	q.reports = reports;
	q.n_reports = 2;
	print_request("request-reports", &q);
	print_response("response-busy",
		       &(struct hg_wire_response){ .status = HG_WIRE_BUSY,
						   .detail = text("database is starting"),
						   .interval_ms = 5000 });
	q.n_reports = 0;
	q.round = 0;
	key_vectors(&q, a.mirror_epoch);
	bad_vectors();
}

static EVP_PKEY *load(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return key;
}

static struct hg_alarm the_alarm(void)
{
	struct hg_alarm a = { .uid = "cam-0001",
			      .model = "camera-7",
			      .firmware = "1.4.2",
			      .counter = 4099,
			      .episode = 4097,
			      .time_ms = TIME_MS,
			      .alarm_class = HG_ALARM_SCAN,
			      .feature = HG_FEATURE_FAILED,
			      .attack = HG_ATTACK_HORIZONTAL_SCAN,
			      .window = 1,
			      .value = 250,
			      .bound = 4,
			      .self_family = 4,
			      .n_targets = 2,
			      .targets = {
				      { 4, 16, { 198, 51 }, 6, 23, 240 },
				      { 6, 64, { 0x20, 0x01, 0x0d, 0xb8, 0, 1 }, 17, 0, 10 } } };

	inet_pton(AF_INET, "192.168.1.20", a.self_addr);
	return a;
}

static void print_cert(const char *name, X509 *cert)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);

	print(name, hg_slice_of(der, (size_t)n));
	OPENSSL_free(der);
}

static void print_signed(const char *name, const uint8_t *buf, long n)
{
	failed |= n < 0;
	if (n > 0)
		print(name, hg_slice_of(buf, (size_t)n));
}

static void alarm_vectors(void)
{
	struct pki_request as_device = { .cn = "cam-0001",
					 .san = "URI:" HG_UID_URN "cam-0001",
					 .eku = "clientAuth" };
	struct pki_request as_collector = { .cn = "collector", .eku = "serverAuth" };
	EVP_PKEY *device_key = load(device_key_pem), *collector_key = load(collector_key_pem);
	struct pki_cert ca = pki_make(NULL, &(struct pki_request){ .cn = "Example CA" });
	struct pki_cert device = pki_make_for(&ca, &as_device, device_key);
	struct pki_cert collector = pki_make_for(&ca, &as_collector, collector_key);
	struct hg_alarm a = the_alarm();
	uint8_t buf[HG_ENROL_MAX];
	long n;

	print_cert("device-certificate", device.cert);
	print_cert("collector-certificate", collector.cert);
	n = hg_enrol_sign("cam-0001", 4096, device.cert, device.key, buf, sizeof(buf));
	print_signed("enrol", buf, n);
	n = hg_alarm_sign(&a, device.cert, device.key, buf, sizeof(buf));
	print_signed("alarm", buf, n);
	if (n > 70) {
		buf[n - 70] ^= 1; /* in the payload, before the 66 bytes of the signature */
		print_signed("bad-alarm-altered", buf, n);
	}
	n = hg_ack_sign(&(struct hg_ack){ "cam-0001", 4099, HG_ACK_STORED }, collector.key, buf,
			sizeof(buf));
	print_signed("ack-stored", buf, n);
	n = hg_ack_sign(&(struct hg_ack){ "", 4099, HG_ACK_ENROL }, collector.key, buf,
			sizeof(buf));
	print_signed("ack-enrol", buf, n);
	pki_free(&ca);
	pki_free(&device);
	pki_free(&collector);
}

/* A datagram of the given name is opened as it should be: `want` is its class or code, or -errno.
 */
static int open_one(const char *name, struct hg_slice in, EVP_PKEY *device, EVP_PKEY *collector)
{
	struct hg_alarm want = the_alarm(), a = { 0 };
	struct hg_ack ack = { .code = 255 };

	if (!strcmp(name, "alarm"))
		return hg_alarm_open(in, device, &a) || a.counter != want.counter ||
		       memcmp(a.targets, want.targets, sizeof(want.targets));
	if (!strcmp(name, "bad-alarm-altered"))
		return !hg_alarm_open(in, device, &a);
	if (!strcmp(name, "ack-stored"))
		return hg_ack_open(in, collector, &ack) || ack.code != HG_ACK_STORED;
	if (!strcmp(name, "ack-enrol"))
		return hg_ack_open(in, collector, &ack) || ack.code != HG_ACK_ENROL;
	return 0;
}

static void open_vectors(void)
{
	EVP_PKEY *device = load(device_key_pem), *collector = load(collector_key_pem);
	char line[256], name[64] = "";
	uint8_t bytes[HG_ENROL_MAX + 64];
	size_t n = 0;
	bool more;

	do {
		more = fgets(line, sizeof(line), stdin);
		if (more && line[0] == ' ') { /* two blanks and hex, or a note */
			if (strchr(HEX, line[2]) && n < HG_ENROL_MAX)
				n += hex_bytes(line, bytes + n);
			continue;
		}
		if (open_one(name, hg_slice_of(bytes, n), device, collector)) {
			printf("%s: not as it should be\n", name);
			failed = 1;
		}
		n = 0;
		sscanf(line, "%63s", name);
	} while (more);
	EVP_PKEY_free(device);
	EVP_PKEY_free(collector);
}

/* Lines "request HEX" and "response HEX": is each a message? Prints "good" or "bad" for it. */
static void judge_messages(void)
{
	static char line[8192];
	static uint8_t bytes[4096];
	static struct hg_wire_room room;

	while (fgets(line, sizeof(line), stdin)) {
		char *hex = strchr(line, ' ') ? strchr(line, ' ') + 1 : line;
		struct hg_wire_request request;
		struct hg_wire_response response;
		struct hg_slice in;
		size_t n = 0, at = 0;

		while (n < sizeof(bytes) && sscanf(hex + 2 * n, "%2hhx", &bytes[n]) == 1)
			n++;
		in = hg_slice_of(bytes, n);
		puts((strncmp(line, "request", 7) ? hg_wire_get_response(in, &room, &response, &at)
						  : hg_wire_get_request(in, &room, &request, &at))
			     ? "bad"
			     : "good");
	}
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	if (!strcmp(what, "sync"))
		sync_vectors();
	else if (!strcmp(what, "alarm"))
		alarm_vectors();
	else if (!strcmp(what, "open"))
		open_vectors();
	else if (!strcmp(what, "judge"))
		judge_messages();
	else
		failed = 2;
	if (failed == 2)
		fprintf(stderr, "usage: vectors sync|alarm|open|judge\n");
	return failed;
}
