// SPDX-License-Identifier: MIT
/*
 * One load of the object file, for guard-bpf.c. A guard that runs keeps its maps, and so its flows
 * and counters, whenever their layout is the one of the object; its programs too when they are the
 * same instructions over the same maps, which the kernel's tag and map numbers tell.
 */
#include "guard-bpf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../core/tables.h"

#define OBJECT_MAX (16 << 20) /* a hundred times what the guard is */
#define PROG_MAPS_MAX 64      /* maps of one program; the object has a quarter of that */

const char *const hg_bpf_prog_names[HG_PROGS] = {
	[HG_PROG_XDP] = "hg_xdp",	    [HG_PROG_IN] = "hg_tc_in",
	[HG_PROG_IN_L3] = "hg_tc_in_l3",    [HG_PROG_OUT] = "hg_tc_out",
	[HG_PROG_OUT_L3] = "hg_tc_out_l3",  [HG_PROG_CLOSE] = "hg_close",
	[HG_PROG_TIMER] = "hg_timer_start",
};

const char *const hg_bpf_map_names[HG_MAPS] = {
	[HG_MAP_CONFIG] = "hg_config",	       [HG_MAP_PEERS] = "hg_peers",
	[HG_MAP_RULES] = "hg_rules",	       [HG_MAP_TRUSTED] = "hg_trusted",
	[HG_MAP_COUNTERS] = "hg_counters",     [HG_MAP_WINDOWS] = "hg_windows",
	[HG_MAP_KEPT] = "hg_flows_kept",       [HG_MAP_INSIDE] = "hg_flows_inside",
	[HG_MAP_OUTSIDE] = "hg_flows_outside", [HG_MAP_EVENTS] = "hg_events",
	[HG_MAP_BOUND] = "hg_bound",	       [HG_MAP_BOUNDS] = "hg_bounds",
};

static __thread char said[256];

/*
 * libbpf explains itself only through a process-wide printer. Of a verifier's log the last line
 * before the statistics says what was refused.
 */
static int listen(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *text, *line, *save = NULL;

	if (level != LIBBPF_WARN || vasprintf(&text, fmt, ap) < 0)
		return 0;
	if (strstr(text, "BEGIN PROG LOAD LOG")) {
		const char *last = "";

		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (strncmp(line, "processed ", 10) && !strstr(line, "PROG LOAD LOG"))
				last = line;
		snprintf(said + strlen(said), sizeof(said) - strlen(said), ": %s", last);
	} else if (!strstr(said, "load failed")) {
		snprintf(said, sizeof(said), "%.*s", (int)strcspn(text, "\n"), text);
	}
	free(text);
	return 0;
}

void hg_libbpf_reset(void)
{
	said[0] = '\0';
	libbpf_set_print(listen);
}

