/* SPDX-License-Identifier: MIT */
/*
 * The table of cases in BPF, in step with the core: XDP, tc, and tc without link header must give the
 * same reason, flow and windows after every packet; so must packets changed at random.
 */
#include "../tap.h"
#include "testrun.h"

#define MUTATIONS 4000

static void play(struct player *p)
{
	struct play_count n = { 0 };

	for (size_t i = 0; i < hg_n_cases; i++) {
		unsigned int skipped = n.skipped;
		int same = play_case(&hg_cases[i], p, &n);

		if (skipped == n.skipped)
			ok(same, "%s: %s", p->name, hg_cases[i].name);
	}
	ok(play_mutations(p, MUTATIONS, &n), "%s: changed frames are judged alike", p->name);
	printf("# %s: %u packets judged alike; %u cases cannot be given to it\n", p->name,
	       n.packets, n.skipped);
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
	testrun_free(t);
	return tap_done();
}
