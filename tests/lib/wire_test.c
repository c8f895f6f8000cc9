/* SPDX-License-Identifier: MIT */
/*
 * Messages of synchronisation: there and back, every limit at its border, every cut, every flipped
 * bit. One message has one encoding: what decodes at all encodes to the same bytes.
 */
#include "../../lib/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "../tap.h"
#include "hex.h"

#define NO_PART                                                                                    \
	{                                                                                          \
		0                                                                                  \
	}

static uint8_t frame[HG_WIRE_MAX + 4];
static struct hg_wire_room room;
static const uint8_t epoch[HG_EPOCH_LEN] = { 1, 2, 3 };
static const uint8_t key[HG_WIRE_PSK_KEY_LEN] = { 9, 8, 7 };
static uint8_t big[HG_WIRE_VALUE_MAX + 1]; /* a text of the most bytes allowed, and one to spare */

static struct hg_slice body(long len)
{
	return hg_slice_of(frame + 4, (size_t)len - 4);
}

static struct hg_wire_request small_request(void)
{
	return (struct hg_wire_request){
		.uid = hg_slice_str("cam-0001"),
		.epoch = hg_slice_of(epoch, sizeof(epoch)),
		.session = 7,
	};
}

static struct hg_wire_response small_response(void)
{
	return (struct hg_wire_response){ .mirror_epoch = hg_slice_of(epoch, sizeof(epoch)) };
}

static struct hg_wire_change changes[] = {
	{ 3,
	  { (const uint8_t *)"temperature", 11 },
	  { (const uint8_t *)"\xf9\x4d\x80", 3 },
	  1700000000000,
	  NO_PART },
	{ 9, { (const uint8_t *)"gone", 4 }, { NULL, 0 }, 0, NO_PART },
};
static struct hg_wire_report reports[] = {
	{ 2, HG_COMMAND_DONE, 0, { (const uint8_t *)"\xf5", 1 }, { NULL, 0 }, NO_PART },
	{ 1, HG_COMMAND_FAILED, -9, { NULL, 0 }, { (const uint8_t *)"killed", 6 }, NO_PART },
};
static struct hg_wire_command commands[] = {
	{ 4, { (const uint8_t *)"reboot", 6 }, { NULL, 0 }, 60000, false },
	{ 5, { (const uint8_t *)"$set", 4 }, { (const uint8_t *)"\xa1\x61\x61\x01", 4 }, 0, true },
};

static struct hg_wire_partial partials[] = { { HG_WIRE_CHANGE, 3, 98304 },
					     { HG_WIRE_REPORT, 2, 0 } };

static struct hg_wire_request full_request(void)
{
	struct hg_wire_request r = small_request();

	r.round = 2;
	r.flags = HG_REQUEST_FULL;
	r.mirror_epoch = r.epoch;
	r.mirror_cursor = INT64_MAX;
	r.command_cursor = 3;
	r.time_ms = 1700000000001;
	r.changes = changes;
	r.n_changes = 2;
	r.reports = reports;
	r.n_reports = 2;
	r.partials = partials;
	r.n_partials = 2;
	r.csr = hg_slice_str("\x30\x01");
	return r;
}

static struct hg_wire_response full_response(void)
{
	struct hg_wire_response r = small_response();

	r.detail = hg_slice_str("one change was not in the model");
	r.flags = HG_RESPONSE_MORE | HG_RESPONSE_FULL;
	r.device_cursor = 9;
	r.time_ms = 1700000000002;
	r.interval_ms = 60000;
	r.changes = changes;
	r.n_changes = 2;
	r.commands = commands;
	r.n_commands = 2;
	r.partials = partials;
	r.n_partials = 1;
	r.psk = (struct hg_wire_psk){ hg_slice_str("identity"), hg_slice_of(key, sizeof(key)),
				      INT64_MAX };
	r.chain = hg_slice_str("\x30\x02\x03");
	return r;
}

