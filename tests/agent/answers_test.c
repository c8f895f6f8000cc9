// SPDX-License-Identifier: MIT
/*
 * From the guard's events to its map, on a guard of arrays and a played clock: what is bound, when
 * flows are matched again, what the end of a life does, and what the next agent knows.
 */
#include "../tap.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "dns_message.h"
#include "../../userspace/answers.h"
#include "../../userspace/guard-conf.h"
#include "../../userspace/names.h"

#define MAP_MAX 2048

struct hg_guard {
	struct hg_addr addr[MAP_MAX];
	struct hg_bound bound[MAP_MAX];
	size_t n;
	unsigned int rematches, walks;
	struct hg_flow_key flow; /* the one that there is, if its remote is not zero */
	struct hg_flow state;
	int broken;
};

static struct hg_guard guard;
static struct hg_compiled profile;
static char dir[] = "/tmp/hg-answers-XXXXXX";
static char file[64];

static int fake_set_bound(struct hg_guard *g, const struct hg_addr *addr, const struct hg_bound *b)
{
	size_t i;

	if (g->broken)
		return g->broken;
	for (i = 0; i < g->n && memcmp(&g->addr[i], addr, sizeof(*addr)); i++)
		;
	if (b->channels || b->flags) {
		g->addr[i] = *addr;
		g->bound[i] = *b;
		g->n += i == g->n;
	} else if (i < g->n) {
		g->addr[i] = g->addr[--g->n];
		g->bound[i] = g->bound[g->n];
	}
	return 0;
}

static int fake_bound(struct hg_guard *g,
		      int (*each)(void *ctx, const struct hg_addr *addr, const struct hg_bound *b),
		      void *ctx)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < g->n; i++)
		ret = each(ctx, &g->addr[i], &g->bound[i]);
	return ret;
}

static int fake_rematch(struct hg_guard *g)
{
	g->rematches++;
	return 0;
}

static int fake_flows(struct hg_guard *g,
		      int (*each)(void *ctx, int table, const struct hg_flow_key *key,
				  const struct hg_flow *flow),
		      void *ctx)
{
	g->walks++;
	return g->flow.remote.a[2] ? each(ctx, 1, &g->flow, &g->state) : 0;
}

static const struct hg_guard_ops fake = {
	.name = "fake",
	.flows = fake_flows,
	.set_bound = fake_set_bound,
	.bound = fake_bound,
	.rematch = fake_rematch,
};

/* Channels of the address in the guard, or -1. */
static long long channels(const char *text)
{
	struct hg_addr a;

	hg_addr_parse(text, &a);
	for (size_t i = 0; i < guard.n; i++)
		if (!memcmp(&guard.addr[i], &a, sizeof(a)))
			return (long long)guard.bound[i].channels;
	return -1;
}

static void name(const char *host, __u64 in)
{
	struct hg_compiled_name *n = &profile.names[profile.n_names++];

	snprintf(n->host, sizeof(n->host), "%s", host);
	n->channels = in;
}

static void take(struct hg_answers *a, const char *host, const char *addr, uint32_t ttl,
		 uint64_t now_s)
{
	struct hg_answer_event e = { .head.type = HG_EVENT_ANSWER };
	struct message m;

	begin(&m, host, A);
	address(&m, "@12", ttl, addr);
	memcpy(e.data, m.b, m.n);
	e.length = (__u16)m.n;
	hg_answers_take(a, &e, now_s);
}

static long long counted(const struct hg_answers *a, const char *what)
{
	json_t *o = hg_answers_status(a);
	long long n = json_integer_value(json_object_get(o, what));

	json_decref(o);
	return n;
}

static struct hg_answers *start(const char *path)
{
	struct hg_answers *a = hg_answers_new(path, 1000);

	hg_answers_set_profile(a, &profile);
	hg_answers_set_guard(a, &fake, &guard);
	return a;
}

static void check_take(void)
{
	struct hg_answers *a = start(NULL);
	struct hg_answer_event e = { .length = 11 };
	unsigned int before = guard.rematches;

	take(a, "a.test", "192.0.2.1", 300, 1000);
	is_int(channels("192.0.2.1"), 2, "an address of the profile's name is bound");
	is_int(guard.rematches - before, 1, "and flows are matched again");
	take(a, "a.test", "192.0.2.1", 300, 1001);
	take(a, "new.example", "192.0.2.2", 300, 1001);
	is_int(channels("192.0.2.2"), 0, "an address of another name is known");
	is_int(guard.rematches - before, 1, "which changes no flow, nor does an old answer");
	hg_answers_take(a, &e, 1000);
	is_int(counted(a, "bad"), 1, "a message that is too short is bad");
	e.length = 12;
	hg_answers_take(a, &e, 1000);
	is_int(counted(a, "other"), 1, "a question is another");
	is_int(counted(a, "answers"), 3, "answers are counted");
	is_int(counted(a, "pairs"), 2, "so are pairs");
	hg_answers_free(a);
	is_int(channels("192.0.2.1"), 2, "the guard keeps what it has");
}

