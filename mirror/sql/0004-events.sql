-- SPDX-License-Identifier: MIT
-- The outbox is read by `events`, in the order of its transactions.

CREATE INDEX outbox_tail ON outbox (xid, device_id, seq);
DROP INDEX outbox_xid_idx;

-- The newest transaction of which prune() took rows away: who has read less has missed something.
CREATE TABLE outbox_pruned (
	one		boolean PRIMARY KEY DEFAULT true CHECK (one),
	xid		xid8 NOT NULL DEFAULT '0'
);
INSERT INTO outbox_pruned DEFAULT VALUES;
