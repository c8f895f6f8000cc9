// SPDX-License-Identifier: MIT
// The device: userspace/session.c, store*.c, command.c. Included by sync.pml.

/* Sessions and rounds to the smallest numbers in the same order; those of other epochs stay. */
inline renumber(d)
{
#ifndef CLONE
	x = (m.depoch == dev[d].epoch -> m.session : 0);
	y = (late[0].here && late[0].epoch == dev[d].epoch -> late[0].session : 0);
	z = 0;
#if LATE > 1
	z = (late[1].here && late[1].epoch == dev[d].epoch -> late[1].session : 0);
#endif
	if
	:: x > 0 ->
		m.session = 1 + (y > 0 && y < x) + (z > 0 && z < x && z != y);
		if :: x != y && x != z -> m.round = 0 :: else fi
	:: else
	fi;
	if
	:: y > 0 ->
		late[0].session = 1 + (x > 0 && x < y) + (z > 0 && z < y && z != x);
		if :: x != y -> late[0].round = 0 :: else fi
	:: else
	fi;
#if LATE > 1
	if
	:: z > 0 ->
		late[1].session = 1 + (x > 0 && x < z) + (y > 0 && y < z && y != x);
		if :: x != z -> late[1].round = 0 :: else fi
	:: else
	fi;
#endif
	dev[d].session = LATE + 1
#else
	skip
#endif
}

/* hg_session_gather(): the request says all that the mirror does not hold, as far as it has room. */
inline gather(d)
{
	req[d].here = 1;
	req[d].old = dev[d].old;
	req[d].from = d;
	req[d].epoch = dev[d].epoch;
	req[d].session = dev[d].session;
	req[d].round = dev[d].round;
	req[d].mepoch = dev[d].mepoch;
	req[d].mc = dev[d].mc;
	req[d].cc = dev[d].cc;
	k = PROPERTIES;
	for (n : 0 .. PROPERTIES - 1) {
		if
		:: dev[d].number[n] > dev[d].acked && k == PROPERTIES -> k = n
		:: dev[d].number[n] > dev[d].acked && k < PROPERTIES ->
			if :: dev[d].number[n] < dev[d].number[k] -> k = n :: else fi
		:: else
		fi
	}
	if
	:: k < PROPERTIES ->
		req[d].change = dev[d].number[k];
		req[d].what = k;
		req[d].value = dev[d].value[k];
#ifdef BUG_CLEAR_DEVICE /* planted: what was sent leaves the queue */
		dev[d].acked = dev[d].number[k]
#endif
	:: else
		req[d].change = 0;
		req[d].what = 0;
		req[d].value = 0
	fi;
	for (n : 1 .. NUMBERS) {
		if
		:: dev[d].state[n] != NONE && dev[d].state[n] != dev[d].told[n] ->
			req[d].report[n] = dev[d].state[n];
			dev[d].sent[n] = dev[d].state[n]
		:: else ->
			req[d].report[n] = 0;
			dev[d].sent[n] = 0
		fi
	}
	dev[d].talks = 1
}

inline hang_up(d)
{
	dev[d].talks = 0;
	dev[d].round = 0;
	dev[d].old = 0;
	for (n : 1 .. NUMBERS) {
		dev[d].sent[n] = 0
	}
	res[d].here = 0;
	res[d].status = 0;
	res[d].mepoch = 0;
	res[d].whole = 0;
	res[d].more = 0;
	res[d].dc = 0;
	res[d].change = 0;
	res[d].value = 0;
	res[d].command = 0;
	res[d].id = 0
}

inline forget(r)
{
	r.here = 0;
	r.old = 0;
	r.from = 0;
	r.epoch = 0;
	r.session = 0;
	r.round = 0;
	r.mepoch = 0;
	r.mc = 0;
	r.cc = 0;
	r.change = 0;
	r.what = 0;
	r.value = 0;
	for (n : 1 .. NUMBERS) {
		r.report[n] = 0
	}
}

inline duplicate(a, b)
{
	b.here = 1;
	b.old = a.old;
	b.from = a.from;
	b.epoch = a.epoch;
	b.session = a.session;
	b.round = a.round;
	b.mepoch = a.mepoch;
	b.mc = a.mc;
	b.cc = a.cc;
	b.change = a.change;
	b.what = a.what;
	b.value = a.value;
	for (n : 1 .. NUMBERS) {
		b.report[n] = a.report[n]
	}
}

inline move(a, b)
{
	duplicate(a, b);
	forget(a)
}

