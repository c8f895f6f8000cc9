/* SPDX-License-Identifier: MIT */
/*
 * The table of cases in BPF, in step with the core: XDP, tc, and tc without link header must give
 * the same reason, flow and windows after every packet; so must packets changed at random.
 */
#include "../tap.h"
#include "testrun.h"

#define MUTATIONS 4000
#define COST_RUNS 100000

static void play(struct player *p)
{
	struct play_count n = { 0 };
	const struct hg_case *c;

	for (size_t i = 0; (c = play_case_at(i)); i++) {
		unsigned int skipped = n.skipped;
		int same = play_case(c, p, &n);

		if (skipped == n.skipped)
			ok(same, "%s: %s", p->name, c->name);
	}
	ok(play_mutations(p, MUTATIONS, &n), "%s: changed frames are judged alike", p->name);
	printf("# %s: %u packets judged alike; %u cases cannot be given to it\n", p->name,
	       n.packets, n.skipped);
}

/* For the reader, not judged: machines and their load differ. */
static void cost(struct testrun *t, enum testrun_kind kind, const char *name)
{
	static const struct {
		const char *what, *out, *in;
	} frames[] = { { "junk", NULL, "udp 4321 77 data=18" },
		       { "TCP junk", NULL, "tcp=S 8080 4321" },
		       { "IPv6 junk", NULL, "ip6 udp 4321 77 data=18" },
		       { "to the mirror's flow", "ip4 r=M tcp=A 4000 8443",
			 "ip4 r=M tcp=A 4000 8443" },
		       { "to a flow outside", "tcp=A 4000 80", "tcp=A 4000 80" } };
	struct player *p = testrun_player(t, kind);
	struct frame f;
	const char *bad;

	printf("# %s, ns per packet:", name);
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		if (frames[i].out && !frame_from_words(&f, 1, frames[i].out, &bad))
			p->run(p, &f);
		if (!frame_from_words(&f, 0, frames[i].in, &bad))
			printf(" %s %.0f,", frames[i].what, testrun_cost(t, kind, &f, COST_RUNS));
	}
	if (!frame_from_words(&f, 1, "ip4 r=M tcp=A 4000 8443", &bad))
		printf(" sent to the mirror %.0f,", testrun_cost(t, kind, &f, COST_RUNS));
	if (!frame_from_words(&f, 1, "tcp=A 4000 80", &bad))
		printf(" sent outside %.0f\n", testrun_cost(t, kind, &f, COST_RUNS));
}

int main(void)
{
	const char *why;
	struct testrun *t = testrun_new(4096, &why);

	if (!t) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	play(testrun_player(t, TESTRUN_XDP));
	play(testrun_player(t, TESTRUN_TC));
	play(testrun_player(t, TESTRUN_TC_L3));
	cost(t, TESTRUN_XDP, "xdp");
	cost(t, TESTRUN_TC, "tc");
	testrun_free(t);
	return tap_done();
}
