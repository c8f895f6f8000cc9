-- SPDX-License-Identifier: MIT
-- What happened, for whoever follows devices. Transactions end in another order than they begin in: a row is shown
-- once every transaction that is older than its own has ended, so that nothing appears behind a cursor.

-- The events after a cursor (NULL: from the first that is kept), oldest first. missed: prune() has taken rows
-- away that lay behind the cursor. A transaction that stays open, anywhere in the database cluster, holds all of
-- this up.
CREATE FUNCTION events(p_after text, p_limit integer, OUT cursor text, OUT event jsonb, OUT missed boolean)
RETURNS SETOF record
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m text[] := regexp_match(p_after, '^([0-9]{1,19})/([A-Za-z0-9][A-Za-z0-9._-]{0,63})/([0-9]{1,18})$');
	after_xid xid8;
BEGIN
	IF p_after IS NOT NULL AND m IS NULL THEN
		PERFORM admin_fail(format('%s is no cursor; it is what an event says of itself', p_after));
	END IF;
	after_xid := m[1]::numeric::text::xid8;
	IF after_xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN
		PERFORM admin_fail(format('the cursor %s lies ahead: this is another database, or an older copy; '
					  'begin again without a cursor', p_after));
	END IF;
	SELECT coalesce(after_xid < p.xid, false) INTO missed FROM outbox_pruned p;
	FOR cursor, event IN
		SELECT format('%s/%s/%s', o.xid, o.device_id, o.seq),
		       jsonb_build_object('cursor', format('%s/%s/%s', o.xid, o.device_id, o.seq), 'device', o.device_id,
					  'kind', o.kind, 'name', o.name, 'data', o.data, 'time', iso_time(o.happened_at))
		FROM outbox o
		WHERE (p_after IS NULL OR (o.xid, o.device_id, o.seq) > (after_xid, m[2], m[3]::bigint))
		  AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY o.xid, o.device_id, o.seq LIMIT p_limit LOOP
		RETURN NEXT;
		missed := false;
	END LOOP;
END $$;
