// SPDX-License-Identifier: MIT
// Applications, operators and thieves, as they reach the mirror. Included by sync.pml.

inline copy_mirror(a, b)
{
	b.epoch = a.epoch;
	b.mseq = a.mseq;
	b.cseq = a.cseq;
	b.depoch = a.depoch;
	b.replaced = a.replaced;
	b.session = a.session;
	b.round = a.round;
	b.dc = a.dc;
	b.cc = a.cc;
	b.unconfirmed = a.unconfirmed;
	b.value = a.value;
	b.number = a.number;
	for (n : 0 .. PROPERTIES - 1) {
		b.held[n] = a.held[n]
	}
	for (n : 1 .. NUMBERS) {
		b.state[n] = a.state[n];
		b.id[n] = a.id[n]
	}
}

/* Applications and operators at the mirror */
proctype people()
{
	byte c;
end:
	do
	:: d_step {
		mirror_wrote < MIRROR_WRITES ->
		mirror_wrote++;
		m.mseq++;
		m.value = mirror_wrote;
		m.number = m.mseq;
#ifdef RESTORE
		most_m = (m.mseq > most_m -> m.mseq : most_m);
#endif
		news = 1;
		printf("mirror: property written\n")
	   }
	:: d_step {
		asked < COMMANDS && m.cseq < NUMBERS && !m.revoked ->
		asked++;
		m.cseq++;
		m.state[m.cseq] = QUEUED;
		m.id[m.cseq] = asked;
#ifdef RESTORE
		most_c = (m.cseq > most_c -> m.cseq : most_c);
#endif
		news = 1;
		printf("mirror: command queued\n")
	   }
#ifdef CANCEL
	:: atomic { /* by an application; commands_expire() does the same with another word */
		m.cseq > 0 && m.state[m.cseq] == QUEUED ->
		d_step {
			m.state[m.cseq] = CANCELLED;
			SEE("mirror: cancelled");
			HOLD("told truly", REPEATS(m.id[m.cseq]) || !RAN(m.id[m.cseq]));
			printf("mirror: command cancelled\n")
		}
	   }
#endif
#ifdef REVOKE
	:: d_step { /* admin_device_revoke() */
		!m.revoked && asked == COMMANDS ->
		m.revoked = 1;
		SEE("mirror: device revoked");
		for (n : 1 .. NUMBERS) {
			if
			:: m.state[n] == QUEUED -> m.state[n] = CANCELLED
#ifndef OLD_REVOKE
			:: OPEN(m.state[n]) && m.state[n] != QUEUED -> m.state[n] = UNKNOWN
#endif
			:: else
			fi
		}
		check_ended();
		printf("mirror: device revoked\n")
	   }
#endif
#if RELEASES > 0
	:: atomic { /* admin_device_release(); of two copies one is taken away first */
		m.quarantined && releases > 0 ->
#if DEVICES > 1
		if :: c = 0 :: c = 1 fi;
#endif
		d_step {
			releases--;
			m.quarantined = 0;
			m.replaced = 0;
			m.session = 0;
			m.round = 0;
#ifndef OLD_RELEASE
			mepochs++;
			m.epoch = mepochs;
			m.dc = 0;
			doubt();
#endif
#if DEVICES > 1
			dev[c].gone = 1;
			forget(req[c]); /* the mirror ends idle connections long before a person has acted */
			if :: late[0].here && late[0].from == c -> forget(late[0]) :: else fi;
			hang_up(c);
			stop(c);
#endif
#ifndef OLD_RELEASE
			first = 0;
			grow_old();
#endif
			news = 1;
			SEE("mirror: released");
			printf("mirror: device released\n");
			c = 0
		}
	   }
#endif
#ifdef RESTORE
	:: d_step { /* a backup of the database ... */
		!saved ->
		saved = 1;
		copy_mirror(m, kept);
		printf("mirror: backup\n")
	   }
	:: d_step { /* ... put back once, with the daemon stopped: no connection and no query outlives that */
		saved && !restored ->
		restored = 1;
		copy_mirror(kept, m);
		forget(req[0]);
		forget(late[0]);
		hang_up(0);
		m.session = 0; /* kept.session is not renumbered; all to come is above it */
		m.round = 0;
#ifndef UNTOLD /* admin_restored(), before anything else */
		mepochs++;
		m.epoch = mepochs;
		m.mseq = most_m;
		m.cseq = most_c;
#endif
		copy_mirror(nothing, kept);
		news = 1;
		SEE("mirror: restored");
		printf("mirror: restored from the backup\n")
	   }
#endif
#ifdef CLONE
	:: d_step { /* a copy of the store, made of the file while the agent may run */
		!cloned ->
		cloned = 1;
		skipped = dev[0].talks + late[0].here; /* numbers not heard, which the copy skips */
		dev[1].epoch = dev[0].epoch;
		dev[1].session = dev[0].session;
		dev[1].seq = dev[0].seq;
		dev[1].acked = dev[0].acked;
		dev[1].mepoch = dev[0].mepoch;
		dev[1].mc = dev[0].mc;
		dev[1].cc = dev[0].cc;
		dev[1].copy = dev[0].copy;
		dev[1].unconfirmed = dev[0].unconfirmed;
		for (n : 0 .. PROPERTIES - 1) {
			dev[1].value[n] = dev[0].value[n];
			dev[1].number[n] = dev[0].number[n]
		}
		for (n : 1 .. NUMBERS) {
			dev[1].state[n] = dev[0].state[n];
			dev[1].id[n] = dev[0].id[n];
			dev[1].told[n] = dev[0].told[n]
		}
		printf("somebody copies the store\n")
	   }
#endif
	od
}