const char *hg_libbpf_said(void)
{
	return said;
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static void close_descriptors(struct hg_bpf_programs *b)
{
	close_all(b->progs, HG_PROGS);
	close_all(b->maps, HG_MAPS);
}

static int pinned(const struct hg_pins *p, const char *sub, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (!p)
		return -ENOENT;
	fd = bpf_obj_get(hg_pins_path(p, path, sub, name, ""));
	return fd < 0 ? -errno : fd;
}

static bool is_flow_table(const char *name)
{
	return !strncmp(name, "hg_flows_", 9);
}

/* Same layout; the size of a flow table is what it was made with. */
static bool map_fits(int fd, const struct bpf_map *m)
{
	struct bpf_map_info i = { 0 };
	__u32 len = sizeof(i);

	return !bpf_obj_get_info_by_fd(fd, &i, &len) && i.type == bpf_map__type(m) &&
	       i.key_size == bpf_map__key_size(m) && i.value_size == bpf_map__value_size(m) &&
	       i.map_flags == bpf_map__map_flags(m) &&
	       (is_flow_table(bpf_map__name(m)) || i.max_entries == bpf_map__max_entries(m));
}

/* The maps are of one ABI or of another as a whole: half of each would mean nothing. */
static bool maps_fit(struct bpf_object *object, const struct hg_pins *p)
{
	struct hg_guard_config config;
	struct bpf_map *m;
	__u32 zero = 0;
	bool fit = true;
	int fd;

	bpf_object__for_each_map (m, object) {
		fd = pinned(p, "maps", bpf_map__name(m));
		if (fd < 0)
			return false;
		fit = map_fits(fd, m);
		if (fit && !strcmp(bpf_map__name(m), hg_bpf_map_names[HG_MAP_CONFIG]))
			fit = !bpf_map_lookup_elem(fd, &zero, &config) &&
			      config.abi == HG_GUARD_ABI;
		close(fd);
		if (!fit)
			return false;
	}
	return true;
}

static int reuse_maps(struct bpf_object *object, const struct hg_pins *p)
{
	struct bpf_map *m;
	int fd, ret = 0;

	bpf_object__for_each_map (m, object) {
		fd = pinned(p, "maps", bpf_map__name(m));
		if (fd < 0)
			return fd;
		ret = bpf_map__reuse_fd(m, fd);
		close(fd);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Each processor finds the kept flows that are over among its own only, so there must be room for
 * all of theirs: else what one has left behind would shut the others out.
 */
static unsigned int kept_size(const struct hg_guard_options *o)
{
	unsigned int all = HG_RING_SLOTS * (unsigned int)libbpf_num_possible_cpus();

	return o->flows_kept > all ? o->flows_kept : all;
}

static int size_tables(struct bpf_object *object, const struct hg_guard_options *o)
{
	const unsigned int sizes[3] = { kept_size(o), o->flows_inside, o->flows_outside };
	struct bpf_map *m;
	int ret;

	for (int i = 0; i < 3; i++) {
		m = bpf_object__find_map_by_name(object, hg_bpf_map_names[HG_MAP_KEPT + i]);
		ret = m ? bpf_map__set_max_entries(m, sizes[i]) : -ENOENT;
		if (ret)
			return ret;
	}
	return 0;
}

static int prog_info(int fd, struct bpf_prog_info *info, __u32 maps[PROG_MAPS_MAX])
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	info->nr_map_ids = PROG_MAPS_MAX;
	info->map_ids = (__u64)(unsigned long)maps;
	return bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

bool hg_program_jited(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.jited_prog_len;
}

/* Also if both are missing. */
static bool same_program(int a, int b)
{
	__u32 ma[PROG_MAPS_MAX] = { 0 }, mb[PROG_MAPS_MAX] = { 0 };
	struct bpf_prog_info ia, ib;

	if (a < 0 || b < 0)
		return a < 0 && b < 0;
	return !prog_info(a, &ia, ma) && !prog_info(b, &ib, mb) &&
	       !memcmp(ia.tag, ib.tag, sizeof(ia.tag)) && ia.nr_map_ids == ib.nr_map_ids &&
	       !memcmp(ma, mb, sizeof(ma));
}

/* Takes the pinned programs if they are what was just loaded, all of them. */
static void keep_programs(struct hg_bpf_programs *b, const struct hg_pins *p)
{
	int old[HG_PROGS];
	int n;

	for (n = 0; n < HG_PROGS; n++) {
		old[n] = pinned(p, "programs", hg_bpf_prog_names[n]);
		if (!same_program(old[n], b->progs[n])) {
			close_all(old, n + 1);
			return;
		}
	}
	close_all(b->progs, HG_PROGS);
	memcpy(b->progs, old, sizeof(old));
	b->fresh_progs = false;
}

static int pin_next(const struct hg_bpf_programs *b, const struct hg_pins *p, struct hg_error *e)
{
	char path[PATH_MAX];
	struct bpf_map *m;

	if (b->fresh_maps) {
		bpf_object__for_each_map (m, b->object) {
			hg_pins_path(p, path, "maps", bpf_map__name(m), "-next");
			if (bpf_obj_pin(bpf_map__fd(m), path))
				goto failed;
		}
	}
	for (int i = 0; b->fresh_progs && i < HG_PROGS; i++) {
		if (b->progs[i] < 0)
			continue;
		hg_pins_path(p, path, "programs", hg_bpf_prog_names[i], "-next");
		if (bpf_obj_pin(b->progs[i], path))
			goto failed;
	}
	return 0;
failed:
	return hg_error_set(e, -errno, "cannot pin %s: %s", path, strerror(errno));
}

/* Own descriptors of what the object holds, so that pinned ones can take their place. */
static int take_descriptors(struct hg_bpf_programs *b, const char *file, struct hg_error *e)
{
	const char *absent = NULL;

	for (int i = 0; i < HG_PROGS && !absent; i++) {
		struct bpf_program *p = bpf_object__find_program_by_name(b->object,
									 hg_bpf_prog_names[i]);

		if (p && i == HG_PROG_TIMER && !bpf_program__autoload(p))
			continue;
		b->progs[i] = p ? fcntl(bpf_program__fd(p), F_DUPFD_CLOEXEC, 0) : -1;
		absent = b->progs[i] < 0 ? hg_bpf_prog_names[i] : NULL;
	}
	for (int i = 0; i < HG_MAPS && !absent; i++) {
		struct bpf_map *m = bpf_object__find_map_by_name(b->object, hg_bpf_map_names[i]);

		b->maps[i] = m ? fcntl(bpf_map__fd(m), F_DUPFD_CLOEXEC, 0) : -1;
		absent = b->maps[i] < 0 ? hg_bpf_map_names[i] : NULL;
	}
	if (!absent)
		return 0;
	return hg_error_set(e, -EINVAL,
			    "%s: has no %s; it is not the guard's object of this version", file,
			    absent);
}

/* True if everything is pinned; then the descriptors are those. */
static bool take_pinned(struct hg_bpf_programs *b, const struct hg_pins *p)
{
	bool all = true;

	for (int i = 0; i < HG_PROGS && all; i++) {
		b->progs[i] = pinned(p, "programs", hg_bpf_prog_names[i]);
		all = b->progs[i] >= 0 || i == HG_PROG_TIMER;
	}
	for (int i = 0; i < HG_MAPS && all; i++) {
		b->maps[i] = pinned(p, "maps", hg_bpf_map_names[i]);
		all = b->maps[i] >= 0;
	}
	if (!all)
		close_descriptors(b);
	return all;
}

/* FNV-1a; never 0. It tells files of one maker apart, not those of an enemy, who would be root. */
static __u64 digest_of(const unsigned char *data, size_t size)
{
	__u64 h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * 0x100000001b3ull;
	return h ? h : 1;
}

static int file_read(const char *path, void **data, size_t *size)
{
	FILE *f = fopen(path, "re");
	char *buf;
	int ret = 0;

	if (!f)
		return -errno;
	buf = malloc(OBJECT_MAX);
	if (!buf) {
		ret = -ENOMEM;
		goto out;
	}
	*size = fread(buf, 1, OBJECT_MAX, f);
	if (ferror(f))
		ret = -EIO;
	else if (*size == OBJECT_MAX)
		ret = -EFBIG;
	if (!ret)
		*data = buf;
	else
		free(buf);
out:
	fclose(f);
	return ret;
}

static int open_object(struct hg_bpf_programs *b, const struct hg_guard_options *o,
		       const struct hg_pins *p, const void *data, size_t size, struct hg_error *e)
{
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "heliograph");
	struct bpf_map *m;
	int ret;

	b->object = bpf_object__open_mem(data, size, &opts);
	if (!b->object)
		return hg_error_set(e, -errno, "%s: not a BPF object: %s", o->object,
				    *said ? said : strerror(errno));
	bpf_object__for_each_map (m, b->object)
		if (bpf_map__is_internal(m))
			return hg_error_set(e, -EINVAL,
					    "%s: has global variables, which a restarted "
					    "agent could not take over",
					    o->object);
	ret = size_tables(b->object, o);
	if (ret)
		return hg_error_set(e, ret, "%s: cannot size the flow tables: %s", o->object,
				    strerror(-ret));
	b->fresh_maps = !p || !maps_fit(b->object, p);
	ret = b->fresh_maps ? 0 : reuse_maps(b->object, p);
	if (ret)
		return hg_error_set(e, ret, "%s: cannot take over the pinned maps: %s", o->object,
				    strerror(-ret));
	return 0;
}

/* Into the kernel, with the timer or, for kernels that refuse it, without. */
static int load_object(struct hg_bpf_programs *b, const struct hg_guard_options *o,
		       const struct hg_pins *p, const void *data, size_t size, bool timer,
		       struct hg_error *e)
{
	struct bpf_program *program;
	int ret = open_object(b, o, p, data, size, e);

	if (ret)
		return ret;
	program = bpf_object__find_program_by_name(b->object, hg_bpf_prog_names[HG_PROG_TIMER]);
	if (program && !timer)
		bpf_program__set_autoload(program, false);
	ret = bpf_object__load(b->object);
	if (ret)
		hg_error_set(e, ret, "%s: the kernel refuses the guard: %s%s", o->object,
			     *said ? said : strerror(-ret),
			     ret == -EPERM ? "; it needs CAP_BPF and CAP_NET_ADMIN" : "");
	return ret;
}

static int load(struct hg_bpf_programs *b, const struct hg_guard_options *o,
		const struct hg_pins *p, const void *data, size_t size, struct hg_error *e)
{
	int ret = load_object(b, o, p, data, size, true, e);

	if (ret && ret != -EPERM && b->object) {
		bpf_object__close(b->object);
		b->object = NULL;
		hg_libbpf_reset();
		ret = load_object(b, o, p, data, size, false, e);
	}
	if (ret)
		return ret;
	ret = take_descriptors(b, o->object, e);
	if (ret)
		return ret;
	b->fresh_progs = true;
	if (!b->fresh_maps)
		keep_programs(b, p);
	return p ? pin_next(b, p, e) : 0;
}

int hg_programs_load(struct hg_bpf_programs *b, const struct hg_guard_options *o,
		     const struct hg_pins *p, struct hg_error *e)
{
	void *data = NULL;
	size_t size = 0;
	int ret;

	*b = (struct hg_bpf_programs){ 0 };
	memset(b->progs, -1, sizeof(b->progs));
	memset(b->maps, -1, sizeof(b->maps));
	hg_libbpf_reset();
	ret = file_read(o->object, &data, &size);
	if (ret)
		return hg_error_set(e, ret, "cannot read %s: %s", o->object, strerror(-ret));
	b->digest = digest_of(data, size);
	if (!p || hg_pins_digest(p) != b->digest || !take_pinned(b, p))
		ret = load(b, o, p, data, size, e);
	free(data);
	if (ret)
		hg_programs_close(b);
	return ret;
}

int hg_programs_start(const int progs[HG_PROGS], struct hg_error *e)
{
	const char frame[HG_PROG_FRAME] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame));
	int fd = progs[HG_PROG_TIMER], ret;

	if (fd < 0)
		return 0;
	ret = bpf_prog_test_run_opts(fd, &o) ? -errno : -(int)o.retval;
	return ret ? hg_error_set(e, ret, "cannot start the guard's timer: %s", strerror(-ret)) : 0;
}

void hg_programs_close(struct hg_bpf_programs *b)
{
	close_descriptors(b);
	bpf_object__close(b->object);
	b->object = NULL;
}
