-- SPDX-License-Identifier: MIT
-- What an alarm says its traffic looks like (enum hg_attack), and the window in which it showed. Drift (13) is not
-- hostile: the model does something that its profile lacks. It is stored and shown apart, and leads to no incident.

ALTER TABLE alarm
	ADD attack smallint NOT NULL DEFAULT 0,		-- enum hg_attack; 0: not said
	ADD window_s integer NOT NULL DEFAULT 0;	-- seconds; 0: not said
CREATE INDEX alarm_drift ON alarm (model, firmware) WHERE attack = 13;
ALTER TABLE incident ADD attacks smallint[] NOT NULL DEFAULT '{}';

CREATE FUNCTION hg_attack_name(a smallint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce((ARRAY['horizontal-scan', 'vertical-scan', 'syn-flood', 'udp-flood', 'ack-flood', 'icmp-flood',
		'flood', 'brute-force', 'reflection', 'bot-control', 'exfiltration', 'spoofed-source', 'drift'])[a], '-')
$$;

CREATE FUNCTION hg_feature_name(f smallint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce((ARRAY['packets', 'bytes', 'flows', 'failed', 'heartbeat', 'destinations', 'new-destinations',
		'ports', 'sources', 'size', 'walk', 'sum-of-flows', 'sum-of-bytes'])[f], '-')
$$;

-- Does an alarm of this class and attack say that its device attacks?
CREATE FUNCTION hg_alarm_hostile(c smallint, attack smallint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT hg_class_hostile(c) AND attack <> 13 $$;

DROP FUNCTION hg_alarm_store(bytea, bigint, bigint, bigint, smallint, smallint, integer, numeric, numeric, text, text,
	inet, inet, cidr, jsonb);
-- Returns stored, duplicate (a repeat of what is stored), replayed (the window passed it by), or unknown.
-- targets: [[prefix, proto, port, packets], ...]
CREATE FUNCTION hg_alarm_store(k bytea, n bigint, e bigint, device_ms bigint, c smallint, f smallint,
	ch integer, v numeric, b numeric, mod text, fw text, me inet, src inet, l cidr, targets jsonb, att smallint, win integer)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	u text;
	id bigint;
	t timestamptz;
BEGIN
	SELECT uid INTO u FROM device_key WHERE key_id = k FOR UPDATE;
	IF u IS NULL THEN
		RETURN 'unknown';
	END IF;
	IF EXISTS (SELECT FROM alarm WHERE key_id = k AND counter = n) THEN
		RETURN 'duplicate';
	END IF;
	IF NOT hg_counter_accept(k, n) THEN
		RETURN 'replayed';
	END IF;
	INSERT INTO alarm (key_id, uid, counter, episode, device_time, class, feature, channel, value, bound,
		model, firmware, self, source, line, attack, window_s)
	VALUES (k, u, n, e, to_timestamp(least(device_ms, 253402300799000) / 1000.0), c, f, ch, v, b,
		mod, fw, me, src, l, att, win)
	RETURNING alarm_id, received_at INTO id, t;
	INSERT INTO alarm_target
	SELECT id, (x->>0)::cidr, (x->>1)::smallint, (x->>2)::integer, (x->>3)::bigint, t
	FROM jsonb_array_elements(targets) x;
	UPDATE device_key SET last_alarm_at = t WHERE key_id = k;
	IF c = 5 THEN	-- ended
		UPDATE episode SET ended_at = t WHERE key_id = k AND episode = e AND ended_at IS NULL;
	ELSIF hg_alarm_hostile(c, att) THEN
		-- A statement that was overtaken by its episode's end does not open it again.
		INSERT INTO episode VALUES (k, e, u, t, t, NULL)
		ON CONFLICT (key_id, episode) DO UPDATE SET last_alarm_at = t;
	END IF;
	RETURN 'stored';
END $$;

-- Alarms to correlate, oldest first; targets as "prefix proto port" lines. Drift is told as class 0, which leads to nothing.
CREATE OR REPLACE FUNCTION hg_alarms_waiting(most integer)
RETURNS TABLE (alarm_id bigint, uid text, line cidr, class smallint, at_s bigint, targets text)
LANGUAGE sql STABLE AS $$
	SELECT a.alarm_id, a.uid, a.line,
		CASE WHEN a.attack = 13 THEN 0::smallint ELSE a.class END, extract(epoch FROM a.received_at)::bigint,
		coalesce((SELECT string_agg(host(t.prefix) || '/' || masklen(t.prefix) || ' ' || t.proto
			|| ' ' || t.port, E'\n')
			FROM alarm_target t WHERE t.alarm_id = a.alarm_id), '')
	FROM alarm a WHERE NOT a.correlated ORDER BY a.alarm_id LIMIT most
$$;

-- What a restarted collector feeds its statistic with again.
CREATE OR REPLACE FUNCTION hg_alarms_recent(after bigint, most integer)
RETURNS TABLE (alarm_id bigint, uid text, line cidr, class smallint, at_s bigint, targets text)
LANGUAGE sql STABLE AS $$
	SELECT a.alarm_id, a.uid, a.line,
		CASE WHEN a.attack = 13 THEN 0::smallint ELSE a.class END, extract(epoch FROM a.received_at)::bigint,
		coalesce((SELECT string_agg(host(t.prefix) || '/' || masklen(t.prefix) || ' ' || t.proto
			|| ' ' || t.port, E'\n')
			FROM alarm_target t WHERE t.alarm_id = a.alarm_id), '')
	FROM alarm a, setting s
	WHERE a.correlated AND a.alarm_id > after AND a.received_at > now() - s.evidence
	ORDER BY a.alarm_id LIMIT most
$$;

-- The alarm's device is part of the incident. Returns the number of decisions made.
CREATE OR REPLACE FUNCTION hg_incident_join(i bigint, a bigint) RETURNS integer
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
		classes = CASE WHEN al.class = ANY (classes) THEN classes ELSE classes || al.class END,
		attacks = CASE WHEN al.attack = 0 OR al.attack = ANY (attacks) THEN attacks ELSE attacks || al.attack END
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
CREATE OR REPLACE FUNCTION hg_incident_raise(t cidr, p integer, ln_r double precision) RETURNS integer
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
			AND hg_alarm_hostile(al.class, al.attack) AND (p = 0 OR al.class = 1)
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
CREATE OR REPLACE FUNCTION hg_alarm_conclude(a bigint, raised jsonb) RETURNS integer
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
	IF hg_alarm_hostile(al.class, al.attack) THEN
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

-- For people.
CREATE OR REPLACE VIEW incident_list AS
	SELECT i.incident_id, i.target, i.port,
		ARRAY(SELECT CASE c WHEN 1 THEN 'scan' WHEN 2 THEN 'flood' WHEN 3 THEN 'outside'
			ELSE c::text END FROM unnest(i.classes) c ORDER BY c) AS classes,
		(SELECT count(DISTINCT m.uid) FROM incident_member m WHERE m.incident_id = i.incident_id)
			AS devices,
		(SELECT count(DISTINCT m.line) FROM incident_member m WHERE m.incident_id = i.incident_id)
			AS lines,
		(SELECT count(*) FROM decision d WHERE d.incident_id = i.incident_id AND d.ended_at IS NULL)
			AS lasting,
		i.statistic, i.opened_at, i.last_seen_at, i.closed_at,
		ARRAY(SELECT hg_attack_name(x) FROM unnest(i.attacks) x ORDER BY x) AS attacks
	FROM incident i;

CREATE VIEW drift_list AS
	SELECT model, firmware, channel, hg_feature_name(feature) AS feature, window_s,
		count(DISTINCT uid) AS devices, count(*) AS alarms, max(value) AS most, max(bound) AS bound,
		min(received_at) AS first_at, max(received_at) AS last_at
	FROM alarm WHERE attack = 13 AND class <> 5
	GROUP BY model, firmware, channel, feature, window_s;
