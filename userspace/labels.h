/* SPDX-License-Identifier: MIT */
/*
 * Labels of a capture: a text file with one line for each packet, 1 if it belongs to an attack, 0
 * if not; and what became of the attack.
 */
#ifndef HG_USERSPACE_LABELS_H
#define HG_USERSPACE_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include "replay.h"

#define HG_LABELS_MAX (1ull << 30) /* packets: 128 MiB */

struct hg_labels {
	unsigned char *bits;
	__u64 n, room;

	/* Counted as packets are played. */
	__u64 attack, first_ns, last_ns; /* packets of the attack */
	__u64 alarm_ns;			 /* first hostile alarm after its begin; 0: none */
	__u64 before;			 /* packets of the attack before that */
	__u64 targets_before;	   /* distinct remote addresses, up to half of the set's size */
	unsigned int alarm_attack; /* what it was told as */
	unsigned int early;	   /* hostile episodes before the attack */
	struct hg_addr *targets;   /* a set */
	__u64 n_targets;
};

/* 0, or -errno with a message that names file and line. */
int hg_labels_load(struct hg_labels *l, const char *path, char *err, size_t err_size);
void hg_labels_exit(struct hg_labels *l);

/* The label of the packet with this number, from 1. */
bool hg_labels_is_attack(const struct hg_labels *l, __u64 number);

void hg_labels_packet(struct hg_labels *l, const struct hg_replayer_packet *p);
void hg_labels_alarm(struct hg_labels *l, const struct hg_replayer_alarm *a);

#endif