/* meet_mirror() */
inline meet_mirror(d)
{
	is_new = false;
	if
	:: dev[d].mepoch != res[d].mepoch ->
		if
		:: dev[d].mepoch != 0 ->
			SEE("device: new mirror epoch");
			is_new = true;
			dev[d].unconfirmed = (dev[d].copy != 0);
			for (n : 1 .. NUMBERS) {
				if
				:: dev[d].state[n] == RECEIVED ->
					dev[d].state[n] = NONE;
					dev[d].id[n] = 0;
					dev[d].told[n] = 0
				:: else
				fi
			}
			dev[d].mc = 0;
			dev[d].cc = 0;
			dev[d].acked = 0
		:: else
		fi;
		dev[d].mepoch = res[d].mepoch
	:: else
	fi
}

/* hg_store_apply(): one durable transaction; then is_more() */
inline take(d)
{
	meet_mirror(d);
	if :: !is_new -> dev[d].acked = (res[d].whole -> 0 : res[d].dc) :: else fi;
	fresh = is_new || res[d].whole || res[d].change || res[d].command || res[d].more;
	if
	:: res[d].change > dev[d].mc ->
		dev[d].copy = res[d].value;
		dev[d].unconfirmed = 0;
		dev[d].mc = res[d].change
	:: else
	fi;
	if
	:: res[d].command > dev[d].cc ->
		k = res[d].command;
		if
		:: dev[d].state[k] == NONE ->
			dev[d].state[k] = RECEIVED;
			dev[d].id[k] = res[d].id;
			dev[d].told[k] = RECEIVED
		:: else -> SEE("device: command that is in the journal already")
		fi;
		dev[d].cc = k
	:: else
	fi;
	for (n : 1 .. NUMBERS) { /* take_told() */
		if
		:: FINAL(dev[d].sent[n]) && dev[d].state[n] == dev[d].sent[n] ->
			dev[d].state[n] = NONE;
			dev[d].id[n] = 0;
			dev[d].told[n] = 0
		:: dev[d].sent[n] == EXECUTING && dev[d].state[n] != NONE -> dev[d].told[n] = EXECUTING
		:: else
		fi
	}
	if
	:: dev[d].unconfirmed && !res[d].more ->
		SEE("device: mirror's property is gone");
		dev[d].copy = 0;
		dev[d].unconfirmed = 0
	:: else
	fi;
	for (n : 1 .. NUMBERS) {
		if :: FINAL(dev[d].state[n]) -> fresh = true :: else fi
	}
	fresh = fresh || dev[d].acked < dev[d].seq;
	k = dev[d].round;
	x = dev[d].old;
	hang_up(d);
	if
	:: fresh && k < ROUNDS ->
		dev[d].talks = 2;
		dev[d].round = k + 1;
		dev[d].old = x
	:: fresh && k >= ROUNDS -> skip
	:: else -> check_quiet(d)
	fi;
	check_lost(d)
}

inline not_heard(d)
{
#ifdef CLONE
	if :: cloned && !spoke[d] -> skipped++ :: else fi
#else
	skip
#endif
}

/* The end of a connection that may have had an unread request: lost, or to be heard later. */
inline give_up(d)
{
	if
	:: req[d].here && late_end && !late[0].here -> move(req[d], late[0]); SEE("request delayed")
#if LATE > 1
	:: req[d].here && late_end && late[0].here && !late[1].here -> move(req[d], late[1])
	:: req[d].here && late_end && late[0].here && late[1].here -> forget(req[d])
#else
	:: req[d].here && late_end && late[0].here -> forget(req[d])
#endif
	:: req[d].here && !late_end -> forget(req[d]); SEE("request lost")
	:: else -> SEE("answer lost")
	fi;
	not_heard(d);
	hang_up(d)
}

/* What a killed process forgets */
inline stop(d)
{
	dev[d].runs = 0;
	dev[d].run_id = 0;
	dev[d].started = 0;
	dev[d].recovered = 0
}

#define RUNNABLE(d, n) (dev[d].state[n] == RECEIVED)
inline oldest(d) /* k: the oldest received command, or 0 */
{
	k = 0;
	for (n : 1 .. NUMBERS) {
		if :: k == 0 && RUNNABLE(d, n) -> k = n :: else fi
	}
}
#if NUMBERS == 0
#define HAS_RECEIVED(d) false
#elif NUMBERS == 1
#define HAS_RECEIVED(d) RUNNABLE(d, 1)
#elif NUMBERS == 2
#define HAS_RECEIVED(d) (RUNNABLE(d, 1) || RUNNABLE(d, 2))
#else
#define HAS_RECEIVED(d) (RUNNABLE(d, 1) || RUNNABLE(d, 2) || RUNNABLE(d, 3))
#endif

