// SPDX-License-Identifier: MIT
/*
 * Parser of DNS answers: right messages, wrong ones, and right ones cut at every byte. Called as
 * `dns_test list FILE` it prints the answers in a capture, for tests/agent/dns.t, which compares
 * them with another decoder's; as `dns_test seeds` it prints the messages of the table in hex.
 */
#include "../tap.h"
#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include "dns_message.h"
#include "../../core/parse.h"
#include "../../userspace/dns.h"

static struct hg_dns_answer out;
static struct hg_dns_error error;

static const char *print_address(const struct hg_addr *addr, char text[static INET6_ADDRSTRLEN])
{
	bool v4 = hg_addr_is_ipv4(addr);

	return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &addr->a[3] : addr->a, text,
			 INET6_ADDRSTRLEN);
}

/* "name addr/ttl addr/ttl", and "partial" if it is. */
static const char *print(const struct hg_dns_answer *a)
{
	static char text[8192];
	char addr[INET6_ADDRSTRLEN];
	int n = snprintf(text, sizeof(text), "%s", a->question.name);

	for (size_t i = 0; i < a->n; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s/%u",
			      print_address(&a->addresses[i].addr, addr), a->addresses[i].ttl_s);
	snprintf(text + n, sizeof(text) - (size_t)n, "%s", a->partial ? " partial" : "");
	return text;
}

/* In memory of exactly its size, so that a sanitizer sees every byte read behind it. */
static int parse(const struct message *m, size_t len, bool cut)
{
	uint8_t *bytes = malloc(len ? len : 1);
	int ret;

	memcpy(bytes, m->b, len);
	ret = hg_dns_answer(bytes, len, cut, &out, &error);
	free(bytes);
	return ret;
}

static void chain_in_disorder(struct message *m)
{
	begin(m, "www.Example.COM", A);
	address(m, "edge.cdn.test", 3600, "192.0.2.7");
	address(m, "stranger.test", 3600, "192.0.2.66");
	cname(m, "lb.cdn.test", 120, "EDGE.cdn.test");
	address(m, "EDGE.CDN.test", 90, "2001:db8::7");
	cname(m, "@12", 300, "lb.cdn.test");
}

static void plain(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "@12", 300, "192.0.2.1");
	address(m, "@12", 300, "192.0.2.2");
}

/* The labels of the second name end in the middle of the first's, RFC 1035 4.1.4. */
static void compressed(struct message *m)
{
	begin(m, "www.example.com", A);
	cname(m, "@12", 100, "edge@16");
	cname(m, "edge@16", 200, "cache.net@24");
	address(m, "cache.net.com", 300, "192.0.2.9");
}

static void no_address(struct message *m)
{
	begin(m, "a.example", TXT);
	record(m, "@12", TXT, 300, 1);
	put8(m, 0);
}

static void ttl_high_bit(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "@12", 0x80000000, "192.0.2.1");
	address(m, "@12", 0x7fffffff, "192.0.2.2");
}

static void twice(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "@12", 100, "192.0.2.1");
	address(m, "@12", 200, "192.0.2.1");
}

static void truncated_by_sender(struct message *m)
{
	plain(m);
	m->b[2] |= 2;
	set16(m, 6, 9);
}

static void other_class(struct message *m)
{
	plain(m);
	address(m, "@12", 300, "192.0.2.3");
	m->b[m->n - 11] = 3; /* CH */
}

static void mapped(struct message *m)
{
	begin(m, "a.example", AAAA);
	address(m, "@12", 300, "::ffff:192.0.2.1");
	address(m, "@12", 300, "2001:db8::1");
}

static void root_owner(struct message *m)
{
	plain(m);
	address(m, "", 300, "192.0.2.3");
}

