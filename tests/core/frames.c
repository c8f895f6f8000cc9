/* SPDX-License-Identifier: MIT */
/*
 * The words of frames.h. Links: tag=VID stag=VID pppoe ppp=PROTOCOL type=ETHERTYPE group. Networks:
 * ip4 ip6 arp, extension headers hbh dstopt route frag. Transports: tcp=FLAGS udp icmp=TYPE
 * icmp6=TYPE ping pong unreach toobig expired param redirect quench igmp=TYPE proto=NUMBER, and
 * discovery rs ra ns na mldq. Rest: quote (the packet that an error quotes) data=N cut=N (off the
 * wire) seen=N (readable bytes) pad=N (trailer) gso=N.
 */
#include "frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum header { NONE, LINK, IP4, IP6, EXTENSION, FRAGMENT, TCP, UDP, ICMP, ARP, PPPOE, OTHER };

struct writer {
	struct frame *f;
	uint8_t *at;	   /* header being described */
	uint8_t *next;	   /* where its successor's number goes, or NULL */
	uint8_t *fill[16]; /* headers whose length is not given */
	enum header kind[16];
	size_t n_fill;
	enum header header;
	int v6, out, quoting, ports;
	size_t cut, seen, pad; /* of the whole frame */
	uint8_t *network;
};

static const struct {
	const char *name, *v4, *v6;
} addresses[] = {
	{ "D", "10.0.0.2", "fd00::2" },		  { "L", "169.254.0.2", "fe80::2" },
	{ "M", "192.0.2.1", "2001:db8::1" },	  { "N", "192.0.2.53", "2001:db8::53" },
	{ "R", "198.51.100.7", "2001:db8:7::7" }, { "X", "203.0.113.9", "2001:db8:9::9" },
	{ "G", "192.168.1.1", "fe80::1" },
};

int frame_address(const char *text, int v6, struct hg_addr *a)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		if (!strcmp(text, addresses[i].name))
			text = v6 ? addresses[i].v6 : addresses[i].v4;
	memset(a, 0, sizeof(*a));
	if (!v6) {
		a->a[2] = htonl(0xffff);
		return inet_pton(AF_INET, text, &a->a[3]) == 1 ? 0 : -EINVAL;
	}
	return inet_pton(AF_INET6, text, a) == 1 ? 0 : -EINVAL;
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static unsigned int get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* Appends n zero bytes as a header of this kind, of protocol number `proto` (-1: none). */
static uint8_t *header(struct writer *w, enum header kind, size_t n, int proto)
{
	w->at = w->f->data + w->f->length;
	memset(w->at, 0, n);
	w->f->length += n;
	w->header = kind;
	w->ports = 0;
	if (w->next && proto >= 0)
		*w->next = proto;
	w->next = NULL;
	return w->at;
}

static void fill_later(struct writer *w)
{
	w->fill[w->n_fill] = w->at;
	w->kind[w->n_fill++] = w->header;
}

static void place(struct writer *w, uint8_t *p, const struct hg_addr *a)
{
	memcpy(p, w->v6 ? (const void *)a : &a->a[3], w->v6 ? 16 : 4);
}

/* Is the packet being written the device's? What an error quotes is if the error is not. */
static int from_device(const struct writer *w)
{
	return w->quoting ? !w->out : w->out;
}

static void address(struct writer *w, int local, const char *text)
{
	int source = from_device(w) == local;
	struct hg_addr a;

	frame_address(text, w->v6, &a);
	place(w, w->network + (w->v6 ? (source ? 8 : 24) : (source ? 12 : 16)), &a);
}

static void network(struct writer *w, int v6)
{
	uint8_t *p;

	if (!w->quoting && w->header != PPPOE)
		put16(w->f->data + w->f->length - 2, v6 ? 0x86dd : 0x0800);
	else if (w->header == PPPOE)
		put16(w->at + 6, v6 ? 0x57 : 0x21);
	w->v6 = v6;
	p = header(w, v6 ? IP6 : IP4, v6 ? 40 : 20, -1);
	fill_later(w);
	w->network = p;
	p[0] = v6 ? 0x60 : 0x45;
	p[v6 ? 7 : 8] = 64;
	w->next = p + (v6 ? 6 : 9);
	address(w, 1, "D");
	address(w, 0, "R");
}