static void test_request(void)
{
	struct hg_wire_request in = full_request(), out;
	long len = hg_wire_put_request(&in, frame, sizeof(frame));
	size_t at;

	ok(len > 0, "a full request is encoded");
	is_int(hg_wire_frame_len(frame, (size_t)len), len, "its prefix says its length");
	is_int(hg_wire_get_request(body(len), &room, &out, &at), 0, "and decoded");
	ok(hg_slice_eq(out.uid, in.uid) && hg_slice_eq(out.epoch, in.epoch), "uid, epoch");
	ok(out.session == 7 && out.round == 2 && out.flags == HG_REQUEST_FULL,
	   "session, round, flags");
	ok(hg_slice_eq(out.mirror_epoch, in.mirror_epoch) && out.mirror_cursor == INT64_MAX &&
		   out.command_cursor == 3 && out.time_ms == in.time_ms,
	   "cursors and time");
	ok(out.n_changes == 2 && out.changes[0].seq == 3 &&
		   hg_slice_eq(out.changes[0].name, changes[0].name) &&
		   hg_slice_eq(out.changes[0].value, changes[0].value) &&
		   out.changes[0].time_ms == changes[0].time_ms,
	   "a change");
	ok(out.changes[1].seq == 9 && !out.changes[1].value.len, "a removal");
	ok(out.n_reports == 2 && out.reports[0].state == HG_COMMAND_DONE &&
		   hg_slice_eq(out.reports[0].output, reports[0].output),
	   "a report with output");
	ok(out.reports[1].exit_status == -9 &&
		   hg_slice_eq(out.reports[1].detail, reports[1].detail),
	   "a report with detail");
	ok(out.n_partials == 2 && out.partials[0].seq == 3 && out.partials[0].have == 98304 &&
		   out.partials[1].kind == HG_WIRE_REPORT && !out.partials[1].have,
	   "what it holds of values that come in parts");
	ok(hg_slice_eq(out.csr, in.csr), "a certification request");
	is_int(hg_wire_put_request(&in, frame, (size_t)len), len, "fits its own length");
	is_int(hg_wire_put_request(&in, frame, (size_t)len - 1), -ENOSPC, "and not less");
	is_int(hg_wire_put_request(&in, frame, 3), -ENOSPC, "nor the prefix alone");
}

static void test_response(void)
{
	struct hg_wire_response in = full_response(), out;
	long len = hg_wire_put_response(&in, frame, sizeof(frame));
	size_t at;

	is_int(hg_wire_get_response(body(len), &room, &out, &at), 0,
	       "a full response, there and back");
	ok(hg_slice_eq(out.detail, in.detail) && hg_slice_eq(out.mirror_epoch, in.mirror_epoch) &&
		   out.flags == in.flags && out.device_cursor == 9 && out.time_ms == in.time_ms &&
		   out.interval_ms == 60000 && !out.status,
	   "its fields");
	ok(out.n_changes == 2 && out.changes[1].seq == 9, "its changes");
	ok(out.n_partials == 1 && out.partials[0].seq == 3, "its partial");
	ok(out.n_commands == 2 && out.commands[0].execute_within_ms == 60000 &&
		   !out.commands[0].repeatable && !out.commands[0].input.len,
	   "a command without input");
	ok(out.commands[1].repeatable && hg_slice_eq(out.commands[1].action, commands[1].action) &&
		   hg_slice_eq(out.commands[1].input, commands[1].input),
	   "a command with input");
	ok(hg_slice_eq(out.psk.identity, in.psk.identity) && hg_slice_eq(out.psk.key, in.psk.key) &&
		   out.psk.not_after_ms == INT64_MAX,
	   "a pre-shared key");
	ok(hg_slice_eq(out.chain, in.chain), "certificates");
	in = (struct hg_wire_response){ .status = HG_WIRE_BUSY, .interval_ms = 5000 };
	len = hg_wire_put_response(&in, frame, sizeof(frame));
	is_int(hg_wire_get_response(body(len), &room, &out, &at), 0, "a refusal");
	ok(out.status == HG_WIRE_BUSY && out.interval_ms == 5000 && !out.mirror_epoch.len,
	   "its fields");
}

