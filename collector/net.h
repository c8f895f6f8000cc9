/* SPDX-License-Identifier: MIT */
/*
 * Networks: an address with a prefix length, IPv4 or IPv6, and the subscriber's line that an
 * address belongs to.
 */
#ifndef HG_COLLECTOR_NET_H
#define HG_COLLECTOR_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct hg_net {
	uint8_t family; /* 4 or 6 */
	uint8_t len;
	uint8_t addr[16]; /* network order, host bits zero; IPv4 in the first 4, the rest zero */
};

#define HG_NET_STRLEN (INET6_ADDRSTRLEN + 4)

/* "192.0.2.0/24", "2001:db8::1". Returns 0 or -EINVAL (also when host bits are set). */
int hg_net_parse(const char *text, struct hg_net *out);

/* Writes ADDRESS/LENGTH and returns buf. */
const char *hg_net_format(const struct hg_net *n, char buf[static HG_NET_STRLEN]);

/* The first `len` bits of *n; len is at most n->len. */
struct hg_net hg_net_shorten(const struct hg_net *n, unsigned int len);

/* True if every address of `inner` is one of `outer`. */
bool hg_net_covers(const struct hg_net *outer, const struct hg_net *inner);

/*
 * True if it lies in a prefix that means something else in every network (private, link-local,
 * shared, group...): devices that name the same one do not speak of the same target.
 */
bool hg_net_is_private(const struct hg_net *n);

/* The address of a socket address; IPv4-mapped IPv6 becomes IPv4. Returns 0 or -EAFNOSUPPORT. */
int hg_net_from_sockaddr(const struct sockaddr *sa, struct hg_net *out);

struct hg_lines;

/*
 * Reads a file with one prefix per row ('#' begins a comment); `path` NULL: no prefixes. Prefixes
 * must not overlap. ipv6_len is the length of a line that the file does not name. NULL with a
 * message that names file and line number in err.
 */
struct hg_lines *hg_lines_load(const char *path, unsigned int ipv6_len, char *err, size_t err_size);
void hg_lines_free(struct hg_lines *l);

/* The line of an address. */
struct hg_net hg_lines_of(const struct hg_lines *l, const struct hg_net *address);

#endif
