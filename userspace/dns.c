// SPDX-License-Identifier: MIT
/*
 * Parser of DNS messages, called by the agent for what the guard hands up, and for the packets of
 * captures. Names stay where they are: a name is the offset of its first byte, checked once by
 * name_check() and then walked by functions that rely on it. A compression pointer must lead to
 * before the run of labels that it ends; so every walk ends, and the limits on labels and pointers
 * bound its length.
 */
#include "dns.h"

#include <errno.h>
#include <string.h>

#define HEADER 12
#define NAME_WIRE_MAX 255
#define POINTERS_MAX 128 /* in one name; it has at most 127 labels to compress */
#define RECORDS_MAX 128	 /* that matter here; a full datagram of 1,232 bytes has 75 */

#define FLAG_QR 0x8000
#define FLAG_TC 0x0200
#define OPCODE 0x7800
#define RCODE 0x000f

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };
enum { CLASS_IN = 1 };

/* Returned inside this file only: the message ends before what was to be read does. */
#define ENDS 1

struct record {
	uint16_t owner; /* offsets */
	uint16_t data;
	uint16_t type;
	uint32_t ttl_s;
};

struct reader {
	const uint8_t *bytes;
	size_t len;
	size_t at;
	struct hg_dns_error error;
	struct record records[RECORDS_MAX];
	size_t n_records;
	struct {
		uint16_t name;
		uint32_t ttl_s; /* least of the records that lead here */
	} chain[HG_DNS_CHAIN_MAX];
	size_t n_chain;
};

static int fail(struct reader *r, int ret, size_t at, const char *what)
{
	r->error.at = at;
	r->error.what = what;
	return ret;
}

static int ends(struct reader *r)
{
	return fail(r, ENDS, r->len, "ends too early");
}

static uint16_t load16(const struct reader *r, size_t at)
{
	return (uint16_t)(r->bytes[at] << 8 | r->bytes[at + 1]);
}

static uint32_t load32(const struct reader *r, size_t at)
{
	return (uint32_t)load16(r, at) << 16 | load16(r, at + 2);
}

/* Checks the name at `at`; *end is the byte after it. */
static int name_check(struct reader *r, size_t at, size_t *end)
{
	size_t run = at, wire = 1;
	int pointers = 0;

	for (;;) {
		uint8_t c;

		if (at >= r->len)
			return ends(r);
		c = r->bytes[at];
		if (c >= 0xc0) {
			size_t to;

			if (at + 2 > r->len)
				return ends(r);
			to = load16(r, at) & 0x3fff;
			if (to < HEADER || to >= run)
				return fail(r, -EBADMSG, at, "a pointer that does not lead back");
			if (++pointers > POINTERS_MAX)
				return fail(r, -EBADMSG, at, "too many pointers in a name");
			if (pointers == 1)
				*end = at + 2;
			at = run = to;
			continue;
		}
		if (c > 63)
			return fail(r, -EBADMSG, at, "a label of an unknown kind");
		wire += c ? c + 1u : 0;
		if (wire > NAME_WIRE_MAX)
			return fail(r, -EBADMSG, at, "a name of more than 255 bytes");
		at += c + 1u;
		if (!c)
			break;
	}
	if (!pointers)
		*end = at;
	return 0;
}

