// SPDX-License-Identifier: MIT
/*
 * Captures: a first reading of every file says whose traffic it is and from when to when; then the
 * files are put in the order in which they are played. A packet is the earliest of the files that
 * are open at that time; a file is opened when its first packet's time has come.
 */
#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "capture-finder.h"

#define SECOND 1000000000ull
#define BACKWARDS (SECOND / 10) /* what queues of a capturing host reorder, and nobody is told of */
#define PROGRESS_PACKETS 8192

struct source {
	struct hg_capture_info info;
	__u64 size; /* bytes */
	unsigned int index, unit, session;
	int found;		      /* what hg_capture_finder_find() said */
	char *why;		      /* its message */
	struct hg_capture_file *file; /* NULL: not open */
	struct hg_capture_record next;
	bool has_next;
	bool warned_back;
};

struct hg_capture {
	struct hg_capture_options o;
	struct source *sources;	    /* in the order in which they are played */
	size_t n_sources, n_played; /* played: have packets, and stand first */
	unsigned int n_units;
	size_t begin, end; /* sources that have been opened and not left yet */
	size_t open;
	__u64 now_ns;
	unsigned int session;
	struct source *current; /* whose record was handed out last */
	__u64 bytes, bytes_done;
	__u64 until_progress;
};

static void warn(const struct hg_capture *c, const char *text)
{
	if (c->o.warn)
		c->o.warn(c->o.ctx, text);
}

static int open_source(struct hg_capture *c, struct source *s, char *err, size_t err_size)
{
	struct stat st;
	FILE *f;
	int ret;

	errno = 0;
	f = c->o.open ? c->o.open(c->o.ctx, s->info.name) : fopen(s->info.name, "re");
	if (!f) {
		ret = errno ? -errno : -EIO;
		snprintf(err, err_size, "%s: %s", s->info.name, strerror(-ret));
		return ret;
	}
	if (fileno(f) >= 0 && !fstat(fileno(f), &st)) {
		if (S_ISDIR(st.st_mode)) {
			snprintf(err, err_size, "%s: is a directory", s->info.name);
			fclose(f);
			return -EISDIR;
		}
		s->size = (__u64)st.st_size;
	}
	s->file = hg_capture_file_new(f, s->info.name, err, err_size);
	return s->file ? 0 : -EINVAL;
}

static void close_source(struct source *s)
{
	hg_capture_file_free(s->file);
	s->file = NULL;
	s->has_next = false;
}

static void progress(struct hg_capture *c, const struct source *s)
{
	__u64 done = c->bytes_done;

	if (!c->o.progress || c->until_progress--)
		return;
	c->until_progress = PROGRESS_PACKETS;
	done += hg_capture_file_at(s->file);
	c->o.progress(c->o.ctx, c->bytes ? (unsigned int)(done * 1000 / c->bytes) : 0);
}

/* What the file's other records say of times and numbers, once its device is known. */
static void note(struct source *s, const struct hg_capture_record *r)
{
	struct hg_capture_info *i = &s->info;

	if (hg_capture_device_way(&i->device, r) == HG_CAPTURE_OTHER) {
		i->others++;
		return;
	}
	if (!i->packets || r->time_ns < i->first_ns)
		i->first_ns = r->time_ns;
	if (r->time_ns > i->last_ns)
		i->last_ns = r->time_ns;
	i->packets++;
}

/* Reads the whole file with each(); a damaged end is told the first time. */
static int read_all(struct hg_capture *c, struct source *s, struct hg_capture_finder *finder,
		    char *err, size_t err_size)
{
	struct hg_capture_record r;
	char what[512], text[640];
	int ret;

	while ((ret = hg_capture_file_next(s->file, &r, what, sizeof(what))) == 1) {
		if (finder)
			hg_capture_finder_add(finder, &r);
		else
			note(s, &r);
		progress(c, s);
	}
	if (ret && finder && hg_capture_file_records(s->file)) {
		snprintf(text, sizeof(text), "%s; the packets before it are used", what);
		warn(c, text);
	} else if (ret && finder) {
		snprintf(err, err_size, "%s; there is no packet before it", what);
		return ret;
	}
	return 0;
}

