-- SPDX-License-Identifier: MIT
-- Values against data schemas: the subset of JSON Schema that Thing Descriptions use. Every property's value and
-- every input that enters the mirror is judged by schema_check() and nowhere else. Outputs of commands are not:
-- what a handler has said is what came of it.

-- Keywords that are enforced, and those that only describe. A model with any other is refused, because a
-- limit that is not enforced is worse than none.
CREATE FUNCTION schema_keyword(p_key text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT p_key IN ('type', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf',
			 'minLength', 'maxLength', 'pattern', 'enum', 'const', 'items', 'minItems', 'maxItems',
			 'properties', 'required')
	    OR p_key IN ('title', 'titles', 'description', 'descriptions', 'unit', 'default', 'format', '@type',
			 'readOnly', 'writeOnly', 'observable', 'contentEncoding', 'contentMediaType')
	    OR p_key LIKE 'hg:%'
$$;

-- NULL, or why a data schema is not usable.
CREATE FUNCTION schema_problem(p_schema jsonb, p_at text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	k text;
	v jsonb;
	problem text;
BEGIN
	IF jsonb_typeof(p_schema) IS DISTINCT FROM 'object' THEN
		RETURN format('%s: must be an object', p_at);
	END IF;
	IF p_schema->>'type' NOT IN ('boolean', 'integer', 'number', 'string', 'object', 'array', 'null') THEN
		RETURN format('%s/type: unknown type %s', p_at, p_schema->'type');
	END IF;
	FOR k, v IN SELECT * FROM jsonb_each(p_schema) LOOP
		IF NOT schema_keyword(k) THEN
			RETURN format('%s/%s: keyword is not enforced by this mirror; remove it', p_at, k);
		ELSIF k IN ('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf',
			    'minLength', 'maxLength', 'minItems', 'maxItems') AND jsonb_typeof(v) <> 'number' THEN
			RETURN format('%s/%s: must be a number', p_at, k);
		ELSIF k = 'multipleOf' AND (v#>>'{}')::numeric <= 0 THEN
			RETURN format('%s/%s: must be above 0', p_at, k);
		ELSIF k IN ('enum', 'required') AND jsonb_typeof(v) <> 'array' THEN
			RETURN format('%s/%s: must be an array', p_at, k);
		ELSIF k = 'pattern' THEN
			BEGIN
				PERFORM '' ~ (v#>>'{}');
			EXCEPTION WHEN invalid_regular_expression THEN
				RETURN format('%s/%s: %s', p_at, k, SQLERRM);
			END;
		ELSIF k = 'items' THEN
			problem := schema_problem(v, p_at || '/items');
		ELSIF k = 'properties' THEN
			IF jsonb_typeof(v) <> 'object' THEN
				RETURN format('%s/properties: must be an object', p_at);
			END IF;
			SELECT min(schema_problem(e.value, p_at || '/properties/' || e.key)) INTO problem
			FROM jsonb_each(v) e;
		END IF;
		IF problem IS NOT NULL THEN
			RETURN problem;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;

CREATE FUNCTION schema_check_number(p_schema jsonb, v numeric) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE
	WHEN v < (p_schema->>'minimum')::numeric THEN format('%s is below the minimum %s', v, p_schema->>'minimum')
	WHEN v > (p_schema->>'maximum')::numeric THEN format('%s is above the maximum %s', v, p_schema->>'maximum')
	WHEN v <= (p_schema->>'exclusiveMinimum')::numeric
		THEN format('%s is not above %s', v, p_schema->>'exclusiveMinimum')
	WHEN v >= (p_schema->>'exclusiveMaximum')::numeric
		THEN format('%s is not below %s', v, p_schema->>'exclusiveMaximum')
	WHEN v % (p_schema->>'multipleOf')::numeric <> 0
		THEN format('%s is not a multiple of %s', v, p_schema->>'multipleOf')
	END
$$;

CREATE FUNCTION schema_check_string(p_schema jsonb, v text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE
	WHEN length(v) < (p_schema->>'minLength')::numeric
		THEN format('is shorter than %s characters', p_schema->>'minLength')
	WHEN length(v) > (p_schema->>'maxLength')::numeric
		THEN format('is longer than %s characters', p_schema->>'maxLength')
	WHEN NOT v ~ (p_schema->>'pattern') THEN format('does not match the pattern %s', p_schema->>'pattern')
	END
$$;

-- True: schema_check() finds nothing, for sure. The short way of most values, which are plain numbers, truth values and
-- texts; made to be put into the statement that asks.
CREATE FUNCTION schema_passes(p_schema jsonb, v jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_schema ?| '{enum,const,multipleOf,exclusiveMinimum,exclusiveMaximum,pattern}' THEN false
	WHEN jsonb_typeof(v) = 'number'
		THEN (p_schema->>'type' = 'number' OR (p_schema->>'type' = 'integer' AND v::numeric % 1 = 0))
			AND coalesce(v >= p_schema->'minimum', true) AND coalesce(v <= p_schema->'maximum', true)
	WHEN jsonb_typeof(v) = 'string'
		THEN p_schema->>'type' = 'string'
			AND coalesce(length(v #>> '{}') >= (p_schema->>'minLength')::numeric, true)
			AND coalesce(length(v #>> '{}') <= (p_schema->>'maxLength')::numeric, true)
	ELSE jsonb_typeof(v) = 'boolean' AND p_schema->>'type' = 'boolean' END
$$;

-- Where (JSON pointer) and why a value does not fit; both NULL if it does.
CREATE FUNCTION schema_check(p_schema jsonb, v jsonb, INOUT pointer text, OUT problem text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	want text := p_schema->>'type';
	have text := jsonb_typeof(v);
	here text := pointer;
	n integer;
	sub record;
BEGIN
	IF want = 'integer' AND have = 'number' THEN
		IF (v#>>'{}')::numeric % 1 <> 0 THEN
			problem := format('%s is not a whole number', v);
			RETURN;
		END IF;
	ELSIF want IS NOT NULL AND want <> have THEN
		problem := format('must be %s, is %s', want, have);
		RETURN;
	END IF;
	IF p_schema ? 'enum' AND NOT p_schema->'enum' @> jsonb_build_array(v) THEN
		problem := format('is none of %s', p_schema->'enum');
	ELSIF p_schema ? 'const' AND p_schema->'const' <> v THEN
		problem := format('is not %s', p_schema->'const');
	ELSIF have = 'number' THEN
		problem := schema_check_number(p_schema, (v#>>'{}')::numeric);
	ELSIF have = 'string' THEN
		problem := schema_check_string(p_schema, v#>>'{}');
	ELSIF have = 'array' THEN
		n := jsonb_array_length(v);
		IF n < (p_schema->>'minItems')::numeric THEN
			problem := format('has fewer than %s items', p_schema->>'minItems');
		ELSIF n > (p_schema->>'maxItems')::numeric THEN
			problem := format('has more than %s items', p_schema->>'maxItems');
		ELSIF p_schema ? 'items' THEN
			SELECT c.pointer, c.problem INTO pointer, problem
			FROM jsonb_array_elements(v) WITH ORDINALITY e(value, i),
			     schema_check(p_schema->'items', e.value, here || '/' || (e.i - 1)) c
			WHERE c.problem IS NOT NULL LIMIT 1;
		END IF;
	ELSIF have = 'object' THEN
		SELECT r INTO sub FROM jsonb_array_elements_text(p_schema->'required') r WHERE NOT v ? r LIMIT 1;
		IF FOUND THEN
			problem := format('lacks the member %s', sub.r);
		ELSIF p_schema ? 'properties' THEN
			SELECT c.pointer, c.problem INTO pointer, problem
			FROM jsonb_each(v) e,
			     schema_check(p_schema->'properties'->e.key, e.value, here || '/' ||
					  replace(replace(e.key, '~', '~0'), '/', '~1')) c
			WHERE p_schema->'properties' ? e.key AND c.problem IS NOT NULL LIMIT 1;
		END IF;
	END IF;
	IF problem IS NULL THEN
		pointer := NULL;
	END IF;
END $$;
