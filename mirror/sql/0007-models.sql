-- SPDX-License-Identifier: MIT
-- Faults of a Thing Model that were told in PostgreSQL's words: now with their place, and what to write.

-- "PT10M", "90 s", ... as Thing Models write durations; NULL stays NULL. What the wire carries in milliseconds
-- has 31 bits for them.
CREATE OR REPLACE FUNCTION model_interval(p_value jsonb, p_at text) RETURNS interval
LANGUAGE plpgsql AS $$
DECLARE
	most interval := CASE WHEN p_at LIKE '%/hg:deliverWithin' THEN interval '10 years' ELSE interval '24 days' END;
	v interval;
BEGIN
	IF p_value IS NULL THEN
		RETURN NULL;
	ELSIF jsonb_typeof(p_value) = 'number' THEN
		v := make_interval(secs => (p_value#>>'{}')::double precision);
	ELSE
		v := (p_value#>>'{}')::interval;
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

-- Loads or replaces a Thing Model (TD 1.1, "hg" terms: see docs). Returns its name.
CREATE OR REPLACE FUNCTION admin_model_add(p_file jsonb) RETURNS text
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
