// SPDX-License-Identifier: MIT
/*
 * Properties that both sides write: one of the rule newest, one counter. Written after userspace/
 * store-merge.c on one side and mirror/sql/functions/8-merge.sql on the other. That a request which the
 * device gave up is not believed is shown by sync.pml, and taken as given here: a message is lost or it
 * arrives before the next. A crash loses messages and nothing else, for a step is a durable transaction.
 *
 * A value is the number of its write, so it can be followed; its time is whatever the writer's clock
 * showed. A contribution to a counter is the set of its additions, so one that is lost or counted twice
 * shows; totals that replace each other are sets that replace each other.
 */
#ifndef WRITES
#define WRITES 3 /* of the newest property, by both sides together */
#endif
#ifndef ADDS
#define ADDS 2 /* to the counter, the same */
#endif
#define LATEST 2   /* the mirror's clock goes from 0 to this */
#define AHEAD 6	   /* a device's clock may show this, too; beyond the mirror's tolerance */
#define TOLERANCE 1

#include "judge.pml"

#define DEVICE 1
#define MIRROR 2

typedef Side {
	byte epoch;
	byte seq;	/* last number given to a change: change_seq, mirror_seq */
	/* newest */
	byte value;	/* 0: none */
	byte time;
	byte by;
	byte number;	/* of who wrote it */
	/* counter */
	byte own;	/* its own contribution: a set */
	byte own_number;
	byte other;	/* that of the other side */
	bit doubt;	/* theirs_seq is 0: not confirmed in this epoch */
	/* what it knows of the other side */
	byte known;	/* epoch; 0: none */
	byte cursor;	/* the other's changes held */
	byte acked;	/* the device's only: its own changes that the mirror holds */
	bit unconfirmed;
};

typedef Message { /* a request, or the response to it */
	bit here;
	byte epoch;
	byte asked;	/* of a response: by which epoch of the device, for its connection is gone with that */
	byte known;
	byte cursor;	/* mirror_cursor, or device_cursor */
	bit again;
	byte value;
	byte time;
	byte number;	/* 0: no such change */
	byte own;
	byte own_number;
	bit idle;	/* of a response: the request brought no change */
};

Side d, m, saved;
Message ask, answer;
byte now, writes, adds;
bit touched;	/* the mirror has changed since it made the last response */
bit backup, restored, lost;

/* For the properties: sets of writes and additions. */
byte replaced, named, excused, added, pardoned;
bit twice;
#define SET(x) (1 << (x))

/* Nothing that was acknowledged is gone without a word. */
inline account() {
	for (i : 1 .. writes) {
		HOLD("no write silently lost", d.value == i || m.value == i || ((replaced | named | excused) & SET(i)))
	}
	HOLD("no addition lost", (added & ~(d.own | d.other | m.own | m.other | pardoned)) == 0);
	HOLD("none counted twice", !twice && !(m.own & m.other) && !(d.own & d.other));
	i = 0
}

