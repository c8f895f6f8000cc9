-- SPDX-License-Identifier: MIT
-- Group commit: the requests of many devices in one transaction.

-- The way of a device that has nothing to say (p_quiet) and nothing to hear, which most are, in three statements by
-- keys. A status says how it went: 0, it is answered; -1, somebody holds the device's row, and nobody waits here; none,
-- the row is locked, or there is none, and the request is one for sync().
CREATE FUNCTION sync_idle(p_device text, p_epoch bytea, p_session bigint, p_round integer, p_flags integer,
			  p_mirror_epoch bytea, p_mirror_cursor bigint, p_command_cursor bigint, p_quiet boolean)
RETURNS sync_reply
LANGUAGE plpgsql AS $$
DECLARE
	s record;
	hint integer;
	reply sync_reply;
BEGIN
	-- place: of the locked row, which is not looked for again
	SELECT *, ctid AS place INTO s FROM device_sync WHERE device_id = p_device FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		reply.status := (SELECT -1 FROM device_sync WHERE device_id = p_device);
		RETURN reply;
	ELSIF (p_quiet
		-- what sync_admit() lets in, of a session that there was
		AND s.device_epoch = p_epoch AND s.session > 0
		AND (p_session > s.session OR (p_session = s.session AND p_round > s.round))
		-- what sync_begin() and all that takes leave as it is
		AND s.mirror_epoch = p_mirror_epoch AND NOT s.unconfirmed AND NOT s.partials AND p_flags & ~2 = 0
		AND p_mirror_cursor <= s.mirror_seq AND p_command_cursor = s.command_cursor
		AND p_command_cursor <= s.command_seq) IS NOT TRUE THEN
		RETURN reply;
	END IF;
	-- and nothing to give
	IF p_mirror_cursor < s.mirror_seq THEN
		IF EXISTS (SELECT FROM property p WHERE p.device_id = p_device AND p.owner = 'mirror'
			   AND p.seq > p_mirror_cursor) THEN
			RETURN reply;
		END IF;
	END IF;
	IF p_command_cursor < s.command_seq THEN
		IF EXISTS (SELECT FROM command c WHERE c.device_id = p_device AND c.seq > p_command_cursor
			   AND c.ended_at IS NULL AND c.state IN ('queued', 'leased')) THEN
			RETURN reply;
		END IF;
	END IF;
	SELECT m.interval_ms INTO hint FROM device d JOIN model m USING (model)
	WHERE d.device_id = p_device AND d.state = 'active';
	IF NOT FOUND THEN
		RETURN reply;
	END IF;
	IF p_session > s.session THEN
		s.session_at := clock_timestamp();
	END IF;
	UPDATE device_sync SET session = p_session, round = p_round, session_at = s.session_at,
		mirror_cursor = p_mirror_cursor, last_seen = now()
	WHERE device_id = p_device AND ctid = s.place;
	RETURN (0, NULL, s.mirror_epoch, 0, s.device_cursor, (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
		hint, '[]'::jsonb, '[]'::jsonb, NULL)::sync_reply;
END $$;

-- One request as a batch of its own: as sync(), but an idle one goes the short way, and a row that somebody holds
-- is left to him: status -1. p_accepted: what sync_age() makes an age of.
CREATE FUNCTION sync_one(p_device text, p_epoch bytea, p_session bigint, p_round integer, p_flags integer,
			 p_mirror_epoch bytea, p_mirror_cursor bigint, p_command_cursor bigint,
			 p_changes jsonb, p_reports jsonb, p_accepted bigint)
RETURNS sync_reply
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
	reply sync_reply;
BEGIN
	reply := sync_idle(p_device, p_epoch, p_session, p_round, p_flags, p_mirror_epoch, p_mirror_cursor,
			   p_command_cursor, p_changes = '[]' AND p_reports = '[]');
	IF reply.status IS NULL THEN
		reply := sync(p_device, p_epoch, p_session, p_round, p_flags, p_mirror_epoch, p_mirror_cursor,
			      p_command_cursor, p_changes, p_reports, sync_age(p_accepted));
	END IF;
	RETURN reply;
END $$;

-- Requests of distinct devices, each as for sync_one(), in arrays of one length; n is a request's place there, from 1.
-- Most devices have nothing to say and nothing to hear: these are answered by one UPDATE. The others are asked one
-- by one in a subtransaction; if one of them fails, in at most 32 more, so that it takes few with it and 64, as many
-- as a backend can tell to others cheaply, are never open. Two statuses say that a request was left out and nothing
-- of it was kept: -1, somebody holds the device's row, and it must not hold up the others; -2, an error was raised
-- by it or by one that shared its fate, and it is to be asked by itself.
CREATE FUNCTION sync_batch(p_device text[], p_epoch bytea[], p_session bigint[], p_round integer[],
			   p_flags integer[], p_mirror_epoch bytea[], p_mirror_cursor bigint[],
			   p_command_cursor bigint[], p_changes jsonb[], p_reports jsonb[], p_accepted bigint[])
RETURNS TABLE (reply sync_reply, n integer)
LANGUAGE plpgsql
-- Plans are kept for as long as a connection; one that was made while the tables were empty must not read all of
-- them when they are full, nor is it worth to plan for how many devices there are in this batch.
-- One that waits for a lock is left out rather than let all wait until the statement is over.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET lock_timeout = '200ms'
AS $$
DECLARE
	held tid[] := array_fill(NULL::tid, ARRAY[cardinality(p_device)]); -- where the locked rows are
	answered boolean[] := array_fill(false, ARRAY[cardinality(p_device)]);
	rest integer[];
	part integer[];
	replies sync_reply[];
	step integer;
	at integer := 1;
	a record;
BEGIN
	FOR a IN
		SELECT q.n, s.ctid AS place FROM unnest(p_device) WITH ORDINALITY AS q(device, n)
		JOIN device_sync s ON s.device_id = q.device ORDER BY q.device FOR UPDATE OF s SKIP LOCKED
	LOOP
		held[a.n] := a.place;
	END LOOP;

	FOR a IN
		UPDATE device_sync s SET session = q.session, round = q.round,
			session_at = CASE WHEN q.session > s.session THEN clock_timestamp() ELSE s.session_at END,
			mirror_cursor = q.mirror_cursor, last_seen = now()
		FROM unnest(held, p_device, p_epoch, p_session, p_round, p_flags, p_mirror_epoch, p_mirror_cursor,
			    p_command_cursor, p_changes, p_reports)
			WITH ORDINALITY AS q(held, device, epoch, session, round, flags, mirror_epoch, mirror_cursor,
			    command_cursor, changes, reports, n)
		JOIN device d ON d.device_id = q.device JOIN model m USING (model)
		WHERE s.device_id = q.device AND s.ctid = q.held AND d.state = 'active'
		-- what sync_admit() lets in, of a session that there was
		  AND s.device_epoch = q.epoch AND s.session > 0
		  AND (q.session > s.session OR (q.session = s.session AND q.round > s.round))
		-- what sync_begin() and all that takes leave as it is
		  AND s.mirror_epoch = q.mirror_epoch AND NOT s.unconfirmed AND NOT s.partials AND q.flags & ~2 = 0
		  AND q.changes = '[]' AND q.reports = '[]'
		-- and nothing to give
		  AND q.mirror_cursor <= s.mirror_seq AND q.command_cursor = s.command_cursor
		  AND q.command_cursor <= s.command_seq
		  AND (q.mirror_cursor = s.mirror_seq OR NOT EXISTS (
			SELECT FROM property p WHERE p.device_id = q.device AND p.owner = 'mirror'
			  AND p.seq > q.mirror_cursor))
		  AND (q.command_cursor = s.command_seq OR NOT EXISTS (
			SELECT FROM command c WHERE c.device_id = q.device AND c.seq > q.command_cursor
			  AND c.ended_at IS NULL AND c.state IN ('queued', 'leased')))
		RETURNING q.n, s.mirror_epoch, s.device_cursor, m.interval_ms
	LOOP
		answered[a.n] := true;
		n := a.n;
		reply := NULL;
		reply.status := 0;
		reply.mirror_epoch := a.mirror_epoch;
		reply.flags := 0;
		reply.device_cursor := a.device_cursor;
		reply.time_ms := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
		reply.interval_ms := a.interval_ms;
		reply.changes := '[]';
		reply.commands := '[]';
		RETURN NEXT;
	END LOOP;

	FOR i IN 1 .. cardinality(p_device) LOOP
		CONTINUE WHEN answered[i];
		IF held[i] IS NOT NULL OR NOT EXISTS (SELECT FROM device_sync s WHERE s.device_id = p_device[i]) THEN
			rest := rest || i;
			CONTINUE;
		END IF;
		n := i;
		reply := NULL;
		reply.status := -1;
		RETURN NEXT;
	END LOOP;

	step := cardinality(rest);
	WHILE at <= cardinality(rest) LOOP
		part := rest[at : at + step - 1];
		BEGIN
			replies := '{}';
			FOR a IN
				SELECT q.* FROM unnest(p_device, p_epoch, p_session, p_round, p_flags, p_mirror_epoch,
						       p_mirror_cursor, p_command_cursor, p_changes, p_reports, p_accepted)
					WITH ORDINALITY AS q(device, epoch, session, round, flags, mirror_epoch,
						mirror_cursor, command_cursor, changes, reports, accepted, n)
				JOIN unnest(part) WITH ORDINALITY AS o(n, place) ON o.n = q.n ORDER BY o.place
			LOOP
				replies := replies || sync(a.device, a.epoch, a.session, a.round, a.flags,
					a.mirror_epoch, a.mirror_cursor, a.command_cursor, a.changes, a.reports,
					sync_age(a.accepted));
			END LOOP;
		EXCEPTION WHEN OTHERS THEN
			IF step = cardinality(rest) AND step > 1 THEN
				step := (step + 31) / 32;
				CONTINUE;
			END IF;
			replies := '{}';
		END;
		FOR i IN 1 .. cardinality(part) LOOP
			n := part[i];
			reply := replies[i];
			IF replies[i] IS NULL THEN
				reply.status := -2;
			END IF;
			RETURN NEXT;
		END LOOP;
		at := at + step;
	END LOOP;
END $$;
