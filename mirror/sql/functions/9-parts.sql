-- SPDX-License-Identifier: MIT
-- Values of more than 16 KiB: in parts from and to the device. mirror/large.c puts a device's value together when its
-- last part has come; until then its parts lie here.

-- What the large values of one device may take of the database, its outputs as much again.
CREATE FUNCTION large_max() RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT 67108864::bigint $$;

-- Why a large value of a device is not taken, or NULL.
CREATE FUNCTION large_problem(p_device text, p_name text, p_size bigint) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT format('with it the values of this device take %s bytes, of %s allowed', sum(size) + p_size, large_max())
	FROM (SELECT pg_column_size(value) AS size FROM property WHERE device_id = p_device AND name <> p_name
	      AND value IS NOT NULL) x
	HAVING sum(size) + p_size > large_max()
$$;

-- Bytes of the outputs that are kept of a device, as they lie in the database.
CREATE FUNCTION outputs_size(p_device text) RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT coalesce(sum(pg_column_size(output)), 0) FROM command WHERE device_id = p_device AND output IS NOT NULL
$$;

-- The bytes before the last part of a device's value: those of the first p_have of it, if they are here.
CREATE FUNCTION partial_bytes(p_device text, p_epoch bytea, p_mirror_epoch bytea, p_kind integer, p_seq bigint,
			      p_tag text, p_have integer) RETURNS bytea
LANGUAGE sql STABLE AS $$
	SELECT string_agg(b.bytes, '' ORDER BY b.start) FROM partial p JOIN partial_part b USING (device_id, kind)
	WHERE p.device_id = p_device AND p.kind = p_kind AND p.device_epoch = p_epoch AND p.mirror_epoch = p_mirror_epoch
	  AND p.seq = p_seq AND p.tag = p_tag AND p.have = p_have
$$;

-- Keeps one part {kind, seq, tag, offset, bytes} if it begins a value or continues what is held. Returns how many
-- bytes of this value are held then.
CREATE FUNCTION partial_take(s device_sync, p_part jsonb) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	k smallint := (p_part->>'kind')::smallint;
	n bigint := (p_part->>'seq')::bigint;
	start integer := (p_part->>'offset')::integer;
	b bytea := decode(p_part->>'bytes', 'hex');
	h partial;
BEGIN
	SELECT * INTO h FROM partial WHERE device_id = s.device_id AND kind = k;
	IF start = 0 THEN
		DELETE FROM partial WHERE device_id = s.device_id AND kind = k;
		INSERT INTO partial (device_id, kind, device_epoch, mirror_epoch, seq, tag, have)
		VALUES (s.device_id, k, s.device_epoch, s.mirror_epoch, n, p_part->>'tag', 0);
	ELSIF h.seq IS DISTINCT FROM n OR h.tag <> p_part->>'tag' THEN
		RETURN 0;
	ELSIF h.have <> start THEN
		RETURN h.have;
	END IF;
	INSERT INTO partial_part (device_id, kind, start, bytes) VALUES (s.device_id, k, start, b);
	UPDATE partial SET have = start + length(b) WHERE device_id = s.device_id AND kind = k;
	RETURN start + length(b);
END $$;

-- One request's share in parts; s is as after sync_begin(), p_cursor the device's changes held now. p_parts: an array,
-- see partial_take(). Returns what to say in `partial`, [[kind, seq, have]]: of the values whose parts came, or else of
-- what is held. A number at or below the cursor, or with a report in p_reports, is whole.
CREATE FUNCTION partial_step(s device_sync, p_cursor bigint, p_reports jsonb, p_parts jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
	part jsonb;
	said jsonb := '{}';
	held boolean;
BEGIN
	DELETE FROM partial p WHERE p.device_id = s.device_id
		AND (p.device_epoch <> s.device_epoch OR p.mirror_epoch <> s.mirror_epoch
		     OR (p.kind = 0 AND p.seq <= p_cursor)
		     OR (p.kind = 1 AND EXISTS (SELECT FROM jsonb_array_elements(p_reports) r
						WHERE (r->>'seq')::bigint = p.seq)));
	FOR part IN SELECT * FROM jsonb_array_elements(p_parts) LOOP
		CONTINUE WHEN part->>'kind' = '0' AND (part->>'seq')::bigint <= p_cursor;
		said := said || jsonb_build_object(part->>'kind',
				jsonb_build_array(part->'kind', part->'seq', partial_take(s, part)));
	END LOOP;
	SELECT coalesce(jsonb_object_agg(p.kind::text, jsonb_build_array(p.kind, p.seq, p.have)), '{}') || said, count(*) > 0
	INTO said, held FROM partial p WHERE p.device_id = s.device_id;
	UPDATE device_sync SET partials = held WHERE device_id = s.device_id AND partials <> held;
	RETURN (SELECT jsonb_agg(e.value ORDER BY e.key) FROM jsonb_each(said) e);
END $$;

-- Notes the CBOR of a value that was just written, if that is large; p_cbor may be NULL.
CREATE FUNCTION large_store(p_device text, p_name text, p_cbor bytea) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	p property;
BEGIN
	SELECT * INTO p FROM property WHERE device_id = p_device AND name = p_name;
	DELETE FROM large_value l WHERE l.device_id = p_device AND l.name = p_name
		AND ((length(p_cbor) > 16384) IS NOT TRUE OR l.made_ms <> p.made_ms);
	IF length(p_cbor) > 16384 THEN
		INSERT INTO large_value (device_id, name, made_ms, bytes) VALUES (p_device, p_name, p.made_ms, p_cbor)
		ON CONFLICT DO NOTHING; -- it was equal, and may be on its way
	END IF;
END $$;
