/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a capture: read, searched for its device and its peers, and learned from. What is
 * read twice must be the same, and what is learned must be a profile. The first byte says how: 1
 * by addresses given, 2 file in the order given, 4 policy monitor.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "../../userspace/learn.h"

/* Longer captures are only read: each second of silence is played, and a fuzzer has many. */
#define SPAN_NS (7200ull * 1000000000)
#define PACKETS_MAX 2000

static const uint8_t *bytes;
static size_t n_bytes;

static FILE *open_bytes(void *ctx, const char *name)
{
	return n_bytes ? fmemopen((void *)(uintptr_t)bytes, n_bytes, "rb")
		       : fopen("/dev/null", "re");
}

static unsigned int packets_of(struct hg_capture *c)
{
	struct hg_capture_packet p;
	unsigned int n = 0;
	__u64 last = 0;
	char err[1024];
	int ret;

	hg_capture_rewind(c);
	while ((ret = hg_capture_next(c, &p, err, sizeof(err))) == 1) {
		holds(p.frame.network >= p.frame.data);
		holds(p.captured <= p.frame.wire);
		holds(p.time_ns >= last);
		last = p.time_ns;
		n++;
	}
	holds(!ret);
	return n;
}

static void learn(struct hg_capture *c, const struct hg_capture_peers *peers, uint8_t how)
{
	struct hg_learn *l = calloc(1, sizeof(*l));
	struct hg_profile *p = calloc(1, sizeof(*p));
	char err[1024], *text;

	if (!l || !p)
		abort();
	hg_profile_init(&l->profile);
	strcpy(l->profile.model, "m");
	strcpy(l->profile.firmware, "f");
	l->capture = c;
	l->peers = peers;
	l->policy = how & 4 ? HG_POLICY_MONITOR : HG_POLICY_INITIATED;
	holds(!hg_learn_run(l, err, sizeof(err)));
	text = hg_profile_write(&l->profile);
	holds(text);
	if (hg_profile_parse(text, strlen(text), p, err, sizeof(err))) {
		fprintf(stderr, "%s\n%s\n", err, text);
		abort();
	}
	free(text);
	free(p);
	hg_learn_exit(l);
	free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const name = "fuzz";
	struct hg_capture_device device;
	struct hg_capture_options o = { .files = &name, .n_files = 1, .open = open_bytes };
	const struct hg_capture_info *info;
	struct hg_capture_peers peers;
	struct hg_capture *c;
	char err[1600];
	uint8_t how;

	if (!size)
		return 0;
	how = data[0];
	bytes = data + 1;
	n_bytes = size - 1;
	o.as_given = how & 2;
	if (how & 1 && !hg_capture_device_parse("192.168.1.20,2001:db8:1::20", &device, err, 64))
		o.device = &device;
	c = hg_capture_new(&o, err, sizeof(err));
	if (!c) {
		holds(strlen(err) > 4);
		return 0;
	}
	info = hg_capture_file_info(c, 0);
	holds(info->packets == packets_of(c) && info->packets);
	holds(!hg_capture_peers_find(c, &peers, err, sizeof(err)));
	if (info->last_ns - info->first_ns < SPAN_NS && info->packets < PACKETS_MAX)
		learn(c, &peers, how);
	hg_capture_free(c);
	return 0;
}
