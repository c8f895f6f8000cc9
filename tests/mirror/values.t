#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The short way of values, schema_passes(), lets nothing by that schema_check() refuses, and is taken by plain values."""
import json, os, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, done
from world import World

TYPES = ["boolean", "integer", "number", "string", "object", "array", "null"]
LIMITS = [{}, {"minimum": 2, "maximum": 7.5}, {"minimum": -1e30}, {"maximum": 0}, {"exclusiveMinimum": 3}, {"exclusiveMaximum": 3},
          {"multipleOf": 2}, {"minLength": 2}, {"maxLength": 3}, {"minLength": 1, "maxLength": 1}, {"pattern": "^a"},
          {"enum": [1, "a", True, None]}, {"const": 3}, {"items": {"type": "integer"}, "minItems": 2}, {"maxItems": 1},
          {"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"unit": "celsius", "title": "a"}]
VALUES = [0, 1, 2, 3, 7.5, 8, -4, 2.5, 1e300, -1e300, 1.0, "", "a", "abc", "abcd", "ä€𝄞x", "3", True, False, None, [], [1], [1, 2],
          ["a", "b"], {}, {"a": 1}, {"a": "1"}, {"b": 2}]
w = World()


def literal(values):
    return "ARRAY[" + ", ".join("'" + json.dumps(v, ensure_ascii=False).replace("'", "''") + "'::jsonb" for v in values) + "]"


schemas = [{"type": t, **limit} for t in TYPES for limit in LIMITS] + LIMITS
out = w.pg.sql("SET search_path = heliograph; "
               "SELECT count(*), count(*) FILTER (WHERE p), count(*) FILTER (WHERE p AND c.problem IS NOT NULL), count(*) FILTER (WHERE p IS NULL) "
               f"FROM unnest({literal(schemas)}) s, unnest({literal(VALUES)}) v, schema_passes(s, v) p, schema_check(s, v, '') c")
n, passed, wrong, unknown = map(int, out.split("|"))
equal(n, len(schemas) * len(VALUES), "each schema with each value")
equal(wrong, 0, "none that passes is refused by schema_check()")
plain = [({"type": "integer", "minimum": 0, "maximum": 10}, [0, 10, 3]), ({"type": "number", "maximum": 1e3}, [0, 0.5, -1e9]),
         ({"type": "string", "minLength": 1, "maxLength": 4}, ["a", "ä€𝄞x"]), ({"type": "boolean", "title": "t"}, [True, False])]
out = w.pg.sql("SET search_path = heliograph; " + " UNION ALL ".join(
    f"SELECT schema_passes('{json.dumps(s)}', v)::text FROM unnest({literal(v)}) v" for s, v in plain))
equal(set(out.split()), {"true"}, "plain values within their limits do")
done()
