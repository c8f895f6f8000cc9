/* SPDX-License-Identifier: MIT */
/*
 * The device's durable memory: properties of both sides, the command journal, cursors, counters.
 * One SQLite file, DIR/store.db. What a function here reports as done survives a power cut.
 *
 * All functions return 0 or -errno and leave the reason in hg_store_error():
 *   -ENOSPC  the disk or [device] store_max is full; later calls may succeed
 *   -EDQUOT  properties_max, journal_max, results_max, or half of store_max for values of ours
 *            is reached
 *   -EIO     the file cannot be read or written
 * After an error nothing was changed; but where the last sync of a transaction is what failed, it
 * may have been. Then functions for a session return the error until it is certain.
 *
 * Not for use from several threads or signal handlers.
 */
#ifndef HG_USERSPACE_STORE_H
#define HG_USERSPACE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../lib/wire.h"

struct hg_store;

/* How writes of both sides become one value; the Thing Model says which rule a property has. */
enum hg_merge {
	HG_MERGE_NONE = 0, /* nothing to merge: one side writes, the other only reads */
	HG_MERGE_NEWEST,   /* both write; the newer write wins, the mirror's if equally old */
	HG_MERGE_COUNTER,  /* both add to it */
};

/* A contribution to a counter lies within -HG_COUNTER_MAX..HG_COUNTER_MAX: sums fit int64. */
#define HG_COUNTER_MAX ((INT64_C(1) << 62) - 1)

struct hg_store_options {
	const char *dir;
	uint64_t size_max;
	uint64_t properties_max;
	uint64_t journal_max;
	/* Bytes of a value that comes in parts, an eighth of size_max at most; 0: none does. */
	uint64_t object_max;
	uint64_t results_max; /* bytes of outputs that wait to be reported; 0: any number */
};

/*
 * Opens or makes the store and locks its directory. -EBUSY: another agent has it. -EUCLEAN: the
 * file is damaged or not a store; it is left as it is. err says what the operator can do.
 */
int hg_store_open(const struct hg_store_options *options, struct hg_store **store, char *err,
		  size_t err_size);
void hg_store_close(struct hg_store *s);

/*
 * Says how to find the rule of a property; before that, all have HG_MERGE_NONE. To be called before
 * any other function. ctx outlives the store.
 */
void hg_store_rules(struct hg_store *s, enum hg_merge (*rule)(void *ctx, const char *name),
		    void *ctx);
const char *hg_store_error(const struct hg_store *s);

struct hg_store_cursors {
	uint8_t epoch[HG_EPOCH_LEN];
	uint8_t mirror_epoch[HG_EPOCH_LEN];
	bool mirror_known;	 /* mirror_epoch was seen */
	uint64_t change_seq;	 /* last number given to a change of ours */
	uint64_t change_acked;	 /* the mirror holds everything up to this one */
	uint64_t mirror_cursor;	 /* mirror's changes applied */
	uint64_t command_cursor; /* commands journalled */
};

/* Valid until the next call that changes the store. */
const struct hg_store_cursors *hg_store_cursors(const struct hg_store *s);

/*
 * Numbers that are never given twice, whatever happens to the power: blocks are reserved durably,
 * so most calls write nothing. While the disk is full the current block can still be used up.
 */
enum hg_store_counter { HG_COUNTER_SESSION, HG_COUNTER_ALARM, HG_COUNTERS };
int hg_store_next(struct hg_store *s, enum hg_store_counter which, uint64_t *number);
/* From now on numbers are `least` and above, if they are not already. Returns 0 or -errno. */
int hg_store_raise(struct hg_store *s, enum hg_store_counter which, uint64_t least);

/*
 * A new epoch: the mirror is to forget our numbering; all our properties are sent again. It keeps
 * what it holds of our counters, so these go on from what it has not been told.
 */
int hg_store_renew(struct hg_store *s);

enum hg_owner { HG_OWNER_DEVICE = 0, HG_OWNER_MIRROR = 1 };

struct hg_property {
	struct hg_slice name;
	struct hg_slice value; /* CBOR; empty: removed */
	enum hg_owner owner;   /* of HG_MERGE_NEWEST: who wrote this value */
	uint64_t seq;	       /* of its owner's numbering */
	uint64_t time_ms;
};

/*
 * Sets (value empty: removes) properties that the device may write, all or none; equal values are
 * no change. A counter is set by adding what is missing. *changed is the number of rows that
 * changed. -EPERM: one is owned by the mirror. -ENOENT: removal of one that is not there. -ERANGE,
 * -EINVAL: not a value for a counter; a counter cannot be removed.
 */
int hg_store_set(struct hg_store *s, const struct hg_property *list, size_t n, uint64_t now_ms,
		 size_t *changed);

/*
 * Adds to a counter; *sum is its value then. -EINVAL: its rule is another. -ERANGE: the device's
 * contribution would leave HG_COUNTER_MAX.
 */
