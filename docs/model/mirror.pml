// SPDX-License-Identifier: MIT
// The mirror: sync() and what it calls in mirror/sql, and the life of the daemon. Included by sync.pml.

/* commands_lost(): mask has a bit for each state that it is about */
inline commands_lost(from, to, mask)
{
	for (n : 1 .. NUMBERS) {
		if
		:: n > from && n <= to && ((mask >> m.state[n]) & 1) && REPEATS(m.id[n]) ->
			if :: m.state[n] > QUEUED -> m.state[n] = QUEUED; SEE("mirror: queued again") :: else fi
		:: n > from && n <= to && ((mask >> m.state[n]) & 1) && !REPEATS(m.id[n]) ->
			m.state[n] = UNKNOWN;
			SEE("mirror: unknown")
		:: else
		fi
	}
}
#define TAKEN ((1 << LEASED) | (1 << RECEIVED) | (1 << EXECUTING))
#define HELD ((1 << RECEIVED) | (1 << EXECUTING))

inline quarantine()
{
	m.quarantined = 1;
	status = QUARANTINED;
}

/* sync_admit() */
inline admit()
{
	status = OK;
	x = (m.depoch == q.epoch);
	if
	:: m.revoked -> status = REVOKED
	:: !m.revoked && m.quarantined -> status = QUARANTINED
#ifdef OLD_ADMIT
	:: !m.revoked && !m.quarantined && q.old && x && q.session < m.session ->
#else
	:: !m.revoked && !m.quarantined && q.old && (!x || !m.session || q.session < m.session) ->
#endif
		SEE("mirror: busy, too late");
		if :: !x -> SEE("mirror: busy, other store") :: else fi;
		if :: !m.session -> SEE("mirror: busy, before the release") :: else fi;
		status = BUSY
	:: else ->
		if
		:: x && (q.session > m.session || (q.session == m.session && q.round > m.round))
		:: x && (q.session < m.session || (q.session == m.session && q.round <= m.round)) ->
			SEE("mirror: quarantine, session");
			quarantine()
		:: !x && ((m.replaced >> q.epoch) & 1) ->
			SEE("mirror: quarantine, replaced store");
			quarantine()
		:: else
		fi;
#if DEVICES == 1 && !defined(DUPLICATE)
		HOLD("no false alarm", !m.quarantined)
#endif
	fi
}

/* Every other connection that was accepted by now is older than the session heard of just now. */
inline grow_old()
{
	for (n : 0 .. LATE - 1) {
		if :: late[n].here -> late[n].old = 1 :: else fi
	}
#if DEVICES > 1
	if
	:: !first -> dev[0].old = (dev[0].talks -> 1 : 0); req[0].old = (req[0].here -> 1 : 0);
		     dev[1].old = (dev[1].talks -> 1 : 0); req[1].old = (req[1].here -> 1 : 0)
	:: else ->   dev[OTHER(q.from)].old = (dev[OTHER(q.from)].talks -> 1 : 0);
		     req[OTHER(q.from)].old = (req[OTHER(q.from)].here -> 1 : 0)
	fi
#else
	if
	:: !first -> dev[0].old = (dev[0].talks -> 1 : 0); req[0].old = (req[0].here -> 1 : 0)
	:: else
	fi
#endif
}

/* What the device has not said since its numbers or ours began anew is taken away when it has no more to say. */
inline doubt()
{
#ifndef OLD_VALUES
	m.unconfirmed = 3
#else
	skip
#endif
}

inline settle_doubt()
{
	if
	:: m.unconfirmed && !q.change && q.mepoch == m.epoch ->
		for (n : 0 .. PROPERTIES - 1) {
			if
			:: ((m.unconfirmed >> n) & 1) && m.held[n] ->
				SEE("mirror: device's property is gone");
				m.held[n] = 0
			:: else
			fi
		}
		m.unconfirmed = 0
	:: else
	fi
}

