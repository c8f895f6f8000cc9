// SPDX-License-Identifier: MIT
// Thing Descriptions (a JSON array on standard input) against the W3C's JSON schema of TD 1.1.
// Prints {"schema": its id, "errors": [of each]}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv from "ajv";
import formats from "ajv-formats";

const require = createRequire(import.meta.url);
const schema = JSON.parse(readFileSync(require.resolve(
	"wot-thing-description-types/schema/td-json-schema-validation.json")));
const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
const check = ajv.compile(schema);
const errors = JSON.parse(readFileSync(0)).map((td) => (check(td) ? [] : check.errors));
console.log(JSON.stringify({ schema: schema.title ?? schema.$id, errors }));