static void longest_name(struct message *m)
{
	char name[HG_DNS_NAME_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[HG_DNS_NAME_MAX] = '\0';
	begin(m, name, A);
	address(m, "@12", 300, "192.0.2.1");
}

static const struct good {
	const char *what;
	void (*write)(struct message *m);
	const char *want;
} goods[] = {
	{ "two addresses", plain, "a.example 192.0.2.1/300 192.0.2.2/300" },
	{ "a chain in disorder: least TTL, strangers left out", chain_in_disorder,
	  "www.example.com 192.0.2.7/120 2001:db8::7/90" },
	{ "names compressed to the middle of others", compressed, "www.example.com 192.0.2.9/100" },
	{ "no address", no_address, "a.example" },
	{ "TTL below zero is none; the longest is a day", ttl_high_bit,
	  "a.example 192.0.2.1/60 192.0.2.2/86400" },
	{ "an address twice is one, with the longer life", twice, "a.example 192.0.2.1/200" },
	{ "truncated by its sender", truncated_by_sender,
	  "a.example 192.0.2.1/300 192.0.2.2/300 partial" },
	{ "a record of another class", other_class, "a.example 192.0.2.1/300 192.0.2.2/300" },
	{ "an IPv4 address as IPv6", mapped, "a.example 2001:db8::1/300" },
	{ "the root owns an address", root_owner, "a.example 192.0.2.1/300 192.0.2.2/300" },
};

static void check_goods(void)
{
	struct message m;

	for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
		goods[i].write(&m);
		memset(&out, 0xaa, sizeof(out));
		is_int(parse(&m, m.n, false), 0, goods[i].what);
		is_str(print(&out), goods[i].want, goods[i].what);
	}
	longest_name(&m);
	is_int(parse(&m, m.n, false), 0, "a name of 253 bytes");
	is_int((long long)strlen(out.question.name), HG_DNS_NAME_MAX, "all of it");
	is_int(out.question.id, 0x1234, "id");
	is_int(out.question.type, A, "type");
}

/* ---- wrong ones: each changes one thing of a right one */

static void question(struct message *m)
{
	plain(m);
	m->b[2] &= 0x7f;
}

static void nxdomain(struct message *m)
{
	plain(m);
	m->b[3] |= 3;
}

static void notify(struct message *m)
{
	plain(m);
	m->b[2] |= 0x20;
}

static void no_question(struct message *m)
{
	plain(m);
	set16(m, 4, 0);
}

static void two_questions(struct message *m)
{
	plain(m);
	set16(m, 4, 2);
}

static void chaos(struct message *m)
{
	begin(m, "a.example", A);
	m->b[m->n - 1] = 3;
}

static void dot_in_label(struct message *m)
{
	begin(m, "a.example", A);
	m->b[17] = '.'; /* a.ex.mple of two labels */
}

static void nul_in_label(struct message *m)
{
	begin(m, "a.example", A);
	m->b[17] = '\0';
}

static void root(struct message *m)
{
	begin(m, "", A);
}

static void label_64(struct message *m)
{
	begin(m, "a.example", A);
	m->b[12] = 64;
}

static void label_128(struct message *m)
{
	begin(m, "a.example", A);
	m->b[14] = 0x80 | 7;
}

static void name_256(struct message *m)
{
	char name[HG_DNS_NAME_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[HG_DNS_NAME_MAX + 1] = '\0';
	begin(m, name, A);
}

/* Every run is short, and only together they are too long. */
static void name_256_by_pointers(struct message *m)
{
	char name[64];

	begin(m, "a.example", A);
	for (unsigned int i = 0, to = 12; i < 5; i++) {
		unsigned int here = (unsigned int)m->n;

		memset(name, 'x', 57);
		snprintf(name + 57, sizeof(name) - 57, "@%u", to);
		address(m, name, 300, "192.0.2.1");
		to = here;
	}
}

static void pointer_to_itself(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "@27", 300, "192.0.2.1");
}

static void pointer_forward(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "@43", 300, "192.0.2.1");
	address(m, "@12", 300, "192.0.2.1");
}

static void pointer_into_header(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "@5", 300, "192.0.2.1");
}

/* Back to the labels of which it is the end. */
static void pointer_loop(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "b.c@29", 300, "192.0.2.1");
}