/* sync_begin() */
inline begin()
{
	if
	:: q.epoch != m.depoch ->
		if
		:: m.depoch != 0 -> /* sync_new_epoch() */
			SEE("mirror: new device epoch");
			m.replaced = m.replaced | (1 << m.depoch);
			commands_lost(0, m.cseq, TAKEN);
			doubt()
		:: else
		fi;
		m.depoch = q.epoch;
		m.session = 0;
		m.round = 0;
		m.dc = 0;
		m.cc = 0
	:: else
	fi;
	if :: q.session > m.session -> grow_old() :: else fi;
	m.session = q.session;
	m.round = q.round;
	k = 0;	/* proof that this database is an older copy: what the device holds was never given */
#ifndef OLD_REUSE
	for (n : 1 .. NUMBERS) {
		if :: q.mepoch == m.epoch && q.cc > m.cc && n <= q.cc && m.state[n] == QUEUED -> k = 1 :: else fi
	}
#endif
	if
	:: k || q.mc > m.mseq || q.cc > m.cseq ->
		SEE("mirror: finds itself older");
		m.mseq = (q.mc > m.mseq -> q.mc : m.mseq);
		m.cseq = (q.cc > m.cseq -> q.cc : m.cseq);
		if :: m.epoch == q.mepoch -> mepochs++; m.epoch = mepochs :: else fi
	:: else
	fi;
	lost = q.mepoch != 0 && q.mepoch != m.epoch;
	if
	:: lost ->
		m.dc = 0;
#ifndef OLD_REUSE
		for (n : 1 .. NUMBERS) {
			if
			:: n <= q.cc && m.state[n] == QUEUED ->
				SEE("mirror: never leased, yet taken");
				m.state[n] = UNKNOWN
			:: else
			fi
		}
#endif
		doubt()
	:: else
	fi
}

inline take_changes()
{
	if
	:: q.change > m.dc ->
		m.dc = q.change;
		m.held[q.what] = q.value;
		m.unconfirmed = m.unconfirmed & (3 - (1 << q.what))
	:: q.change && q.change <= m.dc -> SEE("mirror: change comes again")
	:: else
	fi
}

inline take_reports()
{
	for (n : 1 .. NUMBERS) {
		if
		:: q.report[n] && m.state[n] != NONE && !FINAL(m.state[n]) && q.report[n] > m.state[n] ->
			m.state[n] = q.report[n];
			HOLD("told truly", m.state[n] != DONE || RAN(m.id[n]))
		:: q.report[n] && FINAL(m.state[n]) -> SEE("mirror: report comes again")
		:: else
		fi
	}
}

/* sync_command_cursor() */
inline command_cursor()
{
	if
	:: lost ->
		commands_lost(0, q.cc, (TAKEN | (1 << QUEUED)));
#ifndef OLD_BEYOND
		commands_lost(q.cc, NUMBERS, HELD)
#endif
	:: else ->
		for (n : 1 .. NUMBERS) {
			if :: n <= q.cc && m.state[n] == LEASED -> m.state[n] = RECEIVED :: else fi
		}
		if
		:: q.cc < m.cc -> SEE("mirror: the device went back"); commands_lost(q.cc, m.cc, HELD)
		:: else
		fi
	fi
}

/* sync_give_changes(), sync_give_commands(); at most one command fits. late_end: one has expired. */
inline give(a)
{
	if
	:: m.value && m.number > (q.mepoch == 0 || lost -> 0 : q.mc) ->
		a.change = m.number;
		a.value = m.value
	:: else ->
		a.change = 0;
		a.value = 0
	fi;
	cursor_from = (lost -> 0 : q.cc);
	a.command = 0;
	a.id = 0;
	more = false;
	for (n : 1 .. NUMBERS) {
		if
#ifdef BUG_CLEAR_MIRROR /* planted: what was sent leaves the queue */
		:: n > cursor_from && m.state[n] == QUEUED ->
#else
		:: n > cursor_from && (m.state[n] == QUEUED || m.state[n] == LEASED) ->
#endif
			if
			:: late_end ->
				late_end = false;
				SEE("mirror: expired");
				m.state[n] = EXPIRED;
#if DEVICES == 1
				HOLD("told truly", REPEATS(m.id[n]) || !RAN(m.id[n]))
#endif
			:: !late_end && a.command -> more = true; SEE("mirror: more")
			:: !late_end && !a.command ->
				if :: m.state[n] == LEASED -> SEE("mirror: leased again") :: else fi;
				a.command = n;
				a.id = m.id[n];
				m.state[n] = LEASED
			fi
		:: else
		fi
	}
	a.more = more
}

/* sync(): one transaction. first: the connection still stands, so that the answer has a way. */
inline transaction()
{
	admit();
	if
	:: status == OK ->
#ifdef CLONE
		if
		:: cloned && heard && heard != q.from + 1 && releases == RELEASES ->
			switches++;
			HOLD("clones found", switches <= skipped + epochs - 1)
		:: else
		fi;
		heard = (cloned -> q.from + 1 : 0);
		if :: first -> spoke[q.from] = true :: else fi;
#endif
		HOLD("nothing lost", q.mepoch != m.epoch || q.epoch != dev[q.from].epoch || m.value == 0 ||
		     m.number > q.mc || dev[q.from].copy == m.value);
		begin();
		take_changes();
		settle_doubt();
		take_reports();
		command_cursor();
		m.dc = (lost -> 0 : m.dc);
		if
		:: first ->
			news = 0;
			give(res[q.from]);
			res[q.from].status = OK;
			res[q.from].mepoch = m.epoch;
			res[q.from].whole = lost;
			res[q.from].dc = m.dc
		:: else ->
			SEE("mirror: late request accepted");
			news = 1;
			give(a_lost)
		fi;
		a_lost.change = 0;
		a_lost.value = 0;
		a_lost.command = 0;
		a_lost.id = 0;
		a_lost.more = 0;
		m.cc = (lost -> 0 : q.cc)
	:: else ->
		if :: first -> res[q.from].status = status :: else fi
	fi;
	if :: first -> res[q.from].here = 2 :: else fi;
	check_lost(q.from);
	forget(q);
	late_end = false;
	first = false
}

