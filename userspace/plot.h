/* SPDX-License-Identifier: MIT */
/*
 * Windows over time as an SVG picture: panels below each other, one for each channel and feature,
 * with bounds and episodes.
 */
#ifndef HG_USERSPACE_PLOT_H
#define HG_USERSPACE_PLOT_H

#include <stdio.h>
#include "episodes.h"
#include "profile.h"
#include "replay.h"

#define HG_PLOT_COLUMNS 960 /* one for each unit of the picture's width; each shows its largest */
#define HG_PLOT_PANELS_MAX 32

struct hg_plot_panel {
	unsigned int channel;
	const char *name; /* of the channel */
	enum hg_profile_feature feature;
	__u64 bound; /* HG_PROFILE_UNTESTED: none */
	__u64 columns[HG_PLOT_COLUMNS];
	__u64 most;
	/* The window that fills. */
	__u64 window, value;
};

struct hg_plot {
	unsigned int window; /* enum hg_window_length */
	__u64 first_s, last_s;
	const char *what; /* of what capture, for the title */
	const char *model;
	struct hg_plot_panel panels[HG_PLOT_PANELS_MAX];
	size_t n_panels;
};

/* Counts a second into the panels of its channel. */
void hg_plot_second(struct hg_plot *p, const struct hg_replayer_second *s);
/* After the last second. */
void hg_plot_end(struct hg_plot *p);

/* The picture, with the episodes of its channels. Whether it could be written, says ferror(). */
void hg_plot_write(const struct hg_plot *p, const struct hg_episodes *e, FILE *f);

#endif
