/* SPDX-License-Identifier: MIT */
/* Writes DNS messages, right ones and wrong ones, byte by byte. */
#ifndef HG_TESTS_AGENT_DNS_MESSAGE_H
#define HG_TESTS_AGENT_DNS_MESSAGE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

enum { A = 1, CNAME = 5, TXT = 16, AAAA = 28 };

struct message {
	uint8_t b[16384];
	size_t n;
};

static inline void put8(struct message *m, unsigned int v)
{
	m->b[m->n++] = (uint8_t)v;
}

static inline void put16(struct message *m, unsigned int v)
{
	put8(m, v >> 8);
	put8(m, v & 255);
}

static inline void set16(struct message *m, size_t at, unsigned int v)
{
	m->b[at] = (uint8_t)(v >> 8);
	m->b[at + 1] = (uint8_t)v;
}

/* "a.b": two labels and the root; "a.b@12": two labels and a pointer to byte 12. */
static inline void put_name(struct message *m, const char *name)
{
	const char *at = strchr(name, '@'), *end = at ? at : name + strlen(name);
	unsigned int to = 0;

	while (name < end) {
		size_t n = strcspn(name, ".@");

		put8(m, n);
		memcpy(m->b + m->n, name, n);
		m->n += n;
		name += n + (name[n] == '.');
	}
	if (!at) {
		put8(m, 0);
		return;
	}
	while (*++at)
		to = to * 10 + (unsigned int)(*at - '0');
	put16(m, 0xc000 | to);
}

/* Header and question of an answer. */
static inline void begin(struct message *m, const char *name, unsigned int type)
{
	memset(m, 0, sizeof(*m));
	put16(m, 0x1234);
	put16(m, 0x8180);
	put16(m, 1);
	put16(m, 0);
	put16(m, 0);
	put16(m, 0);
	put_name(m, name);
	put16(m, type);
	put16(m, 1);
}

/* Counts one record more; returns where its data begin. The caller writes them. */
static inline size_t record(struct message *m, const char *owner, unsigned int type, uint32_t ttl,
			    unsigned int length)
{
	set16(m, 6, (unsigned int)(m->b[6] << 8 | m->b[7]) + 1);
	put_name(m, owner);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	put16(m, length);
	return m->n;
}

static inline void address(struct message *m, const char *owner, uint32_t ttl, const char *text)
{
	int v6 = strchr(text, ':') != NULL;
	size_t at = record(m, owner, v6 ? AAAA : A, ttl, v6 ? 16 : 4);

	inet_pton(v6 ? AF_INET6 : AF_INET, text, m->b + at);
	m->n += v6 ? 16 : 4;
}

static inline size_t cname(struct message *m, const char *owner, uint32_t ttl, const char *target)
{
	size_t at = record(m, owner, CNAME, ttl, 0);

	put_name(m, target);
	set16(m, at - 2, (unsigned int)(m->n - at));
	return at;
}

#endif
