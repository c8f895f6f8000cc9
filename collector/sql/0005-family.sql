-- SPDX-License-Identifier: MIT
-- A device that tells over IPv4 of what it does over IPv6 (or the other way round) tells nothing about the line
-- that does it: no block can hold it there. That was called blocked; now it is refused, and says so.

-- Decides about one line and one target, unless that lasts already. Returns 1 if a decision was made.
CREATE OR REPLACE FUNCTION hg_decide(i bigint, u text, l cidr, t cidr, pr smallint, p integer) RETURNS integer
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
	ELSIF family(l) <> family(t) THEN
		now_state := 'refused';
		why := 'line and target are of different IP versions';
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
