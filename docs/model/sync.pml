// SPDX-License-Identifier: MIT
/*
 * The synchronisation protocol as it is implemented: userspace/session*.c, store*.c and command.c on
 * one side, mirror/session*.c and mirror/sql (sync(), admin_*) on the other. docs/sync-protocol.md says
 * what is left out; docs/model/run checks it in the configurations that it lists.
 *
 * A step is one durable transaction, or one message that moves. Between any two of them anything else
 * may happen: so a crash between steps is a crash at every step. Names follow the code: what the SQL
 * calls device_cursor is m.dc here; the comment at each field says so.
 *
 * Numbers that would grow for ever, sessions and rounds, are renamed by renumber() whenever a session
 * begins: only their order counts. So the device may try as often as it likes, and the search still ends.
 */

/* Sizes; docs/model/run gives others */
#ifndef DEVICES
#define DEVICES 1
#endif
#ifndef LATE
#define LATE 1 /* requests of sessions that were given up, still on their way */
#endif
#ifndef DEVICE_WRITES
#define DEVICE_WRITES 1
#endif
#ifndef MIRROR_WRITES
#define MIRROR_WRITES 1
#endif
#ifndef COMMANDS
#define COMMANDS 1
#endif
#ifndef REPEATABLE
#define REPEATABLE 0 /* bit n: the n-th command asked for */
#endif
#ifndef NUMBERS
#define NUMBERS COMMANDS /* of commands; 1 at least */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* beyond the first of a session */
#endif
#ifndef SESSIONS
#define SESSIONS 200 /* of each copy, where they are not renumbered */
#endif
#ifndef LOSSES
#define LOSSES 0 /* of a device's whole store */
#endif
#ifndef RELEASES
#define RELEASES 0 /* from quarantine */
#endif
#define PROPERTIES 2 /* of the device; the mirror has one */

#define NONE 0
#define QUEUED 1
#define LEASED 2
#define RECEIVED 3
#define EXECUTING 4
#define DONE 5
#define EXPIRED 6
#define CANCELLED 7
#define UNKNOWN 8
#define FINAL(s) ((s) >= DONE)
#define OPEN(s) ((s) != NONE && !FINAL(s))
#define REPEATS(id) ((REPEATABLE >> (id)) & 1)

#define OK 0
#define QUARANTINED 1
#define BUSY 2
#define REVOKED 3

#include "judge.pml"

typedef Request {
	bit here;
	bit old;	/* its connection was accepted before a newer session was heard of */
	bit from;	/* which device, for the answer; the mirror does not look at it */
	byte epoch;
	byte session;
	byte round;
	byte mepoch;	/* 0: FULL */
	byte mc;	/* mirror_cursor */
	byte cc;	/* command_cursor */
	byte change;	/* number; 0: none. At most one in a message: the rest must follow */
	byte what;
	byte value;
	byte report[NUMBERS + 1];
}

typedef Response {
	byte here;	/* 2: committed, not sent yet; 1: on its way */
	byte status;
	byte mepoch;
	bit whole;
	bit more;
	byte dc;	/* device_cursor */
	byte change;
	byte value;
	byte command;	/* at most one in a message */
	byte id;
}

typedef Device {
	/* durable */
	byte epoch;
	byte session;
	byte seq;		/* change_seq */
	byte acked;
	byte mepoch;
	byte mc;		/* mirror_cursor */
	byte cc;		/* command_cursor */
	byte value[PROPERTIES];
	byte number[PROPERTIES];
	byte copy;		/* of the mirror's property; 0: there is none */
	bit unconfirmed;	/* ... seq = 0 in the table */
	byte state[NUMBERS + 1];	/* the journal */
	byte id[NUMBERS + 1];
	byte told[NUMBERS + 1];
	/* volatile */
	byte talks;		/* 1: waits for an answer; 2: is to send the next request */
	byte round;
	byte sent[NUMBERS + 1];	/* reports of this request */
	bit old;		/* as of the request: of this connection */
	bit recovered;
	byte runs;		/* number of the command that was taken from the journal */
	byte run_id;
	bit started;		/* its handler */
	bit gone;		/* taken away by the operator; never acts again */
}

typedef Mirror { /* device_sync, device, device_epoch, property, command: one device's rows */
	byte epoch;
	byte mseq;		/* mirror_seq */
	byte cseq;		/* command_seq */
	byte depoch;		/* device_epoch; 0: NULL */
	byte replaced;		/* device_epoch rows: bit n for epoch n */
	byte session;
	byte round;
	byte dc;		/* device_cursor */
	byte cc;		/* command_cursor, said last */
	bit quarantined;
	bit revoked;
	byte held[PROPERTIES];	/* copies of the device's properties */
	byte unconfirmed;	/* bit p: held[p] was said before the numbers began anew (seq = 0 in the table) */
	byte value;		/* the mirror's own; 0: there is none */
	byte number;
	byte state[NUMBERS + 1];
	byte id[NUMBERS + 1];
}