/* Each breaks one rule of a good message. */
static void test_rules(void)
{
	struct hg_wire_change two[2];
	struct hg_wire_report report;
	struct hg_wire_command command;
	struct hg_wire_request r;
	struct hg_wire_response s;

#define REFUSED(make, msg, put, name, ...)                                                         \
	do {                                                                                       \
		msg = make();                                                                      \
		memcpy(two, changes, sizeof(two));                                                 \
		report = reports[0];                                                               \
		command = commands[0];                                                             \
		msg.changes = two;                                                                 \
		__VA_ARGS__;                                                                       \
		is_int(put(&msg, frame, sizeof(frame)), -EINVAL, name);                            \
	} while (0)
#define REQUEST(name, ...) REFUSED(full_request, r, hg_wire_put_request, name, __VA_ARGS__)
#define RESPONSE(name, ...) REFUSED(full_response, s, hg_wire_put_response, name, __VA_ARGS__)
	REQUEST("no uid", r.uid.len = 0);
	REQUEST("a NUL in the uid", r.uid = hg_slice_of("a\0b", 3));
	REQUEST("uid of 65 bytes", r.uid = hg_slice_of(big + 3, 65));
	REQUEST("epoch of 15 bytes", r.epoch.len = 15);
	REQUEST("mirror epoch of 15 bytes", r.mirror_epoch.len = 15);
	REQUEST("session 0", r.session = 0);
	REQUEST("session of 2^63", r.session = 1ull << 63);
	REQUEST("cursor of 2^63", r.mirror_cursor = 1ull << 63);
	REQUEST("change 0", two[0].seq = 0);
	REQUEST("changes not ascending", two[1].seq = two[0].seq);
	REQUEST("a change without name", two[0].name.len = 0);
	REQUEST("a name of 65 bytes", two[0].name = hg_slice_of(big + 3, 65));
	REQUEST("a value over the limit", two[0].value = hg_slice_of(big, sizeof(big)));
	REQUEST("time of 2^63", two[0].time_ms = 1ull << 63);
	REQUEST("257 changes", r.n_changes = HG_WIRE_CHANGES_MAX + 1);
	REQUEST("65 reports", r.n_reports = HG_WIRE_REPORTS_MAX + 1);
	REQUEST("a queued command reported", report.state = HG_COMMAND_QUEUED; r.reports = &report;
		r.n_reports = 1);
	REQUEST("a cancelled command reported", report.state = HG_COMMAND_CANCELLED;
		r.reports = &report; r.n_reports = 1);
	REQUEST("a detail of 257 bytes", report.detail = hg_slice_of(big + 3, 257);
		r.reports = &report; r.n_reports = 1);
	REQUEST("a certification request over the limit",
		r.csr = hg_slice_of(big, HG_WIRE_CSR_MAX + 1));
	REQUEST("a name that is not UTF-8", two[0].name = hg_slice_str("\xff"));
	RESPONSE("no mirror epoch", s.mirror_epoch.len = 0);
	RESPONSE("a refusal with changes", s.status = HG_WIRE_BUSY);
	RESPONSE("65 commands", s.n_commands = HG_WIRE_COMMANDS_MAX + 1);
	RESPONSE("a key of 31 bytes", s.psk.key.len = 31);
	RESPONSE("a key that never was valid", s.psk.not_after_ms = 0);
	RESPONSE("a key valid to 2^63", s.psk.not_after_ms = 1ull << 63);
	RESPONSE("a key without identity", s.psk.identity.len = 0);
	RESPONSE("an identity of 129 bytes", s.psk.identity = hg_slice_of(big, 129));
	RESPONSE("certificates over the limit", s.chain = hg_slice_of(big, HG_WIRE_CHAIN_MAX + 1));
	RESPONSE("command 0", command.seq = 0; s.commands = &command; s.n_commands = 1);
	RESPONSE("an action without name", command.action.len = 0; s.commands = &command;
		 s.n_commands = 1);
}

