// SPDX-License-Identifier: MIT
/* What a search tells of itself beside spin's own words; docs/model/run reads it. */

/* What happened at least once in a search; printed at its end. Not part of the state. */
c_decl {
#define SEEN 64
	static const char *hg_seen[SEEN];
	static void hg_see(const char *what)
	{
		for (int i = 0; i < SEEN && hg_seen[i] != what; i++) {
			if (!hg_seen[i]) {
				hg_seen[i] = what;
				break;
			}
		}
	}
	static struct { const char *what; unsigned long times; } hg_judged[SEEN];
	static const char *hg_broken;
	static void hg_judge(const char *what)
	{
		int i = 0;

		while (hg_judged[i].what && hg_judged[i].what != what)
			i++;
		hg_judged[i].what = what;
		hg_judged[i].times++;
	}
	static void __attribute__((destructor)) hg_tell(void)
	{
		for (int i = 0; hg_judged[i].what; i++)
			printf("judged: %s: %lu\n", hg_judged[i].what, hg_judged[i].times);
		if (hg_broken)
			printf("broken: %s\n", hg_broken);
		for (int i = 0; i < SEEN && hg_seen[i]; i++)
			printf("seen: %s\n", hg_seen[i]);
	}
}
#define SEE(what) c_code { hg_see(what); }
/* A property. How often each was judged is printed, too: one that never is holds for nothing. */
#define HOLD(what, condition) c_code { hg_judge(what); }; \
	if :: (condition) :: else -> c_code { hg_broken = what; }; assert(false) fi
