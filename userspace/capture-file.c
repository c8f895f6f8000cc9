// SPDX-License-Identifier: MIT
/*
 * A capture file: libpcap reads it, and this makes of each of its records a frame as the core wants
 * it: network header aligned, zeros for what the publisher cut off, so that lengths are those on
 * the wire. Nothing here grows with the file.
 */
#include "capture-file.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <pcap/sll.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET 14
#define SECONDS_MAX 0xffffffffll
#define ROOM (65536 + 256) /* an IP packet and what may stand before it */

struct hg_capture_file {
	pcap_t *pcap;
	FILE *stream; /* the pcap's */
	char *name;
	int type; /* DLT_* */
	enum hg_capture_link link;
	__u64 number;
	__u32 used;	 /* bytes of room that are not zero */
	__u8 pad[2];	 /* an Ethernet header is 14 bytes, */
	__u8 room[ROOM]; /* so its IP header stands on four */
} __attribute__((aligned(8)));

_Static_assert((offsetof(struct hg_capture_file, room) + ETHERNET) % 4 == 0, "alignment");

static int link_of(int type, enum hg_capture_link *link)
{
	switch (type) {
	case DLT_EN10MB:
		*link = HG_CAPTURE_ETHERNET;
		return 0;
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
		*link = HG_CAPTURE_COOKED;
		return 0;
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		*link = HG_CAPTURE_RAW;
		return 0;
	}
	return -EINVAL;
}

static void say_link(const struct hg_capture_file *f, char *err, size_t err_size)
{
	const char *name = pcap_datalink_val_to_name(f->type);

	snprintf(err, err_size,
		 "%s: link type %s (%d) cannot be read; Ethernet, raw IP and Linux cooked can: "
		 "capture on the device, its router or a mirror port",
		 f->name, name ? name : "unknown", f->type);
}

struct hg_capture_file *hg_capture_file_new(FILE *stream, const char *name, char *err,
					    size_t err_size)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	struct hg_capture_file *f = calloc(1, sizeof(*f));

	if (f)
		f->name = strdup(name);
	if (!f || !f->name) {
		snprintf(err, err_size, "%s: out of memory", name);
		fclose(stream);
		goto fail;
	}
	f->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!f->pcap) {
		snprintf(err, err_size, "%s: not a capture in pcap or pcapng format: %s", name,
			 why);
		fclose(stream);
		goto fail;
	}
	f->stream = stream;
	f->type = pcap_datalink(f->pcap);
	if (!link_of(f->type, &f->link))
		return f;
	say_link(f, err, err_size);
fail:
	hg_capture_file_free(f);
	return NULL;
}

void hg_capture_file_free(struct hg_capture_file *f)
{
	if (!f)
		return;
	if (f->pcap)
		pcap_close(f->pcap);
	free(f->name);
	free(f);
}

enum hg_capture_link hg_capture_file_link(const struct hg_capture_file *f)
{
	return f->link;
}

__u64 hg_capture_file_at(const struct hg_capture_file *f)
{
	off_t at = ftello(f->stream);

	return at < 0 ? 0 : (__u64)at;
}

__u64 hg_capture_file_records(const struct hg_capture_file *f)
{
	return f->number;
}

/* What stands in a cooked header, version by version. */
struct cooked {
	unsigned int length, protocol, address_length, address;
	unsigned int packet_type; /* offset of its low byte */
};

static const struct cooked cooked_v1 = { 16, 14, 5, 6, 1 };
static const struct cooked cooked_v2 = { 20, 0, 11, 12, 10 };

/* Makes an Ethernet header of a cooked one; the receiver is a group or nobody. */
static int uncook(struct hg_capture_file *f, const __u8 *data, __u32 captured)
{
	const struct cooked *c = f->type == DLT_LINUX_SLL ? &cooked_v1 : &cooked_v2;
	__u8 type;

	if (captured < c->length)
		return -EBADMSG;
	type = data[c->packet_type];
	memset(f->room, type == LINUX_SLL_BROADCAST || type == LINUX_SLL_MULTICAST ? 0xff : 0, 6);
	memset(f->room + 6, 0, 6);
	if (data[c->address_length] == 6)
		memcpy(f->room + 6, data + c->address, 6);
	memcpy(f->room + 12, data + c->protocol, 2);
	return (int)c->length;
}