/* A budget's worth of the largest elements fits, and the sizes are exact. */
static void test_budget(void)
{
	static struct hg_wire_change many[HG_WIRE_CHANGES_MAX];
	static uint8_t wide[HG_WIRE_CHANGES_MAX * (HG_WIRE_VALUE_MAX + 100)];
	struct hg_wire_request r = full_request(), out;
	char names[HG_WIRE_NAME_MAX + 1];
	size_t sum = 0, n = 0, at;
	long with, without;

	memset(names, 'n', sizeof(names));
	for (; n < HG_WIRE_CHANGES_MAX; n++) {
		many[n] = (struct hg_wire_change){ INT64_MAX - 1000 + (uint64_t)n,
						   hg_slice_of(names, HG_WIRE_NAME_MAX),
						   hg_slice_of(big, HG_WIRE_VALUE_MAX), INT64_MAX,
						   NO_PART };
		if (sum + hg_wire_change_size(&many[n]) > HG_WIRE_BUDGET)
			break;
		sum += hg_wire_change_size(&many[n]);
	}
	ok(n > 10 && n < HG_WIRE_CHANGES_MAX, "the budget ends before the count (%zu changes)", n);
	r = (struct hg_wire_request){ .uid = hg_slice_of(names, HG_WIRE_UID_MAX),
				      .epoch = r.epoch,
				      .session = INT64_MAX,
				      .round = UINT32_MAX,
				      .flags = UINT32_MAX,
				      .mirror_epoch = r.epoch,
				      .mirror_cursor = INT64_MAX,
				      .command_cursor = INT64_MAX,
				      .time_ms = INT64_MAX,
				      .changes = many,
				      .n_changes = n,
				      .csr = hg_slice_of(big, HG_WIRE_CSR_MAX) };
	with = hg_wire_put_request(&r, frame, sizeof(frame));
	ok(with > 0, "a budget's worth fits in a message");
	is_int(hg_wire_get_request(body(with), &room, &out, &at), 0, "and is decoded");
	r.n_changes--;
	without = hg_wire_put_request(&r, frame, sizeof(frame));
	is_int(with - without, (long long)hg_wire_change_size(&many[n - 1]),
	       "a change's size is exact");
	r.n_changes = HG_WIRE_CHANGES_MAX;
	for (; n < HG_WIRE_CHANGES_MAX; n++)
		many[n] = (struct hg_wire_change){ INT64_MAX - 1000 + (uint64_t)n, many[0].name,
						   many[0].value, 0, NO_PART };
	is_int(hg_wire_put_request(&r, wide, sizeof(wide)), -ENOSPC,
	       "more does not, though the memory is there");
	r = full_request();
	with = hg_wire_put_request(&r, frame, sizeof(frame));
	r.n_reports = 1;
	without = hg_wire_put_request(&r, frame, sizeof(frame));
	is_int(with - without, (long long)hg_wire_report_size(&reports[1]),
	       "a report's size is exact");
}

static int decode_and_compare(const uint8_t *bytes, size_t n, bool is_request)
{
	static uint8_t again[HG_WIRE_MAX + 4];
	struct hg_wire_request r;
	struct hg_wire_response s;
	size_t at = 0;
	long len;
	int rc;

	if (is_request) {
		rc = hg_wire_get_request(hg_slice_of(bytes, n), &room, &r, &at);
		len = rc ? 0 : hg_wire_put_request(&r, again, sizeof(again));
	} else {
		rc = hg_wire_get_response(hg_slice_of(bytes, n), &room, &s, &at);
		len = rc ? 0 : hg_wire_put_response(&s, again, sizeof(again));
	}
	if (rc)
		return at <= n ? rc : -EIO;
	return len == (long)n + 4 && !memcmp(again + 4, bytes, n) ? 0 : -EIO;
}

