-- SPDX-License-Identifier: MIT
-- Requests of another time or another device were believed, as docs/model/sync.pml found; what is in doubt
-- is noted now, see sync_doubt().

ALTER TABLE device_sync ADD COLUMN IF NOT EXISTS unconfirmed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN device_sync.unconfirmed IS 'device-owned properties with seq 0 wait to be said again';

-- Commands that a revocation had left open: that device is not heard again.
UPDATE command c SET state = 'unknown', detail = 'the device was revoked', ended_at = now() FROM device d
WHERE d.device_id = c.device_id AND d.state = 'revoked' AND c.state IN ('queued', 'leased', 'received', 'executing');