/*
 * sync_early(): an idle request of a new session, and nothing to give. Nothing changes; the request itself
 * is one with the device's last flight, which comes later, as that of a session that was given up, or never.
 * Copies of the first flight get this far and no farther, so they are not modelled, but in a planted fault.
 */
#ifdef EARLY
inline early(c)
{
	k = (req[c].change == 0 && req[c].mepoch == m.epoch && req[c].epoch == m.depoch && m.session > 0 &&
	     req[c].session > m.session && !m.quarantined && !m.revoked && !m.unconfirmed && req[c].mc <= m.mseq &&
	     req[c].cc == m.cc && req[c].cc <= m.cseq && (m.value == 0 || m.number <= req[c].mc) &&
	     !(late_end && late[0].here));
	for (n : 1 .. NUMBERS) {
		if
		:: req[c].report[n] || (n > req[c].cc && (m.state[n] == QUEUED || m.state[n] == LEASED)) -> k = 0
		:: else
		fi
	}
	if
#ifdef BUG_EARLY /* planted: a copy of what came early counts, and the original comes after it */
	:: k && !late[0].here ->
		printf("mirror: takes a copy\n");
		duplicate(req[c], late[0])
	:: k && late[0].here -> skip
#else
	:: k ->
		printf("mirror: answers %d early\n", c);
		SEE("mirror: answers early");
		HOLD("nothing lost", m.value == 0 || dev[c].copy == m.value);
		news = 0;
		res[c].status = OK;
		res[c].mepoch = m.epoch;
		res[c].dc = m.dc;
		res[c].here = 1;
		not_heard(c);
		if
		:: late_end -> move(req[c], late[0]); SEE("mirror: early request to be recorded")
		:: else -> forget(req[c]); SEE("mirror: early request not recorded")
		fi
#endif
	:: else
	fi;
	late_end = false
}
#endif

#ifdef DEADLINES
#define DEADLINE if :: late_end = false :: late_end = true fi
#else
#define DEADLINE late_end = false
#endif

proctype mirror()
{
	byte c;
end:
	do
	:: atomic {
		(req[0].here || req[DEVICES - 1].here) && c == 0 ->
		if
		:: req[0].here -> c = 0
#if DEVICES > 1
		:: req[1].here -> c = 1
#endif
		fi;
		DEADLINE;
		move(req[c], q);
		d_step { printf("mirror: transaction for %d\n", q.from); first = true; transaction(); c = 0 }
	   }
	:: atomic {
		late[0].here ->
		DEADLINE;
		move(late[0], q);
		d_step { printf("mirror: transaction for %d, late\n", q.from); first = false; transaction() }
	   }
#if LATE > 1
	:: atomic {
		late[1].here ->
		DEADLINE;
		move(late[1], q);
		d_step { printf("mirror: transaction for %d, late\n", q.from); first = false; transaction() }
	   }
#endif
	:: d_step { res[0].here == 2 -> res[0].here = 1 }
#ifdef EARLY
	:: atomic {
		(req[0].here && !req[0].round) || (req[DEVICES - 1].here && !req[DEVICES - 1].round) ->
		if
		:: req[0].here && !req[0].round -> c = 0
#if DEVICES > 1
		:: req[1].here && !req[1].round -> c = 1
#endif
		fi;
		if :: late_end = true :: late_end = false fi;
		d_step { early(c); c = 0 }
	   }
#endif
#ifdef DUPLICATE
	:: d_step {
		req[0].here && !late[0].here ->
		duplicate(req[0], late[0]);
		SEE("request twice");
		printf("network: a request is there twice\n")
	   }
#endif
#if DEVICES > 1
	:: d_step { res[1].here == 2 -> res[1].here = 1 }
#endif
	od
}

/* All that the daemon holds are connections; PostgreSQL may still commit what it was asked. */
#ifdef CRASH
proctype mirror_kills()
{
	byte d;
end:
	do
	:: atomic {
		dev[0].talks == 1 && FAULTS ->
		if :: late_end = true :: late_end = false fi;
		d_step { printf("mirror: killed\n"); SEE("mirror killed"); give_up(0); late_end = false }
	   }
	od
}
#endif