inline run_handler(d)
{
	dev[d].started = 1;
	k = dev[d].run_id;
	if :: ran[d].times[k] < 3 -> ran[d].times[k]++ :: else fi;
	HOLD("no run twice", REPEATS(k) || ran[d].times[k] == 1);
	if
	:: REPEATS(k) && ran[d].times[k] > 1 -> SEE("repeatable command run again")
	:: else
	fi;
#if DEVICES == 1
	n = dev[d].runs;
	HOLD("told truly", REPEATS(k) || m.id[n] != k || (m.state[n] != EXPIRED && m.state[n] != CANCELLED))
#endif
}

#ifdef LIVE /* once it is calm, the device waits for its worker and for all that is under way */
#define WANTED(d) (!calm || (!SETTLED(d) && ASKED && !HAS_RECEIVED(d) && !dev[d].runs && \
			     dev[d].recovered && !late[0].here))
#define FAULTS !calm
#else
#define WANTED(d) true
#define FAULTS true
#endif
#define ASKED (device_wrote == DEVICE_WRITES && mirror_wrote == MIRROR_WRITES && asked == COMMANDS)
#define SETTLED(d) (EQUAL(d) && !m.unconfirmed && dev[d].acked == dev[d].seq && dev[d].unconfirmed == 0 && \
		    ASKED && JOURNAL_EMPTY(d) && ALL_ENDED && dev[d].mepoch == m.epoch)
#if NUMBERS == 0
#define JOURNAL_EMPTY(d) true
#define ALL_ENDED true
#elif NUMBERS == 1
#define JOURNAL_EMPTY(d) (dev[d].state[1] == NONE)
#define ALL_ENDED (!OPEN(m.state[1]))
#elif NUMBERS == 2
#define JOURNAL_EMPTY(d) (dev[d].state[1] + dev[d].state[2] == NONE)
#define ALL_ENDED (!OPEN(m.state[1]) && !OPEN(m.state[2]))
#else
#define JOURNAL_EMPTY(d) (dev[d].state[1] + dev[d].state[2] + dev[d].state[3] == NONE)
#define ALL_ENDED (!OPEN(m.state[1]) && !OPEN(m.state[2]) && !OPEN(m.state[3]))
#endif

/* A request that was answered early is recorded before the next one of its connection is read. */
#ifdef EARLY
#define IN_ORDER(d) !(late[0].here && late[0].from == d && late[0].epoch == dev[d].epoch && \
		      late[0].session == dev[d].session)
#else
#define IN_ORDER(d) true
#endif

/* Its sessions. A person who waits for one, or a change, is what begins it: that is left open. */
proctype sessions(bit d)
{
end:
	do
	:: d_step {
		!dev[d].talks && !dev[d].gone && dev[d].epoch && WANTED(d) && dev[d].session < SESSIONS ->
		renumber(d);
		dev[d].session++;
#ifdef CLONE
		spoke[d] = false;
#endif
		gather(d);
		printf("device %d: session begins\n", d)
	   }
	:: d_step {
		dev[d].talks == 2 && !dev[d].gone && IN_ORDER(d) ->
		gather(d);
		printf("device %d: next round\n", d)
	   }
	:: d_step { /* take_response() */
		dev[d].talks == 1 && res[d].here == 1 && !dev[d].gone ->
		if
		:: res[d].status != OK -> printf("device %d: refused\n", d); not_heard(d); hang_up(d)
		:: res[d].status == OK && res[d].dc > dev[d].seq -> /* hg_store_renew() */
			SEE("device: its store is an old copy");
			epochs++;
			dev[d].epoch = epochs;
			dev[d].acked = 0;
			hang_up(d)
		:: else -> printf("device %d: takes the answer\n", d); take(d)
		fi
	   }
#ifdef LOSS
	:: atomic {
		dev[d].talks && !dev[d].gone && FAULTS ->
		if :: late_end = true :: late_end = false fi;
		d_step { printf("device %d: gives the session up\n", d); give_up(d); late_end = false }
	   }
#endif
#ifdef CRASH
	:: atomic {
		(dev[d].talks || dev[d].runs) && !dev[d].gone && FAULTS ->
		if :: late_end = true :: late_end = false fi;
		d_step {
			printf("device %d: killed\n", d);
			SEE("device killed");
			if :: dev[d].talks -> give_up(d) :: else fi;
			stop(d);
			late_end = false
		}
	   }
#endif
#if LOSSES > 0
	:: atomic { /* its whole store, between two runs of the agent */
		losses > 0 && dev[d].epoch ->
		if :: late_end = true :: late_end = false fi;
		d_step {
			printf("device %d: loses its store\n", d);
			SEE("device: store lost");
			losses--;
			if :: dev[d].talks -> give_up(d) :: else fi;
			stop(d);
			epochs++;
			dev[d].epoch = epochs;
			dev[d].session = 0;
			dev[d].seq = 0;
			dev[d].acked = 0;
			dev[d].mepoch = 0;
			dev[d].mc = 0;
			dev[d].cc = 0;
			dev[d].copy = 0;
			dev[d].unconfirmed = 0;
			for (n : 0 .. PROPERTIES - 1) {
				dev[d].value[n] = 0;
				dev[d].number[n] = 0
			}
			for (n : 1 .. NUMBERS) {
				dev[d].state[n] = 0;
				dev[d].id[n] = 0;
				dev[d].told[n] = 0
			}
			late_end = false
		}
	   }
#endif
	od
}

