-- SPDX-License-Identifier: MIT
-- Synchronisation: sync() is one request of a device, whole or not at all. docs/sync-protocol.md is the
-- specification; numbers of statuses and flags are those of lib/wire.h.

CREATE TYPE sync_reply AS (
	status integer, detail text, mirror_epoch bytea, flags integer, device_cursor bigint,
	time_ms bigint, interval_ms integer, changes jsonb, commands jsonb, partial jsonb
);

-- How long ago a time of this server's clock (ms since 1970) was when the statement began: what a request waited on
-- its way here counts, too, be it minutes.
CREATE FUNCTION sync_age(p_ms bigint) RETURNS integer
LANGUAGE sql STABLE AS $$
	SELECT least(greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint - p_ms, 0), 2147483647)::integer
$$;

-- Judges epoch, session and round. Returns 0 (go on), 5 (quarantined now) or 6 (too late: superseded).
-- p_age_ms: since this connection was accepted. Too late is what comes on a connection that was accepted before
-- the newest session was heard of, or before a release (session 0), and is not newer: the device gave it up. So is
-- what has another epoch, for a device that lost its store may have a request under way yet.
CREATE FUNCTION sync_admit(s device_sync, p_epoch bytea, p_session bigint, p_round integer, p_age_ms integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	why text;
BEGIN
	-- Its age counts from when the statement began: it may have waited for the row since.
	IF s.session_at > statement_timestamp() - p_age_ms * interval '1 ms' AND s.session_at <= clock_timestamp()
	   AND (s.device_epoch IS DISTINCT FROM p_epoch OR p_session < s.session OR s.session = 0) THEN
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

-- The device lost its store: its numbers begin again, and what it had taken is gone.
CREATE FUNCTION sync_new_epoch(s device_sync, p_epoch bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF s.device_epoch IS NULL THEN
		RETURN;
	END IF;
	INSERT INTO device_epoch (device_id, epoch) VALUES (s.device_id, s.device_epoch) ON CONFLICT DO NOTHING;
	DELETE FROM device_epoch WHERE device_id = s.device_id AND epoch IN (
		SELECT epoch FROM device_epoch WHERE device_id = s.device_id ORDER BY ended_at DESC OFFSET 64);
	PERFORM commands_lost(s.device_id, 0, s.command_seq, '{leased,received,executing}',
			      'the device lost its store before it reported the end');
	PERFORM outbox_add(s.device_id, 'device', 'new-store', NULL);
END $$;

-- Why one change is refused, or NULL. p_property is the model's row or NULL.
CREATE FUNCTION change_problem(p_property model_property, p_change jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
	bad record;
BEGIN
	IF p_property.name IS NULL THEN
		RETURN 'the model has no such property';
	ELSIF p_property.owner = 'mirror' THEN
		RETURN 'the mirror owns this property';
	ELSIF p_change ? 'bad' THEN
		RETURN p_change->>'bad';
	ELSIF p_change ? 'value' AND p_property.owner <> 'counter' THEN
		bad := schema_check(p_property.schema, p_change->'value', '');
		IF bad.problem IS NOT NULL THEN
			RETURN trim(bad.pointer || ' ' || bad.problem);
		END IF;
	END IF;
	RETURN NULL;
END $$;

-- What happened in one request, to be written to the outbox together at its end.
CREATE TYPE sync_events AS (kinds text[], names text[], data jsonb[]);

CREATE FUNCTION outbox_add_all(p_device text, e sync_events) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	last bigint;
BEGIN
	IF e.kinds <> '{}' THEN
		UPDATE device_sync SET event_seq = event_seq + cardinality(e.kinds) WHERE device_id = p_device
		RETURNING event_seq - cardinality(e.kinds) INTO last;
		PERFORM outbox_fill(p_device, last, e.kinds, e.names, e.data);
	END IF;
END $$;

-- Writes what the device alone writes. The last of a name counts, and all of them happened.
CREATE FUNCTION sync_write(p_device text, p_names text[], p_values jsonb[], p_seqs bigint[], p_times bigint[],
			   INOUT e sync_events)
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO property AS p (device_id, name, owner, value, seq, made_ms)
	SELECT DISTINCT ON (x.name) p_device, x.name, 'device', x.value, x.seq, x.made
	FROM unnest(p_names, p_values, p_seqs, p_times) AS x(name, value, seq, made) ORDER BY x.name, x.seq DESC
	ON CONFLICT (device_id, name) DO UPDATE SET value = excluded.value, seq = excluded.seq,
		made_ms = excluded.made_ms, changed_at = now(), version = p.version + 1;
	e.kinds := array_fill('property'::text, ARRAY[cardinality(p_names)]);
	e.names := p_names;
	e.data := p_values;
END $$;

-- Takes the device's changes above its cursor, one by one. p_seen: the mirror's changes that it holds. Returns the new
-- cursor, and what was refused and why.
CREATE FUNCTION sync_take_each(p_device text, p_model text, p_changes jsonb, p_seen bigint, INOUT cursor bigint,
			       OUT refused text, INOUT e sync_events)
LANGUAGE plpgsql AS $$
DECLARE
	c record;
	why text;
	-- what the device alone writes is taken together, at the end
	names text[] := '{}';
	vals jsonb[] := '{}';
	seqs bigint[] := '{}';
	times bigint[] := '{}';
BEGIN
	FOR c IN
		SELECT x.value AS it, (x.value->>'seq')::bigint AS seq, m AS def
		FROM jsonb_array_elements(p_changes) WITH ORDINALITY AS x(value, n)
		LEFT JOIN model_property m ON m.model = p_model AND m.name = x.value->>'name'
		ORDER BY x.n
	LOOP
		CONTINUE WHEN c.seq <= cursor;
		cursor := c.seq;
		why := change_problem(c.def, c.it);
		IF why IS NULL AND c.it ? 'size' THEN
			why := CASE (c.def).owner WHEN 'newest' THEN both_large_problem()
			       ELSE large_problem(p_device, (c.def).name, (c.it->>'size')::bigint) END;
		END IF;
		IF (c.def).owner = 'newest' THEN
			why := merge_newest(p_device, (c.def).name, c.it, p_seen, why);
			CONTINUE WHEN why IS NULL;
		ELSIF (c.def).owner = 'counter' AND why IS NULL THEN
			why := merge_counter(p_device, (c.def).name, c.it);
			CONTINUE WHEN why IS NULL;
		END IF;
		IF why IS NOT NULL THEN
			refused := concat_ws('; ', refused, format('%s (%s): %s', c.it->>'name', cursor, why));
			INSERT INTO refusal (device_id, slot, seq, name, reason)
			VALUES (p_device, cursor % 32, cursor, c.it->>'name', why)
			ON CONFLICT (device_id, slot) DO UPDATE SET seq = excluded.seq, name = excluded.name,
				reason = excluded.reason, refused_at = now();
			CONTINUE;
		END IF;
		names := names || (c.def).name;
		vals := vals || (c.it->'value');
		seqs := seqs || cursor;
		times := times || (c.it->>'time')::bigint;
	END LOOP;
	IF names <> '{}' THEN
		e := sync_write(p_device, names, vals, seqs, times, e);
	END IF;
END $$;

-- The same of all at once, if there is nothing to it: properties that the device alone writes, values that are neither
-- large nor in doubt, numbers that ascend from above the cursor. Else p_cursor is what it was, and nothing was done.
CREATE FUNCTION sync_take_plain(p_device text, p_model text, p_changes jsonb, INOUT cursor bigint, INOUT e sync_events)
LANGUAGE plpgsql AS $$
DECLARE
	c record;
	last bigint := cursor;
BEGIN
	SELECT coalesce(bool_and(coalesce(m.owner = 'device' AND NOT x.value ?| '{bad,size}'
			AND (NOT x.value ? 'value' OR schema_passes(m.schema, x.value->'value')), false)), false) AS plain,
		array_agg(m.name) AS names, array_agg(x.value->'value') AS vals,
		array_agg((x.value->>'seq')::bigint) AS seqs, array_agg((x.value->>'time')::bigint) AS times
	INTO c FROM (SELECT value, n FROM jsonb_array_elements(p_changes) WITH ORDINALITY AS j(value, n) ORDER BY n) x
	LEFT JOIN model_property m ON m.model = p_model AND m.name = x.value->>'name';
	IF NOT c.plain THEN
		RETURN;
	END IF;
	FOR i IN 1 .. cardinality(c.seqs) LOOP
		IF c.seqs[i] <= last THEN
			RETURN;
		END IF;
		last := c.seqs[i];
	END LOOP;
	cursor := last;
	e := sync_write(p_device, c.names, c.vals, c.seqs, c.times, e);
END $$;

CREATE FUNCTION sync_take_reports(p_device text, p_reports jsonb, INOUT e sync_events)
LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM jsonb_to_recordset(p_reports)
			AS x(seq bigint, state text, exit integer, output jsonb, detail text, size bigint) LOOP
		IF r.size IS NOT NULL AND r.size + outputs_size(p_device) > large_max() THEN
			r.output := NULL;
			r.detail := format('its output of %s bytes was not kept: the outputs of this device take more than %s',
					   r.size, large_max());
		END IF;
		UPDATE command SET state = r.state, exit_status = r.exit, output = r.output,
			detail = nullif(r.detail, ''),
			ended_at = CASE WHEN command_rank(r.state) = 4 THEN now() END
		WHERE device_id = p_device AND seq = r.seq AND ended_at IS NULL
			AND command_rank(state) < command_rank(r.state);
		IF FOUND THEN
			e.kinds := e.kinds || 'command'::text;
			e.names := e.names || r.seq::text;
			e.data := e.data || jsonb_build_object('state', r.state);
		END IF;
	END LOOP;
END $$;

-- The part of a mirror's large value that a device is to have next. p_held: [seq, have] as it said, or NULL.
CREATE FUNCTION part_give(p_device text, p_name text, p_seq bigint, p_held jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('seq', p_seq, 'name', p_name, 'time', l.made_ms, 'total', length(l.bytes), 'offset', o.at,
				  'part', '\x' || encode(substring(l.bytes FROM o.at + 1 FOR 98304), 'hex'))
	FROM large_value l, LATERAL (SELECT CASE WHEN (p_held->>0)::bigint = p_seq AND (p_held->>1)::bigint < length(l.bytes)
					    THEN (p_held->>1)::integer ELSE 0 END AS at) o
	WHERE l.device_id = p_device AND l.name = p_name
$$;

-- Mirror-owned properties above the cursor, as many as fit; always at least one if there is one.
-- One that travels in parts goes alone; p_held: see part_give().
CREATE FUNCTION sync_give_changes(p_device text, p_cursor bigint, p_held jsonb, OUT changes jsonb, OUT more boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
	changes := '[]';
	more := false;
	IF NOT EXISTS (SELECT FROM property WHERE device_id = p_device AND owner = 'mirror' AND seq > p_cursor) THEN
		RETURN; -- most of the time
	END IF;
	WITH due AS MATERIALIZED (
		SELECT seq, name, coalesce(to_jsonb(mine), value) AS value, made_ms,
			l.bytes IS NOT NULL AS large
		FROM property LEFT JOIN large_value l USING (device_id, name, made_ms)
		WHERE device_id = p_device AND owner = 'mirror' AND seq > p_cursor ORDER BY seq LIMIT 257
	), summed AS (
		SELECT *, row_number() OVER w AS n,
			sum(60 + CASE WHEN large THEN 0 ELSE octet_length(coalesce(value::text, '')) END) OVER w AS bytes,
			bool_or(large) OVER w AS behind -- one that travels in parts, or it is one
		FROM due WINDOW w AS (ORDER BY seq)
	)
	-- A number grows by at most 9/5 from jsonb's text to CBOR, and 60 * 9/5 cover name, number and time:
	-- 64 KiB of text stay below 120 KiB, and with as much for commands below the 256 KiB of a message.
	SELECT coalesce((SELECT jsonb_build_array(part_give(p_device, name, seq, p_held)) FROM summed WHERE n = 1 AND large),
		jsonb_agg(jsonb_strip_nulls(jsonb_build_object('seq', seq, 'name', name, 'time', made_ms))
			|| CASE WHEN value IS NULL THEN '{}' ELSE jsonb_build_object('value', value) END
			ORDER BY seq) FILTER (WHERE NOT behind AND (n = 1 OR (n <= 256 AND bytes <= 65536))), '[]'),
		coalesce(bool_or(behind OR (n > 1 AND (n > 256 OR bytes > 65536))), false)
	INTO changes, more
	FROM summed;
END $$;

-- Commands above the cursor, leased: each requester's right and each deadline is judged again.
CREATE FUNCTION sync_give_commands(p_device text, p_model text, p_cursor bigint, OUT commands jsonb,
				   OUT more boolean)
LANGUAGE plpgsql AS $$
DECLARE
	c command;
	seqs bigint[] := '{}';
	bytes integer := 0;
	access text;
	judged text;	-- the right that was judged last, and how: most come from one application
	may boolean;
BEGIN
	commands := '[]';
	more := false;
	FOR c IN SELECT * FROM command WHERE device_id = p_device AND seq > p_cursor
			AND ended_at IS NULL AND state IN ('queued', 'leased') ORDER BY seq LOOP
		IF c.deliver_by < now() THEN
			PERFORM command_end(p_device, c.seq, 'expired', 'not delivered in time');
			CONTINUE;
		END IF;
		access := CASE c.action WHEN '$set' THEN 'write' ELSE 'invoke' END;
		IF judged IS DISTINCT FROM c.token_id || access THEN
			judged := c.token_id || access;
			may := token_may(c.token_id, access, p_device, p_model);
		END IF;
		IF NOT may THEN
			PERFORM command_end(p_device, c.seq, 'cancelled', 'the requester''s right was withdrawn');
			CONTINUE;
		END IF;
		bytes := bytes + 60 + octet_length(coalesce(c.input::text, ''));
		more := seqs <> '{}' AND (cardinality(seqs) >= 64 OR bytes > 65536);
		EXIT WHEN more;
		seqs := seqs || c.seq;
		commands := commands || jsonb_build_array(jsonb_build_object('seq', c.seq, 'action', c.action,
				'execute_within_ms', c.execute_within_ms, 'repeatable', c.repeatable)
			|| CASE WHEN c.input IS NULL THEN '{}' ELSE jsonb_build_object('input', c.input) END);
	END LOOP;
	IF seqs <> '{}' THEN
		UPDATE command SET state = 'leased', leases = leases + 1 WHERE device_id = p_device AND seq = ANY (seqs);
	END IF;
END $$;

-- The device will say all that it owns again, as its numbers or ours begin anew. What it does not say
-- then, it does not have: sync_settle() takes that away.
CREATE FUNCTION sync_doubt(p_device text) RETURNS boolean
LANGUAGE sql AS $$
	WITH u AS (UPDATE property SET seq = 0 WHERE device_id = p_device AND owner = 'device' AND value IS NOT NULL
		   RETURNING 1),
	     c AS (UPDATE property SET theirs_seq = 0 WHERE device_id = p_device AND theirs <> 0 RETURNING 1)
	SELECT EXISTS (SELECT FROM u) OR EXISTS (SELECT FROM c)
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
	PERFORM merge_settle(p_device);
	UPDATE device_sync SET unconfirmed = false WHERE device_id = p_device;
END $$;

-- Whether commands up to the cursor are still queued: the device holds what was never sent to it, so
-- this database is an older copy, or numbers were given twice.
CREATE FUNCTION command_never_sent(p_device text, p_cursor bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM command WHERE device_id = p_device AND seq <= p_cursor AND state = 'queued'
		       AND ended_at IS NULL)
$$;

-- What the device's command cursor says about commands sent before. When the mirror lost data, the device
-- drops what it has not begun, and whatever is numbered up to its cursor may have run.
CREATE FUNCTION sync_command_cursor(s device_sync, p_cursor bigint, p_mirror_lost boolean) RETURNS void
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
	UPDATE command SET state = 'received' WHERE device_id = s.device_id AND seq <= p_cursor AND state = 'leased'
		AND ended_at IS NULL;
	IF p_cursor < s.command_cursor THEN
		PERFORM commands_lost(s.device_id, p_cursor, s.command_cursor, '{received,executing}',
				      'the device went back behind it');
	END IF;
END $$;

-- s as it is after this request's epochs and cursors are accounted for; not yet stored, but for unconfirmed.
CREATE FUNCTION sync_begin(INOUT s device_sync, p_epoch bytea, p_session bigint, p_round integer,
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
		FROM command c WHERE c.device_id = s.device_id AND c.seq <= p_command_cursor AND c.state = 'queued'
			AND c.ended_at IS NULL;
	END IF;
	IF anew OR mirror_lost THEN
		s.mirror_seq := merge_adopt(s.device_id, s.mirror_seq, anew);
		s.unconfirmed := sync_doubt(s.device_id) OR s.unconfirmed;
		UPDATE device_sync SET unconfirmed = s.unconfirmed
		WHERE device_id = s.device_id AND unconfirmed <> s.unconfirmed;
	END IF;
END $$;

CREATE FUNCTION sync_refuse(p_status integer, p_detail text, p_interval_ms integer DEFAULT 0) RETURNS sync_reply
LANGUAGE sql AS $$
	SELECT (p_status, p_detail, ''::bytea, 0, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
		p_interval_ms, '[]', '[]', NULL)::sync_reply
$$;

-- One request. p_changes: [{seq, name, value or nothing, time, bad: why the value is none,
-- size: in bytes, if it is over 16 KiB}];
-- p_reports: [{seq, state, exit, output or nothing, detail, size of that}]; p_age_ms: see sync_admit(); p_held,
-- p_parts: see part_give() and partial_step(). What is returned
-- may be said to the device once this transaction is committed, and not before.
CREATE FUNCTION sync(p_device text, p_epoch bytea, p_session bigint, p_round integer, p_flags integer,
				p_mirror_epoch bytea, p_mirror_cursor bigint, p_command_cursor bigint,
				p_changes jsonb, p_reports jsonb, p_age_ms integer, p_held jsonb DEFAULT NULL,
				p_parts jsonb DEFAULT NULL)
RETURNS sync_reply
LANGUAGE plpgsql AS $$
DECLARE
	s device_sync;
	d record;
	reply sync_reply;
	e sync_events := ('{}', '{}', '{}');
	cursor bigint;
	refused text;
	follows boolean; -- the same two stores as before, in what most requests are
	lost boolean := false; -- the mirror's numbers that the device knows
	r record;
	said bigint; -- the mirror's changes that need not be said
	n integer;
	last bigint;
BEGIN
	SELECT * INTO s FROM device_sync WHERE device_id = p_device FOR UPDATE;
	SELECT dev.model, dev.state, m.interval_ms INTO d FROM device dev JOIN model m USING (model)
	WHERE dev.device_id = p_device;
	follows := (s.device_epoch = p_epoch AND s.session > 0
		AND (p_session > s.session OR (p_session = s.session AND p_round > s.round))) IS TRUE;
	IF d.model IS NULL OR d.state = 'revoked' THEN
		RETURN sync_refuse(4, 'this device is not enrolled, or was revoked');
	ELSIF d.state = 'active' AND NOT follows THEN
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

	follows := follows AND p_mirror_epoch = s.mirror_epoch AND p_mirror_cursor <= s.mirror_seq
		AND p_command_cursor <= s.command_seq;
	IF follows AND p_command_cursor > s.command_cursor THEN
		follows := NOT command_never_sent(p_device, p_command_cursor);
	END IF;
	IF NOT follows THEN
		r := sync_begin(s, p_epoch, p_session, p_round, p_mirror_epoch, p_mirror_cursor, p_command_cursor);
		s := r.s;
		lost := r.mirror_lost;
		UPDATE device_sync SET command_seq = s.command_seq, mirror_seq = s.mirror_seq WHERE device_id = p_device
			AND (command_seq, mirror_seq) IS DISTINCT FROM (s.command_seq, s.mirror_seq);
	ELSIF p_session > s.session THEN
		s.session_at := clock_timestamp();
	END IF;

	said := CASE WHEN follows THEN s.mirror_seq ELSE -1 END;
	cursor := s.device_cursor;
	IF p_changes <> '[]' THEN
		r := sync_take_plain(p_device, d.model, p_changes, cursor, e);
		IF r.cursor = cursor THEN
			r := sync_take_each(p_device, d.model, p_changes, CASE WHEN lost THEN 0 ELSE p_mirror_cursor END,
					    cursor, e);
			refused := r.refused;
			said := -1; -- what both write may have got numbers
		END IF;
		cursor := r.cursor;
		e := r.e;
	ELSIF s.unconfirmed AND p_mirror_epoch = s.mirror_epoch AND p_flags & 4 = 0
	      AND NOT coalesce(p_parts @> '[{"kind": 0}]', false) THEN
		-- In terms of this epoch it has no more to say: so it has said everything.
		PERFORM sync_settle(p_device);
	END IF;
	IF p_reports <> '[]' THEN
		e := sync_take_reports(p_device, p_reports, e);
	END IF;
	IF lost OR p_command_cursor < s.command_cursor THEN
		PERFORM outbox_add_all(p_device, e); -- before what may end the same commands
		e := ('{}', '{}', '{}');
	END IF;
	IF lost OR p_command_cursor <> s.command_cursor THEN
		PERFORM sync_command_cursor(s, p_command_cursor, lost);
	END IF;
	IF lost THEN -- numbers of another epoch; the device says all again, from its first change on
		cursor := 0;
		p_mirror_cursor := 0;
		p_command_cursor := 0;
	END IF;
	IF s.partials OR p_parts IS NOT NULL THEN
		reply.partial := partial_step(s, cursor, p_reports,
					      CASE WHEN lost THEN '[]' ELSE coalesce(p_parts, '[]') END);
	END IF;

	reply.flags := CASE WHEN lost THEN 2 ELSE 0 END;
	reply.changes := '[]';
	reply.commands := '[]';
	IF said < 0 OR p_flags & 1 = 1 OR p_mirror_cursor < said THEN
		r := sync_give_changes(p_device, CASE WHEN p_flags & 1 = 1 THEN 0 ELSE p_mirror_cursor END,
				       CASE WHEN p_mirror_epoch = s.mirror_epoch THEN p_held END);
		reply.changes := r.changes;
		reply.flags := reply.flags | r.more::integer;
	END IF;
	IF p_command_cursor < s.command_seq THEN
		r := sync_give_commands(p_device, d.model, p_command_cursor);
		reply.commands := r.commands;
		reply.flags := reply.flags | r.more::integer;
	END IF;
	n := cardinality(e.kinds);
	UPDATE device_sync SET mirror_epoch = s.mirror_epoch, device_epoch = p_epoch, session = p_session,
		round = p_round, session_at = s.session_at, device_cursor = cursor,
		mirror_cursor = p_mirror_cursor, command_cursor = p_command_cursor, last_seen = now(),
		event_seq = event_seq + n
	WHERE device_id = p_device RETURNING event_seq - n INTO last;
	IF n > 0 THEN
		PERFORM outbox_fill(p_device, last, e.kinds, e.names, e.data);
	END IF;

	reply.status := 0;
	reply.detail := 'refused: ' || refused;
	reply.mirror_epoch := s.mirror_epoch;
	reply.device_cursor := cursor;
	reply.time_ms := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
	reply.interval_ms := d.interval_ms;
	RETURN reply;
END $$;