typedef Count {
	byte times[COMMANDS + 1];
}

Device dev[DEVICES];
Request req[DEVICES];
Response res[DEVICES];
Request late[LATE];
Mirror m;

/* Of the world: what was asked for and what really happened */
byte device_wrote, mirror_wrote, asked;
byte epochs = 1, mepochs = 1;	/* given out */
Count ran[DEVICES];
#ifdef LIVE
bit calm;	/* no more faults */
#endif
bit news;	/* something changed at the mirror since it last answered */
byte losses = LOSSES, releases = RELEASES;
#ifdef CLONE
bit cloned;
byte heard, switches, skipped;	/* heard: 1 + the copy that the mirror accepted last */
bool spoke[DEVICES];
#endif
#ifdef RESTORE
Mirror kept, nothing;
bit saved, restored;
byte most_m, most_c;	/* highest numbers ever given */
#endif

Response a_lost; /* an answer that nobody waits for; empty between steps */
Request q;	/* the request in the mirror's transaction; empty outside of it */
hidden byte i, k, n, x, y, z;
hidden byte status, cursor_from;
hidden byte fresh, lost, is_new, more, late_end, first;


#define EQUAL(d) (dev[d].copy == m.value && dev[d].value[0] == m.held[0] && dev[d].value[1] == m.held[1])

#if DEVICES == 1
#ifndef UNTOLD
#define ALONE(d) true
#else
#define ALONE(d) false /* until the mirror finds out, its cursors say too much */
#endif
#define OTHER(d) 0
#else
#define OTHER(d) (1 - (d))
#define ALONE(d) (!cloned)
#endif

inline check_ended()
{
	for (n : 1 .. NUMBERS) {
		HOLD("commands end", !OPEN(m.state[n]));
	}
}

/* Holds whenever both sides speak in the terms of the same epochs. */
inline check_lost(d)
{
	if
	:: dev[d].mepoch == m.epoch && dev[d].epoch == m.depoch && !ALONE(d) -> skip
	:: dev[d].mepoch == m.epoch && dev[d].epoch == m.depoch && ALONE(d) ->
		for (n : 0 .. PROPERTIES - 1) {
			HOLD("nothing lost", dev[d].number[n] == 0 || dev[d].number[n] > dev[d].acked ||
			     dev[d].value[n] == m.held[n]);
		}
		for (n : 1 .. NUMBERS) {
			HOLD("nothing lost", !OPEN(m.state[n]) || n > dev[d].cc || dev[d].state[n] != NONE);
		}
	:: else
	fi
}

#define RAN(x) (ran[0].times[x] + ran[DEVICES - 1].times[x] > 0)

#if (defined(UNTOLD) && !defined(UNTOLD_LEVEL)) || defined(UNJUDGED)
#define PROMISED false
#else
#define PROMISED true
#endif
/* Nothing was left to say in a whole session, and nothing is under way: then both sides are level. */
inline check_quiet(d)
{
	x = 1;
	for (n : 1 .. NUMBERS) {
		if
		:: dev[d].state[n] == RECEIVED || dev[d].state[n] != dev[d].told[n] -> x = 0
		:: else
		fi
	}
	for (n : 0 .. LATE - 1) {
		if :: late[n].here -> x = 0 :: else fi
	}
	if
	:: x && PROMISED && !news && dev[d].runs == 0 && dev[d].recovered && dev[d].acked == dev[d].seq &&
	   !m.unconfirmed && (DEVICES == 1 || dev[OTHER(d)].gone) && !m.quarantined && !m.revoked ->
		SEE("quiet");
		HOLD("equal when quiet", EQUAL(d));
		check_ended()
	:: else
	fi
}

#include "device.pml"
#include "mirror.pml"
#include "people.pml"

init {
	atomic {
		m.epoch = 1;
		dev[0].epoch = 1;
		run sessions(0);
		run worker(0);
		run writer(0);
#if DEVICES > 1
		run sessions(1);
		run worker(1);
		run writer(1);
#endif
		run mirror();
#ifdef CRASH
		run mirror_kills();
#endif
		run people();
	}
#ifdef LIVE
	/* As long as this stands here, every cycle is one of progress; after it, none may be. */
progress_faults:
	calm = 1;
	timeout -> HOLD("commands end", SETTLED(0))
#endif
}
