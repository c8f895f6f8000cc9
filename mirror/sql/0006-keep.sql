-- SPDX-License-Identifier: MIT
-- The audit has an end, too: what applications write and invoke is kept for [keep] audit.

CREATE INDEX ON audit USING brin (happened_at);

DROP FUNCTION prune(interval, interval);
-- Forgets what nobody needs any more, a bounded part at a time, so that no statement takes too long.
-- Returns how many rows that were; called by the server now and then, until it is 0.
CREATE FUNCTION prune(p_outbox interval, p_commands interval, p_audit interval) RETURNS bigint
LANGUAGE sql AS $$
	WITH o AS (DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox
			WHERE happened_at < now() - p_outbox LIMIT 10000)) RETURNING 1),
	     c AS (DELETE FROM command WHERE ctid = ANY (ARRAY(SELECT ctid FROM command
			WHERE ended_at < now() - p_commands LIMIT 10000)) RETURNING 1),
	     a AS (DELETE FROM audit WHERE ctid = ANY (ARRAY(SELECT ctid FROM audit
			WHERE happened_at < now() - p_audit LIMIT 10000)) RETURNING 1)
	SELECT (SELECT count(*) FROM o) + (SELECT count(*) FROM c) + (SELECT count(*) FROM a)
$$;
