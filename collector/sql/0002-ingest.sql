-- SPDX-License-Identifier: MIT
-- Keys and alarms: what the listener calls, each one transaction, answered to the device only afterwards.

CREATE FUNCTION hg_key_get(k bytea) RETURNS TABLE (uid text, certificate bytea)
LANGUAGE sql STABLE AS $$
	SELECT uid, certificate FROM device_key WHERE key_id = k
$$;

-- Accepts each counter once, within the last 64: the persistent form of hg_replay_accept().
CREATE FUNCTION hg_counter_accept(k bytea, n bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	w device_key;
	back bigint;
BEGIN
	SELECT * INTO w FROM device_key WHERE key_id = k FOR UPDATE;
	back := w.counter_top - n;
	IF back < 0 THEN
		UPDATE device_key SET counter_top = n,
			counter_seen = CASE WHEN back > -64 THEN (w.counter_seen << (-back)::int) | 1 ELSE 1 END
		WHERE key_id = k;
		RETURN true;
	END IF;
	IF back >= 64 OR (w.counter_seen >> back::int) & 1 = 1 THEN
		RETURN false;
	END IF;
	UPDATE device_key SET counter_seen = w.counter_seen | (1::bigint << back::int) WHERE key_id = k;
	RETURN true;
END $$;

-- Returns stored, or known (it was enrolled before), or taken (the key id is another certificate's).
CREATE FUNCTION hg_key_enrol(k bytea, u text, der bytea, n bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO device_key (key_id, uid, certificate) VALUES (k, u, der) ON CONFLICT DO NOTHING;
	IF FOUND THEN
		PERFORM hg_counter_accept(k, n);
		RETURN 'stored';
	END IF;
	IF EXISTS (SELECT FROM device_key WHERE key_id = k AND certificate = der) THEN
		PERFORM hg_counter_accept(k, n);
		RETURN 'known';
	END IF;
	RETURN 'taken';
END $$;

-- Returns stored, duplicate (a repeat of what is stored), replayed (the window passed it by), or unknown.
-- targets: [[prefix, proto, port, packets], ...]
CREATE FUNCTION hg_alarm_store(k bytea, n bigint, e bigint, device_ms bigint, c smallint, f smallint,
	ch integer, v numeric, b numeric, mod text, fw text, me inet, src inet, l cidr, targets jsonb)
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
		model, firmware, self, source, line)
	VALUES (k, u, n, e, to_timestamp(least(device_ms, 253402300799000) / 1000.0), c, f, ch, v, b,
		mod, fw, me, src, l)
	RETURNING alarm_id, received_at INTO id, t;
	INSERT INTO alarm_target
	SELECT id, (x->>0)::cidr, (x->>1)::smallint, (x->>2)::integer, (x->>3)::bigint, t
	FROM jsonb_array_elements(targets) x;
	UPDATE device_key SET last_alarm_at = t WHERE key_id = k;
	IF c = 5 THEN	-- ended
		UPDATE episode SET ended_at = t WHERE key_id = k AND episode = e AND ended_at IS NULL;
	ELSIF c IN (1, 2, 3) THEN
		-- A statement that was overtaken by its episode's end does not open it again.
		INSERT INTO episode VALUES (k, e, u, t, t, NULL)
		ON CONFLICT (key_id, episode) DO UPDATE SET last_alarm_at = t;
	END IF;
	RETURN 'stored';
END $$;

CREATE FUNCTION hg_audit_add(reasons text[], counts bigint[]) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO audit AS a (reason, count) SELECT r, c FROM unnest(reasons, counts) AS x (r, c)
	ON CONFLICT (day, reason) DO UPDATE SET count = a.count + excluded.count
$$;
