// SPDX-License-Identifier: MIT
/*
 * Plots: filled by `heliograph profile plot` second by second. The memory is that of the picture,
 * whatever the captures' length. Marks differ in shape as well as in colour, and every mark says in
 * its title what it is.
 */
#include "plot.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define LEFT 90	   /* of the panels: room for the values' axis */
#define TOP 64	   /* of the first panel: title and legend */
#define HEIGHT 130 /* of a panel */
#define STEP 184   /* from panel to panel: room for the times' axis */
#define WIDTH (LEFT + HG_PLOT_COLUMNS + 30)
#define TICKS 4	      /* of values */
#define TIMES 6	      /* of times */
#define LOG_TIMES 20  /* values so many times over the bound are drawn on a logarithmic axis */
#define MARKS_MAX 500 /* episodes in a panel */

static const unsigned int seconds_of[HG_WINDOWS] = { 1, 60, 3600 };

static __u64 value_of(const struct hg_replayer_second *s, enum hg_profile_feature f,
		      unsigned int window)
{
	switch (f) {
	case HG_ENVELOPE_PACKETS:
		return s->sample.packets;
	case HG_ENVELOPE_BYTES:
		return s->sample.bytes;
	case HG_ENVELOPE_FLOWS:
		return s->sample.flows;
	case HG_ENVELOPE_FAILED:
		return s->sample.failed;
	case HG_ENVELOPE_FRESH:
		return s->sample.fresh;
	case HG_ENVELOPE_DESTINATIONS:
		return s->destinations[window];
	case HG_ENVELOPE_PORTS:
		return s->ports;
	default:
		return s->sources;
	}
}

static bool adds_up(enum hg_profile_feature f)
{
	return f <= HG_ENVELOPE_FAILED || f == HG_ENVELOPE_FRESH;
}

static size_t column_of(const struct hg_plot *p, __u64 second)
{
	__u64 span = p->last_s - p->first_s + 1, at;

	if (second < p->first_s)
		return 0;
	at = (__u64)((double)(second - p->first_s) / (double)span * HG_PLOT_COLUMNS);
	return at < HG_PLOT_COLUMNS ? (size_t)at : HG_PLOT_COLUMNS - 1;
}

static void flush(const struct hg_plot *p, struct hg_plot_panel *panel)
{
	size_t at = column_of(p, panel->window * seconds_of[p->window]);

	if (panel->value > panel->columns[at])
		panel->columns[at] = panel->value;
	if (panel->value > panel->most)
		panel->most = panel->value;
	panel->value = 0;
}

void hg_plot_second(struct hg_plot *p, const struct hg_replayer_second *s)
{
	__u64 window = s->time_s / seconds_of[p->window], value;

	for (size_t i = 0; i < p->n_panels; i++) {
		struct hg_plot_panel *panel = &p->panels[i];

		if (panel->channel != s->channel)
			continue;
		if (panel->window != window)
			flush(p, panel);
		panel->window = window;
		value = value_of(s, panel->feature, p->window);
		if (adds_up(panel->feature))
			panel->value += value;
		else if (value > panel->value)
			panel->value = value;
	}
}

void hg_plot_end(struct hg_plot *p)
{
	for (size_t i = 0; i < p->n_panels; i++)
		flush(p, &p->panels[i]);
}

/* Text of a file's name and the like: XML takes no control characters and no broken UTF-8. */
static void put_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc(*s >= ' ' && *s < 127 ? *s : '?', f);
	}
}

