-- SPDX-License-Identifier: MIT
-- Properties that both sides write: newest and counter. The rules are those of docs/sync-protocol.md.

CREATE FUNCTION now_ms() RETURNS bigint
LANGUAGE sql AS $$
	SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- A contribution to a counter lies within -counter_max()..counter_max(), so that sums fit 64 bits.
CREATE FUNCTION counter_max() RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
	SELECT 4611686018427387903
$$;

-- Either side may have to say a value of both again, so these are never so large that they travel in parts.
CREATE FUNCTION both_large_problem() RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT 'a property that both sides write takes at most 16384 bytes'
$$;

-- The next number of a change of the mirror.
CREATE FUNCTION mirror_number(p_device text) RETURNS bigint
LANGUAGE sql AS $$
	UPDATE device_sync SET mirror_seq = mirror_seq + 1 WHERE device_id = p_device RETURNING mirror_seq
$$;

-- Two writes met and one value was dropped: whose, and what. A removal has no value.
CREATE FUNCTION merge_conflict(p_device text, p_name text, p_loser text, p_lost jsonb, p_kept jsonb) RETURNS void
LANGUAGE sql AS $$
	SELECT outbox_add(p_device, 'conflict', p_name, x), audit_add(p_device, 'mirror', 'conflict', p_name, x)
	FROM (SELECT jsonb_build_object('loser', p_loser)
		|| CASE WHEN p_lost IS NULL THEN '{}' ELSE jsonb_build_object('lost', p_lost) END
		|| CASE WHEN p_kept IS NULL THEN '{}' ELSE jsonb_build_object('kept', p_kept) END) AS v(x)
$$;

