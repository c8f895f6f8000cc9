// SPDX-License-Identifier: MIT
/*
 * From the guard's ring buffer to its map of bound addresses, for userspace/watch.c. The map is
 * changed address by address as the table of names tells of changes; when an address has gained a
 * channel the guard is made to match its flows again, because the first packet to a new address
 * may be faster than we are.
 *
 * An agent that takes over a guard must know the names of its addresses: the profile may have
 * changed, and the device does not ask again before the life of an answer is over. So the pairs of
 * name and address are kept in a file below /run, good for this boot only.
 */
#include "answers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "guard-conf.h"
#include "names.h"
#include "../lib/log.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define FILE_HEAD "heliograph names 1 "
#define LINE_SIZE (INET6_ADDRSTRLEN + 1 + HG_DNS_NAME_MAX + 2)
#define SAVE_S 10 /* a table that changes all the time is written no more often */

struct hg_answers {
	const struct hg_guard_ops *ops;
	struct hg_guard *guard; /* NULL: none */
	struct hg_names *names;
	char *file; /* NULL: none */
	uint64_t saved_s;
	bool unsaved;	     /* the table has changed, or may have */
	bool failed;	     /* the map could not be written, and that was logged */
	bool unkept;	     /* likewise the file */
	uint64_t other, bad; /* messages that were no answers of use, and that were wrong */
};

static void write_bound(struct hg_answers *a, const struct hg_addr *addr,
			const struct hg_bound *bound)
{
	int ret = a->guard ? a->ops->set_bound(a->guard, addr, bound) : 0;

	if (ret && !a->failed)
		hg_error("names: the guard does not take an address: %s; flows to it count as "
			 "outside the profile",
			 strerror(-ret));
	a->failed = ret != 0;
}

static void on_change(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	struct hg_answers *a = ctx;

	a->unsaved = true;
	write_bound(a, addr, bound);
}

static void rematch(struct hg_answers *a)
{
	int ret = a->guard ? a->ops->rematch(a->guard) : 0;

	if (ret)
		hg_error("names: flows are not matched again: %s", strerror(-ret));
}

static bool boot_line(char *line, size_t size)
{
	const size_t n = sizeof(FILE_HEAD) - 1;
	FILE *f = fopen(BOOT_ID, "re");
	bool good;

	if (!f)
		return false;
	memcpy(line, FILE_HEAD, n + 1);
	good = fgets(line + n, (int)(size - n), f) && strchr(line, '\n');
	fclose(f);
	return good;
}

/* "ADDRESS NAME\n" */
static bool take_line(struct hg_answers *a, char *line, uint64_t now_s)
{
	char *name = strchr(line, ' '), *end = strchr(line, '\n');
	struct hg_addr addr;

	if (!name || !end)
		return false;
	*name++ = *end = '\0';
	if (hg_addr_parse(line, &addr) || *name == '*' || !hg_names_pattern_ok(name))
		return false;
	/* Which of them are in use nobody can say; so each has a whole grace time more. */
	hg_names_put(a->names, name, &addr, now_s);
	return true;
}

static void load(struct hg_answers *a, uint64_t now_s)
{
	char line[LINE_SIZE + 1], boot[LINE_SIZE + 1];
	FILE *f = a->file ? fopen(a->file, "re") : NULL;
	unsigned int n = 1;

	if (!f)
		return;
	if (boot_line(boot, sizeof(boot)) && fgets(line, sizeof(line), f) && !strcmp(line, boot)) {
		while (n <= HG_NAMES_LIMIT && fgets(line, sizeof(line), f)) {
			n++;
			if (take_line(a, line, now_s))
				continue;
			hg_warn("names: %s:%u: not an address and a name; the rest is left out",
				a->file, n);
			break;
		}
	}
	fclose(f);
	a->unsaved = false;
}

static void write_pair(void *ctx, const char *name, const struct hg_addr *addr, uint64_t expires_s,
		       __u64 channels)
{
	char text[INET6_ADDRSTRLEN];

	fprintf(ctx, "%s %s\n", hg_addr_print(addr, text), name);
}

/* Not synced to the medium: after a crash of the machine nobody wants it. */
static int save_as(const struct hg_answers *a, const char *path)
{
	char boot[LINE_SIZE + 1];
	FILE *f;
	int ret = 0;

	if (!boot_line(boot, sizeof(boot)))
		return -ENOENT;
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fchmod(fileno(f), 0600);
	fputs(boot, f);
	hg_names_each(a->names, write_pair, f);
	if (ferror(f))
		ret = -EIO;
	if (fclose(f) && !ret)
		ret = -errno;
	return ret;
}

