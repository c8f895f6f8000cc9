/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a row of DNS answers, and what they say in a table of names. Each message is a byte
 * (1: cut; the rest: seconds that pass), two of length, and its bytes, in memory that is theirs
 * alone.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "../../userspace/dns.h"
#include "../../userspace/names.h"

#define LIMIT HG_DNS_ADDRESSES_MAX
#define MESSAGES_MAX 64

static const struct hg_names_pattern patterns[] = { { "a.example", 2 }, { "*.example.com", 4 } };

static int gained;

static void changed(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	holds(!bound->channels || bound->flags & HG_BOUND_NAMED);
	holds(!(bound->channels & ~6ull));
	gained += bound->channels != 0;
}

static void check_name(const char *name)
{
	size_t n = strlen(name);

	holds(n >= 1 && n <= HG_DNS_NAME_MAX);
	holds(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n);
	holds(hg_names_pattern_ok(name));
}

static void check_answer(const struct hg_dns_answer *a)
{
	check_name(a->question.name);
	holds(a->n <= HG_DNS_ADDRESSES_MAX && (!a->left_out || a->n == HG_DNS_ADDRESSES_MAX));
	for (size_t i = 0; i < a->n; i++) {
		holds(a->addresses[i].ttl_s >= HG_DNS_TTL_MIN);
		holds(a->addresses[i].ttl_s <= HG_DNS_TTL_MAX);
		for (size_t k = 0; k < i; k++)
			holds(memcmp(&a->addresses[i].addr, &a->addresses[k].addr,
				     sizeof(a->addresses[i].addr)) != 0);
	}
}

/* A whole message says the same as if it might be cut, but that it is whole. */
static void check_cut(const uint8_t *bytes, size_t len, const struct hg_dns_answer *whole)
{
	static struct hg_dns_answer cut;

	memset(&cut, 0x55, sizeof(cut));
	holds(!hg_dns_answer(bytes, len, true, &cut, NULL));
	holds(cut.partial && cut.n == whole->n && cut.left_out == whole->left_out);
	holds(!memcmp(cut.addresses, whole->addresses, cut.n * sizeof(*cut.addresses)));
}

static void take(struct hg_names *names, const uint8_t *bytes, size_t len, bool cut, uint64_t now_s)
{
	static struct hg_dns_answer a, before;
	struct hg_dns_error e = { 0 };
	struct hg_dns_question q;
	struct hg_names_stats st;
	int ret, gains;

	memset(&a, 0xaa, sizeof(a));
	before = a;
	if (!hg_dns_question(bytes, len, &q, NULL))
		check_name(q.name);
	ret = hg_dns_answer(bytes, len, cut, &a, &e);
	if (ret) {
		holds(ret == -ENOMSG || ret == -EBADMSG);
		holds(e.what && e.at <= len && !memcmp(&a, &before, sizeof(a)));
		return;
	}
	holds(!e.what);
	check_answer(&a);
	check_cut(bytes, len, &a);
	gained = 0;
	gains = hg_names_answer(names, &a, now_s);
	holds(gains >= 0 && gains <= gained);
	hg_names_stats(names, &st);
	holds(st.pairs <= LIMIT);
	for (size_t i = 0; i < a.n && st.pairs < LIMIT && !st.ignored; i++)
		holds(hg_names_bound(names, &a.addresses[i].addr).flags & HG_BOUND_NAMED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hg_names *names = hg_names_new(LIMIT, changed, NULL);
	uint64_t now_s = 1;

	hg_names_set(names, patterns, 2);
	for (int i = 0; i < MESSAGES_MAX && size >= 3; i++) {
		size_t len = data[1] | data[2] << 8;
		uint8_t how = data[0], *bytes;

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		bytes = malloc(len + !len);
		memcpy(bytes, data, len);
		take(names, bytes, len, how & 1, now_s);
		free(bytes);
		data += len;
		size -= len;
		now_s += how >> 1;
		hg_names_expire(names, now_s);
	}
	hg_names_free(names);
	return 0;
}
