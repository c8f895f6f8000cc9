// SPDX-License-Identifier: MIT
/*
 * Networks and lines. The lines are read once at start and sorted; a look-up is a binary search,
 * which is enough because they may not overlap.
 */
#include "net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX (1 << 22)

struct hg_lines {
	unsigned int ipv6_len;
	size_t n;
	struct hg_net nets[];
};

static unsigned int width(const struct hg_net *n)
{
	return n->family == 4 ? 32 : 128;
}

struct hg_net hg_net_shorten(const struct hg_net *n, unsigned int len)
{
	struct hg_net out = *n;

	out.len = (uint8_t)len;
	for (unsigned int i = (len + 7) / 8; i < 16; i++)
		out.addr[i] = 0;
	if (len % 8)
		out.addr[len / 8] &= (uint8_t)(0xff00 >> len % 8);
	return out;
}

int hg_net_parse(const char *text, struct hg_net *out)
{
	struct hg_net n = { 0 }, cut;
	char addr[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	unsigned long bits;
	char *end;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	n.family = strchr(addr, ':') ? 6 : 4;
	if (inet_pton(n.family == 4 ? AF_INET : AF_INET6, addr, n.addr) != 1)
		return -EINVAL;
	bits = width(&n);
	if (text[len]) {
		if (!isdigit((unsigned char)text[len + 1]))
			return -EINVAL;
		bits = strtoul(text + len + 1, &end, 10);
		if (*end || bits > width(&n))
			return -EINVAL;
	}
	n.len = (uint8_t)bits;
	cut = hg_net_shorten(&n, n.len);
	if (memcmp(cut.addr, n.addr, sizeof(n.addr)))
		return -EINVAL;
	*out = n;
	return 0;
}

const char *hg_net_format(const struct hg_net *n, char buf[static HG_NET_STRLEN])
{
	char addr[INET6_ADDRSTRLEN] = "?";

	inet_ntop(n->family == 4 ? AF_INET : AF_INET6, n->addr, addr, sizeof(addr));
	snprintf(buf, HG_NET_STRLEN, "%s/%u", addr, n->len);
	return buf;
}

bool hg_net_covers(const struct hg_net *outer, const struct hg_net *inner)
{
	struct hg_net cut;

	if (outer->family != inner->family || outer->len > inner->len)
		return false;
	cut = hg_net_shorten(inner, outer->len);
	return !memcmp(cut.addr, outer->addr, sizeof(cut.addr));
}

bool hg_net_is_private(const struct hg_net *n)
{
	static const struct hg_net nets[] = {
		{ 4, 8, { 0 } },	 { 4, 8, { 10 } },	    { 4, 10, { 100, 64 } },
		{ 4, 8, { 127 } },	 { 4, 16, { 169, 254 } },   { 4, 12, { 172, 16 } },
		{ 4, 16, { 192, 168 } }, { 4, 3, { 224 } },	    { 6, 127, { 0 } },
		{ 6, 7, { 0xfc } },	 { 6, 10, { 0xfe, 0x80 } }, { 6, 8, { 0xff } },
	};

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (hg_net_covers(&nets[i], n))
			return true;
	return false;
}

int hg_net_from_sockaddr(const struct sockaddr *sa, struct hg_net *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const struct sockaddr_in6 *in6 = (const void *)sa;
	struct hg_net n = { 0 };

	if (sa->sa_family == AF_INET) {
		n.family = 4;
		memcpy(n.addr, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && !memcmp(&in6->sin6_addr, mapped, sizeof(mapped))) {
		n.family = 4;
		memcpy(n.addr, (const uint8_t *)&in6->sin6_addr + 12, 4);
	} else if (sa->sa_family == AF_INET6) {
		n.family = 6;
		memcpy(n.addr, &in6->sin6_addr, 16);
	} else {
		return -EAFNOSUPPORT;
	}
	n.len = (uint8_t)width(&n);
	*out = n;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct hg_net *x = a, *y = b;

	if (x->family != y->family)
		return (int)x->family - (int)y->family;
	return memcmp(x->addr, y->addr, sizeof(x->addr));
}

static int read_row(char *row, struct hg_net *out, bool *empty)
{
	char *end;

	row[strcspn(row, "#\r\n")] = '\0';
	while (isspace((unsigned char)*row))
		row++;
	end = row + strlen(row);
	while (end > row && isspace((unsigned char)end[-1]))
		*--end = '\0';
	*empty = !*row;
	return *empty ? 0 : hg_net_parse(row, out);
}

/* Appends a prefix; *lines moves. */
static int add_net(struct hg_lines **lines, size_t *room, const struct hg_net *net)
{
	struct hg_lines *l = *lines;

	if (l->n == *room) {
		*room = *room ? *room * 2 : 256;
		l = *room > LINES_MAX ? NULL : realloc(l, sizeof(*l) + *room * sizeof(l->nets[0]));
		if (!l)
			return -ENOMEM;
		*lines = l;
	}
	l->nets[l->n++] = *net;
	return 0;
}

static int read_rows(FILE *f, struct hg_lines **lines, const char *path, char *err, size_t err_size)
{
	size_t room = (*lines)->n, size = 0;
	char *row = NULL;
	int ret = 0;

	for (unsigned int number = 1; !ret && getline(&row, &size, f) >= 0; number++) {
		struct hg_net net;
		bool empty;

		ret = read_row(row, &net, &empty);
		if (ret)
			snprintf(err, err_size,
				 "%s:%u: not a prefix; write one per row, "
				 "for example 192.0.2.8/29",
				 path, number);
		else if (!empty)
			ret = add_net(lines, &room, &net);
		if (ret == -ENOMEM)
			snprintf(err, err_size, "%s:%u: too many lines", path, number);
	}
	if (!ret && ferror(f)) {
		ret = -EIO;
		snprintf(err, err_size, "%s: cannot be read", path);
	}
	free(row);
	return ret;
}

static int read_lines(FILE *f, struct hg_lines **lines, const char *path, char *err,
		      size_t err_size)
{
	struct hg_lines *l;
	int ret = read_rows(f, lines, path, err, err_size);

	if (ret)
		return ret;
	l = *lines;
	qsort(l->nets, l->n, sizeof(l->nets[0]), by_address);
	for (size_t i = 1; i < l->n; i++) {
		char a[HG_NET_STRLEN], b[HG_NET_STRLEN];

		if (!hg_net_covers(&l->nets[i - 1], &l->nets[i]) &&
		    !hg_net_covers(&l->nets[i], &l->nets[i - 1]))
			continue;
		snprintf(err, err_size, "%s: %s and %s overlap; an address has one line", path,
			 hg_net_format(&l->nets[i - 1], a), hg_net_format(&l->nets[i], b));
		return -EINVAL;
	}
	return 0;
}

struct hg_lines *hg_lines_load(const char *path, unsigned int ipv6_len, char *err, size_t err_size)
{
	struct hg_lines *l = calloc(1, sizeof(*l));
	FILE *f;
	int ret;

	if (!l) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	l->ipv6_len = ipv6_len;
	if (!path)
		return l;
	f = fopen(path, "re");
	if (!f) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		goto fail;
	}
	ret = read_lines(f, &l, path, err, err_size);
	fclose(f);
	if (!ret)
		return l;
fail:
	free(l);
	return NULL;
}

void hg_lines_free(struct hg_lines *l)
{
	free(l);
}

struct hg_net hg_lines_of(const struct hg_lines *l, const struct hg_net *address)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (by_address(&l->nets[mid], address) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low && hg_net_covers(&l->nets[low - 1], address))
		return l->nets[low - 1];
	return address->family == 6 ? hg_net_shorten(address, l->ipv6_len) : *address;
}