static void save(struct hg_answers *a, uint64_t now_s)
{
	char next[4096];
	int ret;

	a->saved_s = now_s;
	a->unsaved = false;
	if (!a->file)
		return;
	ret = snprintf(next, sizeof(next), "%s-next", a->file) < (int)sizeof(next)
		      ? save_as(a, next)
		      : -ENAMETOOLONG;
	if (!ret && rename(next, a->file))
		ret = -errno;
	if (ret && !a->unkept)
		hg_warn("names: cannot write %s: %s; the next agent begins without names", a->file,
			strerror(-ret));
	a->unkept = ret != 0;
}

struct hg_answers *hg_answers_new(const char *file, uint64_t now_s)
{
	struct hg_answers *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->saved_s = now_s;
	a->names = hg_names_new(HG_NAMES_LIMIT, on_change, a);
	if (file)
		a->file = strdup(file);
	if (!a->names || (file && !a->file)) {
		hg_answers_free(a);
		return NULL;
	}
	load(a, now_s);
	return a;
}

void hg_answers_free(struct hg_answers *a)
{
	if (!a)
		return;
	if (a->unsaved)
		save(a, a->saved_s);
	hg_names_free(a->names);
	free(a->file);
	free(a);
}

void hg_answers_set_profile(struct hg_answers *a, const struct hg_compiled *profile)
{
	struct hg_names_pattern p[HG_PROFILE_REMOTES_ALL];
	size_t n = profile ? profile->n_names : 0;
	int ret;

	for (size_t i = 0; i < n; i++)
		p[i] = (struct hg_names_pattern){ profile->names[i].host,
						  profile->names[i].channels };
	ret = hg_names_set(a->names, p, n);
	if (ret < 0)
		hg_error("names: those of the profile are not used: %s", strerror(-ret));
	else if (ret)
		rematch(a);
}

struct strangers {
	const struct hg_names *names;
	size_t n;
	struct hg_addr addrs[HG_NAMES_LIMIT];
};

static int note_stranger(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound)
{
	struct strangers *s = ctx;

	if (s->n < HG_NAMES_LIMIT && !hg_names_name(s->names, addr))
		s->addrs[s->n++] = *addr;
	return 0;
}

static void write_pair_bound(void *ctx, const char *name, const struct hg_addr *addr,
			     uint64_t expires_s, __u64 channels)
{
	struct hg_answers *a = ctx;
	struct hg_bound b = hg_names_bound(a->names, addr);

	write_bound(a, addr, &b);
}

void hg_answers_set_guard(struct hg_answers *a, const struct hg_guard_ops *ops,
			  struct hg_guard *guard)
{
	static const struct hg_bound none;
	struct strangers *s;

	a->ops = ops;
	a->guard = guard;
	if (!guard)
		return;
	s = calloc(1, sizeof(*s));
	if (s) {
		s->names = a->names;
		a->ops->bound(guard, note_stranger, s);
		for (size_t i = 0; i < s->n; i++)
			write_bound(a, &s->addrs[i], &none);
		free(s);
	}
	hg_names_each(a->names, write_pair_bound, a);
	rematch(a);
}

void hg_answers_take(struct hg_answers *a, const struct hg_answer_event *e, uint64_t now_s)
{
	struct hg_dns_answer answer;
	int ret = hg_dns_answer(e->data, e->length, e->cut, &answer, NULL);

	if (ret) {
		a->other += ret == -ENOMSG;
		a->bad += ret != -ENOMSG;
		return;
	}
	a->unsaved = true;
	if (hg_names_answer(a->names, &answer, now_s))
		rematch(a);
}

struct use {
	struct hg_names *names;
	uint64_t now_s;
	uint32_t monotonic_s; /* the guard's clock */
};

static int use_flow(void *ctx, int table, const struct hg_flow_key *key, const struct hg_flow *f)
{
	const struct use *u = ctx;

	if (u->monotonic_s - f->last_s <= HG_NAMES_GRACE)
		hg_names_use(u->names, &key->remote, u->now_s);
	return 0;
}

/* A connection may live for weeks on an address that was asked for once. */
static void ask_flows(struct hg_answers *a, uint64_t now_s)
{
	struct use u = { .names = a->names, .now_s = now_s };
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	u.monotonic_s = (uint32_t)ts.tv_sec;
	if (a->guard)
		a->ops->flows(a->guard, use_flow, &u);
}

void hg_answers_tick(struct hg_answers *a, uint64_t now_s)
{
	if (hg_names_is_due(a->names, now_s))
		ask_flows(a, now_s);
	hg_names_expire(a->names, now_s);
	if (a->unsaved && now_s - a->saved_s >= SAVE_S)
		save(a, now_s);
}

json_t *hg_answers_status(const struct hg_answers *a)
{
	struct hg_names_stats st;

	hg_names_stats(a->names, &st);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "pairs", (json_int_t)st.pairs,
			 "limit", (json_int_t)st.limit, "answers", (json_int_t)st.answers, "other",
			 (json_int_t)a->other, "bad", (json_int_t)a->bad, "evicted",
			 (json_int_t)st.evicted, "refused", (json_int_t)st.refused);
}