/* Cuts and flips of a message in memory of exactly its size. */
static void test_damage(bool is_request, long len, const char *name)
{
	size_t n = (size_t)len - 4, refused = 0, other = 0, strange = 0;
	uint8_t *bytes = malloc(n);

	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *piece = malloc(cut ? cut : 1);

		memcpy(piece, frame + 4, cut);
		refused += decode_and_compare(piece, cut, is_request) == -EBADMSG;
		free(piece);
	}
	ok(refused == n, "%s cut at any of %zu places is refused", name, n);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		int rc;

		memcpy(bytes, frame + 4, n);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = decode_and_compare(bytes, n, is_request);
		other += rc == 0;
		strange += rc && rc != -EBADMSG && rc != -EPROTONOSUPPORT;
	}
	ok(!strange, "%s with a flipped bit is refused or another message (%zu of %zu)", name,
	   other, 8 * n);
	free(bytes);
}

/* Offsets and bytes put into the smallest request {0: 1, 1: "cam-0001", 2: epoch, 3: 7}. */
static void test_foreign(void)
{
	struct hg_wire_request r = small_request(), out = { .round = 77 };
	long len = hg_wire_put_request(&r, frame, sizeof(frame));
	size_t n = (size_t)len - 4, at = 0;
	uint8_t *bytes = frame + 4;

	is_int(bytes[0], 0xa4, "the smallest request has four fields");
	bytes[2] = 2;
	is_int(hg_wire_get_request(body(len), &room, &out, &at), -EPROTONOSUPPORT, "version 2");
	is_int((long long)at, 2, "its place");
	bytes[2] = 1;
	bytes[0] = 0xa5;
	memcpy(bytes + n, "\x18\x3f\x01", 3);
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 3), &room, &out, &at), -EBADMSG,
	       "unknown key 63");
	memcpy(bytes + n, "\x18\x40\x43\1\2\3", 6);
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 6), &room, &out, &at), 0,
	       "key 64 is skipped");
	out.round = 77;
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 5), &room, &out, &at), -EBADMSG,
	       "but checked");
	memcpy(bytes + n, "\x20\x01", 2);
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 2), &room, &out, &at), -EBADMSG,
	       "key -1");
	memcpy(bytes + n, "\x03\x07", 2);
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 2), &room, &out, &at), -EBADMSG,
	       "key 3 twice");
	memcpy(bytes + n, "\x04\x00", 2);
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 2), &room, &out, &at), -EBADMSG,
	       "a zero that should be left out");
	is_int((long long)at, (long long)n + 1, "its place");
	memcpy(bytes + n, "\x0a\x80", 2);
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 2), &room, &out, &at), -EBADMSG,
	       "an empty array that should be left out");
	is_int(out.round, 77, "the caller's message is untouched by failures");
	bytes[0] = 0xa4;
	is_int(hg_wire_get_request(hg_slice_of(bytes, n + 1), &room, &out, &at), -EBADMSG,
	       "a trailing byte");
	bytes[0] = 0xa3;
	is_int(hg_wire_get_request(hg_slice_of(bytes, n - 2), &room, &out, &at), -EBADMSG,
	       "no session");
}