/* Two names that end in each other. */
static void pointer_ring(struct message *m)
{
	begin(m, "a.example", A);
	address(m, "b@44", 300, "192.0.2.1");
	address(m, "c@27", 300, "192.0.2.1");
}

static void question_points(struct message *m)
{
	begin(m, "@12", A);
}

static void pointers_129(struct message *m)
{
	char owner[8];

	begin(m, "a.example", A);
	for (int i = 0, to = 12; i < 129; i++) {
		snprintf(owner, sizeof(owner), "@%d", to);
		to = (int)m->n;
		record(m, owner, TXT, 300, 0);
	}
}

static void more_than_counted(struct message *m)
{
	plain(m);
	set16(m, 6, 3);
}

static void count_65535(struct message *m)
{
	plain(m);
	set16(m, 6, 65535);
}

static void length_lies(struct message *m)
{
	plain(m);
	set16(m, m->n - 6, 5);
}

static void address_of_3(struct message *m)
{
	begin(m, "a.example", A);
	record(m, "@12", A, 300, 3);
	m->n += 3;
}

static void address_of_17(struct message *m)
{
	begin(m, "a.example", AAAA);
	record(m, "@12", AAAA, 300, 17);
	m->n += 17;
}

static void cname_too_long(struct message *m)
{
	size_t at;

	begin(m, "a.example", A);
	at = cname(m, "@12", 300, "b.example");
	put8(m, 0);
	set16(m, at - 2, (unsigned int)(m->n - at));
}

static void cname_too_short(struct message *m)
{
	size_t at;

	begin(m, "a.example", A);
	at = cname(m, "@12", 300, "b.example");
	set16(m, at - 2, (unsigned int)(m->n - at - 1));
	address(m, "@12", 300, "192.0.2.1");
}

static void cname_empty(struct message *m)
{
	begin(m, "a.example", A);
	record(m, "@12", CNAME, 300, 0);
}

static void cname_to_itself(struct message *m)
{
	begin(m, "a.example", A);
	cname(m, "@12", 300, "A.EXAMPLE");
}

static void cname_ring(struct message *m)
{
	begin(m, "a.example", A);
	cname(m, "@12", 300, "b.example");
	cname(m, "b.example", 300, "c.example");
	cname(m, "c.example", 300, "b.example");
}

static void chain_17(struct message *m)
{
	char owner[16], target[16];

	begin(m, "n0.example", A);
	for (int i = 0; i < 16; i++) {
		snprintf(owner, sizeof(owner), "n%d.example", i);
		snprintf(target, sizeof(target), "n%d.example", i + 1);
		cname(m, owner, 300, target);
	}
}

static void records_129(struct message *m)
{
	begin(m, "a.example", A);
	for (int i = 0; i < 129; i++)
		address(m, "@12", 300, "192.0.2.1");
}

