/* SPDX-License-Identifier: MIT */
/* The table of cases through the core alone. tests/bpf/verdict_test.c plays it in BPF as well. */
#include "../tap.h"
#include "play.h"

int main(void)
{
	struct play_count n = { 0 };

	for (size_t i = 0; i < hg_n_cases; i++)
		ok(play_case(&hg_cases[i], NULL, &n), "%s", hg_cases[i].name);
	ok(play_mutations(NULL, 100000, &n), "changed frames are judged");
	printf("# %zu cases, %u packets\n", hg_n_cases, n.packets);
	return tap_done();
}
