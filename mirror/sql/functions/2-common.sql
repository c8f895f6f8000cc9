-- SPDX-License-Identifier: MIT
-- What sync, applications and operators share: numbered records of what happened, rights, ends of commands.
-- In PL/pgSQL, where plans are kept: a function in SQL is planned anew by each statement that calls it.

-- How far a command has come; it only ever moves up.
CREATE FUNCTION command_rank(p_state text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE p_state WHEN 'queued' THEN 0 WHEN 'leased' THEN 1 WHEN 'received' THEN 2
		WHEN 'executing' THEN 3 ELSE 4 END
$$;

CREATE FUNCTION outbox_add(p_device text, p_kind text, p_name text, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	WITH n AS (UPDATE device_sync SET event_seq = event_seq + 1 WHERE device_id = p_device
		   RETURNING event_seq)
	INSERT INTO outbox (device_id, seq, kind, name, data)
	SELECT p_device, n.event_seq, p_kind, p_name, p_data FROM n;
END $$;

-- Rows with the numbers after p_last, which the caller has drawn, in this order. Of a large value only how long it is
-- as text: the outbox keeps no copies of those.
CREATE FUNCTION outbox_fill(p_device text, p_last bigint, p_kinds text[], p_names text[], p_data jsonb[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO outbox (device_id, seq, kind, name, data)
	SELECT p_device, p_last + x.n, CASE WHEN x.large THEN 'large' ELSE x.kind END, x.name,
		CASE WHEN x.large THEN jsonb_build_object('length', octet_length(x.data::text)) ELSE x.data END
	FROM (SELECT *, coalesce(kind = 'property' AND octet_length(data::text) > 32768, false) AS large
	      FROM unnest(p_kinds, p_names, p_data) WITH ORDINALITY AS u(kind, name, data, n)) x;
END $$;

-- A property's new value, or how long it is, see outbox_fill().
CREATE FUNCTION outbox_property(p_device text, p_name text, p_value jsonb) RETURNS void
LANGUAGE sql AS $$
	SELECT CASE WHEN octet_length(p_value::text) > 32768
		THEN outbox_add(p_device, 'large', p_name, jsonb_build_object('length', octet_length(p_value::text)))
		ELSE outbox_add(p_device, 'property', p_name, p_value) END
$$;

-- What the audit keeps of a value.
CREATE FUNCTION audit_value(p_value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN octet_length(p_value::text) > 32768 THEN jsonb_build_object('length', octet_length(p_value::text))
		ELSE jsonb_build_object('value', p_value) END
$$;

CREATE FUNCTION audit_add(p_device text, p_who text, p_what text, p_name text, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	WITH n AS (UPDATE device_sync SET audit_seq = audit_seq + 1 WHERE device_id = p_device COLLATE "default"
		   RETURNING audit_seq)
	INSERT INTO audit (device_id, seq, who, what, name, data)
	SELECT p_device, n.audit_seq, p_who, p_what, p_name, p_data FROM n;
END $$;

-- Whether a token holds a right on a device now.
CREATE FUNCTION token_may(p_token bigint, p_access text, p_device text, p_model text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM token t JOIN token_grant g USING (token_id)
		WHERE t.token_id = p_token AND t.revoked_at IS NULL AND coalesce(t.expires_at > now(), true)
		  AND g.access = p_access
		  AND coalesce(g.device_id = p_device, g.model = p_model, true));
END $$;

CREATE FUNCTION command_end(p_device text, p_seq bigint, p_state text, p_detail text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE command SET state = p_state, detail = p_detail, ended_at = now()
	WHERE device_id = p_device AND seq = p_seq;
	PERFORM outbox_add(p_device, 'command', p_seq::text, jsonb_build_object('state', p_state));
END $$;

-- Commands of which nobody can tell any more whether they ran: ended as unknown, or, where running
-- twice does no harm, queued again.
CREATE FUNCTION commands_lost(p_device text, p_from bigint, p_to bigint, p_states text[], p_why text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE command SET state = 'queued'
	WHERE device_id = p_device AND seq > p_from AND seq <= p_to AND state = ANY (p_states) AND repeatable
	  AND ended_at IS NULL AND state IN ('leased', 'received', 'executing');
	PERFORM command_end(p_device, c.seq, 'unknown', p_why) FROM command c
	WHERE c.device_id = p_device AND c.seq > p_from AND c.seq <= p_to AND c.state = ANY (p_states)
	  AND c.ended_at IS NULL AND NOT c.repeatable;
END $$;