/* One element with one number that its field does not hold, in an otherwise good message. */
static void test_ranges(void)
{
#define KEY "0707070707070707070707070707070707070707070707070707070707070707"
	static const struct {
		const char *hex, *name;
		bool good;
	} elements[] = {
		{ "09 81 84 01 6161 1affffffff f4", "execute_within of 2^32 - 1", true },
		{ "09 81 84 01 6161 1b0000000100000000 f4", "execute_within of 2^32", false },
		{ "09 81 84 00 6161 00 f4", "command 0", false },
		{ "09 81 83 01 6161 00", "a command without repeatable", false },
		{ "08 81 85 01 00 6161 01 01", "a change of five", false },
		{ "08 81 84 01 00 6161 40", "a value of bytes", false },
		{ "08 81 84 01 00 6161 6100", "a value with U+0000", false },
		{ "08 80", "no changes in an array", false },
		{ "0a 83 4101 5820 " KEY " 01", "a pre-shared key", true },
		{ "0a 83 4101 5820 " KEY " 00", "a pre-shared key valid to 0", false },
		{ "0a 83 40 5820 " KEY " 01", "one without identity", false },
		{ "0a 82 4101 5820 " KEY, "one without end", false },
		{ "0a 83 4101 41 07 01", "one of one byte", false },
		{ "0b 40", "no certificates", false },
	}, told[] = {
		{ "0b 81 84 01 04 1a7fffffff 60", "exit of 2^31 - 1", true },
		{ "0b 81 84 01 04 1a80000000 60", "exit of 2^31", false },
		{ "0b 81 84 01 04 3a7fffffff 60", "exit of -2^31", true },
		{ "0b 81 84 01 04 3a80000000 60", "exit of -2^31 - 1", false },
		{ "0b 81 84 01 09 00 60", "state 9", false },
		{ "0b 81 84 01 190104 00 60", "state 260", false },
		{ "0b 81 84 01 01 00 60", "state leased", false },
	};
	struct hg_wire_response s;
	struct hg_wire_request r;
	uint8_t bytes[128];
	size_t n, head, at;

	head = hex_bytes("a3 0001 0350 00000000000000000000000000000000", bytes);
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		n = head + hex_bytes(elements[i].hex, bytes + head);
		is_int(hg_wire_get_response(hg_slice_of(bytes, n), &room, &s, &at),
		       elements[i].good ? 0 : -EBADMSG, elements[i].name);
	}
	head = hex_bytes("a5 0001 016161 0250 00000000000000000000000000000000 0301", bytes);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		n = head + hex_bytes(told[i].hex, bytes + head);
		is_int(hg_wire_get_request(hg_slice_of(bytes, n), &room, &r, &at),
		       told[i].good ? 0 : -EBADMSG, told[i].name);
	}
}

/* Parts: one form only, one at most, at the end, of a value that is too large to travel whole. */
static void test_parts(void)
{
	static const struct {
		const char *hex, *name;
		bool good;
	} cases[] = {
		{ "0a 81 86 01 00 6161 194001 00 4101", "the first part of 16,385 bytes", true },
		{ "0a 81 86 01 00 6161 194001 194000 4101", "the last", true },
		{ "0a 81 86 01 00 6161 1a01000000 1a00ffffff 4101", "the last of 16 MiB", true },
		{ "0a 81 86 01 00 6161 1a01000001 00 4101", "of 16 MiB and one", false },
		{ "0a 81 86 01 00 6161 194000 00 4101", "of a value that fits whole", false },
		{ "0a 81 86 01 00 6161 00 00 40", "of nothing", false },
		{ "0a 81 86 01 00 6161 194001 00 40", "without bytes", false },
		{ "0a 81 86 01 00 6161 194001 194001 4101", "that begins at the end", false },
		{ "0a 81 86 01 00 6161 194001 194000 420101", "that passes the end", false },
		{ "0a 81 86 01 00 6161 194001 00 6161", "of text", false },
		{ "0a 81 85 01 00 6161 194001 00", "a change of five", false },
		{ "0a 82 86 01 00 6161 194001 00 4101 83 02 00 6162", "before a change", false },
		{ "0a 82 83 01 00 6161 86 02 00 6162 194001 00 4101", "behind a change", true },
		{ "0b 81 87 01 04 00 60 194001 00 4101", "of a report", true },
		{ "0b 81 87 01 04 00 60 00 00 40", "of a report, of nothing", false },
		{ "0b 81 86 01 04 00 60 194001 00", "a report of six", false },
		{ "0b 82 87 01 04 00 60 194001 00 4101 84 02 04 00 60", "before a report", false },
		{ "0c 81 83 00 05 194000", "a partial", true },
		{ "0c 82 83 00 05 01 83 01 06 00", "one of each kind", true },
		{ "0c 82 83 00 05 01 83 00 06 01", "two of a kind", false },
		{ "0c 82 83 01 05 01 83 00 06 01", "kinds not ascending", false },
		{ "0c 81 83 02 05 01", "a third kind", false },
		{ "0c 81 83 190100 05 01", "a kind of 256", false },
		{ "0c 81 83 00 00 01", "of change 0", false },
		{ "0c 81 83 00 05 1a01000000", "all of 16 MiB", false },
		{ "0c 81 82 00 05", "a partial of two", false },
		{ "0c 80", "no partials in an array", false },
	};
	static uint8_t piece[HG_WIRE_PART_MAX + 1];
	struct hg_wire_change c = changes[0];
	struct hg_wire_request r = small_request(), out;
	uint8_t bytes[128];
	size_t n, head, at;

	head = hex_bytes("a5 0001 016161 0250 00000000000000000000000000000000 0301", bytes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = head + hex_bytes(cases[i].hex, bytes + head);
		is_int(decode_and_compare(bytes, n, true), cases[i].good ? 0 : -EBADMSG,
		       cases[i].name);
	}
	c.part = (struct hg_wire_part){ HG_WIRE_OBJECT_MAX, HG_WIRE_PART_MAX,
					hg_slice_of(piece, HG_WIRE_PART_MAX) };
	r.changes = &c;
	r.n_changes = 1;
	is_int(hg_wire_put_request(&r, frame, sizeof(frame)), -EINVAL, "a part beside a value");
	c.value.len = 0;
	is_int(hg_wire_get_request(body(hg_wire_put_request(&r, frame, sizeof(frame))), &room, &out,
				   &at),
	       0, "the largest part there and back");
	ok(out.changes[0].part.total == HG_WIRE_OBJECT_MAX &&
		   out.changes[0].part.offset == HG_WIRE_PART_MAX &&
		   out.changes[0].part.bytes.len == HG_WIRE_PART_MAX &&
		   !hg_wire_part_ends(&out.changes[0].part),
	   "its fields");
	c.part.bytes.len++;
	is_int(hg_wire_put_request(&r, frame, sizeof(frame)), -EINVAL, "one byte more");
}

