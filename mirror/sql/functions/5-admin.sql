-- SPDX-License-Identifier: MIT
-- What the operator does through the command line. Errors are exceptions whose message is for people.

CREATE FUNCTION admin_fail(p_message text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION '%', p_message USING ERRCODE = 'HG001';
END $$;

-- "PT10M", "90 s", ... as Thing Models write durations; NULL stays NULL. What the wire carries in milliseconds
-- has 31 bits for them.
CREATE FUNCTION model_interval(p_value jsonb, p_at text) RETURNS interval
LANGUAGE plpgsql AS $$
DECLARE
	most interval := CASE WHEN p_at LIKE '%/hg:deliverWithin' THEN interval '10 years' ELSE interval '24 days' END;
	v interval;
BEGIN
	IF p_value IS NULL THEN
		RETURN NULL;
	ELSIF jsonb_typeof(p_value) = 'number' THEN
		v := make_interval(secs => (p_value#>>'{}')::double precision);
	ELSIF (p_value#>>'{}') ~ '^P(?=.)([0-9]+W)?([0-9]+D)?(T(?=.)([0-9]+H)?([0-9]+M)?([0-9]+([.][0-9]+)?S)?)?$' THEN
		v := (p_value#>>'{}')::interval; -- what devices read, too: nothing of changing length
	ELSE
		RAISE invalid_datetime_format;
	END IF;
	IF v < interval '0' OR v > most THEN
		PERFORM admin_fail(format('%s: %s is out of range; at most %s', p_at, p_value, most));
	END IF;
	RETURN v;
EXCEPTION WHEN invalid_datetime_format OR interval_field_overflow OR datetime_field_overflow
		OR numeric_value_out_of_range THEN
	PERFORM admin_fail(format('%s: %s is not a duration; write seconds or "PT10M"', p_at, p_value));
END $$;

-- The members of a part of a Thing Model; none if it is not there.
CREATE FUNCTION model_part(p_file jsonb, p_part text) RETURNS TABLE (key text, value jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	part jsonb := coalesce(p_file->p_part, '{}');
	bad text;
BEGIN
	IF jsonb_typeof(part) <> 'object' THEN
		PERFORM admin_fail(format('/%s: must be an object', p_part));
	END IF;
	SELECT min(e.key) INTO bad FROM jsonb_each(part) e WHERE jsonb_typeof(e.value) <> 'object';
	IF bad IS NOT NULL THEN
		PERFORM admin_fail(format('/%s/%s: must be an object', p_part, bad));
	END IF;
	RETURN QUERY SELECT * FROM jsonb_each(part);
END $$;

CREATE FUNCTION model_name_check(p_kind text, p_name text) RETURNS void
LANGUAGE sql AS $$
	SELECT admin_fail(format('/%s/%s: names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter',
				 p_kind, p_name))
	WHERE p_name !~ '^[A-Za-z][A-Za-z0-9_.-]{0,63}$'
$$;

CREATE FUNCTION model_add_property(p_model text, p_name text, p_def jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	problem text := schema_problem(p_def, '/properties/' || p_name);
	owner_of text := coalesce(p_def->>'hg:merge', p_def->>'hg:owner',
				  CASE WHEN p_def->'readOnly' = 'true' THEN 'device' ELSE 'mirror' END);
	before text;
BEGIN
	PERFORM model_name_check('properties', p_name);
	IF problem IS NOT NULL THEN
		PERFORM admin_fail(problem);
	ELSIF coalesce(p_def->>'hg:merge' NOT IN ('newest', 'counter'), false) THEN
		PERFORM admin_fail(format('/properties/%s/hg:merge: is "newest" or "counter"', p_name));
	ELSIF p_def ? 'hg:merge' AND p_def ? 'hg:owner' THEN
		PERFORM admin_fail(format('/properties/%s/hg:owner: has none, for both sides write it (hg:merge)', p_name));
	ELSIF owner_of NOT IN ('mirror', 'device', 'newest', 'counter') OR p_def->>'hg:owner' IN ('newest', 'counter') THEN
		PERFORM admin_fail(format('/properties/%s/hg:owner: is "mirror" or "device"', p_name));
	ELSIF owner_of = 'counter' AND p_def->>'type' IS DISTINCT FROM 'integer' THEN
		PERFORM admin_fail(format('/properties/%s/type: a counter is an "integer"', p_name));
	ELSIF NOT p_def ? 'type' THEN
		PERFORM admin_fail(format('/properties/%s/type: is missing', p_name));
	END IF;
	SELECT owner INTO before FROM model_property WHERE model = p_model AND name = p_name;
	IF before <> owner_of AND NOT EXISTS (SELECT FROM device WHERE model = p_model) THEN
		before := NULL;
	ELSIF before IS NULL THEN -- or it was in an older model, and devices hold its values still
		SELECT CASE WHEN p.mine IS NULL THEN p.owner ELSE 'counter' END INTO before
		FROM property p JOIN device USING (device_id)
		WHERE model = p_model AND p.name = p_name
		  AND CASE owner_of WHEN 'counter' THEN p.mine IS NULL WHEN 'newest' THEN p.mine IS NOT NULL
		      ELSE p.owner <> owner_of OR p.mine IS NOT NULL END LIMIT 1;
	END IF;
	IF before <> owner_of THEN
		PERFORM admin_fail(format(CASE WHEN p_def ? 'hg:merge' OR before IN ('newest', 'counter')
			THEN '/properties/%s/hg:merge: devices of this model exist; the rule stays %s'
			ELSE '/properties/%s/hg:owner: devices of this model exist; the owner stays %s' END, p_name, before));
	END IF;
	INSERT INTO model_property (model, name, owner, writable, schema)
	VALUES (p_model, p_name, owner_of, coalesce(p_def->'readOnly' <> 'true', true), p_def)
	ON CONFLICT (model, name) DO UPDATE SET owner = excluded.owner, writable = excluded.writable,
		schema = excluded.schema;
END $$;

CREATE FUNCTION model_add_action(p_model text, p_name text, p_def jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	at text := '/actions/' || p_name;
	problem text;
BEGIN
	PERFORM model_name_check('actions', p_name);
	problem := coalesce(CASE WHEN p_def ? 'input' THEN schema_problem(p_def->'input', at || '/input') END,
			    CASE WHEN p_def ? 'output' THEN schema_problem(p_def->'output', at || '/output') END);
	IF problem IS NOT NULL THEN
		PERFORM admin_fail(problem);
	END IF;
	INSERT INTO model_action (model, name, input, output, repeatable, deliver_within, execute_within_ms)
	VALUES (p_model, p_name, p_def->'input', p_def->'output', coalesce(p_def->'idempotent' = 'true', false),
		coalesce(model_interval(p_def->'hg:deliverWithin', at || '/hg:deliverWithin'), interval '1 day'),
		coalesce(extract(epoch FROM model_interval(p_def->'hg:executeWithin', at || '/hg:executeWithin'))
			 * 1000, 0)::integer)
	ON CONFLICT (model, name) DO UPDATE SET input = excluded.input, output = excluded.output,
		repeatable = excluded.repeatable, deliver_within = excluded.deliver_within,
		execute_within_ms = excluded.execute_within_ms;
END $$;

-- Loads or replaces a Thing Model (TD 1.1, "hg" terms: see docs). Returns its name.
CREATE FUNCTION admin_model_add(p_file jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	m text := p_file->>'hg:model';
	unknown text;
BEGIN
	IF jsonb_typeof(p_file) <> 'object' OR NOT coalesce(p_file->'@type' @> '"tm:ThingModel"', false) THEN
		PERFORM admin_fail('/@type: must be "tm:ThingModel"');
	ELSIF m IS NULL OR m !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$' THEN
		PERFORM admin_fail('/hg:model: the name of the model, 1 to 32 of A-Z a-z 0-9 . _ -');
	END IF;
	SELECT min(k) INTO unknown FROM jsonb_object_keys(p_file) k WHERE k NOT IN ('@context', '@type', 'title', 'titles',
		'description', 'descriptions', 'support', 'version', 'links', 'tm:required', 'properties',
		'actions', 'events') AND k NOT LIKE 'hg:%';
	IF unknown IS NOT NULL THEN
		PERFORM admin_fail(format('/%s: this mirror does not know what to do with it', unknown));
	END IF;
	PERFORM model_interval(p_file->k, '/' || k) FROM unnest('{hg:intervalMin,hg:intervalMax,hg:intervalIdle}'::text[]) k;
	PERFORM model_interval(value->'hg:deliverWithin', format('/properties/%s/hg:deliverWithin', key))
	FROM model_part(p_file, 'properties');
	INSERT INTO model (model, thing_model, interval_ms)
	VALUES (m, p_file, coalesce(extract(epoch FROM model_interval(p_file->'hg:interval', '/hg:interval'))
				    * 1000, 0)::integer)
	ON CONFLICT (model) DO UPDATE SET thing_model = excluded.thing_model,
		interval_ms = excluded.interval_ms, loaded_at = now();
	DELETE FROM model_property WHERE model = m AND name NOT IN (SELECT key FROM model_part(p_file, 'properties'));
	DELETE FROM model_action WHERE model = m AND name NOT IN (SELECT key FROM model_part(p_file, 'actions'));
	PERFORM model_add_property(m, key, value) FROM model_part(p_file, 'properties');
	PERFORM model_add_action(m, key, value) FROM model_part(p_file, 'actions');
	RETURN m;
END $$;

CREATE FUNCTION admin_device_add(p_device text, p_model text, p_serial text, p_not_after timestamptz)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM model WHERE model = p_model) THEN
		PERFORM admin_fail(format('model %s is not known; load it with "model add FILE"', p_model));
	ELSIF EXISTS (SELECT FROM device WHERE device_id = p_device) THEN
		PERFORM admin_fail(format('device %s exists; a UID is given once and never again', p_device));
	END IF;
	INSERT INTO device (device_id, model) VALUES (p_device, p_model);
	INSERT INTO device_sync (device_id) VALUES (p_device);
	INSERT INTO device_certificate (device_id, serial, not_after) VALUES (p_device, p_serial, p_not_after);
	PERFORM outbox_add(p_device, 'device', 'enrolled', jsonb_build_object('model', p_model));
	PERFORM audit_add(p_device, session_user, 'device add', p_device, jsonb_build_object('model', p_model));
END $$;

-- Records a certificate that was signed over a session, before it is handed out. NULL if it may be; else why
-- not, for people. The lock keeps two sessions of one device apart, and a revocation.
CREATE FUNCTION device_renew(p_device text, p_serial text, p_not_after timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
	IF NOT EXISTS (SELECT FROM device WHERE device_id = p_device AND state = 'active') THEN
		RETURN 'the device is not known, or not active';
	ELSIF EXISTS (SELECT FROM device_certificate
			WHERE device_id = p_device AND renewed_at > now() - interval '1 day') THEN
		RETURN 'one was signed less than a day ago';
	END IF;
	INSERT INTO device_certificate (device_id, serial, not_after, renewed_at)
		VALUES (p_device, p_serial, p_not_after, now());
	PERFORM audit_add(p_device, p_device, 'certificate', p_serial,
		jsonb_build_object('not_after', p_not_after));
	RETURN NULL;
END $$;

-- A revoked device is not heard again: what it took ends here.
CREATE FUNCTION admin_device_revoke(p_device text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
	UPDATE device SET state = 'revoked', reason = 'revoked by ' || session_user WHERE device_id = p_device;
	IF NOT FOUND THEN
		PERFORM admin_fail(format('no device %s', p_device));
	END IF;
	UPDATE device_certificate SET revoked_at = now() WHERE device_id = p_device AND revoked_at IS NULL;
	PERFORM command_end(p_device, seq, CASE state WHEN 'queued' THEN 'cancelled' ELSE 'unknown' END,
			    'the device was revoked')
	FROM command WHERE device_id = p_device AND ended_at IS NULL;
	PERFORM outbox_add(p_device, 'device', 'revoked', NULL);
	PERFORM audit_add(p_device, session_user, 'device revoke', p_device, NULL);
END $$;

-- Ends a quarantine. Whichever device synchronises next is taken for the true one. The other one may have
-- said and taken anything under the same numbers: a new epoch makes the true one say and hear all again.
CREATE FUNCTION admin_device_release(p_device text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM device_sync WHERE device_id = p_device FOR UPDATE;
	UPDATE device SET state = 'active', reason = NULL WHERE device_id = p_device AND state = 'quarantined';
	IF NOT FOUND THEN
		PERFORM admin_fail(format('device %s is not in quarantine', p_device));
	END IF;
	DELETE FROM device_epoch WHERE device_id = p_device;
	UPDATE device_sync SET mirror_seq = merge_adopt(p_device, mirror_seq, false) WHERE device_id = p_device;
	UPDATE device_sync SET session = 0, round = -1, session_at = clock_timestamp(), device_cursor = 0,
		mirror_epoch = uuid_send(gen_random_uuid()), unconfirmed = sync_doubt(p_device) OR unconfirmed
	WHERE device_id = p_device;
	PERFORM outbox_add(p_device, 'device', 'released', NULL);
	PERFORM audit_add(p_device, session_user, 'device release', p_device, NULL);
END $$;

CREATE VIEW admin_device AS
	SELECT d.device_id, d.model, d.state, d.reason, d.created_at, s.last_seen, s.session, s.device_cursor,
		s.mirror_seq, s.mirror_cursor, s.command_seq, s.command_cursor,
		(SELECT count(*) FROM command c WHERE c.device_id = d.device_id
		 AND c.ended_at IS NULL) AS open_commands
	FROM device d JOIN device_sync s USING (device_id);

-- Serial and time of each certificate that a revocation list must name.
CREATE VIEW admin_revoked AS
	SELECT serial, extract(epoch FROM revoked_at)::bigint AS revoked_at FROM device_certificate
	WHERE revoked_at IS NOT NULL AND not_after > now();

CREATE FUNCTION admin_token_add(p_name text, p_hash bytea, p_rights text[], p_devices text[], p_models text[],
				p_expires_days integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
	bad text;
BEGIN
	SELECT x INTO bad FROM unnest(p_devices) x WHERE NOT EXISTS (SELECT FROM device WHERE device_id = x);
	IF FOUND THEN
		PERFORM admin_fail(format('no device %s', bad));
	END IF;
	SELECT x INTO bad FROM unnest(p_models) x WHERE NOT EXISTS (SELECT FROM model WHERE model = x);
	IF FOUND THEN
		PERFORM admin_fail(format('no model %s', bad));
	ELSIF EXISTS (SELECT FROM token WHERE name = p_name) THEN
		PERFORM admin_fail(format('token %s exists', p_name));
	END IF;
	INSERT INTO token (name, hash, expires_at) VALUES (p_name, p_hash, now() + make_interval(days => p_expires_days))
	RETURNING token_id INTO id;
	INSERT INTO token_grant (token_id, access, device_id) SELECT id, a, d FROM unnest(p_rights) a, unnest(p_devices) d;
	INSERT INTO token_grant (token_id, access, model) SELECT id, a, m FROM unnest(p_rights) a, unnest(p_models) m;
	IF p_devices = '{}' AND p_models = '{}' THEN
		INSERT INTO token_grant (token_id, access) SELECT id, a FROM unnest(p_rights) a;
	END IF;
END $$;

CREATE FUNCTION admin_token_revoke(p_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE token SET revoked_at = now() WHERE name = p_name AND revoked_at IS NULL;
	IF NOT FOUND THEN
		PERFORM admin_fail(format('no token %s that is not revoked already', p_name));
	END IF;
END $$;

CREATE VIEW admin_token AS
	SELECT t.name, t.created_at, t.expires_at, t.revoked_at, string_agg(g.access || ':' ||
		coalesce('device=' || g.device_id, 'model=' || g.model, 'all'), ' ' ORDER BY g.access, g.device_id) AS grants
	FROM token t JOIN token_grant g USING (token_id) GROUP BY t.token_id;

-- After the database was restored from a backup: numbers leap over everything that may have been given
-- out since, and a new epoch tells every device to say all it knows again. A dump that was loaded into another
-- cluster carries transactions that this one has yet to begin: they are taken as of now.
CREATE FUNCTION admin_restored() RETURNS bigint
LANGUAGE sql AS $$
	UPDATE outbox SET xid = pg_current_xact_id() WHERE xid >= pg_snapshot_xmax(pg_current_snapshot());
	UPDATE outbox_pruned SET xid = '0' WHERE xid >= pg_snapshot_xmax(pg_current_snapshot());
	WITH u AS (UPDATE device_sync SET mirror_epoch = uuid_send(gen_random_uuid()),
		mirror_seq = mirror_seq + 1000000, command_seq = command_seq + 1000000,
		event_seq = event_seq + 1000000, audit_seq = audit_seq + 1000000 RETURNING 1)
	SELECT count(*) FROM u
$$;

-- Forgets what nobody needs any more, a bounded part at a time, so that no statement takes too long.
-- Returns how many rows that were; called by the server now and then, until it is 0.
CREATE FUNCTION prune(p_outbox interval, p_commands interval, p_audit interval) RETURNS bigint
LANGUAGE sql AS $$
	WITH o AS (DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox
			WHERE happened_at < now() - p_outbox LIMIT 10000)) RETURNING xid),
	     p AS (UPDATE outbox_pruned SET xid = o.xid FROM (SELECT xid FROM o ORDER BY xid DESC LIMIT 1) o
		   WHERE outbox_pruned.xid < o.xid),
	     c AS (DELETE FROM command WHERE ctid = ANY (ARRAY(SELECT ctid FROM command
			WHERE ended_at < now() - p_commands LIMIT 10000)) RETURNING 1),
	     a AS (DELETE FROM audit WHERE ctid = ANY (ARRAY(SELECT ctid FROM audit
			WHERE happened_at < now() - p_audit LIMIT 10000)) RETURNING 1)
	SELECT (SELECT count(*) FROM o) + (SELECT count(*) FROM c) + (SELECT count(*) FROM a)
$$;
