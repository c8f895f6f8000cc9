/* SPDX-License-Identifier: MIT */
/*
 * Captures: one or several files as the packets of one device, or of several units of one model
 * that were captured apart. What overlaps in time of one unit is merged; units, and stretches of
 * one unit with more than an hour between them, follow each other as sessions.
 *
 * Each file is read once to find its device and its times, and then as often as hg_capture_rewind()
 * is called. Memory does not grow with the files' length; a number of files are open at a time.
 */
#ifndef HG_USERSPACE_CAPTURE_H
#define HG_USERSPACE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "capture-device.h"

#define HG_CAPTURE_FILES_MAX 4096
#define HG_CAPTURE_OPEN_MAX 32	      /* files that overlap in time */
#define HG_CAPTURE_SESSION_GAP_S 3600 /* between two files: a new session */

struct hg_capture;

struct hg_capture_options {
	const char *const *files;
	size_t n_files;
	const struct hg_capture_device *device; /* NULL: found, file by file */
	bool as_given; /* files one after the other in the order given; else in order of time */
	/* All may be NULL. warn() tells of files that are damaged or of no use. */
	void (*warn)(void *ctx, const char *text);
	/* Called now and then with the share that has been read of this pass, 0 to 1000. */
	void (*progress)(void *ctx, unsigned int permille);
	FILE *(*open)(void *ctx, const char *name); /* instead of fopen(); each returns it anew */
	void *ctx;
};

/* What one file turned out to be. */
struct hg_capture_info {
	const char *name;
	struct hg_capture_device device;
	__u64 first_ns, last_ns; /* of the device's packets */
	__u64 packets;		 /* of the device */
	__u64 others;		 /* records between others */
	bool empty;		 /* has no packet of the device, and is left out */
};

struct hg_capture_packet {
	struct hg_frame frame; /* its bytes stay until the next packet */
	__u64 time_ns;	       /* since 1970; never goes back within a session */
	__u64 number;	       /* in its file, from 1 */
	__u32 captured;	       /* bytes of the frame that the file has; the rest are zeros */
	unsigned int file;     /* index in the options */
	unsigned int unit;     /* from 0, by device */
	unsigned int session;  /* from 0, counted over all units */
	bool out;	       /* sent by the device */
};

/*
 * Reads all files once. The options' strings must outlive the result. Returns NULL with a message
 * in err if a file cannot be opened or read, or no device is found in any of them.
 */
struct hg_capture *hg_capture_new(const struct hg_capture_options *o, char *err, size_t err_size);
void hg_capture_free(struct hg_capture *c);

/* Begins again with the first packet. */
void hg_capture_rewind(struct hg_capture *c);
/* Returns 1 with a packet, 0 at the end, or -errno with a message: a file could not be read. */
int hg_capture_next(struct hg_capture *c, struct hg_capture_packet *p, char *err, size_t err_size);

/* Whose the last packet was; NULL: there was none. */
const struct hg_capture_device *hg_capture_current_device(const struct hg_capture *c);

size_t hg_capture_files(const struct hg_capture *c);
/* Of the i-th file of the options; NULL past the end. */
const struct hg_capture_info *hg_capture_file_info(const struct hg_capture *c, size_t i);
size_t hg_capture_units(const struct hg_capture *c);

#endif