static void need_network(struct writer *w)
{
	if (!w->network)
		network(w, 0);
}

static unsigned int tcp_flags(const char *s)
{
	static const char letters[] = "FSRPAUEC";
	unsigned int flags = 0;

	for (; *s; s++)
		flags |= 1u << (strchr(letters, *s) - letters);
	return flags;
}

static void icmp(struct writer *w, int type4, int code4, int type6, int code6, size_t n)
{
	uint8_t *p;

	need_network(w);
	p = header(w, ICMP, n, w->v6 ? 58 : 1);
	p[0] = w->v6 ? type6 : type4;
	p[1] = w->v6 ? code6 : code4;
}

static int discovery(struct writer *w, const char *word)
{
	static const struct {
		const char *word;
		uint8_t type, hops, size;
	} kinds[] = { { "rs", 133, 255, 8 },
		      { "ra", 134, 255, 16 },
		      { "ns", 135, 255, 24 },
		      { "na", 136, 255, 24 },
		      { "mldq", 130, 1, 24 } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(word, kinds[i].word))
			continue;
		if (!w->network)
			network(w, 1);
		w->network[7] = kinds[i].hops;
		address(w, 0, "G");
		icmp(w, 0, 0, kinds[i].type, 0, kinds[i].size);
		return 1;
	}
	return 0;
}

static int icmp_word(struct writer *w, const char *word)
{
	static const struct {
		const char *word;
		uint8_t type4, code4, type6, code6;
	} kinds[] = { { "ping", 8, 0, 128, 0 },	    { "pong", 0, 0, 129, 0 },
		      { "unreach", 3, 3, 1, 4 },    { "toobig", 3, 4, 2, 0 },
		      { "expired", 11, 0, 3, 0 },   { "param", 12, 0, 4, 0 },
		      { "redirect", 5, 1, 137, 0 }, { "quench", 4, 0, 100, 0 } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(word, kinds[i].word)) {
			icmp(w, kinds[i].type4, kinds[i].code4, kinds[i].type6, kinds[i].code6, 8);
			return 1;
		}
	return 0;
}

static int extension(struct writer *w, const char *word)
{
	static const struct {
		const char *word;
		int number;
	} kinds[] = { { "hbh", 0 }, { "route", 43 }, { "frag", 44 }, { "dstopt", 60 } };
	uint8_t *p;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(word, kinds[i].word)) {
			p = header(w, kinds[i].number == 44 ? FRAGMENT : EXTENSION, 8,
				   kinds[i].number);
			w->next = p;
			*p = 59;
			return 1;
		}
	return 0;
}

/* Words without a value. */
static int plain_word(struct writer *w, const char *word)
{
	uint8_t *p;

	if (!strcmp(word, "ip4") || !strcmp(word, "ip6")) {
		network(w, word[2] == '6');
	} else if (!strcmp(word, "udp")) {
		need_network(w);
		header(w, UDP, 8, 17);
		fill_later(w);
	} else if (!strcmp(word, "quote")) {
		w->quoting = 1;
		network(w, w->v6);
	} else if (!strcmp(word, "mf")) {
		if (w->header == FRAGMENT)
			w->at[3] |= 1;
		else
			w->at[6] |= 0x20;
	} else if (!strcmp(word, "group")) {
		w->f->data[0] |= 1;
	} else if (!strcmp(word, "pppoe")) {
		put16(w->f->data + w->f->length - 2, 0x8864);
		p = header(w, PPPOE, 8, -1);
		p[0] = 0x11;
		fill_later(w);
	} else if (!strcmp(word, "arp")) {
		put16(w->f->data + w->f->length - 2, 0x0806);
		p = header(w, ARP, 28, -1);
		memcpy(p, "\0\1\x08\0\6\4\0\1", 8);
	} else {
		return discovery(w, word) || icmp_word(w, word) || extension(w, word);
	}
	return 1;
}