/* All that can be known of the hosts of a file; NULL with *ret and a message. */
static struct hg_capture_finder *read_hosts(struct hg_capture *c, struct source *s, int *ret,
					    char *err, size_t err_size)
{
	struct hg_capture_finder *finder;

	*ret = open_source(c, s, err, err_size);
	if (*ret)
		return NULL;
	finder = hg_capture_finder_new(hg_capture_file_link(s->file));
	if (!finder) {
		snprintf(err, err_size, "%s: out of memory", s->info.name);
		*ret = -ENOMEM;
	} else {
		*ret = read_all(c, s, finder, err, err_size);
	}
	close_source(s);
	if (!*ret)
		return finder;
	hg_capture_finder_free(finder);
	return NULL;
}

static int find_times(struct hg_capture *c, struct source *s, char *err, size_t err_size)
{
	int ret = open_source(c, s, err, err_size);

	if (ret)
		return ret;
	ret = read_all(c, s, NULL, err, err_size);
	close_source(s);
	s->info.empty = !s->info.packets;
	return ret;
}

/*
 * Whose traffic a file shows, if it shows that: then s->found is 0, else -ENOENT or -EEXIST and
 * s->why says what it shows. Returns what is wrong with the file itself.
 */
static int find_device(struct hg_capture *c, struct source *s, char *err, size_t err_size)
{
	char why[768];
	int ret, n;
	struct hg_capture_finder *finder = read_hosts(c, s, &ret, err, err_size);

	if (!finder)
		return ret;
	s->found = hg_capture_finder_find(finder, c->o.device, &s->info.device, why, sizeof(why));
	hg_capture_finder_free(finder);
	if (!s->found)
		return 0;
	n = asprintf(&s->why, "%s: %s", s->info.name, why);
	if (n >= 0)
		return 0;
	s->why = NULL;
	snprintf(err, err_size, "%s: out of memory", s->info.name);
	return -ENOMEM;
}

/* A file that does not show one device may have another file's among its hosts. */
static int find_like_others(struct hg_capture *c, struct source *s, char *err, size_t err_size)
{
	char why[768];
	int ret;
	struct hg_capture_finder *finder = read_hosts(c, s, &ret, err, err_size);

	if (!finder)
		return ret;
	for (size_t i = 0; s->found && i < c->n_sources; i++)
		if (!c->sources[i].found)
			s->found = hg_capture_finder_find(finder, &c->sources[i].info.device,
							  &s->info.device, why, sizeof(why));
	hg_capture_finder_free(finder);
	return 0;
}

static int find_devices(struct hg_capture *c, char *err, size_t err_size)
{
	char text[1200];
	size_t found = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->n_sources; i++) {
		ret = find_device(c, &c->sources[i], err, err_size);
		c->bytes_done += c->sources[i].size;
		found += !ret && !c->sources[i].found;
	}
	if (!ret && !found) {
		snprintf(err, err_size, "%s", c->sources[0].why);
		return c->sources[0].found;
	}
	for (size_t i = 0; !ret && i < c->n_sources; i++) {
		struct source *s = &c->sources[i];

		if (s->found && !c->o.device)
			ret = find_like_others(c, s, err, err_size);
		if (ret || !s->found)
			continue;
		if (s->found == -EEXIST) {
			snprintf(err, err_size, "%s", s->why);
			return -EEXIST;
		}
		snprintf(text, sizeof(text), "%s; left out", s->why);
		warn(c, text);
		s->info.empty = true;
	}
	return ret;
}

static int by_index(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static int by_time(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->info.empty != y->info.empty)
		return x->info.empty ? 1 : -1;
	if (x->unit != y->unit)
		return x->unit < y->unit ? -1 : 1;
	if (x->info.first_ns != y->info.first_ns)
		return x->info.first_ns < y->info.first_ns ? -1 : 1;
	return by_index(a, b);
}