proctype Device() {
	byte i, t, before;
	bit anew, stays;
end:
	do
	:: d_step { writes < WRITES ->
		writes++;
		if
		:: t = d.time + 1
		:: d.time < AHEAD -> t = AHEAD
		:: now > d.time -> t = now
		fi;
		replaced = replaced | SET(d.value);
		d.value = writes; d.time = t; d.by = DEVICE;
		d.seq++; d.number = d.seq;
		t = 0;
		SEE("rules: device writes");
		printf("device writes %d, time %d\n", d.value, d.time)
	   }
	:: d_step { adds < ADDS ->
		added = added | SET(adds);
		d.own = d.own | SET(adds);
		adds++;
		d.seq++; d.own_number = d.seq;
		SEE("rules: device adds");
		printf("device adds %d\n", adds - 1)
	   }
	:: d_step { !ask.here && !answer.here ->
		ask.here = 1;
		ask.epoch = d.epoch;
		ask.known = d.known;
		ask.cursor = d.cursor;
		if
		:: d.value && d.by == DEVICE && d.number > d.acked ->
			ask.value = d.value; ask.time = d.time; ask.number = d.number
		:: else -> ask.number = 0
		fi;
		if
		:: d.own_number > d.acked -> ask.own = d.own; ask.own_number = d.own_number
		:: else -> ask.own_number = 0
		fi;
		printf("device asks: value %d (%d), additions %d (%d)\n", ask.value, ask.number, ask.own, ask.own_number)
	   }
	:: d_step { answer.here && answer.asked != d.epoch -> answer.here = 0 }
	:: d_step { answer.here && answer.asked == d.epoch ->
		before = d.acked;
		anew = d.known != 0 && d.known != answer.epoch;
		if
		:: anew ->
			SEE("rules: device meets a new epoch of the mirror");
			before = 0; /* what the mirror had, it may have lost */
			d.doubt = 1;
			d.cursor = 0;
			d.acked = 0;
#ifdef BUG_FOLD
			d.own = d.own | d.other;
			d.seq++; d.own_number = d.seq;
#endif
			if
			:: d.value && d.by == MIRROR -> d.seq++; d.number = d.seq; d.by = DEVICE
			:: else
			fi
		:: else -> d.acked = (answer.again -> 0 : answer.cursor)
		fi;
		d.known = answer.epoch;
		if
		:: answer.number > d.cursor ->
			stays = d.by == DEVICE && d.time > answer.time && d.number > d.acked;
#ifdef BUG_CLOCK
			stays = d.time > answer.time;
#endif
			if
#ifdef OLD_MET /* what the device said anew for a restored mirror was not taken for a write that can lose */
			:: d.by == DEVICE && d.number > before && !anew && d.value != answer.value ->
#else
			:: d.by == DEVICE && (stays || d.number > before) && d.value != answer.value ->
#endif
				if
				:: stays -> SEE("rules: device names a value of the mirror"); named = named | SET(answer.value)
#ifndef BUG_SILENT
				:: !stays -> SEE("rules: device names a value of its own"); named = named | SET(d.value)
#else
				:: else
#endif
				fi
			:: else
			fi;
			if
			:: stays -> skip
			:: else -> d.value = answer.value; d.time = answer.time; d.by = MIRROR; d.number = 0
			fi
		:: else
		fi;
		if
		:: answer.own_number > d.cursor -> d.other = answer.own; d.doubt = 0
		:: else
		fi;
		d.cursor = (answer.number > d.cursor -> answer.number : d.cursor);
		d.cursor = (answer.own_number > d.cursor -> answer.own_number : d.cursor);
		if
		:: d.doubt -> d.other = 0; d.doubt = 0
		:: else
		fi;
		printf("device hears: value %d (%d), additions %d (%d); now %d, %d and %d\n", answer.value, answer.number,
		       answer.own, answer.own_number, d.value, d.own, d.other);
		account();
		if
		:: answer.idle && !anew && !answer.again && !answer.number && !answer.own_number && !touched && d.acked == d.seq ->
			HOLD("equal when quiet", d.value == m.value && (d.own | d.other) == (m.own | m.other));
			HOLD("the counter is the sum", (added & ~pardoned & ~(m.own | m.other)) == 0)
		:: else
		fi;
		answer.here = 0;
		before = 0; anew = 0; stays = 0
	   }
	od
}

inline take_newest(seen) {
	t = (ask.time > now + TOLERANCE -> now : ask.time);
	if
	:: ask.time > now + TOLERANCE -> SEE("rules: a clock is too far ahead")
	:: else
	fi;
	if
	:: m.value == 0 || m.by == DEVICE || t > m.time ->
		if
		:: m.value && m.by == MIRROR && m.number > seen && m.value != ask.value ->
			SEE("rules: mirror names a value of its own");
			named = named | SET(m.value)
		:: else
		fi;
		m.time = (m.value && m.time > t -> m.time : t);
		m.value = ask.value; m.by = DEVICE; m.number = ask.number
	:: else ->
		if
		:: m.value == ask.value -> skip
		:: else ->
			SEE("rules: mirror names a value of the device");
			named = named | SET(ask.value);
#ifndef BUG_NO_NUMBER
			if
			:: m.number <= seen -> m.seq++; m.number = m.seq
			:: else
			fi
#endif
		fi
	fi;
	t = 0
}

