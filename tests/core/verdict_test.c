/* SPDX-License-Identifier: MIT */
/*
 * The table of cases through the core alone; tests/bpf/verdict_test.c plays it in BPF as well. With
 * the word "seeds" it prints the cases' frames for the fuzzer, one case a line.
 */
#include "../tap.h"
#include "play.h"

static int print_seeds(void)
{
	static uint8_t seed[1 << 16];

	for (size_t i = 0; i < hg_n_cases; i++) {
		size_t n = play_seed(&hg_cases[i], seed, sizeof(seed));

		for (size_t k = 0; k < n; k++)
			printf("%02x", seed[k]);
		putchar('\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct play_count n = { 0 };

	if (argc == 2 && !strcmp(argv[1], "seeds"))
		return print_seeds();
	for (size_t i = 0; i < hg_n_cases; i++)
		ok(play_case(&hg_cases[i], NULL, &n), "%s", hg_cases[i].name);
	ok(play_mutations(NULL, 100000, &n), "changed frames are judged");
	printf("# %zu cases, %u packets\n", hg_n_cases, n.packets);
	return tap_done();
}
