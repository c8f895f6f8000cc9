-- SPDX-License-Identifier: MIT
-- The application side: Web of Things 1.1. Each api_ function judges the token, does one request and
-- returns the whole HTTP answer; errors are problem details (RFC 9457).

CREATE TYPE api_reply AS (status integer, body jsonb, location text, etag text, allow text);

CREATE FUNCTION api_problem(p_status integer, p_title text, p_detail text, p_more jsonb DEFAULT '{}')
RETURNS api_reply
LANGUAGE sql IMMUTABLE AS $$
	SELECT (p_status, jsonb_build_object('type', 'about:blank', 'title', p_title, 'status', p_status,
		'detail', p_detail) || p_more, NULL, NULL, NULL)::api_reply
$$;

CREATE FUNCTION api_method_problem(p_allow text) RETURNS api_reply
LANGUAGE sql IMMUTABLE AS $$
	SELECT (405, jsonb_build_object('type', 'about:blank', 'title', 'Method Not Allowed', 'status', 405,
		'detail', 'allowed here: ' || p_allow), NULL, NULL, p_allow)::api_reply
$$;

CREATE FUNCTION token_find(p_hash bytea) RETURNS token
LANGUAGE sql STABLE AS $$
	SELECT * FROM token WHERE hash = p_hash AND revoked_at IS NULL AND coalesce(expires_at > now(), true)
$$;

-- Whether a token may know that a device exists.
CREATE FUNCTION token_sees(p_token bigint, p_device text, p_model text) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM token_grant g WHERE g.token_id = p_token
		AND coalesce(g.device_id = p_device, g.model = p_model, true))
$$;

-- Finds who asks and for what. problem is NULL when the right is there. p_access NULL: none is needed
-- beyond seeing the device. Who may write or invoke holds the device's lock from here on, and what is judged
-- of it after that holds until the end of the transaction.
CREATE FUNCTION api_enter(p_hash bytea, p_device text, p_access text,
			  OUT t token, OUT d device, OUT problem api_reply)
LANGUAGE plpgsql AS $$
BEGIN
	t := token_find(p_hash);
	SELECT * INTO d FROM device WHERE device_id = p_device;
	IF t.token_id IS NULL THEN
		problem := api_problem(401, 'Unauthorized', 'this token is unknown, revoked or expired');
	ELSIF d.device_id IS NULL OR NOT token_sees(t.token_id, d.device_id, d.model) THEN
		problem := api_problem(404, 'Not Found', 'no such thing');
	ELSIF p_access IS NOT NULL AND NOT token_may(t.token_id, p_access, d.device_id, d.model) THEN
		problem := api_problem(403, 'Forbidden', format('this token has no right to %s here', p_access));
	ELSIF p_access IN ('write', 'invoke') THEN
		PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
		SELECT * INTO d FROM device WHERE device_id = p_device;
		IF d.state = 'revoked' THEN
			problem := api_problem(409, 'Conflict', 'this device was revoked');
		END IF;
	END IF;
END $$;

-- Likewise for one property, with what the model says of it.
CREATE FUNCTION api_property_enter(p_hash bytea, p_device text, p_access text, p_name text,
				   OUT t token, OUT d device, OUT problem api_reply, OUT def model_property)
LANGUAGE plpgsql AS $$
DECLARE
	e record := api_enter(p_hash, p_device, p_access);
BEGIN
	t := e.t;
	d := e.d;
	problem := e.problem;
	IF problem.status IS NOT NULL THEN
		RETURN;
	END IF;
	SELECT * INTO def FROM model_property WHERE model = d.model AND name = p_name;
	IF NOT FOUND THEN
		problem := api_problem(404, 'Not Found', format('model %s has no property %s', d.model, p_name));
	END IF;
END $$;