/* The next label of a checked name at `at`: its length byte. */
static size_t label_at(const struct reader *r, size_t at)
{
	while (r->bytes[at] >= 0xc0)
		at = load16(r, at) & 0x3fff;
	return at;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Of two checked names. */
static bool name_equal(const struct reader *r, size_t a, size_t b)
{
	for (;;) {
		uint8_t n;

		a = label_at(r, a);
		b = label_at(r, b);
		if (a == b)
			return true;
		n = r->bytes[a];
		if (n != r->bytes[b])
			return false;
		if (!n)
			return true;
		for (uint8_t i = 1; i <= n; i++)
			if (lower(r->bytes[a + i]) != lower(r->bytes[b + i]))
				return false;
		a += n + 1u;
		b += n + 1u;
	}
}

static bool in_host_name(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A checked name as text. A dot or a NUL in a label would make it another name. */
static int name_text(struct reader *r, size_t at, char text[static HG_DNS_NAME_MAX + 1])
{
	size_t n = 0;

	for (;;) {
		uint8_t len;

		at = label_at(r, at);
		len = r->bytes[at];
		if (!len)
			break;
		if (n)
			text[n++] = '.';
		for (uint8_t i = 1; i <= len; i++) {
			uint8_t c = lower(r->bytes[at + i]);

			if (!in_host_name(c))
				return fail(r, -ENOMSG, at + i, "a byte that is in no host's name");
			text[n++] = (char)c;
		}
		at += len + 1u;
	}
	if (!n)
		return fail(r, -ENOMSG, at, "the root, which is no host's name");
	text[n] = '\0';
	return 0;
}

static int read_head(struct reader *r, uint16_t wanted)
{
	uint16_t flags;

	if (r->len < HEADER)
		return ends(r);
	flags = load16(r, 2);
	if ((flags & FLAG_QR) != wanted)
		return fail(r, -ENOMSG, 2,
			    wanted ? "a question, not an answer" : "an answer, not a question");
	if (flags & OPCODE)
		return fail(r, -ENOMSG, 2, "not a standard query");
	if (flags & RCODE)
		return fail(r, -ENOMSG, 3, "says an error");
	if (load16(r, 4) != 1)
		return fail(r, -ENOMSG, 4, "does not have one question");
	return 0;
}

static int read_question(struct reader *r, struct hg_dns_question *q)
{
	size_t end = 0;
	int ret = name_check(r, HEADER, &end);

	if (ret)
		return ret;
	if (end + 4 > r->len)
		return ends(r);
	if (load16(r, end + 2) != CLASS_IN)
		return fail(r, -ENOMSG, end + 2, "asks for another class than IN");
	q->id = load16(r, 0);
	q->type = load16(r, end);
	r->at = end + 4;
	return name_text(r, HEADER, q->name);
}

/* One record; it is kept if it can be part of what the question's name leads to. */
static int read_record(struct reader *r)
{
	size_t head = 0, data, length, end = 0;
	struct record rec = { .owner = (uint16_t)r->at };
	int ret = name_check(r, r->at, &head);

	if (ret)
		return ret;
	data = head + 10;
	if (data > r->len)
		return ends(r);
	length = load16(r, head + 8);
	if (data + length > r->len)
		return ends(r);
	r->at = data + length;
	rec.type = load16(r, head);
	if (load16(r, head + 2) != CLASS_IN ||
	    (rec.type != TYPE_A && rec.type != TYPE_AAAA && rec.type != TYPE_CNAME))
		return 0;
	if (rec.type == TYPE_CNAME) {
		ret = name_check(r, data, &end);
		if (ret < 0)
			return ret;
		if (ret || end != data + length)
			return fail(r, -EBADMSG, head + 8,
				    "a CNAME of another length than its name");
	} else if (length != (rec.type == TYPE_A ? 4 : 16)) {
		return fail(r, -EBADMSG, head + 8, "an address of a wrong length");
	}
	if (r->n_records == RECORDS_MAX)
		return fail(r, -EBADMSG, rec.owner, "more than 128 records");
	rec.data = (uint16_t)data;
	rec.ttl_s = load32(r, head + 4);
	if (rec.ttl_s >> 31) /* RFC 2181 section 8 */
		rec.ttl_s = 0;
	r->records[r->n_records++] = rec;
	return 0;
}

/* Returns ENDS with all complete records read if the message stops before their number. */
static int read_records(struct reader *r)
{
	unsigned int n = load16(r, 6);
	int ret = 0;

	while (!ret && n--)
		ret = read_record(r);
	return ret;
}

static bool is_in_chain(const struct reader *r, size_t name)
{
	for (size_t i = 0; i < r->n_chain; i++)
		if (name_equal(r, r->chain[i].name, name))
			return true;
	return false;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The CNAME record of the chain's last name, or NULL. A second one would break RFC 1034 3.6.2. */
static const struct record *next_link(const struct reader *r)
{
	for (size_t i = 0; i < r->n_records; i++)
		if (r->records[i].type == TYPE_CNAME &&
		    name_equal(r, r->records[i].owner, r->chain[r->n_chain - 1].name))
			return &r->records[i];
	return NULL;
}

static int follow_chain(struct reader *r)
{
	const struct record *rec;

	r->chain[0].name = HEADER;
	r->chain[0].ttl_s = HG_DNS_TTL_MAX;
	r->n_chain = 1;
	while ((rec = next_link(r))) {
		if (is_in_chain(r, rec->data))
			return fail(r, -EBADMSG, rec->data, "a CNAME that leads back");
		if (r->n_chain == HG_DNS_CHAIN_MAX)
			return fail(r, -EBADMSG, rec->owner, "a chain of more than 16 names");
		r->chain[r->n_chain].name = rec->data;
		r->chain[r->n_chain].ttl_s = smaller(r->chain[r->n_chain - 1].ttl_s, rec->ttl_s);
		r->n_chain++;
	}
	return 0;
}

static void add_address(struct hg_dns_answer *out, const struct hg_addr *addr, uint32_t ttl_s)
{
	struct hg_dns_address *a;

	ttl_s = ttl_s < HG_DNS_TTL_MIN ? HG_DNS_TTL_MIN : ttl_s;
	for (size_t i = 0; i < out->n; i++) {
		a = &out->addresses[i];
		if (memcmp(&a->addr, addr, sizeof(*addr)))
			continue;
		a->ttl_s = ttl_s > a->ttl_s ? ttl_s : a->ttl_s;
		return;
	}
	if (out->n == HG_DNS_ADDRESSES_MAX) {
		out->left_out++;
		return;
	}
	a = &out->addresses[out->n++];
	a->addr = *addr;
	a->ttl_s = ttl_s;
}

/* False for an IPv6 address that is how we write an IPv4 one: none has it. */
static bool record_address(const struct reader *r, const struct record *rec, struct hg_addr *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *data = r->bytes + rec->data;

	if (rec->type == TYPE_A) {
		memcpy(addr, mapped, sizeof(mapped));
		memcpy(&addr->a[3], data, 4);
		return true;
	}
	memcpy(addr, data, 16);
	return memcmp(data, mapped, sizeof(mapped)) != 0;
}

static void take_addresses(const struct reader *r, struct hg_dns_answer *out)
{
	for (size_t i = 0; i < r->n_records; i++) {
		const struct record *rec = &r->records[i];
		struct hg_addr addr;

		if (rec->type == TYPE_CNAME || !record_address(r, rec, &addr))
			continue;
		for (size_t k = 0; k < r->n_chain; k++)
			if (name_equal(r, rec->owner, r->chain[k].name))
				add_address(out, &addr, smaller(rec->ttl_s, r->chain[k].ttl_s));
	}
}

/* No offset in a message needs more than 16 bits. */
static int reader_init(struct reader *r, const void *bytes, size_t len)
{
	r->bytes = bytes;
	r->len = len;
	r->at = 0;
	r->n_records = 0;
	r->n_chain = 0;
	return len > UINT16_MAX ? fail(r, -EBADMSG, UINT16_MAX, "longer than a datagram") : 0;
}

static int reader_exit(const struct reader *r, int ret, struct hg_dns_error *e)
{
	if (ret && e)
		*e = r->error;
	return ret == ENDS ? -EBADMSG : ret;
}

int hg_dns_question(const void *bytes, size_t len, struct hg_dns_question *out,
		    struct hg_dns_error *e)
{
	struct hg_dns_question q = { .id = 0 };
	struct reader r;
	int ret = reader_init(&r, bytes, len);

	if (!ret)
		ret = read_head(&r, 0);
	if (!ret)
		ret = read_question(&r, &q);
	if (!ret)
		*out = q;
	return reader_exit(&r, ret, e);
}

int hg_dns_answer(const void *bytes, size_t len, bool cut, struct hg_dns_answer *out,
		  struct hg_dns_error *e)
{
	struct hg_dns_answer a = { .partial = cut };
	struct reader r;
	int ret = reader_init(&r, bytes, len);

	if (!ret)
		ret = read_head(&r, FLAG_QR);
	if (!ret)
		ret = read_question(&r, &a.question);
	if (ret)
		goto out;
	a.partial = cut || load16(&r, 2) & FLAG_TC;
	ret = read_records(&r);
	if (ret == ENDS && a.partial)
		ret = 0;
	if (!ret)
		ret = follow_chain(&r);
	if (ret)
		goto out;
	take_addresses(&r, &a);
	*out = a;
out:
	return reader_exit(&r, ret, e);
}
