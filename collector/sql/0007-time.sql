-- SPDX-License-Identifier: MIT
-- An alarm need not have a time: the one that a kernel sends for an agent that was silenced was signed before what it
-- tells of. Such alarms were stored as of 1970, which no device means; now their time is not known.

UPDATE alarm SET device_time = NULL WHERE device_time = to_timestamp(0);

-- Returns stored, duplicate (a repeat of what is stored), replayed (the window passed it by), or unknown.
-- device_ms: 0 if the alarm has no time; targets: [[prefix, proto, port, packets], ...]
CREATE OR REPLACE FUNCTION hg_alarm_store(k bytea, n bigint, e bigint, device_ms bigint, c smallint, f smallint,
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
	VALUES (k, u, n, e, to_timestamp(nullif(least(device_ms, 253402300799000), 0) / 1000.0), c, f, ch, v, b,
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
