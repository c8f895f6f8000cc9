// SPDX-License-Identifier: MIT
/* Does the same with <sys/queue.h> whoever wrote it: openwrt.t compiles it twice and compares. */
#include <sys/queue.h>
#include <stdio.h>
#include <stdlib.h>

struct item {
	int n;
	LIST_ENTRY(item) l;
	TAILQ_ENTRY(item) t;
};

int main(void)
{
	LIST_HEAD(list, item) list;
	TAILQ_HEAD(queue, item) queue = TAILQ_HEAD_INITIALIZER(queue);
	struct item items[8] = { 0 }, *i;
	int in[8] = { 0 };

	LIST_INIT(&list);
	srandom(1);
	for (int step = 0; step < 4000; step++) {
		int n = random() % 8;

		i = &items[n];
		i->n = n;
		if (in[n]) {
			LIST_REMOVE(i, l);
			TAILQ_REMOVE(&queue, i, t);
		} else {
			LIST_INSERT_HEAD(&list, i, l);
			if (random() % 2)
				TAILQ_INSERT_HEAD(&queue, i, t);
			else
				TAILQ_INSERT_TAIL(&queue, i, t);
		}
		in[n] = !in[n];
		LIST_FOREACH (i, &list, l)
			putchar('0' + i->n);
		putchar(LIST_EMPTY(&list) ? 'e' : ' ');
		for (i = TAILQ_FIRST(&queue); i; i = TAILQ_NEXT(i, t))
			putchar('0' + i->n);
		putchar(TAILQ_EMPTY(&queue) ? 'e' : '0' + TAILQ_LAST(&queue, queue)->n);
		putchar('\n');
	}
	return 0;
}