static int port(struct writer *w, unsigned int v)
{
	int second = w->ports++;

	if (w->header == ICMP)
		put16(w->at + 4, v);
	else if (w->header == TCP || w->header == UDP)
		put16(w->at + (from_device(w) == !second ? 0 : 2), v);
	else
		return 0;
	return 1;
}

static void tag(struct writer *w, unsigned int type, unsigned int vid)
{
	put16(w->f->data + w->f->length - 2, type);
	put16(header(w, LINK, 4, -1), vid);
}

static int begin_word(struct writer *w, const char *key, const char *text, unsigned int v)
{
	uint8_t *p;

	if (!strcmp(key, "tag") || !strcmp(key, "stag")) {
		tag(w, *key == 's' ? 0x88a8 : 0x8100, v);
	} else if (!strcmp(key, "tcp")) {
		need_network(w);
		p = header(w, TCP, 20, 6);
		p[12] = 0x50;
		p[13] = tcp_flags(text);
	} else if (!strcmp(key, "igmp") || !strcmp(key, "icmp") || !strcmp(key, "icmp6")) {
		need_network(w);
		*header(w, ICMP, 8, key[1] == 'g' ? 2 : key[4] ? 58 : 1) = v;
	} else if (!strcmp(key, "proto")) {
		need_network(w);
		if (w->next)
			*w->next = v;
		w->next = NULL;
		w->header = OTHER;
	} else if (!strcmp(key, "data")) {
		memset(w->f->data + w->f->length, 0x5a, v);
		w->f->length += v;
	} else {
		return 0;
	}
	return 1;
}

/* Marks that the length of the header at hand is given, not computed. */
static void given(struct writer *w)
{
	for (size_t i = 0; i < w->n_fill; i++)
		if (w->fill[i] == w->at)
			w->kind[i] = NONE;
}

static int field_ip(struct writer *w, const char *key, unsigned int v)
{
	int v6 = w->header == IP6;

	if (!strcmp(key, "ver")) {
		w->at[0] = (w->at[0] & 15) | v << 4;
	} else if (!strcmp(key, "ihl")) {
		w->at[0] = (w->at[0] & 0xf0) | v;
	} else if (!strcmp(key, "options")) {
		w->at[0] += v;
		memset(w->f->data + w->f->length, 1, v * 4);
		w->f->length += v * 4;
	} else if (!strcmp(key, "len")) {
		put16(w->at + (v6 ? 4 : 2), v);
		given(w);
	} else if (!strcmp(key, "ttl")) {
		w->at[v6 ? 7 : 8] = v;
	} else if (!strcmp(key, "id")) {
		put16(w->at + 4, v);
	} else if (!strcmp(key, "off")) {
		put16(w->at + 6, get16(w->at + 6) | v >> 3);
	} else if (!strcmp(key, "next")) {
		w->at[v6 ? 6 : 9] = v;
		w->next = NULL;
	} else {
		return 0;
	}
	return 1;
}

static int field_extension(struct writer *w, const char *key, unsigned int v)
{
	if (!strcmp(key, "off")) {
		put16(w->at + 2, (w->at[3] & 1) | (v & 0xfff8));
	} else if (!strcmp(key, "id")) {
		put16(w->at + 6, v);
	} else if (!strcmp(key, "words")) {
		w->at[1] = v;
		memset(w->f->data + w->f->length, 0, v * 8);
		w->f->length += v * 8;
	} else if (!strcmp(key, "claims")) {
		w->at[1] = v;
	} else if (!strcmp(key, "kind")) {
		w->at[2] = v;
	} else if (!strcmp(key, "left")) {
		w->at[3] = v;
	} else if (!strcmp(key, "next")) {
		w->at[0] = v;
		w->next = NULL;
	} else {
		return 0;
	}
	return 1;
}

