/* SPDX-License-Identifier: MIT */
/*
 * One capture file, pcap or pcapng, as a row of records. Link types: Ethernet, raw IP, Linux cooked
 * (both versions; seen as Ethernet frames without a receiver's address).
 */
#ifndef HG_USERSPACE_CAPTURE_FILE_H
#define HG_USERSPACE_CAPTURE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "../core/packet.h"

/* Longer than any segment that Linux hands down in one piece (BIG TCP: 512 KiB). */
#define HG_CAPTURE_WIRE_MAX (1u << 20)

struct hg_capture_file;

/* What kind of link addresses a file's records have. */
enum hg_capture_link {
	HG_CAPTURE_ETHERNET, /* sender and receiver */
	HG_CAPTURE_COOKED,   /* sender only */
	HG_CAPTURE_RAW,	     /* none */
};

struct hg_capture_record {
	/* Readable up to its wire length, at most 64 KiB; what the file does not have is zeros. */
	struct hg_frame frame;
	__u64 time_ns;	/* since 1970, as the file says */
	__u64 number;	/* in the file, from 1 */
	__u32 captured; /* bytes of the frame that the file has */
	const __u8 *to; /* link addresses, six bytes; NULL where the link type has none */
	const __u8 *from;
};

/*
 * Takes over `stream` (closed also on failure); `name` is for messages and is copied. Returns NULL
 * with a message in err that names the file, what is wrong and what to do.
 */
struct hg_capture_file *hg_capture_file_new(FILE *stream, const char *name, char *err,
					    size_t err_size);
void hg_capture_file_free(struct hg_capture_file *f);

/*
 * Returns 1 with the next record, whose bytes stay until the next call; 0 after the last; -EBADMSG
 * with a message that names file and packet if the file is damaged or ends within a record: what
 * came before is good.
 */
int hg_capture_file_next(struct hg_capture_file *f, struct hg_capture_record *r, char *err,
			 size_t err_size);

enum hg_capture_link hg_capture_file_link(const struct hg_capture_file *f);

/* How many have been read. */
__u64 hg_capture_file_records(const struct hg_capture_file *f);

/* Bytes of the file that have been read. */
__u64 hg_capture_file_at(const struct hg_capture_file *f);

#endif