CREATE FUNCTION td_property(p_base text, p_property model_property, p_definition jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT p_definition || jsonb_build_object('readOnly', NOT p_property.writable,
		CASE WHEN p_property.owner IN ('newest', 'counter') THEN 'hg:merge' ELSE 'hg:owner' END, p_property.owner,
		'forms', jsonb_build_array(jsonb_build_object(
			'href', p_base || '/properties/' || p_property.name,
			'contentType', 'application/json',
			'op', CASE WHEN p_property.writable THEN '["readproperty", "writeproperty"]'::jsonb
			      ELSE '["readproperty"]' END)))
$$;

CREATE FUNCTION td_action(p_base text, p_action model_action, p_definition jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT p_definition || jsonb_build_object('synchronous', false, 'idempotent', p_action.repeatable,
		'forms', jsonb_build_array(
			jsonb_build_object('href', p_base || '/actions/' || p_action.name,
				'contentType', 'application/json', 'op', 'invokeaction', 'htv:methodName', 'POST')))
$$;

-- The Thing Description of a device; p_url is where this API is reached, without a final slash.
CREATE FUNCTION td(d device, p_url text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT (m.thing_model - '{@type,tm:required,hg:model,links,forms,version}'::text[])
	|| jsonb_build_object(
		'@context', jsonb_build_array('https://www.w3.org/2022/wot/td/v1.1',
				jsonb_build_object('hg', 'urn:heliograph:td#')),
		'id', 'urn:heliograph:device:' || d.device_id,
		'title', coalesce(m.thing_model->>'title', m.model) || ' ' || d.device_id,
		'profile', '["https://www.w3.org/2022/wot/profile/http-basic/v1"]'::jsonb,
		'securityDefinitions', '{"bearer_sc": {"scheme": "bearer", "in": "header", "format": "opaque"}}'::jsonb,
		'security', '["bearer_sc"]'::jsonb,
		'created', to_char(d.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		'hg:model', m.model,
		'properties', (SELECT coalesce(jsonb_object_agg(p.name,
				td_property(base, p, m.thing_model->'properties'->p.name)), '{}')
				FROM model_property p WHERE p.model = m.model),
		'actions', (SELECT coalesce(jsonb_object_agg(a.name,
				td_action(base, a, m.thing_model->'actions'->a.name)), '{}')
				FROM model_action a WHERE a.model = m.model),
		'forms', jsonb_build_array(jsonb_build_object('href', base || '/properties',
				'contentType', 'application/json', 'op', 'readallproperties')))
	FROM model m, concat(p_url, '/things/', d.device_id) base WHERE m.model = d.model
$$;

CREATE FUNCTION api_things(p_hash bytea, p_url text, p_after text, p_limit integer) RETURNS api_reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
	t token := token_find(p_hash);
	reply api_reply;
BEGIN
	IF t.token_id IS NULL THEN
		RETURN api_problem(401, 'Unauthorized', 'this token is unknown, revoked or expired');
	END IF;
	WITH page AS (
		SELECT d FROM device d
		WHERE d.device_id > p_after AND d.state <> 'revoked' AND token_sees(t.token_id, d.device_id, d.model)
		ORDER BY d.device_id LIMIT p_limit
	)
	SELECT 200, coalesce(jsonb_agg(td(page.d, p_url) ORDER BY (page.d).device_id), '[]'),
		CASE WHEN count(*) = p_limit THEN format('%s/things?after=%s&limit=%s', p_url,
							max((page.d).device_id), p_limit) END
	INTO reply.status, reply.body, reply.location FROM page;
	RETURN reply;
END $$;

CREATE FUNCTION api_thing(p_hash bytea, p_url text, p_device text) RETURNS api_reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
	e record := api_enter(p_hash, p_device, NULL);
BEGIN
	IF (e.problem).status IS NOT NULL THEN
		RETURN e.problem;
	END IF;
	RETURN (200, td(e.d, p_url), NULL, NULL, NULL)::api_reply;
END $$;

CREATE FUNCTION api_property_get(p_hash bytea, p_device text, p_name text) RETURNS api_reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
	e record := api_property_enter(p_hash, p_device, 'read', p_name);
	def model_property := e.def;
	p property;
BEGIN
	IF (e.problem).status IS NOT NULL THEN
		RETURN e.problem;
	END IF;
	SELECT * INTO p FROM property WHERE device_id = p_device AND name = p_name;
	IF p.name IS NULL AND def.owner = 'counter' THEN
		RETURN (200, '0', NULL, '"0"', NULL)::api_reply;
	ELSIF p.value IS NULL THEN
		RETURN api_problem(404, 'Not Found', format('property %s has no value yet', p_name));
	END IF;
	RETURN (200, p.value, NULL, format('"%s"', p.version), NULL)::api_reply;
END $$;

CREATE FUNCTION api_properties_get(p_hash bytea, p_device text) RETURNS api_reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
	e record := api_enter(p_hash, p_device, 'read');
BEGIN
	IF (e.problem).status IS NOT NULL THEN
		RETURN e.problem;
	END IF;
	RETURN (200, (SELECT coalesce(jsonb_object_agg(def.name, coalesce(p.value, '0')), '{}')
		      FROM model_property def LEFT JOIN property p ON p.device_id = p_device AND p.name = def.name
		      WHERE def.model = (e.d).model AND (p.value IS NOT NULL OR def.owner = 'counter')),
		NULL, NULL, NULL)::api_reply;
END $$;

-- Ends commands that are past their time and were never sent, of devices that stay away: a hundred at a
-- time, for as long as that takes their devices' syncs wait. Returns how many that were; called by the server now and
-- then, until it is 0. It waits for nobody: a device whose row is locked has its turn at a later call.
CREATE FUNCTION commands_expire() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	devices text[] := ARRAY(SELECT device_id FROM device_sync WHERE device_id IN (
		SELECT device_id FROM command WHERE ended_at IS NULL AND state = 'queued' AND deliver_by < now()
		ORDER BY deliver_by LIMIT 100) FOR UPDATE SKIP LOCKED);
	ended bigint;
BEGIN
	PERFORM command_end(device_id, seq, 'expired', 'not delivered in time') FROM command
	WHERE device_id = ANY (devices) AND ended_at IS NULL AND state = 'queued' AND deliver_by < now()
	ORDER BY deliver_by LIMIT 100;
	GET DIAGNOSTICS ended = ROW_COUNT;
	RETURN ended;
END $$;

-- Puts one command into the queue. The caller has judged right and input, and holds the device's lock.
CREATE FUNCTION command_add(p_device text, p_action text, p_input jsonb, t token, p_repeatable boolean,
			    p_execute_within_ms integer, p_deliver_within interval, OUT seq bigint, OUT overfull boolean)
LANGUAGE plpgsql AS $$
BEGIN
	-- A device that stays away must not fill the database.
	overfull := (SELECT count(*) >= 1000 FROM (SELECT FROM command c WHERE c.device_id = p_device
			AND c.ended_at IS NULL LIMIT 1000) x);
	IF overfull THEN
		RETURN;
	END IF;
	UPDATE device_sync s SET command_seq = s.command_seq + 1 WHERE s.device_id = p_device
	RETURNING s.command_seq INTO seq;
	INSERT INTO command (device_id, seq, action, input, token_id, repeatable, execute_within_ms, deliver_by)
	VALUES (p_device, command_add.seq, p_action, p_input, t.token_id, p_repeatable, p_execute_within_ms,
		now() + p_deliver_within);
	PERFORM outbox_add(p_device, 'command', command_add.seq::text, '{"state": "queued"}');
	PERFORM audit_add(p_device, t.name, 'invoke', p_action, jsonb_build_object('command', command_add.seq)
			  || CASE WHEN p_input IS NULL THEN '{}' ELSE jsonb_build_object('input', p_input) END);
END $$;

CREATE FUNCTION command_url(c command) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT format('/things/%s/actions/%s/%s', c.device_id, replace(c.action, '$', '%24'), c.seq)
$$;

CREATE FUNCTION iso_time(p_time timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- ActionStatus of the WoT HTTP basic profile, with the exact state beside it.
CREATE FUNCTION command_status(c command, p_url text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'status', CASE WHEN c.state IN ('queued', 'leased') THEN 'pending'
			WHEN c.state IN ('received', 'executing') THEN 'running'
			WHEN c.state = 'done' THEN 'completed' ELSE 'failed' END,
		'state', c.state, 'href', p_url || command_url(c),
		'timeRequested', iso_time(c.created_at), 'timeEnded', iso_time(c.ended_at),
		'exitStatus', c.exit_status))
	|| CASE WHEN c.output IS NULL THEN '{}' ELSE jsonb_build_object('output', c.output) END
	|| CASE WHEN c.state IN ('failed', 'expired', 'cancelled', 'unknown') THEN jsonb_build_object('error',
		jsonb_build_object('type', 'about:blank', 'title', c.state, 'detail', coalesce(c.detail, ''))) ELSE '{}' END
$$;

CREATE FUNCTION api_too_many() RETURNS api_reply
LANGUAGE sql IMMUTABLE AS $$
	SELECT api_problem(429, 'Too Many Requests', 'this device has 1000 commands that have not ended')
$$;

CREATE FUNCTION api_invalid(p_pointer text, p_problem text) RETURNS api_reply
LANGUAGE sql IMMUTABLE AS $$
	SELECT api_problem(422, 'Unprocessable Content', trim(p_pointer || ' ' || p_problem),
		jsonb_build_object('pointer', '#' || p_pointer))
$$;

-- A write of what the device owns is a wish: it becomes the command $set.
CREATE FUNCTION property_wish(t token, d device, p_url text, p_name text, p_value jsonb) RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	c command;
	added record := command_add(d.device_id, '$set', jsonb_build_object('name', p_name, 'value', p_value), t,
				    true, 0, interval '1 day');
BEGIN
	IF added.overfull THEN
		RETURN api_too_many();
	END IF;
	SELECT * INTO c FROM command WHERE device_id = d.device_id AND seq = added.seq;
	RETURN (202, command_status(c, p_url), p_url || command_url(c), NULL, NULL)::api_reply;
END $$;

-- A write of what the mirror owns, or both sides. The caller has judged it, and holds the device's lock.
CREATE FUNCTION property_store(t token, d device, p_name text, p_value jsonb, p_if_match text) RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	p property;
	n bigint;
BEGIN
	SELECT * INTO p FROM property WHERE device_id = d.device_id AND name = p_name;
	IF p_if_match IS NOT NULL AND p_if_match <> coalesce(format('"%s"', p.version), '') AND
	   NOT (p_if_match = '*' AND p.value IS NOT NULL) THEN
		RETURN api_problem(412, 'Precondition Failed',
				   'the property was written since; read it again and repeat');
	END IF;
	PERFORM audit_add(d.device_id, t.name, 'write', p_name, audit_value(p_value));
	IF p.value = p_value THEN
		RETURN (204, NULL, NULL, format('"%s"', p.version), NULL)::api_reply;
	END IF;
	UPDATE device_sync SET mirror_seq = mirror_seq + 1 WHERE device_id = d.device_id RETURNING mirror_seq INTO n;
	-- Of a property that both sides write, a write that has seen another one is newer, whatever the clocks show.
	INSERT INTO property AS q (device_id, name, owner, value, seq, made_ms)
	VALUES (d.device_id, p_name, 'mirror', p_value, n, greatest(now_ms(), p.made_ms + 1))
	ON CONFLICT (device_id, name) DO UPDATE SET owner = excluded.owner, value = excluded.value, seq = excluded.seq,
		made_ms = excluded.made_ms, changed_at = now(), version = q.version + 1
	RETURNING * INTO p;
	PERFORM outbox_property(d.device_id, p_name, p_value);
	RETURN (204, NULL, NULL, format('"%s"', p.version), NULL)::api_reply;
END $$;

CREATE FUNCTION api_property_put(p_hash bytea, p_url text, p_device text, p_name text, p_value jsonb,
				 p_if_match text, p_cbor bytea DEFAULT NULL) RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	e record := api_property_enter(p_hash, p_device, 'write', p_name);
	def model_property := e.def;
	bad record;
	reply api_reply;
BEGIN
	IF (e.problem).status IS NOT NULL THEN
		RETURN e.problem;
	END IF;
	IF NOT def.writable THEN
		RETURN api_method_problem('GET');
	END IF;
	bad := schema_check(def.schema, p_value, '');
	IF bad.problem IS NOT NULL THEN
		RETURN api_invalid(bad.pointer, bad.problem);
	ELSIF def.owner = 'counter' THEN
		RETURN counter_set(e.t, e.d, def, p_value, p_if_match);
	ELSIF def.owner = 'device' AND p_cbor IS NOT NULL THEN
		RETURN api_problem(413, 'Content Too Large', 'the device owns this property: it is set by a command, whose '
			'input takes at most 16256 bytes as CBOR');
	ELSIF def.owner = 'device' THEN
		RETURN property_wish(e.t, e.d, p_url, p_name, p_value);
	END IF;
	IF def.owner = 'newest' AND p_cbor IS NOT NULL THEN
		RETURN api_problem(413, 'Content Too Large', both_large_problem());
	ELSIF p_cbor IS NOT NULL AND large_problem(p_device, p_name, length(p_cbor)) IS NOT NULL THEN
		RETURN api_problem(413, 'Content Too Large', large_problem(p_device, p_name, length(p_cbor)));
	END IF;
	reply := property_store(e.t, e.d, p_name, p_value, p_if_match);
	IF reply.status = 204 THEN
		PERFORM large_store(p_device, p_name, p_cbor);
	END IF;
	RETURN reply;
END $$;

-- p_input NULL: the request had no body.
CREATE FUNCTION api_action_post(p_hash bytea, p_url text, p_device text, p_name text, p_input jsonb)
RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	e record := api_enter(p_hash, p_device, 'invoke');
	def model_action;
	bad record;
	added record;
	c command;
BEGIN
	IF (e.problem).status IS NOT NULL THEN
		RETURN e.problem;
	END IF;
	SELECT * INTO def FROM model_action WHERE model = (e.d).model AND name = p_name;
	IF NOT FOUND THEN
		RETURN api_problem(404, 'Not Found', format('model %s has no action %s', (e.d).model, p_name));
	ELSIF def.input IS NULL AND p_input IS NOT NULL THEN
		RETURN api_invalid('', 'this action takes no input');
	ELSIF def.input IS NOT NULL AND p_input IS NULL THEN
		RETURN api_invalid('', 'this action needs input');
	ELSIF p_input IS NOT NULL THEN
		bad := schema_check(def.input, p_input, '');
		IF bad.problem IS NOT NULL THEN
			RETURN api_invalid(bad.pointer, bad.problem);
		END IF;
	END IF;
	added := command_add(p_device, p_name, p_input, e.t, def.repeatable, def.execute_within_ms,
			     def.deliver_within);
	IF added.overfull THEN
		RETURN api_too_many();
	END IF;
	SELECT * INTO c FROM command WHERE device_id = p_device AND seq = added.seq;
	RETURN (201, command_status(c, p_url), p_url || command_url(c), NULL, NULL)::api_reply;
END $$;

-- Who may invoke may see what came of it, and so may who may read.
CREATE FUNCTION api_action_find(p_hash bytea, p_device text, p_name text, p_seq bigint,
				OUT t token, OUT d device, OUT c command, OUT problem api_reply)
LANGUAGE plpgsql AS $$
DECLARE
	e record := api_enter(p_hash, p_device, NULL);
BEGIN
	t := e.t;
	d := e.d;
	problem := e.problem;
	IF (problem).status IS NOT NULL THEN
		RETURN;
	ELSIF NOT token_may(t.token_id, CASE p_name WHEN '$set' THEN 'write' ELSE 'invoke' END, p_device, d.model)
	   AND NOT token_may(t.token_id, 'read', p_device, d.model) THEN
		problem := api_problem(403, 'Forbidden', 'this token has no right to read or invoke here');
		RETURN;
	END IF;
	SELECT * INTO c FROM command WHERE device_id = p_device AND seq = p_seq AND action = p_name;
	IF NOT FOUND THEN
		problem := api_problem(404, 'Not Found', format('no invocation %s of action %s', p_seq, p_name));
	END IF;
END $$;

CREATE FUNCTION api_action_get(p_hash bytea, p_url text, p_device text, p_name text, p_seq bigint)
RETURNS api_reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
	f record := api_action_find(p_hash, p_device, p_name, p_seq);
BEGIN
	IF (f.problem).status IS NOT NULL THEN
		RETURN f.problem;
	END IF;
	RETURN (200, command_status(f.c, p_url), NULL, NULL, NULL)::api_reply;
END $$;

CREATE FUNCTION api_action_delete(p_hash bytea, p_device text, p_name text, p_seq bigint) RETURNS api_reply
LANGUAGE plpgsql AS $$
DECLARE
	f record := api_action_find(p_hash, p_device, p_name, p_seq);
	at text;
BEGIN
	IF (f.problem).status IS NOT NULL THEN
		RETURN f.problem;
	ELSIF NOT token_may((f.t).token_id, CASE p_name WHEN '$set' THEN 'write' ELSE 'invoke' END,
			    p_device, (f.d).model) THEN
		RETURN api_problem(403, 'Forbidden', 'this token has no right to invoke here');
	END IF;
	PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
	SELECT state INTO at FROM command WHERE device_id = p_device AND seq = p_seq;
	IF at IS DISTINCT FROM 'queued' THEN
		RETURN api_problem(409, 'Conflict', format('the device may have it already: it is %s',
				   coalesce(at, 'forgotten')));
	END IF;
	PERFORM command_end(p_device, p_seq, 'cancelled', format('cancelled by %s', (f.t).name));
	PERFORM audit_add(p_device, (f.t).name, 'cancel', p_name, jsonb_build_object('command', p_seq));
	RETURN (204, NULL, NULL, NULL, NULL)::api_reply;
END $$;