static __u32 least(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* Puts the bytes of a record at `at`, with zeros behind them. */
static void put(struct hg_capture_file *f, const __u8 *data, __u32 captured, __u32 at)
{
	__u32 n = least(captured, ROOM - at);

	memcpy(f->room + at, data, n);
	if (f->used > at + n)
		memset(f->room + at + n, 0, f->used - at - n);
	f->used = at + n;
}

static int frame_of(struct hg_capture_file *f, const struct pcap_pkthdr *h, const __u8 *data,
		    struct hg_capture_record *r)
{
	__u32 wire = h->len > h->caplen ? h->len : h->caplen, captured = h->caplen, at = 0;
	int skip = 0;

	if (f->link == HG_CAPTURE_COOKED) {
		skip = uncook(f, data, captured);
		if (skip < 0)
			return skip;
		at = ETHERNET;
	} else if (f->link == HG_CAPTURE_RAW) {
		at = 2; /* on four bytes */
	}
	put(f, data + skip, captured - (__u32)skip, at);
	wire -= (__u32)skip;
	captured = least(captured - (__u32)skip, ROOM - at);
	r->frame.data = f->room;
	r->frame.network = f->room + ETHERNET;
	if (f->link == HG_CAPTURE_RAW) {
		r->frame.data = r->frame.network = f->room + at;
	} else if (f->link == HG_CAPTURE_COOKED) {
		wire += ETHERNET;
		captured += ETHERNET;
	}
	r->frame.wire = wire;
	r->frame.end = r->frame.data + least(wire, (__u32)(f->room + ROOM - r->frame.data));
	r->captured = captured;
	r->to = f->link == HG_CAPTURE_ETHERNET && captured >= ETHERNET ? f->room : NULL;
	r->from = f->link != HG_CAPTURE_RAW && captured >= ETHERNET ? f->room + 6 : NULL;
	return 0;
}

/* pcapng can say any 64-bit second; time_t has 32 bits on some machines. */
static __u64 time_of(const struct pcap_pkthdr *h)
{
	__s64 seconds = h->ts.tv_sec;

	if (seconds < 0 || h->ts.tv_usec < 0)
		return 0;
	if (seconds > SECONDS_MAX)
		return SECONDS_MAX * 1000000000ull;
	return (__u64)seconds * 1000000000ull + (__u64)h->ts.tv_usec % 1000000000ull;
}

int hg_capture_file_next(struct hg_capture_file *f, struct hg_capture_record *r, char *err,
			 size_t err_size)
{
	unsigned long long number = f->number + 1;
	struct pcap_pkthdr *h;
	const u_char *data;
	int ret = pcap_next_ex(f->pcap, &h, &data);

	if (ret == PCAP_ERROR_BREAK)
		return 0;
	if (ret != 1) {
		snprintf(err, err_size, "%s: packet %llu: %s", f->name, number,
			 pcap_geterr(f->pcap));
		return -EBADMSG;
	}
	if (h->len > HG_CAPTURE_WIRE_MAX) {
		snprintf(err, err_size,
			 "%s: packet %llu: says it was %u bytes long, at most %u can be; the file "
			 "is damaged",
			 f->name, number, h->len, HG_CAPTURE_WIRE_MAX);
		return -EBADMSG;
	}
	if (frame_of(f, h, data, r)) {
		snprintf(err, err_size, "%s: packet %llu: ends within its link header", f->name,
			 number);
		return -EBADMSG;
	}
	f->number++;
	r->number = f->number;
	r->time_ns = time_of(h);
	return 1;
}
