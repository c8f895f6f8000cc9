-- SPDX-License-Identifier: MIT
-- The clock of the database may be put back: then the newest session seems to lie ahead, and every connection
-- before it. Such a time is not believed, and never holds up a session that is newer by its number.

-- Judges epoch, session and round. Returns 0 (go on), 5 (quarantined now) or 6 (too late: superseded).
-- p_age_ms: since this connection was accepted. Too late is what comes on a connection that was accepted before
-- the newest session was heard of, or before a release (session 0), and is not newer: the device gave it up. So is
-- what has another epoch, for a device that lost its store may have a request under way yet.
CREATE OR REPLACE FUNCTION sync_admit(s device_sync, p_epoch bytea, p_session bigint, p_round integer, p_age_ms integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	why text;
BEGIN
	-- Its age counts from when the statement began: it may have waited for the row since.
	IF s.session_at > statement_timestamp() - p_age_ms * interval '1 ms' AND s.session_at <= clock_timestamp()
	   AND (s.device_epoch IS DISTINCT FROM p_epoch OR p_session < s.session OR s.session = 0) THEN
		RETURN 6;
	ELSIF s.device_epoch = p_epoch THEN
		IF p_session > s.session OR (p_session = s.session AND p_round > s.round) THEN
			RETURN 0;
		END IF;
		why := format('session %s.%s after %s.%s of the same store: two devices use one identity',
			      p_session, p_round, s.session, s.round);
	ELSIF EXISTS (SELECT FROM device_epoch WHERE device_id = s.device_id AND epoch = p_epoch) THEN
		why := 'a store that had been replaced came back: two devices use one identity';
	ELSE
		RETURN 0;
	END IF;
	UPDATE device SET state = 'quarantined', reason = why WHERE device_id = s.device_id;
	PERFORM outbox_add(s.device_id, 'device', 'quarantined', jsonb_build_object('reason', why));
	PERFORM audit_add(s.device_id, 'mirror', 'quarantine', s.device_id, jsonb_build_object('reason', why));
	RETURN 5;
END $$;