/* hg_store_set(): an application of the device writes one of its properties. */
proctype writer(bit d)
{
end:
	do
	:: atomic {
		device_wrote < DEVICE_WRITES && dev[d].epoch && !dev[d].gone ->
		if :: k = 0 :: k = 1 fi;
		d_step {
			device_wrote++;
			dev[d].seq++;
			dev[d].value[k] = device_wrote;
			dev[d].number[k] = dev[d].seq;
			printf("device %d: property written\n", d);
			k = 0
		}
	   }
	od
}

/* Commands of the journal, one at a time (more at a time share nothing but the journal). */
proctype worker(bit d)
{
end:
	do
	:: d_step { /* hg_store_recover() */
		!dev[d].recovered && dev[d].epoch && !dev[d].gone ->
		dev[d].recovered = 1;
#ifndef BUG_NO_RECOVER /* planted: nobody looks at what a crash left */
		for (n : 1 .. NUMBERS) {
			if
			:: dev[d].state[n] == EXECUTING && REPEATS(dev[d].id[n]) ->
				dev[d].state[n] = RECEIVED;
				dev[d].told[n] = RECEIVED
			:: dev[d].state[n] == EXECUTING && !REPEATS(dev[d].id[n]) ->
				SEE("device: unknown after a crash");
				dev[d].state[n] = UNKNOWN
			:: else
			fi
		}
#endif
		printf("device %d: journal recovered\n", d)
	   }
#ifndef BUG_RUN_FIRST
	:: d_step { /* hg_store_started() */
		dev[d].recovered && !dev[d].runs && HAS_RECEIVED(d) && !dev[d].gone ->
		oldest(d);
		dev[d].state[k] = EXECUTING;
		dev[d].runs = k;
		dev[d].run_id = dev[d].id[k];
		printf("device %d: command journalled as executing\n", d)
	   }
	:: d_step {
		dev[d].runs && !dev[d].started && !dev[d].gone ->
		run_handler(d);
		printf("device %d: handler runs\n", d)
	   }
#else /* planted: the handler runs before the journal says so */
	:: d_step {
		dev[d].recovered && !dev[d].runs && HAS_RECEIVED(d) && !dev[d].gone ->
		oldest(d);
		dev[d].runs = k;
		dev[d].run_id = dev[d].id[k];
		run_handler(d);
		dev[d].started = 0;
		printf("device %d: handler runs\n", d)
	   }
	:: d_step {
		dev[d].runs && !dev[d].started && !dev[d].gone ->
		dev[d].state[dev[d].runs] = EXECUTING;
		dev[d].started = 1;
		printf("device %d: command journalled as executing\n", d)
	   }
#endif
	:: d_step { /* hg_store_finished() */
		dev[d].runs && dev[d].started && !dev[d].gone ->
		k = dev[d].runs;
		if
		:: dev[d].state[k] == RECEIVED || dev[d].state[k] == EXECUTING -> dev[d].state[k] = DONE
		:: else -> SEE("device: end of a command that the journal has not")
		fi;
		dev[d].runs = 0;
		dev[d].run_id = 0;
		dev[d].started = 0;
		printf("device %d: end journalled\n", d)
	   }
#ifdef DEADLINES
	:: d_step { /* execute_within has passed */
		dev[d].recovered && !dev[d].runs && HAS_RECEIVED(d) && !dev[d].gone ->
		oldest(d);
		dev[d].state[k] = EXPIRED;
		SEE("device: expired");
		printf("device %d: command expired\n", d)
	   }
#endif
	od
}
