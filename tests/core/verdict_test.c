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

	for (size_t i = 0; play_case_at(i); i++) {
		size_t n = play_seed(play_case_at(i), seed, sizeof(seed));

		for (size_t k = 0; k < n; k++)
			printf("%02x", seed[k]);
		putchar('\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct play_count n = { 0 };
	size_t i;

	if (argc == 2 && !strcmp(argv[1], "seeds"))
		return print_seeds();
	for (i = 0; play_case_at(i); i++)
		ok(play_case(play_case_at(i), NULL, &n), "%s", play_case_at(i)->name);
	ok(play_mutations(NULL, 100000, &n), "changed frames are judged");
	printf("# %zu cases, %u packets\n", i, n.packets);
	return tap_done();
}