static const char *time_text(__u64 second, const char *format, char out[static 32])
{
	time_t t = (time_t)second;
	struct tm tm;

	/* The formats are this file's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (!gmtime_r(&t, &tm) || !strftime(out, 32, format, &tm))
		strcpy(out, "?");
#pragma GCC diagnostic pop
	return out;
}

/* How values become heights. */
struct scale {
	double top; /* the value at the panel's upper edge */
	bool logarithmic;
};

static struct scale scale_of(const struct hg_plot_panel *panel)
{
	bool bounded = panel->bound != HG_PROFILE_UNTESTED;
	struct scale s = { .top = (double)panel->most };

	if (bounded && panel->bound > panel->most)
		s.top = (double)panel->bound;
	s.top = s.top < 4 ? 4 : s.top * 1.08;
	s.logarithmic = bounded && panel->most > (panel->bound + 1) * LOG_TIMES;
	return s;
}

static double height_of(const struct scale *s, double value)
{
	double part = s->logarithmic ? log1p(value) / log1p(s->top) : value / s->top;

	return HEIGHT * (part < 1 ? part : 1);
}

static void put_number(FILE *f, double v)
{
	if (v >= 1e9)
		fprintf(f, "%.3gG", v / 1e9);
	else if (v >= 1e6)
		fprintf(f, "%.3gM", v / 1e6);
	else if (v >= 1e4)
		fprintf(f, "%.3gk", v / 1e3);
	else
		fprintf(f, "%.0f", v);
}

/* 1, 2 or 5 times a power of ten, so that TICKS of them reach the top. */
static double tick_step(double top)
{
	double step = pow(10, floor(log10(top / TICKS)));

	if (step * 5 * TICKS <= top)
		return step * 5;
	return step * 2 * TICKS <= top ? step * 2 : step < 1 ? 1 : step;
}

static void put_value_tick(FILE *f, const struct scale *s, double value, double bottom)
{
	double y = bottom - height_of(s, value);

	fprintf(f,
		"<path class=\"grid\" d=\"M%d %.1fh%d\"/><text class=\"value\" x=\"%d\" "
		"y=\"%.1f\">",
		LEFT, y, HG_PLOT_COLUMNS, LEFT - 6, y + 4);
	put_number(f, value);
	fputs("</text>\n", f);
}

static void put_axes(const struct hg_plot *p, const struct scale *s, double bottom, FILE *f)
{
	double step = tick_step(s->top);
	__u64 span = p->last_s - p->first_s + 1;
	char text[32];

	if (s->logarithmic)
		for (__u64 v = 1; (double)v < s->top && v < 1000000000000000000; v *= 10)
			put_value_tick(f, s, (double)v, bottom);
	for (int i = 0; !s->logarithmic && step * i < s->top; i++)
		put_value_tick(f, s, step * i, bottom);
	for (int i = 0; i <= TIMES; i++) {
		__u64 at = p->first_s + (__u64)((double)span / TIMES * i);
		double x = LEFT + (double)HG_PLOT_COLUMNS * i / TIMES;

		fprintf(f,
			"<path class=\"axis\" d=\"M%.1f %.1fv5\"/><text class=\"time\" "
			"x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			x, bottom, x, bottom + 18,
			time_text(at, span < 7200 ? "%H:%M:%S" : "%m-%d %H:%M", text));
	}
	fprintf(f, "<path class=\"axis\" d=\"M%d %.1fv-%dM%d %.1fh%d\"/>\n", LEFT, bottom, HEIGHT,
		LEFT, bottom, HG_PLOT_COLUMNS);
}

static void put_values(const struct hg_plot_panel *panel, const struct scale *s, double bottom,
		       FILE *f)
{
	fputs("<path class=\"bar\" d=\"", f);
	for (size_t i = 0; i < HG_PLOT_COLUMNS; i++)
		if (panel->columns[i])
			fprintf(f, "M%zu.5 %.1fv-%.1f", LEFT + i, bottom,
				height_of(s, (double)panel->columns[i]));
	fputs("\"/>\n", f);
}

static void put_bound(const struct hg_plot_panel *panel, const struct scale *s, double bottom,
		      FILE *f)
{
	double y = bottom - height_of(s, (double)panel->bound);

	if (panel->bound == HG_PROFILE_UNTESTED)
		return;
	fprintf(f, "<path class=\"bound\" d=\"M%d %.1fh%d\"><title>bound: %llu</title></path>\n",
		LEFT, y, HG_PLOT_COLUMNS, (unsigned long long)panel->bound);
}

/* A triangle for what is hostile, a diamond for drift. */
static void put_mark(bool hostile, double x, double y, FILE *f)
{
	if (hostile)
		fprintf(f, "<path class=\"hostile\" d=\"M%.1f %.1fl6 -10h-12z\">", x, y);
	else
		fprintf(f, "<path class=\"drift\" d=\"M%.1f %.1fl5 -5l-5 -5l-5 5z\">", x, y);
}

static void put_marks(const struct hg_plot *p, const struct hg_plot_panel *panel,
		      const struct hg_episodes *e, double bottom, FILE *f)
{
	char reason[HG_REASON_TEXT], time[32];
	size_t marks = 0;

	for (size_t i = 0; i < e->n && marks < MARKS_MAX; i++) {
		const struct hg_episode_record *r = &e->list[i];
		__u64 second = r->start_ns / 1000000000;

		if (r->channel != panel->channel)
			continue;
		marks++;
		put_mark(r->hostile_ns != 0, LEFT + (double)column_of(p, second) + 0.5,
			 bottom - HEIGHT, f);
		fprintf(f, "<title>%s %s: ", time_text(second, "%Y-%m-%d %H:%M:%S", time),
			hg_attack_text(r->worst.event.attack));
		put_text(f, hg_event_reason(&r->worst.event, reason));
		fputs("</title></path>\n", f);
	}
}

static void put_panel(const struct hg_plot *p, size_t i, const struct hg_episodes *e, FILE *f)
{
	static const char *const per[HG_WINDOWS] = { "a second", "a minute", "an hour" };
	const struct hg_plot_panel *panel = &p->panels[i];
	double bottom = TOP + STEP * (double)i + 20 + HEIGHT;
	struct scale s = scale_of(panel);

	fputs("<g>\n<text class=\"name\" ", f);
	fprintf(f, "x=\"%d\" y=\"%.1f\">channel ", LEFT, bottom - HEIGHT - 14);
	put_text(f, panel->name);
	fprintf(f, ": %s in %s%s</text>\n", hg_profile_feature_name(panel->feature), per[p->window],
		s.logarithmic ? ", logarithmic" : "");
	put_axes(p, &s, bottom, f);
	put_values(panel, &s, bottom, f);
	put_bound(panel, &s, bottom, f);
	put_marks(p, panel, e, bottom, f);
	fputs("</g>\n", f);
}

static void put_legend(FILE *f)
{
	fprintf(f, "<g class=\"legend\"><path class=\"bar\" d=\"M%d 46v-10m4 10v-6m4 6v-12\"/>",
		LEFT);
	fprintf(f, "<text x=\"%d\" y=\"46\">largest window</text>", LEFT + 18);
	fprintf(f, "<path class=\"bound\" d=\"M%d 41h24\"/>", LEFT + 130);
	fprintf(f, "<text x=\"%d\" y=\"46\">bound of the profile</text>", LEFT + 160);
	put_mark(true, LEFT + 310, 46, f);
	fprintf(f, "</path><text x=\"%d\" y=\"46\">hostile episode</text>", LEFT + 322);
	put_mark(false, LEFT + 440, 46, f);
	fprintf(f, "</path><text x=\"%d\" y=\"46\">drift</text></g>\n", LEFT + 452);
}

static void put_head(const struct hg_plot *p, const struct hg_episodes *e, FILE *f)
{
	size_t height = TOP + STEP * p->n_panels + 20;
	char from[32], to[32];

	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
		"viewBox=\"0 0 %d %zu\" role=\"img\" aria-labelledby=\"title desc\">\n"
		"<title id=\"title\">",
		WIDTH, height, WIDTH, height);
	put_text(f, p->model);
	fputs(": ", f);
	put_text(f, p->what);
	fprintf(f, "</title>\n<desc id=\"desc\">What the device sent from %s to %s (UTC), ",
		time_text(p->first_s, "%Y-%m-%d %H:%M:%S", from),
		time_text(p->last_s, "%Y-%m-%d %H:%M:%S", to));
	fprintf(f, "in %zu panels; %zu hostile episodes, %zu of drift.", p->n_panels, e->hostile,
		e->drift);
	for (size_t i = 0; i < p->n_panels; i++) {
		fprintf(f, " Channel ");
		put_text(f, p->panels[i].name);
		fprintf(f, ": at most %llu %s", (unsigned long long)p->panels[i].most,
			hg_profile_feature_name(p->panels[i].feature));
		if (p->panels[i].bound != HG_PROFILE_UNTESTED)
			fprintf(f, ", bound %llu", (unsigned long long)p->panels[i].bound);
		fputs(".", f);
	}
	fputs("</desc>\n<style>\ntext { font: 12px sans-serif; fill: #222 }\n"
	      ".name { font-weight: bold } .value { text-anchor: end } .time { text-anchor: middle }\n"
	      ".grid { stroke: #ddd } .axis { stroke: #222; fill: none }\n"
	      ".bar { stroke: #1f5fa8; fill: none } .hostile { fill: #b00020 }\n"
	      ".drift { fill: #b36b00 }\n"
	      ".bound { stroke: #222; stroke-dasharray: 6 3; fill: none }\n</style>\n"
	      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
	      f);
	fprintf(f, "<text class=\"name\" x=\"%d\" y=\"22\">", LEFT);
	put_text(f, p->model);
	fputs(": ", f);
	put_text(f, p->what);
	fprintf(f, ", %s to %s UTC</text>\n", from, to);
}

void hg_plot_write(const struct hg_plot *p, const struct hg_episodes *e, FILE *f)
{
	put_head(p, e, f);
	put_legend(f);
	for (size_t i = 0; i < p->n_panels; i++)
		put_panel(p, i, e, f);
	fputs("</svg>\n", f);
}