int hg_store_add(struct hg_store *s, struct hg_slice name, int64_t delta, uint64_t now_ms,
		 int64_t *sum);

/* Visitors return non-zero to stop; slices last for the call only. Removed rows are not visited. */
typedef int (*hg_property_visit)(void *ctx, const struct hg_property *p);

/* The property `name`, or -ENOENT. */
int hg_store_get(struct hg_store *s, struct hg_slice name, hg_property_visit visit, void *ctx);
/* All whose name sorts after `after` (empty: from the first), by name. */
int hg_store_list(struct hg_store *s, struct hg_slice after, hg_property_visit visit, void *ctx);
/*
 * The mirror's clock stood at mirror_ms at some time while ours went from sent_ms to now_ms (Unix
 * time in ms). From now on writes of HG_MERGE_NEWEST are timed by it, until the process ends.
 */
void hg_store_clock(struct hg_store *s, uint64_t mirror_ms, uint64_t sent_ms, uint64_t now_ms);

/* Changes of ours above `after`, by number, removals among them; of counters our contribution. */
int hg_store_changes(struct hg_store *s, uint64_t after, hg_property_visit visit, void *ctx);

/* A value that lost against a newer one of the other side. The last 64 are kept, or less. */
struct hg_conflict {
	uint64_t id;
	struct hg_slice name;
	enum hg_owner owner;   /* who wrote it */
	struct hg_slice value; /* CBOR; empty: a removal */
	uint64_t time_ms;      /* when it was made */
};

typedef int (*hg_conflict_visit)(void *ctx, const struct hg_conflict *c);

/* Those with an id above `after`, oldest first. */
int hg_store_conflicts(struct hg_store *s, uint64_t after, hg_conflict_visit visit, void *ctx);

struct hg_journal_entry {
	uint64_t seq;
	struct hg_slice action;
	struct hg_slice input; /* CBOR or empty */
	uint32_t execute_within_ms;
	bool repeatable;
	uint8_t state;	 /* enum hg_command_state */
	uint64_t age_ms; /* since it was received; UINT64_MAX: cannot be told */
	int32_t exit_status;
	struct hg_slice output; /* CBOR or empty */
	struct hg_slice detail; /* text */
};

typedef int (*hg_journal_visit)(void *ctx, const struct hg_journal_entry *e);

/* Entries of one state, or of any (state 0), by number. */
int hg_store_journal(struct hg_store *s, unsigned int state, hg_journal_visit visit, void *ctx);
/* Entries whose state the mirror has not been told yet, by number. */
int hg_store_reports(struct hg_store *s, hg_journal_visit visit, void *ctx);
/* How many finished commands wait to be reported. */
int hg_store_reports_count(struct hg_store *s, size_t *n);

/*
 * After a restart and before anything is run: entries that were executing become unknown, or
 * received again if they are repeatable. *n is their number.
 */
int hg_store_recover(struct hg_store *s, size_t *n);
/* received -> executing, durable when this returns 0. -ESTALE: it is not in state received. */
int hg_store_started(struct hg_store *s, uint64_t seq);
/*
 * To a final state. -ENOENT: it is gone (the mirror began a new epoch meanwhile). -EDQUOT: its
 * output would be more than results_max together with those that wait.
 */
int hg_store_finished(struct hg_store *s, const struct hg_journal_entry *e);

/* A report that the answered request carried. */
struct hg_store_told {
	uint64_t seq;
	uint8_t state;
};

/*
 * Takes note that a signed profile is used. -ESTALE: one with a higher serial has been used for
 * this model and firmware, *last is that.
 */
int hg_store_profile(struct hg_store *s, const char *model, const char *firmware, uint64_t serial,
		     uint64_t *last);

struct hg_store_applied {
	size_t parts;	 /* of a value that is not whole yet */
	size_t refused;	 /* values over object_max, or none when they were whole */
	size_t changes;	 /* properties written */
	size_t ignored;	 /* changes of properties that the device owns, counters that are none */
	size_t commands; /* journalled */
	size_t waiting;	 /* commands left to the mirror because the journal is full */
	bool new_mirror; /* the mirror's epoch changed: everything is exchanged again */
	bool lost;	 /* values lost: hg_store_conflicts(last_conflict) has them */
	uint64_t last_conflict;
};

/* What is held of a change that the mirror sends in parts: 1 with *p, 0: nothing, or -errno. */
int hg_store_partial(struct hg_store *s, struct hg_wire_partial *p);

/*
 * Takes one response with status OK in one transaction: cursors, changes, commands (journalled as
 * received), reports that it acknowledges. Numbers seen before are skipped. -ESTALE: the mirror
 * holds changes of ours that we never made (an old copy of the store): hg_store_renew() is due.
 */
int hg_store_apply(struct hg_store *s, const struct hg_wire_response *r,
		   const struct hg_store_told *told, size_t n_told,
		   struct hg_store_applied *applied);

#endif
