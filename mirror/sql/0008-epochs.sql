-- SPDX-License-Identifier: MIT
-- What docs/model/sync.pml found: ways in which requests of another time or another device were believed.

ALTER TABLE device_sync ADD COLUMN unconfirmed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN device_sync.unconfirmed IS 'device-owned properties with seq 0 wait to be said again';

-- Judges epoch, session and round. Returns 0 (go on), 5 (quarantined now) or 6 (too late: superseded).
-- p_age_ms: since this connection was accepted. A connection that was accepted before the newest session
-- was heard of, or before a release, and is not that session's, was given up by its device: also one with
-- another epoch, for a device that lost its store may have a request under way yet.
CREATE OR REPLACE FUNCTION sync_admit(s device_sync, p_epoch bytea, p_session bigint, p_round integer, p_age_ms integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	why text;
BEGIN
	IF s.session_at > statement_timestamp() - p_age_ms * interval '1 ms'
	   AND (s.device_epoch IS DISTINCT FROM p_epoch OR p_session <> s.session) THEN
		RETURN 6;
	ELSIF s.device_epoch = p_epoch THEN
		IF p_session > s.session OR (p_session = s.session AND p_round > s.round) THEN
			RETURN 0;
		END IF;
		why := format('session %s.%s after %s.%s of the same store: two devices use one identity',
			      p_session, p_round, s.session, s.round);
	ELSIF EXISTS (SELECT FROM device_epoch WHERE device_id = s.device_id AND epoch = p_epoch) THEN
		why := 'a store that had been replaced came back: two devices use one identity';
	ELSE
		RETURN 0;
	END IF;
	UPDATE device SET state = 'quarantined', reason = why WHERE device_id = s.device_id;
	PERFORM outbox_add(s.device_id, 'device', 'quarantined', jsonb_build_object('reason', why));
	PERFORM audit_add(s.device_id, 'mirror', 'quarantine', s.device_id, jsonb_build_object('reason', why));
	RETURN 5;
END $$;

-- The device will say all that it owns again, as its numbers or ours begin anew. What it does not say
-- then, it does not have: sync_settle() takes that away.
CREATE FUNCTION sync_doubt(p_device text) RETURNS boolean
LANGUAGE sql AS $$
	WITH u AS (UPDATE property SET seq = 0 WHERE device_id = p_device AND owner = 'device' AND value IS NOT NULL
		   RETURNING 1)
	SELECT EXISTS (SELECT FROM u)
$$;

CREATE FUNCTION sync_settle(p_device text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	FOR p IN UPDATE property SET value = NULL, made_ms = 0, changed_at = now(), version = version + 1
			WHERE device_id = p_device AND owner = 'device' AND seq = 0 AND value IS NOT NULL
			RETURNING name LOOP
		PERFORM outbox_add(p_device, 'property', p.name, NULL);
	END LOOP;
	UPDATE device_sync SET unconfirmed = false WHERE device_id = p_device;
END $$;

-- Whether commands up to the cursor are still queued: the device holds what was never sent to it, so
-- this database is an older copy, or numbers were given twice.
CREATE FUNCTION command_never_sent(p_device text, p_cursor bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM command WHERE device_id = p_device AND seq <= p_cursor AND state = 'queued')
$$;

CREATE OR REPLACE FUNCTION sync_command_cursor(s device_sync, p_cursor bigint, p_mirror_lost boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF p_mirror_lost THEN
		PERFORM commands_lost(s.device_id, 0, p_cursor, '{queued,leased,received,executing}',
				      'the mirror lost its record of what the device took');
		-- Another device had taken them, which was removed, or a later state of this one.
		PERFORM commands_lost(s.device_id, p_cursor, s.command_seq, '{received,executing}',
				      'the device went back behind it');
		RETURN;
	END IF;
	UPDATE command SET state = 'received' WHERE device_id = s.device_id AND seq <= p_cursor AND state = 'leased';
	IF p_cursor < s.command_cursor THEN
		PERFORM commands_lost(s.device_id, p_cursor, s.command_cursor, '{received,executing}',
				      'the device went back behind it');
	END IF;
END $$;

-- s as it is after this request's epochs and cursors are accounted for; not yet stored, but for unconfirmed.
CREATE OR REPLACE FUNCTION sync_begin(INOUT s device_sync, p_epoch bytea, p_session bigint, p_round integer,
				      p_mirror_epoch bytea, p_mirror_cursor bigint, p_command_cursor bigint,
				      OUT mirror_lost boolean)
LANGUAGE plpgsql AS $$
DECLARE
	anew boolean := s.device_epoch IS NOT NULL AND s.device_epoch <> p_epoch;
BEGIN
	IF s.device_epoch IS DISTINCT FROM p_epoch THEN
		PERFORM sync_new_epoch(s, p_epoch);
		s.device_epoch := p_epoch;
		s.session := 0;
		s.device_cursor := 0;
		s.mirror_cursor := 0;
		s.command_cursor := 0;
	END IF;
	IF p_session > s.session THEN
		s.session_at := clock_timestamp();
	END IF;
	s.session := p_session;
	s.round := p_round;
	-- Numbers we never gave: this database is an older one. A new epoch tells every side.
	IF p_mirror_cursor > s.mirror_seq OR p_command_cursor > s.command_seq OR
	   (p_command_cursor > s.command_cursor AND p_mirror_epoch = s.mirror_epoch
	    AND command_never_sent(s.device_id, p_command_cursor)) THEN
		s.mirror_seq := greatest(s.mirror_seq, p_mirror_cursor);
		s.command_seq := greatest(s.command_seq, p_command_cursor);
		IF s.mirror_epoch = p_mirror_epoch THEN
			s.mirror_epoch := uuid_send(gen_random_uuid());
		END IF;
	END IF;
	mirror_lost := p_mirror_epoch <> '' AND p_mirror_epoch <> s.mirror_epoch;
	IF mirror_lost THEN
		s.device_cursor := 0;
		-- The device speaks of these numbers, but perhaps of other commands: its reports are not theirs.
		PERFORM command_end(c.device_id, c.seq, 'unknown', 'the mirror lost its record of what the device took')
		FROM command c WHERE c.device_id = s.device_id AND c.seq <= p_command_cursor AND c.state = 'queued';
	END IF;
	IF anew OR mirror_lost THEN
		s.unconfirmed := sync_doubt(s.device_id) OR s.unconfirmed;
		UPDATE device_sync SET unconfirmed = s.unconfirmed
		WHERE device_id = s.device_id AND unconfirmed <> s.unconfirmed;
	END IF;
END $$;

-- One request. p_changes: [{seq, name, value or nothing, time, bad: why the value is none}];
-- p_reports: [{seq, state, exit, output or nothing, detail}]; p_age_ms: see sync_admit(). What is returned
-- may be said to the device once this transaction is committed, and not before.
CREATE OR REPLACE FUNCTION sync(p_device text, p_epoch bytea, p_session bigint, p_round integer, p_flags integer,
				p_mirror_epoch bytea, p_mirror_cursor bigint, p_command_cursor bigint,
				p_changes jsonb, p_reports jsonb, p_age_ms integer)
RETURNS sync_reply
LANGUAGE plpgsql AS $$
DECLARE
	s device_sync;
	d device;
	reply sync_reply;
	b record;
	taken record;
	gc record;
	gk record;
BEGIN
	SELECT * INTO s FROM device_sync WHERE device_id = p_device FOR UPDATE;
	SELECT * INTO d FROM device WHERE device_id = p_device;
	IF d.device_id IS NULL OR d.state = 'revoked' THEN
		RETURN sync_refuse(4, 'this device is not enrolled, or was revoked');
	ELSIF d.state = 'active' THEN
		CASE sync_admit(s, p_epoch, p_session, p_round, p_age_ms)
		WHEN 0 THEN NULL;
		WHEN 6 THEN RETURN sync_refuse(6, 'a newer session has begun', 1000);
		ELSE d.state := 'quarantined';
		END CASE;
	END IF;
	IF d.state = 'quarantined' THEN
		UPDATE device_sync SET last_seen = now() WHERE device_id = p_device;
		RETURN sync_refuse(5, 'two devices use this identity; the operator must release it');
	END IF;

	b := sync_begin(s, p_epoch, p_session, p_round, p_mirror_epoch, p_mirror_cursor, p_command_cursor);
	s := b.s;
	UPDATE device_sync SET command_seq = s.command_seq, mirror_seq = s.mirror_seq WHERE device_id = p_device
		AND (command_seq, mirror_seq) IS DISTINCT FROM (s.command_seq, s.mirror_seq);
	taken := sync_take_changes(p_device, d.model, p_changes, s.device_cursor);
	-- In terms of this epoch it has no more to say: so it has said everything.
	PERFORM sync_settle(p_device) WHERE s.unconfirmed AND p_changes = '[]' AND p_mirror_epoch = s.mirror_epoch;
	PERFORM sync_take_reports(p_device, p_reports) WHERE p_reports <> '[]';
	PERFORM sync_command_cursor(s, p_command_cursor, b.mirror_lost);
	IF b.mirror_lost THEN -- numbers of another epoch; the device says all again, from its first change on
		taken.cursor := 0;
		p_mirror_cursor := 0;
		p_command_cursor := 0;
	END IF;
	gc := sync_give_changes(p_device, CASE WHEN p_flags & 1 = 1 THEN 0 ELSE p_mirror_cursor END);
	gk := sync_give_commands(p_device, d.model, p_command_cursor);
	UPDATE device_sync SET mirror_epoch = s.mirror_epoch, device_epoch = p_epoch, session = p_session,
		round = p_round, session_at = s.session_at, device_cursor = taken.cursor,
		mirror_cursor = p_mirror_cursor, command_cursor = p_command_cursor, last_seen = now()
	WHERE device_id = p_device;

	reply.status := 0;
	reply.detail := CASE WHEN taken.refused IS NOT NULL THEN 'refused: ' || taken.refused END;
	reply.mirror_epoch := s.mirror_epoch;
	reply.flags := CASE WHEN gc.more OR gk.more THEN 1 ELSE 0 END | CASE WHEN b.mirror_lost THEN 2 ELSE 0 END;
	reply.device_cursor := taken.cursor;
	reply.time_ms := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
	reply.interval_ms := (SELECT interval_ms FROM model WHERE model = d.model);
	reply.changes := gc.changes;
	reply.commands := gk.commands;
	RETURN reply;
END $$;

-- Ends a quarantine. Whichever device synchronises next is taken for the true one. The other one may have
-- said and taken anything under the same numbers: a new epoch makes the true one say and hear all again.
CREATE OR REPLACE FUNCTION admin_device_release(p_device text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
	UPDATE device SET state = 'active', reason = NULL WHERE device_id = p_device AND state = 'quarantined';
	IF NOT FOUND THEN
		PERFORM admin_fail(format('device %s is not in quarantine', p_device));
	END IF;
	DELETE FROM device_epoch WHERE device_id = p_device;
	UPDATE device_sync SET session = 0, round = -1, session_at = clock_timestamp(), device_cursor = 0,
		mirror_epoch = uuid_send(gen_random_uuid()), unconfirmed = sync_doubt(p_device) OR unconfirmed
	WHERE device_id = p_device;
	PERFORM outbox_add(p_device, 'device', 'released', NULL);
	PERFORM audit_add(p_device, session_user, 'device release', p_device, NULL);
END $$;

-- A revoked device is not heard again: what it took ends here.
CREATE OR REPLACE FUNCTION admin_device_revoke(p_device text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
	UPDATE device SET state = 'revoked', reason = 'revoked by ' || session_user WHERE device_id = p_device;
	IF NOT FOUND THEN
		PERFORM admin_fail(format('no device %s', p_device));
	END IF;
	UPDATE device_certificate SET revoked_at = now() WHERE device_id = p_device AND revoked_at IS NULL;
	PERFORM command_end(p_device, seq, CASE state WHEN 'queued' THEN 'cancelled' ELSE 'unknown' END,
			    'the device was revoked')
	FROM command WHERE device_id = p_device AND state IN ('queued', 'leased', 'received', 'executing');
	PERFORM outbox_add(p_device, 'device', 'revoked', NULL);
	PERFORM audit_add(p_device, session_user, 'device revoke', p_device, NULL);
END $$;

-- Commands that were left open by a revocation before this file.
SELECT command_end(c.device_id, c.seq, 'unknown', 'the device was revoked') FROM command c JOIN device d USING (device_id)
WHERE d.state = 'revoked' AND c.state IN ('queued', 'leased', 'received', 'executing');