static const struct bad {
	const char *what;
	void (*write)(struct message *m);
	int want;
	size_t at;
	const char *why;
} bads[] = {
	{ "a question", question, -ENOMSG, 2, "a question, not an answer" },
	{ "no such name", nxdomain, -ENOMSG, 3, "says an error" },
	{ "another opcode", notify, -ENOMSG, 2, "not a standard query" },
	{ "no question", no_question, -ENOMSG, 4, "does not have one question" },
	{ "two questions", two_questions, -ENOMSG, 4, "does not have one question" },
	{ "class CH", chaos, -ENOMSG, 25, "asks for another class than IN" },
	{ "a dot in a label", dot_in_label, -ENOMSG, 17, "a byte that is in no host's name" },
	{ "a NUL in a label", nul_in_label, -ENOMSG, 17, "a byte that is in no host's name" },
	{ "the root", root, -ENOMSG, 12, "the root, which is no host's name" },
	{ "a label of 64 bytes", label_64, -EBADMSG, 12, "a label of an unknown kind" },
	{ "a label of kind 2", label_128, -EBADMSG, 14, "a label of an unknown kind" },
	{ "a name of 256 bytes", name_256, -EBADMSG, 204, "a name of more than 255 bytes" },
	{ "one of many parts", name_256_by_pointers, -EBADMSG, 27,
	  "a name of more than 255 bytes" },
	{ "a pointer to itself", pointer_to_itself, -EBADMSG, 27,
	  "a pointer that does not lead back" },
	{ "a pointer forward", pointer_forward, -EBADMSG, 27, "a pointer that does not lead back" },
	{ "a pointer into the header", pointer_into_header, -EBADMSG, 27,
	  "a pointer that does not lead back" },
	{ "a pointer into its own name", pointer_loop, -EBADMSG, 31,
	  "a pointer that does not lead back" },
	{ "a ring of pointers", pointer_ring, -EBADMSG, 29, "a pointer that does not lead back" },
	{ "a question that is a pointer", question_points, -EBADMSG, 12,
	  "a pointer that does not lead back" },
	{ "129 pointers", pointers_129, -EBADMSG, 27, "too many pointers in a name" },
	{ "fewer records than counted", more_than_counted, -EBADMSG, 59, "ends too early" },
	{ "65535 records counted", count_65535, -EBADMSG, 59, "ends too early" },
	{ "a record longer than the message", length_lies, -EBADMSG, 59, "ends too early" },
	{ "an address of 3 bytes", address_of_3, -EBADMSG, 37, "an address of a wrong length" },
	{ "an address of 17 bytes", address_of_17, -EBADMSG, 37, "an address of a wrong length" },
	{ "a CNAME with a byte after", cname_too_long, -EBADMSG, 37,
	  "a CNAME of another length than its name" },
	{ "a CNAME that runs on", cname_too_short, -EBADMSG, 37,
	  "a CNAME of another length than its name" },
	{ "an empty CNAME", cname_empty, -EBADMSG, 37, "a CNAME of another length than its name" },
	{ "a CNAME to itself", cname_to_itself, -EBADMSG, 39, "a CNAME that leads back" },
	{ "a ring of CNAMEs", cname_ring, -EBADMSG, 103, "a CNAME that leads back" },
	{ "a chain of 17 names", chain_17, -EBADMSG, 0, "a chain of more than 16 names" },
	{ "129 addresses", records_129, -EBADMSG, 27 + 128 * 16, "more than 128 records" },
};

static void check_bads(void)
{
	struct hg_dns_answer before;
	struct message m;

	memset(&before, 0x55, sizeof(before));
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		const struct bad *b = &bads[i];

		b->write(&m);
		out = before;
		is_int(parse(&m, m.n, false), b->want, b->what);
		is_str(error.what, b->why, b->what);
		if (b->at)
			is_int((long long)error.at, (long long)b->at, b->what);
		ok(!memcmp(&out, &before, sizeof(out)), "%s: nothing changed", b->what);
	}
}

/* All of its prefixes: refused as a whole message; as a cut one, what is there. */
static void check_cut(const struct good *g)
{
	struct hg_dns_answer all;
	struct message m;
	size_t refused = 0, taken = 0, n = 0, first = 0;

	g->write(&m);
	parse(&m, m.n, false);
	all = out;
	for (size_t len = 0; len < m.n; len++) {
		if (!all.partial && parse(&m, len, false) == -EBADMSG && error.at == len)
			refused++;
		if (parse(&m, len, true))
			continue;
		first = first ? first : len;
		taken++;
		if (out.n < n || out.n > all.n || !out.partial ||
		    strcmp(out.question.name, all.question.name))
			break;
		n = out.n;
	}
	if (!all.partial)
		is_int((long long)refused, (long long)m.n, g->what);
	is_int((long long)taken, (long long)(m.n - first), g->what);
}

