-- SPDX-License-Identifier: MIT
-- Requests that came as early data.

-- What sync() would answer to an idle request of a new session, if there is nothing to give: one row; else none, and the
-- request has to wait until its handshake is done. Changes nothing and locks nothing, for the request may be a replay.
CREATE FUNCTION sync_early(p_device text, p_epoch bytea, p_session bigint, p_mirror_epoch bytea, p_mirror_cursor bigint,
			   p_command_cursor bigint)
RETURNS SETOF sync_reply
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
	RETURN QUERY SELECT 0, NULL::text, s.mirror_epoch, 0, s.device_cursor,
		(extract(epoch FROM clock_timestamp()) * 1000)::bigint, m.interval_ms, '[]'::jsonb, '[]'::jsonb, NULL::jsonb
	FROM device_sync s JOIN device d USING (device_id) JOIN model m USING (model)
	-- the conditions of sync_batch(), but for the round, which is the first
	WHERE s.device_id = p_device AND d.state = 'active' AND s.device_epoch = p_epoch AND s.session > 0
	  AND p_session > s.session
	  AND s.mirror_epoch = p_mirror_epoch AND NOT s.unconfirmed AND NOT s.partials
	  AND p_mirror_cursor <= s.mirror_seq AND p_command_cursor = s.command_cursor AND p_command_cursor <= s.command_seq
	  AND (p_mirror_cursor = s.mirror_seq OR NOT EXISTS (
		SELECT FROM property p WHERE p.device_id = p_device AND p.owner = 'mirror' AND p.seq > p_mirror_cursor))
	  AND (p_command_cursor = s.command_seq OR NOT EXISTS (
		SELECT FROM command c WHERE c.device_id = p_device AND c.seq > p_command_cursor
		  AND c.ended_at IS NULL AND c.state IN ('queued', 'leased')));
END $$;