static void test_frames(void)
{
	is_int(hg_wire_frame_len("\0\0\0", 3), 0, "no prefix yet");
	is_int(hg_wire_frame_len("\0\0\0\1", 4), 5, "one byte");
	is_int(hg_wire_frame_len("\0\0\0\0", 4), -EMSGSIZE, "an empty frame");
	is_int(hg_wire_frame_len("\0\4\0\0", 4), HG_WIRE_MAX + 4, "the largest");
	is_int(hg_wire_frame_len("\0\4\0\1", 4), -EMSGSIZE, "one more");
	is_int(hg_wire_frame_len("\xff\xff\xff\xff", 4), -EMSGSIZE, "the largest number");
}

static void test_names(void)
{
	for (unsigned int i = 0; i <= HG_COMMAND_UNKNOWN; i++)
		is_int(hg_command_state_parse(hg_command_state_name(i)), i,
		       hg_command_state_name(i));
	is_int(hg_command_state_parse("dreaming"), -EINVAL, "no such state");
	is_str(hg_command_state_name(HG_COMMAND_UNKNOWN + 1), NULL, "no name beyond the last");
	is_str(hg_wire_status_name(HG_WIRE_REFUSED), "refused", "name of a status");
	is_str(hg_wire_status_name(HG_WIRE_REFUSED + 1), NULL, "no name beyond the last");
}

int main(void)
{
	struct hg_wire_request r = full_request();
	struct hg_wire_response s = full_response();

	memset(big, 'x', sizeof(big));
	memcpy(big, "\x79\x3f\xfd", 3);
	test_request();
	test_response();
	test_rules();
	test_budget();
	test_damage(true, hg_wire_put_request(&r, frame, sizeof(frame)), "a request");
	test_damage(false, hg_wire_put_response(&s, frame, sizeof(frame)), "a response");
	test_foreign();
	test_ranges();
	test_parts();
	test_frames();
	test_names();
	return tap_done();
}
