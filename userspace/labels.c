// SPDX-License-Identifier: MIT
/* Labels: one bit for each packet; fed by `heliograph profile test` with packets and alarms. */
#include "labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "episodes.h"

#define TARGETS 65536 /* places of the set of targets */

static int grow(struct hg_labels *l)
{
	__u64 room = l->room ? l->room * 2 : 1 << 16;
	unsigned char *bits;

	if (l->n < l->room)
		return 0;
	bits = room > HG_LABELS_MAX ? NULL : realloc(l->bits, room / 8);
	if (!bits)
		return -ENOMEM;
	memset(bits + l->room / 8, 0, (room - l->room) / 8);
	l->bits = bits;
	l->room = room;
	return 0;
}

/* A line, without its end. */
static int add_line(struct hg_labels *l, const char *line)
{
	size_t n = strcspn(line, "\r\n");

	if (n != 1 || (line[0] != '0' && line[0] != '1'))
		return -EINVAL;
	if (grow(l))
		return -ENOMEM;
	if (line[0] == '1')
		l->bits[l->n / 8] |= (unsigned char)(1u << l->n % 8);
	l->n++;
	return 0;
}

int hg_labels_load(struct hg_labels *l, const char *path, char *err, size_t err_size)
{
	struct hg_labels out = { 0 };
	FILE *f = fopen(path, "re");
	char line[16];
	int ret = 0;

	if (!f) {
		ret = -errno;
		snprintf(err, err_size, "%s: %s", path, strerror(-ret));
		return ret;
	}
	out.targets = calloc(TARGETS, sizeof(*out.targets));
	if (!out.targets)
		ret = -ENOMEM;
	while (!ret && fgets(line, sizeof(line), f))
		ret = add_line(&out, line);
	if (ret == -ENOMEM)
		snprintf(err, err_size, "%s: more labels than memory, or than %llu", path,
			 HG_LABELS_MAX);
	else if (ret)
		snprintf(err, err_size, "%s:%llu: must be 0 or 1, a line for each packet", path,
			 (unsigned long long)out.n + 1);
	if (!ret && ferror(f)) {
		ret = -EIO;
		snprintf(err, err_size, "%s: cannot be read", path);
	}
	fclose(f);
	if (ret)
		hg_labels_exit(&out);
	else
		*l = out;
	return ret;
}

void hg_labels_exit(struct hg_labels *l)
{
	free(l->bits);
	free(l->targets);
	*l = (struct hg_labels){ 0 };
}

bool hg_labels_is_attack(const struct hg_labels *l, __u64 number)
{
	return number && number <= l->n && l->bits[(number - 1) / 8] >> (number - 1) % 8 & 1;
}

static void add_target(struct hg_labels *l, const struct hg_addr *a)
{
	static const struct hg_addr none;
	__u32 i = (a->a[0] ^ a->a[1] ^ a->a[2] ^ a->a[3]) * 0x9e3779b1u >> 16;

	if (l->n_targets >= TARGETS / 2)
		return;
	while (memcmp(&l->targets[i], &none, sizeof(none))) {
		if (!memcmp(&l->targets[i], a, sizeof(*a)))
			return;
		i = (i + 1) % TARGETS;
	}
	l->targets[i] = *a;
	l->n_targets++;
}

void hg_labels_packet(struct hg_labels *l, const struct hg_replayer_packet *p)
{
	if (!hg_labels_is_attack(l, p->capture->number))
		return;
	if (!l->attack++)
		l->first_ns = p->capture->time_ns;
	l->last_ns = p->capture->time_ns;
	if (p->capture->out)
		add_target(l, &p->packet->key.remote);
}

void hg_labels_alarm(struct hg_labels *l, const struct hg_replayer_alarm *a)
{
	if (a->event.news == HG_EPISODE_END || !hg_attack_is_hostile(a->event.attack))
		return;
	if (!l->attack) {
		l->early += a->event.news == HG_EPISODE_START;
		return;
	}
	if (l->alarm_ns)
		return;
	l->alarm_ns = a->time_ns;
	l->alarm_attack = a->event.attack;
	l->before = l->attack;
	l->targets_before = l->n_targets;
}