static int empty_last(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->info.empty != y->info.empty)
		return x->info.empty ? 1 : -1;
	return by_index(a, b);
}

static void number_units(struct hg_capture *c)
{
	for (size_t i = 0; i < c->n_sources; i++) {
		struct source *s = &c->sources[i];

		s->unit = c->n_units;
		for (size_t k = 0; !s->info.empty && k < i; k++)
			if (!c->sources[k].info.empty &&
			    hg_capture_device_same(&s->info.device, &c->sources[k].info.device))
				s->unit = c->sources[k].unit;
		c->n_units += !s->info.empty && s->unit == c->n_units;
		c->n_played += !s->info.empty;
	}
}

/* Puts the files in order and says where sessions begin. */
static void arrange(struct hg_capture *c)
{
	const __u64 gap = HG_CAPTURE_SESSION_GAP_S * SECOND;
	unsigned int session = 0;
	__u64 last = 0;

	number_units(c);
	qsort(c->sources, c->n_sources, sizeof(*c->sources), c->o.as_given ? empty_last : by_time);
	for (size_t i = 0; i < c->n_played; i++) {
		struct source *s = &c->sources[i];
		const struct source *before = i ? &c->sources[i - 1] : NULL;

		if (before && (s->unit != before->unit || s->info.first_ns > last + gap ||
			       (c->o.as_given && s->info.first_ns < last))) {
			session++;
			last = 0;
		}
		s->session = session;
		last = s->info.last_ns > last ? s->info.last_ns : last;
	}
}

static int survey(struct hg_capture *c, char *err, size_t err_size)
{
	int ret = find_devices(c, err, err_size);

	c->bytes = c->bytes_done;
	c->bytes_done = 0;
	for (size_t i = 0; !ret && i < c->n_sources; i++) {
		struct source *s = &c->sources[i];

		if (!s->info.empty)
			ret = find_times(c, s, err, err_size);
		c->bytes_done += s->size;
	}
	if (ret)
		return ret;
	arrange(c);
	if (!c->n_played) {
		snprintf(err, err_size, "%s: no packet of the device", c->sources[0].info.name);
		return -ENOENT;
	}
	return 0;
}

struct hg_capture *hg_capture_new(const struct hg_capture_options *o, char *err, size_t err_size)
{
	struct hg_capture *c;

	if (!o->n_files || o->n_files > HG_CAPTURE_FILES_MAX) {
		snprintf(err, err_size, "%zu captures; 1 to %d can be read at a time", o->n_files,
			 HG_CAPTURE_FILES_MAX);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (c)
		c->sources = calloc(o->n_files, sizeof(*c->sources));
	if (!c || !c->sources) {
		snprintf(err, err_size, "out of memory");
		hg_capture_free(c);
		return NULL;
	}
	c->o = *o;
	c->n_sources = o->n_files;
	for (size_t i = 0; i < o->n_files; i++) {
		c->sources[i].info.name = o->files[i];
		c->sources[i].index = (unsigned int)i;
	}
	if (survey(c, err, err_size)) {
		hg_capture_free(c);
		return NULL;
	}
	hg_capture_rewind(c);
	return c;
}

void hg_capture_free(struct hg_capture *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_sources && c->sources; i++) {
		close_source(&c->sources[i]);
		free(c->sources[i].why);
	}
	free(c->sources);
	free(c);
}

void hg_capture_rewind(struct hg_capture *c)
{
	for (size_t i = 0; i < c->n_sources; i++)
		close_source(&c->sources[i]);
	c->begin = c->end = c->open = 0;
	c->current = NULL;
	c->now_ns = 0;
	c->bytes_done = 0;
}

