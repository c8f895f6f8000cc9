-- SPDX-License-Identifier: MIT
-- Forgetting by parts: all at once was one statement, which after a long time off, or with a shorter `keep`, never
-- ended within [database] timeout, and so never forgot anything.

DROP FUNCTION hg_forget(interval);
-- Forgets what is older than `age`, a bounded part at a time; lasting decisions and their incidents stay.
-- Returns how many rows that were; called again until it is 0.
CREATE FUNCTION hg_forget(age interval) RETURNS bigint
LANGUAGE sql AS $$
	WITH a AS (DELETE FROM alarm WHERE alarm_id IN (SELECT alarm_id FROM alarm
			WHERE correlated AND received_at < now() - age LIMIT 2000) RETURNING 1),
	     e AS (DELETE FROM episode WHERE ctid = ANY (ARRAY(SELECT ctid FROM episode
			WHERE last_alarm_at < now() - age LIMIT 2000)) RETURNING 1),
	     i AS (DELETE FROM incident WHERE incident_id IN (SELECT incident_id FROM incident
			WHERE closed_at < now() - age LIMIT 20) RETURNING 1),
	     u AS (DELETE FROM audit WHERE day < current_date - age RETURNING 1)
	SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM e) + (SELECT count(*) FROM i) + (SELECT count(*) FROM u)
$$;