-- Takes a write of the device, or judges it the loser: then the value that stays gets a number of the mirror, for
-- the device to hear it. p_seen: the mirror's changes that the device holds; p_problem: why the model refuses
-- it, or NULL. Returns why it was not taken, or NULL.
CREATE FUNCTION merge_newest(p_device text, p_name text, p_change jsonb, p_seen bigint, p_problem text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	p property;
	v jsonb := CASE WHEN p_change ? 'size' THEN to_jsonb(format('(%s bytes)', p_change->>'size'))
			ELSE p_change->'value' END; -- a large one is refused, and not worth keeping
	made bigint := (p_change->>'time')::bigint;
BEGIN
	SELECT * INTO p FROM property WHERE device_id = p_device AND name = p_name;
	IF made > now_ms() + 60000 THEN -- no clock that is ahead wins for ever
		made := now_ms();
	END IF;
	IF p_problem IS NULL AND (p.name IS NULL OR p.owner = 'device' OR made > p.made_ms) THEN
		IF p.owner = 'mirror' AND p.seq > p_seen AND p.value IS DISTINCT FROM v THEN
			PERFORM merge_conflict(p_device, p_name, 'mirror', p.value, v);
		END IF;
		INSERT INTO property AS q (device_id, name, owner, value, seq, made_ms)
		VALUES (p_device, p_name, 'device', v, (p_change->>'seq')::bigint, greatest(made, p.made_ms))
		ON CONFLICT (device_id, name) DO UPDATE SET owner = excluded.owner, value = excluded.value,
			seq = excluded.seq, made_ms = excluded.made_ms, changed_at = now(), version = q.version + 1;
		PERFORM outbox_add(p_device, 'property', p_name, v);
		RETURN NULL;
	ELSIF p.name IS NULL OR p.value IS NOT DISTINCT FROM v THEN
		RETURN p_problem;
	END IF;
	PERFORM merge_conflict(p_device, p_name, 'device', v, p.value);
	IF p.owner = 'device' OR p.seq <= p_seen THEN -- else it is about to be said anyway
		UPDATE property SET owner = 'mirror', seq = mirror_number(p_device) WHERE device_id = p_device AND name = p_name;
	END IF;
	RETURN coalesce(p_problem, 'a newer value is held');
END $$;

-- The device's contribution to a counter, whole. Returns why it was not taken, or NULL.
CREATE FUNCTION merge_counter(p_device text, p_name text, p_change jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	v jsonb := p_change->'value';
	n bigint;
	sum bigint;
	changed boolean;
BEGIN
	IF jsonb_typeof(v) IS DISTINCT FROM 'number' OR (v#>>'{}')::numeric % 1 <> 0
	   OR abs((v#>>'{}')::numeric) > counter_max() THEN
		RETURN 'a contribution to a counter is a whole number below 2^62';
	END IF;
	n := (v#>>'{}')::numeric;
	changed := n <> coalesce((SELECT theirs FROM property WHERE device_id = p_device AND name = p_name), 0);
	INSERT INTO property AS p (device_id, name, owner, value, seq, made_ms, mine, theirs, theirs_seq)
	VALUES (p_device, p_name, 'mirror', to_jsonb(n), 0, (p_change->>'time')::bigint, 0, n, (p_change->>'seq')::bigint)
	ON CONFLICT (device_id, name) DO UPDATE SET value = to_jsonb(p.mine + n), made_ms = excluded.made_ms,
		theirs = n, theirs_seq = excluded.theirs_seq, changed_at = now(), version = p.version + changed::integer
	RETURNING p.mine + n INTO sum;
	IF changed THEN
		PERFORM outbox_add(p_device, 'property', p_name, to_jsonb(sum));
	END IF;
	RETURN NULL;
END $$;

-- The device's numbers begin again (p_anew: with a new epoch, so its contributions are 0), or ours do. What it wrote
-- to both sides' properties is kept as the mirror's, to be heard by the device. Numbers follow p_top; returns the last.
CREATE FUNCTION merge_adopt(p_device text, p_top bigint, p_anew boolean) RETURNS bigint
LANGUAGE sql AS $$
	WITH it AS (
		SELECT p.name, p.mine, p.theirs, row_number() OVER (ORDER BY p.name) AS n
		FROM property p JOIN device d USING (device_id) JOIN model_property m ON m.model = d.model AND m.name = p.name
		WHERE p.device_id = p_device
		  AND ((m.owner = 'newest' AND p.owner = 'device' AND p.value IS NOT NULL)
		       OR (m.owner = 'counter' AND p_anew AND p.theirs <> 0))
	), u AS (
		UPDATE property p SET owner = 'mirror', seq = p_top + it.n,
			mine = CASE WHEN it.mine IS NOT NULL THEN greatest(least(it.mine::numeric + it.theirs,
				counter_max()), -counter_max())::bigint END,
			theirs = CASE WHEN it.mine IS NOT NULL THEN 0 END, theirs_seq = CASE WHEN it.mine IS NOT NULL THEN 0 END
		FROM it WHERE p.device_id = p_device AND p.name = it.name RETURNING 1
	)
	SELECT p_top + count(*) FROM u
$$;

-- The device has said everything: contributions that it did not say again were another one's.
CREATE FUNCTION merge_settle(p_device text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	FOR p IN UPDATE property SET theirs = 0, value = to_jsonb(mine), changed_at = now(), version = version + 1
			WHERE device_id = p_device AND theirs <> 0 AND theirs_seq = 0 RETURNING name, value LOOP
		PERFORM outbox_add(p_device, 'property', p.name, p.value);
	END LOOP;
END $$;

-- An application adds to a counter. The reply has no body; the caller has judged right and model, and holds the
-- device's lock.
CREATE FUNCTION counter_add(t token, d device, p_def model_property, p_by numeric, p_if_match text) RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	p property;
	bad record;
	total numeric;
BEGIN
	SELECT * INTO p FROM property WHERE device_id = d.device_id AND name = p_def.name;
	IF p_if_match NOT IN ('*', format('"%s"', coalesce(p.version, 0))) THEN
		RETURN api_problem(412, 'Precondition Failed', 'the property was written since; read it again and repeat');
	END IF;
	total := coalesce(p.mine, 0) + p_by;
	bad := schema_check(p_def.schema, to_jsonb(total + coalesce(p.theirs, 0)), '');
	IF bad.problem IS NOT NULL THEN
		RETURN api_invalid(bad.pointer, bad.problem);
	ELSIF abs(total) > counter_max() THEN
		RETURN api_invalid('', 'a counter cannot take so much');
	END IF;
	PERFORM audit_add(d.device_id, t.name, 'add', p_def.name, jsonb_build_object('by', p_by));
	IF p_by <> 0 THEN
		INSERT INTO property AS q (device_id, name, owner, value, seq, made_ms, mine, theirs, theirs_seq)
		VALUES (d.device_id, p_def.name, 'mirror', to_jsonb(total::bigint), mirror_number(d.device_id), now_ms(),
			total, 0, 0)
		ON CONFLICT (device_id, name) DO UPDATE SET value = to_jsonb(q.theirs + excluded.mine), seq = excluded.seq,
			made_ms = excluded.made_ms, mine = excluded.mine, changed_at = now(), version = q.version + 1
		RETURNING * INTO p;
		PERFORM outbox_add(d.device_id, 'property', p_def.name, p.value);
	END IF;
	RETURN (204, NULL, NULL, format('"%s"', coalesce(p.version, 0)), NULL)::api_reply;
END $$;

-- Sets a counter: adds what is missing to p_value at this moment.
CREATE FUNCTION counter_set(t token, d device, p_def model_property, p_value jsonb, p_if_match text) RETURNS api_reply
LANGUAGE plpgsql AS $$
BEGIN
	RETURN counter_add(t, d, p_def, (p_value#>>'{}')::numeric
		- coalesce((SELECT mine::numeric + theirs FROM property
			    WHERE device_id = d.device_id AND name = p_def.name), 0), p_if_match);
END $$;

-- POST to a property: adds to a counter. Answered with the value that it then has.
CREATE FUNCTION api_property_post(p_hash bytea, p_device text, p_name text, p_value jsonb, p_if_match text)
RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	e record := api_property_enter(p_hash, p_device, 'write', p_name);
	def model_property := e.def;
	reply api_reply;
BEGIN
	IF (e.problem).status IS NOT NULL THEN
		RETURN e.problem;
	END IF;
	IF def.owner <> 'counter' OR NOT def.writable THEN
		RETURN api_method_problem(CASE WHEN def.writable THEN 'GET, PUT' ELSE 'GET' END);
	ELSIF jsonb_typeof(p_value) <> 'number' OR (p_value#>>'{}')::numeric % 1 <> 0 THEN
		RETURN api_invalid('', 'what is added to a counter is a whole number');
	END IF;
	reply := counter_add(e.t, e.d, def, (p_value#>>'{}')::numeric, p_if_match);
	IF reply.status = 204 THEN
		reply.status := 200;
		reply.body := coalesce((SELECT value FROM property WHERE device_id = p_device AND name = p_name), '0');
	END IF;
	RETURN reply;
END $$;
