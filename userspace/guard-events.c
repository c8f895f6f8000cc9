// SPDX-License-Identifier: MIT
/*
 * Seconds and events of an open guard. Where the kernel takes the guard's timer, seconds are closed
 * there; elsewhere the agent does it here, by the program that closes one channel. What there is to
 * tell comes through one ring, which has one reader at a time: he holds a lock on the directory of
 * pinned maps, since two would each get half of it.
 */
#include "guard-bpf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define LATE_NS 3000000000ull /* as in ebpf/close.h: one that is later does not run */

/* Value of the map hg_timer behind the kernel's own part. */
struct clock_value {
	__u64 timer[2];
	__u64 due_ns;
};

static __u64 monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

enum hg_guard_clock hg_events_clock(struct hg_guard *g)
{
	struct hg_pins p = { .lock = -1, .state = -1 };
	struct clock_value clock = { 0 };
	const __u32 zero = 0;
	char path[PATH_MAX];
	int fd, ret;

	if (g->close_prog >= 0)
		return HG_CLOCK_AGENT;
	snprintf(p.dir, sizeof(p.dir), "%s", g->pin_dir);
	/* Not kept open: the timer lives as long as somebody holds its map. */
	fd = bpf_obj_get(hg_pins_path(&p, path, "maps", "hg_timer", ""));
	if (fd < 0)
		return HG_CLOCK_STOPPED;
	ret = bpf_map_lookup_elem(fd, &zero, &clock);
	close(fd);
	if (ret || !clock.due_ns)
		return HG_CLOCK_STOPPED;
	return (__s64)(monotonic_ns() - clock.due_ns) < (__s64)LATE_NS ? HG_CLOCK_KERNEL
								       : HG_CLOCK_STOPPED;
}

int hg_events_close_seconds(struct hg_guard *g, unsigned int seconds)
{
	const char frame[HG_PROG_FRAME] = { 0 };
	struct __sk_buff skb = { .priority = seconds };
	int ret = 0;

	if (g->close_prog < 0)
		return 0;
	for (__u32 channel = 0; !ret && channel < HG_CHANNELS_MAX; channel++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame),
			    .ctx_in = &skb, .ctx_size_in = sizeof(skb));

		skb.mark = channel;
		ret = bpf_prog_test_run_opts(g->close_prog, &o) ? -errno : 0;
	}
	return ret;
}

static int event_one(void *ctx, void *data, size_t size)
{
	struct hg_guard *g = ctx;

	if (hg_event_whole(data, size) && g->each)
		g->each(g->each_ctx, data);
	return 0;
}

static int reader_lock(struct hg_guard *g)
{
	struct hg_pins p = { .lock = -1, .state = -1 };
	char path[PATH_MAX];
	int fd;

	snprintf(p.dir, sizeof(p.dir), "%s", g->pin_dir);
	fd = open(hg_pins_path(&p, path, "maps", "", ""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	close(fd);
	return -EBUSY;
}

int hg_events_fd(struct hg_guard *g)
{
	int fd;

	if (g->ring)
		return ring_buffer__epoll_fd(g->ring);
	fd = reader_lock(g);
	if (fd < 0)
		return fd;
	g->ring = ring_buffer__new(g->maps[HG_MAP_EVENTS], event_one, g, NULL);
	if (!g->ring) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	g->reader = fd;
	return ring_buffer__epoll_fd(g->ring);
}

int hg_events_read(struct hg_guard *g, void (*each)(void *ctx, const struct hg_event *e), void *ctx)
{
	int ret = hg_events_fd(g);

	if (ret < 0)
		return ret;
	g->each = each;
	g->each_ctx = ctx;
	ret = ring_buffer__consume(g->ring);
	g->each = NULL;
	return ret < 0 ? ret : 0;
}

void hg_events_free(struct hg_guard *g)
{
	ring_buffer__free(g->ring);
	if (g->reader >= 0)
		close(g->reader);
	g->ring = NULL;
	g->reader = -1;
}
