/* SPDX-License-Identifier: MIT */
/*
 * The table of cases in the module, in step with the core: with link headers, without, and with
 * little of each frame in the linear part of its buffer, the module must give the same reason, flow
 * and windows after every packet; so must frames changed at random. Runs where heliograph.ko is.
 */
#include "../tap.h"
#include "module.h"

#define MUTATIONS 2000

static void play(struct module *m, struct player *p, const char *how)
{
	struct play_count n = { 0 };
	const struct hg_case *c;
	size_t i;

	module_room(m, 64); /* all flows are read after each packet */
	for (i = 0; (c = play_case_at(i)); i++) {
		unsigned int skipped = n.skipped;
		int same = play_case(c, p, &n);

		if (skipped == n.skipped)
			ok(same, "%s%s: %s", p->name, how, c->name);
		else
			printf("# cannot be given to the %s%s: %s\n", p->name, how, c->name);
	}
	module_room(m, MUTATIONS);
	ok(play_mutations(p, MUTATIONS, &n), "%s%s: changed frames are judged alike", p->name, how);
	printf("# %s%s: %zu cases, %u packets judged alike; %u cases cannot be given to it\n",
	       p->name, how, i, n.packets, n.skipped);
}

int main(void)
{
	const char *why = "";
	struct module *m = module_new("lo", &why);

	if (!m) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	play(m, module_player(m, 0), "");
	play(m, module_player(m, 1), "");
	module_linear(m, 1);
	play(m, module_player(m, 0), " in pages");
	module_free(m);
	return tap_done();
}
