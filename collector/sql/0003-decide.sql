-- SPDX-License-Identifier: MIT
-- Incidents and decisions. The statistic that raises an incident is the program's; that enough distinct
-- devices stand behind it is checked here, against what is stored.

-- Classes that say a device attacks: scan, flood, outside.
CREATE FUNCTION hg_class_hostile(c smallint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT c IN (1, 2, 3) $$;

-- A target so wide that only one port of it may be blocked.
CREATE FUNCTION hg_target_wide(t cidr) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT masklen(t) < CASE family(t) WHEN 4 THEN 16 ELSE 32 END $$;

-- Is the target (t, p) of an alarm part of the incident (target i, port ip)?
CREATE FUNCTION hg_target_within(t cidr, p integer, i cidr, ip integer) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT t <<= i AND (ip = 0 OR p = ip) $$;

CREATE FUNCTION hg_configure(jsonb) RETURNS void
LANGUAGE sql AS $$
	UPDATE setting SET
		observe_only = ($1->>'observe_only')::boolean,
		min_devices = ($1->>'min_devices')::integer,
		evidence = ($1->>'evidence_ms')::bigint * interval '1 ms',
		block = ($1->>'block_ms')::bigint * interval '1 ms',
		block_max = ($1->>'block_max_ms')::bigint * interval '1 ms',
		quiet = ($1->>'quiet_ms')::bigint * interval '1 ms',
		relapse = ($1->>'relapse_ms')::bigint * interval '1 ms',
		line_max = ($1->>'line_max')::integer,
		protected = ARRAY(SELECT jsonb_array_elements_text($1->'protected')::cidr)
$$;

-- Alarms to correlate, oldest first; targets as "prefix proto port" lines.
CREATE FUNCTION hg_alarms_waiting(most integer)
RETURNS TABLE (alarm_id bigint, uid text, line cidr, class smallint, at_s bigint, targets text)
LANGUAGE sql STABLE AS $$
	SELECT a.alarm_id, a.uid, a.line, a.class, extract(epoch FROM a.received_at)::bigint,
		coalesce((SELECT string_agg(host(t.prefix) || '/' || masklen(t.prefix) || ' ' || t.proto
			|| ' ' || t.port, E'\n')
			FROM alarm_target t WHERE t.alarm_id = a.alarm_id), '')
	FROM alarm a WHERE NOT a.correlated ORDER BY a.alarm_id LIMIT most
$$;

-- What a restarted collector feeds its statistic with again.
CREATE FUNCTION hg_alarms_recent(after bigint, most integer)
RETURNS TABLE (alarm_id bigint, uid text, line cidr, class smallint, at_s bigint, targets text)
LANGUAGE sql STABLE AS $$
	SELECT a.alarm_id, a.uid, a.line, a.class, extract(epoch FROM a.received_at)::bigint,
		coalesce((SELECT string_agg(host(t.prefix) || '/' || masklen(t.prefix) || ' ' || t.proto
			|| ' ' || t.port, E'\n')
			FROM alarm_target t WHERE t.alarm_id = a.alarm_id), '')
	FROM alarm a, setting s
	WHERE a.correlated AND a.alarm_id > after AND a.received_at > now() - s.evidence
	ORDER BY a.alarm_id LIMIT most
$$;

CREATE FUNCTION hg_history_add(d bigint, what text, why text) RETURNS void
LANGUAGE sql AS $$ INSERT INTO decision_history (decision_id, event, detail) VALUES (d, what, why) $$;

-- Decides about one line and one target, unless that lasts already. Returns 1 if a decision was made.
CREATE FUNCTION hg_decide(i bigint, u text, l cidr, t cidr, pr smallint, p integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	s setting;
	before integer := 0;
	now_state text;
	why text;
	id bigint;
	last timestamptz;
BEGIN
	SELECT * INTO s FROM setting;
	IF EXISTS (SELECT FROM decision d WHERE d.uid = u AND d.line = l AND d.ended_at IS NULL
			AND d.target >>= t AND (d.port = 0 OR (d.port = p AND d.proto = pr))) THEN
		RETURN 0;
	END IF;
	SELECT d.relapse + 1, d.ended_at INTO before, last FROM decision d
	WHERE d.uid = u AND d.line = l AND (d.target >>= t OR d.target <<= t) AND d.state <> 'refused'
		AND d.ended_at > now() - s.relapse
	ORDER BY d.ended_at DESC LIMIT 1;
	before := coalesce(before, 0);
	now_state := CASE WHEN s.observe_only THEN 'observed' ELSE 'blocked' END;
	why := CASE WHEN before > 0 THEN 'relapse ' || before ELSE 'agreed by distinct devices' END;
	IF EXISTS (SELECT FROM unnest(s.protected) x WHERE t <<= x) THEN
		now_state := 'refused';
		why := 'target is protected';
	ELSIF hg_target_wide(t) AND p = 0 THEN
		now_state := 'refused';
		why := 'target is too wide to block without a port';
	ELSIF (SELECT count(*) FROM decision d WHERE d.line = l AND d.ended_at IS NULL) >= s.line_max THEN
		now_state := 'refused';
		why := 'the line has as many decisions as are allowed';
	-- A stolen key that speaks from forged addresses must not fill the block with other people's lines.
	ELSIF (SELECT count(*) FROM decision d WHERE d.uid = u AND d.ended_at IS NULL) >= s.line_max THEN
		now_state := 'refused';
		why := 'the device has as many decisions as are allowed';
	END IF;
	IF now_state = 'refused' AND EXISTS (SELECT FROM decision d WHERE d.incident_id = i AND d.uid = u
			AND d.reason = why AND (why LIKE 'the device %' OR (d.line = l AND d.target = t AND d.port = p))) THEN
		RETURN 0;
	END IF;
	INSERT INTO decision (incident_id, uid, line, target, proto, port, state, reason, relapse, ends_at, ended_at)
	VALUES (i, u, l, t, CASE WHEN p = 0 THEN 0 ELSE pr END, p, now_state, why, before,
		now() + least(s.block * 2 ^ least(before, 20), s.block_max),
		CASE now_state WHEN 'refused' THEN now() END)
	RETURNING decision_id INTO id;
	PERFORM hg_history_add(id, now_state, why);
	RETURN CASE now_state WHEN 'refused' THEN 0 ELSE 1 END;
END $$;

-- The alarm's device is part of the incident. Returns the number of decisions made.
CREATE FUNCTION hg_incident_join(i bigint, a bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	inc incident;
	al alarm;
	tg alarm_target;
	made integer := 0;
BEGIN
	SELECT * INTO inc FROM incident WHERE incident_id = i FOR UPDATE;
	SELECT * INTO al FROM alarm WHERE alarm_id = a;
	INSERT INTO incident_member AS m (incident_id, uid, line, first_seen_at, last_seen_at)
	VALUES (i, al.uid, al.line, al.received_at, al.received_at)
	ON CONFLICT (incident_id, uid, line)
	DO UPDATE SET last_seen_at = greatest(m.last_seen_at, excluded.last_seen_at);
	UPDATE incident SET last_seen_at = greatest(last_seen_at, al.received_at), closed_at = NULL,
		classes = CASE WHEN al.class = ANY (classes) THEN classes ELSE classes || al.class END
	WHERE incident_id = i;
	-- An old alarm is a witness, but its sender is not blocked for it: it has ended, or is silent,
	-- and is decided about when it speaks again.
	IF NOT EXISTS (SELECT FROM episode e, setting s WHERE e.key_id = al.key_id
			AND e.episode = al.episode AND e.ended_at IS NULL
			AND e.last_alarm_at > now() - s.quiet) THEN
		RETURN 0;
	END IF;
	FOR tg IN SELECT * FROM alarm_target x WHERE x.alarm_id = a
			AND hg_target_within(x.prefix, x.port, inc.target, inc.port) LOOP
		made := made + hg_decide(i, al.uid, al.line, tg.prefix, tg.proto,
			CASE WHEN inc.port <> 0 OR hg_target_wide(tg.prefix) THEN tg.port ELSE 0 END);
	END LOOP;
	RETURN made;
END $$;

-- The statistic has crossed for target and port: raise an incident if enough distinct devices agree.
CREATE FUNCTION hg_incident_raise(t cidr, p integer, ln_r double precision) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	s setting;
	id bigint;
	witness bigint[];
	made integer := 0;
	a bigint;
BEGIN
	SELECT * INTO s FROM setting;
	-- Of each device its newest statement about the target.
	SELECT array_agg(x.alarm_id ORDER BY x.alarm_id) INTO witness FROM (
		SELECT DISTINCT ON (al.uid) al.alarm_id
		FROM alarm_target g JOIN alarm al USING (alarm_id)
		WHERE g.received_at > now() - s.evidence AND hg_target_within(g.prefix, g.port, t, p)
			AND hg_class_hostile(al.class) AND (p = 0 OR al.class = 1)
		ORDER BY al.uid, al.alarm_id DESC) x;
	IF coalesce(cardinality(witness), 0) < s.min_devices THEN
		RETURN 0;
	END IF;
	SELECT incident_id INTO id FROM incident i
	WHERE i.closed_at IS NULL AND i.port = p AND (i.target >>= t OR i.target <<= t)
	ORDER BY i.incident_id LIMIT 1 FOR UPDATE;
	IF id IS NULL THEN
		INSERT INTO incident (target, port, classes, statistic) VALUES (t, p, '{}', ln_r)
		RETURNING incident_id INTO id;
	ELSE
		UPDATE incident SET target = t WHERE incident_id = id AND target <<= t;
	END IF;
	FOREACH a IN ARRAY witness LOOP
		made := made + hg_incident_join(id, a);
	END LOOP;
	RETURN made;
END $$;

-- One alarm has been correlated; raised: [[target, port, ln R], ...] for each key that crossed.
-- A device joins incidents that are open; a former member that relapses opens its incident again.
CREATE FUNCTION hg_alarm_conclude(a bigint, raised jsonb) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	al alarm;
	made integer := 0;
	r jsonb;
	i bigint;
BEGIN
	SELECT * INTO al FROM alarm WHERE alarm_id = a AND NOT correlated FOR UPDATE;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	FOR r IN SELECT * FROM jsonb_array_elements(raised) LOOP
		made := made + hg_incident_raise((r->>0)::cidr, (r->>1)::integer,
			(r->>2)::double precision);
	END LOOP;
	IF hg_class_hostile(al.class) THEN
		FOR i IN SELECT DISTINCT n.incident_id FROM incident n, alarm_target t, setting s
			WHERE t.alarm_id = a AND hg_target_within(t.prefix, t.port, n.target, n.port)
				AND (n.port = 0 OR al.class = 1)
				AND (n.closed_at IS NULL OR (n.closed_at > now() - s.relapse AND EXISTS (
					SELECT FROM incident_member m WHERE m.incident_id = n.incident_id
					AND m.uid = al.uid)))
		LOOP
			made := made + hg_incident_join(i, a);
		END LOOP;
	END IF;
	UPDATE alarm SET correlated = true WHERE alarm_id = a;
	RETURN made;
END $$;

-- An alarm that cannot be concluded, set aside.
CREATE FUNCTION hg_alarm_skip(a bigint) RETURNS bigint
LANGUAGE sql AS $$ UPDATE alarm SET correlated = true WHERE alarm_id = a RETURNING 0::bigint $$;

-- Decisions that changed after `since`, for the block; seconds are those that are left.
CREATE FUNCTION hg_decisions_changed(since bigint)
RETURNS TABLE (change bigint, decision_id bigint, line cidr, target cidr, proto smallint, port integer,
	wanted boolean, seconds bigint)
LANGUAGE sql STABLE AS $$
	SELECT d.change, d.decision_id, d.line, d.target, d.proto, d.port,
		d.state = 'blocked' AND d.ends_at > now(),
		greatest(1, ceil(extract(epoch FROM d.ends_at - now())))::bigint
	FROM decision d WHERE d.change > since AND (since > 0 OR d.state = 'blocked') ORDER BY d.change
$$;

CREATE FUNCTION hg_decisions_applied(ids bigint[]) RETURNS void
LANGUAGE sql AS $$
	WITH a AS (UPDATE decision SET applied_at = now()
		WHERE decision_id = ANY (ids) AND applied_at IS NULL RETURNING decision_id)
	INSERT INTO decision_history (decision_id, event, detail) SELECT decision_id, 'applied', 'nftables' FROM a
$$;

CREATE FUNCTION hg_decision_hits(ids bigint[], packets bigint[]) RETURNS void
LANGUAGE sql AS $$
	UPDATE decision d SET hits = d.hits + x.n, last_hit_at = now()
	FROM unnest(ids, packets) AS x (id, n) WHERE d.decision_id = x.id AND d.ended_at IS NULL
$$;

CREATE FUNCTION hg_decision_end(id bigint, how text, why text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE decision SET state = how, reason = why, ended_at = now(), change = nextval('decision_change')
	WHERE decision_id = id AND ended_at IS NULL;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM hg_history_add(id, how, why);
	RETURN true;
END $$;

-- Ends what is over and closes incidents. Returns the decisions that ended.
CREATE FUNCTION hg_decisions_review()
RETURNS TABLE (decision_id bigint, uid text, line cidr, target cidr, state text, reason text)
LANGUAGE plpgsql AS $$
DECLARE
	s setting;
	d decision;
BEGIN
	SELECT * INTO s FROM setting;
	FOR d IN SELECT * FROM decision x WHERE x.ended_at IS NULL AND (x.ends_at <= now() OR
		(x.made_at < now() - s.quiet
		AND coalesce(x.last_hit_at, '-infinity') < now() - s.quiet
		AND NOT EXISTS (SELECT FROM episode e WHERE e.uid = x.uid AND e.ended_at IS NULL
			AND e.last_alarm_at > now() - s.quiet)))
		FOR UPDATE
	LOOP
		state := CASE WHEN d.ends_at <= now() THEN 'expired' ELSE 'restored' END;
		reason := CASE WHEN d.ends_at <= now() THEN 'its time is over'
			ELSE 'no alarm and no packet for ' || s.quiet END;
		IF hg_decision_end(d.decision_id, state, reason) THEN
			decision_id := d.decision_id;
			uid := d.uid;
			line := d.line;
			target := d.target;
			RETURN NEXT;
		END IF;
	END LOOP;
	UPDATE incident i SET closed_at = now()
	WHERE i.closed_at IS NULL AND i.last_seen_at < now() - s.quiet AND NOT EXISTS
		(SELECT FROM decision x WHERE x.incident_id = i.incident_id AND x.ended_at IS NULL);
END $$;

-- Forgets what is older than `age`; lasting decisions and their incidents stay.
CREATE FUNCTION hg_forget(age interval) RETURNS void
LANGUAGE sql AS $$
	DELETE FROM alarm WHERE correlated AND received_at < now() - age;
	DELETE FROM episode WHERE last_alarm_at < now() - age;
	DELETE FROM incident WHERE closed_at < now() - age;
	DELETE FROM audit WHERE day < current_date - age;
$$;

-- For people.
CREATE VIEW incident_list AS
	SELECT i.incident_id, i.target, i.port,
		ARRAY(SELECT CASE c WHEN 1 THEN 'scan' WHEN 2 THEN 'flood' WHEN 3 THEN 'outside'
			ELSE c::text END FROM unnest(i.classes) c ORDER BY c) AS classes,
		(SELECT count(DISTINCT m.uid) FROM incident_member m WHERE m.incident_id = i.incident_id)
			AS devices,
		(SELECT count(DISTINCT m.line) FROM incident_member m WHERE m.incident_id = i.incident_id)
			AS lines,
		(SELECT count(*) FROM decision d WHERE d.incident_id = i.incident_id AND d.ended_at IS NULL)
			AS lasting,
		i.statistic, i.opened_at, i.last_seen_at, i.closed_at
	FROM incident i;