static void check_limits(void)
{
	struct message m;
	char text[INET_ADDRSTRLEN];
	static uint8_t huge[65536];

	begin(&m, "a.example", A);
	for (int i = 1; i <= 40; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		address(&m, "@12", 300, text);
	}
	is_int(parse(&m, m.n, false), 0, "40 addresses");
	is_int((long long)out.n, HG_DNS_ADDRESSES_MAX, "the first 32 are taken");
	is_int(out.left_out, 8, "the others are counted");
	plain(&m);
	memcpy(huge, m.b, m.n);
	is_int(hg_dns_answer(huge, 65535, false, &out, NULL), 0, "65535 bytes");
	is_int(hg_dns_answer(huge, 65536, false, &out, NULL), -EBADMSG, "65536 bytes");
	memset(&error, 0, sizeof(error));
	is_int(hg_dns_answer(m.b, m.n, false, &out, &error), 0, "a good one");
	ok(!error.what, "no error is set where there is none");
}

static void check_question(void)
{
	struct hg_dns_question q;
	struct message m;
	size_t refused = 0;

	begin(&m, "A.Example", AAAA);
	is_int(hg_dns_question(m.b, m.n, &q, &error), -ENOMSG, "an answer is no question");
	m.b[2] &= 0x7f;
	is_int(hg_dns_question(m.b, m.n, &q, &error), 0, "a question");
	is_str(q.name, "a.example", "its name");
	is_int(q.type, AAAA, "its type");
	is_int(q.id, 0x1234, "its id");
	for (size_t len = 0; len < m.n; len++)
		refused += hg_dns_question(m.b, len, &q, &error) == -EBADMSG;
	is_int((long long)refused, (long long)m.n, "none of its prefixes is one");
}

/* ---- captures */

/* Payload of a UDP packet in an Ethernet frame, or NULL; *wire is its length there. */
static const uint8_t *payload(const uint8_t *bytes, const struct pcap_pkthdr *h, size_t *len,
			      size_t *wire)
{
	struct hg_frame f = { .data = bytes, .end = bytes + h->caplen, .wire = h->len };
	struct hg_packet p;
	const uint8_t *udp;
	size_t have;

	if (h->caplen < 14)
		return NULL;
	f.network = bytes + 14;
	hg_packet_parse(&p, &f, 0);
	if (p.kind != HG_PACKET_FLOW || p.key.proto != HG_IP_UDP)
		return NULL;
	udp = f.network + p.at * 4u;
	have = (size_t)(f.end - udp) - 8;
	*wire = hg_load16(udp + 4) - 8u;
	*len = have < *wire ? have : *wire;
	return udp + 8;
}

static int list(const char *path)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(path, err);
	struct pcap_pkthdr *h;
	const uint8_t *bytes;

	if (!pcap) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	while (pcap_next_ex(pcap, &h, &bytes) == 1) {
		/* The parser wants the network header aligned. */
		static uint8_t room[65536 + 16] __attribute__((aligned(4)));
		size_t len, wire;
		const uint8_t *p;
		int ret;

		memcpy(room + 2, bytes, h->caplen);
		p = payload(room + 2, h, &len, &wire);
		if (!p || p[-8] || p[-7] != HG_DNS_PORT)
			continue;
		ret = hg_dns_answer(p, len, len < wire, &out, &error);
		printf("%ld.%06ld ", (long)h->ts.tv_sec, (long)h->ts.tv_usec);
		if (ret)
			printf("! %s: %s at byte %zu\n", ret == -ENOMSG ? "other" : "bad",
			       error.what, error.at);
		else
			puts(print(&out));
	}
	pcap_close(pcap);
	return 0;
}

static int seeds(void)
{
	struct message m;

	for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
		goods[i].write(&m);
		for (size_t k = 0; k < m.n; k++)
			printf("%02x", m.b[k]);
		putchar('\n');
	}
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		bads[i].write(&m);
		for (size_t k = 0; k < m.n; k++)
			printf("%02x", m.b[k]);
		putchar('\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "list"))
		return list(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "seeds"))
		return seeds();
	check_goods();
	check_bads();
	for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++)
		check_cut(&goods[i]);
	check_limits();
	check_question();
	return tap_done();
}
