/* SPDX-License-Identifier: MIT */
/*
 * The lists of BSD's <sys/queue.h> that the agent uses, for a C library that has no such header
 * (musl): the recipe names this directory last, so a header of the toolchain's own is taken first.
 */
#ifndef HG_COMPAT_SYS_QUEUE_H
#define HG_COMPAT_SYS_QUEUE_H

#define LIST_HEAD(name, type)                                                                      \
	struct name {                                                                              \
		struct type *lh_first;                                                             \
	}
#define LIST_ENTRY(type)                                                                           \
	struct {                                                                                   \
		struct type *le_next;                                                              \
		struct type **le_prev; /* what points at us */                                     \
	}
#define LIST_INIT(head) ((head)->lh_first = 0)
#define LIST_EMPTY(head) (!(head)->lh_first)
#define LIST_FIRST(head) ((head)->lh_first)
#define LIST_NEXT(elm, field) ((elm)->field.le_next)
#define LIST_FOREACH(var, head, field)                                                             \
	for ((var) = LIST_FIRST(head); (var); (var) = LIST_NEXT(var, field))
#define LIST_INSERT_HEAD(head, elm, field)                                                         \
	do {                                                                                       \
		(elm)->field.le_next = (head)->lh_first;                                           \
		if ((elm)->field.le_next)                                                          \
			(head)->lh_first->field.le_prev = &(elm)->field.le_next;                   \
		(head)->lh_first = (elm);                                                          \
		(elm)->field.le_prev = &(head)->lh_first;                                          \
	} while (0)
#define LIST_REMOVE(elm, field)                                                                    \
	do {                                                                                       \
		if ((elm)->field.le_next)                                                          \
			(elm)->field.le_next->field.le_prev = (elm)->field.le_prev;                \
		*(elm)->field.le_prev = (elm)->field.le_next;                                      \
	} while (0)

#define TAILQ_HEAD(name, type)                                                                     \
	struct name {                                                                              \
		struct type *tqh_first;                                                            \
		struct type **tqh_last; /* where the next one's address goes */                    \
	}
#define TAILQ_ENTRY(type)                                                                          \
	struct {                                                                                   \
		struct type *tqe_next;                                                             \
		struct type **tqe_prev;                                                            \
	}
#define TAILQ_HEAD_INITIALIZER(head)                                                               \
	{                                                                                          \
		0, &(head).tqh_first                                                               \
	}
#define TAILQ_INIT(head)                                                                           \
	do {                                                                                       \
		(head)->tqh_first = 0;                                                             \
		(head)->tqh_last = &(head)->tqh_first;                                             \
	} while (0)
#define TAILQ_EMPTY(head) (!(head)->tqh_first)
#define TAILQ_FIRST(head) ((head)->tqh_first)
#define TAILQ_NEXT(elm, field) ((elm)->field.tqe_next)
/* A head and an entry begin alike, so the entry before the last can be read as a head. */
#define TAILQ_LAST(head, headname) (*((struct headname *)((head)->tqh_last))->tqh_last)
#define TAILQ_FOREACH(var, head, field)                                                            \
	for ((var) = TAILQ_FIRST(head); (var); (var) = TAILQ_NEXT(var, field))
#define TAILQ_INSERT_HEAD(head, elm, field)                                                        \
	do {                                                                                       \
		(elm)->field.tqe_next = (head)->tqh_first;                                         \
		if ((elm)->field.tqe_next)                                                         \
			(head)->tqh_first->field.tqe_prev = &(elm)->field.tqe_next;                \
		else                                                                               \
			(head)->tqh_last = &(elm)->field.tqe_next;                                 \
		(head)->tqh_first = (elm);                                                         \
		(elm)->field.tqe_prev = &(head)->tqh_first;                                        \
	} while (0)
#define TAILQ_INSERT_TAIL(head, elm, field)                                                        \
	do {                                                                                       \
		(elm)->field.tqe_next = 0;                                                         \
		(elm)->field.tqe_prev = (head)->tqh_last;                                          \
		*(head)->tqh_last = (elm);                                                         \
		(head)->tqh_last = &(elm)->field.tqe_next;                                         \
	} while (0)
#define TAILQ_REMOVE(head, elm, field)                                                             \
	do {                                                                                       \
		if ((elm)->field.tqe_next)                                                         \
			(elm)->field.tqe_next->field.tqe_prev = (elm)->field.tqe_prev;             \
		else                                                                               \
			(head)->tqh_last = (elm)->field.tqe_prev;                                  \
		*(elm)->field.tqe_prev = (elm)->field.tqe_next;                                    \
	} while (0)

#endif