/* Fields of the other headers, by their byte. */
static int field_other(struct writer *w, const char *key, unsigned int v)
{
	static const struct {
		enum header header;
		const char *key;
		uint8_t at, wide;
	} fields[] = { { TCP, "doff", 12, 0 }, { UDP, "len", 4, 1 },	{ ICMP, "code", 1, 0 },
		       { PPPOE, "ver", 0, 0 }, { PPPOE, "code", 1, 0 }, { PPPOE, "len", 4, 1 },
		       { PPPOE, "ppp", 6, 1 }, { ARP, "htype", 0, 1 },	{ ARP, "ptype", 2, 1 },
		       { ARP, "hlen", 4, 0 },  { ARP, "plen", 5, 0 },	{ ARP, "op", 6, 1 } };

	if (!strcmp(key, "type") && w->header == LINK) {
		put16(w->f->data + w->f->length - 2, v);
		return 1;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (fields[i].header != w->header || strcmp(fields[i].key, key))
			continue;
		if (fields[i].wide)
			put16(w->at + fields[i].at, v);
		else
			w->at[fields[i].at] = w->header == TCP ? v << 4 : v;
		if (!strcmp(key, "len"))
			given(w);
		return 1;
	}
	return 0;
}

static int whole_frame(struct writer *w, const char *key, unsigned int v)
{
	if (!strcmp(key, "gso"))
		w->f->segments = v;
	else if (!strcmp(key, "cut"))
		w->cut = v;
	else if (!strcmp(key, "seen"))
		w->seen = v;
	else if (!strcmp(key, "pad"))
		w->pad = v;
	else
		return 0;
	return 1;
}

static int word(struct writer *w, char *text)
{
	char *value = strchr(text, '=');
	unsigned int v;

	if (!value) {
		if (*text >= '0' && *text <= '9')
			return port(w, strtoul(text, NULL, 0));
		return plain_word(w, text);
	}
	*value++ = '\0';
	v = strtoul(value, NULL, 0);
	if (w->network && (!strcmp(text, "l") || !strcmp(text, "r"))) {
		address(w, *text == 'l', value);
		return 1;
	}
	if (begin_word(w, text, value, v) || whole_frame(w, text, v))
		return 1;
	if (w->header == IP4 || w->header == IP6)
		return field_ip(w, text, v);
	if (w->header == EXTENSION || w->header == FRAGMENT)
		return field_extension(w, text, v);
	return field_other(w, text, v);
}

static void fill_lengths(struct writer *w)
{
	const uint8_t *end = w->f->data + w->f->length;

	for (size_t i = 0; i < w->n_fill; i++) {
		uint8_t *p = w->fill[i];

		if (w->kind[i] == IP4)
			put16(p + 2, end - p);
		else if (w->kind[i] == IP6)
			put16(p + 4, end - p - 40);
		else if (w->kind[i] == UDP)
			put16(p + 4, end - p);
		else if (w->kind[i] == PPPOE)
			put16(p + 4, end - p - 6);
	}
}

int frame_from_words(struct frame *f, int out, const char *words, const char **bad)
{
	struct writer w = { .f = f, .at = f->data, .header = LINK, .out = out };
	static char copy[256], *save;
	char *text;

	memset(f, 0, sizeof(*f));
	f->segments = 1;
	f->length = FRAME_LINK;
	f->data[5] = out ? 1 : 2;
	f->data[11] = out ? 2 : 1;
	snprintf(copy, sizeof(copy), "%s", words);
	for (text = strtok_r(copy, " ", &save); text; text = strtok_r(NULL, " ", &save)) {
		if (word(&w, text))
			continue;
		*bad = text;
		return -EINVAL;
	}
	fill_lengths(&w);
	f->wire = w.cut ? w.cut : f->length + w.pad;
	f->length = w.seen ? w.seen : f->wire;
	f->out = out;
	return 0;
}