proctype Mirror() {
	byte i, t, seen, was;
	bit anew, gone;
end:
	do
	:: d_step { now < LATEST -> now++ }
	:: d_step { writes < WRITES ->
		writes++;
		replaced = replaced | SET(m.value);
		m.time = (m.value && m.time >= now -> m.time + 1 : now);
		m.value = writes; m.by = MIRROR;
		m.seq++; m.number = m.seq;
		touched = 1;
		SEE("rules: mirror writes");
		printf("mirror writes %d, time %d\n", m.value, m.time)
	   }
	:: d_step { adds < ADDS ->
		added = added | SET(adds);
		m.own = m.own | SET(adds);
		adds++;
		m.seq++; m.own_number = m.seq;
		touched = 1;
		SEE("rules: mirror adds");
		printf("mirror adds %d\n", adds - 1)
	   }
	:: d_step { ask.here && !answer.here ->
		anew = m.known && m.known != ask.epoch;
		gone = ask.known && ask.known != m.epoch;
		if
		:: m.known != ask.epoch -> m.known = ask.epoch; m.cursor = 0
		:: else
		fi;
		if
		:: gone -> m.cursor = 0
		:: else
		fi;
		seen = (gone -> 0 : ask.cursor);
		if
		:: anew || gone ->
			if
			:: m.value && m.by == DEVICE -> SEE("rules: mirror keeps a value of the device"); m.seq++; m.number = m.seq; m.by = MIRROR
			:: else
			fi;
			if
			:: anew && m.other ->
				SEE("rules: mirror keeps additions of the device");
				twice = twice || (m.own & m.other);
#ifndef BUG_NO_FOLD
				m.own = m.own | m.other;
#endif
				m.other = 0; m.doubt = 0;
				m.seq++; m.own_number = m.seq
			:: else ->
				m.doubt = m.other != 0;
				m.unconfirmed = m.unconfirmed || m.doubt
			fi
		:: else
		fi;
		was = m.cursor;
		if
		:: ask.number > was -> take_newest(seen); m.cursor = ask.number
		:: else
		fi;
		if
		:: ask.own_number > was ->
#ifdef BUG_AGAIN
			twice = twice || (m.other & ask.own);
#endif
			m.other = ask.own; m.doubt = 0;
			m.cursor = (ask.own_number > m.cursor -> ask.own_number : m.cursor)
		:: else
		fi;
		answer.idle = !ask.number && !ask.own_number;
		if
		:: m.unconfirmed && answer.idle && ask.known == m.epoch ->
			if
			:: m.doubt -> SEE("rules: a contribution was not said again"); m.other = 0; m.doubt = 0
			:: else
			fi;
			m.unconfirmed = 0
		:: else
		fi;
		if
		:: gone -> m.cursor = 0
		:: else
		fi;
		answer.here = 1;
		answer.epoch = m.epoch;
		answer.asked = ask.epoch;
		answer.cursor = m.cursor;
		answer.again = gone;
		if
		:: m.value && m.by == MIRROR && m.number > seen -> answer.value = m.value; answer.time = m.time; answer.number = m.number
		:: else -> answer.number = 0
		fi;
		if
		:: m.own_number > seen -> answer.own = m.own; answer.own_number = m.own_number
		:: else -> answer.own_number = 0
		fi;
		touched = 0;
		ask.here = 0;
		printf("mirror takes it: value %d by %d, additions %d and %d\n", m.value, m.by, m.own, m.other);
		account();
		seen = 0; was = 0; anew = 0; gone = 0
	   }
	od
}

inline copy(to, from) {
	to.epoch = from.epoch; to.seq = from.seq; to.value = from.value; to.time = from.time; to.by = from.by;
	to.number = from.number; to.own = from.own; to.own_number = from.own_number; to.other = from.other;
	to.doubt = from.doubt; to.known = from.known; to.cursor = from.cursor; to.unconfirmed = from.unconfirmed
}

proctype Others() {
	byte none;
end:
	do
	:: d_step { ask.here -> ask.here = 0; SEE("rules: a request is lost"); printf("network loses the request\n") }
	:: d_step { answer.here -> answer.here = 0; SEE("rules: a response is lost"); printf("network loses the response\n") }
#ifdef STORE
	:: d_step { /* what only the device held is gone; what the mirror has is not */
		!lost ->
		lost = 1;
		if
		:: d.value != m.value -> excused = excused | SET(d.value)
		:: else
		fi;
		pardoned = pardoned | (d.own & ~(m.own | m.other));
		d.epoch = 2; d.seq = 0; d.value = 0; d.time = 0; d.by = 0; d.number = 0; d.own = 0; d.own_number = 0;
		d.other = 0; d.doubt = 0; d.known = 0; d.cursor = 0; d.acked = 0; d.unconfirmed = 0;
		answer.here = 0;
		SEE("rules: the device loses its store");
		printf("somebody loses the device's store\n")
	   }
#endif
#ifdef RESTORE
	:: d_step { !backup -> backup = 1; copy(saved, m); printf("somebody backs the mirror up\n") }
	:: d_step { /* what only the mirror held, and not its backup, is gone */
		backup && !restored ->
		restored = 1;
		if
		:: m.value != saved.value && m.value != d.value -> excused = excused | SET(m.value)
		:: else
		fi;
		pardoned = pardoned | ((m.own | m.other) & ~(saved.own | saved.other | d.own));
		none = m.seq;
		copy(m, saved);
		m.epoch = 2;
		m.seq = none; /* numbers leap */
		none = 0;
		ask.here = 0; answer.here = 0;
		touched = 1;
		SEE("rules: the mirror is put back");
		printf("somebody puts the mirror back\n")
	   }
#endif
	od
}

init {
	atomic {
		d.epoch = 1;
		m.epoch = 1;
		run Device();
		run Mirror();
		run Others()
	}
}