static void check_life(void)
{
	struct hg_answers *a = start(NULL);
	uint64_t end = 1000 + 300 + HG_NAMES_GRACE;
	struct timespec ts;
	unsigned int before;

	is_int(channels("192.0.2.1"), -1, "what nobody knows any more is taken from the guard");
	take(a, "a.test", "192.0.2.1", 300, 1000);
	take(a, "new.example", "192.0.2.2", 300, 1000);
	guard.walks = 0;
	hg_answers_tick(a, end - 1);
	is_int(guard.walks, 0, "flows are not looked at before an end is near");
	clock_gettime(CLOCK_MONOTONIC, &ts);
	hg_addr_parse("192.0.2.1", &guard.flow.remote);
	guard.state.last_s = (__u32)ts.tv_sec - 10;
	hg_answers_tick(a, end);
	is_int(channels("192.0.2.1"), 2, "an address with a live flow stays");
	is_int(channels("192.0.2.2"), -1, "one without goes");
	guard.state.last_s = (__u32)ts.tv_sec - HG_NAMES_GRACE - 100;
	before = guard.rematches;
	hg_answers_tick(a, end + HG_NAMES_GRACE - 1);
	is_int(channels("192.0.2.1"), 2, "and a grace time longer");
	hg_answers_tick(a, end + HG_NAMES_GRACE);
	is_int(channels("192.0.2.1"), -1, "then its life is over");
	is_int(guard.rematches - before, 0, "flows keep the channel they were opened in");
	memset(&guard.flow, 0, sizeof(guard.flow));
	hg_answers_free(a);
}

static void check_guard(void)
{
	struct hg_answers *a = start(NULL);
	struct hg_bound odd = { .channels = 1ull << 40, .flags = HG_BOUND_NAMED };
	struct hg_addr addr;

	hg_answers_set_guard(a, &fake, NULL);
	take(a, "a.test", "192.0.2.1", 300, 1000);
	is_int(channels("192.0.2.1"), -1, "without a guard nothing is written");
	hg_addr_parse("192.0.2.77", &addr);
	fake_set_bound(&guard, &addr, &odd);
	hg_addr_parse("192.0.2.1", &addr);
	fake_set_bound(&guard, &addr, &odd);
	hg_answers_set_guard(a, &fake, &guard);
	is_int(channels("192.0.2.77"), -1, "a guard is told to forget what others wrote");
	is_int(channels("192.0.2.1"), 2, "and what holds");
	guard.broken = -E2BIG;
	take(a, "a.test", "192.0.2.3", 300, 1000);
	guard.broken = 0;
	hg_answers_set_guard(a, &fake, &guard);
	is_int(channels("192.0.2.3"), 2, "what it refused it gets the next time");
	profile.names[0].channels = 4;
	hg_answers_set_profile(a, &profile);
	is_int(channels("192.0.2.3"), 4, "another profile, other channels");
	hg_answers_set_profile(a, NULL);
	is_int(channels("192.0.2.3"), 0, "no profile, none");
	profile.names[0].channels = 2;
	hg_answers_free(a);
}

static void put_file(const char *head, const char *lines)
{
	char boot[64] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f) {
		ok(fgets(boot, sizeof(boot), f), "this boot has a name");
		fclose(f);
	}
	f = fopen(file, "we");
	if (!f)
		return;
	fprintf(f, "%s%s%s", head, *head ? boot : "", lines);
	fclose(f);
}

static bool file_has(const char *line)
{
	char text[8192] = "";
	FILE *f = fopen(file, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return strstr(text, line) != NULL;
}

static void check_file(void)
{
	static const char *const bad[] = { "192.0.2.1 a..test\n",
					   "192.0.2.1 *.test\n",
					   "192.0.2.256 a.test\n",
					   "192.0.2.1\n",
					   "192.0.2.1 a.test",
					   "192.0.2.1 a.test x\n",
					   " a.test\n",
					   "\n" };
	struct hg_answers *a = start(file);
	struct stat st;

	take(a, "a.test", "192.0.2.1", 300, 1000);
	take(a, "b.example", "2001:db8::1", 300, 1000);
	ok(stat(file, &st), "nothing is written at once");
	hg_answers_tick(a, 1010);
	ok(file_has("192.0.2.1 a.test\n") && file_has("2001:db8::1 b.example\n"),
	   "but seconds later");
	take(a, "a.test", "192.0.2.4", 300, 1011);
	hg_answers_free(a);
	ok(file_has("192.0.2.4 a.test\n"), "and at the end");
	guard.n = 0;
	a = start(file);
	ok(channels("192.0.2.4") == 2 && channels("2001:db8::1") == 0, "the next one knows all");
	hg_answers_tick(a, 1000 + HG_NAMES_GRACE - 1);
	is_int(channels("192.0.2.4"), 2, "each for a grace time");
	hg_answers_tick(a, 1000 + HG_NAMES_GRACE);
	is_int(channels("192.0.2.4"), -1, "and no longer");
	hg_answers_free(a);
	put_file("", "heliograph names 1 00000000-0000-0000-0000-000000000000\n192.0.2.1 a.test\n");
	a = start(file);
	is_int(counted(a, "pairs"), 0, "of another boot nothing is taken");
	hg_answers_free(a);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char lines[128];

		snprintf(lines, sizeof(lines), "192.0.2.9 a.test\n%s", bad[i]);
		put_file("heliograph names 1 ", lines);
		a = start(file);
		is_int(counted(a, "pairs"), 1, "a bad line ends it");
		hg_answers_free(a);
	}
	a = start("/nowhere/names");
	take(a, "a.test", "192.0.2.1", 300, 1000);
	hg_answers_tick(a, 2000);
	is_int(channels("192.0.2.1"), 2, "without a place for the file all else works");
	hg_answers_free(a);
	hg_answers_free(NULL);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(file, sizeof(file), "%s/names", dir);
	name("*.test", 2);
	check_take();
	check_life();
	check_guard();
	check_file();
	unlink(file);
	ok(!rmdir(dir), "nothing else was made");
	return tap_done();
}