/* The source's next packet of the device; none: the source is closed. */
static void advance(struct hg_capture *c, struct source *s)
{
	char what[512];

	s->has_next = false;
	while (hg_capture_file_next(s->file, &s->next, what, sizeof(what)) == 1) {
		progress(c, s);
		if (hg_capture_device_way(&s->info.device, &s->next) != HG_CAPTURE_OTHER) {
			s->has_next = true;
			return;
		}
	}
	close_source(s);
	c->bytes_done += s->size;
	c->open--;
}

static struct source *earliest(struct hg_capture *c)
{
	struct source *best = NULL;

	while (c->begin < c->end && !c->sources[c->begin].file)
		c->begin++;
	for (size_t i = c->begin; i < c->end; i++) {
		struct source *s = &c->sources[i];

		if (s->file && (!best || s->next.time_ns < best->next.time_ns))
			best = s;
	}
	return best;
}

/* Must the next file be open to say which packet is the earliest? */
static bool wants_next_file(const struct hg_capture *c, const struct source *best)
{
	const struct source *s = &c->sources[c->end];

	if (c->end == c->n_played)
		return false;
	if (!best)
		return true;
	return !c->o.as_given && s->session == best->session &&
	       s->info.first_ns <= best->next.time_ns;
}

static int open_next(struct hg_capture *c, char *err, size_t err_size)
{
	struct source *s = &c->sources[c->end];
	int ret;

	if (c->open == HG_CAPTURE_OPEN_MAX) {
		snprintf(err, err_size,
			 "%s: more than %d files overlap in time; merge them first, or let them be "
			 "read one after the other",
			 s->info.name, HG_CAPTURE_OPEN_MAX);
		return -EMFILE;
	}
	if (!c->open && s->session != c->session)
		c->now_ns = 0;
	ret = open_source(c, s, err, err_size);
	if (ret)
		return ret;
	c->session = s->session;
	c->open++;
	c->end++;
	advance(c, s);
	return 0;
}

static void hand_out(struct hg_capture *c, struct source *s, struct hg_capture_packet *p)
{
	const struct hg_capture_record *r = &s->next;
	char text[640];

	if (r->time_ns + BACKWARDS < c->now_ns && !s->warned_back) {
		snprintf(text, sizeof(text),
			 "%s: packet %llu: %.1f s older than one before it; such packets are taken "
			 "as if they had come at that one's time",
			 s->info.name, (unsigned long long)r->number,
			 (double)(c->now_ns - r->time_ns) / 1e9);
		warn(c, text);
		s->warned_back = true;
	}
	c->now_ns = r->time_ns > c->now_ns ? r->time_ns : c->now_ns;
	c->current = s;
	*p = (struct hg_capture_packet){
		.frame = r->frame,
		.time_ns = c->now_ns,
		.number = r->number,
		.captured = r->captured,
		.file = s->index,
		.unit = s->unit,
		.session = s->session,
		.out = hg_capture_device_way(&s->info.device, r) == HG_CAPTURE_OUT,
	};
}

int hg_capture_next(struct hg_capture *c, struct hg_capture_packet *p, char *err, size_t err_size)
{
	struct source *s;
	int ret;

	if (c->current && c->current->file)
		advance(c, c->current);
	c->current = NULL;
	for (s = earliest(c); wants_next_file(c, s); s = earliest(c)) {
		ret = open_next(c, err, err_size);
		if (ret)
			return ret;
	}
	if (!s)
		return 0;
	hand_out(c, s, p);
	return 1;
}

const struct hg_capture_device *hg_capture_current_device(const struct hg_capture *c)
{
	return c->current ? &c->current->info.device : NULL;
}

size_t hg_capture_files(const struct hg_capture *c)
{
	return c->n_sources;
}

const struct hg_capture_info *hg_capture_file_info(const struct hg_capture *c, size_t i)
{
	for (size_t k = 0; k < c->n_sources; k++)
		if (c->sources[k].index == i)
			return &c->sources[k].info;
	return NULL;
}

size_t hg_capture_units(const struct hg_capture *c)
{
	return c->n_units;
}
